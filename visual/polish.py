"""From a scene to a picture: place, route, and try other rows for the ops between layers and conveyors."""

from collections.abc import Iterator, Mapping
from itertools import combinations

from lstmgraph.visual.curves import bends
from lstmgraph.visual.layout import place
from lstmgraph.visual.records import Picture, Scene
from lstmgraph.visual.routing import MANY, Budget, route

BEND_COST, CROSSING_COST, LENGTH_COST, HEIGHT_COST, MISSING_COST = 10.0, 14.0, 0.35, 2.0, 10_000.0
PAIRED = 5  # ops are moved two at a time up to so many of them
ENOUGH = 0.5  # a gain below this is no gain
EFFORT = 100_000  # states that all trials of one figure may visit


def arrange(scene: Scene) -> Picture:
    """Return the best picture of a scene that the effort allows; the same one on any machine."""
    best = _picture(scene, {}, Budget())
    cost = quality(best)
    budget = Budget(EFFORT)
    improved = len(best.wires) <= MANY
    while improved and budget.left > 0:
        improved = False
        rows = dict(best.placement.rows)
        for moves in _moves(rows):
            wanted = rows | moves
            if budget.left <= 0:
                break
            if wanted == rows or _collides(wanted, best.placement.columns):
                continue
            candidate = _picture(scene, wanted, budget)
            found = quality(candidate)
            if found < cost - ENOUGH and budget.left > 0:
                best, cost, improved = candidate, found, True
                break
    return best


def quality(picture: Picture) -> float:
    """Return what a picture costs: wires without a way, bends, crossings, length and height."""
    missing = sum(not wire.routed for wire in picture.wires)
    cost = HEIGHT_COST * picture.placement.height + CROSSING_COST * crossings(picture) + MISSING_COST * missing
    for wire in picture.wires:
        if wire.routed:
            own = bends(wire.points[max(wire.branch - 1, 0) :])
            cost += BEND_COST * (len(own) - 2) + LENGTH_COST * (len(wire.points) - wire.branch)
    return cost


def crossings(picture: Picture) -> int:
    """Return how often wires of different sources cross."""
    level: dict[tuple[int, int], set[str]] = {}
    upright: dict[tuple[int, int], set[str]] = {}
    for wire in picture.wires:
        if not wire.routed:
            continue
        for before, here in zip(wire.points, wire.points[1:], strict=False):
            marks = upright if before[0] == here[0] else level
            for point in (before, here):
                marks.setdefault(point, set()).add(wire.source)
    ends = {(box.x, box.y) for box in picture.placement.boxes.values()} | set(picture.placement.merges.values())
    return sum(len(level[point] | upright[point]) > 1 for point in level.keys() & upright.keys() if point not in ends)


def _picture(scene: Scene, rows: Mapping[str, float], budget: Budget) -> Picture:
    placement = place(scene, rows)
    return Picture(scene, placement, route(scene, placement, budget))


def _moves(rows: Mapping[str, float]) -> Iterator[dict[str, float]]:
    """Yield other rows for one op, then for two, in steps of half a row."""
    highest = max([1, *(int(row) + 1 for row in rows.values())])
    steps = [half / 2 for half in range(2 * highest + 1)]
    for key in rows:
        yield from ({key: step} for step in steps)
    if len(rows) <= PAIRED:
        for first, second in combinations(rows, 2):
            yield from ({first: one, second: other} for one in steps for other in steps)


def _collides(rows: Mapping[str, float], columns: Mapping[str, int]) -> bool:
    """Whether two ops of one column stand closer than a row."""
    by_column: dict[int, list[float]] = {}
    for key, row in rows.items():
        by_column.setdefault(columns[key], []).append(row)
    return any(
        b - a < 1 for stack in by_column.values() for a, b in zip(sorted(stack), sorted(stack)[1:], strict=False)
    )
