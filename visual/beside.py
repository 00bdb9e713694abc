"""Where the names beside layers stand, and which have a wire through them."""

from collections.abc import Callable, Mapping

from lstmgraph.visual.records import Box, Name, Point, Scene
from lstmgraph.visual.sizes import name_width
from lstmgraph.visual.style import LABEL_FONT, UNIT

RIGHT, LEFT = 1, -1
MEETING = 3  # two names that meet are as bad as so many points of a wire in a name
LEFTWARD = 0.25  # of equal sides the right one

Sides = dict[str, int]


def name_places(name: Name | None, box: Box) -> dict[int, set[Point]]:
    """Return the points that a layer's name takes, right (1) or left (−1) of the wire that leaves the layer."""
    wide = int(name_width(name, LABEL_FONT) / UNIT) + 2
    return {sign: {(box.x + sign * dx, box.y + dy) for dx in range(1, wide) for dy in (2, 3)} for sign in (RIGHT, LEFT)}


def name_sides(scene: Scene, boxes: Mapping[str, Box], has_wire: Callable[[Point], bool]) -> Sides:
    """Return layer -> the side of its name: right unless a wire or another name is in the way there.

    The names are chosen together, from left to right: each meets only its neighbours.
    """
    return _chosen(scene, boxes, has_wire)[0]


def covered(scene: Scene, boxes: Mapping[str, Box], has_wire: Callable[[Point], bool]) -> list[str]:
    """Return the layers whose names have a wire or another name through them, however the sides are chosen."""
    sides, places, wires = _chosen(scene, boxes, has_wire)
    found, before = [], set[Point]()
    for key, sign in sides.items():
        if wires[key][sign] >= 1 or _meet(before, places[key][sign]):
            found.append(key)
        before = places[key][sign]
    return found


def _meet(left: set[Point], right: set[Point]) -> bool:
    """Whether two names stand on each other or so close that they read as one."""
    return any((x, y) in right or (x + 1, y) in right for x, y in left)


def _chosen(
    scene: Scene, boxes: Mapping[str, Box], has_wire: Callable[[Point], bool]
) -> tuple[Sides, dict[str, dict[int, set[Point]]], dict[str, dict[int, float]]]:
    """Return the sides, the points that each name takes at each side, and what wires there cost."""
    places = {
        key: name_places(item.name, boxes[key])
        for key, item in scene.items.items()
        if item.kind == "layer" and item.name is not None
    }
    order = sorted(places, key=lambda key: (boxes[key].x, boxes[key].y))
    wires = {key: {sign: float(sum(map(has_wire, at))) for sign, at in places[key].items()} for key in order}
    best: dict[int, tuple[float, Sides]] = {RIGHT: (0.0, {}), LEFT: (0.0, {})}
    for place, key in enumerate(order):
        after = {}
        for sign, at in places[key].items():
            options = []
            for last, (cost, sides) in best.items():
                meeting = bool(place) and _meet(places[order[place - 1]][last], at)
                cost += wires[key][sign] + MEETING * meeting + LEFTWARD * (sign == LEFT)
                options.append((cost, sides))
            cost, sides = min(options, key=lambda option: option[0])
            after[sign] = cost, {**sides, key: sign}
        best = after
    return min(best.values(), key=lambda option: option[0])[1], places, wires
