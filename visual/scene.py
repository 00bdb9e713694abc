"""What a figure of a cell shows: from the graph of primitive ops to terminals, layers, ops and wires."""

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from itertools import takewhile
from typing import Any

import networkx as nx

from lstmgraph.errors import DrawingError
from lstmgraph.graph import Node, named, operands
from lstmgraph.notation.names import letter
from lstmgraph.plugins import ops
from lstmgraph.traced import Network
from lstmgraph.visual.bodies import body_at
from lstmgraph.visual.layers import SUMS, Group, Reading, find_groups
from lstmgraph.visual.names import (
    NAMES,
    NOW,
    SYMBOLS,
    check_labels,
    delayed_name,
    layer_names,
    leaf_name,
    number,
    state_times,
)
from lstmgraph.visual.records import Form, Item, Kind, Name, Scene, State
from lstmgraph.visual.wording import called as word_of
from lstmgraph.visual.wording import shape_text, tooltip

LONGEST = 12  # letters of an expression of parameters that is written into an op
INSIDE = re.compile(r"\([^()]*\)")  # what parentheses hold
TIGHT = ("×", "÷")  # signs that bind more tightly than those of sums
CHEAP, DEAR = 1, 4  # cost of an op on a conveyor: × and + of two values, anything else


def read_scene(cell: Any, labels: str = SYMBOLS) -> Scene:
    """Return the scene of a cell.

    Parameters
    ----------
    cell : Cell
        Anything with a `graph` of primitive ops.
    labels : str
        How names are written: "symbols" (f with its subscript t) or "names" (forget).

    Raises
    ------
    DrawingError
        If there is no such graph, or no such way of writing names.
    """
    check_labels(labels)
    graph = graph_of(cell)
    named_outputs = isinstance(getattr(cell, "returns", None), tuple)
    return _Maker(graph, str(graph.graph.get("name") or "cell"), named_outputs, labels == NAMES).make()


def graph_of(cell: Any) -> nx.MultiDiGraph:
    """Return a cell's graph, or raise a DrawingError that says what is wanted."""
    graph = getattr(getattr(cell, "traced", cell), "graph", None)
    if not isinstance(graph, nx.MultiDiGraph) or any("node" not in data for _, data in graph.nodes(data=True)):
        raise DrawingError(
            f"draw: got {type(cell).__name__}, expected a cell; write one with @lg.cell or take one from lg.cells"
        )
    return graph


def has_recur(thing: Any) -> bool:
    """Whether a thing has a graph over whole sequences, in which cells are run."""
    graph = getattr(thing, "graph", None)
    if not isinstance(graph, nx.MultiDiGraph):
        return False
    return any(is_recur(node) for _, node in graph.nodes(data="node")) or isinstance(thing, Network)


def is_recur(node: Node | None) -> bool:
    """Whether a node runs a cell over time."""
    definition = ops().get(node.op) if node else None
    return definition is not None and definition.kind == "recur"


