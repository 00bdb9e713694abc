"""sub: a - b."""

import numpy as np

from lstmgraph.graph import Builder, Symbol
from lstmgraph.ops.contract import Glyph, infix, pointwise, value_of


def _simplify(builder: Builder, values: tuple[Symbol, ...], attrs: dict[str, object]) -> Symbol | None:
    return values[0] if value_of(values[1]) == 0 else None


op = pointwise(
    "sub",
    meaning=np.subtract,
    pullback=lambda result, operands, cotangent: (cotangent, -cotangent),
    kernel="{0} - {1}",
    glyph=Glyph("circle", "−"),
    simplify=_simplify,
    notation=infix("-", "-", "sum", "quotient"),
    doc="The difference of two values.",
)
