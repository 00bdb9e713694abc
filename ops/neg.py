"""neg: -a."""

import numpy as np

from lstmgraph.graph import Builder, Symbol
from lstmgraph.ops.contract import Glyph, pointwise


def _simplify(builder: Builder, values: tuple[Symbol, ...], attrs: dict[str, object]) -> Symbol | None:
    return values[0].sources[0] if values[0].node.op == "neg" else None


op = pointwise(
    "neg",
    meaning=np.negative,
    pullback=lambda result, operands, cotangent: (-cotangent,),
    kernel="-{0}",
    glyph=Glyph("circle", "−"),
    simplify=_simplify,
    doc="The value with its sign changed.",
)
