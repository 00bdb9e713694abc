"""part: one of the values that stand side by side in a row."""

from collections.abc import Mapping
from typing import Any

from lstmgraph.errors import ShapeError
from lstmgraph.graph import Shape, features, is_row, join, lead
from lstmgraph.ops.contract import Form, Glyph, Notation, Op, Shapes


def _shape(shapes: Shapes, attrs: Mapping[str, Any]) -> Shape:
    (value,), parts = shapes, attrs["parts"]
    whole = join(parts)
    if not is_row(value):
        raise ShapeError(f"part: got an operand of shape {value}, expected rows")
    if isinstance(whole, int) and isinstance(features(value)[-1], int) and whole != features(value)[-1]:
        raise ShapeError(
            f"part: got parts {parts} of a value of size {features(value)[-1]}, expected parts that add up"
        )
    return (*lead(value), parts[attrs["index"]])


def _meaning(value: Any, index: int, parts: tuple[int, ...]) -> Any:
    if value.shape[-1] != sum(parts):
        raise ShapeError(f"part: got parts {parts} of a value of size {value.shape[-1]}, expected parts that add up")
    start = sum(parts[:index])
    return value[..., start : start + parts[index]]


def _written(attrs: Mapping[str, Any]) -> str:
    index, parts = attrs["index"], attrs["parts"]
    start, stop = (join(parts[:place]) if place else "" for place in (index, index + 1))
    return f"{{0:postfix}}[{start}:{'' if index == len(parts) - 1 else stop}]"


def _pullback(result: Any, operands: Any, cotangent: Any) -> tuple[Any]:
    add = cotangent.builder.add
    rows = lead(cotangent.shape)
    index, parts = result.node.attr("index"), result.node.attr("parts")
    pieces = [
        cotangent if place == index else add("broadcast", 0.0, target=(*rows, dim)) for place, dim in enumerate(parts)
    ]
    return (add("concat", *pieces),)


op = Op(
    "part",
    "view",
    _shape,
    meaning=_meaning,
    pullback=_pullback,
    glyph=Glyph("none", ""),
    notation=Notation(Form(_written), Form(_written)),
    doc="Part number `index` of a row made of `parts` sizes side by side.",
)
