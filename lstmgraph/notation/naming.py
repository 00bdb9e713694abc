"""The names in a cell's equations: of leaves, parameters, layers and results, each written once."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from lstmgraph.graph import Dim, named, operands
from lstmgraph.notation.layers import Layers
from lstmgraph.notation.names import COTANGENT, ERROR, Name, layer_words, letter, split_cotangent
from lstmgraph.notation.reading import Reading

_NUMBERED = re.compile(r"(?<![^_])([A-Za-z])(\d+)(?![^_])")  # h1 is h_1
SHARED = "uvwpqs"  # letters for values that are read more than once and have no name
TIME = "t"
Words = dict[str, tuple[str, ...]]  # layer -> how it is written


def state_name(state: str, new: bool) -> Name:
    """Return the name of a state's previous or next value; cotangents go from t to t-1."""
    times, _ = split_cotangent(state)
    return replace(_leaf_name(state), time=0 if new == (times % 2 == 0) else -1)


def value_name(name: str) -> Name:
    """Return the name of an input or an output at this step."""
    return replace(_leaf_name(name), time=0)


def _leaf_name(name: str) -> Name:
    """Return a name without time: of several words, one that is a letter is the base, h_low and slow_h."""
    times, name = split_cotangent(name)
    *path, last = name.split(".")
    words = _words(last)
    single = [place for place, word in enumerate(words) if len(word) == 1 and word.isalpha()]
    place = single[0] if len(single) == 1 else 0
    return Name(COTANGENT * times + words[place], words[place + 1 :], (*path, *words[:place]))


