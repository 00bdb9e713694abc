"""outer: the sum over all rows of the outer products of two values: the gradient of a weight matrix."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from lstmgraph.graph import Shape, features
from lstmgraph.ops.contract import Form, Glyph, Notation, Op, Shapes


def _shape(shapes: Shapes, attrs: Mapping[str, Any]) -> Shape:
    return features(shapes[0])[-1:] + features(shapes[1])[-1:]


def _meaning(first: Any, second: Any) -> Any:
    return np.reshape(first, (-1, np.shape(first)[-1])).T @ np.reshape(second, (-1, np.shape(second)[-1]))


op = Op(
    "outer",
    "over_rows",
    _shape,
    meaning=_meaning,
    pullback=lambda result, operands, cotangent: (operands[1] @ cotangent.T, operands[0] @ cotangent),
    glyph=Glyph("circle", "⊗"),
    kernel="products",
    cheap=False,
    notation=Notation(Form("{0:postfix}ᵀ {1:postfix}", "matmul"), Form(r"{{{0:postfix}}}^\top {1:postfix}", "matmul")),
    doc="The sum over rows of outer products.",
)
