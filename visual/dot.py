"""A picture as DOT text: every node and every edge pinned, so that Graphviz only draws."""

import html
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import pairwise

from lstmgraph.visual.beside import name_sides
from lstmgraph.visual.curves import Place, spline
from lstmgraph.visual.look import Look, Paint, paint_frame, paint_item, paint_name, paint_wire
from lstmgraph.visual.records import Item, Name, Pair, Picture, Spot
from lstmgraph.visual.routing import conveyor_pairs
from lstmgraph.visual.sizes import name_width
from lstmgraph.visual.strokes import Stroke, strokes
from lstmgraph.visual.style import (
    ARROW,
    FONT,
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
    WORD_FONT,
    text_width,
)
from lstmgraph.visual.themes import CLASSIC, Theme
from lstmgraph.visual.wording import wire_text

POINTS_PER_INCH = 72
ASIDE = 7  # points from a wire to the name beside it
ARROW_SIZE = 10.0  # points of an arrowhead of size 1


@dataclass(frozen=True)
class Panel:
    """A picture as it stands in a figure: how it is painted, where its frame's lower left corner is, in grid units.

    `prefix` sets its keys apart from those of other panels. Terminals in `bare` are ends of wires without text.
    """

    picture: Picture
    look: Look = field(default_factory=Look)
    prefix: str = ""
    x: float = 0.0
    y: float = 0.0
    bare: frozenset[str] = frozenset()

    def identity(self, key: str) -> str:
        """Return the id of a node or edge in the picture."""
        return (self.prefix or f"{self.picture.scene.name}.") + key


def write_dot(picture: Picture, look: Look | None = None) -> str:
    """Return the DOT text of a placed and routed picture.

    Every wire of the scene is one edge. Wires that join a bundle are drawn once, up to where they join; the
    edges from there on are in the text, so that it holds the whole flow of data, but invisible.
    """
    panel = Panel(picture, look or Look())
    return document(picture.scene.name, panel_lines(panel), panel.look.theme)


def document(name: str, lines: Iterable[str], theme: Theme) -> str:
    """Return the DOT text of a figure in which everything is pinned."""
    head = [
        f"digraph {quote(name)} {{",
        f'  graph [outputorder=nodesfirst splines=true pad=0.15 bgcolor="{theme.background}" fontname="{FONT}"];',
        f'  node [fixedsize=true penwidth={PEN} fontname="{FONT}" fontcolor="{theme.text}"];',
        f'  edge [penwidth={PEN} arrowsize={ARROW / ARROW_SIZE:g} color="{theme.wire}"];',
    ]
    return "\n".join([*head, *(f"  {line}" for line in lines), "}"]) + "\n"


def panel_lines(panel: Panel) -> Iterator[str]:
    """Yield a panel's nodes and edges; what stands out comes last, since later ones are painted on top."""
    yield _frame(panel)
    yield from _nodes(panel)
    yield from _labels(panel)
    yield from _edges(panel)


# ---- words of DOT


