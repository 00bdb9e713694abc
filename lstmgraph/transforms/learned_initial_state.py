"""Initial states that are learned."""

from functools import partial

from lstmgraph.graph import Symbol, features, node_of
from lstmgraph.traced import Cell
from lstmgraph.transforms._rewrite import Rewrite


def learned_initial_state(cell: Cell, *states: str) -> Cell:
    """Return a cell some states of which start at a learned value, the same for all rows.

    A state given in the call counts before it, and a reset goes back to it. A cell inlined in another one starts
    where that one says.

    Parameters
    ----------
    cell : Cell
        Any cell.
    *states : str
        Which states; all if none is named.

    Returns
    -------
    Cell
        With a vector ``STATE.initial`` for each; it starts at 0.

    Raises
    ------
    GraphError
        For a state that the cell does not have, or one that is learned already.

    Examples
    --------
    >>> import lstmgraph as lg
    >>> cell = lg.transforms.learned_initial_state(lg.cells.lstm)
    >>> [name for name in cell.parameters if name.endswith("initial")]
    ['h.initial', 'c.initial']
    """
    rewrite = Rewrite(cell, "learned_initial_state")
    chosen = rewrite.chosen("state", states or None, cell.states)
    for name in chosen:
        rewrite.instead(rewrite.leaf("state", name), partial(_learned, rewrite, rewrite.leaf("state", name)))
    return rewrite.finish(f"with {' and '.join(chosen)} starting at learned values" if chosen else "")


def _learned(rewrite: Rewrite, key: str) -> Symbol:
    node = node_of(rewrite.cell.graph, key)
    rewrite.parameter(f"{node.name}.initial", features(node.shape), "zeros")
    attrs = dict(node.attrs) | {"initial": f"{node.name}.initial"}
    return rewrite.builder.leaf("state", node.shape, **attrs)
