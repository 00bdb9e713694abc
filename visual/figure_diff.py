"""The figure "diff": two cells side by side, what one lacks and what the other adds."""

from typing import Any

from lstmgraph.comparison import same
from lstmgraph.errors import DrawingError
from lstmgraph.visual.arranged import picture_of, scene_of
from lstmgraph.visual.compare import compare
from lstmgraph.visual.dot import Panel, document, panel_lines
from lstmgraph.visual.drawing import Drawing
from lstmgraph.visual.engine import LAYERED, PINNED
from lstmgraph.visual.layered import head, layered_lines
from lstmgraph.visual.look import Look
from lstmgraph.visual.records import Picture, Scene
from lstmgraph.visual.sketch import caption
from lstmgraph.visual.style import STATE_FONT
from lstmgraph.visual.themes import theme_named

GAP = 5.0  # between the two cells


def figure(cell: Any, *, other: Any = None, theme: str = "classic", labels: str = "symbols") -> Drawing:
    """Draw two cells side by side: what only the first has is dashed, what only the second has is bold.

    Parameters
    ----------
    cell : Cell
        The first cell.
    other : Cell
        The second one.
    theme : str
        The colours.
    labels : str
        "symbols" or "names".
    """
    if other is None:
        raise DrawingError("draw: got no second cell, expected one for figure 'diff'; pass other=cell")
    colours = theme_named(theme)
    scenes = scene_of(cell, "diff", labels), scene_of(other, "diff", labels)
    found = compare(*scenes)
    looks = (
        Look(colours, dict.fromkeys(found.removed, "removed")),
        Look(colours, dict.fromkeys(found.added, "added")),
    )
    title = f"{scenes[0].name} and {scenes[1].name}"
    text = _text(scenes, found.removed, found.added)
    if same(getattr(cell, "traced", cell), getattr(other, "traced", other)):
        text += " Up to the names of parameters they are one cell."
    pictures = picture_of(scenes[0]), picture_of(scenes[1])
    if pictures[0] is None or pictures[1] is None:
        lines = head(title, "LR", colours, "ranksep=0.35 nodesep=0.2")
        for scene, look, prefix in zip(scenes, looks, ("first.", "second."), strict=True):
            lines += layered_lines(scene, look, prefix)
        return Drawing("\n".join([*lines, "}"]) + "\n", LAYERED, title, text)
    shift = _extent(pictures[0])[1] + GAP - _extent(pictures[1])[0]
    high = max(pictures[0].placement.height, pictures[1].placement.height)  # their upper sides are level
    panels = (
        Panel(pictures[0], looks[0], "first.", 0, high - pictures[0].placement.height),
        Panel(pictures[1], looks[1], "second.", shift, high - pictures[1].placement.height),
    )
    lines = [line for panel in panels for line in panel_lines(panel)]
    top = max(panel.y + _top(panel.picture) for panel in panels) + 2.5
    for panel, colour in zip(panels, (colours.removed, colours.added), strict=True):
        middle = panel.x + panel.picture.placement.width / 2
        name = panel.picture.scene.name
        lines.append(caption(f"{panel.prefix}caption", name, middle, top, colour, STATE_FONT))
    return Drawing(document(title, lines, colours), PINNED, title, text)


def _text(scenes: tuple[Scene, Scene], removed: frozenset[Any], added: frozenset[Any]) -> str:
    """Return the differences in words."""

    def listed(scene: Scene, keys: frozenset[Any]) -> str:
        return ", ".join(key for key in scene.items if key in keys) or "no node"

    first, second = scenes
    return (
        f"{first.name} beside {second.name}. Only {first.name} has {listed(first, removed)}; only {second.name} has "
        f"{listed(second, added)}; {sum(isinstance(what, tuple) for what in removed)} wires go, "
        f"{sum(isinstance(what, tuple) for what in added)} come."
    )


def _extent(picture: Picture) -> tuple[float, float]:
    """Return how far a picture reaches to the left and to the right."""
    boxes = picture.placement.boxes.values()
    left = min([0.0, *(box.x - box.half_width for box in boxes)])
    return left, max([float(picture.placement.width), *(box.x + box.half_width for box in boxes)])


def _top(picture: Picture) -> float:
    boxes = picture.placement.boxes.values()
    return max([float(picture.placement.height), *(box.y + box.half_height for box in boxes)])
