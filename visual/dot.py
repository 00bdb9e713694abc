"""A picture as DOT text: every node and every edge pinned, so that Graphviz only draws."""

import html
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

from lstmgraph.visual.curves import Place, bends, spline
from lstmgraph.visual.records import Box, Bundle, Item, Name, Pair, Picture, Wire
from lstmgraph.visual.routing import conveyor_pairs
from lstmgraph.visual.sizes import name_width
from lstmgraph.visual.style import (
    ARROW,
    COLOURS,
    CORNER,
    FONT,
    FRAME_FILL,
    FRAME_LINE,
    FRAME_PEN,
    LABEL,
    LABEL_FONT,
    LAYER_FONT,
    MISMEASURED,
    PEN,
    PLAIN_SIGNS,
    SIGN_FONT,
    STATE_FONT,
    SUBSCRIPT,
    TERMINAL_FONT,
    TEXT,
    UNIT,
    WIRE,
    WORD_FONT,
    text_width,
)

POINTS_PER_INCH = 72


def write_dot(picture: Picture) -> str:
    """Return the DOT text of a placed and routed picture.

    Every wire of the scene is one edge. Wires that join a bundle are drawn once, up to where they join; the
    edges from there on are in the text, so that it holds the whole flow of data, but invisible.
    """
    lines = [
        f"digraph {quote(picture.scene.name)} {{",
        f'  graph [outputorder=nodesfirst splines=true pad=0.15 bgcolor=white fontname="{FONT}"];',
        f'  node [fixedsize=true penwidth={PEN} fontname="{FONT}" fontcolor="{TEXT}"];',
        f'  edge [penwidth={PEN} arrowsize={ARROW / 10:g} color="{WIRE}"];',
        *(f"  {line}" for line in (_frame(picture), *_nodes(picture), *_labels(picture), *_edges(picture))),
        "}",
    ]
    return "\n".join(lines) + "\n"


def quote(text: str) -> str:
    """Return a DOT string."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'


def name_label(name: Name, size: float, colour: str = TEXT) -> str:
    """Return a name in italics with its subscript; a table, since not every engine draws <SUB>."""

    def cell(text: str, points: float) -> str:
        return f'<FONT POINT-SIZE="{points:.0f}" COLOR="{colour}"><I>{html.escape(text)}</I></FONT>'

    if not name.sub:
        return f"<{cell(name.base, size)}>"
    return (
        '<<TABLE BORDER="0" CELLBORDER="0" CELLSPACING="0" CELLPADDING="0"><TR>'
        f'<TD ROWSPAN="2" VALIGN="MIDDLE"{_fixed(name.base, size)}>{cell(name.base, size)}</TD>'
        f'<TD HEIGHT="{size * 0.45:.0f}" WIDTH="1"></TD></TR><TR>'
        f'<TD ALIGN="LEFT" VALIGN="BOTTOM">{cell(name.sub, size * SUBSCRIPT)}</TD></TR></TABLE>>'
    )


def _fixed(text: str, size: float) -> str:
    """Return the width of a cell whose text has a combining sign, which the engine measures as a letter."""
    if not set(MISMEASURED) & set(text):
        return ""
    return f' FIXEDSIZE="TRUE" WIDTH="{text_width(text, size) - 3:.0f}" HEIGHT="{size * 1.15:.0f}"'


# ---- nodes


def _pinned(x: float, y: float, half_width: float, half_height: float) -> str:
    wide, high = (2 * half * UNIT / POINTS_PER_INCH for half in (half_width, half_height))
    return f'pos="{x * UNIT:.2f},{y * UNIT:.2f}!" width={wide:.4f} height={high:.4f}'


def _frame(picture: Picture) -> str:
    width, height = picture.placement.width, picture.placement.height
    return (
        f'"frame" [class="frame" shape=box style="rounded,filled" label="" '
        f"tooltip={quote(picture.scene.name)} {_pinned(width / 2, height / 2, width / 2, height / 2)} "
        f'fillcolor="{FRAME_FILL}" color="{FRAME_LINE}" penwidth={FRAME_PEN}];'
    )


def _nodes(picture: Picture) -> Iterator[str]:
    on_line = {key for pair in conveyor_pairs(picture.scene) for key in pair}
    for key, box in sorted(
        picture.placement.boxes.items(), key=lambda entry: list(picture.scene.items).index(entry[0])
    ):
        item = picture.scene.items[key]
        kind = "state" if item.kind in ("old", "new") else item.kind
        words = f"conveyor {kind}" if key in on_line else kind
        yield (
            f'{quote(key)} [id={quote(f"{picture.scene.name}.{key}")} class="{words}" '
            f"tooltip={quote(item.tooltip or key)} {_pinned(box.x, box.y, box.half_width, box.half_height)} "
            f"{item_look(item)}];"
        )


def item_look(item: Item) -> str:
    """Return shape, colours and text of an item."""
    if item.form == "text":
        assert item.name is not None
        return f"shape=plaintext label={name_label(item.name, STATE_FONT)}"
    fill, line = COLOURS[item.kind]
    shape = {"circle": "circle", "ellipse": "ellipse"}.get(item.form, "box")
    if item.kind in ("input", "output"):
        assert item.name is not None
        shape, label, size = "ellipse", name_label(item.name, TERMINAL_FONT), TERMINAL_FONT
    else:
        text = "".join(PLAIN_SIGNS.get(sign, sign) for sign in item.text)
        label = quote(text)
        size = LAYER_FONT if shape == "box" else SIGN_FONT if len(text) == 1 else WORD_FONT
    return f'shape={shape} style=filled fillcolor="{fill}" color="{line}" fontsize={size} label={label}'


def _labels(picture: Picture) -> Iterator[str]:
    """Yield the names beside the layers: right of the wire that leaves, or left where there is more room."""
    taken = {point for wire in picture.wires if wire.routed for point in wire.points}
    for key, box in picture.placement.boxes.items():
        item = picture.scene.items[key]
        if item.kind != "layer" or item.name is None:
            continue
        half = name_width(item.name, LABEL_FONT) / 2
        sides = {
            sign: {(box.x + sign * dx, box.y + dy) for dx in range(1, int(2 * half / UNIT) + 2) for dy in (2, 3)}
            for sign in (1, -1)
        }
        sign = min(sides, key=lambda sign: len(sides[sign] & taken))
        taken |= sides[sign]
        x = box.x + sign * (half + 6) / UNIT
        y = box.y + box.half_height + 1
        yield (
            f'{quote(f"name of {key}")} [class="label" shape=plaintext '
            f"{_pinned(x, y, half / UNIT + 0.3, 1)} label={name_label(item.name, LABEL_FONT, LABEL)}];"
        )


# ---- edges


@dataclass(frozen=True, slots=True)
class Stroke:
    """One edge as it is drawn: its ends and bends in points, its arrowhead, and whether it can be seen."""

    source: str
    target: str
    places: tuple[Place, ...]
    arrow: bool
    style: str


def _edges(picture: Picture) -> Iterator[str]:
    straight = conveyor_pairs(picture.scene)
    for stroke in strokes(picture):
        pair = stroke.source, stroke.target
        words = "conveyor" if pair in straight else "wire"
        head = "" if stroke.arrow else " arrowhead=none"
        style = f" style={stroke.style}" if stroke.style else ""
        title = f"{pair[0]} to {pair[1]}"
        yield (
            f"{quote(pair[0])} -> {quote(pair[1])} [id={quote(f'{picture.scene.name}.{title}')} "
            f'class="{words}" tooltip={quote(title)} '
            f'pos="{spline(stroke.places, ARROW if stroke.arrow else 0)}"{head}{style}];'
        )


def strokes(picture: Picture) -> list[Stroke]:
    """Return what is drawn for each wire of the scene, in the scene's order."""
    wires = {(wire.source, wire.target): wire for wire in picture.wires}
    bundled: dict[Pair, Stroke] = {}
    for bundle in picture.placement.bundles:
        bundled.update(_bundle(picture, wires, bundle))
    return [bundled.get(pair) or _single(picture, wires[pair]) for pair in picture.scene.wires]