@dataclass
class _Maker:
    """Collects the items and wires of one scene."""

    graph: nx.MultiDiGraph
    name: str
    named_outputs: bool  # whether the cell's author gave the outputs their names
    as_written: bool  # whether names are written as the cell writes them
    reading: Reading = field(init=False)
    groups: dict[str, Group] = field(init=False)
    labels: dict[str, str] = field(init=False)  # root of a group -> label
    items: dict[str, Item] = field(default_factory=dict)
    wires: dict[tuple[str, str], None] = field(default_factory=dict)
    keys: dict[str, str] = field(default_factory=dict)  # node -> item
    numbers: Counter[str] = field(default_factory=Counter)
    sums: dict[str, list[str]] = field(default_factory=dict)  # what is summed for -> nodes

    def make(self) -> Scene:
        self.reading = Reading(self.graph)
        self.groups = find_groups(self.reading)
        self.labels = self._find_labels()
        for kind in ("input", "state"):
            for name, key in named(self.graph, kind).items():
                self.keys[key] = self._add("old" if kind == "state" else "input", name, name, self._shape(key))
        for key in self._drawn():
            self._add_node(key)
        for name, key in named(self.graph, "output").items():
            self._wire(self._value(key), self._add("output", name, self._output_name(name, key), self._shape(key)))
        for name, key in named(self.graph, "sum").items():
            self.sums.setdefault(name.removeprefix("d_").rpartition(".")[0] or name, []).append(key)
        for name, keys in self.sums.items():
            self._add_sum(name, keys)
        states = tuple(self._add_state(name, key) for name, key in named(self.graph, "next").items())
        return self._named(states)

    def _find_labels(self) -> dict[str, str]:
        """Return root -> label: its own, else what the labels inside begin with, else the outermost one."""
        found: dict[str, str] = {}
        by_key = {key: label for label, key in reversed(self.graph.graph.get("labels", {}).items())}
        for root, group in self.groups.items():
            inside = [by_key[key] for key in reversed(self.reading.order) if key in group.members and key in by_key]
            if inside:
                found[root] = by_key.get(root) or _common_start(inside) or inside[0]
        return found

    def _drawn(self) -> list[str]:
        """Return the nodes that become items, in the order of the equations."""
        inside = {key for root, group in self.groups.items() for key in group.members if key != root}
        folded = self._only_for_sums()
        found: list[str] = []
        for key in self.reading.order:
            node = self.reading.node(key)
            if key in inside or key in folded or key not in self.reading.varying:
                continue
            if node.op in ("input", "state", "next", "output", "sum") or self.reading.resolve(key) != key:
                continue
            if self.reading.kind(key) == "join" and self._feeds_layers_only(key):
                continue
            found.append(key)
        return found

    def _only_for_sums(self) -> set[str]:
        """Return the nodes that only gather rows for a sum: its box says so."""
        folded: set[str] = set()
        for key in reversed(self.reading.order):
            users = self.reading.users(key)
            summed = users and all(user in folded or self.reading.node(user).op == "sum" for user in users)
            if summed and self.reading.kind(key) and not self._is_row(key):
                folded.add(key)
        return folded

    def _is_row(self, key: str) -> bool:
        return "B" in self.reading.node(key).shape

    def _feeds_layers_only(self, key: str) -> bool:
        """Whether the parts of a join go to layers alone, which show them as one bundle of wires."""
        members = {member for group in self.groups.values() if group.form == "layer" for member in group.members}
        return all(
            user in members or (self.reading.kind(user) == "join" and self._feeds_layers_only(user))
            for user in self.reading.users(key)
        )

    def _add_node(self, key: str) -> None:
        """Add a layer, a region or an op, and the wires into it."""
        group = self.groups.get(key)
        if group is None:
            item = self._op(key)
            sources: Iterable[str] = self.reading.inputs(key)
        else:
            kind: Kind = "layer" if group.form == "layer" else "op"
            label = self.labels.get(key)
            form: Form = "layer" if kind == "layer" else "ellipse"
            item = Item(self._fresh(label or kind, bool(label)), kind, form, group.text, shape=self._shape(key))
            sources = group.sources
        self.items[item.key] = item
        self.keys[key] = item.key
        for source in sources:
            self._wire(self._source(source), item.key)

    def _op(self, key: str) -> Item:
        """Return the item of a primitive op; an operand that never changes is written into it: 1−, ×u."""
        node, glyph, sources = self.reading.node(key), self.reading.glyph(key), operands(self.graph, key)
        if is_recur(node):
            return self._cell(key)
        fixed = [place for place, source in enumerate(sources) if source not in self.reading.varying]
        text = glyph.text or node.op
        form: Form = "ellipse" if glyph.form == "none" else glyph.form
        if len(sources) == 2 and len(fixed) == 1 and self.reading.kind(key) == "pointwise":
            word, gap = self._fixed_text(sources[fixed[0]]), " " if len(text) > 1 else ""
            if text in TIGHT and set(SUMS) & set(INSIDE.sub("", word[1:])):
                word = f"({word})"
            text = f"{word}{gap}{text}" if fixed[0] == 0 else f"{text}{gap}{word}"
            form = "circle" if form == "circle" and len(text) <= 2 else "ellipse"
        if len(self.reading.inputs(key)) > 3:
            form = "box"
        return Item(self._fresh(node.op, False), "op", form, text, shape=shape_text(node.shape))

    def _cell(self, key: str) -> Item:
        """Return the item of a cell that is run over time; an arrow says which way."""
        node = self.reading.node(key)
        name, cell = str(node.attr("name")), node.attr("cell")
        shape = max((self._shape(user) for user in self.graph.succ[key]), key=lambda text: "T" in text, default="")
        way = "from the last step to the first" if node.attr("reverse") else "from the first step to the last"
        text = f"{cell.name} {'←' if node.attr('reverse') else '→'}"
        tip = f"{name}: cell {cell.name} run {way} {shape}"
        return Item(self._fresh(name, True), "cell", "box", text, Name(name), tip, shape)

    def _shape(self, key: str) -> str:
        return shape_text(self.reading.node(key).shape)

    def _fixed_text(self, key: str) -> str:
        """Return how a value that never changes is written: a number, a parameter's last word, or a dot."""
        node = self.reading.node(key)
        if node.op == "constant":
            return number(node.attr("value"))
        if node.op == "parameter":
            word = node.name.rpartition(".")[2]
            return word if self.as_written else "_".join(map(letter, word.split("_")))
        body = body_at(self.reading, key)
        sign = body.text if body else self.reading.glyph(key).text
        parts = [self._fixed_text(source) for source in ([body.entry] if body else operands(self.graph, key))]
        if not parts:
            return sign or "…"
        if len(parts) == 1:
            return self._applied(sign, parts[0])
        text = sign.join(parts)
        return text if len(parts) == 2 and len(text) <= LONGEST and "…" not in text else "…"

    def _applied(self, sign: str, part: str) -> str:
        """Return an op of one value that never changes; one too long is left out: exp(…)."""
        forms = {"|·|": "|{}|", "−": "−{}" if part.isidentifier() else "−({})"}
        text = forms.get(sign, sign + "({})")
        return text.format(part if len(text.format(part)) <= LONGEST else "…")

    def _add(self, kind: Kind, name: str, shown_name: str, shape: str) -> str:
        key = f"{kind}:{name}"
        form: Form = "text" if kind in ("old", "new") else "circle"
        what = {"old": f"state {name} before the step", "new": f"state {name} after the step"}.get(
            kind, f"{kind} {name}"
        )
        drawn = Name(shown_name, NOW) if self.as_written else leaf_name(shown_name)
        self.items[key] = Item(key, kind, form, name=drawn, tooltip=f"{what} {shape}", shape=shape)
        return key

    def _output_name(self, name: str, sink: str) -> str:
        """Return an output's name: one that nobody named is called after the state whose next value it is."""
        if self.named_outputs:
            return name
        value = operands(self.graph, sink)[0]
        states = {operands(self.graph, key)[0]: state for state, key in reversed(named(self.graph, "next").items())}
        return states.get(value, name)

    def _add_state(self, name: str, sink: str) -> State:
        value, new = self._value(sink), self._add("new", name, name, self._shape(sink))
        self._wire(value, new)
        if f"old:{name}" not in self.items:
            self._add("old", name, name, self._shape(sink))
        return State(name, f"old:{name}", value, new)

    def _add_sum(self, name: str, sinks: list[str]) -> None:
        """Add one box for the sums over all steps that belong to one layer."""
        key = f"sum:{name}"
        self.items[key] = Item(
            key, "sum", "box", f"Σ ∂{name}", tooltip=f"gradient of {name}, summed over all steps and rows"
        )
        stack, seen = list(sinks), set()
        while stack:
            node = stack.pop(0)
            for source in self.reading.inputs(node):
                if source in seen:
                    continue
                seen.add(source)
                if self._is_row(source) or source in self.keys:
                    self._wire(self._source(source), key)
                else:
                    stack.append(source)

    def _value(self, sink: str) -> str:
        return self._source(operands(self.graph, sink)[0])

    def _source(self, key: str) -> str:
        """Return the item that a value comes from; one that never changes becomes an item of its own."""
        key = self.reading.resolve(key)
        if key not in self.keys:
            text = self._fixed_text(key)
            item = Item(self._fresh("constant", False), "op", "ellipse", text, tooltip=f"never changes: {text}")
            self.items[item.key] = item
            self.keys[key] = item.key
        return self.keys[key]

    def _wire(self, source: str, target: str) -> None:
        self.wires[source, target] = None

    def _fresh(self, word: str, exact: bool) -> str:
        """Return a key for the DOT text: a label as it is, an op with its number."""
        self.numbers[word] += 1
        key = word if exact and self.numbers[word] == 1 else f"{word}.{self.numbers[word]}"
        return key if key not in self.items else self._fresh(word, False)

    def _named(self, states: tuple[State, ...]) -> Scene:
        """Return the scene with conveyors found and every name as it is drawn."""
        wires = tuple(self.wires)
        conveyors = find_conveyors(self.items, wires, states)
        items = dict(self.items)
        delayed = {} if self.as_written else self._delayed()
        for state in states:
            names = [
                Name(state.name, time) if self.as_written else leaf_name(state.name, time, conveyors)
                for time in state_times(state.name)
            ]
            for key, name in zip((state.old, state.new), delayed.get(state.name, names), strict=True):
                items[key] = replace(items[key], name=name)
        taken = [item.name.base for item in items.values() if item.name and item.kind in ("old", "input")]
        labels = {self.keys[root]: label for root, label in self.labels.items() if root in self.keys}
        reached = _reached(wires, labels, conveyors)
        letters = {labels[key]: leaf_name(state, NOW, conveyors).base for key, state in reached.items()}
        words = layer_names(labels.values(), taken, letters)
        for key, label in labels.items():
            items[key] = replace(items[key], name=Name(label) if self.as_written else words[label])
        called = {node: word_of(items[key]) for node, key in self.keys.items()}
        for node, key in self.keys.items():
            if items[key].kind in ("layer", "op") and not items[key].tooltip:
                text = tooltip(self.reading, node, items[key], self.groups.get(node), called)
                items[key] = replace(items[key], tooltip=text)
        return Scene(self.name, items, wires, states, conveyors)

    def _delayed(self) -> dict[str, tuple[Name, Name]]:
        """Return state -> old and next name of the states that delays of an input or a state keep."""
        hidden, nexts = self.graph.graph.get("hidden", ()), named(self.graph, "next")
        found: dict[str, tuple[Name, Name]] = {}
        for state in hidden:
            source, lag = self.reading.node(operands(self.graph, nexts[state])[0]), 1
            while source.op == "state" and source.name in hidden:
                source, lag = self.reading.node(operands(self.graph, nexts[source.name])[0]), lag + 1
            if source.op in ("input", "state"):
                found[state] = delayed_name(leaf_name(source.name), lag, source.op == "input")
        return found


