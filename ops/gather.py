"""gather: the rows of a table that an index names (an embedding)."""

from collections.abc import Mapping
from typing import Any

from lstmgraph.errors import ShapeError
from lstmgraph.graph import Shape, features, is_row
from lstmgraph.ops.contract import Form, Glyph, Notation, Op, Shapes


def _shape(shapes: Shapes, attrs: Mapping[str, Any]) -> Shape:
    table, index = shapes
    if is_row(table) or len(table) != 2:
        raise ShapeError(f"gather: got a table of shape {table}, expected a parameter matrix [entries, features]")
    if features(index) or not is_row(index):
        raise ShapeError(f"gather: got an index of shape {index}, expected one integer a row; pass an input as it is")
    return index + table[1:]


def _meaning(table: Any, index: Any) -> Any:
    return table[index]


op = Op(
    "gather",
    "gather",
    _shape,
    meaning=_meaning,
    pullback=lambda result, operands, cotangent: (
        cotangent.builder.add("scatter", cotangent, operands[1], size=operands[0].shape[0]),
        None,
    ),
    glyph=Glyph("box", "table"),
    notation=Notation(Form("{0:postfix}[{1}]"), Form(r"{0:postfix}\left[{1}\right]")),
    doc="The rows of a table named by an index.",
)
