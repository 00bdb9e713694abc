"""mixing: which states of a cell meet in its next states, unit by unit or all with all, and whether linearly."""

from lstmgraph.graph import SINKS, Builder, Dim, ancestors, features, is_row, keys_of, node_of, operands
from lstmgraph.plugins import op
from lstmgraph.traced import Cell

DIAGONAL, DENSE = "diagonal", "dense"


def mixing(cell: Cell) -> tuple[bool, dict[str, dict[str, str]]]:
    """Say whether the next states are affine in the states, and how each depends on them.

    Returns
    -------
    linear : bool
        Whether the next states are affine in all states together, for given inputs and parameters. A state whose
        derivative an op withholds (rounding, comparisons, ``lg.stop_gradient``) does not count as linear.
    mixing : dict
        State -> the states that its next value depends on -> "diagonal" if each unit depends on the same unit alone,
        "dense" if it may depend on any.

    Examples
    --------
    >>> import lstmgraph as lg
    >>> mixing(lg.cells.mgu)
    (False, {'h': {'h': 'dense'}})
    >>> mixing(lg.cells.min_gru)
    (True, {'h': {'h': 'diagonal'}})
    """
    graph = cell.graph
    found: dict[str, dict[str, str]] = {}
    linear = True
    above = ancestors(graph, keys_of(graph, "next"))
    for key in graph:
        node, sources = node_of(graph, key), operands(graph, key)
        if node.op == "state":
            found[key] = {node.name: DIAGONAL}
            continue
        below = [place for place, source in enumerate(sources) if found.get(source)]
        if not below or not is_row(node.shape):
            continue
        found[key] = {}
        for place in below:
            for state, how in found[sources[place]].items():
                dense = how == DENSE or not _unit_by_unit(cell, key, sources[place]) or found[key].get(state) == DENSE
                found[key][state] = DENSE if dense else DIAGONAL
        if key in above and node.op not in SINKS:
            linear = linear and _affine(cell, key, below)
    nexts = {node_of(graph, key).name: key for key in keys_of(graph, "next")}
    ordered = {
        state: {source: found[key][source] for source in cell.states if source in found.get(key, {})}
        for state, key in nexts.items()
    }
    return linear, {state: ordered[state] for state in cell.states}


def _unit_by_unit(cell: Cell, key: str, source: str) -> bool:
    """Whether each unit of a value reads the same unit of an operand."""
    node = node_of(cell.graph, key)
    pointwise = node.op in SINKS or op(node.op).kind == "pointwise"
    return pointwise and _width(cell, key) == _width(cell, source)


def _width(cell: Cell, key: str) -> Dim:
    return (features(node_of(cell.graph, key).shape) or (1,))[-1]


def _affine(cell: Cell, key: str, below: list[int]) -> bool:
    """Whether an op is affine in some of its operands together: its pullback to them reads none of them."""
    builder = Builder(simplify=True)
    node = node_of(cell.graph, key)
    leaves = []
    for place, source in enumerate(operands(cell.graph, key)):
        value = node_of(cell.graph, source)
        if value.op == "constant":
            leaves.append(builder.constant(value.attr("value")))
        else:
            leaves.append(builder.leaf("input" if is_row(value.shape) else "parameter", value.shape, name=str(place)))
    result = builder.add(node.op, *leaves, **dict(node.attrs))
    cotangent = builder.leaf("input", result.shape, name="cotangent")
    pulled = op(node.op).pullback(result, tuple(leaves), cotangent)
    moving = {leaves[place].key for place in below}
    known = [pulled[place] for place in below]
    return all(each is not None and not ancestors(builder.graph, [each.key]) & moving for each in known)
