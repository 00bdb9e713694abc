"""split: what need not run inside the time loop leaves it, by reachability.

Law: the results are those of the loop. ``once`` depends on parameters only, ``before`` on no state, ``after`` on no
next state; sums over rows follow the loop. They become ops on whole sequences, run by the same generator.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import networkx as nx

from lstmgraph.graph import (
    LEAVES,
    SINKS,
    Builder,
    Shape,
    Symbol,
    ancestors,
    descendants,
    features,
    is_row,
    keys_of,
    node_of,
    operands,
    rebuild,
)
from lstmgraph.plugins import op
from lstmgraph.schedule.products import find_products, is_sum
from lstmgraph.schedule.save import value_name
from lstmgraph.traced import Cell, Traced

ROWS: Shape = ("T", "B")


@dataclass(frozen=True)
class Parts:
    """The keys of a cell's nodes by where they run; what is in none runs in the loop."""

    once: frozenset[str]
    before: frozenset[str]
    after: frozenset[str]
    finish: frozenset[str]


def split(traced: Traced) -> Traced:
    """Return the graph with smaller loops."""
    graph = traced.graph
    builder = Builder(simplify=True)
    made: dict[str, Symbol] = {}
    results: dict[str, dict[tuple[str, str], Symbol]] = {}
    for key, node in graph.nodes(data="node"):
        sources = operands(graph, key)
        if node.op == "recur":
            results[key] = _Splitter(builder, graph, key, [made[source] for source in sources]).run()
        elif node.op == "item":
            made[key] = results[sources[0]][node.attr("kind"), node.attr("name")]
        else:
            made |= rebuild(graph, builder, keep=[key], replace=made)
    labels = graph.graph["labels"].items()
    builder.graph.graph["labels"] = {label: made[key].key for label, key in labels if key in made}
    return type(traced)(builder.freeze(traced.name), traced.returns)


def parts(cell: Cell) -> Parts:
    """Say of each node of a cell where it runs."""
    graph = cell.graph
    inner = [key for key, node in graph.nodes(data="node") if node.op not in (*LEAVES, *SINKS)]
    rows = {key for key in inner if is_row(node_of(graph, key).shape)}
    over = {key for key in inner if op(node_of(graph, key).op).kind == "over_rows" and _reads_rows(graph, key)}
    finish = (descendants(graph, over) & set(inner)) - rows
    once = {key for key in inner if key not in rows and key not in finish}
    below = descendants(graph, keys_of(graph, "state"))
    above = ancestors(graph, keys_of(graph, "next"))
    partial = _partial_products(graph)
    before: set[str] = set()
    after: set[str] = set()
    for key in inner:
        if key not in rows:
            continue
        costly = not op(node_of(graph, key).op).cheap
        sources = operands(graph, key)
        if key not in below and key not in partial and (not cell.states or costly or any(s in before for s in sources)):
            before.add(key)
        elif key not in above and (costly or any(s in after for s in sources)):
            after.add(key)
    return Parts(frozenset(once), frozenset(before), frozenset(after), frozenset(finish))


def _reads_rows(graph: nx.MultiDiGraph, key: str) -> bool:
    return any(is_row(node_of(graph, source).shape) for source in operands(graph, key))


def _partial_products(graph: nx.MultiDiGraph) -> set[str]:
    """Return what belongs to a sum of products with a state: it is cheaper to add it up inside the loop."""
    below = descendants(graph, keys_of(graph, "state"))
    found = set()
    for product in find_products(graph).values():
        if product.key in below:
            stack = [product.key]
            sources = {source for source, _ in product.terms}
            while stack:
                key = stack.pop()
                found.add(key)
                if is_sum(graph, key):
                    stack.extend(source for source in operands(graph, key) if source not in sources)
    return found


