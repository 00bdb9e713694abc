"""The figure "unrolled": a cell at several steps, side by side, its states handed from box to box."""

from collections.abc import Iterable
from dataclasses import replace
from itertools import pairwise
from typing import Any

from lstmgraph.errors import DrawingError, nearest
from lstmgraph.visual.arranged import scene_of
from lstmgraph.visual.captioned import with_equations
from lstmgraph.visual.dot import document
from lstmgraph.visual.drawing import Drawing
from lstmgraph.visual.engine import PINNED
from lstmgraph.visual.look import Look, Mark, listed
from lstmgraph.visual.records import Pair, Scene, Spot
from lstmgraph.visual.sizes import size_of
from lstmgraph.visual.sketch import run, stand
from lstmgraph.visual.steps import Step, half_width, heights, shifted, step_lines
from lstmgraph.visual.themes import Theme, theme_named

GAP = 6.0  # between boxes
LEAST_WIDTH, LEAST_HEIGHT, STATE_STEP = 5.0, 4.0, 4.0  # half sizes of a box, and from one state's wire to the next
MOST = 100  # steps


def figure(
    cell: Any,
    *,
    steps: int = 4,
    theme: str = "classic",
    labels: str = "symbols",
    highlight: str | Iterable[str] | None = None,
    equations: bool | str = False,
) -> Drawing:
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
    highlight : str or several, optional
        What stands out: states, inputs and outputs by name; what is inside of the boxes is not shown.
    equations : bool or str
        Write the cell's equations, in the figure's names: True or "below", or "beside".
    """
    if isinstance(steps, bool) or not isinstance(steps, int) or not 1 <= steps <= MOST:
        raise DrawingError(f"draw: got steps {steps!r}, expected a whole number from 1 to {MOST}")
    colours, scene = theme_named(theme), scene_of(cell, "unrolled", labels)
    times = [str(step) for step in range(1, steps + 1)]
    before, after = "0", str(steps)
    if getattr(cell, "reverse", False):
        times, before, after = times[::-1], str(steps), "0"
    half = half_width(scene, times, LEAST_WIDTH)
    high = max(LEAST_HEIGHT, STATE_STEP * (len(scene.states) - 1) / 2 + 2)
    boxes = [
        Step(f"step {time}", time, Spot((2 * half + GAP) * place, 0, half, high)) for place, time in enumerate(times)
    ]
    look = _look(colours, scene, boxes, highlight)
    lines = [line for box in boxes for line in step_lines(scene, box, look)]
    lines += _states(scene, look, boxes, (before, after))
    text = f"{scene.name} at {steps} steps: a box each, inputs below, outputs above, states from left to right."
    drawing = Drawing(document(f"{scene.name} unrolled", lines, colours), PINNED, f"{scene.name}, unrolled", text)
    return with_equations(drawing, cell, scene, colours, equations)


def _look(theme: Theme, scene: Scene, boxes: list[Step], names: str | Iterable[str] | None) -> Look:
    """Return the look that shows what is named at every step; states are marked by their names."""
    if names is None:
        return Look(theme)
    states = [state.name for state in scene.states]
    ends = {key.partition(":")[2]: key for key in scene.of_kind("output", "input")}
    marks: dict[str | Pair, Mark] = {}
    for name in listed(names):
        if name not in states and name not in ends:
            known = list(dict.fromkeys([*states, *ends]))
            raise DrawingError(
                f"draw: figure 'unrolled' shows nothing named {name!r} of {scene.name}, expected a state, an input or "
                f"an output: {', '.join(known)}{nearest(str(name), known)}; figure='cell' shows its inside"
            )
        if name in states:
            marks[name] = "lit"
        if name in ends:
            for box in boxes:
                key = f"{box.key}.{ends[name]}"
                marks |= {key: "lit", (key, box.key): "lit", (box.key, key): "lit"}
    return Look(theme, marks, "faded")


def _states(scene: Scene, look: Look, boxes: list[Step], ends: tuple[str, str]) -> list[str]:
    """Return the states' wires, from the first ones at the left to the last ones at the right."""
    first, last = boxes[0].spot, boxes[-1].spot
    high = first.half_height - 2
    places = heights(scene, -high, high) if scene.states else {}
    lines = []
    for state in scene.states:
        y = places[state.name]
        words = "conveyor" if state.name in scene.conveyors else "wire"
        own = Look(look.theme, rest="lit") if look.mark(state.name) == "lit" else look
        old, new = scene.items[state.old], scene.items[state.new]
        assert old.name is not None and new.name is not None
        old = replace(old, name=shifted(old.name, ends[0]), tooltip=f"state {state.name} at the start")
        new = replace(new, name=shifted(new.name, ends[1]), tooltip=f"state {state.name} at the end")
        wide = size_of(old, 0)[0], size_of(new, 0)[0]
        left, right = first.x - first.half_width, last.x + last.half_width
        lines += [
            stand(old, Spot(left - GAP + 1 - wide[0], y, wide[0], 1.5), own, words == "conveyor"),
            stand(new, Spot(right + GAP - 1 + wide[1], y, wide[1], 1.5), own, words == "conveyor"),
            run((old.key, boxes[0].key), [(left - GAP + 1, y), (left, y)], own, words, old.tooltip),
            run((boxes[-1].key, new.key), [(right, y), (right + GAP - 1, y)], own, words, new.tooltip),
        ]
        for one, other in pairwise(boxes):
            edge = one.spot.x + one.spot.half_width
            tip = f"state {state.name} {old.shape} after step {one.time}"
            way = [(edge, y), (edge + GAP, y)]
            lines.append(run((one.key, other.key), way, own, words, tip, key=f"{state.name} "))
    return lines
