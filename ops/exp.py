"""exp: e to the power a."""

import numpy as np

from lstmgraph.ops.contract import Glyph, function, pointwise

op = pointwise(
    "exp",
    meaning=np.exp,
    pullback=lambda result, operands, cotangent: (cotangent * result,),
    kernel="exp({0})",
    glyph=Glyph("ellipse", "exp"),
    notation=function("exp", r"\exp"),
    doc="The exponential.",
)
