"""The cheapest way of one wire: A* on the unit grid over (point, direction).

A step, a bend, a crossing and a step beside a foreign wire have their costs; to run on a foreign wire, to run
through a box, or to bend on a foreign wire is forbidden, or in a search that may displace other wires, dear.
A box is entered and left only on its lanes.
"""

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from heapq import heapify, heappop, heappush
from math import inf

from lstmgraph.visual.grid import END, LEFT, Grid
from lstmgraph.visual.records import Point

BEND, CROSSING, BESIDE_WIRE, OWN_TRUNK, PORT = 4.0, 10.0, 1.2, 6.0, 6.0
SIDE = 5.0  # entering a layer from the side: its wires come from below, unless that costs a port
FORK = 3.0  # leaving a trunk sideways: less than a bend, since the trunk is there already
DISPLACED = 30.0  # for each point at which another wire must give way

_WAYS = tuple((way, (way + 1) & 3, (way + 3) & 3) for way in range(4))
_STRAIGHT = tuple((way,) for way in range(4))

Chain = list[tuple[int, int]]


@dataclass(frozen=True, slots=True)
class Goal:
    """Where a wire is to end.

    Parameters
    ----------
    at : (int, int)
        The middle of the target.
    ends : frozenset of int
        The points at which a wire into it may end.
    reach : int
        How far to the side of the middle the ends lie.
    closed : frozenset of (int, int)
        The (side, port) that are not for wires, or taken for good.
    held : frozenset of (int, int)
        The (side, port) whose wires must give way.
    number : int
        The target's number on the grid.
    merge : bool
        Whether it is a point where wires join.
    from_below : bool
        Whether wires had better not enter from the sides.
    """

    at: Point
    ends: frozenset[int]
    reach: int
    closed: frozenset[tuple[int, int]]
    held: frozenset[tuple[int, int]]
    number: int
    merge: bool = False
    from_below: bool = False


@dataclass(frozen=True, slots=True)
class Displacing:
    """That other wires may give way: where they never do, and where they had to before: point -> cost."""

    fixed: Collection[int]
    worn: Mapping[int, float]

    def cost(self, point: int) -> float:
        """Return what it costs that the wire at a point gives way."""
        return inf if point in self.fixed else DISPLACED + self.worn.get(point, 0.0)


