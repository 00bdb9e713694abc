"""The records that the steps of drawing hand to each other: scene, placement, wires."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Kind = Literal["input", "old", "new", "output", "layer", "sum", "op", "cell"]
Form = Literal["circle", "ellipse", "layer", "box", "text"]
Point = tuple[int, int]
Pair = tuple[str, str]

TERMINALS: tuple[Kind, ...] = ("input", "old", "new", "output")
LAYERS: tuple[Kind, ...] = ("layer", "sum")


@dataclass(frozen=True, slots=True)
class Name:
    """A name as mathematics writes it.

    Parameters
    ----------
    base : str
        The letter or word, with its marks.
    time : str
        The step, below the base.
    words : str
        What else stands below it, before the time: ``re`` of h_re.
    above : str
        What stands above it: ``slow`` of a cell's layer slow.forget.
    lag : int
        How many steps earlier than others of its kind it is: what delays keep.
    """

    base: str
    time: str = ""
    words: str = ""
    above: str = ""
    lag: int = 0

    @property
    def below(self) -> str:
        """What stands below the base."""
        return ",".join(part for part in (self.words, self.time) if part)

    @property
    def plain(self) -> str:
        """The name in one line of text."""
        below = f"{{{self.below}}}" if self.words else self.below
        return self.base + ("_" + below if below else "") + (f"^{{{self.above}}}" if self.above else "")


@dataclass(frozen=True, slots=True)
class Item:
    """One thing that is drawn: a terminal, a layer or an operation.

    Parameters
    ----------
    key : str
        Its name in the DOT text.
    kind : str
        What it is: input, old or new state, output, layer, sum over all steps, op, or a cell run over time.
    form : str
        How it looks.
    text : str
        What stands in it, if that is no name.
    name : Name, optional
        The name in a terminal, or beside a layer.
    tooltip : str
        What a browser shows when the pointer rests on it: op, name, shape and equation.
    shape : str
        The shape of its value in symbols, as ``[B, H]``.
    """

    key: str
    kind: Kind
    form: Form
    text: str = ""
    name: Name | None = None
    tooltip: str = ""
    shape: str = ""


@dataclass(frozen=True, slots=True)
class State:
    """A state: its name, its old terminal, the item that its next value comes from, its new terminal."""

    name: str
    old: str
    value: str
    new: str


@dataclass(frozen=True)
class Scene:
    """What a figure of a cell shows, before anything has a place.

    Items stand in the order of the cell's equations; `wires` are (from, to), each pair once. `conveyors`
    is state -> the ops on the straight line from its old to its new value, in order.
    """

    name: str
    items: Mapping[str, Item]
    wires: tuple[Pair, ...]
    states: tuple[State, ...]
    conveyors: Mapping[str, tuple[str, ...]]

    def of_kind(self, *kinds: Kind) -> list[str]:
        """Return the keys of the items of these kinds, in order."""
        return [key for key, item in self.items.items() if item.kind in kinds]

    def sources(self, key: str) -> list[str]:
        """Return where the wires into an item come from."""
        return [source for source, target in self.wires if target == key]

    def targets(self, key: str) -> list[str]:
        """Return where the wires out of an item go."""
        return [target for source, target in self.wires if source == key]


@dataclass(frozen=True, slots=True)
class Bundle:
    """Sources that several layers read together: their wires join, one after the other, and run on as one.

    `merges` are the names of the points where they join: the first joins two, each further one adds one.
    """

    sources: tuple[str, ...]
    layers: tuple[str, ...]
    merges: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Box:
    """Where an item stands: its centre on the grid and half its size, all in grid units.

    `ports` are the offsets of the points at its lower side where wires may enter.
    """

    x: int
    y: int
    half_width: float
    half_height: float
    ports: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Spot:
    """Where something stands that no wire has to find: its centre and half its size, in grid units."""

    x: float
    y: float
    half_width: float
    half_height: float


@dataclass(frozen=True)
class Placement:
    """Where everything stands.

    `merges` are the points where the wires of the `bundles` join; they take part in `links` as ends of wires
    but are no items. `rows` is the row of each op between layers and conveyors (0 is the upper one), `columns`
    the column of each layer and op; `lstmgraph.visual.polish` varies both. The frame reaches
    from (0, 0) to (width, height).
    """

    boxes: Mapping[str, Box]
    bundles: tuple[Bundle, ...]
    merges: Mapping[str, Point]
    links: tuple[Pair, ...]
    rows: Mapping[str, float]
    columns: Mapping[str, int]
    width: int
    height: int


@dataclass(frozen=True, slots=True)
class Wire:
    """The way of one link: grid points from its source to its target, bends and all.

    Up to `branch` the points are shared with another wire from the same source. A wire that found no way
    is not `routed`; its points are its two ends.
    """

    source: str
    target: str
    points: tuple[Point, ...]
    branch: int = 0
    routed: bool = True


@dataclass(frozen=True)
class Picture:
    """A placed and routed scene, ready to be written down."""

    scene: Scene
    placement: Placement
    wires: tuple[Wire, ...]
