"""stop_gradient: the value itself, through which no gradient flows back."""

from typing import Any

from lstmgraph.ops.contract import Glyph, function, pointwise


def _meaning(value: Any) -> Any:
    return value


op = pointwise(
    "stop_gradient",
    meaning=_meaning,
    pullback=lambda result, operands, cotangent: (None,),
    kernel="{0}",
    glyph=Glyph("ellipse", "stop"),
    notation=function("stop_gradient", r"\operatorname{{stop\_gradient}}"),
    doc="The value, as a constant to the gradient.",
)
