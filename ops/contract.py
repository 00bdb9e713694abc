"""What an op says of itself, and the shape rules that ops share."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from lstmgraph.errors import GraphError, ShapeError
from lstmgraph.graph import Builder, Dim, Shape, Symbol, features, guessed, lead

Kind = Literal[
    "pointwise",  # row by row and feature by feature; `kernel` is an expression
    "matmul",  # rows times a matrix
    "reduction",  # one number a row; `kernel` is a Fold
    "running",  # a running fold along the features
    "join",  # operands side by side along the features
    "view",  # a part of the features of its operand
    "gather",  # rows of a table
    "over_rows",  # summed over all rows: the result is invariant
    "invariant",  # parameters only
    "recur",  # a cell run over time
    "item",  # one result of a recur
]


@dataclass(frozen=True)
class Glyph:
    """How a figure shows an op: its form and its text."""

    form: Literal["circle", "ellipse", "layer", "box", "none"]
    text: str


Binding = Literal["comparison", "sum", "minus", "quotient", "matmul", "product", "postfix", "atom"]  # loosest first


@dataclass(frozen=True)
class Form:
    """How an op is written in one language.

    Parameters
    ----------
    pattern : str or callable
        A format string, or one by the op's attributes. ``{0}`` is an operand as it is, ``{0:product}`` in
        parentheses unless it binds as tightly as a product; ``{all}`` every operand, ``{args}`` every operand and
        attribute in parentheses; an attribute stands by its name.
    binds : str
        How tightly the whole binds.
    """

    pattern: str | Callable[[Mapping[str, Any]], str]
    binds: Binding = "atom"


@dataclass(frozen=True)
class Notation:
    """How an op is written in an equation, as text and in LaTeX; `by_number`, where the first operand is a number."""

    text: Form
    latex: Form
    by_number: "Notation | None" = None


def function(text: str, latex: str) -> Notation:
    """Return the notation of a function before its operands in parentheses."""
    return Notation(Form(text + "{args}"), Form(latex + "{args}"))


def infix(text: str, latex: str, binds: Binding, right: Binding | None = None) -> Notation:
    """Return the notation of a sign between two operands; the right one may have to bind more tightly."""
    sides = f"{{0:{binds}}} ", f" {{1:{right or binds}}}"
    return Notation(Form(text.join(sides), binds), Form(latex.join(sides), binds))


@dataclass(frozen=True)
class Fold:
    """A row reduction in generated text: vectors are folded into an accumulator, then lanes into a number.

    `start`, `step`, `empty` (what stands in lanes beyond the row) and `finish` are expressions; in `step`,
    ``{0}`` is the accumulator and ``{1}`` the next vector; in `finish`, ``{0}`` is the accumulator.
    """

    start: str
    step: str
    empty: str
    finish: str


Shapes = tuple[Shape, ...]


@dataclass(frozen=True)
class Op:
    """One primitive operation, all of it.

    Parameters
    ----------
    name : str
        The op's name in the graph.
    kind : str
        How the scheduler treats it.
    shape : callable
        ``shape(operand shapes, attributes) -> shape``; raises ShapeError naming the operand.
    meaning : callable
        ``meaning(*arrays, **attributes) -> array`` in NumPy: the oracle.
    pullback : callable
        ``pullback(result, operands, cotangent) -> cotangents of the operands`` as graph nodes, None for zero.
    kernel : str or Fold or None
        The expression in generated source, operands as ``{0}``, ``{1}``; of a sum over rows, which one it is:
        "products" of two values, "sums" of one, or rows added into a "table".
    glyph : Glyph
        How a figure shows it.
    simplify : callable, optional
        ``simplify(builder, operands, attributes) -> symbol or None``: a value that equals the op's, made of less.
    cheap : bool
        Whether a backward pass would rather compute it again than store it.
    adds : bool
        Whether it is the sum of its operands: a sum of matrix products is one product with more columns.
    pushforward : callable, optional
        ``pushforward(result, operands, tangents) -> (result, tangent)``, None for a tangent of zero; the result may
        be one that is computed together with its tangent. By default the tangent is the transpose of the pullback,
        and an op on arrays needs one only where its pullback is no transpose, as in clip_gradient.
    notation : Notation, optional
        How an equation writes it; by default as a function of its name.
    """

    name: str
    kind: Kind
    shape: Callable[[Shapes, Mapping[str, Any]], Shape]
    meaning: Callable[..., Any]
    pullback: Callable[[Symbol, tuple[Symbol, ...], Any], tuple[Any, ...]]
    glyph: Glyph
    kernel: str | Fold | None = None
    simplify: Callable[[Builder, tuple[Symbol, ...], dict[str, Any]], Symbol | None] | None = None
    cheap: bool = True
    adds: bool = False
    doc: str = field(default="", compare=False)
    pushforward: Callable[[Symbol, tuple[Symbol, ...], tuple[Any, ...]], tuple[Symbol, Any]] | None = None
    notation: Notation | None = None

    def __call__(self, *values: Symbol | float, **attrs: Any) -> Symbol:
        """Apply the op to symbols and numbers of one cell."""
        builder = next((value.builder for value in values if isinstance(value, Symbol)), None)
        if builder is None:
            raise GraphError(
                f"lg.{self.name}: got {', '.join(type(v).__name__ for v in values) or 'nothing'}, "
                "expected at least one value of a cell; use it inside a function under @lg.cell or @lg.network"
            )
        return builder.add(self.name, *values, **attrs)

    def __repr__(self) -> str:
        return f"<op {self.name}>"


def join_dims(name: str, first: Dim, second: Dim) -> Dim:
    """Return the dimension of two dimensions side by side in one pointwise op; of two symbols, ``"H|dt"``."""
    if first == second or second == 1:
        return first
    if first == 1:
        return second
    if isinstance(first, int) and isinstance(second, int):
        raise ShapeError(
            f"{name}: got sizes {first} and {second}, expected equal sizes or 1; check `size=` of the layers"
        )
    if isinstance(first, int):
        return first
    return second if isinstance(second, int) and guessed(first) != "H" else f"{first}|{second}"


def broadcast_shape(name: str, shapes: Shapes) -> Shape:
    """Return the shape of a pointwise op: rows with rows of one kind, numbers and vectors with anything."""
    rows: Shape = max((lead(shape) for shape in shapes), key=len, default=())
    for shape in shapes:
        if lead(shape) not in ((), rows):
            raise ShapeError(f"{name}: got one value per step and one per sequence, expected one kind")
    rank = max((len(features(shape)) for shape in shapes), default=0)
    if rows and rank > 1:
        raise ShapeError(f"{name}: got a matrix beside a row, expected a vector or a number; use `row @ matrix`")
    dims: list[Dim] = [1] * rank
    for shape in shapes:
        part = features(shape)
        for place, dim in enumerate(part, start=rank - len(part)):
            dims[place] = join_dims(name, dims[place], dim)
    if rows and not dims:
        dims = [1]
    return rows + tuple(dims)


def pointwise(
    name: str,
    meaning: Callable[..., Any],
    pullback: Callable[[Symbol, tuple[Symbol, ...], Symbol], tuple[Any, ...]],
    kernel: str,
    glyph: Glyph,
    *,
    simplify: Callable[[Builder, tuple[Symbol, ...], dict[str, Any]], Symbol | None] | None = None,
    cheap: bool = True,
    adds: bool = False,
    doc: str = "",
    notation: Notation | None = None,
) -> Op:
    """Return a pointwise op. Its pullback is written as if all operands had the shape of the result."""

    def shape(shapes: Shapes, attrs: Mapping[str, Any]) -> Shape:
        return broadcast_shape(name, shapes)

    def fitted(result: Symbol, operands: tuple[Symbol, ...], cotangent: Symbol) -> tuple[Any, ...]:
        pulled = pullback(result, operands, cotangent)
        return tuple(
            None if g is None or operand.node.op == "constant" else fit(g, operand)
            for g, operand in zip(pulled, operands, strict=True)
        )

    return Op(
        name, "pointwise", shape, meaning, fitted, glyph, kernel, simplify, cheap, adds, doc=doc, notation=notation
    )


def fit(cotangent: Symbol, operand: Symbol) -> Symbol:
    """Return a cotangent summed or spread to the shape of its operand."""
    if cotangent.shape == operand.shape:
        return cotangent
    return cotangent.builder.add("sum_to", cotangent, target=operand.shape)


def value_of(symbol: Symbol) -> float | None:
    """Return the number of a constant, else None."""
    return symbol.node.attr("value") if symbol.node.op == "constant" else None


def same_dtype(value: Any, like: Any) -> Any:
    """Return a NumPy result in the element type of `like` (comparisons give numbers, not booleans)."""
    return np.asarray(value).astype(np.result_type(like), copy=False)


def row_shape(name: str, size: int | None) -> Callable[[Shapes, Mapping[str, Any]], Shape]:
    """Return the shape rule of an op along the features: `size` of them, or as many as there are.

    It runs over those of each row; of a parameter vector, which has no rows, one of them is a number.
    """

    def shape(shapes: Shapes, attrs: Mapping[str, Any]) -> Shape:
        (value,) = shapes
        if len(features(value)) != 1:
            raise ShapeError(
                f"{name}: got shape {value}, expected rows or a parameter vector; it runs over the features"
            )
        return value if size is None else (*lead(value), size) if lead(value) else ()

    return shape
