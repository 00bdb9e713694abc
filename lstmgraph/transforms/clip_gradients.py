"""Gradients clipped inside the recursion."""

from collections.abc import Iterable
from functools import partial

from lstmgraph.errors import GraphError
from lstmgraph.graph import Symbol
from lstmgraph.traced import Cell
from lstmgraph.transforms._rewrite import Rewrite


def clip_gradients(cell: Cell, limit: float, layers: str | Iterable[str] | None = None) -> Cell:
    """Return a cell whose gradient is clipped at each step, before its layers' activations (Graves 2013, section 2).

    The loss's derivative by each layer's sum is brought within -limit to limit on its way back through time: what is
    propagated to the weights, the input and the step before comes from the clipped one. Forward nothing changes.

    Parameters
    ----------
    cell : Cell
        Any cell.
    limit : float
        Above 0; Graves has 1 to 10 for LSTM layers. Infinity is the cell as it is. The scale is that of the loss:
        a mean over rows has smaller derivatives than a sum.
    layers : str or sequence of str, optional
        Which layers; by default all.

    Returns
    -------
    Cell
        With the same values and another gradient, which is no derivative any more: differences do not show it.

    Raises
    ------
    GraphError
        For a limit that is none, or a layer that the cell does not have.

    Examples
    --------
    >>> import lstmgraph as lg
    >>> lg.transforms.clip_gradients(lg.cells.lstm, 1.0).name
    'clip_gradients_lstm'
    """
    rewrite = Rewrite(cell, "clip_gradients")
    if isinstance(limit, bool) or not isinstance(limit, int | float) or not limit > 0:
        raise GraphError(f"{rewrite.where}: got limit {limit!r}, expected a number above 0")
    chosen = rewrite.chosen("layer", layers, rewrite.layers)
    if limit == float("inf"):
        return cell
    for name in chosen:
        total = rewrite.layers[name].total
        rewrite.instead(total, partial(_clipped, rewrite, total, float(limit)))
    said = f"with gradients within {limit:g} in {', '.join(chosen)} (Graves 2013)"
    return rewrite.finish(said if chosen else "")


def _clipped(rewrite: Rewrite, key: str, limit: float) -> Symbol:
    return rewrite.builder.add("clip_gradient", rewrite.copy(key), limit=limit)
