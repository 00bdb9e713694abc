"""Highway output: the cell's output or its input, as a gate says."""

from lstmgraph.layers import sigmoid_layer
from lstmgraph.traced import Cell
from lstmgraph.transforms._rewrite import Rewrite
from lstmgraph.transforms._shortcut import UNFIT, shortcut


def highway(cell: Cell, output: str | None = None, *, project: bool = False) -> Cell:
    """Return a cell whose output is ``T * output + (1 - T) * x`` (Srivastava, Greff & Schmidhuber 2015, equation 3).

    T = sigmoid(x @ W_x + b); b starts at -1, so that the input passes at first. The states are carried on as they
    are. The output has the size of the input: I == H, unless the input is projected.

    Parameters
    ----------
    cell : Cell
        Any cell with an input of numbers, its first one.
    output : str, optional
        Which output; by default the only one.
    project : bool
        Whether the input that passes goes through a matrix ``shortcut.W_x`` [I, H].

    Returns
    -------
    Cell
        With one output more than its states, and the gate ``transform``.

    Raises
    ------
    GraphError
        For an output that the cell does not have, several where none is named, or an index as input.
    ShapeError
        When sizes are bound, if I != H and the input is not projected.

    Examples
    --------
    >>> import lstmgraph as lg
    >>> list(lg.transforms.highway(lg.cells.rnn).parameters)
    ['hidden.W_h', 'hidden.W_x', 'hidden.b', 'transform.W_x', 'transform.b']
    """
    rewrite = Rewrite(cell, "highway")
    name, old, x = shortcut(rewrite, output, project)
    given = rewrite.build(rewrite.leaf("input", cell.inputs[0]))
    with rewrite.writing():
        carry = sigmoid_layer(given, name=rewrite.layer_name("transform"), size=old.shape[-1], init={"b": -1.0})
    passed = (1 - carry) * x
    rewrite.hint(passed, UNFIT)
    rewrite.set_output(name, carry * old + passed)
    return rewrite.finish(f"with a highway from {cell.inputs[0]} to the output (Srivastava et al. 2015)")