class _Splitter:
    """Takes one recur apart: the ops around it go into `builder`, the rest is a smaller recur."""

    def __init__(self, builder: Builder, graph: nx.MultiDiGraph, key: str, sources: list[Symbol]) -> None:
        self.builder = builder
        self.node = node_of(graph, key)
        self.cell: Cell = self.node.attr("cell")
        self.graph = self.cell.graph
        self.sizes = dict(self.node.attr("sizes"))
        self.parts = parts(self.cell)
        self.sources = dict(zip(self.cell.leaves, sources, strict=True))
        self.outside: dict[str, Symbol] = {
            key: self.sources[f"{node.op}:{node.name}"]
            for key, node in self.graph.nodes(data="node")
            if node.op in ("input", "parameter")
        }

    def run(self) -> dict[tuple[str, str], Symbol]:
        parts, graph = self.parts, self.graph
        self._outside(parts.once | parts.before)
        streams = self._streams()
        cell, values = self._loop(streams)
        results: dict[tuple[str, str], Symbol] = {}
        if cell is not None:
            self._recur(cell, values, streams, results)
        self._outside(parts.after | parts.finish)
        for (kind, name), sink in self.cell.sinks.items():
            if kind != "next":
                results[kind, name] = self._spread(self.outside[operands(graph, sink)[0]], kind)
        return results

    def _spread(self, symbol: Symbol, kind: str) -> Symbol:
        """Return an output as a sequence: constants and parameters are spread over it."""
        if kind == "output" and not is_row(symbol.shape):
            return self.builder.add("broadcast", symbol, target=(*ROWS, *(features(symbol.shape) or (1,))))
        return symbol

    def _outside(self, keys: frozenset[str]) -> None:
        made = rebuild(
            self.graph,
            self.builder,
            keep=[k for k in self.graph if k in keys],
            sizes=self.sizes,
            replace=self.outside,
            rows=ROWS,
        )
        self.outside |= made

    def _streams(self) -> list[str]:
        """Return the values that the loop hands to what stands around it, in order."""
        moved = self.parts.after | self.parts.finish
        wanted = {source for key in moved for source in operands(self.graph, key)}
        wanted |= {operands(self.graph, sink)[0] for (kind, _), sink in self.cell.sinks.items() if kind != "next"}
        return [
            key
            for key in self.graph
            if key in wanted
            and key not in self.outside
            and key not in moved
            and node_of(self.graph, key).op not in ("constant", "state")
        ]

    def _loop(self, streams: list[str]) -> tuple[Cell | None, dict[str, Symbol | float]]:
        """Return the cell that stays in the loop and the operands of its leaves."""
        inside = Builder(simplify=True)
        values: dict[str, Symbol | float] = {}
        replace: dict[str, Symbol] = {}
        kept = ancestors(self.graph, [*keys_of(self.graph, "next"), *streams])
        if not self.cell.states and not streams:
            return None, values
        for key, node in self.graph.nodes(data="node"):
            if node.op == "input" and self._used_in_loop(key, kept):
                values[f"input:{node.name}"] = self.outside[key]
                replace |= rebuild(self.graph, inside, keep=[key])
        for key in self.graph:
            if key in self.parts.before and self._used_in_loop(key, kept):
                name = self._fresh(f"before_{value_name(self.cell, key, ())}", values)
                replace[key] = inside.leaf("input", node_of(self.graph, key).shape, name=name)
                values[f"input:{name}"] = self.outside[key]
        for key in keys_of(self.graph, "state"):
            replace |= rebuild(self.graph, inside, keep=[key])
            values[f"state:{node_of(self.graph, key).name}"] = self.sources[f"state:{node_of(self.graph, key).name}"]
        for key in self.graph:
            if key in self.parts.once and self._used_in_loop(key, kept):
                name = value_name(self.cell, key, [leaf.partition(":")[2] for leaf in self.cell.leaves])
                replace[key] = inside.leaf("parameter", node_of(self.graph, key).shape, name=name)
                values[f"parameter:{name}"] = self.outside[key]
        copied = rebuild(self.graph, inside, keep=[*keys_of(self.graph, "next"), *streams], replace=replace)
        taken: list[str] = []
        outputs = {
            operands(self.graph, sink)[0]: name for (kind, name), sink in self.cell.sinks.items() if kind == "output"
        }
        for key in streams:
            taken.append(outputs.get(key) or value_name(self.cell, key, [*taken, *self.cell.outputs]))
            inside.sink("output", copied[key], taken[-1])
        cell = self._named(inside, copied | replace)
        for leaf, node in cell.leaves.items():
            if leaf not in values:
                values[leaf] = self.sources[f"{node.op}:{node.name}"]
        if not cell.inputs:
            raise AssertionError("a loop without inputs has no length")
        return cell, values

    def _named(self, inside: Builder, copied: Mapping[str, Symbol]) -> Cell:
        inside.graph.graph["labels"] = {
            label: copied[key].key for label, key in self.graph.graph["labels"].items() if key in copied
        }
        return Cell(inside.freeze(self.cell.name), self.cell.returns)

    def _fresh(self, name: str, values: Mapping[str, object]) -> str:
        while f"input:{name}" in values:
            name += "_"
        return name

    def _used_in_loop(self, key: str, kept: set[str]) -> bool:
        moved = self.parts.after | self.parts.finish | self.parts.before | self.parts.once
        return any(user in kept and user not in moved for user in self.graph.succ[key]) or (
            node_of(self.graph, key).op == "input" and key == keys_of(self.graph, "input")[0]
        )

    def _recur(
        self,
        cell: Cell,
        values: dict[str, Symbol | float],
        streams: list[str],
        results: dict[tuple[str, str], Symbol],
    ) -> None:
        from lstmgraph.ops.recur import make, result

        run = make(
            self.builder,
            cell,
            values,
            self.node.attr("sizes"),
            self.node.attr("reverse", False),
            self.node.attr("name"),
        )
        for key, name in zip(streams, cell.outputs, strict=True):
            self.outside[key] = result(run, "output", name, ROWS)
        for key in keys_of(self.graph, "state"):
            name = node_of(self.graph, key).name
            self.outside[key] = results["previous", name] = result(run, "previous", name, ROWS)
            results["final", name] = result(run, "final", name, ROWS)
