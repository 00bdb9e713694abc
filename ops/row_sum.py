"""row_sum: the sum over the features of each row."""

from typing import Any

import numpy as np

from lstmgraph.ops.contract import Fold, Glyph, Op, function, row_shape


def _meaning(value: Any) -> Any:
    return np.sum(value, axis=-1, keepdims=np.ndim(value) > 1)  # a vector has no rows


op = Op(
    "row_sum",
    "reduction",
    row_shape("row_sum", 1),
    meaning=_meaning,
    pullback=lambda result, operands, cotangent: (
        cotangent.builder.add("broadcast", cotangent, target=operands[0].shape),
    ),
    kernel=Fold("zeros()", "{0} + {1}", "0.0", "total({0})"),
    glyph=Glyph("ellipse", "Σ"),
    cheap=False,
    notation=function("sum", r"\operatorname{{sum}}"),
    doc="The sum over the features of each row, as a value of size 1; of a parameter vector, a number.",
)
