"""The figure "gradient": the adjoint of a cell drawn as the cell it is, or the gradient's way laid over the cell."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from lstmgraph.errors import DrawingError
from lstmgraph.visual.arranged import picture_of, scene_of
from lstmgraph.visual.captioned import with_equations
from lstmgraph.visual.curves import Place
from lstmgraph.visual.dot import Panel, document, panel_lines, quote, way
from lstmgraph.visual.drawing import Drawing
from lstmgraph.visual.engine import PINNED
from lstmgraph.visual.figure_cell import figure as cell_figure
from lstmgraph.visual.look import Look, Mark, Paint
from lstmgraph.visual.records import Pair, Picture, Scene
from lstmgraph.visual.routing import conveyor_pairs
from lstmgraph.visual.strokes import strokes
from lstmgraph.visual.themes import Theme, theme_named
from lstmgraph.visual.wording import called

STOPS = ("stop", "<", "≤", "=")  # glyphs of ops that no gradient passes
ASIDE = 4.5  # how far the way back runs beside the wire, in points
BOLD, THIN, HEAD = 3.0, 1.4, 7.0


def figure(
    cell: Any,
    *,
    overlay: bool = False,
    theme: str = "classic",
    labels: str = "symbols",
    highlight: str | Iterable[str] | None = None,
    equations: bool | str = False,
) -> Drawing:
    """Draw the gradient of a cell.

    Parameters
    ----------
    cell : Cell
        Any cell.
    overlay : bool
        Draw the cell itself and the gradient's way back over it: bold along the straight lines, dashed elsewhere.
        It ends at the layers, whose weights it changes; what layers read gets its part from there.
    theme : str
        The colours.
    labels : str
        "symbols" or "names".
    highlight : str or several, optional
        What stands out in the adjoint cell, by name.
    equations : bool or str
        Write the equations of the cell that is drawn: True or "below", or "beside".
    """
    colours = theme_named(theme)
    scene = scene_of(cell, "gradient", labels)
    if not overlay:
        from lstmgraph.autodiff import gradient

        adjoint = gradient(getattr(cell, "traced", cell))
        made = cell_figure(adjoint, theme=theme, labels=labels, highlight=highlight, equations=equations)
        text = f"The adjoint of {scene.name}, from the cotangents of its results to those of what it reads. "
        return Drawing(made.dot, made.layout, f"{scene.name}: the gradient", text + made.description)
    if highlight is not None:
        raise DrawingError("draw: got highlight with overlay=True, expected one of them; draw two figures")
    picture = picture_of(scene)
    if picture is None:
        raise DrawingError(
            f"draw: {scene.name} is too large to lay its gradient over it, expected fewer nodes; take overlay=False"
        )
    marks: dict[str | Pair, Mark] = dict.fromkeys(scene.wires, "faded")
    panel = Panel(picture, Look(colours, marks))
    lines = [*panel_lines(panel), *_way_back(picture, colours)]
    text = (
        f"{scene.name} with the way of the gradient: from the next states and outputs back to the layers and the "
        "previous states, undiminished along the straight lines but for what multiplies there."
    )
    dot = document(f"{scene.name} gradient", lines, colours)
    drawing = Drawing(dot, PINNED, f"{scene.name}: the way of the gradient", text)
    return with_equations(drawing, cell, scene, colours, equations)


def _way_back(picture: Picture, theme: Theme) -> Iterator[str]:
    scene = picture.scene
    straight = conveyor_pairs(scene)
    for stroke in strokes(picture):
        pair = stroke.source, stroke.target
        if not _carries(scene, pair, straight):
            continue
        bold = pair in straight
        paint = Paint("", theme.gradient, theme.text, BOLD if bold else THIN, HEAD)
        style = "" if bold else " style=dashed"
        tip = f"gradient of {called(scene.items[pair[0]])}, from {called(scene.items[pair[1]])}"
        yield (
            f"{quote(pair[1])} -> {quote(pair[0])} [id={quote(f'gradient.{pair[1]}_to_{pair[0]}')} "
            f'class="gradient" tooltip={quote(tip)} {way(_beside(stroke.places[::-1]), paint, True, theme)}{style}];'
        )


def _carries(scene: Scene, pair: Pair, straight: set[Pair]) -> bool:
    """Whether the way back along a wire is drawn."""
    if any(scene.items[key].text in STOPS for key in pair):
        return False
    return pair in straight or scene.items[pair[0]].kind in ("op", "layer")


def _beside(places: Sequence[Place]) -> list[Place]:
    """Return an orthogonal way moved to its right side."""
    found = []
    for at, (x, y) in enumerate(places):
        aside: set[Place] = set()
        for start, stop in ((at - 1, at), (at, at + 1)):
            if start >= 0 and stop < len(places):
                aside.add(_right_of(places[start], places[stop]))
        found.append((x + ASIDE * sum(dx for dx, _ in aside), y + ASIDE * sum(dy for _, dy in aside)))
    return found


def _right_of(start: Place, stop: Place) -> Place:
    """Return the unit step to the right of a horizontal or vertical way."""

    def sign(value: float) -> float:
        return float((value > 0) - (value < 0))

    return sign(stop[1] - start[1]), -sign(stop[0] - start[0])
