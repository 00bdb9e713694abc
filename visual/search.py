"""The cheapest way of one wire: A* on the unit grid over (point, direction).

A step, a bend, a crossing and a step beside a foreign wire have their costs; to run on a foreign wire, to run
through a box, or to bend on a foreign wire is forbidden. A box is entered and left only on its lanes.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from heapq import heapify, heappop, heappush

from lstmgraph.visual.grid import END, FREE, LEFT, Grid
from lstmgraph.visual.records import Point

BEND, CROSSING, BESIDE_WIRE, BESIDE_BOX, OWN_TRUNK, PORT = 4.0, 7.0, 1.2, 0.4, 6.0, 6.0
FORK = 3.0  # leaving a trunk sideways: less than a bend, since the trunk is there already
NOBODY = -9  # the number of what is no box: a merge point

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
        The (side, port) that are taken or not for wires.
    number : int
        The target's number on the grid, or NOBODY for a merge point.
    """

    at: Point
    ends: frozenset[int]
    reach: int
    closed: frozenset[tuple[int, int]]
    number: int


@dataclass(slots=True)
class Search:
    """The search for one wire.

    Parameters
    ----------
    grid : Grid
        What is free, and which wires are there.
    net : int
        The net of the wire: it may touch its own.
    own : int
        The source's number on the grid, or NOBODY.
    goal : Goal
        Where it is to end.
    trunk : mapping
        The points that the net has reached already.
    greed : float
        1 finds the cheapest way; more finds one sooner, at most so many times as dear.
    """

    grid: Grid
    net: int
    own: int
    goal: Goal
    trunk: Mapping[int, object]
    greed: float

    def run(self, starts: Iterable[tuple[float, int, int]], limit: int) -> tuple[Chain, int]:
        """Return the cheapest chain of (point, direction), empty if none is found, and the effort.

        Parameters
        ----------
        starts : iterable of (float, int, int)
            Cost, point and direction of every way to begin.
        limit : int
            How many states may be visited.
        """
        heap = [
            (cost + self._ahead(point, direction), -place, cost, point * 4 + direction, -1)
            for place, (cost, point, direction) in enumerate(starts)
        ]
        heapify(heap)
        count, came = -len(heap), dict[int, int]()
        while heap and len(came) < limit:
            _, _, cost, state, previous = heappop(heap)
            if state in came:
                continue
            came[state] = previous
            point, direction = state >> 2, state & 3
            if previous >= 0 and point in self.goal.ends:
                return _chain(came, state), len(came)
            for weight, after in self._steps(point, direction, cost, previous >= 0):
                if after not in came:
                    count -= 1  # of equal ways the newest first: it is nearest to the end
                    heappush(heap, (weight + self._ahead(after >> 2, after & 3), count, weight, after, state))
        return [], len(came)

    def _ahead(self, point: int, direction: int) -> float:
        """Return what a way from here costs at least: its length and the bends that it cannot do without."""
        grid, reach = self.grid, self.goal.reach
        x = self.goal.at[0] - point // grid.span - grid.left
        y = self.goal.at[1] - point % grid.span - grid.bottom
        if reach:
            x = 0 if -reach <= x <= reach else x - reach if x > 0 else x + reach
            y = 0 if y == 1 else y
        along, across = (y, x) if direction & 1 else (x, y)
        back = along < 0 if direction < 2 else along > 0
        return self.greed * (abs(x) + abs(y) + BEND * (2 if back else 1 if across else 0))

    def _steps(self, point: int, direction: int, cost: float, begun: bool) -> list[tuple[float, int]]:
        """Return (cost, state) of every step from a point: straight on, or around a corner."""
        grid, free = self.grid, (0, self.net)
        owner, ends = grid.owner, self.goal.ends
        ways: tuple[int, ...] = (direction,)
        if begun and owner[point] == FREE and grid.level[point] in free and grid.upright[point] in free:
            ways = (direction, (direction + 1) & 3, (direction + 3) & 3)
        found: list[tuple[float, int]] = []
        for way in ways:
            there = point + grid.deltas[way]
            number = owner[there]
            if number < 0 or (number and not self._lane_leads(point, there, way)):
                continue
            along, across = (grid.upright, grid.level) if way & 1 else (grid.level, grid.upright)
            weight = cost + 1.0 + (BEND + grid.rim[point] if way != direction else 0.0)
            if there not in ends:
                if along[there] not in free:
                    continue
                weight += CROSSING if across[there] not in free else 0.0
                weight += OWN_TRUNK if there in self.trunk else 0.0
            elif self.goal.number == NOBODY and way == LEFT:
                continue  # a bundle leaves its merge point to the right
            if number and grid.port[there] and grid.side[there] == END:
                weight += PORT
            beside = grid.deltas[(way + 1) & 3]
            weight += BESIDE_BOX * (grid.crowded_upright if way & 1 else grid.crowded_level)[there]
            weight += BESIDE_WIRE * (along[there + beside] not in free) + BESIDE_WIRE * (
                along[there - beside] not in free
            )
            found.append((weight, there * 4 + way))
        return found

    def _lane_leads(self, point: int, there: int, way: int) -> bool:
        """Whether a step onto a box's lane leads out of the source or into the target at an open side."""
        grid, goal = self.grid, self.goal
        number, side = grid.owner[there], grid.side[there]
        if number == self.own:
            return side == way
        if number != goal.number or (way ^ 2, grid.port[there]) in goal.closed:
            return False
        return side ^ 2 == way or (there in goal.ends and grid.owner[point] == number)


def _chain(came: Mapping[int, int], state: int) -> Chain:
    found: Chain = []
    while state >= 0:
        found.append((state >> 2, state & 3))
        state = came[state]
    return found[::-1]
