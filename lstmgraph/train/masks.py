"""Dropout: random masks as inputs of a network, drawn for each training step and gone for evaluation."""

import numbers
from collections.abc import Mapping
from functools import cache
from typing import Any

import numpy as np

from lstmgraph.errors import GraphError
from lstmgraph.graph import Builder, Dim, Symbol, features, lead, named, operands, rebuild, resize
from lstmgraph.trace import active
from lstmgraph.traced import Traced

_ATTRIBUTE = "dropout"
_STEPS = 256  # a mask is drawn from one random byte an element


def dropout(value: Symbol, rate: float, *, name: str) -> Symbol:
    """Return a value of which each element is 0 with probability `rate`, else scaled by 1 / (1 - rate).

    In training only (Srivastava et al. 2014): ``Model.evaluate`` and ``predict`` take the value as it is. The mask
    is an input ``name.keep`` of the network, so that every pass reads the same one; ``Model`` draws it from its
    seed and the number of the step.

    Parameters
    ----------
    value : Symbol
        A sequence, inside a function under ``@lg.network``.
    rate : float
        0 to less than 1, rounded to 1/256.
    name : str
        Prefix of the mask's name.

    Raises
    ------
    GraphError
        For another rate, a name taken, or inside a cell.
    """
    builder = active("dropout")
    where = f"dropout {name!r}"
    if not isinstance(rate, numbers.Real) or isinstance(rate, bool) or not 0 <= rate < 1:
        raise GraphError(f"{where}: got rate {rate!r}, expected a number from 0 to less than 1")
    if lead(value.shape) != ("T", "B"):
        raise GraphError(f"{where}: got a value of one step, expected a sequence; use it in a network, not in a cell")
    if f"{name}.keep" in named(builder.graph, "input"):
        raise GraphError(f"{where}: the name is taken; give each dropout its own")
    share = min(round(float(rate) * _STEPS), _STEPS - 1) / _STEPS
    if share == 0:
        return value
    attrs: dict[str, Any] = {"name": f"{name}.keep", _ATTRIBUTE: share}
    return builder.add("mul", value, builder.leaf("input", value.shape, **attrs))


def mask_names(network: Traced) -> tuple[str, ...]:
    """Return the names of a network's masks."""
    return tuple(name for name in network.inputs if network.leaves[f"input:{name}"].attr(_ATTRIBUTE))


@cache
def without_masks(network: Any) -> Any:
    """Return the network for evaluation: what was multiplied by a mask stands for the product."""
    masks = {named(network.graph, "input")[name] for name in mask_names(network)}
    if not masks:
        return network
    builder = Builder()
    made: dict[str, Symbol] = {}
    for key, node in network.graph.nodes(data="node"):
        if key in masks:
            continue
        sources = operands(network.graph, key)
        if node.op == "mul" and sources[1] in masks:
            made[key] = made[sources[0]]
        else:
            made |= {key: rebuild(network.graph, builder, keep=[key], replace=made)[key]}
    labels = network.graph.graph["labels"]
    builder.graph.graph["labels"] = {label: made[key].key for label, key in labels.items()}
    return type(network)(builder.freeze(network.name), network.returns, network.__doc__ or "")


def draw(network: Traced, sizes: Mapping[Dim, Dim], shape: tuple[int, int], seed: int, step: int, dtype: str) -> Any:
    """Return the masks of a training step by name, [T, B, n]: the same for the same seed, step and name."""
    found = {}
    for name in mask_names(network):
        node = network.leaves[f"input:{name}"]
        share = float(node.attr(_ATTRIBUTE))
        stream = np.random.default_rng([seed, step, *name.encode()])
        full = (*shape, *(int(resize(dim, sizes)) for dim in features(node.shape)))
        drawn = stream.integers(0, _STEPS, full, dtype=np.uint8) >= round(share * _STEPS)
        found[name] = np.multiply(drawn, np.asarray(1 / (1 - share), dtype), dtype=dtype)
    return found
