"""row_max: the greatest feature of each row; NaN if one is NaN."""

from typing import Any

import numpy as np

from lstmgraph.ops.contract import Fold, Glyph, Op, function, row_shape


def _meaning(value: Any) -> Any:
    return np.max(value, axis=-1, keepdims=np.ndim(value) > 1)  # a vector has no rows


def _pullback(result: Any, operands: Any, cotangent: Any) -> tuple[Any]:
    add = cotangent.builder.add
    greatest = add("equal", operands[0], result)
    return (greatest * (cotangent / add("row_sum", greatest)),)  # ties share, which keeps the sum right


op = Op(
    "row_max",
    "reduction",
    row_shape("row_max", 1),
    meaning=_meaning,
    pullback=_pullback,
    kernel=Fold("fill(-inf)", "maximum({0}, {1})", "-inf", "largest({0})"),
    glyph=Glyph("ellipse", "max"),
    cheap=False,
    notation=function("max", r"\max"),
    doc="The greatest feature of each row, as a value of size 1; of a parameter vector, a number.",
)
