"""batch_sum: the sum over all rows: the gradient of a bias."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from lstmgraph.graph import Shape, features
from lstmgraph.ops.contract import Form, Glyph, Notation, Op, Shapes


def _shape(shapes: Shapes, attrs: Mapping[str, Any]) -> Shape:
    return () if attrs.get("scalar") else features(shapes[0])


def _meaning(value: Any, scalar: bool = False) -> Any:
    total = np.reshape(value, (-1, np.shape(value)[-1])).sum(0)
    return total.reshape(()) if scalar else total


op = Op(
    "batch_sum",
    "over_rows",
    _shape,
    meaning=_meaning,
    pullback=lambda result, operands, cotangent: (
        cotangent.builder.add("broadcast", cotangent, target=operands[0].shape),
    ),
    glyph=Glyph("circle", "Σ"),
    kernel="sums",
    cheap=False,
    notation=Notation(Form("1ᵀ {0:postfix}", "matmul"), Form(r"\mathbf{{1}}^\top {0:postfix}", "matmul")),
    doc="The sum over all rows; `scalar=True` makes a sum of one feature a number.",
)
