"""Residual output: the cell's output plus its input."""

from lstmgraph.traced import Cell
from lstmgraph.transforms._rewrite import Rewrite
from lstmgraph.transforms._shortcut import UNFIT, shortcut


def residual(cell: Cell, output: str | None = None, *, project: bool = False) -> Cell:
    """Return a cell whose output is ``output + x`` (He et al. 2016; between recurrent layers: Wu et al. 2016).

    The states are carried on as they are. The output has the size of the input: I == H, unless the input is projected.

    Parameters
    ----------
    cell : Cell
        Any cell with an input of numbers, its first one.
    output : str, optional
        Which output; by default the only one.
    project : bool
        Whether the input goes through a matrix ``shortcut.W_x`` [I, H]: ``output + x @ W_x``.

    Returns
    -------
    Cell
        With one output more than its states.

    Raises
    ------
    GraphError
        For an output that the cell does not have, several where none is named, or an index as input.
    ShapeError
        When sizes are bound, if I != H and the input is not projected.

    Examples
    --------
    >>> import lstmgraph as lg
    >>> list(lg.transforms.residual(lg.cells.rnn, project=True).parameters)
    ['hidden.W_h', 'hidden.W_x', 'hidden.b', 'shortcut.W_x']
    """
    rewrite = Rewrite(cell, "residual")
    name, old, x = shortcut(rewrite, output, project)
    total = old + x
    rewrite.hint(total, UNFIT)
    rewrite.set_output(name, total)
    return rewrite.finish(f"with {cell.inputs[0]} added to the output (He et al. 2016)")
