"""less_equal: 1 where a is at most b, 0 elsewhere."""

from typing import Any

import numpy as np

from lstmgraph.ops.contract import Glyph, infix, pointwise, same_dtype


def _meaning(first: Any, second: Any) -> Any:
    return same_dtype(np.less_equal(first, second), np.result_type(first, second))


op = pointwise(
    "less_equal",
    meaning=_meaning,
    pullback=lambda result, operands, cotangent: (None, None),
    kernel="less_equal({0}, {1})",
    glyph=Glyph("circle", "≤"),
    notation=infix("≤", r"\le", "comparison", "sum"),
    doc="1 where the first value is at most the second, 0 elsewhere; a condition for `lg.select`.",
)