@dataclass
class Naming:
    """Gives every leaf, layer and shared value of a graph a written name of its own; `names` holds what is what."""

    reading: Reading
    hidden: tuple[str, ...] = ()  # states that a delay keeps
    names: dict[str, str] = field(default_factory=dict)  # written -> kind:name
    taken: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        """Reserve the symbols of sizes."""
        shapes = (node.shape for _, node in self.reading.graph.nodes(data="node"))
        self.taken.update(part for shape in shapes for dim in shape for part in _symbols(dim))

    def take(self, name: Name, full: str) -> Name:
        """Return a name if nothing is written as it is, else one that is longer."""
        for choice in (name, Name(full, time=name.time)):
            if choice.text not in self.taken:
                self.taken.add(choice.text)
                return choice
        return self.take(replace(name, base=name.base + "′"), full + "′")

    def leaves(self) -> dict[str, Name]:
        """Return key -> name of the inputs and previous states."""
        graph, found = self.reading.graph, {}
        for state, key in named(graph, "state").items():
            name = self._delayed(state) if state in self.hidden else state_name(state, new=False)
            found[key] = self.entitle(name, "state", state)
        for given, key in named(graph, "input").items():
            adjoint = f"d_{given}" in named(graph, "state")  # whose inputs are the previous states of the cell
            name = state_name(given, new=False) if adjoint else value_name(given)
            found[key] = self.entitle(name, "input", given)
        return found

    def entitle(self, name: Name, kind: str, full: str) -> Name:
        """Take the name of what is called `full` in the graph."""
        name = self.take(name, full)
        self.names[name.text] = f"{kind}:{full}"
        return name

    def _delayed(self, state: str) -> Name:
        """Return the name of what a delay keeps: that of the value it is of, some steps ago."""
        source = self.reading.node(operands(self.reading.graph, named(self.reading.graph, "next")[state])[0])
        if source.op == "input":
            return replace(value_name(source.name), time=-1)
        if source.op == "state":
            before = self._delayed(source.name) if source.name in self.hidden else state_name(source.name, new=False)
            return replace(before, time=(before.time or 0) - 1)
        return state_name(state, new=False)

    def layers(self, layers: Layers) -> Words:
        """Return layer -> the words that it is written as: path, then base, then what stands below it."""
        graph = self.reading.graph
        states = {name: state_name(name, new=True).base for name in named(graph, "next")}
        reached = {label: states.get(self.reading.reached(key), "") for key, label in layers.results.items()}
        letters = {_leaf_name(name).base for kind in ("input", "output") for name in named(graph, kind)}
        letters |= {*states.values(), TIME, *(_base(name) for name in named(graph, "parameter"))}
        found: Words = {}
        labels = [label for label in layers.results.values() if not split_cotangent(label)[0]]
        for path in dict.fromkeys(_split(label)[0] for label in labels):
            inside = {_split(label)[1]: reached[label] for label in labels if _split(label)[0] == path}
            plain = {name: state for name, state in inside.items() if state}
            for name, word in layer_words(inside, letters, plain).items():
                found[".".join((*path, name))] = (*path, *((word,) if word != name else _words(name)))
        return found

    def result(self, label: str, words: Words, number: tuple[str, ...] = ()) -> Name:
        """Return the name of a layer's result, numbered if it has several; in an adjoint, of the error of its sum."""
        times, layer = split_cotangent(label)
        path = _split(layer)[0]
        base, *subs = words[layer][len(path) :] if layer in words else _words(_split(layer)[1])
        return self.take(Name(ERROR * times + base, (*subs, *number), path, time=0), "_".join((label, *number)))

    def parameters(self, layers: Layers, words: Words) -> dict[str, Name]:
        """Return key -> name of the parameters."""
        found = named(self.reading.graph, "parameter").items()
        return {key: self.entitle(self._parameter(name, layers, words), "parameter", name) for name, key in found}

    def gradient(self, name: str, layers: Layers, words: Words) -> Name:
        """Return the name of a sum over time: the gradient of a parameter."""
        return self.entitle(self._parameter(name, layers, words), "sum", name)

    def _parameter(self, full: str, layers: Layers, words: Words) -> Name:
        """Return the name of a parameter: below it what it multiplies, above it its layer if there are several."""
        times, full = split_cotangent(full)
        owner, _, last = full.rpartition(".")
        base, *subs = _words(last)
        if len(base) > 1:  # a word such as log_rate stays one
            base, subs = last, []
        base = COTANGENT * times + base
        owners = {name.rpartition(".")[0] for name in named(self.reading.graph, "parameter")} - {""}
        if not owner or len(owners) == 1:
            return Name(base, tuple(subs))
        layer = layers.parts.get(owner, owner)
        more = _words(owner.removeprefix(layer)) if owner != layer else ()
        above = words.get(layer) or (*_split(layer)[0], *_words(_split(layer)[1]))
        return Name(base, tuple(subs) if tuple(subs) == more else (*subs, *more), above)

    def shared(self, variable: Sequence[bool]) -> list[Name]:
        """Return names for values that have none, given which change with time: letters, or one with numbers."""
        used = {text[0] for text in self.taken if len(text) == 1 or text[1] in "_^"}
        bases: list[tuple[str, tuple[str, ...]]] = [(sign, ()) for sign in SHARED if sign not in used]
        if len(variable) > len(bases):
            sign = bases[0][0] if bases else "value"
            bases = [(sign, (str(number),)) for number in range(1, len(variable) + 1)]
        return [
            self.take(Name(base, subs, time=0 if varies else None), "_".join((base, *subs)))
            for (base, subs), varies in zip(bases, variable, strict=False)
        ]


def _split(label: str) -> tuple[tuple[str, ...], str]:
    *path, last = label.split(".")
    return tuple(path), last


def _words(name: str) -> tuple[str, ...]:
    """Return the words of a name as they are written."""
    return tuple(letter(word) for word in _NUMBERED.sub(r"\1_\2", name).split("_") if word) or (name,)


def _base(parameter: str) -> str:
    return _words(parameter.rpartition(".")[2])[0]


def _symbols(dim: Dim) -> list[str]:
    return [part for part in str(dim).split("+") if not part.isdigit()]
