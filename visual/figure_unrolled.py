"""The figure "unrolled": a cell at several steps, side by side, its states handed from box to box."""

from dataclasses import replace
from itertools import pairwise
from typing import Any

from lstmgraph.errors import DrawingError
from lstmgraph.visual.arranged import scene_of
from lstmgraph.visual.dot import document
from lstmgraph.visual.drawing import Drawing
from lstmgraph.visual.engine import PINNED
from lstmgraph.visual.look import Look
from lstmgraph.visual.records import Scene, Spot
from lstmgraph.visual.sizes import size_of
from lstmgraph.visual.sketch import run, stand
from lstmgraph.visual.steps import Step, half_width, heights, shifted, step_lines
from lstmgraph.visual.themes import theme_named

GAP = 6.0  # between boxes
LEAST_WIDTH, LEAST_HEIGHT, STATE_STEP = 5.0, 4.0, 4.0  # half sizes of a box, and from one state's wire to the next
MOST = 100  # steps


def figure(cell: Any, *, steps: int = 4, theme: str = "classic", labels: str = "symbols") -> Drawing:
    """Draw a cell as boxes, one a step.

    Parameters
    ----------
    cell : Cell
        Any cell. An adjoint runs from the last step to the first, and is drawn so from left to right.
    steps : int
        How many.
    theme : str
        The colours.
    labels : str
        "symbols" or "names".
    """
    if isinstance(steps, bool) or not isinstance(steps, int) or not 1 <= steps <= MOST:
        raise DrawingError(f"draw: got steps {steps!r}, expected a whole number from 1 to {MOST}")
    look = Look(theme_named(theme))
    scene = scene_of(cell, "unrolled", labels)
    times = [str(step) for step in range(1, steps + 1)]
    before, after = "0", str(steps)
    if getattr(cell, "reverse", False):
        times, before, after = times[::-1], str(steps), "0"
    half = half_width(scene, times, LEAST_WIDTH)
    high = max(LEAST_HEIGHT, STATE_STEP * (len(scene.states) - 1) / 2 + 2)
    boxes = [
        Step(f"step {time}", time, Spot((2 * half + GAP) * place, 0, half, high)) for place, time in enumerate(times)
    ]
    lines = [line for box in boxes for line in step_lines(scene, box, look)]
    lines += _states(scene, look, boxes, (before, after))
    text = f"{scene.name} at {steps} steps: a box each, inputs below, outputs above, states from left to right."
    return Drawing(document(f"{scene.name} unrolled", lines, look.theme), PINNED, f"{scene.name}, unrolled", text)


def _states(scene: Scene, look: Look, boxes: list[Step], ends: tuple[str, str]) -> list[str]:
    """Return the states' wires, from the first ones at the left to the last ones at the right."""
    first, last = boxes[0].spot, boxes[-1].spot
    high = first.half_height - 2
    places = heights(scene, -high, high) if scene.states else {}
    lines = []
    for state in scene.states:
        y = places[state.name]
        words = "conveyor" if state.name in scene.conveyors else "wire"
        old, new = scene.items[state.old], scene.items[state.new]
        assert old.name is not None and new.name is not None
        old = replace(old, name=shifted(old.name, ends[0]), tooltip=f"state {state.name} at the start")
        new = replace(new, name=shifted(new.name, ends[1]), tooltip=f"state {state.name} at the end")
        wide = size_of(old, 0)[0], size_of(new, 0)[0]
        left, right = first.x - first.half_width, last.x + last.half_width
        lines += [
            stand(old, Spot(left - GAP + 1 - wide[0], y, wide[0], 1.5), look, words == "conveyor"),
            stand(new, Spot(right + GAP - 1 + wide[1], y, wide[1], 1.5), look, words == "conveyor"),
            run((old.key, boxes[0].key), [(left - GAP + 1, y), (left, y)], look, words, old.tooltip),
            run((boxes[-1].key, new.key), [(right, y), (right + GAP - 1, y)], look, words, new.tooltip),
        ]
        for one, other in pairwise(boxes):
            edge = one.spot.x + one.spot.half_width
            tip = f"state {state.name} after step {one.time}"
            lines.append(run((one.key, other.key), [(edge, y), (edge + GAP, y)], look, words, tip))
    return lines
