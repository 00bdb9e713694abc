"""Wires as curves: orthogonal lines with rounded corners, in the words of Graphviz."""

from collections.abc import Sequence
from math import hypot

from lstmgraph.visual.style import CORNER

Place = tuple[float, float]

_ARC = 0.5523  # control points of a cubic that looks like a quarter of a circle
_LEAST = 0.01


def bends(points: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """Return the ends and the bends of a way over grid points."""
    found = [points[0]]
    for before, here, after in zip(points, points[1:], points[2:], strict=False):
        if (here[0] - before[0], here[1] - before[1]) != (after[0] - here[0], after[1] - here[1]):
            found.append(here)
    return [*found, points[-1]] if len(points) > 1 else found


def spline(points: Sequence[Place], arrow: float) -> str:
    """Return a polyline as the text of an edge's `pos`: cubics with rounded corners.

    Parameters
    ----------
    points : sequence of (float, float)
        Ends and bends, in points.
    arrow : float
        Length of the arrowhead; the curve stops so far before its tip. 0 for no arrowhead.
    """
    points = [(float(x), float(y)) for x, y in points]
    tip = points[-1]
    if arrow:
        points[-1] = _toward(points[-1], points[-2], min(arrow, _distance(points[-1], points[-2]) - 0.1))
    curve = [points[0]]
    for place in range(1, len(points) - 1):
        before, corner, after = points[place - 1 : place + 2]
        into, out = _distance(before, corner), _distance(corner, after)
        radius = min(CORNER, into / (1 if place == 1 else 2), out / (1 if place == len(points) - 2 else 2))
        _line_to(curve, _toward(corner, before, radius))
        curve.append(_toward(corner, before, radius * (1 - _ARC)))
        curve.append(_toward(corner, after, radius * (1 - _ARC)))
        curve.append(_toward(corner, after, radius))
    _line_to(curve, points[-1])
    if len(curve) == 1:
        curve += [curve[0]] * 3
    text = " ".join(f"{x:.2f},{y:.2f}" for x, y in curve)
    return f"e,{tip[0]:.2f},{tip[1]:.2f} {text}" if arrow else text


def _distance(first: Place, second: Place) -> float:
    return hypot(first[0] - second[0], first[1] - second[1])


def _toward(start: Place, goal: Place, length: float) -> Place:
    whole = _distance(start, goal)
    part = length / whole if whole else 0.0
    return start[0] + (goal[0] - start[0]) * part, start[1] + (goal[1] - start[1]) * part


def _line_to(curve: list[Place], goal: Place) -> None:
    start = curve[-1]
    if _distance(start, goal) > _LEAST:
        third = _distance(start, goal) / 3
        curve += [_toward(start, goal, third), _toward(start, goal, 2 * third), goal]
