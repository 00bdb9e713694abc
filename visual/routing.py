"""How wires run: one by one, each on the cheapest way that is left, wires of one source on one trunk.

What finds no way is routed earlier in the next round. Work is counted in visited states, never in seconds, so
that a figure is the same on any machine.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from lstmgraph.visual.grid import ENTRIES, EXITS, FREE, RIGHT, Grid
from lstmgraph.visual.records import Pair, Placement, Point, Scene, Wire
from lstmgraph.visual.search import FORK, NOBODY, Chain, Goal, Search

ROUNDS = 5  # how often all wires are routed again, those that found no way earlier
EFFORT = 450_000  # states that the wires of one figure may visit

MANY, GREED = 40, 1.3  # beyond so many wires, ways may cost this much more than the cheapest


@dataclass
class Budget:
    """How many states may still be visited."""

    left: int = EFFORT


@dataclass
class _Tree:
    """The points that one source's wires have reached: point -> (previous point, direction of arrival)."""

    points: dict[int, tuple[int, int]]
    exit: int = -1


def route(scene: Scene, placement: Placement, budget: Budget | None = None) -> tuple[Wire, ...]:
    """Return a wire for each link of a placement.

    Parameters
    ----------
    scene : Scene
        What is drawn; says which wires are straight conveyors.
    placement : Placement
        Where it stands.
    budget : Budget, optional
        What remains of the effort; wires that find it spent are straight and not `routed`.
    """
    budget = budget or Budget()
    first: list[Pair] = []
    best: tuple[Wire, ...] = ()
    for _ in range(ROUNDS):
        found = _Router(scene, placement, budget).run(first)
        missing = [(wire.source, wire.target) for wire in found if not wire.routed]
        if not best or len(missing) < sum(not wire.routed for wire in best):
            best = found
        if not missing or budget.left <= 0:
            break
        first = missing + [pair for pair in first if pair not in missing]
    return best


def conveyor_pairs(scene: Scene) -> set[Pair]:
    """Return the wires of all conveyors: from the old value over its ops to the new one."""
    found: set[Pair] = set()
    for state in scene.states:
        if state.name in scene.conveyors:
            stops = (state.old, *scene.conveyors[state.name], state.new)
            found.update(pairwise(stops))
    return found


