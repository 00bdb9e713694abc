"""SIMD registers as Numba values: generated source computes on vectors of W floats in plain Python text.

`vectors` gives the names that such source uses as its globals; `lstmgraph.jit.shim.vectors` gives the same
names in NumPy. A kernel gets its buffers as a pointer to their addresses. No bounds are checked: the twin does that.

================================ ====================================================================
``W``, ``scalar``                the number of lanes, the NumPy type of an element
``floats``, ``integers``         ``(buffers, i)`` -> pointer to buffer i
``element``, ``index``           ``(p, i)`` -> one float, one int64; ``put_element(p, i, value)`` stores
``load``, ``store``              ``(p, i)``, ``(p, i, v)``: W elements from p[i] on
``load_part``, ``store_part``    ``(p, i, n)``, ``(p, i, v, n)``: the first n lanes only, the others are 0
``splat``, ``fill``, ``zeros``   p[i], a scalar or 0 in every lane; ``lanes()`` is 0, 1, .., W - 1
``+ - * /``                      lane by lane; one operand may be a number
``fma``, ``sqrt``, ``absolute``  a * b + c, square root, absolute value
``floor``                        the greatest integer that is not greater
``less``, ``equal``, ...         1 where the relation holds, else 0, as NumPy decides for NaN
``select(condition, a, b)``      lanes of a where the condition is not 0, else of b
``maximum``, ``minimum``         NaN where either is NaN
``exp log tanh sigmoid``         within 2 ulp; exp and sigmoid below the least normal number may be 0
``sin``                          within 2 epsilon up to 50,000 (float32) or 3,000,000 (float64); beyond, less exact
``total``, ``largest``           of all lanes, in halves: the same bits on every CPU; NaN wins
``running_total``                inclusive sums over the lanes; ``running_total_reverse`` from the end
``prefetch(p, i)``               ask for the line of the cache an element is in; it need not exist
``meet(p, n)``                   wait for n threads, which p[0] counts; here between blocks of one step
``keep(v, n, s)``, ``lane``      the first n lanes of v, the others s; one lane as a scalar
================================ ====================================================================
"""
# mypy: disable-error-code="no-untyped-call"

import inspect
import operator
from collections.abc import Callable
from functools import cache
from types import SimpleNamespace
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.typing.templates import signature
from numba.extending import intrinsic, lower_builtin, models, register_model, type_callable

from lstmgraph.jit import native, simd_math
from lstmgraph.jit.simd_math import FORMATS, INDEX, Writer

RELATIONS = {
    "less": "<",
    "less_equal": "<=",
    "greater": ">",
    "greater_equal": ">=",
    "equal": "==",
    "not_equal": "!=",
}
OPERATORS = {
    operator.add: Writer.add,
    operator.iadd: Writer.add,
    operator.sub: Writer.subtract,
    operator.isub: Writer.subtract,
    operator.mul: Writer.multiply,
    operator.imul: Writer.multiply,
    operator.truediv: Writer.divide,
    operator.itruediv: Writer.divide,
}


class VectorType(types.Type):
    """The Numba type of a vector of `width` elements of a float type."""

    def __init__(self, dtype: Any, width: int) -> None:
        self.dtype = dtype
        self.width = width
        super().__init__(name=f"vector({dtype} x {width})")

    @property
    def key(self) -> Any:
        """What makes two of these types equal."""
        return self.dtype, self.width

    def writer(self, builder: Any) -> Writer:
        """Return what writes instructions on such vectors."""
        return Writer(builder, FORMATS[str(self.dtype)], self.width)

    def operand(self, kind: Any) -> Any:
        """Return the type to which an operand of type `kind` is converted, or None where it cannot be."""
        if kind == self:
            return kind
        return self.dtype if isinstance(kind, types.Integer | types.Float | types.Boolean) else None


class VectorModel(models.PrimitiveModel):
    """A vector is an LLVM vector, wherever Numba keeps it."""

    def __init__(self, manager: Any, kind: VectorType) -> None:
        super().__init__(manager, kind, ir.VectorType(FORMATS[str(kind.dtype)].scalar, kind.width))


register_model(VectorType)(VectorModel)


def _register_operator(function: Any, write: Callable[..., Any]) -> None:
    """Give the binary operator `function` its meaning on two vectors, or a vector and a number."""

    def typer(context: Any) -> Callable[[Any, Any], Any]:
        def resolve(left: Any, right: Any) -> Any:
            vector = left if isinstance(left, VectorType) else right
            if not isinstance(vector, VectorType):
                return None
            operands = vector.operand(left), vector.operand(right)
            return None if None in operands else signature(vector, *operands)

        return resolve

    def lower(context: Any, builder: Any, call: Any, values: Any) -> Any:
        writer = call.return_type.writer(builder)
        return write(writer, *(writer.broadcast(value) for value in values))

    type_callable(function)(typer)
    for operands in ((VectorType, VectorType), (VectorType, types.Float), (types.Float, VectorType)):
        lower_builtin(function, *operands)(lower)


