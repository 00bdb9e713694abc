"""mul: a * b, the pointwise product: what a gate does to what passes through it."""

from dataclasses import replace

import numpy as np

from lstmgraph.graph import Builder, Symbol
from lstmgraph.ops.contract import Glyph, infix, pointwise, value_of


def _simplify(builder: Builder, values: tuple[Symbol, ...], attrs: dict[str, object]) -> Symbol | None:
    first, second = values
    if value_of(second) == 1:
        return first
    if value_of(first) == 1:
        return second
    return None  # zero times a value is left: NaN must pass


op = pointwise(
    "mul",
    meaning=np.multiply,
    pullback=lambda result, operands, cotangent: (cotangent * operands[1], cotangent * operands[0]),
    kernel="{0} * {1}",
    glyph=Glyph("circle", "×"),
    simplify=_simplify,
    notation=replace(infix("⊙", r"\odot", "product"), by_number=infix("", r"\,", "product")),
    doc="The pointwise product of two values.",
)
