"""What modifiers are written with: a cell's graph built anew, with other values in the place of some."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import Any

from lstmgraph.errors import GraphError, nearest
from lstmgraph.graph import LEAVES, Builder, Shape, Symbol, ancestors, carry_notes, named, node_of, operands, rebuild
from lstmgraph.lines import user_line
from lstmgraph.masks import mask
from lstmgraph.trace import tracing
from lstmgraph.traced import Cell, frozen_as
from lstmgraph.transforms._layers import Layer, Product, find_layers, is_gate, read_leaves

Make = Callable[[], Symbol]


@dataclass
class Rewrite:
    """A cell being built anew.

    Parameters
    ----------
    cell : Cell
        What is modified.
    modifier : str
        Its name, for the new cell's name and for errors.
    """

    cell: Cell
    modifier: str
    builder: Builder = field(default_factory=Builder)
    made: dict[str, Symbol] = field(default_factory=dict)
    _instead: dict[str, Make] = field(default_factory=dict)
    _sinks: dict[tuple[str, str], Symbol] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Refuse what is no cell."""
        if not isinstance(self.cell, Cell):
            raise GraphError(f"{self.modifier}: got {type(self.cell).__name__}, expected a cell made by @lg.cell")
        self.builder.graph.graph["names"] = dict.fromkeys(self.cell.graph.graph["labels"])

    # ---- what the cell has

    @property
    def where(self) -> str:
        """The modifier and the cell, for errors."""
        return f"{self.modifier} of {self.cell.name}"

    @cached_property
    def layers(self) -> dict[str, Layer]:
        """The cell's layers by name."""
        return find_layers(self.cell)

    @cached_property
    def gates(self) -> dict[str, Layer]:
        """The layers that are gates."""
        return {name: layer for name, layer in self.layers.items() if is_gate(self.cell, layer)}

    @cached_property
    def products(self) -> tuple[Product, ...]:
        """The products of all layers."""
        return tuple(product for layer in self.layers.values() for product in layer.products)

    def find(self, what: str, name: str, known: Iterable[str]) -> str:
        """Return a name, or raise with those that there are."""
        known = list(known)
        if name not in known:
            raise GraphError(
                f"{self.where}: unknown {what} {name!r}, expected one of {', '.join(known) or 'none'}"
                f"{nearest(str(name), known)}"
            )
        return name

    def chosen(self, what: str, names: Iterable[str] | None, known: Iterable[str]) -> list[str]:
        """Return names given as one or several, all of them if none are given, or raise for an unknown one."""
        if names is None:
            return list(known)
        return [self.find(what, name, known) for name in ([names] if isinstance(names, str) else names)]

    def leaf(self, kind: str, name: str) -> str:
        """Return the key of a state or an input, or raise with those that there are."""
        self.find(kind, name, self.cell.states if kind == "state" else self.cell.inputs)
        return named(self.cell.graph, kind)[name]

    def reads(self, product: Product, kind: str = "state") -> tuple[str, ...]:
        """Return the states (or inputs) that a product reads: see `read_leaves`."""
        return read_leaves(self.cell, product.source, kind)

    def recurrent(self) -> list[Product]:
        """Return the products that read a state, or raise if there is none."""
        found = [product for product in self.products if self.reads(product)]
        if not found:
            raise GraphError(
                f"{self.where}: got no matrix that reads a state, expected a recurrent layer, as lg.linear(h, x) is"
            )
        return found

    # ---- values in the place of others

    def instead(self, key: str, make: Make) -> None:
        """Let another value stand for a node of the cell; `make` may ask for the old one by `copy`."""
        self._instead[key] = make

    def build(self, key: str) -> Symbol:
        """Return what stands for a node of the cell, with all that it is computed from."""
        if key not in self.made:
            needed = ancestors(self.cell.graph, [key]) - set(self.made)
            for each in [node for node in self.cell.graph if node in needed]:
                if each not in self.made:
                    self.made[each] = self._instead[each]() if each in self._instead else self.copy(each)
        return self.made[key]

    def copy(self, key: str, replace: Mapping[str, Symbol] | None = None, simplify: bool = False) -> Symbol:
        """Return a node of the cell as it was, upon the new values of its operands or those given by key."""
        graph, node, given = self.cell.graph, node_of(self.cell.graph, key), dict(replace or {})
        values = [given[each] if each in given else self.build(each) for each in operands(graph, key)]
        if node.op in LEAVES:
            value = self.builder.leaf(node.op, node.shape, **dict(node.attrs))
        else:
            self.builder.simplify = simplify
            value = self.builder.add(node.op, *values, **dict(node.attrs))
            self.builder.simplify = False
        carry_notes(graph, key, value)
        return value

    def let_read(self, kind: str, values: Mapping[str, Symbol]) -> None:
        """Let every product that reads some states (or inputs) read other values for them, by name."""
        for product in self.products:
            if set(values) & set(self.reads(product, kind)):
                self.instead(product.steps[0], partial(self._read, product, kind, values))

    def _read(self, product: Product, kind: str, values: Mapping[str, Symbol]) -> Symbol:
        return self.copy(product.steps[0], {product.source: self._reread(product.source, kind, values)})

    def _reread(self, key: str, kind: str, values: Mapping[str, Symbol]) -> Symbol:
        node = node_of(self.cell.graph, key)
        if node.op == kind and node.name in values:
            return values[node.name]
        if not set(values) & set(read_leaves(self.cell, key, kind)):
            return self.build(key)
        return self.copy(key, {each: self._reread(each, kind, values) for each in operands(self.cell.graph, key)})

    # ---- what is added

    def parameter(self, name: str, shape: Shape, *init: Any) -> Symbol:
        """Add a parameter; `init` is its initialiser."""
        self._free(name)
        return self.builder.leaf("parameter", shape, name=name, init=init)

    def mask(self, shape: Shape, name: str, rate: float, scale: float = 1.0, per: Any = "step") -> Symbol:
        """Add a random mask: see `lstmgraph.masks.mask`."""
        self._free(name)
        return mask(self.builder, shape, name, rate, scale, per)

    def hint(self, value: Symbol, remedy: str) -> None:
        """Say what to do, in place of giving layers their sizes, if the sizes of a value's operands do not fit."""
        self.builder.graph.graph["hints"][value.key] = remedy

    def layer_name(self, name: str) -> str:
        """Return the name of a new layer, or raise if the cell has it."""
        if name in self.cell.graph.graph["labels"]:
            raise GraphError(f"{self.where}: the cell has a layer {name!r} already; modify it once")
        return name

    def _free(self, name: str) -> None:
        if any(f"{kind}:{name}" in self.cell.leaves for kind in ("parameter", "input")):
            raise GraphError(f"{self.where}: the cell has {name!r} already; modify it once, or another part of it")

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Let the words of the language build into the new cell."""
        with tracing(self.builder):
            yield

    # ---- results

    def state(self, name: str) -> Symbol:
        """Return a state as it was before the step, or raise with the states that there are."""
        return self.build(self.leaf("state", name))

    def source(self, kind: str, name: str) -> str:
        """Return the key of the value that is a state's next value ("next") or an output."""
        return operands(self.cell.graph, self.cell.sinks[kind, name])[0]

    def next(self, name: str) -> Symbol:
        """Return a state's next value as it stands now."""
        return self._result("next", name)

    def set_next(self, name: str, value: Symbol) -> None:
        """Give a state another next value; an output that was the old one follows."""
        before = self.next(name)
        for output in self.cell.outputs:
            if self._result("output", output).key == before.key:
                self._sinks["output", output] = value
        self._sinks["next", name] = value

    def output(self, name: str) -> Symbol:
        """Return an output as it stands now."""
        return self._result("output", name)

    def set_output(self, name: str, value: Symbol) -> None:
        """Give an output another value."""
        self._sinks["output", name] = value

    def _result(self, kind: str, name: str) -> Symbol:
        if (kind, name) not in self._sinks:
            self._sinks[kind, name] = self.build(self.source(kind, name))
        return self._sinks[kind, name]

    # ---- the end

    def finish(self, said: str, name: str = "", outputs: Mapping[str, Symbol] | None = None) -> Cell:
        """Return the new cell; the old one if there is nothing to say of it.

        Parameters
        ----------
        said : str
            What was done, to follow the first line of the cell's docstring.
        name : str, optional
            The modifier's part of the new name, if that is not the modifier.
        outputs : mapping, optional
            The outputs, if they are not those of the cell.
        """
        if not said:
            return self.cell
        for kind, each in self.cell.sinks:
            if kind != "output" or outputs is None:
                self._result(kind, each)
        if outputs is not None:
            self._sinks = {sink: value for sink, value in self._sinks.items() if sink[0] != "output"}
            self._sinks |= {("output", each): value for each, value in outputs.items()}
        whole = self._pruned(f"{name or self.modifier}_{self.cell.name}")
        first, _, rest = (self.cell.__doc__ or self.cell.name).partition("\n")
        whole.__doc__ = f"{first.rstrip('.')}, {said}.{rest and chr(10)}{rest}"
        whole.returns = self._returns(outputs is not None)
        return whole

    def _pruned(self, name: str) -> Cell:
        """Return the cell with what is computed from, inputs and states in their order, and labels of what is left."""
        old, clean = self.builder.graph, Builder()
        for key, node in old.nodes(data="node"):
            if node.op not in LEAVES:
                old.graph["lines"].setdefault(key, user_line())  # what is new was written where the modifier was called
        leaves = [self.build(key) for kind in ("input", "state") for key in self._leaf_keys(kind)]
        moved: dict[str, Symbol] = {}
        for leaf in leaves:
            moved |= rebuild(old, clean, keep=[leaf.key])
        starts = [named(old, "parameter")[leaf.node.attr("initial")] for leaf in leaves if leaf.node.attr("initial")]
        moved = rebuild(old, clean, keep=[*(value.key for value in self._sinks.values()), *starts], replace=moved)
        for (kind, each), value in self._sinks.items():
            clean.sink(kind, moved[value.key], each)
        labels = old.graph["labels"]
        kept = {key: moved[value.key] for key, value in self.made.items() if value.key in moved}
        whole: Cell = frozen_as(self.cell, clean, kept, name)
        whole.graph.graph["labels"] |= {label: moved[key].key for label, key in labels.items() if key in moved}
        return whole

    def _leaf_keys(self, kind: str) -> Iterable[str]:
        for name, key in named(self.cell.graph, kind).items():
            start = node_of(self.cell.graph, key).attr("initial")
            if start:
                self.build(named(self.cell.graph, "parameter")[start])
            if name not in self.cell.masks:
                yield key

    def _returns(self, outputs: bool) -> str | tuple[str, ...]:
        """Return the form of what an inlined cell returns: names, where its output is not its first state any more."""
        if not isinstance(self.cell.returns, tuple) and not outputs:
            first = next(iter(self.cell.states), None)
            if first is None or self._sinks["output", self.cell.outputs[0]].key == self._sinks["next", first].key:
                return self.cell.returns
        elif not outputs:
            return self.cell.returns
        hidden = self.cell.graph.graph.get("hidden", ())
        found = [each for kind, each in self._sinks if kind == "output"]
        return tuple(dict.fromkeys([*found, *(state for state in self.cell.states if state not in hidden)]))


def check_plain(rewrite: Rewrite, product: Product) -> None:
    """Raise if a product's matrix is made of its parameter, so that it cannot be exchanged for another form."""
    graph = rewrite.cell.graph
    if len(product.steps) > 1 or node_of(graph, operands(graph, product.key)[1]).op != "parameter":
        raise GraphError(
            f"{rewrite.where}: got the matrix {product.weight} as an expression, expected the parameter as it is; "
            f"apply {rewrite.modifier} before what changes the matrix"
        )


def only(rewrite: Rewrite, what: str, found: Iterable[str], none: str, several: str) -> str:
    """Return the one name that there is, or raise and say what to do if there is `none` or `several`."""
    names = list(found)
    if not names:
        raise GraphError(f"{rewrite.where}: got a cell without {what}, expected one that has it; {none}")
    if len(names) > 1:
        raise GraphError(
            f"{rewrite.where}: got a cell in which each of {', '.join(names)} is {what}, expected one; {several}"
        )
    return names[0]
