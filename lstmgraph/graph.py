"""The graph: one frozen record a node, content keys, and building and walking a plain networkx graph.

A graph is a ``networkx.MultiDiGraph``. A node's key is a hash of what the node computes; its one attribute,
``node``, is a `Node`. The key of an edge is the position of the operand. Nodes stand in the order in which
they were made, which is a topological order; nothing that is printed depends on anything else.

Shapes are tuples of symbols and integers. A value that changes from row to row begins with ``"B"`` (one step
of a cell) or ``"T", "B"`` (a sequence); what has neither is invariant: a parameter or an expression of them.
"""

import hashlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import networkx as nx

from lstmgraph.dims import Dim as Dim
from lstmgraph.dims import Shape as Shape
from lstmgraph.dims import Within, never_above, widest
from lstmgraph.dims import guessed as guessed
from lstmgraph.dims import join as join
from lstmgraph.dims import resize as resize
from lstmgraph.errors import GraphError
from lstmgraph.lines import say_line, user_line
from lstmgraph.operators import power, refuse_index, refuse_iteration, refuse_power, refuse_truth

Attrs = tuple[tuple[str, Any], ...]

LEAD = ("T", "B")
LEAVES = ("input", "state", "parameter", "constant")
SINKS = ("next", "output", "sum")


@dataclass(frozen=True, slots=True)
class Node:
    """One operation: its name, its attributes as sorted pairs, and the shape of its value."""

    op: str
    attrs: Attrs = ()
    shape: Shape = ()

    def attr(self, name: str, default: Any = None) -> Any:
        """Return the attribute `name`, or `default`."""
        return next((value for key, value in self.attrs if key == name), default)

    @property
    def name(self) -> str:
        """The name of a leaf or a sink."""
        return str(self.attr("name", ""))


def lead(shape: Shape) -> Shape:
    """Return the leading row dimensions: (), ("B",) or ("T", "B")."""
    count = 0
    while count < len(shape) and shape[count] in LEAD:
        count += 1
    return shape[:count]


def features(shape: Shape) -> Shape:
    """Return the dimensions after the rows."""
    return shape[len(lead(shape)) :]


def is_row(shape: Shape) -> bool:
    """Whether a value of this shape changes from row to row."""
    return bool(shape) and shape[0] in LEAD


def node_of(graph: nx.MultiDiGraph, key: str) -> Node:
    """Return the record of a node."""
    return graph._node[key]["node"]  # type: ignore[no-any-return]  # views of it take three times as long


def operands(graph: nx.MultiDiGraph, key: str) -> tuple[str, ...]:
    """Return the keys of a node's operands in their order."""
    found = {position: source for source, edges in graph._pred[key].items() for position in edges}
    return tuple([found[position] for position in range(len(found))])


def keys_of(graph: nx.MultiDiGraph, *ops: str) -> list[str]:
    """Return the keys of the nodes with one of these op names, in order."""
    return [key for key, data in graph._node.items() if data["node"].op in ops]


def named(graph: nx.MultiDiGraph, op: str) -> dict[str, str]:
    """Return name -> key of the leaves or sinks of one kind, in order."""
    return {node_of(graph, key).name: key for key in keys_of(graph, op)}


def ancestors(graph: nx.MultiDiGraph, keys: Iterable[str]) -> set[str]:
    """Return the keys and everything that they are computed from."""
    return _closure(keys, graph.pred)


def descendants(graph: nx.MultiDiGraph, keys: Iterable[str]) -> set[str]:
    """Return the keys and everything that is computed from them."""
    return _closure(keys, graph.succ)


def _closure(keys: Iterable[str], neighbours: Mapping[str, Iterable[str]]) -> set[str]:
    seen: set[str] = set()
    stack = list(keys)
    while stack:
        key = stack.pop()
        if key not in seen:
            seen.add(key)
            stack.extend(neighbours[key])
    return seen


def digest(graph: nx.MultiDiGraph) -> str:
    """Return the content hash of a graph: equal for structurally equal graphs, in any process."""
    return _hash(",".join(sorted(graph)))


def _hash(text: str) -> str:
    return hashlib.blake2s(text.encode(), digest_size=8).hexdigest()


