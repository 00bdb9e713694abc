"""tables: products that follow an embedding backward are taken over the entries of its table, not over all rows.

Law: results are those of the graph up to rounding, and an entry that no row names has no part in them, whatever it or
the matrices hold. With G the matrix that picks each row's entry, ``x = G t``, and d the cotangents of ``x @ W``:
``G'(d @ W') = (G'd) @ W'`` is the gradient of the table, ``x'd = t'(G'd)`` that of the matrix, and G'd adds up rows.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import reduce

import networkx as nx

from lstmgraph.graph import (
    LEAD,
    LEAVES,
    SINKS,
    Builder,
    Dim,
    Shape,
    Symbol,
    lead,
    node_of,
    operands,
    rebuild,
    resize,
)
from lstmgraph.plugins import op
from lstmgraph.schedule.products import is_product, is_sum
from lstmgraph.traced import Traced

WIDE = 16  # features of an entry below which products are as cheap as adding rows up
MANY = 4  # rows of an entry, on average, from which on it pays
WORK = 20_000_000  # floating-point operations of the products over all rows: less is not worth a few small steps


@dataclass(frozen=True)
class Table:
    """What a value picks its rows from: the table's node and shape, and the node of the index."""

    key: str
    shape: Shape
    index: str


def table_of(graph: nx.MultiDiGraph, key: str) -> Table | None:
    """Return the table that a value's rows are of, if an input names them at each step, else None."""
    if _kind(graph, key) != "gather":
        return None
    table, index = operands(graph, key)
    node = node_of(graph, index)
    return Table(table, node_of(graph, table).shape, index) if (node.op, node.shape) == ("input", LEAD) else None


def are_few(entries: int, rows: int) -> bool:
    """Whether a table has so few entries beside the rows that its own products are few, too."""
    return MANY * entries <= rows


def entries(traced: Traced, sizes: Mapping[Dim, Dim]) -> dict[int, int]:
    """Return the numbers of entries of tables -> floating-point operations of a row in the products that follow them.

    Parameters
    ----------
    traced : Traced
        A graph over sequences, after `split`.
    sizes : mapping
        Symbol -> size.
    """
    rewriter = _Rewriter(traced.graph, sizes, None)
    found: dict[int, int] = {}
    for key in traced.graph:
        if size := rewriter.entries(key):
            found[size] = found.get(size, 0) + rewriter.work(key)
    return found


def few(entries: Mapping[int, int], rows: int) -> int:
    """Return the greatest number of entries, of those `entries` returned, that is few beside so many rows, or 0."""
    return max((size for size, work in entries.items() if are_few(size, rows) and rows * work >= WORK), default=0)


def by_entry(traced: Traced, sizes: Mapping[Dim, Dim], most: int) -> Traced:
    """Return the graph with the products that follow tables of at most `most` entries taken over the entries.

    Parameters
    ----------
    traced : Traced
        A graph over sequences, after `split`.
    sizes : mapping
        Symbol -> size.
    most : int
        Entries of the largest table, as `few` returns them.
    """
    graph, clean = traced.graph, Builder(simplify=True)
    rewriter = _Rewriter(graph, sizes, most)
    made = rewriter.made
    for key in graph:
        made |= {key: rewriter.gradient(key)} if rewriter.entries(key) else rewriter.copied(key)
    # what nothing read before stays, or values after it would have other names, and their kernels be compiled anew
    ends = [made[key].key for key in graph if not graph.out_degree(key) or node_of(graph, key).op in LEAVES]
    kept = rebuild(rewriter.builder.graph, clean, keep=ends)
    labels = graph.graph["labels"].items()
    clean.graph.graph["labels"] = {label: kept[made[key].key].key for label, key in labels if made[key].key in kept}
    return type(traced)(clean.freeze(traced.name), traced.returns)