def quote(text: str) -> str:
    """Return a DOT string."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'


def name_label(name: Name, size: float, colour: str = TEXT) -> str:
    """Return a name in italics with its subscript; a table, since not every engine draws <SUB>."""

    def cell(text: str, points: float) -> str:
        return f'<FONT POINT-SIZE="{points:.0f}" COLOR="{colour}"><I>{html.escape(text)}</I></FONT>'

    if not name.below and not name.above:
        return f"<{cell(name.base, size)}>"
    over = cell(name.above, size * SUBSCRIPT) if name.above else ""
    gap = '<TD ROWSPAN="2" WIDTH="2"></TD>' if name.above else ""  # a letter in italics leans over
    return (
        '<<TABLE BORDER="0" CELLBORDER="0" CELLSPACING="0" CELLPADDING="0"><TR>'
        f'<TD ROWSPAN="2" VALIGN="MIDDLE"{_fixed(name.base, size)}>{cell(name.base, size)}</TD>'
        f'{gap}<TD HEIGHT="{size * 0.45:.0f}" WIDTH="1" ALIGN="LEFT">{over}</TD></TR><TR>'
        f'<TD ALIGN="LEFT" VALIGN="BOTTOM">{cell(name.below, size * SUBSCRIPT)}</TD></TR></TABLE>>'
    )


def _fixed(text: str, size: float) -> str:
    """Return the width of a cell whose text has a combining sign, which the engine measures as a letter."""
    if not set(MISMEASURED) & set(text):
        return ""
    wide = text_width(text, size)
    return f' FIXEDSIZE="TRUE" WIDTH="{wide:.0f}" HEIGHT="{size * 1.15:.0f}" ALIGN="LEFT" BALIGN="LEFT"'


def pinned(x: float, y: float, half_width: float, half_height: float) -> str:
    """Return where a node stands and how large it is, from grid units."""
    wide, high = (2 * half * UNIT / POINTS_PER_INCH for half in (half_width, half_height))
    return f'pos="{x * UNIT:.2f},{y * UNIT:.2f}!" width={wide:.4f} height={high:.4f}'


def plain_text(text: str) -> str:
    """Return a text without the signs that the bundled engine cannot draw."""
    for sign, plain in PLAIN_SIGNS.items():
        text = text.replace(sign, plain)
    return text


# ---- nodes


def frame(key: str, tooltip: str, spot: Spot, paint: Paint) -> str:
    """Return the node of a frame, which everything else stands upon."""
    return (
        f'{quote(key)} [class="frame" shape=box style="rounded,filled" label="" tooltip={quote(tooltip)} '
        f"{pinned(spot.x, spot.y, spot.half_width, spot.half_height)} "
        f'fillcolor="{paint.fill}" color="{paint.line}" penwidth={paint.pen:g}];'
    )


def _frame(panel: Panel) -> str:
    placement, scene = panel.picture.placement, panel.picture.scene
    half_width, half_height = placement.width / 2, placement.height / 2
    spot = Spot(panel.x + half_width, panel.y + half_height, half_width, half_height)
    return frame(f"{panel.prefix}frame", scene.name, spot, paint_frame(panel.look))


def _nodes(panel: Panel) -> Iterator[str]:
    picture, look = panel.picture, panel.look
    scene = picture.scene
    on_line = {key for pair in conveyor_pairs(scene) for key in pair}
    order = {key: place for place, key in enumerate(scene.items)}
    tails = {pair[0] for pair in look.lit or trunks(panel)}
    for key, box in sorted(picture.placement.boxes.items(), key=lambda entry: (entry[0] in tails, order[entry[0]])):
        item = scene.items[key]
        place = pinned(panel.x + box.x, panel.y + box.y, box.half_width, box.half_height)
        drawn = 'shape=point style=invis label=""' if key in panel.bare else item_look(item, paint_item(look, item))
        yield (
            f"{quote(panel.prefix + key)} [id={quote(panel.identity(key))} "
            f'class="{class_of(item, key in on_line)}" tooltip={quote(item.tooltip or key)} {place} {drawn}];'
        )


def class_of(item: Item, on_line: bool) -> str:
    """Return the words by which a picture's reader finds an item."""
    kind = "state" if item.kind in ("old", "new") else item.kind
    return f"conveyor {kind}" if on_line else kind


def item_look(item: Item, paint: Paint | None = None) -> str:
    """Return shape, colours and text of an item."""
    paint = paint or paint_item(Look(CLASSIC), item)
    if item.form == "text":
        assert item.name is not None
        return f"shape=plaintext label={name_label(item.name, STATE_FONT, paint.text)}"
    shape = {"circle": "circle", "ellipse": "ellipse"}.get(item.form, "box")
    if item.kind in ("input", "output") and item.name is not None:
        shape, label, size = "ellipse", name_label(item.name, TERMINAL_FONT, paint.text), TERMINAL_FONT
    else:
        text = plain_text(item.text)
        label = quote(text)
        size = WORD_FONT if shape != "box" and len(text) > 1 else SIGN_FONT if shape == "circle" else LAYER_FONT
    style = f'"filled,{paint.style}"' if paint.style else "filled"
    pen = "" if paint.pen == PEN else f" penwidth={paint.pen:g}"
    return (
        f'shape={shape} style={style} fillcolor="{paint.fill}" color="{paint.line}" fontsize={size} '
        f'fontcolor="{paint.text}"{pen} label={label}'
    )


