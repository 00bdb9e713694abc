"""one_hot: 1 at the feature that an index names, 0 elsewhere."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from lstmgraph.errors import ShapeError
from lstmgraph.graph import Shape, features, is_row
from lstmgraph.ops.contract import Glyph, Op, Shapes


def _shape(shapes: Shapes, attrs: Mapping[str, Any]) -> Shape:
    (index,) = shapes
    if features(index) or not is_row(index):
        raise ShapeError(f"one_hot: got an index of shape {index}, expected one integer a row; pass an input as it is")
    return (*index, attrs["size"])


def _meaning(index: Any, size: int) -> Any:
    return (np.asarray(index)[..., None] == np.arange(size)).astype(float)


op = Op(
    "one_hot",
    "pointwise",
    _shape,
    meaning=_meaning,
    pullback=lambda result, operands, cotangent: (None,),
    kernel="equal({feature}, {0})",
    glyph=Glyph("ellipse", "one hot"),
    doc="1 at the feature named by an index, 0 elsewhere, `size` features.",
)
