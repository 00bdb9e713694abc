"""A drawing with its cell's equations below it or beside it."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from lstmgraph.errors import DrawingError, nearest
from lstmgraph.visual.dot import plain_text, quote
from lstmgraph.visual.drawing import Drawing
from lstmgraph.visual.engine import PINNED
from lstmgraph.visual.records import Scene
from lstmgraph.visual.style import CAPTION_FONT, FONT
from lstmgraph.visual.themes import Theme
from lstmgraph.visual.typeset import LEADING, Line, names_drawn, typeset
from lstmgraph.visual.writer import extent_of

BELOW, BESIDE = "below", "beside"
SIZE = CAPTION_FONT + 3.0
GAP = 27.0  # points from the figure to the equations
MIDDLE = 0.33  # of a line of letters, above its foot, in sizes
SLANTED = f"{FONT}-Oblique"
POINTS_PER_INCH = 72


def _place_of(equations: bool | str) -> str:
    """Return where the equations go, "" for nowhere, or raise a DrawingError that says what is known."""
    if isinstance(equations, bool):
        return BELOW if equations else ""
    if equations not in (BELOW, BESIDE):
        raise DrawingError(
            f"draw: got equations {equations!r}, expected True, False, {BELOW!r} or {BESIDE!r}"
            f"{nearest(str(equations), [BELOW, BESIDE])}"
        )
    return equations


def with_equations(drawing: Drawing, cell: Any, scene: Scene, theme: Theme, wanted: bool | str) -> Drawing:
    """Return a drawing with the cell's equations typeset, in the names of the figure; as it is if none are wanted.

    Where Graphviz places the figure they are lines of text below it.
    """
    from lstmgraph.notation.equations import equations

    place = _place_of(wanted)
    if not place:
        return drawing
    text = str(equations(getattr(cell, "traced", cell)))
    if drawing.layout == PINNED:
        added = list(_lines(typeset(text, SIZE, names_drawn(scene)), extent_of(drawing.dot), place, theme))
    else:
        label = "".join(f"{plain_text(line.replace('ᵀ', '^T'))}\\l" for line in text.splitlines())
        added = [f'graph [labelloc=b fontsize={SIZE:g} fontcolor="{theme.text}" label="{label}"];']
    dot = "\n".join([drawing.dot.rstrip().removesuffix("}").rstrip(), *(f"  {line}" for line in added), "}"]) + "\n"
    said = f"{drawing.description} Its equations: {'; '.join(text.splitlines())}."
    return replace(drawing, dot=dot, description=said)


def _lines(lines: list[Line], extent: tuple[float, float, float, float], place: str, theme: Theme) -> Iterator[str]:
    """Yield a node for each piece of each line, below the figure in its middle, or right of it."""
    left, right, low, high = extent
    wide = max(piece.x + piece.width for line in lines for piece in line.pieces)
    step = LEADING * SIZE
    if place == BELOW:
        x, y = (left + right - wide) / 2, low - GAP
    else:
        x, y = right + GAP, (low + high + step * (len(lines) - 1)) / 2 - MIDDLE * SIZE
    for number, line in enumerate(lines, 1):
        for at, piece in enumerate(line.pieces):
            key = f"equation {number} {at}"
            middle = x + piece.x + piece.width / 2, y + piece.y + MIDDLE * piece.size
            font = f' fontname="{SLANTED}"' if piece.italic else ""
            yield (
                f'{quote(key)} [id={quote(key.replace(" ", "_"))} class="equation" shape=plaintext '
                f'pos="{middle[0]:.2f},{middle[1]:.2f}!" width={(piece.width * 1.3 + 6) / POINTS_PER_INCH:.4f} '
                f"height={piece.size * 1.5 / POINTS_PER_INCH:.4f} fontsize={piece.size:g}{font} "
                f'margin=0 fontcolor="{theme.text}" label={quote(piece.text)} tooltip={quote(line.text)}];'
            )
        y -= step
