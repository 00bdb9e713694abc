"""Dropout of what a cell's matrices read: of its previous states, of its inputs."""

from collections.abc import Iterable
from typing import Literal

from lstmgraph.errors import GraphError
from lstmgraph.masks import Per, as_rate
from lstmgraph.traced import Cell
from lstmgraph.transforms._rewrite import Rewrite


def recurrent_dropout(
    cell: Cell, rate: float, *, per: Per = "sequence", states: str | Iterable[str] | None = None
) -> Cell:
    """Return a cell whose matrices read the previous states through a mask (Gal & Ghahramani 2016).

    ``(h * z) @ W_h`` with z = 0 at the rate, else 1 / (1 - rate): one mask a state, which all layers share. The state
    itself is carried on, and multiplied into gates, as it is. In evaluation z is its mean, 1.

    Parameters
    ----------
    cell : Cell
        Any cell with a matrix that reads a state.
    rate : float
        0 to less than 1.
    per : "sequence" or "step"
        Whether the mask is held over all steps, as in the paper, or drawn for each.
    states : str or sequence of str, optional
        Which states; by default all that a matrix reads.

    Returns
    -------
    Cell
        With a mask ``STATE.keep`` for each of the states.

    Raises
    ------
    GraphError
        For another rate or `per`, a state that the cell does not have, or that no matrix reads.

    Examples
    --------
    >>> import lstmgraph as lg
    >>> list(lg.transforms.recurrent_dropout(lg.cells.lstm, 0.25).masks)
    ['h.keep']
    """
    return _dropped(cell, "recurrent_dropout", "state", rate, per, states)


def input_dropout(cell: Cell, rate: float, *, per: Per = "sequence", inputs: str | Iterable[str] | None = None) -> Cell:
    """Return a cell whose matrices read the inputs through a mask (Gal & Ghahramani 2016).

    ``(x * z) @ W_x`` with z = 0 at the rate, else 1 / (1 - rate): one mask an input, which all layers share. What
    else reads the input sees it as it is. In evaluation z is its mean, 1.

    Parameters
    ----------
    cell : Cell
        Any cell with a matrix that reads an input.
    rate : float
        0 to less than 1.
    per : "sequence" or "step"
        Whether the mask is held over all steps, as in the paper, or drawn for each.
    inputs : str or sequence of str, optional
        Which inputs; by default all that a matrix reads.

    Returns
    -------
    Cell
        With a mask ``INPUT.keep`` for each of the inputs.

    Raises
    ------
    GraphError
        For another rate or `per`, an input that the cell does not have, or that no matrix reads.

    Examples
    --------
    >>> import lstmgraph as lg
    >>> list(lg.transforms.input_dropout(lg.cells.lstm, 0.25).masks)
    ['x.keep']
    """
    return _dropped(cell, "input_dropout", "input", rate, per, inputs)


def _dropped(
    cell: Cell,
    modifier: str,
    kind: Literal["state", "input"],
    rate: float,
    per: Per,
    names: str | Iterable[str] | None,
) -> Cell:
    rewrite = Rewrite(cell, modifier)
    share = as_rate(rate, rewrite.where)
    known = cell.states if kind == "state" else cell.inputs
    read = {product: rewrite.reads(product, kind) for product in rewrite.products}
    seen = [name for name in known if any(name in found for found in read.values())]
    chosen = rewrite.chosen(kind, names, known) if names is not None else seen
    a = "a" if kind == "state" else "an"
    for name in chosen if seen else [f"{a} {kind}"]:
        if name not in seen:
            raise GraphError(
                f"{rewrite.where}: got no matrix that reads {name}, expected "
                + (f"one of {', '.join(seen)}" if seen else f"a layer with {a} {kind} among its sources")
            )
    if not share or not chosen:
        return cell
    masked = {}
    for name in chosen:
        value = rewrite.build(rewrite.leaf(kind, name))
        masked[name] = value * rewrite.mask(value.shape, f"{name}.keep", share, 1 / (1 - share), per)
    rewrite.let_read(kind, masked)
    said = f"with {kind} dropout ({', '.join(chosen)} {rate:g} per {per}; Gal & Ghahramani 2016)"
    return rewrite.finish(said)
