"""absolute: the value without its sign; its slope at 0 is 0."""

from typing import Any

import numpy as np

from lstmgraph.ops.contract import Form, Glyph, Notation, pointwise


def _slope(result: Any, operands: Any, cotangent: Any) -> tuple[Any]:
    (value,) = operands
    select = cotangent.builder.add
    return (select("select", value > 0, cotangent, select("select", value < 0, -cotangent, 0.0)),)


op = pointwise(
    "absolute",
    meaning=np.abs,
    pullback=_slope,
    kernel="absolute({0})",
    glyph=Glyph("ellipse", "|·|"),
    notation=Notation(Form("|{0}|"), Form(r"\left|{0}\right|")),
    doc="The absolute value.",
)
