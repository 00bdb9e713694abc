"""Projection: a state that is carried on through a matrix, at another size."""

from functools import partial

from lstmgraph.errors import GraphError
from lstmgraph.graph import SINKS, Dim, Node, Shape, Symbol, ancestors, features, is_row, lead, named, node_of, operands
from lstmgraph.layers import linear
from lstmgraph.plugins import op
from lstmgraph.traced import Cell
from lstmgraph.transforms._rewrite import Rewrite, only


def projection(cell: Cell, state: str | None = None, size: Dim = "P", *, name: str = "projection") -> Cell:
    """Return a cell one state of which is projected to another size (LSTMP, Sak, Senior & Beaufays 2014).

    ``h' = new @ W`` (their equation 6, the recurrent projection): fewer weights where the state is read. The output
    follows if it was the state.

    Parameters
    ----------
    cell : Cell
        Any cell with a state that only matrices read.
    state : str, optional
        The state; by default the one that only matrices read.
    size : int or str
        Its new size; a symbol is bound by ``lg.compile(..., P=...)``.
    name : str
        The name of the layer.

    Returns
    -------
    Cell
        With ``projection.W`` [H, P]; weights that read the state are [P, H].

    Raises
    ------
    GraphError
        For a state that is read by more than matrices, as the h of a GRU, or a cell without one that is not.

    Examples
    --------
    >>> import lstmgraph as lg
    >>> cell = lg.transforms.projection(lg.cells.lstm)
    >>> cell.digest == lg.cells.projected_lstm.digest
    True
    """
    rewrite = Rewrite(cell, "projection")
    if state is None:
        state = only(
            rewrite,
            "a state that only matrices read",
            [each for each in cell.states if not _others(cell, each)[1]],
            none="a state that is kept in part has one size before and after",
            several="name it with state=",
        )
    leaf = rewrite.leaf("state", state)
    carried, others = _others(cell, state)
    if others:
        raise GraphError(
            f"{rewrite.where}: got state {state!r}, which is read pointwise too ({', '.join(others)}), expected "
            "one that only matrices read; project another state, or before other modifiers"
        )
    old, new = features(node_of(cell.graph, leaf).shape), (size,)
    for key in carried:
        node = node_of(cell.graph, key)
        if node.op in ("state", "input"):
            rewrite.instead(key, partial(_resized, rewrite, node, (*lead(node.shape), *new)))
        elif op(node.op).kind == "matmul":
            for each in ancestors(cell.graph, [operands(cell.graph, key)[1]]):
                matrix = node_of(cell.graph, each)
                if len(matrix.shape) == 2 and matrix.op == "parameter" and matrix.shape[:1] == old:
                    rewrite.instead(each, partial(_resized, rewrite, matrix, (*new, *matrix.shape[1:])))
    start = named(cell.graph, "parameter").get(node_of(cell.graph, leaf).attr("initial"))
    if start:
        rewrite.instead(start, partial(_resized, rewrite, node_of(cell.graph, start), new))
    value = rewrite.next(state)
    with rewrite.writing():
        rewrite.set_next(state, linear(value, name=rewrite.layer_name(name), size=size, bias=False))
    return rewrite.finish(f"with {state} projected to size {size} (Sak et al. 2014)", "projected")


def _resized(rewrite: Rewrite, node: Node, shape: Shape) -> Symbol:
    return rewrite.builder.leaf(node.op, shape, **dict(node.attrs))


def _others(cell: Cell, state: str) -> tuple[list[str], list[str]]:
    """Return the keys that a state goes through up to matrices, masks on the way too, and ops that it must not meet."""
    graph = cell.graph
    leaf = named(graph, "state")[state]
    carried, others, stack = [leaf], [], [leaf]
    while stack:
        for user in graph.succ[stack.pop()]:
            node = node_of(graph, user)
            rows = [
                each for each in operands(graph, user) if is_row(node_of(graph, each).shape) and each not in carried
            ]
            masks = all(node_of(graph, each).attr("mask") for each in rows)
            if user in carried:
                continue
            if node.op in SINKS or op(node.op).kind not in ("matmul", "pointwise") or node.attr("target") or not masks:
                others.append(node.op)
                continue
            carried += [*rows, user]
            if op(node.op).kind == "pointwise":
                stack.append(user)
    return carried, sorted(set(others))
