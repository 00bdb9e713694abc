"""item: one result of a recur: an output, a final state, the states before each step, or a sum."""

from collections.abc import Mapping
from typing import Any

from lstmgraph.graph import Builder, Shape, Symbol
from lstmgraph.ops.contract import Glyph, Op, Shapes


class Bundle(dict[tuple[str, str], Any]):
    """Cotangents (or tangents) of several results of one recur, by (kind, name); bundles add up."""

    def __add__(self, other: "Bundle") -> "Bundle":
        both = Bundle(self)
        for result, cotangent in other.items():
            both[result] = both[result] + cotangent if result in both else cotangent
        return both


def _shape(shapes: Shapes, attrs: Mapping[str, Any]) -> Shape:
    return attrs["target"]  # type: ignore[no-any-return]


def _meaning(results: Any, kind: str, name: str, target: Shape) -> Any:
    return results[kind, name]


def _pullback(result: Symbol, operands: tuple[Symbol, ...], cotangent: Symbol) -> tuple[Bundle]:
    return (Bundle({(result.node.attr("kind"), result.node.attr("name")): cotangent}),)


def _pushforward(result: Symbol, operands: tuple[Symbol, ...], tangents: tuple[Any, ...]) -> tuple[Symbol, Any]:
    return result, tangents[0].get((result.node.attr("kind"), result.node.attr("name")))


def take(builder: Builder, recur: Symbol, kind: str, name: str, shape: Shape) -> Symbol:
    """Return one result of a recur; kind is "output", "final", "previous" or "sum"."""
    return builder.add("item", recur, kind=kind, name=name, target=shape)


op = Op(
    "item",
    "item",
    _shape,
    _meaning,
    _pullback,
    Glyph("none", ""),
    doc="One result of a recur.",
    pushforward=_pushforward,
)
