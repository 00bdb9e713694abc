"""broadcast: a number or a narrower value spread to a shape."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from lstmgraph.graph import Builder, Shape, Symbol
from lstmgraph.ops.contract import Form, Glyph, Notation, Op, Shapes


def _shape(shapes: Shapes, attrs: Mapping[str, Any]) -> Shape:
    return attrs["target"]  # type: ignore[no-any-return]


def _meaning(value: Any, target: tuple[int, ...]) -> Any:
    return np.broadcast_to(value, target)


def _simplify(builder: Builder, values: tuple[Symbol, ...], attrs: dict[str, Any]) -> Symbol | None:
    return values[0] if values[0].shape == attrs["target"] else None


op = Op(
    "broadcast",
    "pointwise",
    _shape,
    meaning=_meaning,
    pullback=lambda result, operands, cotangent: (
        cotangent.builder.add("sum_to", cotangent, target=operands[0].shape),
    ),
    kernel="{0}",
    glyph=Glyph("ellipse", "spread"),
    simplify=_simplify,
    notation=Notation(Form("spread({0}, {target})"), Form(r"\operatorname{{spread}}({0}, {target})")),
    doc="A value spread to a wider shape.",
)
