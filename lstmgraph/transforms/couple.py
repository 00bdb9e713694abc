"""Coupled gates: one gate is one minus another."""

from functools import partial

from lstmgraph.errors import GraphError
from lstmgraph.graph import Symbol, ancestors, node_of
from lstmgraph.traced import Cell
from lstmgraph.transforms._rewrite import Rewrite


def couple(cell: Cell, **gates: str) -> Cell:
    """Return a cell in which gates are one minus other gates (Greff et al. 2015, CIFG).

    ``couple(lstm, input="forget")`` writes what it forgets: ``i = 1 - f``. The gate's own layer is gone.

    Parameters
    ----------
    cell : Cell
        Any cell with gates.
    **gates : str
        Gate -> the gate that it is one minus.

    Returns
    -------
    Cell
        Without the parameters of the gates named.

    Raises
    ------
    GraphError
        For a gate that the cell does not have, of another size, or that the other one is computed from.

    Examples
    --------
    >>> import lstmgraph as lg
    >>> cell = lg.transforms.couple(lg.cells.lstm, input="forget")
    >>> cell.digest == lg.cells.coupled_lstm.digest
    True
    """
    rewrite = Rewrite(cell, "couple")
    for name, other in gates.items():
        gate, leader = (rewrite.gates[rewrite.find("gate", each, rewrite.gates)] for each in (name, other))
        shapes = [node_of(cell.graph, each.value).shape for each in (gate, leader)]
        if name == other or gate.value in ancestors(cell.graph, [leader.value]) or other in gates:
            raise GraphError(
                f"{rewrite.where}: got {name}={other!r}, which is computed from {name!r}, expected a gate that is not"
            )
        if shapes[0] != shapes[1]:
            raise GraphError(
                f"{rewrite.where}: got {name}={other!r} of size {shapes[1][-1]}, expected {shapes[0][-1]} as {name!r} "
                "has; couple gates of one size"
            )
        rewrite.instead(gate.value, partial(_one_minus, rewrite, leader.value))
    said = ", ".join(f"{name} = 1 - {other}" for name, other in gates.items())
    return rewrite.finish(f"with coupled gates ({said}; Greff et al. 2015)" if said else "", "coupled")


def _one_minus(rewrite: Rewrite, key: str) -> Symbol:
    return 1 - rewrite.build(key)
