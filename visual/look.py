"""How one figure paints its items and wires: a theme, and marks on what it wants to show."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from lstmgraph.errors import DrawingError, nearest
from lstmgraph.visual.records import Item, Pair, Scene
from lstmgraph.visual.routing import conveyor_pairs
from lstmgraph.visual.style import ARROW, FRAME_PEN, PEN
from lstmgraph.visual.themes import CLASSIC, Theme

Mark = Literal["plain", "faded", "lit", "bold", "added", "removed"]

PENS: Mapping[Mark, float] = {"lit": 2.0, "bold": 3.2, "added": 2.2, "removed": 1.8}
ARROWS: Mapping[Mark, float] = {"bold": 9.0}


@dataclass(frozen=True)
class Look:
    """A theme and marks.

    `marks` are those of items, by key, and of wires, by pair; what has none is marked as `rest` says.
    """

    theme: Theme = CLASSIC
    marks: Mapping[str | Pair, Mark] = field(default_factory=dict)
    rest: Mark = "plain"

    def mark(self, what: str | Pair) -> Mark:
        """Return how an item or a wire is marked."""
        return self.marks.get(what, self.rest)

    @property
    def lit(self) -> frozenset[Pair]:
        """The wires that stand out from faded ones: they are drawn whole and last."""
        if self.rest != "faded":
            return frozenset()
        return frozenset(what for what, mark in self.marks.items() if isinstance(what, tuple) and mark != "faded")


@dataclass(frozen=True, slots=True)
class Paint:
    """Colours and line of one thing; wires use `line`, `pen` and `arrow` alone."""

    fill: str
    line: str
    text: str
    pen: float = PEN
    arrow: float = ARROW
    style: str = ""


def paint_item(look: Look, item: Item) -> Paint:
    """Return how an item is painted."""
    paint = paint_kind(look, item.key, item.kind)
    bare = item.form == "text" and look.mark(item.key) in ("added", "removed")
    return replace(paint, text=paint.line) if bare else paint


def paint_kind(look: Look, key: str, kind: str) -> Paint:
    """Return how something is painted that has the colours of a kind of items."""
    theme, mark = look.theme, look.mark(key)
    if mark == "faded":
        return Paint(*theme.faded, theme.faded_text)
    fill, line = theme.items.get("frame" if kind == "cell" else kind, theme.items["note"])
    if mark == "added":
        return Paint(fill, theme.added, theme.text, PENS[mark])
    if mark == "removed":
        return Paint(fill, theme.removed, theme.text, PENS[mark], style="dashed")
    return Paint(fill, line, theme.text)


def paint_frame(look: Look) -> Paint:
    """Return how the frame is painted."""
    colours = look.theme.faded_frame if look.rest == "faded" else look.theme.items["frame"]
    return Paint(*colours, look.theme.text, FRAME_PEN)


def paint_name(look: Look, item: Item) -> str:
    """Return the colour of the name beside an item."""
    return look.theme.faded_text if look.mark(item.key) == "faded" else look.theme.label


def paint_wire(look: Look, what: str | Pair) -> Paint:
    """Return how a wire is painted: one of the scene, or one that belongs to an item."""
    theme, mark = look.theme, look.mark(what)
    line = {"faded": theme.faded_wire, "added": theme.added, "removed": theme.removed}.get(mark, theme.wire)
    style = "dashed" if mark == "removed" else ""
    text = theme.faded_text if mark == "faded" else theme.quiet
    return Paint("", line, text, PENS.get(mark, PEN), ARROWS.get(mark, ARROW), style)


def highlighted(theme: Theme, scene: Scene, names: str | Iterable[str] | None) -> Look:
    """Return the look that shows what is named, the rest faded; all of it where nothing is named.

    A state is shown with its line from the old to the new value; anything else with what it reads and what
    reads it.

    Parameters
    ----------
    theme : Theme
        The colours.
    scene : Scene
        What is drawn.
    names : str or several
        States, inputs, outputs, layers and gates by their names, ops by their keys in the DOT text.

    Raises
    ------
    DrawingError
        If there is nothing of a name; it lists the nearest.
    """
    if names is None:
        return Look(theme)
    marks: dict[str | Pair, Mark] = {}
    for name in listed(names):
        marks.update(marks_of(scene, name))
    return Look(theme, marks, "faded")


def listed(names: str | Iterable[str]) -> list[str]:
    """Return one name or several as a list, or raise a DrawingError if they are no names."""
    found = list(names) if isinstance(names, Iterable) and not isinstance(names, str) else [names]
    if not all(isinstance(name, str) for name in found):
        raise DrawingError(f"draw: got highlight {names!r}, expected the name of what stands out, or several names")
    return found


def marks_of(scene: Scene, name: str) -> dict[str | Pair, Mark]:
    """Return the marks of what is named, with its wires and their ends; a DrawingError where there is nothing."""
    marks: dict[str | Pair, Mark] = {}
    found = pairs_of(scene, name)
    marks.update(dict.fromkeys(found, "lit"))
    marks.update({end: "lit" for pair in found for end in pair})
    marks.update(dict.fromkeys(_keys(scene, name), "lit"))
    return marks


def pairs_of(scene: Scene, name: str) -> list[Pair]:
    """Return the wires that belong to what is named."""
    states = {state.name: state for state in scene.states}
    if name in scene.conveyors:
        on_line = {states[name].old, *scene.conveyors[name], states[name].new}
        return [pair for pair in scene.wires if pair in conveyor_pairs(scene) and set(pair) <= on_line]
    keys = _keys(scene, name)
    return [pair for pair in scene.wires if set(pair) & set(keys)]


def named_keys(scene: Scene, name: str) -> list[str]:
    """Return the items of a name."""
    words = [name, *(f"{kind}:{name}" for kind in ("input", "old", "new", "output", "sum"))]
    keys = [word for word in words if word in scene.items]
    # a layer and a terminal may share a name: the layer is what is spoken of
    return keys[:1] if name in scene.items else keys


def known_names(scene: Scene) -> list[str]:
    """Return every name by which something can be shown."""
    return list(dict.fromkeys(key.partition(":")[2] or key for key in scene.items))


def _keys(scene: Scene, name: str) -> list[str]:
    """Return the items of a name, or raise a DrawingError."""
    keys = named_keys(scene, name)
    if not keys:
        known = known_names(scene)
        raise DrawingError(
            f"draw: {scene.name} has nothing named {name!r} to show, expected one of {', '.join(known)}"
            f"{nearest(str(name), known)}"
        )
    return keys
