"""less: 1 where a is less than b, 0 elsewhere."""

from typing import Any

import numpy as np

from lstmgraph.ops.contract import Glyph, infix, pointwise, same_dtype


def _meaning(first: Any, second: Any) -> Any:
    return same_dtype(np.less(first, second), np.result_type(first, second))


op = pointwise(
    "less",
    meaning=_meaning,
    pullback=lambda result, operands, cotangent: (None, None),
    kernel="less({0}, {1})",
    glyph=Glyph("circle", "<"),
    notation=infix("<", "<", "comparison", "sum"),
    doc="1 where the first value is less than the second, 0 elsewhere; a condition for `lg.select`.",
)
