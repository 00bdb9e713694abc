"""matmul: rows times a matrix, v @ W; the matrix is an operand like any other."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from lstmgraph.errors import ShapeError
from lstmgraph.graph import Shape, features, is_row, lead
from lstmgraph.ops.contract import Form, Glyph, Notation, Op, Shapes


def _shape(shapes: Shapes, attrs: Mapping[str, Any]) -> Shape:
    value, matrix = shapes
    if is_row(matrix) or len(matrix) != 2:
        raise ShapeError(
            f"matmul: got a second operand of shape {matrix}, expected a parameter matrix [inputs, outputs]"
        )
    if not features(value):
        raise ShapeError(f"matmul: got a first operand of shape {value}, expected rows or a parameter")
    inner, rows = features(value)[-1], matrix[0]
    if isinstance(inner, int) and isinstance(rows, int) and inner != rows:
        raise ShapeError(f"matmul: got a value of size {inner} and a matrix of shape {matrix}, expected [{inner}, ...]")
    return lead(value) + features(value)[:-1] + matrix[1:]


op = Op(
    "matmul",
    "matmul",
    _shape,
    meaning=np.matmul,
    pullback=lambda result, operands, cotangent: (
        cotangent @ operands[1].T,
        cotangent.builder.add("outer", operands[0], cotangent),
    ),
    glyph=Glyph("box", "W"),
    cheap=False,
    notation=Notation(Form("{0:postfix} {1:postfix}", "matmul"), Form("{0:postfix} {1:postfix}", "matmul")),
    doc="Rows times a matrix, also `value @ matrix`.",
)
