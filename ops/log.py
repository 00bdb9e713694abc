"""log: the natural logarithm."""

import numpy as np

from lstmgraph.ops.contract import Glyph, function, pointwise

op = pointwise(
    "log",
    meaning=np.log,
    pullback=lambda result, operands, cotangent: (cotangent / operands[0],),
    kernel="log({0})",
    glyph=Glyph("ellipse", "log"),
    notation=function("log", r"\log"),
    doc="The natural logarithm: -inf at 0, NaN below.",
)