def _labels(panel: Panel) -> Iterator[str]:
    """Yield the names beside the layers: right of the wire that leaves, or left where there is more room."""
    picture = panel.picture
    taken = {point for wire in picture.wires if wire.routed for point in wire.points}
    for key, sign in name_sides(picture.scene, picture.placement.boxes, taken.__contains__).items():
        item, box = picture.scene.items[key], picture.placement.boxes[key]
        assert item.name is not None
        half = name_width(item.name, LABEL_FONT) / 2
        x = panel.x + box.x + sign * (half + ASIDE) / UNIT
        y = panel.y + box.y + box.half_height + 1
        yield (
            f'{quote(f"{panel.prefix}name of {key}")} [class="label" shape=plaintext '
            f"{pinned(x, y, half / UNIT + 0.3, 1)} "
            f"label={name_label(item.name, LABEL_FONT, paint_name(panel.look, item))}];"
        )


# ---- edges


def _edges(panel: Panel) -> Iterator[str]:
    scene, front = panel.picture.scene, panel.look.lit or trunks(panel)
    straight = conveyor_pairs(scene)
    drawn = strokes(panel.picture, front)
    for stroke in sorted(drawn, key=lambda stroke: (stroke.source, stroke.target) in front):
        pair = stroke.source, stroke.target
        paint = paint_wire(panel.look, pair)
        word = "conveyor" if pair in straight else "wire"
        yield (
            f"{quote(panel.prefix + pair[0])} -> {quote(panel.prefix + pair[1])} "
            f"[id={quote(panel.identity(f'{pair[0]}_to_{pair[1]}'))} "
            f'class="{word}" tooltip={quote(wire_text(scene, pair))} '
            f"{_drawn(panel, stroke, paint)}];"
        )


def trunks(panel: Panel) -> frozenset[Pair]:
    """Return the wires to draw from end to end where others of their source are marked: a trunk is not theirs alone."""
    look, wires = panel.look, panel.picture.scene.wires
    sources = {pair[0] for pair in wires if look.mark(pair) in ("added", "removed")}
    plain = [pair for pair in wires if pair[0] in sources and look.mark(pair) == "plain"]
    longest: dict[str, tuple[float, Pair]] = {}
    for stroke in strokes(panel.picture, plain):
        pair = stroke.source, stroke.target
        if pair in plain:
            length = sum(abs(x - a) + abs(y - b) for (x, y), (a, b) in pairwise(stroke.places))
            longest[pair[0]] = max(longest.get(pair[0], (0.0, pair)), (length, pair))
    return frozenset(pair for _, pair in longest.values())


def _drawn(panel: Panel, stroke: Stroke, paint: Paint) -> str:
    """Return the way of a stroke and how it is painted, where that is not as usual."""
    arrow = stroke.arrow and stroke.target not in panel.bare
    places = [(x + panel.x * UNIT, y + panel.y * UNIT) for x, y in stroke.places]
    style = stroke.style or paint.style
    return way(places, paint, arrow, panel.look.theme) + (f" style={style}" if style else "")


def way(places: Iterable[Place], paint: Paint, arrow: bool, theme: Theme) -> str:
    """Return an edge's curve, arrowhead, colour and pen, where they are not those of most edges."""
    words = [f'pos="{spline(list(places), paint.arrow if arrow else 0)}"']
    if not arrow:
        words.append("arrowhead=none")
    elif paint.arrow != ARROW:
        words.append(f"arrowsize={paint.arrow / ARROW_SIZE:g}")
    if paint.line != theme.wire:
        words.append(f'color="{paint.line}"')
    if paint.pen != PEN:
        words.append(f"penwidth={paint.pen:g}")
    return " ".join(words)
