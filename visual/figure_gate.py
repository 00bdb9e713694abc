"""The figure "gate": one gate alone, a sigmoid layer and the pointwise multiplication that it feeds."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from lstmgraph.errors import DrawingError, nearest
from lstmgraph.visual.arranged import scene_of
from lstmgraph.visual.dot import document
from lstmgraph.visual.drawing import Drawing
from lstmgraph.visual.engine import PINNED
from lstmgraph.visual.layers import PRODUCT
from lstmgraph.visual.look import Look, Mark, known_names, listed, named_keys
from lstmgraph.visual.records import Item, Name, Pair, Scene, Spot
from lstmgraph.visual.sizes import name_width, size_of
from lstmgraph.visual.sketch import end, run, stand
from lstmgraph.visual.style import LABEL_FONT, STATE_FONT, UNIT
from lstmgraph.visual.themes import Theme, theme_named
from lstmgraph.visual.wording import called

SIGMOID = "σ"
LINE, LAYER, BELOW = 13, 5, -3  # heights of the line, the layer and what it reads
STEP = 4.0  # from an op on the line to what it is of
APART = 2.0  # between sources
OUT = "gated"


@dataclass(frozen=True)
class _Gate:
    """A gate: its layer, the multiplication that it feeds, and what is multiplied there."""

    scene: Scene
    layer: str
    product: str
    value: str

    def drawn(self, key: str) -> list[str]:
        """Return what shows a value of the cell in the figure: it may be let through, be read by the layer, or both."""
        found = [f"value:{key}"] * (key == self.value) + [f"operand:{key}"] * (key == self.operand)
        found += [f"source:{key}"] * (key in self.scene.sources(self.layer))
        return found + [key] * (key in (self.layer, self.product))

    @property
    def operand(self) -> str:
        """The one named value that what is let through is made of, as C in tanh(C); empty if there is none."""
        sources = self.scene.sources(self.value)
        named = _word(self.scene, self.value) is None and len(sources) == 1 and _word(self.scene, sources[0])
        return sources[0] if named else ""

    def wires(self) -> list[Pair]:
        """Return the wires of the figure."""
        read = [(f"source:{source}", self.layer) for source in self.scene.sources(self.layer)]
        made = [(f"operand:{self.operand}", f"value:{self.value}")] * bool(self.operand)
        return [*read, (self.layer, self.product), *made, (f"value:{self.value}", self.product), (self.product, OUT)]


def figure(
    cell: Any,
    *,
    name: str | None = None,
    theme: str = "classic",
    labels: str = "symbols",
    highlight: str | Iterable[str] | None = None,
) -> Drawing:
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
    highlight : str or several, optional
        What of this gate stands out, by name: its layer, its multiplication, what they read.
    """
    scene = scene_of(cell, "gate", labels)
    gate = _chosen(scene, name)
    look = _look(theme_named(theme), gate, highlight)
    lines = _line(gate, look) + _sources(gate, look)
    shown, word = called(scene.items[gate.layer]), _word(scene, gate.value)
    made = f"{scene.items[gate.value].text} of {called(scene.items[gate.operand])}" if gate.operand else ""
    through = word.plain if word else made or f"the result of {scene.items[gate.value].text}"
    text = (
        f"The gate {gate.layer} of {scene.name}: a layer of {scene.items[gate.layer].text} gives {shown}, numbers "
        "between 0, let nothing through, and 1, let everything through; a pointwise multiplication applies them to "
        f"{through}."
    )
    dot = document(f"{scene.name} {gate.layer}", lines, look.theme)
    return Drawing(dot, PINNED, f"{scene.name}: gate {gate.layer}", text)


def _chosen(scene: Scene, name: str | None) -> _Gate:
    """Return the gate of a name."""
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
    layer = name or next(iter(gates))
    product = gates[layer]
    return _Gate(scene, layer, product, next((key for key in scene.sources(product) if key != layer), layer))


