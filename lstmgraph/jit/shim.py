"""The NumPy twin of `lstmgraph.jit.simd`: the same names, no compiler, every access checked.

Generated source runs with either set of names. Here a buffer is a one-dimensional array, a vector is an array
of W elements, and an access beyond a buffer raises `IndexError`. `simd` says what each name means. NumPy warns of
overflow and the like as it is told to: who runs generated source tells it not to.
"""

from functools import cache
from types import SimpleNamespace
from typing import Any, Self

import numpy as np

DTYPES = ("float32", "float64")


class Vector(np.ndarray[Any, Any]):
    """A vector of one dtype: arithmetic keeps the dtype and is never in place."""

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, out: Any = None, **options: Any) -> Any:
        # `out` is dropped: a register is a value, so `a += b` gives a new one and leaves other names of `a`.
        operands = [np.asarray(operand, self.dtype) for operand in inputs]
        result = getattr(ufunc, method)(*operands, **options)
        return result.view(Vector) if isinstance(result, np.ndarray) else result

    @classmethod
    def of(cls, values: Any, dtype: str) -> Self:
        """Return a fresh vector of `values`."""
        return np.array(values, dtype).view(cls)


class _Memory:
    """The names that touch buffers."""

    def __init__(self, dtype: str, width: int) -> None:
        self.dtype = dtype
        self.width = width

    def floats(self, buffers: list[Any], i: int) -> Any:
        return self._buffer(buffers, i, self.dtype)

    def integers(self, buffers: list[Any], i: int) -> Any:
        return self._buffer(buffers, i, "int64")

    @staticmethod
    def _buffer(buffers: list[Any], i: int, dtype: str) -> Any:
        if not 0 <= i < len(buffers):
            raise IndexError(f"buffer {i} of {len(buffers)} buffers")
        buffer = buffers[i]
        if buffer.ndim != 1 or buffer.dtype != np.dtype(dtype):
            raise TypeError(
                f"buffer {i}: got {buffer.dtype} of shape {buffer.shape}, expected one dimension of {dtype}"
            )
        return buffer

    @staticmethod
    def _checked(buffer: Any, i: int, count: int) -> slice:
        if i < 0 or i + count > len(buffer):
            span = f"index {i}" if count == 1 else f"indices {i} to {i + count - 1}"
            raise IndexError(f"{span} of a buffer of length {len(buffer)}")
        return slice(i, i + count)

    def _count(self, n: int) -> int:
        if not 1 <= n <= self.width:
            raise IndexError(f"{n} lanes of a vector of {self.width}: expected 1 to {self.width}")
        return n

    def element(self, p: Any, i: int) -> Any:
        return p[self._checked(p, i, 1)][0]

    def index(self, p: Any, i: int) -> int:
        return int(p[self._checked(p, i, 1)][0])

    def put_element(self, p: Any, i: int, value: Any) -> None:
        p[self._checked(p, i, 1)] = value

    def load(self, p: Any, i: int) -> Vector:
        return p[self._checked(p, i, self.width)].copy().view(Vector)  # type: ignore[no-any-return]

    def store(self, p: Any, i: int, v: Vector) -> None:
        p[self._checked(p, i, self.width)] = v

    def load_part(self, p: Any, i: int, n: int) -> Vector:
        vector = np.zeros(self.width, self.dtype).view(Vector)
        vector[:n] = p[self._checked(p, i, self._count(n))]
        return vector

    def store_part(self, p: Any, i: int, v: Vector, n: int) -> None:
        p[self._checked(p, i, self._count(n))] = v[:n]

    def prefetch(self, p: Any, i: int) -> None:
        pass

    def meet(self, p: Any, parts: int) -> None:
        raise RuntimeError("threads never share a row here")

    def splat(self, p: Any, i: int) -> Vector:
        return np.full(self.width, self.element(p, i), self.dtype).view(Vector)


