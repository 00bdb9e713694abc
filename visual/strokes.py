"""What is drawn for each wire of a picture: its ends and bends, bundles once, forks from their trunk."""

from collections.abc import Collection
from dataclasses import dataclass
from itertools import pairwise

from lstmgraph.visual.curves import Place, bends
from lstmgraph.visual.records import Box, Bundle, Pair, Picture, Wire
from lstmgraph.visual.style import CORNER, UNIT


@dataclass(frozen=True, slots=True)
class Stroke:
    """One edge as it is drawn: its ends and bends in points, its arrowhead, and whether it can be seen."""

    source: str
    target: str
    places: tuple[Place, ...]
    arrow: bool
    style: str


def strokes(picture: Picture, whole: Collection[Pair] = ()) -> list[Stroke]:
    """Return what is drawn for each wire of the scene, in the scene's order.

    Parameters
    ----------
    picture : Picture
        What is drawn.
    whole : collection of pairs
        Wires that are drawn from end to end, also where they share the trunk of others.
    """
    wires = {(wire.source, wire.target): wire for wire in picture.wires}
    bundled: dict[Pair, Stroke] = {}
    for bundle in picture.placement.bundles:
        bundled.update(_bundle(picture, wires, bundle, whole))
    return [bundled.get(pair) or _single(picture, wires[pair], pair in whole) for pair in picture.scene.wires]


def _single(picture: Picture, wire: Wire, whole: bool) -> Stroke:
    way = Wire(wire.source, wire.target, wire.points, 0, wire.routed) if whole else wire
    return Stroke(wire.source, wire.target, _places(picture, way), True, _broken(wire))


def _broken(wire: Wire) -> str:
    return "" if wire.routed else "dashed"


def _bundle(picture: Picture, wires: dict[Pair, Wire], bundle: Bundle, whole: Collection[Pair]) -> dict[Pair, Stroke]:
    """Return the strokes of a bundle: its first source draws it, the others draw how they join it, once."""
    leaving = {layer: wires[bundle.merges[-1], layer] for layer in bundle.layers}
    nearest = min(bundle.layers, key=lambda layer: leaving[layer].branch)
    found: dict[Pair, Stroke] = {}
    for layer, last in leaving.items():
        for place, source in enumerate(bundle.sources):
            pair = source, layer
            if pair in whole:
                way = _whole(wires, bundle, last, place)
            elif place == 0:
                way = _whole(wires, bundle, last, 0, wires[source, bundle.merges[0]].branch)
                way = way if layer == nearest else last
            else:
                joining = wires[source, bundle.merges[place - 1]]
                style = _broken(joining) if layer == nearest else "invis"
                found[pair] = Stroke(*pair, _joining(picture, joining), False, style)
                continue
            found[pair] = Stroke(*pair, _places(picture, way), True, _broken(way))
    return found


def _whole(wires: dict[Pair, Wire], bundle: Bundle, last: Wire, place: int, branch: int = 0) -> Wire:
    """Return the way of one of a bundle's sources over the merge points to a layer."""
    merges = bundle.merges[max(place - 1, 0) :]
    parts = [wires[bundle.sources[place], merges[0]], *(wires[pair] for pair in pairwise(merges)), last]
    if not all(part.routed for part in parts):
        return last
    way = parts[0].points[max(branch - 1, 0) :]
    for part in parts[1:]:
        way += part.points[1:]
    return Wire(bundle.sources[place], last.target, way)


def _joining(picture: Picture, wire: Wire) -> tuple[Place, ...]:
    """Return how a wire joins a bundle: into the bundle's direction, to where the corners of others end."""
    places = _places(picture, wire)
    end = (places[-1][0] + CORNER, places[-1][1])
    return (*places[:-1], end) if places[-1][1] == places[-2][1] else (*places, end)


def _places(picture: Picture, wire: Wire) -> tuple[Place, ...]:
    """Return a wire's ends and bends in points, from where it leaves its trunk to the edge of its target."""
    boxes = picture.placement.boxes
    way = bends(wire.points[max(wire.branch - 1, 0) :])
    places = [(x * UNIT, y * UNIT) for x, y in way]
    if wire.source in picture.placement.merges and way[0] == picture.placement.merges[wire.source]:
        places[0] = (places[0][0] + CORNER, places[0][1])  # behind the corner of the wire that joins here
    if wire.source in boxes and way[0] == (boxes[wire.source].x, boxes[wire.source].y):
        places[0] = _edge(boxes[wire.source], way[0], way[1])
    if wire.target in boxes:
        places[-1] = _edge(boxes[wire.target], way[-1], way[-2])
    return tuple(places)


def _edge(box: Box, end: tuple[int, int], toward: tuple[int, int]) -> Place:
    """Return where a wire that ends inside a box meets its edge."""
    if toward[0] != end[0]:
        return (box.x + (box.half_width if toward[0] > end[0] else -box.half_width)) * UNIT, end[1] * UNIT
    return end[0] * UNIT, (box.y + (box.half_height if toward[1] > end[1] else -box.half_height)) * UNIT
