"""Graphs over sequences: of a cell, with its gradient, with what is recorded, with some results alone."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from lstmgraph.autodiff import differentiate
from lstmgraph.dims import symbols_in
from lstmgraph.graph import Builder, Symbol, features, operands, rebuild
from lstmgraph.traced import Cell, Network, Traced

DIRECTION = "v:"  # prefix of the directions of leaves, and of what they move
COTANGENT = "d:"  # prefix of cotangent inputs and outputs; no Python name has it


def over_sequences(traced: Traced) -> Traced:
    """Return the graph over sequences of a cell: one recur; a network is one already."""
    if isinstance(traced, Network):
        return traced
    from lstmgraph.ops.recur import make, result

    assert isinstance(traced, Cell)
    builder = Builder(simplify=True)
    rows = ("T", "B")
    values: dict[str, Symbol | float] = {}
    for leaf, node in traced.leaves.items():
        kind = leaf.partition(":")[0]
        shape = rows + features(node.shape) if kind == "input" else node.shape
        values[leaf] = builder.leaf(kind, shape, **dict(node.attrs))
    dims = {dim for node in traced.leaves.values() for dim in node.shape if isinstance(dim, str)}
    dims |= {dim for _, node in traced.graph.nodes(data="node") for dim in node.shape if isinstance(dim, str)}
    symbols = sorted({part for dim in dims for part in symbols_in(dim)} - {"T", "B"})
    run = make(builder, traced, values, tuple((symbol, symbol) for symbol in symbols), traced.reverse, traced.name)
    for name in traced.outputs:
        builder.sink("output", result(run, "output", name, rows), name)
    for name in traced.states:
        builder.sink("next", result(run, "final", name, rows), name)
    for name in traced.sums:
        builder.sink("output", result(run, "sum", name, rows), name)
    return Network(builder.freeze(traced.name), traced.returns)


def with_gradient(sequence: Traced, others: Mapping[str, str] = MappingProxyType({})) -> Traced:
    """Return the graph with cotangents of its results as more inputs and cotangents of its leaves as more outputs.

    Those of other nodes, by name, are outputs too.
    """
    builder = Builder(simplify=True)
    made = rebuild(sequence.graph, builder)
    seeds: dict[str, Any] = {}
    for (kind, name), sink in sequence.sinks.items():
        source = made[operands(sequence.graph, sink)[0]]
        role = "input" if source.shape[:1] and source.shape[0] in ("T", "B") else "parameter"
        cotangent = builder.leaf(role, source.shape, name=f"{COTANGENT}{kind}:{name}")
        seeds[source.key] = seeds[source.key] + cotangent if source.key in seeds else cotangent
    for leaf, cotangent in differentiate(sequence, builder, made, seeds, others).items():
        if cotangent is not None:
            builder.sink("output", cotangent, COTANGENT + leaf)
    return _same_labels(sequence, builder, made)


def with_results(sequence: Traced, prefix: str) -> Traced:
    """Return the graph with those results alone whose names begin so."""
    builder = Builder(simplify=True)
    keep = [key for (_, name), key in sequence.sinks.items() if name.startswith(prefix)]
    return _same_labels(sequence, builder, rebuild(sequence.graph, builder, keep=keep))


def with_records(sequence: Traced, names: Mapping[str, tuple[str, str]]) -> Traced:
    """Return the graph with more outputs: name -> (recur's name, label in its cell), or ("", label of the graph)."""
    from lstmgraph.ops.recur import result

    builder = Builder(simplify=True)
    made: dict[str, Symbol] = {}
    for key, node in sequence.graph.nodes(data="node"):
        if node.op != "recur":
            made |= rebuild(sequence.graph, builder, keep=[key], replace=made)
            continue
        cell: Cell = node.attr("cell")
        inside = Builder(simplify=True)
        copied = rebuild(cell.graph, inside)
        for name, (owner, label) in names.items():
            if owner == node.attr("name"):
                inside.sink("output", copied[cell.graph.graph["labels"][label]], f"{COTANGENT}{name}")
        _same_labels(cell, inside, copied)
        attrs = dict(node.attrs) | {"cell": Cell(inside.graph, cell.returns)}
        made[key] = builder.add("recur", *(made[s] for s in operands(sequence.graph, key)), **attrs)
        for name, (owner, _) in names.items():
            if owner == node.attr("name"):
                builder.sink(
                    "output", result(made[key], "output", f"{COTANGENT}{name}", ("T", "B")), f"{COTANGENT}{name}"
                )
    for name, (owner, label) in names.items():
        if not owner:
            builder.sink("output", made[sequence.graph.graph["labels"][label]], f"{COTANGENT}{name}")
    return _same_labels(sequence, builder, made)


def _same_labels(traced: Traced, builder: Builder, made: Mapping[str, Symbol]) -> Network:
    labels = traced.graph.graph["labels"].items()
    builder.graph.graph["labels"] = {label: made[key].key for label, key in labels if key in made}
    return Network(builder.freeze(traced.name), traced.returns)
