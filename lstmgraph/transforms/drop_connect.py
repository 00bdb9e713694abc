"""DropConnect: recurrent weights that are dropped at random."""

from lstmgraph.graph import Symbol, operands
from lstmgraph.masks import as_rate
from lstmgraph.traced import Cell
from lstmgraph.transforms._layers import matrix_name
from lstmgraph.transforms._rewrite import Rewrite


def drop_connect(cell: Cell, rate: float) -> Cell:
    """Return a cell whose recurrent matrices lose weights at random (Wan et al. 2013; Merity et al. 2018).

    ``h @ (W_h * m)`` with m = 0 at the rate, else 1 / (1 - rate); one mask a matrix, the same for all steps and rows
    of a call: the weight-dropped LSTM of Merity et al. In evaluation m is its mean, 1.

    Parameters
    ----------
    cell : Cell
        Any cell with a matrix that reads a state.
    rate : float
        0 to less than 1.

    Returns
    -------
    Cell
        With a mask ``LAYER.W_STATE.keep`` for each recurrent matrix, of its shape.

    Raises
    ------
    GraphError
        For another rate, or a cell without a recurrent matrix.

    Examples
    --------
    >>> import lstmgraph as lg
    >>> list(lg.transforms.drop_connect(lg.cells.gru, 0.5).masks)
    ['reset.W_h.keep', 'update.W_h.keep', 'candidate_h.W_h.keep']
    """
    rewrite = Rewrite(cell, "drop_connect")
    share = as_rate(rate, rewrite.where)
    found = rewrite.recurrent()
    if not share:
        return cell

    for step in [step for product in found for step in product.steps]:

        def dropped(step: str = step) -> Symbol:
            matrix = operands(cell.graph, step)[1]
            weights = rewrite.build(matrix)
            name = f"{matrix_name(cell, matrix)}.keep"
            return rewrite.copy(step, {matrix: weights * rewrite.mask(weights.shape, name, share, 1 / (1 - share))})

        rewrite.instead(step, dropped)
    return rewrite.finish(f"with dropped recurrent weights ({rate:g}; Wan et al. 2013, Merity et al. 2018)")
