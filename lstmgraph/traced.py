"""What a user holds of a traced function: its graph, the names in it, and how it is called on symbols."""

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

import networkx as nx

from lstmgraph.errors import GraphError, nearest
from lstmgraph.graph import (
    Builder,
    Dim,
    Node,
    Shape,
    Symbol,
    digest,
    exact_shape,
    features,
    named,
    node_of,
    rebuild,
    resize,
)

if TYPE_CHECKING:
    from lstmgraph.autodiff import Adjoint
    from lstmgraph.forward_mode import Tangent


class Traced:
    """A frozen graph with named inputs, states, parameters, outputs, next states and sums.

    Parameters
    ----------
    graph : networkx.MultiDiGraph
        The frozen graph.
    returns : str or tuple of str
        What the function returned: "single", "tuple", or the keys of its dictionary.
    doc : str
        The function's docstring.
    """

    def __init__(self, graph: nx.MultiDiGraph, returns: str | tuple[str, ...] = "tuple", doc: str = "") -> None:
        self.graph = graph
        self.returns = returns
        self.__doc__ = doc
        self.name: str = graph.graph["name"]
        self.__name__ = self.name

    def __repr__(self) -> str:
        return f"<{type(self).__name__.lower()} {self.name} {self.digest}>"

    @cached_property
    def digest(self) -> str:
        """The content hash: equal for equal equations, in any process."""
        return digest(self.graph)

    @cached_property
    def inputs(self) -> tuple[str, ...]:
        """Names of the inputs, in the order of the arguments; masks are none."""
        return tuple(name for name in named(self.graph, "input") if name not in self.masks)

    @cached_property
    def states(self) -> tuple[str, ...]:
        """Names of the states, in the order of the arguments."""
        return tuple(named(self.graph, "state"))

    @cached_property
    def outputs(self) -> tuple[str, ...]:
        """Names of the outputs."""
        return tuple(named(self.graph, "output"))

    @cached_property
    def sums(self) -> tuple[str, ...]:
        """Names of the values summed over all steps and rows (an adjoint's parameter gradients)."""
        return tuple(named(self.graph, "sum"))

    @cached_property
    def parameters(self) -> dict[str, Node]:
        """The parameters by full name, in the order of the equations."""
        found = {name: node_of(self.graph, key) for name, key in named(self.graph, "parameter").items()}
        return {name: node for name, node in found.items() if name not in self.masks}

    @cached_property
    def masks(self) -> dict[str, Node]:
        """The random masks by name, of rows and of weights: see `lstmgraph.masks`."""
        nodes = (node for _, node in self.graph.nodes(data="node"))
        return {node.name: node for node in nodes if node.attr("mask")}

    @cached_property
    def leaves(self) -> dict[str, Node]:
        """Every input, state and parameter by ``kind:name``, in the order in which a recur takes them."""
        return {
            f"{kind}:{name}": node_of(self.graph, key)
            for kind in ("input", "state", "parameter")
            for name, key in named(self.graph, kind).items()
        }

    @cached_property
    def sinks(self) -> dict[tuple[str, str], str]:
        """The keys of the outputs, next states and sums by (kind, name)."""
        return {
            (kind, name): key for kind in ("output", "next", "sum") for name, key in named(self.graph, kind).items()
        }

    def result_shape(self, kind: str, name: str) -> Shape:
        """Return the shape, at one step, of an output, a "final" or "previous" state, or a sum."""
        if kind in ("final", "previous"):
            return self.leaves[f"state:{name}"].shape
        return node_of(self.graph, self.sinks[kind, name]).shape


