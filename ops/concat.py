"""concat: values of a row side by side."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from lstmgraph.errors import ShapeError
from lstmgraph.graph import Shape, features, is_row, join, lead
from lstmgraph.ops.contract import Form, Glyph, Notation, Op, Shapes


def _shape(shapes: Shapes, attrs: Mapping[str, Any]) -> Shape:
    for shape in shapes:
        if not is_row(shape) or lead(shape) != lead(shapes[0]):
            raise ShapeError(
                f"concat: got an operand of shape {shape}, expected rows; spread it first with lg.broadcast"
            )
    return (*lead(shapes[0]), join(features(shape)[-1] for shape in shapes))


def _meaning(*values: Any) -> Any:
    return np.concatenate(values, axis=-1)


def _pullback(result: Any, operands: Any, cotangent: Any) -> tuple[Any, ...]:
    parts = tuple(operand.shape[-1] for operand in operands)
    return tuple(cotangent.builder.add("part", cotangent, index=index, parts=parts) for index in range(len(operands)))


op = Op(
    "concat",
    "join",
    _shape,
    meaning=_meaning,
    pullback=_pullback,
    glyph=Glyph("none", ""),
    notation=Notation(Form("[{all}]"), Form(r"\left[{all}\right]")),
    doc="Values side by side along the features.",
)
