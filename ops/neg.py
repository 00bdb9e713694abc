"""neg: -a."""

import numpy as np

from lstmgraph.graph import Builder, Symbol
from lstmgraph.ops.contract import Form, Glyph, Notation, pointwise


def _simplify(builder: Builder, values: tuple[Symbol, ...], attrs: dict[str, object]) -> Symbol | None:
    return values[0].sources[0] if values[0].node.op == "neg" else None


op = pointwise(
    "neg",
    meaning=np.negative,
    pullback=lambda result, operands, cotangent: (-cotangent,),
    kernel="-{0}",
    glyph=Glyph("circle", "−"),
    simplify=_simplify,
    notation=Notation(Form("-{0:quotient}", "minus"), Form("-{0:quotient}", "minus")),
    doc="The value with its sign changed.",
)
