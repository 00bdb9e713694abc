"""A scene that is too large to be placed on lines: the same items, placed by Graphviz in layers."""

import html
from collections.abc import Iterator

from lstmgraph.errors import DrawingError, nearest
from lstmgraph.visual.dot import POINTS_PER_INCH, class_of, item_look, plain_text, quote
from lstmgraph.visual.look import Look, paint_item, paint_name, paint_wire
from lstmgraph.visual.records import Item, Scene
from lstmgraph.visual.routing import conveyor_pairs
from lstmgraph.visual.sizes import size_of
from lstmgraph.visual.style import ARROW, FONT, LAYER_FONT, PEN, UNIT, WORD_FONT, text_width
from lstmgraph.visual.themes import Theme
from lstmgraph.visual.wording import wire_text

DIRECTIONS = {"up": "BT", "down": "TB", "right": "LR", "left": "RL"}


def rank_of(direction: str) -> str:
    """Return Graphviz's word for a direction, or raise a DrawingError that lists them."""
    if direction not in DIRECTIONS:
        raise DrawingError(
            f"draw: got direction {direction!r}, expected up, down, right or left"
            f"{nearest(str(direction), list(DIRECTIONS))}"
        )
    return DIRECTIONS[direction]


def head(name: str, rank: str, theme: Theme, more: str = "") -> list[str]:
    """Return the first lines of a DOT text whose nodes Graphviz places."""
    return [
        f"digraph {quote(name)} {{",
        f'  graph [rankdir={rank} bgcolor="{theme.background}" pad=0.15 fontname="{FONT}" '
        f'fontcolor="{theme.text}"{f" {more}" if more else ""}];',
        f'  node [penwidth={PEN} fontname="{FONT}" fontcolor="{theme.text}" margin="0.06,0.03" '
        "height=0.35 width=0.35];",
        f'  edge [penwidth={PEN} arrowsize={ARROW / 10:g} color="{theme.wire}" fontname="{FONT}" fontsize=9 '
        f'fontcolor="{theme.quiet}"];',
    ]


def write_layered(scene: Scene, look: Look) -> str:
    """Return the DOT text of a scene without positions; its conveyors are as straight as Graphviz can."""
    lines = head(scene.name, "LR", look.theme, "ranksep=0.35 nodesep=0.2")
    return "\n".join([*lines, *layered_lines(scene, look), "}"]) + "\n"


def layered_lines(scene: Scene, look: Look, prefix: str = "") -> Iterator[str]:
    """Yield the nodes and edges of a scene; `prefix` sets their keys apart from those of another one."""
    straight = conveyor_pairs(scene)
    on_line = {key for pair in straight for key in pair}
    own = prefix or f"{scene.name}."
    for key, item in scene.items.items():
        yield (
            f'  {quote(prefix + key)} [id={quote(own + key)} class="{class_of(item, key in on_line)}" '
            f"tooltip={quote(item.tooltip or key)} {_looks(item, look)}];"
        )
    for pair in scene.wires:
        paint = paint_wire(look, pair)
        words = 'class="conveyor" weight=100' if pair in straight else 'class="wire"'
        style = f" style={paint.style}" if paint.style else ""
        yield (
            f"  {quote(prefix + pair[0])} -> {quote(prefix + pair[1])} [id={quote(f'{own}{pair[0]}_to_{pair[1]}')} "
            f'{words} tooltip={quote(wire_text(scene, pair))} color="{paint.line}" penwidth={paint.pen:g}{style}];'
        )


def _looks(item: Item, look: Look) -> str:
    """Return how an item looks: as large as where we place it, a layer's name in its box."""
    paint = paint_item(look, item)
    if item.kind != "layer" or item.name is None:
        wide, high = (2 * half * UNIT / POINTS_PER_INCH for half in size_of(item, 0))
        return f"fixedsize=true width={wide:.4f} height={high:.4f} {item_look(item, paint)}"
    lines = (
        f'<FONT POINT-SIZE="{size}" COLOR="{colour}">{text}</FONT>'
        for text, size, colour in (
            (html.escape(plain_text(item.text)), LAYER_FONT, paint.text),
            (f"<I>{html.escape(item.name.base)}</I>", WORD_FONT, paint_name(look, item)),
        )
    )
    wide = max(text_width(item.text, LAYER_FONT), text_width(item.name.base, WORD_FONT)) + 14
    high = 1.2 * (LAYER_FONT + WORD_FONT) + 6
    return (
        f"fixedsize=true width={wide / POINTS_PER_INCH:.4f} height={high / POINTS_PER_INCH:.4f} "
        f'shape=box style="filled{paint.style and f",{paint.style}"}" fillcolor="{paint.fill}" '
        f'color="{paint.line}" penwidth={paint.pen:g} label=<{"<BR/>".join(lines)}>'
    )
