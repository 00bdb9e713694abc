"""sin: the sine of an angle in radians."""

import math
from typing import Any

import numpy as np

from lstmgraph.ops.contract import Glyph, function, pointwise


def _slope(result: Any, operands: Any, cotangent: Any) -> tuple[Any]:
    (angle,) = operands
    return (cotangent * cotangent.builder.add("sin", angle + math.pi / 2),)


op = pointwise(
    "sin",
    meaning=np.sin,
    pullback=_slope,
    kernel="sin({0})",
    glyph=Glyph("ellipse", "sin"),
    notation=function("sin", r"\sin"),
    doc="The sine of an angle in radians, exact for angles up to 50,000 (float32) or 3,000,000 (float64).",
)
