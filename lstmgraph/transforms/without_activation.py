"""Activations left out: layers and states that go on as they are."""

from functools import partial

from lstmgraph.errors import GraphError
from lstmgraph.graph import Symbol, operands
from lstmgraph.traced import Cell
from lstmgraph.transforms._layers import is_function
from lstmgraph.transforms._rewrite import Rewrite


def without_activation(cell: Cell, *names: str) -> Cell:
    """Return a cell without some of its activations (NIAF and NOAF of Greff et al. 2015).

    Parameters
    ----------
    cell : Cell
        Any cell.
    *names : str
        Layers, whose activation is left out (NIAF: "candidate"), or states, of whose next value the function is left
        out through which the step reads it (NOAF: "c", for ``tanh(c)``).

    Returns
    -------
    Cell
        The same parameters.

    Raises
    ------
    GraphError
        For a name that is neither layer nor state of the cell, or one that goes through no activation.

    Examples
    --------
    >>> import lstmgraph as lg
    >>> cell = lg.transforms.without_activation(lg.cells.lstm, "candidate", "c")
    >>> "tanh" in [node.op for _, node in cell.graph.nodes(data="node")]
    False
    """
    rewrite = Rewrite(cell, "without_activation")
    for name in names:
        rewrite.find("layer or state", name, [*rewrite.layers, *cell.states])
        found = _activation(rewrite, name)
        if not found:
            raise GraphError(
                f"{rewrite.where}: got {name!r}, which goes through no activation of its own, expected a layer or "
                "state that does"
            )
        rewrite.instead(found, partial(_argument, rewrite, found))
    said = " and ".join(names)
    return rewrite.finish(f"without the activation of {said} (Greff et al. 2015)" if said else "")


def _activation(rewrite: Rewrite, name: str) -> str:
    """Return the key of an activation, or ""."""
    if name in rewrite.layers:
        layer = rewrite.layers[name]
        return layer.value if layer.value != layer.total else ""
    readers = rewrite.cell.graph.succ[rewrite.source("next", name)]
    found = [key for key in readers if is_function(rewrite.cell, key)]
    return found[0] if len(found) == 1 else ""


def _argument(rewrite: Rewrite, key: str) -> Symbol:
    return rewrite.build(operands(rewrite.cell.graph, key)[0])
