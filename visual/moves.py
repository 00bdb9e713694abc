"""What else a placement may be: other rows and columns for ops, other orders, room beside names, outputs elsewhere."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from itertools import combinations
from typing import Any

from lstmgraph.visual.layout import Choice
from lstmgraph.visual.records import LAYERS, Placement, Scene
from lstmgraph.visual.routing import BEND_COST, LENGTH_COST, Router
from lstmgraph.visual.style import COLUMN, ROW

PAIRED = 5  # ops are moved two at a time up to so many of them
HIGHEST = 3  # ops are raised by so much at most
WORTH = 6  # so many other places are tried for an op


@dataclass(frozen=True)
class Trial:
    """A choice, what came of it, and its cost."""

    choice: Choice
    placement: Placement
    router: Router
    cost: float


Turn = Callable[[Trial], Iterator[Choice]]


def turns(scene: Scene, first: Trial) -> list[Turn]:
    """Return what is tried in turn: each op elsewhere, neighbours exchanged, two ops at a time."""
    line = [key for path in scene.conveyors.values() for key in path]
    rows = list(first.placement.rows)
    found: list[Turn] = [wider]
    found += [partial(_elsewhere, scene, key) for key in rows]
    found += [raised] * bool(rows)
    found += [_closer] * (len(rows) > 1)
    found += [partial(_along, scene, key) for key in line]
    found += [partial(_shifted, scene, key) for key in rows]
    found += [partial(_lifted, scene)] * bool(scene.of_kind("output"))
    found += [partial(_exchanged, scene, what) for what in ("layers", "inputs", "above", "below")]
    if len(rows) <= PAIRED:
        found += [partial(_together, pair) for pair in combinations(rows, 2)]
    return found


def _steps(best: Trial) -> list[float]:
    """Return the rows in which an op may stand: those there are, one more, and what lies between them."""
    highest = max([1, *(int(row) + 1 for row in best.choice.rows.values())])
    return [half / 2 for half in range(2 * highest + 1)]


def _elsewhere(scene: Scene, key: str, best: Trial) -> Iterator[Choice]:
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


def _closer(best: Trial) -> Iterator[Choice]:
    """Yield choices in which all ops below a row stand a row, or half of one, higher."""
    for least in sorted({row for row in best.choice.rows.values() if row}):
        for gap in (1.0, 0.5):
            rows = {key: row - gap * (row >= least) for key, row in best.choice.rows.items()}
            if min(rows.values()) >= 0 and not _collides(rows, best.placement.columns):
                yield replace(best.choice, rows=rows)


def raised(best: Trial) -> Iterator[Choice]:
    """Yield choices in which the ops stand a little higher above the layers, or less high."""
    for gap in dict.fromkeys((best.choice.gap + 1, best.choice.gap - 1, HIGHEST)):
        if 0 <= gap <= HIGHEST and gap != best.choice.gap:
            yield replace(best.choice, gap=gap)


def wider(best: Trial) -> Iterator[Choice]:
    """Yield choices in which a wire has room beside a name that it runs through."""
    covered = [key for key in best.router.covered() if key not in best.choice.wider]
    for keys in dict.fromkeys((tuple(covered), *((key,) for key in covered))):
        if keys:
            yield replace(best.choice, wider=best.choice.wider.union(keys))
    for key in best.router.covered():
        yield replace(best.choice, wider=best.choice.wider | {key}, shielded=best.choice.shielded | {key})
    for key in best.router.covered():
        if best.placement.columns[key] and key not in best.choice.leftward:
            yield replace(best.choice, leftward=best.choice.leftward | {key})


def _shifted(scene: Scene, key: str, best: Trial) -> Iterator[Choice]:
    """Yield choices in which an op and all others on the way to it, or from it on, stand half a row elsewhere."""
    rows = best.choice.rows
    for step in (scene.sources, scene.targets):
        keys, stack = {key}, [key]
        while stack:
            found = [other for other in step(stack.pop()) if other in rows and other not in keys]
            keys.update(found)
            stack += found
        for by in (-0.5, 0.5):
            moved = {other: row + by * (other in keys) for other, row in rows.items()}
            if len(keys) > 1 and min(moved.values()) >= 0 and not _collides(moved, best.placement.columns):
                yield replace(best.choice, rows=moved)


def _lifted(scene: Scene, best: Trial) -> Iterator[Choice]:
    """Yield choices in which an output stands above what it shows, or no longer does."""
    for key in scene.of_kind("output"):
        if scene.sources(key)[0] in best.placement.columns:
            yield replace(best.choice, lifted=best.choice.lifted ^ {key})


def _along(scene: Scene, key: str, best: Trial) -> Iterator[Choice]:
    """Yield choices in which an op on a conveyor stands further left or right."""
    columns = best.placement.columns
    path = next(path for path in scene.conveyors.values() if key in path)
    place_ = path.index(key)
    least = columns[path[place_ - 1]] if place_ else -1
    most = columns[path[place_ + 1]] if place_ + 1 < len(path) else max(columns.values()) + 1
    for column in (columns[key] - 1, columns[key] + 1, columns[key] - 0.5, columns[key] + 0.5):
        if least < column < most:
            yield replace(best.choice, columns={**columns, key: column})


def _exchanged(scene: Scene, what: str, best: Trial) -> Iterator[Choice]:
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


def _together(pair: tuple[str, str], best: Trial) -> Iterator[Choice]:
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
