"""From a scene to a picture: place, route, and try what else would be better.

Tried are room for wires beside names, other rows for the ops between layers and conveyors, and other orders of
layers, of inputs and of the states below. A trial that is surely worse than the best so far is given up on the way.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from itertools import combinations
from typing import Any

from lstmgraph.visual.beside import covered
from lstmgraph.visual.columns import Columns, assign_columns
from lstmgraph.visual.curves import bends
from lstmgraph.visual.layout import Choice, place
from lstmgraph.visual.records import LAYERS, Picture, Placement, Scene
from lstmgraph.visual.routing import BEND_COST, CROSSING_COST, LENGTH_COST, Budget, Rival, Router
from lstmgraph.visual.style import COLUMN, ROW

HEIGHT_COST, WIDTH_COST, MISSING_COST = 2.0, 1.0, 10_000.0
NAME_COST = 15.0  # a name with a wire through it
ORDER_COST = 12.0  # an order other than the usual one must gain so much
PAIRED = 5  # ops are moved two at a time up to so many of them
ENOUGH = 0.5  # a gain below this is no gain
EFFORT = 50_000  # states that all trials of one figure may visit
TRIAL = 300  # what a trial costs beside the states that it visits
WORTH = 6  # so many other places are tried for an op
FEW = 3  # so many boxes may move for the other wires to stay
SLACK = 30.0  # wires that are all routed anew may cost so much more at first

LAST = 100_000  # states that may be visited at last, when all wires of the best are routed once more
# by how much rows and columns stand further apart until every wire finds a way -> states that may be visited
DENSE = 60  # scenes of more wires are spread once in any case, and stay so if that is better
SPREADS = {0: 150_000, 2: 250_000, 4: 450_000}


@dataclass(frozen=True)
class _Trial:
    """A choice, what came of it, and its cost."""

    choice: Choice
    placement: Placement
    router: Router
    cost: float


def arrange(scene: Scene, effort: int = EFFORT) -> Picture:
    """Return the best picture of a scene that the effort allows; the same one on any machine.

    Parameters
    ----------
    scene : Scene
        What is drawn.
    effort : int
        How many states all trials together may visit; 0 for the usual placement.
    """
    known: dict[tuple[str, ...], Columns] = {}
    best = _settled(scene, known)
    if not effort:
        return Picture(scene, best.placement, best.router.wires())
    best = _refined(best)
    budget, stale, turns = Budget(effort), 0, _turns(scene, best)
    while stale < len(turns) and budget.left > 0:
        turn = turns.pop(0)
        turns.append(turn)
        stale += 1
        for choice in turn(best):
            if budget.left <= 0:
                break
            found = _try(scene, choice, budget, known, best)
            if found is not None and found.cost < best.cost - ENOUGH:
                best, stale = found, 0
                break
    best = _refined(best)
    return Picture(scene, best.placement, best.router.wires())


def quality(picture: Picture) -> float:
    """Return what a picture costs: wires without a way, bends, crossings, names run through, length and size."""
    missing = sum(not wire.routed for wire in picture.wires)
    cost = HEIGHT_COST * picture.placement.height + WIDTH_COST * picture.placement.width
    taken = {point for wire in picture.wires if wire.routed for point in wire.points}
    names = covered(picture.scene, picture.placement.boxes, taken.__contains__)
    cost += CROSSING_COST * crossings(picture) + MISSING_COST * missing + NAME_COST * len(names)
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


# ---- trials


def _settled(scene: Scene, known: dict[tuple[str, ...], Columns]) -> _Trial:
    """Return the usual choice, spread as far as it takes until every wire finds a way."""
    found: list[_Trial] = []
    for spread, effort in SPREADS.items():
        trial = _try(scene, Choice(spread=spread), Budget(effort), known)
        assert trial is not None
        found.append(trial)
        if trial.cost < MISSING_COST and (spread or len(scene.wires) <= DENSE):
            break
    return min(found, key=lambda trial: trial.cost)


def _try(
    scene: Scene, choice: Choice, budget: Budget, known: dict[tuple[str, ...], Columns], best: _Trial | None = None
) -> _Trial | None:
    """Return what comes of a choice; None if it is surely worse than the best so far."""
    if choice.layers not in known:
        known[choice.layers] = assign_columns(scene, choice.layers)
    placement = place(scene, choice, known[choice.layers])
    extra = HEIGHT_COST * placement.height + WIDTH_COST * placement.width
    extra += ORDER_COST * (bool(choice.layers) + bool(choice.above))
    budget.left -= TRIAL
    router = Router(scene, placement, budget)
    moved = _moved(best.placement, placement) if best else None
    if best and moved is not None:
        router.adopt(best.router, moved)
    slack = SLACK if moved is None else 0.0
    rival = Rival(best.cost + slack - extra, best.router.costs()) if best else None
    if not router.run(rival):
        return None
    if best and moved is None:
        router.refine()
    return _Trial(replace(choice, rows=placement.rows), placement, router, extra + _wire_cost(router))


def _wire_cost(router: Router) -> float:
    """Return what the wires cost, those that have no way and those that run through a name too."""
    missing = len(router.placement.links) - len(router.ways)
    return router.cost() + MISSING_COST * missing + NAME_COST * len(router.covered())


def _refined(trial: _Trial) -> _Trial:
    """Return a trial whose wires are all routed once more."""
    router = trial.router
    before, router.budget, router.greed = _wire_cost(router), Budget(LAST), 1.0
    router.refine()
    return replace(trial, cost=trial.cost + _wire_cost(router) - before)


def _moved(before: Placement, after: Placement) -> list[str] | None:
    """Return the boxes that stand elsewhere than before; None if so much changed that all wires are routed anew."""
    if (before.width, before.height, before.merges, before.links) != (
        after.width,
        after.height,
        after.merges,
        after.links,
    ):
        return None
    moved = [key for key, box in after.boxes.items() if box != before.boxes[key]]
    return moved if len(moved) <= FEW else None


def _turns(scene: Scene, first: _Trial) -> list[Callable[[_Trial], Iterator[Choice]]]:
    """Return what is tried in turn: each op elsewhere, neighbours exchanged, two ops at a time."""
    line = [key for path in scene.conveyors.values() for key in path]
    rows = list(first.placement.rows)
    found: list[Callable[[_Trial], Iterator[Choice]]] = [_wider]
    found += [partial(_elsewhere, scene, key) for key in rows]
    found += [_closer] * (len(rows) > 1)
    found += [partial(_along, scene, key) for key in line]
    found += [partial(_exchanged, scene, what) for what in ("layers", "inputs", "above", "below")]
    if len(rows) <= PAIRED:
        found += [partial(_together, pair) for pair in combinations(rows, 2)]
    return found


def _steps(best: _Trial) -> list[float]:
    """Return the rows in which an op may stand: those there are, one more, and what lies between them."""
    highest = max([1, *(int(row) + 1 for row in best.choice.rows.values())])
    return [half / 2 for half in range(2 * highest + 1)]


def _elsewhere(scene: Scene, key: str, best: _Trial) -> Iterator[Choice]:
    """Yield choices in which an op stands in another row, in a column beside its own, or in a new one.

    Only the few that promise the shortest and straightest wires are worth a trial.
    """
    rows, columns = best.choice.rows, best.placement.columns
    here, lowest, last = columns[key], max(rows.values()) + 1, max(columns.values()) + 1
    line = {op: -1 - number for number, path in enumerate(scene.conveyors.values()) for op in path}
    ends = {"old": (-1.0, -1.0), "new": (last, -1.0), "output": (last, -2.0), "input": (-1.0, lowest + 1)}
    others: list[tuple[float, float]] = []
    for other in (*scene.sources(key), *scene.targets(key)):
        if other in columns:
            others.append((columns[other], rows.get(other, line.get(other, lowest))))
        else:
            others.append(ends[scene.items[other].kind])

    def promise(stand: tuple[float, float]) -> float:
        column, row = stand
        wires = sum(abs(column - x) * COLUMN + abs(row - y) * ROW for x, y in others)
        turns = sum(column != x and row != y for x, y in others)
        return LENGTH_COST * wires + BEND_COST * turns + COLUMN * (column % 1 > 0)

    stands = [
        (column, row)
        for column in (here, here - 1, here + 1, here - 0.5, here + 0.5)
        for row in _steps(best)
        if (column, row) != (here, rows[key])
        and column >= -0.5
        and not _collides({**rows, key: row}, {**columns, key: column})
    ]
    for column, row in sorted(stands, key=promise)[:WORTH]:
        yield replace(best.choice, rows={**rows, key: row}, columns={**columns, key: column})


def _closer(best: _Trial) -> Iterator[Choice]:
    """Yield choices in which all ops below a row stand a row, or half of one, higher."""
    for least in sorted({row for row in best.choice.rows.values() if row}):
        for gap in (1.0, 0.5):
            rows = {key: row - gap * (row >= least) for key, row in best.choice.rows.items()}
            if min(rows.values()) >= 0 and not _collides(rows, best.placement.columns):
                yield replace(best.choice, rows=rows)


def _wider(best: _Trial) -> Iterator[Choice]:
    """Yield choices in which a wire has room beside a name that it runs through."""
    covered = [key for key in best.router.covered() if key not in best.choice.wider]
    for keys in dict.fromkeys((tuple(covered), *((key,) for key in covered))):
        if keys:
            yield replace(best.choice, wider=best.choice.wider.union(keys))


def _along(scene: Scene, key: str, best: _Trial) -> Iterator[Choice]:
    """Yield choices in which an op on a conveyor stands further left or right."""
    columns = best.placement.columns
    path = next(path for path in scene.conveyors.values() if key in path)
    place_ = path.index(key)
    least = columns[path[place_ - 1]] if place_ else -1
    most = columns[path[place_ + 1]] if place_ + 1 < len(path) else max(columns.values()) + 1
    for column in (columns[key] - 1, columns[key] + 1, columns[key] - 0.5, columns[key] + 0.5):
        if least < column < most:
            yield replace(best.choice, columns={**columns, key: column})


def _exchanged(scene: Scene, what: str, best: _Trial) -> Iterator[Choice]:
    """Yield choices with two neighbours exchanged among the layers, the inputs, the conveyors or the states below."""
    below = [state.name for state in scene.states if state.name not in scene.conveyors]
    layers = sorted(scene.of_kind(*LAYERS), key=best.placement.columns.__getitem__)
    usual = {"layers": layers, "inputs": scene.of_kind("input"), "above": list(scene.conveyors), "below": below}
    order = getattr(best.choice, what) or tuple(usual[what])
    for place_ in range(len(order) - 1):
        changes: dict[str, Any] = {what: (*order[:place_], order[place_ + 1], order[place_], *order[place_ + 2 :])}
        if what == "layers":
            changes |= {"rows": {}, "columns": {}}
        yield replace(best.choice, **changes)


def _together(pair: tuple[str, str], best: _Trial) -> Iterator[Choice]:
    """Yield choices in which two ops stand in other rows."""
    first, second = pair
    for one in _steps(best):
        for other in _steps(best):
            rows = {**best.choice.rows, first: one, second: other}
            changed = best.choice.rows[first] != one and best.choice.rows[second] != other
            if changed and not _collides(rows, best.placement.columns):
                yield replace(best.choice, rows=rows)


def _collides(rows: Mapping[str, float], columns: Mapping[str, float]) -> bool:
    """Whether two ops of one column stand closer than a row."""
    by_column: dict[float, list[float]] = {}
    for key, row in rows.items():
        by_column.setdefault(columns[key], []).append(row)
    return any(
        b - a < 1 for stack in by_column.values() for a, b in zip(sorted(stack), sorted(stack)[1:], strict=False)
    )