def _common_start(labels: list[str]) -> str:
    """Return what labels begin with: forget for forget_h and forget_x; empty if that is no word."""
    same = takewhile(lambda letters: len(set(letters)) == 1, zip(*labels, strict=False))
    common = "".join(letters[0] for letters in same).rstrip("._")
    return common if len(common) > 1 else ""


def _reached(
    wires: Iterable[tuple[str, str]], labels: dict[str, str], conveyors: dict[str, tuple[str, ...]]
) -> dict[str, str]:
    """Return layer -> the conveyor that its value reaches first; cells without conveyors have none."""
    graph = nx.DiGraph(wires)
    line = {key: state for state, path in conveyors.items() for key in path}
    found: dict[str, str] = {}
    for key in labels:
        ahead = [key] if key in graph else []
        for node in ahead:
            if node in line:
                found[key] = line[node]
                break
            ahead += [n for n in graph.successors(node) if n not in ahead]
    return found


def find_conveyors(
    items: dict[str, Item], wires: Iterable[tuple[str, str]], states: Iterable[State]
) -> dict[str, tuple[str, ...]]:
    """Return state -> the ops on its straight line, for every state that has one.

    A conveyor is the cheapest way from the old to the next value through pointwise ops alone; ops of another
    state's line are not used again. A state that is passed through has a line without ops.
    """
    graph = nx.DiGraph(wires)
    used: set[str] = set()
    found: dict[str, tuple[str, ...]] = {}

    def cost(source: str, target: str, data: object) -> int | None:
        if target in used or not _on_line(items[target]):
            return None
        return CHEAP if items[target].form == "circle" and graph.in_degree(target) > 1 else DEAR

    for state in states:
        if state.value == state.old:
            found[state.name] = ()
        elif state.old in graph and state.value not in used and _on_line(items[state.value]):
            try:
                path = nx.dijkstra_path(graph, state.old, state.value, weight=cost)
            except nx.NetworkXNoPath:
                continue
            found[state.name] = tuple(path[1:])
            used.update(path[1:])
    return found


def _on_line(item: Item) -> bool:
    return item.kind == "op" and item.form != "box"
