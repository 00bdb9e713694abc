"""Figures that are placed by hand: items, captions, cells as boxes and wires, in grid units."""

from collections.abc import Iterable, Sequence

from lstmgraph.visual.curves import Place
from lstmgraph.visual.dot import class_of, frame, item_look, pinned, quote, way
from lstmgraph.visual.look import Look, paint_frame, paint_item, paint_wire
from lstmgraph.visual.records import Item, Spot
from lstmgraph.visual.style import CAPTION_FONT, UNIT, text_width

LARGEST_FONT, SMALLEST_FONT = 26, 13  # of a cell's name in its box
ROOM = 2.0  # beside the name, in grid units


def stand(item: Item, spot: Spot, look: Look, on_line: bool = False, key: str = "") -> str:
    """Return the node of an item, under another key where one is given."""
    own = key or item.key
    return (
        f'{quote(own)} [id={identity(own)} class="{class_of(item, on_line)}" '
        f"tooltip={quote(item.tooltip or item.key)} {pinned(spot.x, spot.y, spot.half_width, spot.half_height)} "
        f"{item_look(item, paint_item(look, item))}];"
    )


def identity(key: str) -> str:
    """Return the id of what has a key, in quotes; an id has no spaces."""
    return quote(key.replace(" ", "_"))


def end(key: str, x: float, y: float, words: str = "end") -> str:
    """Return a node that cannot be seen: where a wire begins or ends."""
    return f'{quote(key)} [class="{words}" shape=point style=invis label="" {pinned(x, y, 0.01, 0.01)}];'


def caption(key: str, text: str, x: float, y: float, colour: str, size: float = CAPTION_FONT) -> str:
    """Return a text that stands by itself."""
    lines = text.split("\n")
    half = max(text_width(line, size) for line in lines) / 2 / UNIT + 0.5
    return (
        f'{quote(key)} [id={identity(key)} class="label" shape=plaintext fontsize={size:g} fontcolor="{colour}" '
        f"{pinned(x, y, half, len(lines) * size * 0.65 / UNIT)} label={quote(text)}];"
    )


def cell_box(key: str, name: str, tooltip: str, spot: Spot, look: Look) -> Iterable[str]:
    """Yield a cell as a box with its name in it."""
    yield frame(key, tooltip, spot, paint_frame(look))
    wanted = text_width(name, 1)
    size = max(SMALLEST_FONT, min(LARGEST_FONT, (2 * spot.half_width - ROOM) * UNIT / max(wanted, 1)))
    colour = look.theme.faded_text if look.rest == "faded" else look.theme.text
    yield caption(f"name of {key}", name, spot.x, spot.y, colour, size)


def half_box(name: str) -> float:
    """Return half the least width of a box in which a cell's name can be read."""
    return (text_width(name, SMALLEST_FONT) / UNIT + ROOM) / 2


def run(
    ends: tuple[str, str],
    places: Sequence[Place],
    look: Look,
    words: str = "wire",
    tooltip: str = "",
    arrow: bool = True,
    key: str = "",
) -> str:
    """Return a wire along these places, from one node to another; `key` tells it from others between the two."""
    paint = paint_wire(look, ends)
    points = [(x * UNIT, y * UNIT) for x, y in places]
    style = f' style="{paint.style}"' if paint.style else ""
    return (
        f"{quote(ends[0])} -> {quote(ends[1])} [id={identity(f'{key}{ends[0]}_to_{ends[1]}')} "
        f'class="{words}" tooltip={quote(tooltip or f"{ends[0]} to {ends[1]}")} '
        f"{way(points, paint, arrow, look.theme)}{style}];"
    )
