"""The gradient of a graph is a graph: a walk over the pullbacks, and the adjoint of a cell, which is a cell."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import networkx as nx

from lstmgraph.dims import Within, joined, never_above
from lstmgraph.errors import GraphError
from lstmgraph.graph import LEAVES, SINKS, Builder, Node, Shape, Symbol, keys_of, named, node_of, operands, rebuild
from lstmgraph.plugins import op
from lstmgraph.traced import Cell, Network, Traced

Result = tuple[str, str]
CONSTANT = ("integer", "fixed", "mask")  # what marks a leaf that nothing is differentiated by


def is_constant(leaf: Node) -> bool:
    """Whether a leaf has no cotangent: an index or a mask."""
    return any(leaf.attr(word) for word in CONSTANT)


def backpropagate(builder: Builder, seeds: Mapping[str, Any], keys: Iterable[str] | None = None) -> dict[str, Any]:
    """Walk the graph of `builder` backwards and return the cotangent of every node that has one.

    Parameters
    ----------
    builder : Builder
        Holds the forward graph; the cotangents are built into it.
    seeds : mapping
        Key -> cotangent of the nodes where the walk begins.
    keys : iterable of str, optional
        The nodes that the walk passes through, in the graph's order; all by default.
    """
    cotangents: dict[str, Any] = dict(seeds)
    for key in reversed(list(builder.graph if keys is None else keys)):
        symbol = builder.symbol(key)
        if key not in cotangents or symbol.node.op in LEAVES:
            continue
        sources = symbol.sources
        for source, cotangent in zip(
            sources, op(symbol.node.op).pullback(symbol, sources, cotangents[key]), strict=True
        ):
            if cotangent is not None:
                known = cotangents.get(source.key)
                cotangents[source.key] = cotangent if known is None else known + cotangent
    return cotangents


@dataclass(frozen=True)
class Adjoint:
    """The adjoint of a cell and what its names stand for.

    Parameters
    ----------
    cell : Cell
        The adjoint: it runs the other way round in time.
    origins : dict
        Leaf ``kind:name`` of the adjoint -> ("input", "parameter" or "previous", name) of the cell, or
        ("d_output", "d_previous" or "d_sum", name) of the result of the cell whose cotangent the leaf is.
    states : dict
        State of the adjoint -> the state of the cell whose cotangent it is.
    results : dict
        Leaf ``kind:name`` of the cell -> (kind, name) of the adjoint's result that is its cotangent.
    """

    cell: Cell
    origins: dict[str, Result]
    states: dict[str, str]
    results: dict[str, Result]


@cache
def adjoint(cell: Cell, cotangents: frozenset[Result] | None = None) -> Adjoint:
    """Return the adjoint of a cell.

    It has the cell's inputs and previous states and the cotangents of its outputs as inputs, the cotangents of
    its states as states, and returns the cotangents of the inputs as outputs and those of the parameters as sums
    over all steps and rows.

    Parameters
    ----------
    cell : Cell
        Any cell, an adjoint too.
    cotangents : frozenset of (kind, name), optional
        The results whose cotangents are given: "output", "sum", "previous", "final"; by default every output
        and sum. The cotangents of final states are states and are always there.
    """
    given = _all_results(cell) if cotangents is None else cotangents
    return _AdjointMaker(cell, given, Builder(simplify=True, within=known_sizes(cell))).make()


def known_sizes(cell: Cell) -> Within:
    """Return which sizes are known not to be above others: no value is wider than its state, output or matrix."""
    builder = Builder(simplify=True)
    made = {key: symbol.shape for key, symbol in rebuild(cell.graph, builder).items()}
    pairs = [(made[key], cell.result_shape(kind, name)) for (kind, name), key in cell.sinks.items() if kind == "output"]
    pairs += [(made[cell.sinks["next", name]], cell.leaves[f"state:{name}"].shape) for name in cell.states]
    for key, node in cell.graph.nodes(data="node"):
        if node.op not in (*LEAVES, *SINKS) and op(node.op).kind == "matmul":
            value, matrix = (made[source] for source in operands(cell.graph, key))
            pairs.append((value, matrix[:1]))
    known = {(each, said[-1]) for value, said in pairs for each in joined(value[-1])}
    return lambda first, second: (first, second) in known or never_above(first, second)


def _all_results(cell: Cell) -> frozenset[Result]:
    return frozenset([("output", name) for name in cell.outputs] + [("sum", name) for name in cell.sums])


@dataclass
class _AdjointMaker:
    cell: Cell
    given: frozenset[Result]
    builder: Builder
    origins: dict[str, Result] = field(default_factory=dict)
    states: dict[str, str] = field(default_factory=dict)
    results: dict[str, Result] = field(default_factory=dict)
    seeds: dict[str, Any] = field(default_factory=dict)
    previous: dict[str, Symbol] = field(default_factory=dict)

    def make(self) -> Adjoint:
        cell, builder = self.cell, self.builder
        made: dict[str, Symbol] = {}
        for leaf, node in cell.leaves.items():
            kind = leaf.partition(":")[0]
            role = "input" if kind == "state" else kind
            symbol = builder.leaf(role, node.shape, **self._attrs(role, node))
            made[_leaf_key(cell, leaf)] = symbol
            self._origin(symbol, ("previous" if kind == "state" else kind, node.name))
        order = ("output", "previous", "sum")
        for kind, name in sorted(self.given, key=lambda r: (order.index(r[0]) if r[0] in order else 9, self._place(r))):
            if kind != "final":
                self._cotangent(kind, name)
        for name in cell.states:
            self._state(name)
        forward = rebuild(cell.graph, builder, keep=_inner(cell.graph), replace=made)
        self._seed(forward)
        found = backpropagate(builder, self.seeds)
        self._finish(made, found)
        self._label()
        graph = _pruned(builder, f"d_{cell.name}")
        graph.graph["derived_from"] = cell
        return Adjoint(Cell(graph, reverse=not cell.reverse), self.origins, self.states, self.results)

    def _place(self, result: Result) -> int:
        kind, name = result
        names = {"output": self.cell.outputs, "sum": self.cell.sums, "previous": self.cell.states}.get(kind, ())
        return names.index(name) if name in names else 0

    def _attrs(self, role: str, node: Node) -> dict[str, Any]:
        attrs = dict(node.attrs)
        return (
            attrs
            if role == "parameter"
            else {"name": self._fresh(node.name, role)} | {key: attrs[key] for key in CONSTANT if key in attrs}
        )

    def _fresh(self, name: str, role: str) -> str:
        while f"{role}:{name}" in self.origins:
            name += "_"
        return name

    def _origin(self, symbol: Symbol, result: Result) -> None:
        self.origins[f"{symbol.node.op}:{symbol.node.name}"] = result

    def _cotangent(self, kind: str, name: str) -> None:
        shape = self.cell.result_shape(kind, name)
        role = "parameter" if kind == "sum" else "input"
        wanted = f"d_previous_{name}" if kind == "previous" else f"d_{name}"
        attrs: dict[str, Any] = {"name": self._fresh(wanted, role)}
        symbol = self.builder.leaf(role, shape, **attrs)
        self._origin(symbol, (f"d_{kind}", name))
        if kind == "previous":
            self.previous[name] = symbol
        else:
            self._add_seed(self.cell.sinks[kind, name], symbol)

    def _state(self, name: str) -> None:
        state = f"d_{name}"
        self.states[state] = name
        symbol = self.builder.leaf("state", self.cell.leaves[f"state:{name}"].shape, name=state)
        self._add_seed(self.cell.sinks["next", name], symbol)

    def _add_seed(self, sink: str, symbol: Symbol) -> None:
        source = operands(self.cell.graph, sink)[0]
        self.seeds.setdefault(source, []).append(symbol)

    def _seed(self, forward: Mapping[str, Symbol]) -> None:
        seeds: dict[str, Any] = {}
        for source, symbols in self.seeds.items():
            key = forward[source].key
            for symbol in symbols:
                seeds[key] = seeds[key] + symbol if key in seeds else symbol
        self.seeds = seeds

    def _finish(self, made: Mapping[str, Symbol], found: Mapping[str, Any]) -> None:
        for leaf, node in self.cell.leaves.items():
            kind = leaf.partition(":")[0]
            symbol = made[_leaf_key(self.cell, leaf)]
            cotangent = found.get(symbol.key)
            if kind == "state":
                if node.name in self.previous:
                    more = self.previous[node.name]
                    cotangent = more if cotangent is None else cotangent + more
                self.builder.sink("next", self._filled(cotangent, node), f"d_{node.name}")
                self.results[leaf] = ("final", f"d_{node.name}")
            elif not is_constant(node):
                role = "sum" if kind == "parameter" else "output"
                if cotangent is None and role == "sum":
                    continue
                self.builder.sink(role, self._filled(cotangent, node), f"d_{node.name}")
                self.results[leaf] = (role, f"d_{node.name}")

    def _label(self) -> None:
        """Name the cotangent of each layer's sum after the layer: it is what the bias gradient adds up."""
        labels = self.builder.graph.graph["labels"]
        for name in self.cell.parameters:
            layer = name.rpartition(".")[0]
            kind, result = self.results.get(f"parameter:{name}", ("", ""))
            if layer and kind == "sum":
                total = Symbol(self.builder, named(self.builder.graph, "sum")[result]).sources[0]
                if op(total.node.op).kind == "over_rows" and f"d_{layer}" not in labels:
                    labels[f"d_{layer}"] = total.sources[-1].key

    def _filled(self, cotangent: Symbol | None, node: Node) -> Symbol:
        """Return the cotangent in the shape of its leaf; zero where nothing reads the leaf."""
        if cotangent is None:
            return self.builder.add("broadcast", 0.0, target=node.shape)
        return as_shaped(cotangent, node.shape)