@dataclass(slots=True)
class Builder:
    """Makes a graph node by node; structurally equal nodes are one node.

    Parameters
    ----------
    simplify : bool
        Apply each op's own rewriting rule while building (never while a user's function is traced: the
        picture shows what was written). Sizes that an op joins then stay joined in shapes, ``"H|dt"``; else a
        shape shows one of them, and only attributes have them all: see `exact_shape`.
    trace : bool
        Remember the user's source line of each node.
    within : callable
        Whether the first of two joined sizes is known not to be above the second.
    """

    simplify: bool = False
    trace: bool = False
    graph: nx.MultiDiGraph = field(default_factory=nx.MultiDiGraph)
    within: Within = never_above

    def __post_init__(self) -> None:
        """Begin with nothing beside the graph: labels of layers, lines of nodes, hints for errors about them."""
        self.graph.graph.update(labels={}, lines={}, hints={}, name="")

    def leaf(self, op: str, shape: Shape, **attrs: Any) -> "Symbol":
        """Add a leaf: input, state, parameter or constant."""
        return self._insert(Node(op, tuple(sorted(attrs.items())), shape), ())

    def constant(self, value: float) -> "Symbol":
        """Add a number."""
        return self.leaf("constant", (), value=float(value))

    def add(self, op: str, *values: "Symbol | float", **attrs: Any) -> "Symbol":
        """Add an operation on symbols or numbers; its shape follows from the op's shape rule."""
        from lstmgraph.plugins import op as find

        definition = find(op)
        symbols = tuple(self.lift(value, op) for value in values)
        pairs = tuple(sorted((name, value) for name, value in attrs.items() if value is not None))
        if self.simplify and definition.simplify is not None:
            simpler = definition.simplify(self, symbols, dict(pairs))
            if simpler is not None:
                return simpler
        shape = definition.shape(tuple(symbol.shape for symbol in symbols), dict(pairs))
        return self._insert(Node(op, pairs, tuple(map(self._settled, shape))), tuple(symbol.key for symbol in symbols))

    def _settled(self, dim: Dim) -> Dim:
        if "|" not in str(dim):
            return dim
        return widest([dim], self.within) if self.simplify else guessed(dim)

    def sink(self, op: str, value: "Symbol", name: str) -> "Symbol":
        """Add a sink: next, output or sum."""
        return self._insert(Node(op, (("name", name),), value.shape), (value.key,))

    def lift(self, value: "Symbol | float", where: str) -> "Symbol":
        """Return a symbol of this graph: numbers become constants, anything else is an error."""
        import numbers

        if isinstance(value, Symbol):
            if value.builder is not self:
                raise GraphError(
                    f"{where}: got a value that belongs to another cell, expected one of this cell; "
                    "pass it as an input or a state"
                )
            return value
        if isinstance(value, numbers.Real) and not isinstance(value, bool):
            return self.constant(float(value))
        remedy = "use lg.parameter for learned arrays" if hasattr(value, "shape") else "pass a symbol or a number"
        raise GraphError(
            f"{where}: got {type(value).__name__}, expected a value of the cell or a number; {remedy}"
            + say_line(user_line())
        )

    def symbol(self, key: str) -> "Symbol":
        """Return the symbol of a node that is already there."""
        return Symbol(self, key)

    def label(self, name: str, symbol: "Symbol") -> None:
        """Give a layer's result its name."""
        self.graph.graph["labels"].setdefault(name, symbol.key)

    def freeze(self, name: str = "") -> nx.MultiDiGraph:
        """Return the finished graph; nothing can be added to it."""
        self.graph.graph["name"] = name
        return nx.freeze(self.graph)

    def _insert(self, node: Node, sources: tuple[str, ...]) -> "Symbol":
        key = _hash(repr((node.op, node.attrs, node.shape, sources)))
        if key not in self.graph:
            self.graph.add_node(key, node=node)
            for position, source in enumerate(sources):
                self.graph.add_edge(source, key, key=position)
            if self.trace:
                self.graph.graph["lines"][key] = user_line()
        return Symbol(self, key)


class Symbol:
    """A value of a cell while its equations are written: arithmetic on symbols builds the graph."""

    __slots__ = ("builder", "key")
    __array_ufunc__ = None  # NumPy scalars on the left defer to our operators

    def __init__(self, builder: Builder, key: str) -> None:
        self.builder = builder
        self.key = key

    @property
    def node(self) -> Node:
        """The record of this value's node."""
        return node_of(self.builder.graph, self.key)

    @property
    def shape(self) -> Shape:
        """The shape in symbols."""
        return self.node.shape

    @property
    def T(self) -> "Symbol":
        """The transpose of a parameter matrix."""
        return self.builder.add("transpose", self)

    @property
    def sources(self) -> tuple["Symbol", ...]:
        """The operands."""
        return tuple(Symbol(self.builder, key) for key in operands(self.builder.graph, self.key))

    def __repr__(self) -> str:
        node = self.node
        return f"<{node.op} {node.name} {node.shape}>".replace("  ", " ")

    def __add__(self, other: "Symbol | float") -> "Symbol":
        return self.builder.add("add", self, other)

    def __radd__(self, other: float) -> "Symbol":
        return self.builder.add("add", other, self)

    def __sub__(self, other: "Symbol | float") -> "Symbol":
        return self.builder.add("sub", self, other)

    def __rsub__(self, other: float) -> "Symbol":
        return self.builder.add("sub", other, self)

    def __mul__(self, other: "Symbol | float") -> "Symbol":
        return self.builder.add("mul", self, other)

    def __rmul__(self, other: float) -> "Symbol":
        return self.builder.add("mul", other, self)

    def __truediv__(self, other: "Symbol | float") -> "Symbol":
        return self.builder.add("div", self, other)

    def __rtruediv__(self, other: float) -> "Symbol":
        return self.builder.add("div", other, self)

    def __matmul__(self, other: "Symbol") -> "Symbol":
        return self.builder.add("matmul", self, other)

    def __neg__(self) -> "Symbol":
        return self.builder.add("neg", self)

    def __lt__(self, other: "Symbol | float") -> "Symbol":
        return self.builder.add("less", self, other)

    def __le__(self, other: "Symbol | float") -> "Symbol":
        return self.builder.add("less_equal", self, other)

    def __gt__(self, other: "Symbol | float") -> "Symbol":
        return self.builder.add("less", other, self)

    def __ge__(self, other: "Symbol | float") -> "Symbol":
        return self.builder.add("less_equal", other, self)

    __pow__ = power
    __rpow__ = refuse_power
    __getitem__ = refuse_index
    __bool__ = refuse_truth
    __iter__ = refuse_iteration


