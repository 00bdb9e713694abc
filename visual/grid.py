"""The grid on which wires are searched: what is free, what is a box, and which wires run where."""

from collections.abc import Iterable, Mapping
from functools import lru_cache
from math import ceil

from lstmgraph.visual.records import Box, Kind, Placement, Point

RIGHT, UP, LEFT, DOWN = range(4)
FREE, BLOCKED, OUTSIDE = 0, -1, -2
RIM, RIM_WIDTH = 0.5, 3  # a bend so near to the frame's left or right side costs this: others must turn there too
BESIDE_BOX = 0.4  # what a step costs more for each box that it leads along
OVER_NAME = 3.0  # what a step costs more where a layer's name is to stand
END = 4  # instead of a side: here a wire into the box ends

# kind -> sides at which wires may enter
ENTRIES: dict[Kind, tuple[int, ...]] = {
    "new": (LEFT,),
    "output": (DOWN,),
    "layer": (DOWN, LEFT, RIGHT),
    "sum": (DOWN, LEFT, RIGHT, UP),
    "op": (DOWN, LEFT, RIGHT, UP),
}
# kind -> sides at which wires may leave
EXITS: dict[Kind, tuple[int, ...]] = {
    "old": (RIGHT,),
    "input": (UP,),
    "layer": (UP,),
    "op": (RIGHT, UP, LEFT, DOWN),
}


class Grid:
    """Points of the plane as numbers, and what is known of each.

    A box owns its lanes, the straight ways from its ends outwards; what else lies about it is blocked.

    Attributes
    ----------
    owner : list of int
        FREE, BLOCKED, OUTSIDE the frame, or the number of the box on whose lane a point lies.
    side : list of int
        The side on which a lane lies, or END.
    port : list of int
        The lower port to which a lane leads; 0 for lanes to the middle.
    level, upright : list of int
        The net that runs here from left to right, up or down; 0 for none.
    rim : list of float
        What a bend here costs beyond a bend elsewhere.
    cost_level, cost_upright : list of float
        What a step in that direction costs: more where boxes lie beside it.
    xs, ys : list of int
        Where a point lies, counted from the grid's lower left corner.
    """

    def __init__(self, placement: Placement, kinds: Mapping[str, Kind]) -> None:
        boxes = placement.boxes
        self.left = min([0, *(box.x - ceil(box.half_width) for box in boxes.values())]) - 3
        self.bottom = min([0, *(box.y - ceil(box.half_height) for box in boxes.values())]) - 3
        right = max([placement.width, *(box.x + ceil(box.half_width) for box in boxes.values())]) + 3
        top = max([placement.height, *(box.y + ceil(box.half_height) for box in boxes.values())]) + 3
        self.span = top - self.bottom + 1
        size = (right - self.left + 1) * self.span
        self.deltas = (self.span, 1, -self.span, -1)
        self.owner = [OUTSIDE] * size
        self.side = [END] * size
        self.port = [0] * size
        self.level = [0] * size
        self.upright = [0] * size
        self.rim = [0.0] * size
        self.cost_level = [1.0] * size
        self.cost_upright = [1.0] * size
        self.xs, self.ys = _places(right - self.left + 1, self.span)
        self.numbers = {key: number for number, key in enumerate(boxes, start=1)}
        self._open_inside(placement)
        for key, box in boxes.items():
            self._open_lane(placement, kinds[key], box)
        touched = [point for key, box in boxes.items() for point in self._enter(self.numbers[key], box)]
        self._crowd(dict.fromkeys(touched))
        for key, (x, y) in placement.merges.items():
            self.numbers[key] = self.owner[self.index(x, y)] = len(self.numbers) + 1

    def index(self, x: int, y: int) -> int:
        """Return the number of a point."""
        return (x - self.left) * self.span + y - self.bottom

    def point(self, index: int) -> Point:
        """Return the point of a number."""
        return index // self.span + self.left, index % self.span + self.bottom

    def ends(self, box: Box) -> set[int]:
        """Return the points at which wires into a box end."""
        return {self.index(box.x, box.y)} | {self.index(box.x + port, box.y - 1) for port in box.ports if port}

    def _open_inside(self, placement: Placement) -> None:
        high = placement.height - 1
        for x in range(1, placement.width):
            first = self.index(x, 1)
            self.owner[first : first + high] = [FREE] * high
            if x <= RIM_WIDTH or x >= placement.width - RIM_WIDTH:
                self.rim[first : first + high] = [RIM] * high

    def _open_lane(self, placement: Placement, kind: Kind, box: Box) -> None:
        """Open the straight way of a terminal through the frame."""
        ways = {
            "old": [(x, box.y) for x in range(box.x, 2)],
            "new": [(x, box.y) for x in range(placement.width - 1, box.x + 1)],
            "input": [(box.x, y) for y in range(box.y, 2)],
            "output": [(box.x, y) for y in range(placement.height - 1, box.y + 1)],
        }
        for x, y in ways.get(kind, []):
            self.owner[self.index(x, y)] = FREE

    def reserve(self, places: Iterable[Point], cost: float = OVER_NAME) -> None:
        """Make steps dearer where a layer's name is to stand."""
        for place in places:
            point = self.index(*place)
            self.cost_level[point] += cost
            self.cost_upright[point] += cost

    def hugging(self, chain: Iterable[tuple[int, int]]) -> int:
        """Return how many steps of a chain of (point, direction) lead along wires, a unit beside them."""
        found = 0
        for there, way in chain:
            marks, aside = (self.upright, self.deltas[0]) if way & 1 else (self.level, 1)
            found += bool(marks[there - aside]) + bool(marks[there + aside])
        return found

    def around(self, box: Box) -> list[int]:
        """Return the points that a box and its lanes take."""
        wide, high = max(ceil(box.half_width), 2), max(ceil(box.half_height), 2)
        middle = self.index(box.x, box.y)
        return [middle + dx * self.span + dy for dx in range(-wide, wide + 1) for dy in range(-high, high + 1)]

    def _enter(self, number: int, box: Box) -> list[int]:
        """Block a box's surroundings, lay its lanes, and return all these points."""
        high = max(ceil(box.half_height), 2)
        found = self.around(box)
        column, row = divmod(self.index(box.x, box.y), self.span)
        for point in found:
            dx, dy = point // self.span - column, point % self.span - row
            if dx and dy:
                self.owner[point] = BLOCKED
            else:
                side = RIGHT if dx > 0 else LEFT if dx < 0 else UP if dy > 0 else DOWN if dy < 0 else END
                self.owner[point], self.side[point], self.port[point] = number, side, 0
        for port in box.ports:
            for dy in range(-high, 0) if port else ():
                point = self.index(box.x + port, box.y + dy)
                self.owner[point], self.port[point] = number, port
                self.side[point] = END if dy == -1 else DOWN
        return found

    def _crowd(self, touched: Iterable[int]) -> None:
        """Make steps dearer that lead along what a box has touched."""
        for costs, across in ((self.cost_level, 1), (self.cost_upright, self.span)):
            for point in touched:
                costs[point - across] += BESIDE_BOX
                costs[point + across] += BESIDE_BOX


@lru_cache(maxsize=16)
def _places(columns: int, rows: int) -> tuple[list[int], list[int]]:
    """Return the column and the row of each point of a grid."""
    return [x for x in range(columns) for _ in range(rows)], list(range(rows)) * columns
