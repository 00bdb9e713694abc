"""Recurrent matrices that are vectors: each unit sees itself alone."""

from functools import partial

from lstmgraph.errors import GraphError
from lstmgraph.graph import Symbol, features, node_of
from lstmgraph.traced import Cell
from lstmgraph.transforms._layers import Product, word
from lstmgraph.transforms._rewrite import Rewrite, check_plain


def diagonal(cell: Cell) -> Cell:
    """Return a cell whose recurrent matrices are vectors (IndRNN, Li et al. 2018; IndyLSTM, Gonnet & Deselaers 2019).

    ``u * h`` in place of ``h @ W_h``: the matrix is diagonal.

    Parameters
    ----------
    cell : Cell
        Any cell with a matrix that reads a state.

    Returns
    -------
    Cell
        With ``LAYER.u_STATE`` [H] for each recurrent matrix; it starts uniform in -1 to 1.

    Raises
    ------
    GraphError
        For a cell without a recurrent matrix, a layer of another size than the state, or a matrix that is an
        expression already.

    Examples
    --------
    >>> import lstmgraph as lg
    >>> list(lg.transforms.diagonal(lg.cells.rnn).parameters)
    ['hidden.u_h', 'hidden.W_x', 'hidden.b']
    """
    rewrite = Rewrite(cell, "diagonal")
    for product in rewrite.recurrent():
        check_plain(rewrite, product)
        got, wanted = (features(node_of(cell.graph, key).shape)[-1] for key in (product.key, product.source))
        if got != wanted:
            raise GraphError(
                f"{rewrite.where}: got the matrix {product.weight} of shape ({wanted}, {got}), expected a square one"
            )
        rewrite.instead(product.key, partial(_scaled, rewrite, product))
    return rewrite.finish("with diagonal recurrent matrices (Li et al. 2018)")


def _scaled(rewrite: Rewrite, product: Product) -> Symbol:
    value = rewrite.build(product.source)
    return rewrite.parameter(word("u", product.weight), value.shape[-1:], "uniform", -1.0, 1.0) * value
