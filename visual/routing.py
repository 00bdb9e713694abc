"""How wires run: one by one, each on the cheapest way that is left, wires of one source on one trunk.

A wire that finds no way displaces others, which are then routed again; at last each source's wires are routed
once more among all others, and stay so if that is better. Work is counted in visited states, never in seconds,
so that a figure is the same on any machine.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from heapq import heapify, heappop, heappush
from itertools import pairwise
from math import inf

from lstmgraph.visual.beside import covered, name_places
from lstmgraph.visual.grid import ENTRIES, EXITS, FREE, RIGHT, Grid
from lstmgraph.visual.records import LAYERS, Kind, Pair, Placement, Point, Scene, Wire
from lstmgraph.visual.rerouting import reroute
from lstmgraph.visual.search import FORK, Chain, Displacing, Goal, Search

EFFORT = 450_000  # states that the wires of one figure may visit
GREED = {0: 1.6, 40: 1.6, 60: 2.0}  # from so many wires on, ways may cost so much more than the cheapest
DISPLACING = 30  # so many wires may displace others
WEAR = 15.0  # what it costs more to displace a wire where one was displaced before

BEND_COST, CROSSING_COST, LENGTH_COST = 10.0, 18.0, 0.35  # what makes the wires of a picture worse
STUB, STUB_COST = 5, 10.0  # so does one that leaves its trunk just beside a box, at whose other side one may too
HUG_COST = 0.4  # a step of a wire a unit beside another wire
NAME_COST = 40.0  # a name with a wire through it
SIDE_COST, PORT_COST = 6.0, 4.0  # so does a wire that enters a layer from the side, or a box beside its middle
LIKELY = 0.6  # the part of a rival's cost that wires still to be routed will cost too


@dataclass
class Budget:
    """How many states may still be visited."""

    left: int = EFFORT


@dataclass(frozen=True)
class Rival:
    """What the wires of the best picture so far cost together, and each: whoever is worse may give up."""

    cost: float = inf
    wires: Mapping[Pair, float] = field(default_factory=dict)


@dataclass
class Tree:
    """The points that one source's wires have reached: point -> (previous point, direction of arrival)."""

    points: dict[int, tuple[int, int]]
    exit: int = -1


@dataclass(frozen=True)
class Way:
    """The way of one link: points from the source on, up to `branch` shared, and what it costs."""

    points: tuple[int, ...]
    branch: int
    cost: float


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
    router = Router(scene, placement, budget or Budget())
    router.run()
    reroute(router)
    return router.wires()


def conveyor_pairs(scene: Scene) -> set[Pair]:
    """Return the wires of all conveyors: from the old value over its ops to the new one."""
    found: set[Pair] = set()
    for state in scene.states:
        if state.name in scene.conveyors:
            stops = (state.old, *scene.conveyors[state.name], state.new)
            found.update(pairwise(stops))
    return found


def entry_cost(kind: Kind, sideways: bool, port: int) -> float:
    """Return what it costs that a wire enters an item otherwise than a layer in the middle from below."""
    return SIDE_COST if sideways and kind in LAYERS else PORT_COST * bool(port)


def greed_for(wires: int) -> float:
    """Return how much dearer than the cheapest a way may be, in a figure of so many wires."""
    return next(greed for least, greed in reversed(GREED.items()) if wires >= least)


