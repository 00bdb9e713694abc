"""Multiplicative recurrence: layers read a product of input and state in place of the state."""

from lstmgraph.errors import GraphError
from lstmgraph.graph import features
from lstmgraph.layers import linear
from lstmgraph.traced import Cell
from lstmgraph.transforms._rewrite import Rewrite, only


def multiplicative(cell: Cell, state: str | None = None) -> Cell:
    """Return a cell whose recurrent weights depend on its input (Krause, Lu, Murray & Renals 2016).

    Layers read ``m = (x @ W_x) * (h @ W_h)`` in place of h (their equation 18).

    Parameters
    ----------
    cell : Cell
        Any cell with an input of numbers and a matrix that reads a state.
    state : str, optional
        The state; by default the one that matrices read.

    Returns
    -------
    Cell
        With ``multiplier_x.W_x`` and ``multiplier_h.W_h``; the other weights keep their names.

    Raises
    ------
    GraphError
        For a state that no matrix reads, several states that matrices read where none is named, or an index as input.

    Examples
    --------
    >>> import lstmgraph as lg
    >>> list(lg.transforms.multiplicative(lg.cells.rnn).parameters)
    ['multiplier_x.W_x', 'multiplier_h.W_h', 'hidden.W_h', 'hidden.W_x', 'hidden.b']
    """
    rewrite = Rewrite(cell, "multiplicative")
    read = dict.fromkeys(name for product in rewrite.products for name in rewrite.reads(product))
    if state is None:
        none = "give the cell a layer that reads a state, as lg.linear(h, x) does"
        state = only(rewrite, "a state that matrices read", read, none=none, several="name it with state=")
    elif rewrite.find("state", state, cell.states) not in read:
        raise GraphError(
            f"{rewrite.where}: got state {state!r}, which no matrix reads, expected one of {', '.join(read) or 'none'}"
        )
    x, h = rewrite.build(rewrite.leaf("input", cell.inputs[0])), rewrite.state(state)
    if not features(x.shape):
        raise GraphError(
            f"{rewrite.where}: got an index as input {cell.inputs[0]!r}, expected numbers; embed it before"
        )
    size = features(h.shape)[-1]
    with rewrite.writing():
        factor = linear(x, name=rewrite.layer_name(f"multiplier_{cell.inputs[0]}"), size=size, bias=False)
        m = factor * linear(h, name=rewrite.layer_name(f"multiplier_{state}"), size=size, bias=False)
    rewrite.let_read("state", {state: m})
    return rewrite.finish(f"with multiplicative recurrence in {state} (Krause et al. 2016)")
