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


def _log_uniform(rng: np.random.Generator, shape: tuple[int, ...], low: float, high: float) -> Any:
    """Logarithms of evenly spread numbers; from 1 to T - 1, a forget bias's chrono start (Tallec & Ollivier 2018)."""
    return np.log(rng.uniform(low, high, shape))


def _ring(rng: np.random.Generator, shape: tuple[int, ...], low: float, high: float) -> Any:
    """log(-log r) of the radii of points spread evenly over a ring (Orvieto et al. 2023, Lemma 2)."""
    return np.log(-0.5 * np.log(rng.uniform(low**2, high**2, shape)))


def legendre_memory(order: int, window: float) -> tuple[Any, Any]:
    """Return the matrices A and B of a Legendre memory, held constant between steps (Voelker et al. 2019).

    Parameters
    ----------
    order : int
        The size M of the memory.
    window : float
        How many steps it remembers.

    Returns
    -------
    tuple of arrays
        A [M, M] and B [1, M], for rows times matrices.

    Examples
    --------
    >>> from lstmgraph.initializers import legendre_memory
    >>> a, b = legendre_memory(1, window=2.0)
    >>> a.round(4), b.round(4)
    (array([[0.6065]]), array([[0.3935]]))
    """
    i, j = np.mgrid[:order, :order]
    both = np.zeros((order + 1, order + 1))
    both[:order, :order] = (2 * i + 1) * np.where(i < j, -1.0, (-1.0) ** (i - j + 1))
    both[:order, order] = (2 * i[:, 0] + 1) * (-1.0) ** i[:, 0]
    halvings = max(0, int(np.ceil(np.log2(np.abs(both).sum() / window)))) + 1
    part = both / window / 2**halvings
    term = power = np.eye(order + 1)
    for k in range(1, 19):
        term = term @ part / k
        power = power + term
    for _ in range(halvings):
        power = power @ power
    return power[:order, :order].T.copy(), power[None, :order, order].copy()


def _legendre_transition(rng: np.random.Generator, shape: tuple[int, ...], window: float) -> Any:
    return legendre_memory(shape[-1], window)[0]


def _legendre_input(rng: np.random.Generator, shape: tuple[int, ...], window: float) -> Any:
    return legendre_memory(shape[-1], window)[1]


INITIALIZERS: dict[str, Callable[..., Any]] = {
    "zeros": _zeros,
    "constant": _constant,
    "normal": _normal,
    "uniform": _uniform,
    "glorot": _glorot,
    "orthogonal": _orthogonal,
    "identity": _identity,
    "log_uniform": _log_uniform,
    "ring": _ring,
    "legendre_transition": _legendre_transition,
    "legendre_input": _legendre_input,
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
