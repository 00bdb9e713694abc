"""The figure "legend": what boxes, circles and wires stand for."""

from typing import Any

from lstmgraph.visual.curves import Place
from lstmgraph.visual.dot import document
from lstmgraph.visual.drawing import Drawing
from lstmgraph.visual.engine import PINNED
from lstmgraph.visual.look import Look
from lstmgraph.visual.names import NOW
from lstmgraph.visual.records import Item, Name, Spot
from lstmgraph.visual.sketch import caption, end, run, stand
from lstmgraph.visual.style import CAPTION_FONT, CIRCLE_SIZE, LAYER_SIZE, TERMINAL_SIZE, UNIT
from lstmgraph.visual.themes import theme_named

STEP, UP, TOP = 13, 5, 1.8  # from one sign to the next; height of the signs and of the upper side of their captions
# caption -> ways, each with whether it ends in an arrowhead; around (0, 0)
WIRES: dict[str, list[tuple[list[Place], bool]]] = {
    "vector\ntransfer": [([(-3, 0), (3, 0)], True)],
    "concatenate": [
        ([(-3, 1.3), (-0.7, 1.3), (-0.7, 0), (3, 0)], True),
        ([(-3, -1.3), (-0.7, -1.3), (-0.7, 0), (0.3, 0)], False),
    ],
    "copy": [
        ([(-3, 0), (0.5, 0), (0.5, 1.3), (3, 1.3)], True),
        ([(-0.4, 0), (0.5, 0), (0.5, -1.3), (3, -1.3)], True),
    ],
}


def figure(thing: Any = None, *, theme: str = "classic") -> Drawing:
    """Draw what the signs of the other figures stand for.

    Parameters
    ----------
    thing
        Not looked at: the signs are the same for every cell.
    theme : str
        The colours.
    """
    look = Look(theme_named(theme))
    items = {
        "neural network\nlayer": (Item("layer", "layer", "layer", "σ"), LAYER_SIZE),
        "pointwise\noperation": (Item("op", "op", "circle", "×"), CIRCLE_SIZE),
        "input": (Item("input", "input", "circle", name=Name("x", NOW)), TERMINAL_SIZE),
        "output": (Item("output", "output", "circle", name=Name("h", NOW)), TERMINAL_SIZE),
    }
    lines, x = [], 0.0
    for text, (item, size) in items.items():
        lines += [stand(item, Spot(x, UP, *size), look), _caption(text, x, look)]
        x += STEP
    for text, ways in WIRES.items():
        for place, (way, arrow) in enumerate(ways):
            key = f"{text} {place}".replace("\n", " ")
            places = [(x + dx, UP + dy) for dx, dy in way]
            ends = f"{key} from", f"{key} to"
            lines += [end(ends[0], *places[0]), end(ends[1], *places[-1])]
            lines.append(run(ends, places, look, tooltip=text.replace("\n", " "), arrow=arrow))
        lines.append(_caption(text, x, look))
        x += STEP
    words = ", ".join(text.replace("\n", " ") for text in (*items, *WIRES))
    return Drawing(document("legend", lines, look.theme), PINNED, "legend", f"What the signs stand for: {words}.")


def _caption(text: str, x: float, look: Look) -> str:
    half = len(text.split("\n")) * CAPTION_FONT * 0.65 / UNIT
    return caption(f"caption {text}".replace("\n", " "), text, x, TOP - half, look.theme.label)
