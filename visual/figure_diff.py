"""The figure "diff": two cells side by side, what one lacks and what the other adds."""

from collections.abc import Iterable
from typing import Any

from lstmgraph.comparison import same
from lstmgraph.errors import DrawingError, nearest
from lstmgraph.visual.arranged import picture_of, scene_of
from lstmgraph.visual.compare import Comparison, compare
from lstmgraph.visual.dot import Panel, document, panel_lines
from lstmgraph.visual.drawing import Drawing
from lstmgraph.visual.engine import LAYERED, PINNED
from lstmgraph.visual.layered import head, layered_lines
from lstmgraph.visual.look import Look, Mark, known_names, listed, marks_of, named_keys
from lstmgraph.visual.records import Pair, Picture, Scene
from lstmgraph.visual.sketch import caption
from lstmgraph.visual.style import STATE_FONT
from lstmgraph.visual.themes import Theme, theme_named

GAP = 5.0  # between the two cells


def figure(
    cell: Any,
    *,
    other: Any = None,
    theme: str = "classic",
    labels: str = "symbols",
    highlight: str | Iterable[str] | None = None,
) -> Drawing:
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
    highlight : str or several, optional
        What stands out in either cell, by name: a state, a gate, a layer or any node.
    """
    if other is None:
        raise DrawingError("draw: got no second cell, expected one for figure 'diff'; pass other=cell (--with NAME)")
    colours = theme_named(theme)
    scenes = scene_of(cell, "diff", labels), scene_of(other, "diff", labels)
    found = compare(*scenes)
    looks = _looks(colours, scenes, found, highlight)
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
    notes = (
        f"dashed: {scenes[1].name} lacks it" if found.removed else "",
        f"bold: {scenes[0].name} lacks it" if found.added else "",
    )
    for panel, colour, note in zip(panels, (colours.removed, colours.added), notes, strict=True):
        middle = panel.x + panel.picture.placement.width / 2
        name = panel.picture.scene.name
        lines.append(caption(f"{panel.prefix}caption", name, middle, top + 2.2, colour, STATE_FONT))
        if note:
            lines.append(caption(f"{panel.prefix}note", note, middle, top, colours.label))
    return Drawing(document(title, lines, colours), PINNED, title, text)


def _looks(
    theme: Theme, scenes: tuple[Scene, Scene], found: Comparison, names: str | Iterable[str] | None
) -> tuple[Look, Look]:
    """Return how each cell is painted; where names are given all else fades."""
    marks: list[dict[str | Pair, Mark]] = [dict.fromkeys(found.removed, "removed"), dict.fromkeys(found.added, "added")]
    if names is None:
        return Look(theme, marks[0]), Look(theme, marks[1])
    lit: list[dict[str | Pair, Mark]] = [{}, {}]
    for name in listed(names):
        knowing = [place for place, scene in enumerate(scenes) if named_keys(scene, name)]
        if not knowing:
            known = list(dict.fromkeys([*known_names(scenes[0]), *known_names(scenes[1])]))
            raise DrawingError(
                f"draw: neither {scenes[0].name} nor {scenes[1].name} has anything named {name!r} to show, expected "
                f"one of {', '.join(known)}{nearest(str(name), known)}"
            )
        for place in knowing:
            shown = marks_of(scenes[place], name)
            lit[place] |= {what: marks[place].get(what, mark) for what, mark in shown.items()}
    return Look(theme, lit[0], "faded"), Look(theme, lit[1], "faded")


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
