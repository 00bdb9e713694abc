"""select: a where a condition holds, else b; what is not chosen never shows, not even a NaN."""

from typing import Any

import numpy as np

from lstmgraph.ops.contract import Form, Glyph, Notation, pointwise


def _meaning(condition: Any, first: Any, second: Any) -> Any:
    return np.where(np.asarray(condition) != 0, first, second)


def _pullback(result: Any, operands: Any, cotangent: Any) -> tuple[Any, Any, Any]:
    condition = operands[0]
    add = cotangent.builder.add
    return None, add("select", condition, cotangent, 0.0), add("select", condition, 0.0, cotangent)


op = pointwise(
    "select",
    meaning=_meaning,
    pullback=_pullback,
    kernel="select({0}, {1}, {2})",
    glyph=Glyph("ellipse", "select"),
    notation=Notation(
        Form("select{args}"),
        Form(r"\begin{{cases}} {1} & {0} \\ {2} & \text{{otherwise}} \end{{cases}}"),
    ),
    doc="The second value where the first (a comparison) is not 0, else the third.",
)
