"""relu: the greater of a and 0."""

from typing import Any

import numpy as np

from lstmgraph.ops.contract import Glyph, function, pointwise


def _meaning(value: Any) -> Any:
    return np.maximum(value, 0)


op = pointwise(
    "relu",
    meaning=_meaning,
    pullback=lambda result, operands, cotangent: (select_positive(operands[0], cotangent),),
    kernel="maximum({0}, zeros())",
    glyph=Glyph("ellipse", "relu"),
    notation=function("ReLU", r"\operatorname{{ReLU}}"),
    doc="The rectified linear unit, max(a, 0); its slope at 0 is 0.",
)


def select_positive(value: Any, cotangent: Any) -> Any:
    """Return the cotangent where the value is positive, 0 elsewhere."""
    return cotangent.builder.add("select", value > 0, cotangent, 0.0)
