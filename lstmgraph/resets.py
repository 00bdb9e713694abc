"""Resets: a cell or network with one more input that puts its states back to where they start."""

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from lstmgraph.graph import Builder, Node, Symbol, lead, named, node_of, operands, rebuild
from lstmgraph.traced import Cell, Traced, frozen_as

RESET = "@reset"  # no Python argument can have this name


@lru_cache(maxsize=64)
def with_reset(traced: Any) -> Any:
    """Return the cell or network with one more input, 1 where the states are set back before the step.

    The states come through ``select``, never through a product, so that no NaN of a finished sequence and no
    gradient crosses the border.
    """
    builder = Builder()
    if isinstance(traced, Cell):
        return _reset_cell(traced, builder)
    flag: Symbol | None = None
    made: dict[str, Symbol] = {}
    for key, node in traced.graph.nodes(data="node"):
        if node.op == "recur":
            if flag is None:
                flag = builder.leaf("input", ("T", "B", 1), name=RESET)
            made[key] = _reset_recur(builder, node, [made[s] for s in operands(traced.graph, key)], flag)
        else:
            made |= {key: rebuild(traced.graph, builder, keep=[key], replace=made)[key]}
    return frozen_as(traced, builder, made)


def with_learned_starts(sequence: Any, states: frozenset[str]) -> Any:
    """Return the graph over sequences in which these states start at their learned values and are no leaves."""
    if not states:
        return sequence
    builder = Builder(simplify=True)
    made: dict[str, Symbol] = {}
    for name, key in named(sequence.graph, "state").items():
        if name in states:
            node = node_of(sequence.graph, key)
            start = sequence.parameters[node.attr("initial")]
            leaf = builder.leaf("parameter", start.shape, **dict(start.attrs))
            made[key] = builder.add("broadcast", leaf, target=node.shape)
    made = rebuild(sequence.graph, builder, replace=made)
    return frozen_as(sequence, builder, made)


def learned_nodes(sequence: Traced, states: Mapping[str, str]) -> dict[str, str]:
    """Return state -> the node in its place in such a graph, given the parameter at which each state starts."""
    graph, leaves = sequence.graph, named(sequence.graph, "parameter")
    return {
        name: key
        for name, parameter in states.items()
        for key in graph.succ[leaves[parameter]]
        if lead(node_of(graph, key).shape) == ("B",)
    }


def _reset_cell(cell: Cell, builder: Builder) -> Cell:
    made: dict[str, Symbol] = {}
    for key in named(cell.graph, "input").values():
        made[key] = rebuild(cell.graph, builder, keep=[key])[key]
    flag = builder.leaf("input", ("B", 1), name=RESET)
    for name, key in named(cell.graph, "state").items():
        node = cell.leaves[f"state:{name}"]
        state = builder.leaf("state", node.shape, **dict(node.attrs))
        made[key] = builder.add("select", flag, _start(cell, builder, node), state)
    whole: Cell = frozen_as(cell, builder, rebuild(cell.graph, builder, replace=made))
    return whole


def _start(cell: Cell, builder: Builder, state: Node) -> Symbol | float:
    """Return where a state starts: at a learned value, or at 0."""
    initial = state.attr("initial")
    if initial is None:
        return 0.0
    return builder.leaf("parameter", cell.parameters[initial].shape, **dict(cell.parameters[initial].attrs))


def _reset_recur(builder: Builder, node: Node, sources: list[Symbol], flag: Symbol) -> Symbol:
    attrs = dict(node.attrs)
    cell = attrs["cell"]
    inner = with_reset(cell)
    given = dict(zip(cell.leaves, sources, strict=True)) | {f"input:{RESET}": flag}
    attrs["cell"] = inner
    return builder.add("recur", *(given[leaf] for leaf in inner.leaves), **attrs)