def _register_negation() -> None:
    """Give the unary minus its meaning on a vector."""

    def typer(context: Any) -> Callable[[Any], Any]:
        return lambda operand: operand if isinstance(operand, VectorType) else None

    type_callable(operator.neg)(typer)
    lower_builtin(operator.neg, VectorType)(lambda context, builder, call, values: builder.fneg(values[0]))


for _function, _write in OPERATORS.items():
    _register_operator(_function, _write)
_register_negation()


class _Kinds:
    """The types that a parameter of a primitive may have, for one vector type."""

    def __init__(self, vector: VectorType) -> None:
        self.vector = vector
        self.floats = types.CPointer(vector.dtype)
        self.integers = types.CPointer(types.int64)

    def accept(self, parameter: str, kind: Any) -> Any:
        """Return the type to which an argument of type `kind` is converted, or None where it cannot be."""
        if parameter == "vector":
            return self.vector.operand(kind)
        if parameter == "scalar":
            return None if isinstance(kind, VectorType) else self.vector.operand(kind)
        if parameter == "integer":
            return types.intp if isinstance(kind, types.Integer) else None
        if parameter == "addresses":
            return kind if kind == self.integers else None
        return kind if kind == getattr(self, parameter) else None


def _primitive(kinds: _Kinds, name: str, parameters: str, result: Any, write: Callable[..., Any]) -> Any:
    """Return the Numba intrinsic `name`; `write` is called with a writer and the arguments' values."""
    expected = parameters.split()

    def typer(context: Any, *arguments: Any) -> Any:
        accepted = [kinds.accept(*pair) for pair in zip(expected, arguments, strict=False)]
        if len(arguments) != len(expected) or None in accepted:
            return None

        def generate(context: Any, builder: Any, call: Any, values: Any) -> Any:
            writer = kinds.vector.writer(builder)
            values = [
                writer.broadcast(value) if parameter == "vector" else value
                for parameter, value in zip(expected, values, strict=True)
            ]
            written = write(writer, *values)
            return context.get_dummy_value() if result is types.void else written

        return signature(result, *accepted), generate

    typer.__name__ = typer.__qualname__ = name
    # Numba would pack a star argument into a tuple: show it parameters by position instead.
    shown = ["context", *(f"{parameter}_{i}" for i, parameter in enumerate(expected))]
    positional = inspect.Parameter.POSITIONAL_OR_KEYWORD
    typer.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
        [inspect.Parameter(parameter, positional) for parameter in shown]
    )
    return intrinsic(typer)


def _address(kind: Any) -> Callable[..., Any]:
    def write(w: Writer, addresses: Any, i: Any) -> Any:
        return w.builder.inttoptr(w.builder.load(w.builder.gep(addresses, [i])), kind.as_pointer())

    return write


def _element(w: Writer, pointer: Any, i: Any) -> Any:
    return w.builder.load(w.builder.gep(pointer, [i]))


def _put_element(w: Writer, pointer: Any, i: Any, value: Any) -> None:
    w.builder.store(value, w.builder.gep(pointer, [i]))


def _vector_at(w: Writer, pointer: Any, i: Any) -> Any:
    return w.builder.bitcast(w.builder.gep(pointer, [i]), w.vector.as_pointer())


def _alignment(w: Writer) -> int:
    return int(w.format.bits.width) // 8


def _load(w: Writer, pointer: Any, i: Any) -> Any:
    loaded = w.builder.load(_vector_at(w, pointer, i))
    loaded.align = _alignment(w)
    return loaded


def _store(w: Writer, pointer: Any, i: Any, value: Any) -> None:
    w.builder.store(value, _vector_at(w, pointer, i)).align = _alignment(w)


def _prefetch(w: Writer, pointer: Any, i: Any) -> None:
    """Bring the line of an element into the second cache: for reading, soon, as data."""
    place = w.builder.bitcast(w.builder.gep(pointer, [i]), ir.IntType(8).as_pointer())
    operands = [place, *(ir.Constant(ir.IntType(32), word) for word in (0, 2, 1))]
    kind = ir.FunctionType(ir.VoidType(), [operand.type for operand in operands])
    w.builder.call(cgutils.get_or_insert_function(w.builder.module, kind, "llvm.prefetch.p0"), operands)


def _first_lanes(w: Writer, n: Any) -> Any:
    """Return a vector of bits: whether the lane is below n."""
    positions = ir.Constant(ir.VectorType(INDEX, w.width), list(range(w.width)))
    return w.builder.icmp_signed("<", positions, w.broadcast(w.builder.trunc(n, INDEX)))


def _load_part(w: Writer, pointer: Any, i: Any, n: Any) -> Any:
    mask = _first_lanes(w, n)
    operands = [_vector_at(w, pointer, i), ir.Constant(INDEX, _alignment(w)), mask, w.value(0.0)]
    kind = ir.FunctionType(w.vector, [operand.type for operand in operands])
    name = f"llvm.masked.load.v{w.width}{w.format.suffix}.p0"
    return w.builder.call(cgutils.get_or_insert_function(w.builder.module, kind, name), operands)


