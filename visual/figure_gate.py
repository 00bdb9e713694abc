"""The figure "gate": one gate alone, a sigmoid layer and the pointwise multiplication that it feeds."""

from dataclasses import replace
from typing import Any

from lstmgraph.errors import DrawingError, nearest
from lstmgraph.visual.arranged import scene_of
from lstmgraph.visual.dot import document
from lstmgraph.visual.drawing import Drawing
from lstmgraph.visual.engine import PINNED
from lstmgraph.visual.layers import PRODUCT
from lstmgraph.visual.look import Look
from lstmgraph.visual.records import Item, Name, Scene, Spot
from lstmgraph.visual.sizes import name_width, size_of
from lstmgraph.visual.sketch import end, run, stand
from lstmgraph.visual.style import LABEL_FONT, STATE_FONT, UNIT
from lstmgraph.visual.themes import theme_named
from lstmgraph.visual.wording import called

SIGMOID = "σ"
LINE, LAYER, BELOW = 13, 5, -3  # heights of the line, the layer and what it reads
LONGEST = 16  # letters of a value that is called by how it is made
APART = 2.0  # between sources
LEAST = 0.1  # how far beside the middle a wire has to bend


def figure(cell: Any, *, name: str | None = None, theme: str = "classic", labels: str = "symbols") -> Drawing:
    """Draw one gate of a cell: how much of a value it lets through.

    Parameters
    ----------
    cell : Cell
        Any cell with a gate.
    name : str, optional
        The gate's name; by default the first gate of the cell.
    theme : str
        The colours.
    labels : str
        "symbols" or "names".
    """
    look = Look(theme_named(theme))
    scene = scene_of(cell, "gate", labels)
    layer, product = _chosen(scene, name)
    value = next((source for source in scene.sources(product) if source != layer), layer)
    lines = _line(scene, look, layer, product, value) + _sources(scene, look, layer)
    gate, through = called(scene.items[layer]), _word(scene, value).plain
    text = (
        f"The gate {layer} of {scene.name}: a layer of {scene.items[layer].text} gives {gate}, numbers between 0, let "
        f"nothing through, and 1, let everything through; a pointwise multiplication applies them to {through}."
    )
    return Drawing(document(f"{scene.name} {layer}", lines, look.theme), PINNED, f"{scene.name}: gate {layer}", text)


def _chosen(scene: Scene, name: str | None) -> tuple[str, str]:
    """Return the layer and the multiplication of a gate."""
    gates = {
        layer: target
        for layer in scene.of_kind("layer")
        if scene.items[layer].text.endswith(SIGMOID)
        for target in reversed(scene.targets(layer))
        if scene.items[target].text == PRODUCT
    }
    if not gates:
        raise DrawingError(
            f"draw: {scene.name} has no gate, expected a sigmoid layer that feeds a multiplication; take figure='cell'"
        )
    if name is not None and name not in gates:
        raise DrawingError(
            f"draw: {scene.name} has no gate {name!r}, expected one of {', '.join(gates)}"
            f"{nearest(str(name), list(gates))}"
        )
    chosen = name or next(iter(gates))
    return chosen, gates[chosen]


def _word(scene: Scene, key: str) -> Name:
    """Return what a value is called: by its own name, as a state's next value, or by how it is made."""
    item, sources = scene.items[key], scene.sources(key)
    nexts = [scene.items[state.new].name for state in scene.states if state.value == key]
    name = item.name or next(iter(nexts), None)
    if name is not None:
        return name
    parts = [_word(scene, source).plain for source in sources]
    text = f" {item.text} ".join(parts) if item.form == "circle" and len(parts) > 1 else ", ".join(parts)
    text = text if item.form == "circle" and len(parts) > 1 else f"{item.text}({text})"
    return Name(text if len(text) <= LONGEST else item.text or key)


def _line(scene: Scene, look: Look, layer: str, product: str, value: str) -> list[str]:
    """Return the layer, the multiplication above it, and the line that runs through."""
    box, times = replace(scene.items[layer], form="layer"), scene.items[product]
    wide, high = size_of(box, 1)
    around, _ = size_of(times, 2)
    word = _word(scene, value)
    half = max(2.5, (name_width(word, STATE_FONT) + 6) / 2 / UNIT)
    left, right = -11 - half, 11.0
    lines = [
        stand(Item(f"value:{value}", "old", "text", name=word), Spot(left, LINE, half, 1.5), look),
        stand(times, Spot(0, LINE, around, around), look),
        stand(box, Spot(0, LAYER, wide, high), look),
        end("gated", right, LINE),
        run((f"value:{value}", product), [(left + half, LINE), (-around, LINE)], look, "wire", called(times)),
        run((product, "gated"), [(around, LINE), (right, LINE)], look, "wire", times.tooltip),
        run((layer, product), [(0, LAYER + high), (0, LINE - around)], look, "wire", called(box)),
    ]
    if box.name is not None:
        beside = (name_width(box.name, LABEL_FONT) + 14) / 2 / UNIT
        spot = Spot(beside + 0.4, LAYER + 3.5, beside, 1)
        lines.append(stand(Item("gate", "old", "text", name=box.name), spot, look))
    return lines


def _sources(scene: Scene, look: Look, layer: str) -> list[str]:
    """Return what the layer reads, side by side below it, and how that joins."""
    _, high = size_of(scene.items[layer], 1)
    words = {source: _word(scene, source) for source in scene.sources(layer)}
    halves = {source: max(2.0, (name_width(word, STATE_FONT) + 6) / 2 / UNIT) for source, word in words.items()}
    x = -sum(halves.values()) - APART * (len(halves) - 1) / 2
    lines = []
    for source, half in halves.items():
        x += half
        item = Item(f"source:{source}", "old", "text", name=words[source], tooltip=scene.items[source].tooltip)
        way = [(x, BELOW + 1.5), (x, LAYER - high)]
        if len(halves) > 1 and abs(x) > LEAST:
            way = [(x, BELOW + 1.5), (x, LAYER - 4.0), (0.0, LAYER - 4.0), (0.0, LAYER - high)]
        lines += [
            stand(item, Spot(x, BELOW, half, 1.5), look),
            run((item.key, layer), way, look, "wire", words[source].plain),
        ]
        x += half + APART
    return lines