@dataclass
class _Rewriter:
    graph: nx.MultiDiGraph
    sizes: Mapping[Dim, Dim]
    most: int | None
    builder: Builder = field(default_factory=lambda: Builder(simplify=True))
    made: dict[str, Symbol] = field(default_factory=dict)

    def copied(self, key: str) -> dict[str, Symbol]:
        """Return a node as it is."""
        return rebuild(self.graph, self.builder, keep=[key], replace=self.made)

    def entries(self, key: str) -> int | None:
        """Return the entries of the table that a sum over rows belongs to, or None if it stays as it is."""
        kernel, sources = _over_rows(self.graph, key), operands(self.graph, key)
        if kernel == "table" and any(is_product(self.graph, term) for term in self._terms(sources[0])):
            shape = node_of(self.graph, key).shape
        elif kernel == "products" and _kind(self.graph, sources[0]) == "gather":
            shape = node_of(self.graph, operands(self.graph, sources[0])[0]).shape
        else:
            return None
        size, features = (int(resize(dim, self.sizes)) for dim in shape)
        whole = lead(node_of(self.graph, sources[0]).shape) == LEAD
        return size if whole and features >= WIDE and (self.most is None or size <= self.most) else None

    def work(self, key: str) -> int:
        """Return the floating-point operations of a row in the products of such a sum."""
        first = operands(self.graph, key)[0]
        if _over_rows(self.graph, key) == "products":
            shapes = [node_of(self.graph, key).shape]
        else:
            terms = [term for term in self._terms(first) if is_product(self.graph, term)]
            shapes = [node_of(self.graph, operands(self.graph, term)[1]).shape for term in terms]
        return sum(2 * math.prod(int(resize(dim, self.sizes)) for dim in shape) for shape in shapes)

    def gradient(self, key: str) -> Symbol:
        """Return a sum over rows as a sum over entries."""
        first, second = operands(self.graph, key)
        if _over_rows(self.graph, key) == "products":
            table, index = (self.made[source] for source in operands(self.graph, first))
            size = table.shape[0]
            return self._add("outer", self._named(table, index, size), self._scatter(self.made[second], index, size))
        index, size = self.made[second], node_of(self.graph, key).attr("size")
        terms = self._terms(first)
        products = [operands(self.graph, term) for term in terms if is_product(self.graph, term)]
        rest = [self.made[term] for term in terms if not is_product(self.graph, term)]
        found = [
            self._add("outer", self._scatter(self.made[value], index, size).T, self.made[matrix])
            for value, matrix in products
        ]
        total = self._named(_sum(found), index, size)
        return total + self._scatter(_sum(rest), index, size) if rest else total

    def _terms(self, key: str) -> list[str]:
        """Return the values, each of the sum's own shape, whose sum a value is that nothing else reads."""
        sources = operands(self.graph, key)
        shapes = {node_of(self.graph, each).shape for each in (key, *sources)}
        if self.graph.out_degree(key) != 1 or not is_sum(self.graph, key) or len(shapes) > 1:
            return [key]
        return [term for source in sources for term in self._terms(source)]

    def _scatter(self, value: Symbol, index: Symbol, size: Dim) -> Symbol:
        """Return rows added up by their entry."""
        return self._add("scatter", value, index, size=size)

    def _named(self, value: Symbol, index: Symbol, size: Dim) -> Symbol:
        """Return a value of each entry where some row names it, else 0, so that nothing else of it is multiplied."""
        rows = self._add("broadcast", 1.0, target=(*LEAD, 1))
        return self._add("select", self._scatter(rows, index, size), value, 0.0)

    def _add(self, name: str, *values: Symbol | float, **attrs: Dim | Shape) -> Symbol:
        return self.builder.add(name, *values, **attrs)


def _kind(graph: nx.MultiDiGraph, key: str) -> str:
    node = node_of(graph, key)
    return node.op if node.op in (*LEAVES, *SINKS) else op(node.op).kind


def _over_rows(graph: nx.MultiDiGraph, key: str) -> object:
    """Return which sum over rows a node is, or None."""
    return op(node_of(graph, key).op).kernel if _kind(graph, key) == "over_rows" else None


def _sum(terms: list[Symbol]) -> Symbol:
    return reduce(Symbol.__add__, terms)
