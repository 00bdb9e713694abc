"""transpose: a parameter matrix with its axes exchanged."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from lstmgraph.errors import ShapeError
from lstmgraph.graph import Builder, Shape, Symbol, is_row
from lstmgraph.ops.contract import Glyph, Op, Shapes


def _shape(shapes: Shapes, attrs: Mapping[str, Any]) -> Shape:
    (matrix,) = shapes
    if is_row(matrix) or len(matrix) != 2:
        raise ShapeError(f"transpose: got shape {matrix}, expected a parameter matrix")
    return matrix[::-1]


def _simplify(builder: Builder, values: tuple[Symbol, ...], attrs: dict[str, Any]) -> Symbol | None:
    return values[0].sources[0] if values[0].node.op == "transpose" else None


op = Op(
    "transpose",
    "invariant",
    _shape,
    meaning=np.transpose,
    pullback=lambda result, operands, cotangent: (cotangent.T,),
    glyph=Glyph("ellipse", "ᵀ"),
    simplify=_simplify,
    doc="The transpose of a parameter matrix, also `U.T`.",
)
