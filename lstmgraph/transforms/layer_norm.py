"""Layer normalisation of a cell's layers."""

from collections.abc import Iterable
from functools import partial
from typing import Literal

from lstmgraph.errors import GraphError
from lstmgraph.graph import SINKS, Symbol, descendants, named, node_of
from lstmgraph.layers import layer_norm as normalised
from lstmgraph.traced import Cell
from lstmgraph.transforms._layers import Layer, sum_of, word
from lstmgraph.transforms._rewrite import Rewrite


def layer_norm(
    cell: Cell,
    layers: str | Iterable[str] | None = None,
    *,
    each: Literal["sum", "product"] = "sum",
    states: str | Iterable[str] = (),
    epsilon: float = 1e-5,
) -> Cell:
    """Return a cell with normalised layers (Ba, Kiros & Hinton 2016).

    ``gain * LN(h @ W_h + x @ W_x) + b`` (equation 4) or, for ``each="product"``, ``gain_h * LN(h @ W_h) +
    gain_x * LN(x @ W_x) + b`` (equation 20). The layer's own bias is the shift; a layer without one is given one.

    Parameters
    ----------
    cell : Cell
        Any cell.
    layers : str or sequence of str, optional
        Which layers; by default all.
    each : "sum" or "product"
        What is normalised.
    states : str or sequence of str
        States whose new value is read normalised too, as tanh of the cell state in equation 22; what is carried on
        stays as it is.
    epsilon : float
        Added to the variance.

    Returns
    -------
    Cell
        With gains ``LAYER.norm.gain``, or ``LAYER.norm_h.gain`` and so on for products (they start at 1), and
        ``STATE.norm.gain`` and ``STATE.norm.b`` for states.

    Raises
    ------
    GraphError
        For a layer or state that the cell does not have, a layer whose products are not summed by themselves, or a
        state whose new value nothing reads within the step.

    Examples
    --------
    >>> import lstmgraph as lg
    >>> cell = lg.transforms.layer_norm(lg.cells.lstm, "forget", each="product")
    >>> [name for name in cell.parameters if name.startswith("forget")]
    ['forget.W_h', 'forget.norm_h.gain', 'forget.W_x', 'forget.norm_x.gain', 'forget.b']
    """
    rewrite = Rewrite(cell, "layer_norm")
    if each not in ("sum", "product"):
        raise GraphError(f"{rewrite.where}: got each={each!r}, expected 'sum' or 'product'")
    chosen = rewrite.chosen("layer", layers, rewrite.layers)
    for name in chosen:
        _norm_layer(rewrite, rewrite.layers[name], each, epsilon)
    read = rewrite.chosen("state", states, cell.states)
    for name in read:
        _norm_state(rewrite, name, epsilon)
    said = ", ".join([*chosen, *(f"the {name} that is read" for name in read)])
    return rewrite.finish(f"with layer normalisation ({said}; Ba et al. 2016)" if said else "")


def _norm_layer(rewrite: Rewrite, layer: Layer, each: str, epsilon: float) -> None:
    graph = rewrite.cell.graph
    total = sum_of(rewrite.cell, layer.products)
    if not all(total in descendants(graph, [product.key]) for product in layer.products):
        raise GraphError(
            f"{rewrite.where}: got products of layer {layer.name!r} that are not summed by themselves, expected "
            f"{' + '.join(product.weight for product in layer.products)}; leave the layer out, or normalise it once"
        )
    norms: dict[str, str] = {}
    if each == "sum":
        norms[total] = f"{layer.name}.norm.gain"
    else:
        norms |= {product.key: f"{word('norm', product.weight)}.gain" for product in layer.products}
    shift = f"{layer.name}.b" if f"{layer.name}.b" not in named(graph, "parameter") else ""
    for key in dict.fromkeys([*norms, total]):
        rewrite.instead(key, partial(_normed, rewrite, key, norms.get(key, ""), shift if key == total else "", epsilon))


def _normed(rewrite: Rewrite, key: str, gain: str, shift: str, epsilon: float) -> Symbol:
    value = rewrite.copy(key)
    if gain:
        value = normalised(value, epsilon=epsilon) * rewrite.parameter(gain, value.shape[-1:], "constant", 1.0)
    return value + rewrite.parameter(shift, value.shape[-1:], "zeros") if shift else value


def _norm_state(rewrite: Rewrite, name: str, epsilon: float) -> None:
    graph, key = rewrite.cell.graph, rewrite.source("next", name)
    if all(node_of(graph, user).op in SINKS for user in graph.succ[key]):
        raise GraphError(
            f"{rewrite.where}: got state {name!r}, whose new value nothing reads within the step, expected one such as "
            "the cell state of an LSTM"
        )
    rewrite.instead(key, partial(_normed, rewrite, key, f"{name}.norm.gain", f"{name}.norm.b", epsilon))
    rewrite.set_next(name, rewrite.copy(key))
