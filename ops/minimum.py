"""minimum: the lesser of two values; NaN if either is NaN."""

from typing import Any

import numpy as np

from lstmgraph.ops.contract import Glyph, function, pointwise


def _pullback(result: Any, operands: Any, cotangent: Any) -> tuple[Any, Any]:
    add = cotangent.builder.add
    half = cotangent * 0.5  # at a tie both get one half, which keeps the sum right
    first, second = operands[0] < operands[1], operands[1] < operands[0]
    return (
        add("select", first, cotangent, add("select", second, 0.0, half)),
        add("select", second, cotangent, add("select", first, 0.0, half)),
    )


op = pointwise(
    "minimum",
    meaning=np.minimum,
    pullback=_pullback,
    kernel="minimum({0}, {1})",
    glyph=Glyph("ellipse", "min"),
    notation=function("min", r"\min"),
    doc="The lesser of two values.",
)
