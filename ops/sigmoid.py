"""sigmoid: 1 / (1 + exp(-a)), between 0 (lets nothing through) and 1 (lets everything through)."""

from typing import Any

import numpy as np

from lstmgraph.ops.contract import Glyph, function, pointwise


def _meaning(value: Any) -> Any:
    small = np.exp(-np.abs(value))  # never overflows
    return np.where(value >= 0, 1 / (1 + small), small / (1 + small)).astype(np.result_type(value), copy=False)


op = pointwise(
    "sigmoid",
    meaning=_meaning,
    pullback=lambda result, operands, cotangent: (cotangent * (result * (1 - result)),),
    kernel="sigmoid({0})",
    glyph=Glyph("ellipse", "σ"),
    notation=function("σ", r"\sigma"),
    doc="The logistic sigmoid.",
)
