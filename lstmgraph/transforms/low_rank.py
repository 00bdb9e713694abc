"""Recurrent matrices of low rank."""

from functools import partial

from lstmgraph.errors import GraphError
from lstmgraph.graph import Dim, Symbol, node_of, operands
from lstmgraph.traced import Cell
from lstmgraph.transforms._layers import Product
from lstmgraph.transforms._rewrite import Rewrite, check_plain


def low_rank(cell: Cell, rank: Dim = "R") -> Cell:
    """Return a cell whose recurrent matrices are products of two narrow ones (FastGRNN, Kusupati et al. 2018).

    ``h @ left @ right`` in place of ``h @ W_h``: 2 H R weights a matrix instead of H H.

    Parameters
    ----------
    cell : Cell
        Any cell with a matrix that reads a state.
    rank : int or str
        R; a symbol is bound by ``lg.compile(..., R=...)``.

    Returns
    -------
    Cell
        With ``LAYER.W_STATE.left`` [H, R] and ``LAYER.W_STATE.right`` [R, H] for each recurrent matrix; both start
        orthogonal.

    Raises
    ------
    GraphError
        For a rank that is none, a cell without a recurrent matrix, or a matrix that is an expression already.

    Examples
    --------
    >>> import lstmgraph as lg
    >>> list(lg.transforms.low_rank(lg.cells.rnn, 4).parameters)
    ['hidden.W_h.left', 'hidden.W_h.right', 'hidden.W_x', 'hidden.b']
    """
    rewrite = Rewrite(cell, "low_rank")
    if isinstance(rank, bool) or not isinstance(rank, int | str) or (isinstance(rank, int) and rank < 1):
        raise GraphError(f"{rewrite.where}: got rank {rank!r}, expected a positive integer or the name of a size")
    for product in rewrite.recurrent():
        check_plain(rewrite, product)
        rewrite.instead(product.key, partial(_twice, rewrite, product, rank))
    return rewrite.finish(f"with recurrent matrices of rank {rank} (Kusupati et al. 2018)")


def _twice(rewrite: Rewrite, product: Product, rank: Dim) -> Symbol:
    inputs, outputs = node_of(rewrite.cell.graph, operands(rewrite.cell.graph, product.key)[1]).shape
    left = rewrite.parameter(f"{product.weight}.left", (inputs, rank), "orthogonal")
    right = rewrite.parameter(f"{product.weight}.right", (rank, outputs), "orthogonal")
    return rewrite.build(product.source) @ left @ right
