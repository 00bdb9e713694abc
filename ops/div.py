"""div: a / b."""

import numpy as np

from lstmgraph.graph import Builder, Symbol
from lstmgraph.ops.contract import Form, Glyph, Notation, pointwise, value_of


def _simplify(builder: Builder, values: tuple[Symbol, ...], attrs: dict[str, object]) -> Symbol | None:
    return values[0] if value_of(values[1]) == 1 else None


def _pullback(result: Symbol, operands: tuple[Symbol, ...], cotangent: Symbol) -> tuple[Symbol, Symbol]:
    quotient = cotangent / operands[1]  # of both, for a quotient costs as much as ten products
    return quotient, -(quotient * result)


op = pointwise(
    "div",
    meaning=np.divide,
    pullback=_pullback,
    kernel="{0} / {1}",
    glyph=Glyph("circle", "÷"),
    simplify=_simplify,
    notation=Notation(Form("{0:product} / {1:postfix}", "quotient"), Form(r"\frac{{{0}}}{{{1}}}")),
    doc="The quotient of two values.",
)
