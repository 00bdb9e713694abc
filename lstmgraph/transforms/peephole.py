"""Peepholes: gates that see the cell state."""

from collections.abc import Iterable
from functools import partial

from lstmgraph.errors import GraphError
from lstmgraph.graph import Symbol, ancestors, features, node_of
from lstmgraph.traced import Cell
from lstmgraph.transforms._layers import Layer
from lstmgraph.transforms._rewrite import Rewrite, only


def peephole(cell: Cell, state: str | None = None, layers: str | Iterable[str] | None = None) -> Cell:
    """Return a cell whose gates see its cell state through vectors (Gers, Schraudolph & Schmidhuber 2002).

    ``sigmoid(h @ W_h + x @ W_x + b + p * c)``, where c is the state before the step for gates that its next value is
    computed from (input and forget gate), and the next value for the others (the output gate).

    Parameters
    ----------
    cell : Cell
        Any cell with gates and a cell state.
    state : str, optional
        The state that is seen; by default the one that no matrix reads.
    layers : str or sequence of str, optional
        Which layers see it; by default all gates (layers through a sigmoid).

    Returns
    -------
    Cell
        With a vector ``GATE.peephole`` for each gate; it starts at 0.

    Raises
    ------
    GraphError
        For a cell without a cell state or with several, and for a layer of another size than the state.

    Examples
    --------
    >>> import lstmgraph as lg
    >>> [name for name in lg.transforms.peephole(lg.cells.lstm).parameters if name.endswith("peephole")]
    ['forget.peephole', 'input.peephole', 'output.peephole']
    """
    rewrite = Rewrite(cell, "peephole")
    if state is None:
        read = {name for product in rewrite.products for name in rewrite.reads(product)}
        state = only(
            rewrite,
            "a cell state, one that no matrix reads",
            [name for name in cell.states if name not in read],
            none=f"name one of its states, {', '.join(cell.states) or 'none'}, with state=",
            several="name it with state=",
        )
    before = rewrite.state(state)
    chosen = rewrite.chosen("layer", layers, rewrite.layers if layers is not None else rewrite.gates)
    first = ancestors(cell.graph, [rewrite.source("next", state)])
    for name in chosen:
        layer = rewrite.layers[name]
        size, wanted = features(node_of(cell.graph, layer.total).shape), features(before.shape)
        if size != wanted:
            raise GraphError(
                f"{rewrite.where}: got layer {name!r} of size {size[-1]}, expected {wanted[-1]} as state {state!r} "
                "has; name other layers with layers="
            )
        rewrite.instead(layer.total, partial(_peeped, rewrite, layer, state, layer.total in first))
    return rewrite.finish(f"with peepholes ({state} to {', '.join(chosen)}; Gers et al. 2002)" if chosen else "")


def _peeped(rewrite: Rewrite, layer: Layer, state: str, before: bool) -> Symbol:
    total = rewrite.copy(layer.total)
    seen = rewrite.state(state) if before else rewrite.build(rewrite.source("next", state))
    return total + rewrite.parameter(f"{layer.name}.peephole", seen.shape[-1:], "zeros") * seen
