"""scatter: rows added up by their index into a table: the gradient of an embedding."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from lstmgraph.graph import Shape, features
from lstmgraph.ops.contract import Glyph, Op, Shapes


def _shape(shapes: Shapes, attrs: Mapping[str, Any]) -> Shape:
    return (attrs["size"], *features(shapes[0]))


def _meaning(value: Any, index: Any, size: int) -> Any:
    table = np.zeros((size, np.shape(value)[-1]), np.asarray(value).dtype)
    np.add.at(table, np.reshape(index, -1), np.reshape(value, (-1, np.shape(value)[-1])))
    return table


op = Op(
    "scatter",
    "over_rows",
    _shape,
    meaning=_meaning,
    pullback=lambda result, operands, cotangent: (cotangent.builder.add("gather", cotangent, operands[1]), None),
    glyph=Glyph("circle", "Σ"),
    kernel="table",
    cheap=False,
    doc="Rows added up by index into a table of `size` entries.",
)
