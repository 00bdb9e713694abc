"""cumulative_sum: each feature plus all before it (or, reversed, all after it)."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from lstmgraph.ops.contract import Form, Glyph, Notation, Op, row_shape


def _meaning(value: Any, reverse: bool = False) -> Any:
    return np.cumsum(value[..., ::-1], axis=-1)[..., ::-1] if reverse else np.cumsum(value, axis=-1)


def _name(attrs: Mapping[str, Any]) -> str:
    return "reverse_cumsum" if attrs.get("reverse") else "cumsum"


op = Op(
    "cumulative_sum",
    "running",
    row_shape("cumulative_sum", None),
    meaning=_meaning,
    pullback=lambda result, operands, cotangent: (
        cotangent.builder.add("cumulative_sum", cotangent, reverse=None if result.node.attr("reverse") else True),
    ),
    glyph=Glyph("ellipse", "cumsum"),
    cheap=False,
    notation=Notation(
        Form(lambda attrs: f"{_name(attrs)}({{0}})"),
        Form(lambda attrs: rf"\operatorname{{{{{_name(attrs).replace('_', chr(92) + '_')}}}}}({{0}})"),
    ),
    doc="The running sum along the features of each row; `reverse=True` runs from the last feature.",
)