class _Arithmetic:
    """The names that map vectors to vectors; a number may stand for a vector of it."""

    def __init__(self, dtype: str, width: int) -> None:
        self.dtype = dtype
        self.width = width
        self.wide: Any = np.float64 if dtype == "float32" else np.longdouble

    def fill(self, s: Any) -> Vector:
        if isinstance(s, Vector):
            return s
        vector = np.empty(self.width, self.dtype).view(Vector)
        vector[:] = s
        return vector

    def zeros(self) -> Vector:
        return self.fill(0.0)

    def lanes(self) -> Vector:
        return Vector.of(np.arange(self.width), self.dtype)

    def fma(self, a: Any, b: Any, c: Any) -> Vector:
        # float64 has no wider type that holds its products; fused or not is the CPU's choice anyway.
        product = np.multiply(np.asarray(self.fill(a)), np.asarray(self.fill(b)), dtype=self.wide)
        return np.add(product, np.asarray(self.fill(c))).astype(self.dtype).view(Vector)  # type: ignore[no-any-return]

    def less(self, a: Any, b: Any) -> Vector:
        return self.fill(np.asarray(self.fill(a)) < np.asarray(self.fill(b)))

    def less_equal(self, a: Any, b: Any) -> Vector:
        return self.fill(np.asarray(self.fill(a)) <= np.asarray(self.fill(b)))

    def greater(self, a: Any, b: Any) -> Vector:
        return self.less(b, a)

    def greater_equal(self, a: Any, b: Any) -> Vector:
        return self.less_equal(b, a)

    def equal(self, a: Any, b: Any) -> Vector:
        return self.fill(np.asarray(self.fill(a)) == np.asarray(self.fill(b)))

    def not_equal(self, a: Any, b: Any) -> Vector:
        return self.fill(np.asarray(self.fill(a)) != np.asarray(self.fill(b)))

    def select(self, condition: Any, a: Any, b: Any) -> Vector:
        return self.fill(np.where(np.asarray(self.fill(condition)) != 0, self.fill(a), self.fill(b)))

    def maximum(self, a: Any, b: Any) -> Vector:
        return self.fill(np.maximum(self.fill(a), self.fill(b)))

    def minimum(self, a: Any, b: Any) -> Vector:
        return self.fill(np.minimum(self.fill(a), self.fill(b)))

    def keep(self, v: Vector, n: int, s: Any) -> Vector:
        return self.fill(np.where(np.arange(self.width) < n, v, self.fill(s)))

    def sqrt(self, v: Any) -> Vector:
        return self.fill(np.sqrt(self.fill(v)))

    def absolute(self, v: Any) -> Vector:
        return self.fill(np.abs(self.fill(v)))

    def floor(self, v: Any) -> Vector:
        return self.fill(np.floor(self.fill(v)))

    def sin(self, v: Any) -> Vector:
        return self._in_float64(np.sin, v)

    def exp(self, v: Any) -> Vector:
        return self._in_float64(np.exp, v)

    def log(self, v: Any) -> Vector:
        return self._in_float64(np.log, v)

    def tanh(self, v: Any) -> Vector:
        return self._in_float64(np.tanh, v)

    def sigmoid(self, v: Any) -> Vector:
        return self._in_float64(lambda x: 1 / (1 + np.exp(-x)), v)

    def _in_float64(self, function: Any, v: Any) -> Vector:
        return Vector.of(function(np.asarray(self.fill(v), np.float64)), self.dtype)


class _Reduction:
    """The names that go over the lanes of one vector, in the order of `simd`."""

    def __init__(self, dtype: str, width: int) -> None:
        self.dtype = dtype
        self.width = width

    def total(self, v: Vector) -> Any:
        while len(v) > 1:
            v = v[: len(v) // 2] + v[len(v) // 2 :]
        return v[0]

    def largest(self, v: Vector) -> Any:
        return np.max(np.asarray(v))

    def running_total(self, v: Vector) -> Vector:
        distance = 1
        while distance < self.width:
            v = v + np.concatenate([np.zeros(distance, self.dtype), v[:-distance]])
            distance *= 2
        return v

    def running_total_reverse(self, v: Vector) -> Vector:
        backwards = Vector.of(v[::-1], self.dtype)
        return Vector.of(self.running_total(backwards)[::-1], self.dtype)

    def lane(self, v: Vector, i: int) -> Any:
        if not 0 <= i < self.width:
            raise IndexError(f"lane {i} of a vector of {self.width}")
        return v[i]


@cache
def vectors(dtype: str, width: int) -> SimpleNamespace:
    """Return the names that generated source computes with, in NumPy.

    Parameters
    ----------
    dtype : {"float32", "float64"}
        The element type.
    width : int
        The number of lanes, a power of two.

    Returns
    -------
    types.SimpleNamespace
        The names of `lstmgraph.jit.simd.vectors`; buffers are a list of one-dimensional arrays.

    Raises
    ------
    ValueError
        If there is no such dtype or `width` is not a power of two.

    Examples
    --------
    >>> v = vectors("float32", 4)
    >>> v.total(v.load(v.floats([np.arange(6, dtype="float32")], 0), 2))
    np.float32(14.0)
    """
    if dtype not in DTYPES:
        raise ValueError(f"vectors: got dtype {dtype!r}, expected 'float32' or 'float64'")
    if width < 1 or width & (width - 1):
        raise ValueError(f"vectors: got width {width}, expected a power of two")
    names: dict[str, Any] = {}
    for part in (_Memory(dtype, width), _Arithmetic(dtype, width), _Reduction(dtype, width)):
        names |= {name: getattr(part, name) for name in vars(type(part)) if not name.startswith("_")}
    return SimpleNamespace(W=width, scalar=np.dtype(dtype).type, **names)
