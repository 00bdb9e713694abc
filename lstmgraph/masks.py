"""Random masks as leaves of a graph: declared while it is traced, fed in training, gone for evaluation.

A mask is an input (one value a row and unit) or, where weights are dropped, of a parameter's shape. Its leaf carries
``mask=(rate, scale, per)``: an element is 0 with probability `rate`, else `scale`. Every pass reads the same array, so
forward and backward pass, second order and the NumPy meaning cannot disagree. Without masks a program runs the
evaluation graph, in which each mask stands for its mean.
"""

import hashlib
import numbers
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Literal

import numpy as np

from lstmgraph.errors import CompileError, GraphError
from lstmgraph.graph import (
    LEAVES,
    SINKS,
    Builder,
    Dim,
    Node,
    Shape,
    Symbol,
    features,
    is_row,
    lead,
    named,
    operands,
    rebuild,
    resize,
)
from lstmgraph.trace import active
from lstmgraph.traced import Traced, frozen_as

STEPS = 1 << 16  # an element is drawn from 16 random bits
Per = Literal["step", "sequence"]


def dropout(value: Symbol, rate: float, *, name: str, per: Per = "step") -> Symbol:
    """Return a value of which each element is 0 with probability `rate`, else scaled by 1 / (1 - rate).

    In training only (Srivastava et al. 2014): evaluation takes the value as it is. The mask is a leaf ``name.keep``;
    ``Model`` draws it from its seed and the number of the step, ``program.masks`` for calls of one's own.

    Parameters
    ----------
    value : Symbol
        Rows, in a cell or a network.
    rate : float
        0 to less than 1, rounded to 1/65536.
    name : str
        Prefix of the mask's name.
    per : "step" or "sequence"
        Whether each step has a mask of its own, or one is held over all steps (Gal & Ghahramani 2016).

    Raises
    ------
    GraphError
        For another rate, a name taken, or a value that is no row.

    Examples
    --------
    >>> import lstmgraph as lg
    >>> @lg.cell
    ... def noisy(x, h):
    ...     return lg.tanh_layer(h, x=lg.dropout(x, 0.1, name="x"), name="hidden")
    >>> list(noisy.masks)
    ['x.keep']
    """
    builder = active("dropout")
    where = f"dropout {name!r}"
    share = as_rate(rate, where)
    if not is_row(value.shape) or not features(value.shape):
        raise GraphError(f"{where}: got a value of shape {value.shape}, expected rows of features")
    if share == 0:
        return value
    return builder.add("mul", value, mask(builder, value.shape, f"{name}.keep", share, 1 / (1 - share), per))


def mask(builder: Builder, shape: Shape, name: str, rate: float, scale: float = 1.0, per: Per = "step") -> Symbol:
    """Add a mask: 0 with probability `rate`, else `scale`; a parameter's shape drops weights.

    Raises
    ------
    GraphError
        If the name is taken, or `per` is neither "step" nor "sequence".
    """
    if per not in ("step", "sequence"):
        raise GraphError(f"mask {name!r}: got per={per!r}, expected 'step' or 'sequence'")
    if name in named(builder.graph, "input") or name in named(builder.graph, "parameter"):
        raise GraphError(f"mask {name!r}: the name is taken; give each its own")
    kind = "input" if lead(shape) else "parameter"
    return builder.leaf(kind, shape, name=name, mask=(rate, scale, per))


def as_rate(rate: Any, where: str) -> float:
    """Return a probability, rounded to what masks are drawn from.

    Raises
    ------
    GraphError
        If it is no number from 0 to less than 1.
    """
    if not isinstance(rate, numbers.Real) or isinstance(rate, bool) or not 0 <= float(rate) < 1:
        raise GraphError(f"{where}: got rate {rate!r}, expected a number from 0 to less than 1")
    return min(round(float(rate) * STEPS), STEPS - 1) / STEPS


def expected(node: Node) -> float:
    """Return the mean of a mask."""
    rate, scale, _ = node.attr("mask")
    return float((1 - rate) * scale)


@lru_cache(maxsize=64)
def with_masks(traced: Any) -> Any:
    """Return the graph for training: masks are leaves like any other, without cotangents."""
    return _without(traced, fed=True) if traced.masks else traced


@lru_cache(maxsize=64)
def without_masks(traced: Any) -> Any:
    """Return the graph for evaluation: each mask stands for its mean, and what it multiplied may be simpler."""
    return _without(traced, fed=False) if traced.masks else traced


def _without(traced: Traced, fed: bool) -> Any:
    builder = Builder()
    made: dict[str, Symbol] = {}
    means: set[str] = set()  # masks, and what follows from them alone
    for key, node in traced.graph.nodes(data="node"):
        sources = operands(traced.graph, key)
        if node.attr("mask"):
            attrs: dict[str, Any] = {"name": node.name, "fixed": True}
            made[key] = builder.leaf(node.op, node.shape, **attrs) if fed else builder.constant(expected(node))
            means.add(key)
        elif node.op == "recur" and node.attr("cell").masks:
            cell = node.attr("cell")
            inner = _without(cell, fed)
            given = dict(zip(cell.leaves, sources, strict=True))
            attrs = dict(node.attrs) | {"cell": inner}
            made[key] = builder.add("recur", *(made[given[leaf]] for leaf in inner.leaves), **attrs)
        else:
            builder.simplify = not fed and any(source in means for source in sources)
            made |= {key: rebuild(traced.graph, builder, keep=[key], replace=made)[key]}
            builder.simplify = False
            if sources and all(source in means for source in sources):
                means.add(key)
    if not fed:  # the means are left where nothing reads them any more
        clean = Builder()
        keep = [key for key, node in builder.graph.nodes(data="node") if node.op in SINKS + LEAVES[:-1]]
        moved = rebuild(builder.graph, clean, keep=keep)
        made = {key: moved[symbol.key] for key, symbol in made.items() if symbol.key in moved}
        builder = clean
    return frozen_as(traced, builder, made)


def draw(
    traced: Traced, sizes: Mapping[Dim, Dim], shape: tuple[int, int], seed: int, step: int, dtype: str
) -> dict[str, Any]:
    """Return a graph's masks by name for T, B = `shape`: the same for the same seed, step and name.

    Each comes from the counter-based generator Philox (Salmon et al. 2011), keyed by all three.
    """
    T, B = shape
    for word, value in {"T": T, "B": B, "seed": seed, "step": step}.items():
        if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < 0:
            raise CompileError(f"{traced.name}: masks: got {word} = {value!r}, expected an integer from 0 on")
    found = {}
    for name, node in traced.masks.items():
        rate, scale, per = node.attr("mask")
        dims = tuple(int(resize(dim, sizes)) for dim in features(node.shape))
        rows = (() if not is_row(node.shape) else (T, B) if per == "step" else (1, B)) + dims
        values = np.where(_words(f"{seed} {step} {name}", rows) < round(rate * STEPS), 0, scale).astype(dtype)
        whole = (T, B, *dims) if is_row(node.shape) else dims
        found[name] = np.ascontiguousarray(np.broadcast_to(values, whole))
    return found


def _words(key: str, shape: tuple[int, ...]) -> Any:
    """Return random numbers of 16 bits."""
    count = int(np.prod(shape))
    number = int.from_bytes(hashlib.blake2b(key.encode(), digest_size=16).digest(), "little")
    raw = np.random.Philox(key=number).random_raw(-(-count // 4))
    return raw.astype("<u8", copy=False).view("<u2")[:count].reshape(shape)
