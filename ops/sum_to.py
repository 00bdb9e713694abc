"""sum_to: a cotangent brought to the shape of its operand, by sums where the operand was spread."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from lstmgraph.graph import Builder, Shape, Symbol, features, is_row
from lstmgraph.ops.contract import Form, Glyph, Notation, Op, Shapes


def _shape(shapes: Shapes, attrs: Mapping[str, Any]) -> Shape:
    return attrs["target"]  # type: ignore[no-any-return]


def _meaning(value: Any, target: tuple[int, ...]) -> Any:
    value = np.asarray(value)
    extra = max(value.ndim - len(target), 0)
    value = value.sum(axis=tuple(range(extra)))
    narrow = tuple(axis for axis, size in enumerate(target) if size == 1 and value.shape[axis] != 1)
    return np.broadcast_to(value.sum(axis=narrow, keepdims=True), target)


def _simplify(builder: Builder, values: tuple[Symbol, ...], attrs: dict[str, Any]) -> Symbol | None:
    """Exchange it for row_sum, batch_sum and broadcast as soon as the sizes tell which is meant."""
    (value,), target = values, attrs["target"]
    if value.shape == target:
        return value
    if not is_row(value.shape):
        return builder.add("broadcast", value, target=target) if is_row(target) else None
    width, wanted = features(value.shape)[-1], features(target)[-1] if features(target) else 1
    if width != wanted and 1 not in (width, wanted):
        return None  # symbols that a binding of sizes will settle
    if wanted == 1 and width != 1:
        value = builder.add("row_sum", value)
    elif width == 1 and wanted != 1:
        value = builder.add("broadcast", value, target=(*value.shape[:-1], wanted))
    return value if is_row(target) else builder.add("batch_sum", value, scalar=True if target == () else None)


op = Op(
    "sum_to",
    "invariant",
    _shape,
    meaning=_meaning,
    pullback=lambda result, operands, cotangent: (
        cotangent.builder.add("sum_to", cotangent, target=operands[0].shape)
        if is_row(cotangent.shape) or len(cotangent.shape) > len(operands[0].shape)
        else cotangent.builder.add("broadcast", cotangent, target=operands[0].shape),
    ),
    glyph=Glyph("circle", "Σ"),
    simplify=_simplify,
    notation=Notation(Form("sum_to({0}, {target})"), Form(r"\operatorname{{sum\_to}}({0}, {target})")),
    doc="A value summed to a narrower shape.",
)