def _single(picture: Picture, wire: Wire) -> Stroke:
    places = _places(picture, wire)
    return Stroke(wire.source, wire.target, places, True, "" if wire.routed else "dashed")


def _bundle(picture: Picture, wires: dict[Pair, Wire], bundle: Bundle) -> dict[Pair, Stroke]:
    """Return the strokes of a bundle: its first source draws it, the others draw how they join it, once."""
    leaving = {layer: wires[bundle.merges[-1], layer] for layer in bundle.layers}
    nearest = min(bundle.layers, key=lambda layer: leaving[layer].branch)
    found: dict[Pair, Stroke] = {}
    for layer, last in leaving.items():
        pair = bundle.sources[0], layer
        whole = _whole(wires, bundle, last) if layer == nearest else last
        found[pair] = Stroke(*pair, _places(picture, whole), True, "" if whole.routed else "dashed")
        for place, source in enumerate(bundle.sources[1:]):
            wire = wires[source, bundle.merges[place]]
            style = "invis" if layer != nearest else "" if wire.routed else "dashed"
            found[source, layer] = Stroke(source, layer, _joining(picture, wire), False, style)
    return found


def _whole(wires: dict[Pair, Wire], bundle: Bundle, last: Wire) -> Wire:
    """Return the way of a bundle's first source over all merge points to a layer."""
    parts = [
        wires[bundle.sources[0], bundle.merges[0]],
        *(wires[pair] for pair in pairwise(bundle.merges)),
        last,
    ]
    if not all(part.routed for part in parts):
        return last
    way = parts[0].points[max(parts[0].branch - 1, 0) :]
    for part in parts[1:]:
        way += part.points[1:]
    return Wire(bundle.sources[0], last.target, way)


def _joining(picture: Picture, wire: Wire) -> tuple[Place, ...]:
    """Return how a wire joins a bundle: it bends into the bundle's direction."""
    places = _places(picture, wire)
    if wire.points[-1][1] == wire.points[-2][1]:
        return places
    return (*places, (places[-1][0] + CORNER, places[-1][1]))


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