@dataclass
class _Router:
    """One round: all links, one after the other."""

    scene: Scene
    placement: Placement
    budget: Budget
    grid: Grid = field(init=False)
    trees: dict[str, _Tree] = field(default_factory=dict)
    nets: dict[str, int] = field(default_factory=dict)
    used: dict[tuple[str, int, int], int] = field(default_factory=dict)  # (item, side, port) -> net

    def run(self, first: Sequence[Pair]) -> tuple[Wire, ...]:
        self.grid = Grid(self.placement, {key: item.kind for key, item in self.scene.items.items()})
        links = self.placement.links
        self.nets = {source: number for number, source in enumerate(dict.fromkeys(s for s, _ in links), start=1)}
        straight = conveyor_pairs(self.scene)
        ranks = {pair: place for place, pair in enumerate(first)}
        found: dict[Pair, Wire] = {}
        for pair in sorted(links, key=lambda pair: self._rank(pair, ranks, pair in straight)):
            found[pair] = self._connect(*pair)
        return tuple(found[pair] for pair in links)

    def _at(self, key: str) -> Point:
        if key in self.placement.merges:
            return self.placement.merges[key]
        box = self.placement.boxes[key]
        return box.x, box.y

    def _rank(self, pair: Pair, ranks: dict[Pair, int], straight: bool) -> tuple[float, float]:
        """Return when a link is routed: conveyors, what failed, bundles, verticals, short before long."""
        source, target = pair
        (x0, y0), (x1, y1) = self._at(source), self._at(target)
        if straight:
            return 0, x0
        if pair in ranks:
            return 0.5, ranks[pair]
        if target in self.placement.merges:
            return 1, abs(y0 - y1)
        if source in self.placement.merges:
            return 2, x1
        if x0 == x1:
            return 3, abs(y0 - y1)
        late = {"new": 5, "output": 6}.get(self.scene.items[target].kind, 4)
        return late, abs(x0 - x1) + abs(y0 - y1)

    def _connect(self, source: str, target: str) -> Wire:
        """Search a link's way, mark it as taken and return it."""
        start = self.grid.index(*self._at(source))
        tree = self.trees.setdefault(source, _Tree({start: (-1, -1)}))
        chain = self._search(source, target, tree, start)
        if not chain:
            return Wire(source, target, (self._at(source), self._at(target)), 0, False)
        trunk: list[int] = []
        point = chain[0][0]
        while point >= 0:
            trunk.append(point)
            point = tree.points[point][0]
        self._occupy(source, target, tree, chain)
        whole = trunk[::-1] + [point for point, _ in chain[1:]]
        return Wire(source, target, tuple(self.grid.point(p) for p in whole), len(trunk) - 1)

    def _occupy(self, source: str, target: str, tree: _Tree, chain: Chain) -> None:
        grid, net = self.grid, self.nets[source]
        if tree.points[chain[0][0]][0] < 0:
            tree.exit = chain[0][1]
            self.used[source, tree.exit, 0] = net
        for (here, _), (there, direction) in pairwise(chain):
            marks = grid.upright if direction % 2 else grid.level
            marks[here] = marks[there] = net
            tree.points.setdefault(there, (here, direction))
        end, direction = chain[-1]
        self.used[target, (direction + 2) % 4, grid.port[end]] = net

    def _starts(self, source: str, tree: _Tree, start: int) -> list[tuple[float, int, int]]:
        """Return (cost, point, direction) of every way to begin: at the source, or as a fork of its trunk."""
        grid, net = self.grid, self.nets[source]
        free = (0, net)
        found: list[tuple[float, int, int]] = []
        for point, (_, arrival) in tree.points.items():
            if point == start:
                found += [(0.0, point, side) for side in self._exits(source, tree)]
            elif grid.owner[point] == FREE and grid.level[point] in free and grid.upright[point] in free:
                ways = [side for side in range(4) if (side + 2) % 4 != arrival]
                found += [(0.0 if side == arrival else FORK, point, side) for side in ways]
        return found

    def _exits(self, source: str, tree: _Tree) -> list[int]:
        """Return the sides on which a source may be left: a single one, once it has a wire."""
        if source in self.placement.merges:
            return [RIGHT]
        if tree.exit >= 0:
            return [tree.exit]
        sides = EXITS.get(self.scene.items[source].kind, ())
        return [side for side in sides if (source, side, 0) not in self.used]

    def _closed(self, target: str) -> set[tuple[int, int]]:
        """Return the (side, port) at which a wire may not enter a target."""
        if target in self.placement.merges:
            return set()
        allowed = ENTRIES.get(self.scene.items[target].kind, ())
        closed = {(side, port) for key, side, port in self.used if key == target}
        return closed | {(side, 0) for side in range(4) if side not in allowed}

    def _search(self, source: str, target: str, tree: _Tree, start: int) -> Chain:
        """Return the cheapest chain of (point, direction) to the target; empty if there is none."""
        box = self.placement.boxes.get(target)
        goal = Goal(
            at=self._at(target),
            ends=frozenset({self.grid.index(*self._at(target))} if box is None else self.grid.ends(box)),
            reach=max((abs(port) for port in box.ports), default=0) if box else 0,
            closed=frozenset(self._closed(target)),
            number=self.grid.numbers.get(target, NOBODY),
        )
        search = Search(
            grid=self.grid,
            net=self.nets[source],
            own=self.grid.numbers.get(source, NOBODY),
            goal=goal,
            trunk=tree.points,
            greed=1.0 if len(self.placement.links) <= MANY else GREED,
        )
        chain, visited = search.run(self._starts(source, tree, start), self.budget.left)
        self.budget.left -= visited
        return chain
