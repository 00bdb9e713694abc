"""clip_gradient: the value itself, whose cotangent comes back within -limit to limit."""

from dataclasses import replace
from typing import Any

from lstmgraph.graph import Symbol
from lstmgraph.ops.contract import Glyph, pointwise


def _meaning(value: Any, limit: float) -> Any:
    return value


def _pullback(result: Symbol, operands: tuple[Symbol, ...], cotangent: Symbol) -> tuple[Symbol]:
    add, limit = cotangent.builder.add, result.node.attr("limit")
    return (add("minimum", add("maximum", cotangent, -limit), limit),)


def _pushforward(result: Symbol, operands: tuple[Symbol, ...], tangents: tuple[Any, ...]) -> tuple[Symbol, Any]:
    """The value is the operand, and so is its derivative; only the way back is clipped."""
    return result, tangents[0]


op = replace(
    pointwise(
        "clip_gradient",
        meaning=_meaning,
        pullback=_pullback,
        kernel="{0}",
        glyph=Glyph("ellipse", "clip ∂"),
        doc="The value, with its gradient within limits.",
    ),
    pushforward=_pushforward,
)