@dataclass
class Router:
    """The wires of one placement, while they are routed."""

    scene: Scene
    placement: Placement
    budget: Budget
    grid: Grid = field(init=False)
    order: list[Pair] = field(init=False)  # in which wires are routed
    nets: dict[str, int] = field(init=False)  # source -> number
    straight: set[Pair] = field(init=False)
    greed: float = field(init=False)
    trees: dict[str, Tree] = field(default_factory=dict)
    ways: dict[Pair, Way] = field(default_factory=dict)
    used: dict[tuple[str, int, int], int] = field(default_factory=dict)  # (item, side, port) -> net
    displaced: int = 0  # how many wires have displaced others
    crossed: int = 0  # how often wires cross
    ends: set[int] = field(init=False)  # the middles of boxes and the points where wires join
    fixed: set[int] = field(default_factory=set)  # points of the conveyors, which never give way
    worn: dict[int, float] = field(default_factory=dict)  # point -> what it costs to displace a wire here

    def __post_init__(self) -> None:
        self.grid = Grid(self.placement, {key: item.kind for key, item in self.scene.items.items()})
        for key, item in self.scene.items.items():
            if item.kind == "layer" and item.name is not None:
                self.grid.reserve(name_places(item.name, self.placement.boxes[key])[1])
        places = [(box.x, box.y) for box in self.placement.boxes.values()] + [*self.placement.merges.values()]
        self.ends = {self.grid.index(*place) for place in places}
        links = self.placement.links
        self.nets = {source: number for number, source in enumerate(dict.fromkeys(s for s, _ in links), start=1)}
        self.greed = greed_for(len(links))
        self.straight = conveyor_pairs(self.scene)
        self.order = sorted(links, key=self._rank)

    def run(self, rival: Rival | None = None) -> bool:
        """Route all wires that have no way yet; give up and return False when they are surely worse than a rival's."""
        ranks = {pair: place for place, pair in enumerate(self.order)}
        owed = {pair: LIKELY * cost for pair, cost in rival.wires.items() if pair not in self.ways} if rival else {}
        waiting = [place for place, pair in enumerate(self.order) if pair not in self.ways]
        heapify(waiting)
        while waiting:
            pair = self.order[heappop(waiting)]
            if pair in self.ways:
                continue
            if not self.connect(*pair):
                if rival:
                    return False
                for other in self._displace(*pair):
                    heappush(waiting, ranks[other])
            owed.pop(pair, None)
            if rival and self.cost() + sum(owed.values()) > rival.cost:
                return False
        return True

    def covered(self) -> list[str]:
        """Return the layers whose names have a wire through them at both sides."""
        level, upright, index = self.grid.level, self.grid.upright, self.grid.index
        return covered(self.scene, self.placement.boxes, lambda at: bool(level[index(*at)] or upright[index(*at)]))

    def cost(self) -> float:
        """Return what the wires cost that have a way."""
        return CROSSING_COST * self.crossed + sum(way.cost for way in self.ways.values())

    def whole_cost(self) -> float:
        """Return what the wires cost that have a way, and those that run through a name."""
        return self.cost() + NAME_COST * len(self.covered())

    def costs(self) -> dict[Pair, float]:
        """Return what each wire costs that has a way, crossings apart."""
        return {pair: way.cost for pair, way in self.ways.items()}

    def adopt(self, other: "Router", moved: Collection[str]) -> None:
        """Take over the wires of a router for the same frame that do not touch the boxes that moved."""
        near = {point for key in moved for point in self.grid.around(self.placement.boxes[key])}
        links = self.placement.links
        own = {source for source, target in links if source in moved or target in moved}
        for source, tree in other.trees.items():
            if source in own or not near.isdisjoint(tree.points) or source not in self.nets:
                continue
            self.trees[source] = tree
            self.mark(source, self.nets[source])
        kept = {other.nets[source] for source in self.trees}
        names = {net: source for source, net in other.nets.items()}
        self.ways = {pair: way for pair, way in other.ways.items() if pair[0] in self.trees}
        self.used = {lane: self.nets[names[net]] for lane, net in other.used.items() if net in kept}
        self.fixed = {point for pair in self.straight if pair in self.ways for point in self.ways[pair].points}
        self.crossed = sum(self.crossings(source) for source in self.trees) // 2

    def lay(self, pair: Pair, way: Way) -> None:
        """Put a wire that leaves its source by itself on a way."""
        source, target = pair
        tree = self.trees.setdefault(source, Tree({way.points[0]: (-1, -1)}))
        steps = [(there, self.grid.deltas.index(there - here)) for here, there in pairwise(way.points)]
        self._occupy(source, target, tree, [(way.points[0], steps[0][1]), *steps])

    def wires(self) -> tuple[Wire, ...]:
        """Return the wires, in the order of the links; what has no way is straight."""
        found: list[Wire] = []
        for source, target in self.placement.links:
            way = self.ways.get((source, target))
            if way is None:
                found.append(Wire(source, target, (self._at(source), self._at(target)), 0, False))
            else:
                found.append(Wire(source, target, tuple(self.grid.point(p) for p in way.points), way.branch))
        return tuple(found)

    # ---- order and places

    def _at(self, key: str) -> Point:
        if key in self.placement.merges:
            return self.placement.merges[key]
        box = self.placement.boxes[key]
        return box.x, box.y

    def _rank(self, pair: Pair) -> tuple[float, float]:
        """Return when a link is routed: conveyors, bundles, verticals, short before long, what leaves the frame."""
        source, target = pair
        (x0, y0), (x1, y1) = self._at(source), self._at(target)
        if pair in self.straight:
            return 0, x0
        if target in self.placement.merges:
            return 1, abs(y0 - y1)
        if source in self.placement.merges:
            return 2, x1
        if x0 == x1:
            return 3, abs(y0 - y1)
        late = {"new": 5, "output": 6}.get(self.scene.items[target].kind, 4)
        return late, abs(x0 - x1) + abs(y0 - y1)

    # ---- one wire

    def connect(self, source: str, target: str, displacing: bool = False) -> bool:
        """Search a link's way and mark it as taken; return whether there is one."""
        grid, net = self.grid, self.nets[source]
        start = grid.index(*self._at(source))
        tree = self.trees.setdefault(source, Tree({start: (-1, -1)}))
        starts = self._starts(source, tree, start, displacing)
        self.mark(source, 0)
        search = Search(
            grid,
            grid.numbers[source],
            self._goal(target, displacing),
            tree.points,
            self.greed,
            Displacing(self.fixed, self.worn) if displacing else None,
        )
        chain, visited = search.run(starts, self.budget.left)
        if displacing:
            self._evict(source, target, chain)
        self.mark(source, net)
        self.budget.left -= visited
        if chain:
            self._occupy(source, target, tree, chain)
        return bool(chain)

    def _displace(self, source: str, target: str) -> list[Pair]:
        """Route a wire where others have to give way; return the wires that are to be routed again."""
        before = set(self.ways)
        self.displaced += 1
        if self.budget.left > 0 and self.displaced <= DISPLACING:
            self.connect(source, target, True)
        return [pair for pair in self.order if pair in before and pair not in self.ways]

    def _evict(self, source: str, target: str, chain: Chain) -> None:
        """Remove the wires of every source that is in a chain's way."""
        grid = self.grid
        conflicts: dict[int, None] = {}

        def meet(point: int, net: int) -> None:
            if net and net != self.nets[source]:
                conflicts[net] = None
                self.worn[point] = self.worn.get(point, 0.0) + WEAR

        ends = self._goal(target, True).ends
        for (here, before), (there, way) in pairwise(chain):
            if before != way and grid.owner[here] == FREE:
                meet(here, grid.level[here])
                meet(here, grid.upright[here])
            if there not in ends:
                meet(there, (grid.upright if way & 1 else grid.level)[there])
        if chain:
            end, way = chain[-1]
            meet(end, self.used.get((target, way ^ 2, grid.port[end]), 0) if target in self.placement.boxes else 0)
            meet(chain[0][0], self.used.get((source, chain[0][1], 0), 0))
        names = {net: name for name, net in self.nets.items()}
        for net in conflicts:
            self.remove(names[net])

    def remove(self, source: str) -> None:
        """Take all wires of a source away."""
        net = self.nets[source]
        self.crossed -= self.crossings(source)
        self.mark(source, 0)
        self.trees.pop(source, None)
        self.used = {lane: owner for lane, owner in self.used.items() if owner != net}
        self.ways = {pair: way for pair, way in self.ways.items() if pair[0] != source}

    def crossings(self, source: str) -> int:
        """Return at how many points the wires of a source cross others."""
        level, upright = self.grid.level, self.grid.upright
        tree = self.trees.get(source)
        ends = self.ends
        return sum(
            bool(level[point] and upright[point] and level[point] != upright[point] and point not in ends)
            for point in (tree.points if tree else ())
        )

    def mark(self, source: str, net: int) -> None:
        """Mark all wires of a source on the grid, with its net or as not there."""
        tree = self.trees.get(source)
        if tree is None:
            return
        level, upright, own = self.grid.level, self.grid.upright, (0, self.nets[source])
        for there, (here, direction) in tree.points.items():
            if here >= 0:
                marks = upright if direction & 1 else level
                for point in (here, there):
                    if marks[point] in own:
                        marks[point] = net

    def _occupy(self, source: str, target: str, tree: Tree, chain: Chain) -> None:
        grid, net = self.grid, self.nets[source]
        first = chain[0][0]
        trunk: list[int] = []
        point = first
        while point >= 0:
            trunk.append(point)
            point = tree.points[point][0]
        if tree.points[first][0] < 0:
            tree.exit = chain[0][1]
            if source in self.placement.boxes:
                self.used[source, tree.exit, 0] = net
        crossed = 0
        for (here, _), (there, way) in pairwise(chain):
            marks, others = (grid.upright, grid.level) if way & 1 else (grid.level, grid.upright)
            marks[here] = marks[there] = net
            crossed += there not in self.ends and others[there] not in (0, net)
            tree.points.setdefault(there, (here, way))
        end, way = chain[-1]
        if target in self.placement.boxes:
            self.used[target, way ^ 2, grid.port[end]] = net
        before = tree.points[first][1]
        ways = [before if before >= 0 else chain[0][1], *(way for _, way in chain[1:])]
        self.crossed += crossed
        cost = (
            LENGTH_COST * len(chain)
            + HUG_COST * grid.hugging(chain)
            + BEND_COST * sum(one != other for one, other in pairwise(ways))
        )
        if target in self.placement.boxes:
            cost += STUB_COST * (not way & 1 and len(chain) <= STUB)
            cost += entry_cost(self.scene.items[target].kind, not way & 1, grid.port[end])
        self.ways[source, target] = Way((*trunk[::-1], *(point for point, _ in chain[1:])), len(trunk) - 1, cost)
        if (source, target) in self.straight:
            self.fixed.update(point for point, _ in chain)

    def _starts(self, source: str, tree: Tree, start: int, displacing: bool) -> list[tuple[float, int, int]]:
        """Return (cost, point, direction) of every way to begin: at the source, or as a fork of its trunk."""
        grid, net = self.grid, self.nets[source]
        free = (0, net)
        found: list[tuple[float, int, int]] = []
        for point, (_, arrival) in tree.points.items():
            if point == start:
                found += [(0.0, point, side) for side in self._exits(source, tree, displacing)]
            elif grid.owner[point] == FREE and grid.level[point] in free and grid.upright[point] in free:
                ways = [side for side in range(4) if (side + 2) % 4 != arrival]
                found += [(0.0 if side == arrival else FORK, point, side) for side in ways]
        return found

    def _exits(self, source: str, tree: Tree, displacing: bool) -> list[int]:
        """Return the sides on which a source may be left: a single one, once it has a wire."""
        if source in self.placement.merges:
            return [RIGHT]
        if tree.exit >= 0:
            return [tree.exit]
        sides = EXITS.get(self.scene.items[source].kind, ())
        return [side for side in sides if displacing or (source, side, 0) not in self.used]

    def _goal(self, target: str, displacing: bool) -> Goal:
        """Return where a wire to a target may end."""
        grid, number = self.grid, self.grid.numbers[target]
        if target in self.placement.merges:
            at = self.placement.merges[target]
            return Goal(at, frozenset({grid.index(*at)}), 0, frozenset(), frozenset(), number, True)
        box = self.placement.boxes[target]
        allowed = ENTRIES.get(self.scene.items[target].kind, ())
        shut = {(side, 0) for side in range(4) if side not in allowed}
        held = frozenset((side, port) for key, side, port in self.used if key == target)
        return Goal(
            at=(box.x, box.y),
            ends=frozenset(grid.ends(box)),
            reach=max((abs(port) for port in box.ports), default=0),
            closed=frozenset(shut if displacing else shut | held),
            held=held if displacing else frozenset(),
            number=number,
            from_below=self.scene.items[target].kind in LAYERS,
        )
