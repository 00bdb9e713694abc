"""Weight normalisation: the length of a unit's weights apart from their direction."""

from collections.abc import Iterable
from functools import partial

from lstmgraph.graph import Symbol, named, operands
from lstmgraph.plugins import op
from lstmgraph.traced import Cell
from lstmgraph.transforms._layers import matrix_name
from lstmgraph.transforms._rewrite import Rewrite


def weight_norm(cell: Cell, layers: str | Iterable[str] | None = None) -> Cell:
    """Return a cell with normalised weights (Salimans & Kingma 2016, equation 2).

    ``W = gain * V / ||V||``: the weights of each output unit (a column of W) have the length of its gain.

    Parameters
    ----------
    cell : Cell
        Any cell.
    layers : str or sequence of str, optional
        Which layers; by default all.

    Returns
    -------
    Cell
        With ``LAYER.W_SOURCE.gain`` for each matrix, one number a unit, which starts at 1; the matrix itself, V,
        keeps its name.

    Raises
    ------
    GraphError
        For a layer that the cell does not have, or a matrix that is normalised already.

    Examples
    --------
    >>> import lstmgraph as lg
    >>> list(lg.transforms.weight_norm(lg.cells.rnn).parameters)
    ['hidden.W_h', 'hidden.W_h.gain', 'hidden.W_x', 'hidden.W_x.gain', 'hidden.b']
    """
    rewrite = Rewrite(cell, "weight_norm")
    chosen = rewrite.chosen("layer", layers, rewrite.layers)
    for step in [step for name in chosen for product in rewrite.layers[name].products for step in product.steps]:
        name = matrix_name(cell, operands(cell.graph, step)[1])
        key = named(cell.graph, "parameter")[name]
        rewrite.instead(key, partial(_normed, rewrite, key, f"{name}.gain"))
    return rewrite.finish(f"with normalised weights ({', '.join(chosen)}; Salimans & Kingma 2016)" if chosen else "")


def _normed(rewrite: Rewrite, key: str, gain: str) -> Symbol:
    matrix = rewrite.copy(key)
    length = op("sqrt")(rewrite.builder.add("sum_to", matrix * matrix, target=matrix.shape[1:]))
    return matrix * (rewrite.parameter(gain, matrix.shape[1:], "constant", 1.0) / length)
