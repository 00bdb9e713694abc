"""sqrt: the square root."""

import numpy as np

from lstmgraph.ops.contract import Form, Glyph, Notation, pointwise

op = pointwise(
    "sqrt",
    meaning=np.sqrt,
    pullback=lambda result, operands, cotangent: (cotangent / (2 * result),),
    kernel="sqrt({0})",
    glyph=Glyph("ellipse", "√"),
    notation=Notation(Form("√{args}"), Form(r"\sqrt{{{0}}}")),
    doc="The square root: NaN below 0.",
)
