"""States kept within limits."""

from collections.abc import Iterable
from functools import partial

from lstmgraph.errors import GraphError
from lstmgraph.graph import LEAVES, Symbol, node_of
from lstmgraph.plugins import op
from lstmgraph.traced import Cell
from lstmgraph.transforms._rewrite import Rewrite


def clip_states(
    cell: Cell, low: float, high: float | None = None, *, states: str | Iterable[str] | None = None
) -> Cell:
    """Return a cell whose new states lie within limits (Sak, Senior & Beaufays 2014 clip the cell state so).

    ``c' = min(max(new, low), high)``; what the step computes from the new value sees it clipped, as in cuDNN's cell
    clipping and TF's ``cell_clip``.

    Parameters
    ----------
    cell : Cell
        Any cell.
    low, high : float
        The limits; one number alone, above 0, is -low to low. Both infinite: the cell as it is.
    states : str or sequence of str, optional
        Which states; by default all.

    Returns
    -------
    Cell
        With the same parameters. Beyond the limits no gradient passes.

    Raises
    ------
    GraphError
        For limits that are none, or a state that the cell does not have.

    Examples
    --------
    >>> import lstmgraph as lg
    >>> lg.transforms.clip_states(lg.cells.lstm, 3.0, states="c").name
    'clip_states_lstm'
    """
    rewrite = Rewrite(cell, "clip_states")
    limits = (-low, low) if high is None and isinstance(low, int | float) else (low, high)
    if not all(isinstance(limit, int | float) for limit in limits) or not limits[0] < limits[1]:
        raise GraphError(
            f"{rewrite.where}: got limits {low!r} and {high!r}, expected a number above 0, or the lower one and "
            "the higher"
        )
    chosen = rewrite.chosen("state", states, cell.states)
    if limits == (-float("inf"), float("inf")):
        return cell
    for name in chosen:
        key = rewrite.source("next", name)
        if node_of(cell.graph, key).op not in LEAVES:
            rewrite.instead(key, partial(_clipped, rewrite, key, limits))
    for name in chosen:
        if node_of(cell.graph, rewrite.source("next", name)).op in LEAVES:
            rewrite.set_next(name, _within(rewrite.next(name), limits))
    said = f"with {' and '.join(chosen)} within {limits[0]:g} and {limits[1]:g}"
    return rewrite.finish(said if chosen else "")


def _clipped(rewrite: Rewrite, key: str, limits: tuple[float, float]) -> Symbol:
    return _within(rewrite.copy(key), limits)


def _within(value: Symbol, limits: tuple[float, float]) -> Symbol:
    return op("minimum")(op("maximum")(value, limits[0]), limits[1])
