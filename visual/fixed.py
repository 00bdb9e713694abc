"""Texts of a size that we measure, for figures that Graphviz places: engines with other fonts place them alike."""

import html
from collections.abc import Sequence

from lstmgraph.visual.style import text_width

LINE = 1.2  # height of a line, in sizes of its font
WIDER = 1.15  # than Helvetica is what stands in for it where it is not installed
POINTS_PER_INCH = 72


def fixed_size(lines: Sequence[tuple[str, float]], around: tuple[float, float], least: float = 0.0) -> str:
    """Return the attributes of a node that is as large as its lines want.

    Parameters
    ----------
    lines : sequence of (str, float)
        Each line and the size of its font in points.
    around : (float, float)
        How much wider and higher than its text the node is, in points.
    least : float
        The least width and height.
    """
    wide = max(least, max(text_width(text, size) for text, size in lines) + around[0])
    high = max(least, sum(LINE * size for _, size in lines) + around[1])
    if len(lines) == 1 and wide <= least + 4:
        wide = high  # a circle, not nearly one
    return f"fixedsize=true width={wide / POINTS_PER_INCH:.3f} height={high / POINTS_PER_INCH:.3f}"


def fixed_label(text: str, size: float, around: float = 8.0) -> str:
    """Return a text as a label of a wire or a cluster, wide enough for it in any usual font."""
    wide, high = WIDER * text_width(text, size) + around, LINE * size + 3
    return (
        '<<TABLE BORDER="0" CELLBORDER="0" CELLPADDING="0" CELLSPACING="0"><TR><TD FIXEDSIZE="TRUE" '
        f'WIDTH="{wide:.0f}" HEIGHT="{high:.0f}">{html.escape(text)}</TD></TR></TABLE>>'
    )
