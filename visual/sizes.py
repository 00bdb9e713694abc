"""How large items are, so that their texts fit, and where wires may enter them from below."""

from math import ceil

from lstmgraph.visual.records import TERMINALS, Bundle, Item, Name, Scene
from lstmgraph.visual.style import (
    CIRCLE_SIZE,
    ELLIPSE_SIZE,
    LAYER_FONT,
    LAYER_SIZE,
    STATE_FONT,
    SUBSCRIPT,
    TERMINAL_FONT,
    TERMINAL_SIZE,
    UNIT,
    WORD_FONT,
    text_width,
)

Size = tuple[float, float]


def size_of(item: Item, entering: int) -> Size:
    """Return half the width and half the height of an item into which so many wires run, in grid units."""
    if item.kind in TERMINALS:
        return _terminal_size(item)
    if item.form == "circle":
        return CIRCLE_SIZE
    if item.form == "ellipse":
        return max(ELLIPSE_SIZE[0], (text_width(item.text, WORD_FONT) + 14) / 2 / UNIT), ELLIPSE_SIZE[1]
    text = (text_width(item.text, LAYER_FONT) + 12) / 2 / UNIT
    return max(LAYER_SIZE[0], text, entering - 1.5), LAYER_SIZE[1]


def _terminal_size(item: Item) -> Size:
    font = STATE_FONT if item.form == "text" else TERMINAL_FONT
    wide = name_width(item.name, font)
    if item.form == "text":
        return max(1.9 if item.kind == "new" else 2.5, (wide + 6) / 2 / UNIT), LAYER_SIZE[1]
    return max(TERMINAL_SIZE[0], (wide + 10) / 2 / UNIT), TERMINAL_SIZE[1]


def name_width(name: Name | None, font: float) -> float:
    """Return about how wide a name with its subscript is drawn, in points."""
    if name is None:
        return 0.0
    beside = max(text_width(name.below, font * SUBSCRIPT), text_width(name.above, font * SUBSCRIPT))
    return text_width(name.base, font) + beside + 2 * bool(name.above)


def entering(key: str, scene: Scene, bundles: tuple[Bundle, ...]) -> int:
    """Return how many wires end at an item, a bundle counting as one."""
    bundled = [bundle for bundle in bundles if key in bundle.layers]
    return len(scene.sources(key)) - sum(len(bundle.merges) for bundle in bundled)


def ports_of(item: Item, size: Size, count: int) -> tuple[int, ...]:
    """Return where wires may enter a box from below: in the middle, and every two units beside it."""
    if item.form not in ("layer", "box"):
        return ()
    beside = max(int((size[0] - 0.5) // 2), 0) if count > 1 else 0
    return tuple(sorted(range(-2 * beside, 2 * beside + 1, 2), key=lambda port: (abs(port), port)))


def input_places(scene: Scene, first: int) -> dict[str, int]:
    """Return where each input enters the frame from below, the first one at x = `first`."""
    found: dict[str, int] = {}
    x = first
    for key in scene.of_kind("input"):
        half = ceil(size_of(scene.items[key], 0)[0])
        x += half if found else 0
        found[key] = x
        x += half + 1
    return found
