"""Cells at neighbouring steps: boxes with their inputs below, their outputs above and states between them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from math import ceil

from lstmgraph.visual.look import Look
from lstmgraph.visual.names import NOW
from lstmgraph.visual.records import Item, Name, Scene, Spot
from lstmgraph.visual.sizes import size_of
from lstmgraph.visual.sketch import cell_box, half_box, run, stand

AWAY = 5  # from a box to its inputs and outputs


@dataclass(frozen=True)
class Step:
    """One step's cell as a box.

    Parameters
    ----------
    key : str
        Its name in the DOT text.
    time : str
        The subscript of its inputs and outputs.
    spot : Spot
        Where it stands.
    """

    key: str
    time: str
    spot: Spot


def half_width(scene: Scene, times: Sequence[str], least: float) -> float:
    """Return half the width of a box that has room for the inputs and outputs of a cell at these times."""
    widest = [least, half_box(scene.name)]
    for kind in ("input", "output"):
        for time in times:
            items = [scene.items[key] for key in scene.of_kind(kind)]
            widest.append(sum(_half(_at(item, time, "")) + 0.5 for item in items) + 0.5)
    return max(widest)


def step_lines(scene: Scene, step: Step, look: Look) -> Iterator[str]:
    """Yield the box of a step, its inputs and its outputs."""
    spot = step.spot
    yield from cell_box(step.key, scene.name, f"{scene.name} at step {step.time}", spot, look)
    for kind, sign in (("input", -1), ("output", 1)):
        items = [_at(scene.items[key], step.time, step.key) for key in scene.of_kind("input" if sign < 0 else "output")]
        widths = [_half(item) for item in items]
        x = spot.x - sum(widths) - 0.5 * (len(items) - 1)
        edge = spot.y + sign * spot.half_height
        for item, half in zip(items, widths, strict=True):
            x += half
            y = edge + sign * AWAY
            near = y - sign * 1.9
            yield stand(item, Spot(x, y, half, 1.9), look)
            ends = (item.key, step.key) if kind == "input" else (step.key, item.key)
            way = [(x, near), (x, edge)] if kind == "input" else [(x, edge), (x, near)]
            yield run(ends, way, look, tooltip=item.tooltip)
            x += half + 1


def heights(scene: Scene, lowest: float, highest: float) -> dict[str, float]:
    """Return the height of each state's wire between two boxes: straight lines on top; one alone runs halfway."""
    order = [*scene.conveyors, *reversed([s.name for s in scene.states if s.name not in scene.conveyors])]
    if len(order) == 1:
        return {order[0]: (lowest + highest) / 2}
    return {name: highest - (highest - lowest) * place / (len(order) - 1) for place, name in enumerate(order)}


def shifted(name: Name, time: str) -> Name:
    """Return a name at another time."""
    if not name.time:
        return name
    return replace(name, time=_earlier(time, name.lag))


def ahead(by: int) -> str:
    """Return the subscript of a step from t."""
    return NOW if not by else f"{NOW}{'+' if by > 0 else '−'}{abs(by)}"


def _earlier(time: str, by: int) -> str:
    """Return the subscript of so many steps before a time, ``t+1`` or ``3``."""
    steps = int(time.removeprefix(NOW).replace("−", "-") or 0) - by
    return ahead(steps) if time.startswith(NOW) else str(steps).replace("-", "−")


def _at(item: Item, time: str, owner: str) -> Item:
    assert item.name is not None
    tip = f"{item.tooltip}, step {time}"
    return replace(item, key=f"{owner}.{item.key}", name=shifted(item.name, time), tooltip=tip)


def _half(item: Item) -> float:
    return float(ceil(size_of(item, 0)[0] * 2) / 2)
