"""floor: the greatest integer that is not greater than a; its slope is 0."""

import numpy as np

from lstmgraph.ops.contract import Form, Glyph, Notation, pointwise

op = pointwise(
    "floor",
    meaning=np.floor,
    pullback=lambda result, operands, cotangent: (None,),
    kernel="floor({0})",
    glyph=Glyph("ellipse", "⌊·⌋"),
    notation=Notation(Form("⌊{0}⌋"), Form(r"\left\lfloor {0} \right\rfloor")),
    doc="The greatest integer that is not greater; its slope is 0 everywhere.",
)