def _store_part(w: Writer, pointer: Any, i: Any, value: Any, n: Any) -> None:
    mask = _first_lanes(w, n)
    operands = [value, _vector_at(w, pointer, i), ir.Constant(INDEX, _alignment(w)), mask]
    kind = ir.FunctionType(ir.VoidType(), [operand.type for operand in operands])
    name = f"llvm.masked.store.v{w.width}{w.format.suffix}.p0"
    w.builder.call(cgutils.get_or_insert_function(w.builder.module, kind, name), operands)


def _lanes(w: Writer) -> Any:
    return ir.Constant(w.vector, [float(lane) for lane in range(w.width)])


def _lane(w: Writer, value: Any, i: Any) -> Any:
    return w.builder.extract_element(value, w.builder.trunc(i, INDEX))


def _keep(w: Writer, value: Any, n: Any, other: Any) -> Any:
    return w.choose(_first_lanes(w, n), value, w.broadcast(other))


def _primitives(kinds: _Kinds) -> dict[str, tuple[str, Any, Callable[..., Any]]]:
    """Return each primitive's parameters, result and writer."""
    vector, scalar = kinds.vector, kinds.vector.dtype
    element = FORMATS[str(scalar)].scalar
    table: dict[str, tuple[str, Any, Callable[..., Any]]] = {
        "floats": ("addresses integer", kinds.floats, _address(element)),
        "integers": ("addresses integer", kinds.integers, _address(ir.IntType(64))),
        "element": ("floats integer", scalar, _element),
        "index": ("integers integer", types.int64, _element),
        "put_element": ("floats integer scalar", types.void, _put_element),
        "load": ("floats integer", vector, _load),
        "store": ("floats integer vector", types.void, _store),
        "load_part": ("floats integer integer", vector, _load_part),
        "store_part": ("floats integer vector integer", types.void, _store_part),
        "prefetch": ("floats integer", types.void, _prefetch),  # the address need not exist
        "splat": ("floats integer", vector, lambda w, p, i: w.broadcast(_element(w, p, i))),
        "fill": ("scalar", vector, Writer.broadcast),
        "zeros": ("", vector, lambda w: w.value(0.0)),
        "lanes": ("", vector, _lanes),
        "fma": ("vector vector vector", vector, Writer.fma),
        "select": ("vector vector vector", vector, simd_math.select),
        "maximum": ("vector vector", vector, simd_math.maximum),
        "minimum": ("vector vector", vector, simd_math.minimum),
        "sqrt": ("vector", vector, lambda w, v: w.call("sqrt", v)),
        "absolute": ("vector", vector, lambda w, v: w.call("fabs", v)),
        "floor": ("vector", vector, lambda w, v: w.call("floor", v)),
        "exp": ("vector", vector, simd_math.exp),
        "log": ("vector", vector, simd_math.log),
        "sin": ("vector", vector, simd_math.sin),
        "tanh": ("vector", vector, simd_math.tanh),
        "sigmoid": ("vector", vector, simd_math.sigmoid),
        "total": ("vector", scalar, simd_math.total),
        "largest": ("vector", scalar, simd_math.largest),
        "keep": ("vector integer scalar", vector, _keep),
        "running_total": ("vector", vector, simd_math.running_total),
        "running_total_reverse": ("vector", vector, simd_math.running_total_reverse),
        "lane": ("vector integer", scalar, _lane),
        "meet": ("integers integer", types.void, lambda w, p, n: native.meet(w.builder, p, n)),
    }
    return table | {name: ("vector vector", vector, simd_math.relation(text)) for name, text in RELATIONS.items()}


@cache
def vectors(dtype: str, width: int) -> SimpleNamespace:
    """Return the names that generated source computes with, for one dtype and number of lanes.

    Parameters
    ----------
    dtype : {"float32", "float64"}
        The element type.
    width : int
        The number of lanes, a power of two; 1 gives a scalar machine.

    Returns
    -------
    types.SimpleNamespace
        The names listed at the top of this file.

    Raises
    ------
    ValueError
        If there is no such dtype or `width` is not a power of two.

    Examples
    --------
    >>> v = vectors("float32", 8)
    >>> v.W
    8
    """
    if dtype not in FORMATS:
        raise ValueError(f"vectors: got dtype {dtype!r}, expected 'float32' or 'float64'")
    if width < 1 or width & (width - 1):
        raise ValueError(f"vectors: got width {width}, expected a power of two")
    kinds = _Kinds(VectorType(getattr(types, dtype), width))
    names = {name: _primitive(kinds, name, *row) for name, row in _primitives(kinds).items()}
    return SimpleNamespace(W=width, scalar=np.dtype(dtype).type, **names)
