"""The figure "chain": the cell between its neighbours in time, as in the well-known figure."""

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from lstmgraph.visual.arranged import picture_of, scene_of
from lstmgraph.visual.captioned import with_equations
from lstmgraph.visual.dot import Panel, document, panel_lines
from lstmgraph.visual.drawing import Drawing
from lstmgraph.visual.engine import PINNED
from lstmgraph.visual.figure_unrolled import figure as unrolled
from lstmgraph.visual.look import Look, highlighted
from lstmgraph.visual.records import Box, Picture, Spot, Wire
from lstmgraph.visual.sketch import end, run
from lstmgraph.visual.steps import Step, ahead, half_width, step_lines
from lstmgraph.visual.themes import theme_named

GAP, BESIDE = 6.0, 1.0  # least distance from a cell's frame to the next one, and from an input to that
BEYOND = 4.0  # how far states reach beyond the neighbours
LEAST_WIDTH = 7.0  # half a neighbour


def figure(
    cell: Any,
    *,
    theme: str = "classic",
    labels: str = "symbols",
    highlight: str | Iterable[str] | None = None,
    equations: bool | str = False,
) -> Drawing:
    """Draw the inside of a cell between the previous and the next step.

    Parameters
    ----------
    cell : Cell
        Any cell; one that is too large for its inside to be placed is shown as three boxes.
    theme : str
        The colours.
    labels : str
        "symbols" or "names".
    highlight : str or several, optional
        What stands out: a state, a gate, a layer or any node by name.
    equations : bool or str
        Write the cell's equations, in the figure's names: True or "below", or "beside".
    """
    colours = theme_named(theme)
    scene = scene_of(cell, "chain", labels)
    look = highlighted(colours, scene, highlight)
    picture = picture_of(scene)
    if picture is None:
        return unrolled(cell, steps=3, theme=theme, labels=labels, highlight=highlight, equations=equations)
    bare = frozenset(scene.of_kind("old", "new"))
    panel = Panel(_cut(picture), look, bare=bare)
    lines = [*panel_lines(panel), *_neighbours(picture, look, getattr(cell, "reverse", False))]
    text = f"{scene.name} at step t in full, between its previous and its next step; states run from left to right."
    drawing = Drawing(document(f"{scene.name} chain", lines, colours), PINNED, f"{scene.name}, a chain", text)
    return with_equations(drawing, cell, scene, colours, equations)


def _cut(picture: Picture) -> Picture:
    """Return a picture whose states end at the frame."""
    width = picture.placement.width
    boxes = dict(picture.placement.boxes)
    for state in picture.scene.states:
        boxes[state.old] = Box(0, boxes[state.old].y, 0, 0)
        boxes[state.new] = Box(width, boxes[state.new].y, 0, 0)
    wires = tuple(_within(wire, width) for wire in picture.wires)
    return Picture(picture.scene, replace(picture.placement, boxes=boxes), wires)


def _within(wire: Wire, width: int) -> Wire:
    """Return a wire without what lies left or right of the frame."""
    before = sum(x < 0 for x, _ in wire.points)
    points = tuple(point for point in wire.points if 0 <= point[0] <= width)
    if len(points) < 2:
        return wire
    return replace(wire, points=points, branch=max(wire.branch - before, 0))


def _neighbours(picture: Picture, look: Look, reverse: bool) -> list[str]:
    """Return the cells at both sides and the states between them and beyond them."""
    scene, placement = picture.scene, picture.placement
    times = (ahead(1), ahead(-1)) if reverse else (ahead(-1), ahead(1))
    half = half_width(scene, times, LEAST_WIDTH)
    width, high = placement.width, placement.height / 2
    sides = Look(look.theme, rest=look.rest)
    boxes = placement.boxes.values()
    left = max(GAP, BESIDE - min(box.x - box.half_width for box in boxes))  # no terminal reaches into a neighbour's
    right = max(GAP, BESIDE + max(box.x + box.half_width for box in boxes) - width)
    before = Step("previous", times[0], Spot(-left - half, high, half, high))
    after = Step("next", times[1], Spot(width + right + half, high, half, high))
    lines = [*step_lines(scene, before, sides), *step_lines(scene, after, sides)]
    for state in scene.states:
        y = float(placement.boxes[state.old].y)
        words = "conveyor" if state.name in scene.conveyors else "wire"
        mark = {state.old, state.new} <= set(look.marks)
        bright = look if not mark else Look(look.theme, rest="lit")
        first, last = f"first:{state.name}", f"last:{state.name}"
        outer = -left - 2 * half, width + right + 2 * half
        lines += [end(first, outer[0] - BEYOND, y), end(last, outer[1] + BEYOND, y)]
        for ends, way in (
            ((first, "previous"), (outer[0] - BEYOND, outer[0])),
            (("previous", state.old), (-left, 0)),
            ((state.new, "next"), (width, width + right)),
            (("next", last), (outer[1], outer[1] + BEYOND)),
        ):
            lines.append(run(ends, [(float(x), y) for x in way], bright, words, f"state {state.name}"))
    return lines
