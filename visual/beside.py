"""Where the names beside layers stand, and which have a wire through them."""

from collections.abc import Callable, Mapping

from lstmgraph.visual.records import Box, Name, Point, Scene
from lstmgraph.visual.sizes import name_width
from lstmgraph.visual.style import LABEL_FONT, UNIT


def name_places(name: Name, box: Box) -> dict[int, set[Point]]:
    """Return the points that a layer's name takes, right (1) or left (−1) of the wire that leaves the layer."""
    wide = int(name_width(name, LABEL_FONT) / UNIT) + 2
    return {sign: {(box.x + sign * dx, box.y + dy) for dx in range(1, wide) for dy in (2, 3)} for sign in (1, -1)}


def covered(scene: Scene, boxes: Mapping[str, Box], has_wire: Callable[[Point], bool]) -> list[str]:
    """Return the layers whose names have a wire through them at either side."""
    return [
        key
        for key, item in scene.items.items()
        if item.kind == "layer"
        and item.name is not None
        and all(any(map(has_wire, places)) for places in name_places(item.name, boxes[key]).values())
    ]
