"""How parameters start: data on the parameter, turned into arrays when a program is initialised."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from lstmgraph.errors import GraphError, nearest
from lstmgraph.graph import Node

Initializer = float | str | tuple[Any, ...]


def _zeros(rng: np.random.Generator, shape: tuple[int, ...]) -> Any:
    return np.zeros(shape)


def _constant(rng: np.random.Generator, shape: tuple[int, ...], value: float) -> Any:
    return np.full(shape, value)


def _normal(rng: np.random.Generator, shape: tuple[int, ...], deviation: float = 1.0) -> Any:
    return rng.standard_normal(shape) * deviation


def _uniform(rng: np.random.Generator, shape: tuple[int, ...], low: float = -1.0, high: float = 1.0) -> Any:
    return rng.uniform(low, high, shape)


def _glorot(rng: np.random.Generator, shape: tuple[int, ...]) -> Any:
    """Glorot & Bengio 2010, equation 16."""
    bound = np.sqrt(6 / max(shape[0] + shape[-1], 1))
    return rng.uniform(-bound, bound, shape)


def _orthogonal(rng: np.random.Generator, shape: tuple[int, ...]) -> Any:
    """Orthonormal rows or columns (Saxe et al. 2014)."""
    tall = rng.standard_normal((max(shape), min(shape)))
    columns, upper = np.linalg.qr(tall)
    columns = columns * np.sign(np.diag(upper))
    return columns if shape[0] >= shape[1] else columns.T


def _identity(rng: np.random.Generator, shape: tuple[int, ...], scale: float = 1.0) -> Any:
    return np.eye(shape[0], shape[-1]) * scale


INITIALIZERS: dict[str, Callable[..., Any]] = {
    "zeros": _zeros,
    "constant": _constant,
    "normal": _normal,
    "uniform": _uniform,
    "glorot": _glorot,
    "orthogonal": _orthogonal,
    "identity": _identity,
}


def as_initializer(init: Any, default: Initializer, where: str) -> tuple[Any, ...]:
    """Return an initialiser as data: a name and its numbers.

    Raises
    ------
    GraphError
        If it is no number, known name, or tuple of a known name and numbers.
    """
    init = default if init is None else init
    if isinstance(init, int | float):
        return ("constant", float(init))
    parts = (init,) if isinstance(init, str) else tuple(init) if isinstance(init, tuple | list) else (None,)
    if not parts or parts[0] not in INITIALIZERS:
        raise GraphError(
            f"{where}: got init {init!r}, expected a number or one of {', '.join(INITIALIZERS)} (in a tuple with its "
            f"numbers){nearest(str(parts[0] if parts else ''), list(INITIALIZERS))}"
        )
    return parts


def initialize(
    parameters: Mapping[str, Node], shapes: Mapping[str, tuple[int, ...]], seed: int, dtype: str
) -> dict[str, Any]:
    """Return arrays for parameters; each has its own random stream, so names, not order, decide its numbers."""
    params = {}
    for name, node in parameters.items():
        kind, *numbers = node.attr("init", ("zeros",))
        stream = np.random.default_rng([seed, *name.encode()])
        params[name] = np.asarray(INITIALIZERS[kind](stream, shapes[name], *numbers)).astype(dtype)
    return params
