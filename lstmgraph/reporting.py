"""report: what a cell costs and how its states meet, read off its graph and the scheduler's passes."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from math import prod
from typing import Any

import networkx as nx
import numpy as np

from lstmgraph.border import FLOATS, checked_sizes, symbols_of
from lstmgraph.errors import CompileError, GraphError
from lstmgraph.graph import (
    LEAVES,
    SINKS,
    Dim,
    Node,
    Shape,
    ancestors,
    features,
    is_row,
    keys_of,
    node_of,
    operands,
    resize,
)
from lstmgraph.masks import without_masks
from lstmgraph.mixing import mixing
from lstmgraph.plugins import op
from lstmgraph.schedule.describe import describe_block
from lstmgraph.schedule.levels import blocks
from lstmgraph.schedule.resolve import resolve
from lstmgraph.schedule.save import save, savings
from lstmgraph.schedule.split import parts, split
from lstmgraph.sequences import COTANGENT, over_sequences, with_gradient
from lstmgraph.sizes import missing_sizes
from lstmgraph.traced import Cell, Traced

Sizes = Mapping[Dim, Dim]


@dataclass(frozen=True)
class Work:
    """Floating-point operations of one step of one row.

    Attributes
    ----------
    products : int
        Of matrix products, a multiplication and an addition each.
    others : int
        One for each element that another operation computes or sums up, exp and tanh too.
    """

    products: int
    others: int


@dataclass(frozen=True)
class Report:
    """What a cell costs at one set of sizes; print it, or take its numbers from ``data``.

    Attributes
    ----------
    name, dtype : str
        The cell and the element type.
    sizes : dict
        Symbol -> size.
    parameters, parameter_bytes : int
        Learned numbers, and their bytes: what every step reads, once for all rows.
    forward, gradient : Work
        Of one step of one row: the forward pass, and what the gradients of parameters, inputs and states add.
    read_bytes, written_bytes : int
        Of one step of one row in the forward pass: inputs and states; outputs and next states.
    levels : tuple of str
        The parts of a step that run one after the other.
    before, after : tuple of str
        What runs outside the loop, for all steps at once.
    saved, histories : tuple of str
        What the forward pass keeps of each step for the gradient: values, and states.
    saved_bytes : int
        Of these, for one step of one row.
    recomputed : tuple of str
        What the backward loop computes again.
    linear : bool
        Whether the next states are affine in the states, for given inputs.
    mixing : dict
        State -> the states that its next value reads -> "diagonal" (each unit its own one) or "dense".
    """

    name: str
    dtype: str
    sizes: dict[str, int]
    parameters: int
    parameter_bytes: int
    forward: Work
    gradient: Work
    read_bytes: int
    written_bytes: int
    levels: tuple[str, ...]
    before: tuple[str, ...]
    after: tuple[str, ...]
    saved: tuple[str, ...]
    histories: tuple[str, ...]
    saved_bytes: int
    recomputed: tuple[str, ...]
    linear: bool
    mixing: dict[str, dict[str, str]]

    @property
    def data(self) -> dict[str, Any]:
        """The report as a dictionary of plain values."""
        return asdict(self)

    def __str__(self) -> str:
        def listed(names: Iterable[str]) -> str:
            counts = Counter(names)
            return ", ".join(f"{count} {name}" if count > 1 else name for name, count in counts.items()) or "nothing"

        def work(found: Work) -> str:
            return f"{found.products:,} flops in products, {found.others:,} in other operations"

        lines = [
            f"{self.name}: {', '.join(f'{name} = {size}' for name, size in self.sizes.items())}, {self.dtype}",
            f"parameters   {self.parameters:,}: {_bytes(self.parameter_bytes)}, read once a step for all rows",
            f"forward      {work(self.forward)}, a step of a row",
            f"gradient     {work(self.gradient)} more",
            f"memory       {_bytes(self.read_bytes)} read and {_bytes(self.written_bytes)} written, a step of a row",
            *(f"level {place:<6} {level}" for place, level in enumerate(self.levels)),
            f"before loop  {listed(self.before)}",
            f"after loop   {listed(self.after)}",
            f"saved        {listed([*self.saved, *(f'state {name}' for name in self.histories)])}: "
            f"{_bytes(self.saved_bytes)}, a step of a row",
            f"recomputed   {listed(self.recomputed)}",
            f"recurrence   {'linear' if self.linear else 'not linear'} in the states",
        ]
        for state, sources in self.mixing.items():
            found = listed(f"{source} ({how})" for source, how in sources.items())
            lines.append(f"state {state:6} from {found}")
        return "\n".join(lines)


def report(
    cell: Cell,
    input_size: int | None = None,
    hidden_size: int | None = None,
    *,
    dtype: str = "float32",
    **sizes: int,
) -> Report:
    """Return what a cell costs: parameters, operations, bytes, levels, what is hoisted, saved and computed again.

    Nothing is compiled. Random masks stand for their means.

    Parameters
    ----------
    cell : Cell
        Any cell.
    input_size, hidden_size : int, optional
        The symbols I and H.
    dtype : "float32" or "float64"
        The element type.
    **sizes : int
        Other symbols of size, as in ``lg.compile``.

    Returns
    -------
    Report

    Raises
    ------
    GraphError
        If `cell` is no cell.
    CompileError
        For a missing or unknown size or dtype.

    Examples
    --------
    >>> import lstmgraph as lg
    >>> found = lg.report(lg.cells.lstm, input_size=3, hidden_size=5)
    >>> found.parameters, len(found.levels), found.linear
    (180, 1, False)
    >>> found.mixing["c"]
    {'h': 'dense', 'c': 'diagonal'}
    >>> lg.report(lg.cells.min_gru, 3, 5).linear
    True
    """
    if not isinstance(cell, Cell):
        raise GraphError(f"lg.report: got {type(cell).__name__}, expected a cell; a network's cells are reported alone")
    if dtype not in FLOATS:
        raise CompileError(f"lg.report: got dtype {dtype!r}, expected {' or '.join(FLOATS)}")
    named = {"I": input_size, "H": hidden_size, **sizes}
    bound = checked_sizes(cell, {name: size for name, size in named.items() if size is not None})
    if missing := [symbol for symbol in symbols_of(cell) if symbol not in bound]:
        raise missing_sizes(cell, missing, "pass {keywords} to lg.report")
    sequence = resolve(over_sequences(without_masks(cell)), tuple(sorted(bound.items(), key=str)))
    return _Reader(cell, sequence, bound, dtype).report()


class _Reader:
    """A cell at some sizes: its graph, and the same with its gradient after the scheduler's passes."""

    def __init__(self, cell: Cell, sequence: Traced, sizes: Sizes, dtype: str) -> None:
        self.name, self.parameters, self.sizes, self.dtype = cell.name, cell.parameters, sizes, dtype
        self.itemsize = np.dtype(dtype).itemsize
        both = with_gradient(sequence)
        self.planned = split(save(both)).graph
        loop = keys_of(both.graph, "recur")[0]
        self.cell: Cell = node_of(both.graph, loop).attr("cell")
        backward = [saving for saving in savings(both) if saving.earlier == loop]
        self.saved = [key for saving in backward for _, key in saving.values]
        again = [key for saving in backward for key in saving.again]
        self.again = [key for key in again if is_row(node_of(self.cell.graph, key).shape)]
        plain = [
            key for key in keys_of(self.planned, *SINKS) if not node_of(self.planned, key).name.startswith(COTANGENT)
        ]
        self.forward = ancestors(self.planned, plain)

    def report(self) -> Report:
        """Return what is found."""
        parameters = sum(self._size(node.shape) for node in self.parameters.values())
        forward, whole = self._work(self.forward), self._work(ancestors(self.planned, keys_of(self.planned, *SINKS)))
        outside, (linear, mixed) = parts(self.cell), mixing(self.cell)
        histories = self._histories()
        kept = [node_of(self.cell.graph, key) for key in self.saved]
        kept += [self.cell.leaves[f"state:{name}"] for name in histories]
        leaves = [node for node in self.cell.leaves.values() if node.op != "parameter"]
        results = [self.cell.graph.nodes[key]["node"] for key in self._stored()]
        return Report(
            name=self.name,
            dtype=self.dtype,
            sizes={str(symbol): int(size) for symbol, size in self.sizes.items()},
            parameters=parameters,
            parameter_bytes=parameters * self.itemsize,
            forward=forward,
            gradient=Work(whole.products - forward.products, whole.others - forward.others),
            read_bytes=self._bytes(leaves),
            written_bytes=self._bytes(results),
            levels=self._levels(),
            before=self._frontier(outside.before),
            after=self._frontier(outside.after),
            saved=tuple(called(self.cell, key) for key in self.saved),
            histories=histories,
            saved_bytes=self._bytes(kept),
            recomputed=tuple(called(self.cell, key) for key in self.again),
            linear=linear,
            mixing=mixed,
        )

    def _size(self, shape: Shape) -> int:
        return prod(int(resize(dim, self.sizes)) for dim in features(shape))

    def _bytes(self, nodes: Iterable[Node]) -> int:
        return sum(self._size(node.shape) * (8 if node.attr("integer") else self.itemsize) for node in nodes)

    def _stored(self) -> set[str]:
        """Return the values that a step writes: a next state that is an output too is written once."""
        graph = self.cell.graph
        return {operands(graph, key)[0] for key in keys_of(graph, *SINKS)} - set(keys_of(graph, "input", "constant"))

    def _histories(self) -> tuple[str, ...]:
        """Return the states of the forward loop whose value at each step something reads afterwards."""
        items = [key for key in keys_of(self.planned, "item") if operands(self.planned, key)[0] in self.forward]
        nodes = [node_of(self.planned, key) for key in items if self.planned.succ[key]]
        return tuple(dict.fromkeys(str(node.attr("name")) for node in nodes if node.attr("kind") == "previous"))

    def _levels(self) -> tuple[str, ...]:
        """Return the blocks of the forward loop's step; none if nothing is left in it."""
        loops = [key for key in keys_of(self.planned, "recur") if key in self.forward]
        graphs = [node_of(self.planned, key).attr("cell").graph for key in loops]
        return tuple(describe_block(graph, block) for graph in graphs for block in blocks(graph))

    def _frontier(self, keys: frozenset[str]) -> tuple[str, ...]:
        """Return those of some values that anything else reads."""
        graph = self.cell.graph
        edge = [key for key in graph if key in keys and any(user not in keys for user in graph.succ[key])]
        return tuple(called(self.cell, key) for key in edge)

    def _work(self, keys: set[str]) -> Work:
        found = [work(self.planned, key, self.sizes) for key in keys]
        return Work(sum(each.products for each in found), sum(each.others for each in found))