def _leaf_key(cell: Traced, leaf: str) -> str:
    kind, _, name = leaf.partition(":")
    return named(cell.graph, kind)[name]


def _inner(graph: nx.MultiDiGraph) -> list[str]:
    return [source for key in graph if not graph.succ[key] for source in graph.pred[key]]


def _pruned(builder: Builder, name: str) -> nx.MultiDiGraph:
    """Return the graph without what no sink needs; inputs and states stay."""
    graph, clean = builder.graph, Builder()
    sources = {key: operands(graph, key)[0] for key in keys_of(graph, *SINKS)}
    made = rebuild(graph, clean, keep=[*keys_of(graph, "input", "state"), *sources.values()])
    for key, source in sources.items():
        node = node_of(graph, key)
        made[key] = clean.sink(node.op, as_shaped(made[source], node.shape), node.name)
    clean.graph.graph["labels"] = {label: made[key].key for label, key in graph.graph["labels"].items() if key in made}
    return clean.freeze(name)


def as_shaped(value: Symbol, shape: Shape) -> Symbol:
    """Return a value brought to this shape, or as it is where it has it."""
    return value if value.shape == shape else value.builder.add("sum_to", value, target=shape)


def gradient(traced: Cell) -> Cell:
    """Return the adjoint of a cell: a cell like any other, to compile, draw or differentiate again.

    Parameters
    ----------
    traced : Cell
        Inputs x, states h, ..., outputs y.

    Returns
    -------
    Cell
        Its inputs are x, the previous states h, ... and the cotangents d_y; its states d_h, ...; its outputs
        d_x; its sums the gradients of the parameters. It runs backwards in time.

    Examples
    --------
    >>> import lstmgraph as lg
    >>> @lg.cell
    ... def leak(x, h):
    ...     return 0.9 * h + x
    >>> lg.gradient(leak).states
    ('d_h',)
    """
    if isinstance(traced, Network) or not isinstance(traced, Cell):
        raise GraphError(
            f"lg.gradient: got {type(traced).__name__}, expected a cell made by @lg.cell; "
            "the gradient of a network comes from lg.compile(network).vjp"
        )
    return adjoint(traced).cell


def differentiate(
    traced: Traced,
    builder: Builder,
    forward: Mapping[str, Symbol],
    seeds: Mapping[str, Any],
    others: Mapping[str, str],
) -> dict[str, Any]:
    """Return leaf ``kind:name`` of a traced graph, rebuilt in `builder`, and name of `others` -> cotangent."""
    found = backpropagate(builder, seeds)
    out: dict[str, Any] = {name: found.get(forward[key].key) for name, key in others.items()}
    for leaf, node in traced.leaves.items():
        if not is_constant(node):
            cotangent = found.get(forward[_leaf_key(traced, leaf)].key)
            out[leaf] = None if cotangent is None else as_shaped(cotangent, node.shape)
    return out
