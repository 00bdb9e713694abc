"""tanh: the hyperbolic tangent, between -1 and 1."""

import numpy as np

from lstmgraph.ops.contract import Glyph, function, pointwise

op = pointwise(
    "tanh",
    meaning=np.tanh,
    pullback=lambda result, operands, cotangent: (cotangent * (1 - result * result),),
    kernel="tanh({0})",
    glyph=Glyph("ellipse", "tanh"),
    notation=function("tanh", r"\tanh"),
    doc="The hyperbolic tangent.",
)
