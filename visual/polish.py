"""From a scene to a picture: place, route, and try what else would be better.

Tried is what `lstmgraph.visual.moves` lists, then the same from new starts, by a chance that is always the same. A
trial that is surely worse than the best so far is given up on the way. At last the wires of the best are routed once
more, and names through which a wire runs get room.
"""

import random
from dataclasses import replace

from lstmgraph.visual.beside import RIGHT, covered, name_places
from lstmgraph.visual.columns import Columns, assign_columns
from lstmgraph.visual.curves import bends
from lstmgraph.visual.layout import Choice, place
from lstmgraph.visual.moves import Trial, raised, turns, wider
from lstmgraph.visual.records import Picture, Placement, Scene, Wire
from lstmgraph.visual.rerouting import reroute, reroute_together
from lstmgraph.visual.routing import BEND_COST, CROSSING_COST, LENGTH_COST, NAME_COST, Budget, Rival, Router, entry_cost

HEIGHT_COST, WIDTH_COST, MISSING_COST = 2.0, 1.0, 10_000.0
ORDER_COST = 12.0  # an order other than the usual one must gain so much
LIFTED_COST = 8.0  # and an output elsewhere than at the right end
ENOUGH = 0.5  # a gain below this is no gain
EFFORT = 110_000  # states that all trials of one figure may visit
TRIAL = 300  # what a trial costs beside the states that it visits
START_COST = 25.0  # what is found from a new start must gain so much: cells of a family shall look alike
SHARE = 0.2  # of the effort that goes at most into one new start
KICKS = 2  # choices by chance at a new start
SHIELD = 40.0  # what a step through a name costs more that is shielded
FREEING = 6  # times that room is made for names
FEW = 3  # so many boxes may move for the other wires to stay
SLACK = 30.0  # wires that are all routed anew may cost so much more at first

LAST = 130_000  # states that may be visited at last, when all wires of the best are routed once more
# by how much rows and columns stand further apart until every wire finds a way -> states that may be visited
DENSE = 60  # scenes of more wires are spread once in any case, and stay so if that is better
SPREADS = {0: 150_000, 2: 250_000, 4: 450_000}


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
    best, spent = _settled(scene, known)
    if not effort:
        best = _with_names_free(scene, best, known)
        return Picture(scene, best.placement, best.router.wires())
    budget = Budget(max(effort - spent, effort // 2))
    best = _settled_down(scene, best, budget, known)
    chance = random.Random(0)
    while budget.left > 0 and (kicked := _kicked(scene, best, budget, known, chance)):
        share = Budget(min(budget.left, int(effort * SHARE)))
        budget.left -= share.left
        found = _settled_down(scene, kicked, share, known)
        budget.left += share.left
        best = found if found.cost < best.cost - START_COST else best
    best = _refined(best)
    freed = _with_names_free(scene, best, known)
    best = freed if freed is best else _refined(freed)
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
            cost += _entry(picture, wire)
    return cost


def _entry(picture: Picture, wire: Wire) -> float:
    box = picture.placement.boxes.get(wire.target)
    if box is None or len(wire.points) < 2:
        return 0.0
    (_, before), (x, y) = wire.points[-2:]
    return entry_cost(picture.scene.items[wire.target].kind, before == y, x - box.x)


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


def _settled(scene: Scene, known: dict[tuple[str, ...], Columns]) -> tuple[Trial, int]:
    """Return the usual choice, spread until every wire finds a way, and how many states that took."""
    found: list[Trial] = []
    visited = 0
    for spread, effort in SPREADS.items():
        budget = Budget(effort)
        trial = _try(scene, Choice(spread=spread), budget, known)
        assert trial is not None
        found.append(trial)
        visited += effort - budget.left
        if trial.cost < MISSING_COST and (spread or len(scene.wires) <= DENSE):
            break
    return min(found, key=lambda trial: trial.cost), visited


def _settled_down(scene: Scene, best: Trial, budget: Budget, known: dict[tuple[str, ...], Columns]) -> Trial:
    """Return a trial after which nothing that is tried in turn is better."""
    stale, waiting = 0, turns(scene, best)
    while stale < len(waiting) and budget.left > 0:
        turn = waiting.pop(0)
        waiting.append(turn)
        stale += 1
        for choice in turn(best):
            if budget.left <= 0:
                break
            found = _try(scene, choice, budget, known, best)
            if found is not None and found.cost < best.cost - ENOUGH:
                best, stale = found, 0
                break
    return best


def _kicked(
    scene: Scene, best: Trial, budget: Budget, known: dict[tuple[str, ...], Columns], chance: random.Random
) -> Trial | None:
    """Return what comes of a few choices by chance, from which to start anew; None if there are none."""
    kicked: Trial | None = None
    for _ in range(KICKS):
        start = kicked or best
        choices = [choice for turn in chance.sample(turns(scene, start), 1) for choice in turn(start)]
        found = _try(scene, chance.choice(choices), budget, known) if choices else None
        kicked = found if found and found.cost < MISSING_COST else kicked
        if budget.left <= 0:
            break
    return kicked


def _try(
    scene: Scene, choice: Choice, budget: Budget, known: dict[tuple[str, ...], Columns], best: Trial | None = None
) -> Trial | None:
    """Return what comes of a choice; None if it is surely worse than the best so far."""
    if choice.layers not in known:
        known[choice.layers] = assign_columns(scene, choice.layers)
    placement = place(scene, choice, known[choice.layers])
    extra = HEIGHT_COST * placement.height + WIDTH_COST * placement.width
    extra += ORDER_COST * (bool(choice.layers) + bool(choice.above)) + LIFTED_COST * len(choice.lifted)
    budget.left -= TRIAL
    router = Router(scene, placement, budget)
    for key in choice.shielded:
        router.grid.reserve(name_places(scene.items[key].name, placement.boxes[key])[RIGHT], SHIELD)
    moved = _moved(best.placement, placement) if best else None
    if best and moved is not None:
        router.adopt(best.router, moved)
    slack = SLACK if moved is None else 0.0
    rival = Rival(best.cost + slack - extra, best.router.costs()) if best else None
    if not router.run(rival):
        return None
    if best and moved is None:
        reroute(router)
    return Trial(replace(choice, rows=placement.rows), placement, router, extra + _wire_cost(router))


def _wire_cost(router: Router) -> float:
    """Return what the wires cost, those that have no way too."""
    return router.whole_cost() + MISSING_COST * (len(router.placement.links) - len(router.ways))


def _with_names_free(scene: Scene, best: Trial, known: dict[tuple[str, ...], Columns]) -> Trial:
    """Return a trial with more room above and beside names until no wire runs through one."""
    for _ in range(FREEING):
        names = len(best.router.covered())
        choices = (*raised(best), *wider(best)) if names else ()
        tried = (_try(scene, choice, Budget(LAST), known) for choice in choices)
        good = (trial for trial in tried if trial and _missing(trial) <= _missing(best))
        found = next((trial for trial in good if len(trial.router.covered()) < names), None)
        if found is None:
            break
        best = found
    return best


def _missing(trial: Trial) -> int:
    return len(trial.placement.links) - len(trial.router.ways)


def _refined(trial: Trial) -> Trial:
    """Return a trial whose wires are all routed once more."""
    router = trial.router
    before, router.budget, router.greed = _wire_cost(router), Budget(LAST), 1.0
    reroute_together(router)
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
