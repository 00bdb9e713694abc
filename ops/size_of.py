"""size_of: the number of features a symbol stands for, as a number."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from lstmgraph.graph import Shape
from lstmgraph.ops.contract import Form, Glyph, Notation, Op, Shapes


def _shape(shapes: Shapes, attrs: Mapping[str, Any]) -> Shape:
    return ()


def _meaning(size: int) -> Any:
    return np.asarray(float(size))


op = Op(
    "size_of",
    "invariant",
    _shape,
    meaning=_meaning,
    pullback=lambda result, operands, cotangent: (),
    glyph=Glyph("none", "n"),
    notation=Notation(Form("{size}"), Form("{size}")),
    doc="The size of a dimension, as a number.",
)
