"""div: a / b."""

import numpy as np

from lstmgraph.graph import Builder, Symbol
from lstmgraph.ops.contract import Form, Glyph, Notation, pointwise, value_of


def _simplify(builder: Builder, values: tuple[Symbol, ...], attrs: dict[str, object]) -> Symbol | None:
    return values[0] if value_of(values[1]) == 1 else None


op = pointwise(
    "div",
    meaning=np.divide,
    pullback=lambda result, operands, cotangent: (cotangent / operands[1], -(cotangent * result) / operands[1]),
    kernel="{0} / {1}",
    glyph=Glyph("circle", "÷"),
    simplify=_simplify,
    notation=Notation(Form("{0:product} / {1:postfix}", "quotient"), Form(r"\frac{{{0}}}{{{1}}}")),
    doc="The quotient of two values.",
)
