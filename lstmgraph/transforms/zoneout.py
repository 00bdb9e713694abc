"""Zoneout: units that keep their value of the step before, at random."""

from lstmgraph.masks import as_rate
from lstmgraph.traced import Cell
from lstmgraph.transforms._rewrite import Rewrite


def zoneout(cell: Cell, **rates: float) -> Cell:
    """Return a cell in which each unit of a state keeps its old value with a probability (Krueger et al. 2017).

    ``h' = u * new + (1 - u) * h`` with u = 0 at the rate, else 1 (equation 2 of the paper); in evaluation u is its
    mean. What the step computes from the new value of a state sees it as it was computed, as in the paper.

    Parameters
    ----------
    cell : Cell
        Any cell.
    **rates : float
        State -> probability, 0 to less than 1; states not named never keep.

    Returns
    -------
    Cell
        With a mask ``STATE.update`` for each state named.

    Raises
    ------
    GraphError
        For a state that the cell does not have, or a rate out of range.

    Examples
    --------
    >>> import lstmgraph as lg
    >>> list(lg.transforms.zoneout(lg.cells.lstm, h=0.05, c=0.5).masks)
    ['h.update', 'c.update']
    """
    rewrite = Rewrite(cell, "zoneout")
    shares = {}
    for name, rate in rates.items():
        state = rewrite.state(name)
        shares[name] = as_rate(rate, f"{rewrite.where}: {name}")
        if shares[name]:
            updates = rewrite.mask(state.shape, f"{name}.update", shares[name])
            new = rewrite.next(name)
            rewrite.set_next(name, updates * new + (1 - updates) * state)
    said = ", ".join(f"{name} {rates[name]:g}" for name, share in shares.items() if share)
    return rewrite.finish(f"with zoneout ({said}; Krueger et al. 2017)" if said else "")
