"""add: a + b."""

import numpy as np

from lstmgraph.graph import Builder, Symbol
from lstmgraph.ops.contract import Glyph, infix, pointwise, value_of


def _simplify(builder: Builder, values: tuple[Symbol, ...], attrs: dict[str, object]) -> Symbol | None:
    first, second = values
    if value_of(second) == 0:
        return first
    if value_of(first) == 0:
        return second
    return None


op = pointwise(
    "add",
    meaning=np.add,
    pullback=lambda result, operands, cotangent: (cotangent, cotangent),
    kernel="{0} + {1}",
    glyph=Glyph("circle", "+"),
    simplify=_simplify,
    adds=True,
    notation=infix("+", "+", "sum"),
    doc="The sum of two values.",
)