Rename = Callable[[Builder, Node], "Symbol | None"]


def rebuild(
    graph: nx.MultiDiGraph,
    builder: Builder,
    leaf: Rename | None = None,
    keep: Iterable[str] | None = None,
    sizes: Mapping[Dim, Dim] | None = None,
    replace: Mapping[str, "Symbol"] | None = None,
    rows: Shape | None = None,
) -> dict[str, "Symbol"]:
    """Build a graph's nodes anew in `builder` and return old key -> new symbol.

    Parameters
    ----------
    graph : networkx.MultiDiGraph
        What is read.
    builder : Builder
        Where the nodes go.
    leaf : callable, optional
        Given (builder, node) of a leaf, returns its replacement or None to copy it.
    keep : iterable of keys, optional
        Only these nodes and what they are computed from; all by default.
    sizes : mapping, optional
        Dimensions to exchange, symbols or integers.
    replace : mapping, optional
        Old key -> symbol that stands for it; nothing below it is visited on its account.
    rows : shape, optional
        Leading dimensions that take the place of those of every row, to run a step's equations over a whole
        sequence or the other way round.
    """
    done: dict[str, Symbol] = dict(replace or {})
    sizes = dict(sizes or {})
    wanted = _wanted(graph, graph if keep is None else keep, done)
    for key, node in graph.nodes(data="node"):
        if key in done or key not in wanted:
            continue
        attrs = {name: _resize(name, value, sizes, rows) for name, value in node.attrs}
        shape = _reshape(node.shape, sizes, rows)
        if node.op in LEAVES:
            made = leaf(builder, Node(node.op, tuple(attrs.items()), shape)) if leaf else None
            done[key] = made if made is not None else builder.leaf(node.op, shape, **attrs)
        elif node.op in SINKS:
            done[key] = builder.sink(node.op, done[operands(graph, key)[0]], node.name)
        else:
            done[key] = builder.add(node.op, *(done[source] for source in operands(graph, key)), **attrs)
        carry_notes(graph, key, done[key])
    return done


def exact_shape(value: Symbol) -> Shape:
    """Return the shape of a value with every size that it joins (``"dt|z"``): in a traced graph it says one of them."""
    exact = rebuild(value.builder.graph, Builder(simplify=True), keep=[value.key])[value.key].shape
    return value.shape if "?" in "".join(map(str, exact)) else exact  # a state's size may be open yet


def carry_notes(graph: nx.MultiDiGraph, key: str, symbol: Symbol) -> None:
    """Let what stands beside a node, its line and its hint, stand beside what it has become."""
    for notes in ("lines", "hints"):
        if key in graph.graph[notes]:
            symbol.builder.graph.graph[notes].setdefault(symbol.key, graph.graph[notes][key])


def _wanted(graph: nx.MultiDiGraph, keep: Iterable[str], done: Mapping[str, Any]) -> set[str]:
    wanted: set[str] = set()
    stack = list(keep)
    while stack:
        key = stack.pop()
        if key not in wanted and key not in done:
            wanted.add(key)
            stack.extend(graph.pred[key])
    return wanted


def _reshape(shape: Shape, sizes: Mapping[Dim, Dim], rows: Shape | None) -> Shape:
    first = rows if rows is not None and lead(shape) else lead(shape)
    return first + tuple(resize(dim, sizes) for dim in features(shape))


def _resize(name: str, value: Any, sizes: Mapping[Dim, Dim], rows: Shape | None) -> Any:
    if name == "size":
        return resize(value, sizes)
    if name == "parts":
        return tuple(resize(dim, sizes) for dim in value)
    if name == "target":
        return _reshape(value, sizes, rows)
    if name == "sizes":  # of the cell in a recur: symbol of the cell -> dimension out here
        return tuple((symbol, resize(dim, sizes)) for symbol, dim in value)
    return value