class Cell(Traced):
    """A recurrent cell: from inputs and previous states to outputs and next states.

    Made by `lstmgraph.cell`; called on symbols inside another cell it is inlined, its parameters prefixed.

    Parameters
    ----------
    graph, returns, doc
        As of `Traced`.
    reverse : bool
        Whether it runs from the last step to the first, as the adjoint of a cell does.
    """

    def __init__(
        self, graph: nx.MultiDiGraph, returns: str | tuple[str, ...] = "tuple", doc: str = "", reverse: bool = False
    ) -> None:
        super().__init__(graph, returns, doc)
        self.reverse = reverse

    def __call__(self, *values: Symbol, name: str | None = None, size: Dim | None = None) -> Any:
        """Inline the cell into the one being written and return what its function returned.

        Parameters
        ----------
        *values : Symbol
            The inputs and the previous states, in the order of the function's arguments.
        name : str, optional
            Prefix of the parameters and labels; needed when the cell is used more than once.
        size : int or str, optional
            The hidden size where the states given do not settle it.
        """
        hidden = self.graph.graph.get("hidden", ())  # the states of delays, which the cell keeps by itself
        expected = self.inputs + tuple(state for state in self.states if state not in hidden)
        if len(values) != len(expected) or not all(isinstance(value, Symbol) for value in values):
            raise GraphError(
                f"cell {self.name}: got {len(values)} arguments, expected {len(expected)} values of the cell being "
                f"written: {', '.join(expected)}; to run it on arrays use lg.compile"
            )
        builder = values[0].builder
        named_values = dict(zip(expected, values, strict=True))
        # leaves have one of the sizes that a value joins, attributes all
        sizes = self.bind_sizes({name: value.shape for name, value in named_values.items()}, size)
        exact = self.bind_sizes({name: exact_shape(value) for name, value in named_values.items()}, size)
        prefix = f"{name}." if name else ""
        leaves = {**named(self.graph, "input"), **named(self.graph, "state")}
        given = {leaves[name]: value for name, value in named_values.items()}
        kept = {
            state: builder.leaf("state", self._shape(f"state:{state}", sizes), name=prefix + state) for state in hidden
        }
        given |= {leaves[state]: symbol for state, symbol in kept.items()}

        def rename(into: Builder, node: Node) -> Symbol | None:
            if node.op != "parameter" and not node.attr("mask"):
                return None
            attrs = dict(node.attrs) | {"name": prefix + node.name}
            return into.leaf(node.op, self._shape(f"{node.op}:{node.name}", sizes), **attrs)

        keep = [key for key in self.graph if not self.graph.succ[key]]
        inner = [key for sink in keep for key in self.graph.pred[sink]]
        made = rebuild(self.graph, builder, rename, inner, exact, given)
        for label, key in self.graph.graph["labels"].items():
            if key in made:
                claim(builder, prefix + label)
                builder.label(prefix + label, made[key])
        values_of = {sink: made[next(iter(self.graph.pred[key]))] for sink, key in self.sinks.items()}
        nexts = builder.graph.graph.setdefault("nexts", {})
        nexts.update({prefix + state: values_of["next", state] for state in hidden})
        return self._as_returned(values_of, expected)

    def _shape(self, leaf: str, sizes: Mapping[Dim, Dim]) -> Shape:
        return tuple(resize(dim, sizes) for dim in self.leaves[leaf].shape)

    def _as_returned(self, values: Mapping[tuple[str, str], Symbol], expected: Sequence[str]) -> Any:
        states = tuple(values["next", state] for state in self.states if state in expected)
        if self.returns == "single":
            return states[0] if states else values["output", self.outputs[0]]
        if self.returns == "tuple":
            return states
        return {key: values["next", key] if key in self.states else values["output", key] for key in self.returns}

    def bind_sizes(self, shapes: Mapping[str, Shape], size: Dim | None) -> dict[Dim, Dim]:
        """Return symbol of this cell -> dimension of the values given, by name.

        Raises
        ------
        GraphError
            If two values ask for different sizes of one symbol.
        """
        sizes: dict[Dim, Dim] = {}
        for name, shape in shapes.items():
            kind = "input" if name in self.inputs else "state"
            wanted, got = features(self.leaves[f"{kind}:{name}"].shape), features(shape)
            for symbol, dim in zip(wanted, got, strict=False):
                if str(dim).startswith("?") or not isinstance(symbol, str):
                    continue
                if sizes.setdefault(symbol, dim) != dim and isinstance(dim, int) and isinstance(sizes[symbol], int):
                    raise GraphError(
                        f"cell {self.name}: got {name} of size {dim}, expected {symbol} = {sizes[symbol]} as its other "
                        "arguments have; pass values of matching sizes"
                    )
        sizes.setdefault("H", size if size is not None else "H")
        return sizes

    def adjoint(self, cotangents: "frozenset[tuple[str, str]] | None" = None) -> "Adjoint":
        """Return the adjoint of the cell, with the meaning of its names: see `lstmgraph.autodiff.adjoint`."""
        from lstmgraph.autodiff import adjoint

        return adjoint(self, cotangents)

    def tangent(self, moving: "frozenset[str]") -> "Tangent":
        """Return the tangent of the cell along some of its leaves: see `lstmgraph.forward_mode.tangent_of`."""
        from lstmgraph.forward_mode import tangent_of

        return tangent_of(self, moving)

    def run(self, values: Sequence[Any], sizes: Mapping[Dim, Dim], reverse: bool = False) -> Any:
        """Run the cell over sequences in NumPy, given its leaves in order: see `lstmgraph.interpret`."""
        from lstmgraph.interpreter import run_cell

        return run_cell(self, values, sizes, reverse)


class Network(Traced):
    """Recurs, embeddings and layers over whole sequences, made by `lstmgraph.network`."""


def frozen_as(traced: Traced, builder: Builder, made: Mapping[str, Symbol], name: str = "") -> Any:
    """Return a graph built anew, old key -> symbol, as what it was: a cell or a network, with its labels."""
    before = traced.graph.graph
    builder.graph.graph["labels"] = {label: made[key].key for label, key in before["labels"].items() if key in made}
    builder.graph.graph |= {name: before[name] for name in ("hidden", "derived_from") if name in before}
    graph, doc = builder.freeze(name or traced.name), traced.__doc__ or ""
    if isinstance(traced, Cell):
        return Cell(graph, traced.returns, doc, reverse=traced.reverse)
    return type(traced)(graph, traced.returns, doc)


def claim(builder: Builder, name: str) -> None:
    """Take a layer's name; a second layer of that name is an error that names both lines."""
    from lstmgraph.lines import say_line, user_line

    names = builder.graph.graph.setdefault("names", {})
    line = user_line()
    if name in names:
        raise GraphError(
            f"two layers are named {name!r}{say_line(names[name])} and{say_line(line)}; "
            "give each its own name (lg.parameter twice with one name ties a value)"
        )
    names[name] = line


def find(names: Sequence[str], name: str, what: str, where: str) -> str:
    """Return `name` if it is one of the names, else raise an error with the nearest."""
    if name not in names:
        raise GraphError(
            f"{where}: unknown {what} {name!r}, expected one of {', '.join(names)}{nearest(name, list(names))}"
        )
    return name