def _look(theme: Theme, gate: _Gate, names: str | Iterable[str] | None) -> Look:
    """Return the look that shows what is named, with its wires and what they join."""
    if names is None:
        return Look(theme)
    marks: dict[str | Pair, Mark] = {}
    for name in listed(names):
        keys = [part for key in named_keys(gate.scene, name) for part in gate.drawn(key)]
        if not keys:
            known = [word for word in known_names(gate.scene) if any(map(gate.drawn, named_keys(gate.scene, word)))]
            raise DrawingError(
                f"draw: gate {gate.layer} of {gate.scene.name} has nothing named {name!r}, expected one of "
                f"{', '.join(known)}{nearest(str(name), known)}; name= chooses another gate"
            )
        found = [pair for pair in gate.wires() if set(pair) & set(keys)]
        shown: list[str | Pair] = [*keys, *found, *(end for pair in found for end in pair)]
        marks.update(dict.fromkeys(shown, "lit"))
    return Look(theme, marks, "faded")


def _word(scene: Scene, key: str) -> Name | None:
    """Return what a value is called: by its own name, or as a state's next value."""
    nexts = [scene.items[state.new].name for state in scene.states if state.value == key]
    return scene.items[key].name or next(iter(nexts), None)


def _shown(scene: Scene, key: str, as_key: str) -> tuple[Item, float]:
    """Return what shows a value, and half its width: its name, or the op that it comes from."""
    item, word = scene.items[key], _word(scene, key)
    if word is None:
        op = replace(item, key=as_key)
        return op, size_of(op, 1)[0]
    half = max(2.0, (name_width(word, STATE_FONT) + 6) / 2 / UNIT)
    return Item(as_key, "old", "text", name=word, tooltip=item.tooltip), half


def _line(gate: _Gate, look: Look) -> list[str]:
    """Return the layer, the multiplication above it, and the line that runs through."""
    scene, layer, product = gate.scene, gate.layer, gate.product
    box, times = replace(scene.items[layer], form="layer"), scene.items[product]
    wide, high = size_of(box, 1)
    around, tall = size_of(times, 2)
    value, half = _shown(scene, gate.value, f"value:{gate.value}")
    left, right = -11 - half, 11.0
    lines = [
        stand(value, Spot(left, LINE, half, size_of(value, 1)[1]), look),
        stand(times, Spot(0, LINE, around, tall), look),
        stand(box, Spot(0, LAYER, wide, high), look),
        end(OUT, right, LINE),
        run((value.key, product), [(left + half, LINE), (-around, LINE)], look, "wire", value.tooltip),
        run((product, OUT), [(around, LINE), (right, LINE)], look, "wire", times.tooltip),
        run((layer, product), [(0, LAYER + high), (0, LINE - tall)], look, "wire", box.tooltip),
    ]
    if gate.operand:
        operand, wide = _shown(scene, gate.operand, f"operand:{gate.operand}")
        x = left - half - STEP
        lines.append(stand(operand, Spot(x - wide, LINE, wide, size_of(operand, 1)[1]), look))
        lines.append(run((operand.key, value.key), [(x, LINE), (left - half, LINE)], look, "wire", operand.tooltip))
    if box.name is not None:
        beside = (name_width(box.name, LABEL_FONT) + 14) / 2 / UNIT
        name = Item(layer, "old", "text", name=box.name, tooltip=box.tooltip)
        lines.append(stand(name, Spot(beside + 0.4, LAYER + 3.5, beside, 1), look, key="name of gate"))
    return lines


def _sources(gate: _Gate, look: Look) -> list[str]:
    """Return what the layer reads, evenly spaced below it, and how that joins."""
    scene, layer = gate.scene, gate.layer
    _, high = size_of(scene.items[layer], 1)
    shown = [_shown(scene, source, f"source:{source}") for source in scene.sources(layer)]
    step = 2 * max((half for _, half in shown), default=0.0) + APART
    lines = []
    for place, (item, half) in enumerate(shown):
        x = step * (place - (len(shown) - 1) / 2)
        tall = size_of(item, 1)[1]
        way = [(x, BELOW + tall), (x, LAYER - high)]
        if x:
            way = [(x, BELOW + tall), (x, LAYER - 4.0), (0.0, LAYER - 4.0), (0.0, LAYER - high)]
        lines.append(stand(item, Spot(x, BELOW, half, tall), look))
        lines.append(run((item.key, layer), way, look, "wire", item.tooltip))
    return lines