@dataclass(frozen=True, slots=True)
class Search:
    """The search for one wire.

    Parameters
    ----------
    grid : Grid
        What is free, and where foreign wires are; the wire's own net is not marked on it.
    own : int
        The source's number on the grid.
    goal : Goal
        Where the wire is to end.
    trunk : collection of int
        The points that its net has reached already.
    greed : float
        1 finds the cheapest way; more finds one sooner, at most so many times as dear.
    displacing : Displacing, optional
        If given, other wires may be displaced.
    """

    grid: Grid
    own: int
    goal: Goal
    trunk: Collection[int]
    greed: float = 1.0
    displacing: Displacing | None = None

    def run(self, starts: Iterable[tuple[float, int, int]], limit: int) -> tuple[Chain, int]:
        """Return the cheapest chain of (point, direction), empty if none is found, and how many states were visited.

        Parameters
        ----------
        starts : iterable of (float, int, int)
            Cost, point and direction of every way to begin.
        limit : int
            How many states may be visited.
        """
        grid, ends, reach, greed = self.grid, self.goal.ends, self.goal.reach, self.greed
        goal_x, goal_y, xs, ys = self.goal.at[0] - grid.left, self.goal.at[1] - grid.bottom, grid.xs, grid.ys
        heap = [(cost, -place, cost, point * 4 + way, -1) for place, (cost, point, way) in enumerate(starts)]
        heapify(heap)
        steps = self._stepper()
        count, came, best = -len(heap), dict[int, int](), dict[int, float]()
        while heap and len(came) < limit:
            _, _, cost, state, previous = heappop(heap)
            if state in came:
                continue
            came[state] = previous
            if previous >= 0 and state >> 2 in ends:
                return _chain(came, state), len(came)
            for weight, after in steps(state, cost, came, previous >= 0):
                if weight >= best.get(after, inf):
                    continue
                best[after] = weight
                count -= 1  # of equal ways the newest first: it is nearest to the end
                there, way = after >> 2, after & 3
                x, y = goal_x - xs[there], goal_y - ys[there]
                if reach:
                    x = 0 if -reach <= x <= reach else x - reach if x > 0 else x + reach
                    y = 0 if y == 1 else y
                forward, sideward = (x, y, -x, -y)[way], x if way & 1 else y
                length = (x if x > 0 else -x) + (y if y > 0 else -y)
                least = greed * (length + (BEND + BEND if forward < 0 else BEND if sideward else 0.0))
                heappush(heap, (weight + least, count, weight, after, state))
        return [], len(came)

    def _stepper(self) -> Callable[[int, float, Mapping[int, int], bool], list[tuple[float, int]]]:
        """Return what finds the steps from a state: a closure, since it is called most of all."""
        grid, goal, trunk, displacing, lane_cost = self.grid, self.goal, self.trunk, self.displacing, self._lane_cost
        level, upright, owner, deltas, ends = grid.level, grid.upright, grid.owner, grid.deltas, goal.ends
        cost_level, cost_upright, aside = grid.cost_level, grid.cost_upright, grid.deltas[0]

        def steps(state: int, cost: float, came: Mapping[int, int], begun: bool) -> list[tuple[float, int]]:
            """Return (cost, state) of every step to a new state: straight on, or around a corner."""
            point, direction = state >> 2, state & 3
            foreign = level[point] or upright[point]
            ways = _WAYS if begun and not owner[point] and (not foreign or displacing) else _STRAIGHT
            found: list[tuple[float, int]] = []
            for way in ways[direction]:
                there = point + deltas[way]
                if owner[there] < 0 or there * 4 + way in came:
                    continue
                if way & 1:
                    along, across, weight, beside = upright, level, cost + cost_upright[there], aside
                else:
                    along, across, weight, beside = level, upright, cost + cost_level[there], 1
                if owner[there]:
                    weight += lane_cost(point, there, way)
                if way != direction:
                    weight += BEND + grid.rim[point]
                    if foreign and displacing:
                        weight += displacing.cost(point)
                if there in ends:
                    weight += inf if goal.merge and way == LEFT else 0.0  # a bundle leaves to the right
                else:
                    if along[there]:
                        weight += displacing.cost(there) if displacing else inf
                    elif across[there]:
                        weight += CROSSING
                    if there in trunk:
                        weight += OWN_TRUNK
                if along[there + beside]:
                    weight += BESIDE_WIRE
                if along[there - beside]:
                    weight += BESIDE_WIRE
                if weight < inf:
                    found.append((weight, there * 4 + way))
            return found

        return steps

    def _lane_cost(self, point: int, there: int, way: int) -> float:
        """Return what a step onto a box's lane costs: none out of the source or in at an open side of the target."""
        grid, goal = self.grid, self.goal
        number, side, port = grid.owner[there], grid.side[there], grid.port[there]
        if number == self.own:
            return 0.0 if side == way else inf
        if number != goal.number or (way ^ 2, port) in goal.closed:
            return inf
        if goal.merge or side ^ 2 == way:
            aside = goal.from_below and side != END and not side & 1 and grid.owner[point] != number
            return SIDE if aside else 0.0
        if there not in goal.ends or grid.owner[point] != number:
            return inf
        return (PORT if port else 0.0) + (DISPLACED if (way ^ 2, port) in goal.held else 0.0)


def _chain(came: Mapping[int, int], state: int) -> Chain:
    found: Chain = []
    while state >= 0:
        found.append((state >> 2, state & 3))
        state = came[state]
    return found[::-1]