def work(graph: nx.MultiDiGraph, key: str, sizes: Sizes) -> Work:
    """Return the operations of one node for one step of one row; of a recur, those of its cell."""

    def width(shape: Shape) -> int:
        return prod(int(resize(dim, sizes)) for dim in features(shape))

    node, none = node_of(graph, key), Work(0, 0)
    shapes = [node_of(graph, source).shape for source in operands(graph, key)]
    if node.op in (*LEAVES, *SINKS):
        return none
    definition = op(node.op)
    if definition.kind == "recur":
        inner = {symbol: resize(dim, sizes) for symbol, dim in node.attr("sizes")}
        body = node.attr("cell").graph
        found = [work(body, each, inner) for each in ancestors(body, keys_of(body, *SINKS))]
        return Work(sum(each.products for each in found), sum(each.others for each in found))
    if definition.kind == "over_rows" and any(map(is_row, shapes)):
        outer = definition.kernel == "products"
        return Work(2 * width(node.shape), 0) if outer else Work(0, width(shapes[0]))
    if not is_row(node.shape) or definition.kind in ("view", "join", "gather", "item", "invariant"):
        return none
    if definition.kind == "matmul":
        return Work(2 * width(shapes[0]) * width(node.shape), 0)
    return Work(0, max(map(width, (node.shape, *filter(is_row, shapes)))))


def called(cell: Cell, key: str, deep: bool = True) -> str:
    """Return what a value is called: its label, the state it becomes, or an op of such."""
    graph = cell.graph
    node = node_of(graph, key)
    label = next((label for label, labelled in graph.graph["labels"].items() if labelled == key), "")
    if label or node.name:
        return label or node.name
    states = [node_of(graph, user).name for user in graph.succ[key] if node_of(graph, user).op == "next"]
    if states:
        return f"next {states[0]}"
    if node.op == "constant":
        return f"{node.attr('value'):g}"
    return (
        f"{node.op}({', '.join(called(cell, source, False) for source in operands(graph, key))})" if deep else node.op
    )


def _bytes(count: int) -> str:
    for unit, size in (("MB", 10**6), ("KB", 10**3)):
        if count >= size:
            return f"{count / size:.1f} {unit}"
    return f"{count} bytes"
