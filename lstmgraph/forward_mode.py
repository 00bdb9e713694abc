"""The tangent of a graph is a graph: every value beside its derivative along a direction; of a cell, again a cell.

No op has a pushforward of its own to be kept in step with its pullback: a pullback is linear in the cotangent, and the
tangent of a node is its transpose. So the pullback of a node is built on a symbolic cotangent, and a walk back through
it, seeded with the operands' tangents, gives the node's tangent.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import networkx as nx

from lstmgraph.autodiff import Result, as_shaped, backpropagate, is_constant, known_sizes
from lstmgraph.errors import GraphError
from lstmgraph.graph import (
    LEAVES,
    SINKS,
    Builder,
    Node,
    Symbol,
    descendants,
    is_row,
    keys_of,
    named,
    node_of,
    operands,
    rebuild,
)
from lstmgraph.plugins import op
from lstmgraph.traced import Cell, Network, Traced, frozen_as

_COTANGENT = "@cotangent of "  # no Python name has it

Symbols = dict[str, Symbol]


def push(graph: nx.MultiDiGraph, builder: Builder, made: Symbols, moving: Mapping[str, Any]) -> dict[str, Any]:
    """Build a graph anew with the tangents of its values, and return key -> tangent of every one that has one.

    Parameters
    ----------
    graph : networkx.MultiDiGraph
        What is read, simplified; its sinks are left to the caller.
    builder : Builder
        Where values and tangents go. What only served to find a tangent stays in it, read by nothing.
    made : dict
        Key -> symbol of the leaves; the other values are entered.
    moving : mapping
        Key -> tangent of the leaves that have one.
    """
    tangents: dict[str, Any] = dict(moving)
    for key, node in graph.nodes(data="node"):
        if node.op in SINKS or key in made:
            continue
        made[key] = rebuild(graph, builder, keep=[key], replace=made)[key]
        sources = operands(graph, key)
        if any(source in tangents for source in sources):
            given = tuple(tangents.get(source) for source in sources)
            made[key], tangent = _pushed(made[key], tuple(made[source] for source in sources), given)
            if tangent is not None:
                tangents[key] = tangent
    return tangents


def _pushed(result: Symbol, sources: tuple[Symbol, ...], tangents: tuple[Any, ...]) -> tuple[Symbol, Any]:
    definition = op(result.node.op)
    if definition.pushforward is not None:
        return definition.pushforward(result, sources, tangents)
    graph, builder = result.builder.graph, result.builder
    before = len(graph)
    role = "input" if is_row(result.shape) else "parameter"
    cotangent = builder.leaf(role, result.shape, name=_COTANGENT + result.key)
    seeds: Symbols = {}
    for pulled, tangent in zip(definition.pullback(result, sources, cotangent), tangents, strict=True):
        if pulled is not None and tangent is not None:
            seeds[pulled.key] = seeds[pulled.key] + tangent if pulled.key in seeds else tangent
    linear = descendants(graph, [cotangent.key])
    found = backpropagate(builder, seeds, [key for key in list(graph)[before:] if key in linear])
    return result, found.get(cotangent.key)


def _finished(builder: Builder, ends: Mapping[Result, Symbol]) -> Builder:
    """Return a builder with the leaves, what the results are computed from, and the results as sinks.

    Raises
    ------
    GraphError
        If a result depends on a symbolic cotangent: the pullback of an op is not linear.
    """
    graph, clean = builder.graph, Builder()
    leaves = [key for key in keys_of(graph, *LEAVES[:-1]) if not node_of(graph, key).name.startswith(_COTANGENT)]
    made = rebuild(graph, clean, keep=[*leaves, *(symbol.key for symbol in ends.values())])
    for name in (*named(clean.graph, "input"), *named(clean.graph, "parameter")):
        if name.startswith(_COTANGENT):
            owner = node_of(graph, name.removeprefix(_COTANGENT)).op
            raise GraphError(
                f"op {owner}: got a pullback that is not linear in the cotangent, expected one that is, or a "
                "pushforward; forward mode is its transpose"
            )
    for (kind, name), symbol in ends.items():
        clean.sink(kind, as_shaped(made[symbol.key], symbol.shape), name)
    labels = graph.graph["labels"].items()
    clean.graph.graph["labels"] = {label: made[key].key for label, key in labels if key in made}
    return clean


def with_tangent(sequence: Traced, moving: frozenset[str], prefix: str) -> Network:
    """Return a graph over sequences with directions of some leaves as more leaves, tangents of results as outputs.

    Parameters
    ----------
    sequence : Network
        A graph over sequences.
    moving : frozenset of str
        The leaves ``kind:name`` that have a direction.
    prefix : str
        Makes the names of directions and tangents: ``prefix + kind:name``.
    """
    builder = Builder(simplify=True)
    made: Symbols = {}
    along: Symbols = {}
    for key in keys_of(sequence.graph, *LEAVES):
        made |= rebuild(sequence.graph, builder, keep=[key])
        node = node_of(sequence.graph, key)
        if f"{node.op}:{node.name}" in moving:
            role = "parameter" if node.op == "parameter" else "input"
            along[key] = builder.leaf(role, node.shape, name=f"{prefix}{node.op}:{node.name}")
    tangents = push(sequence.graph, builder, made, along)
    sources = {sink: operands(sequence.graph, key)[0] for sink, key in sequence.sinks.items()}
    ends = {sink: made[key] for sink, key in sources.items()}
    for (kind, name), key in sources.items():
        if key in tangents:
            ends["output", f"{prefix}{kind}:{name}"] = tangents[key]
    return Network(_finished(builder, ends).freeze(sequence.name), sequence.returns)


@dataclass(frozen=True)
class Tangent:
    """The tangent cell of a cell and what its names stand for; the cell's own names stay.

    Parameters
    ----------
    cell : Cell
        Runs the same way in time.
    origins : dict
        Leaf ``kind:name`` of the tangent cell -> leaf of the cell whose tangent it is.
    results : dict
        (kind, name) of a result of the cell -> that of its tangent; a tangent that is zero is missing.
    """

    cell: Cell
    origins: dict[str, str]
    results: dict[Result, Result]


@cache
def tangent_of(cell: Cell, moving: frozenset[str], complete: bool = False) -> Tangent:
    """Return the tangent of a cell along some of its leaves.

    Parameters
    ----------
    cell : Cell
        Any cell, an adjoint too.
    moving : frozenset of str
        The leaves ``kind:name`` that have tangents; states that follow from them have one too.
    complete : bool
        Whether results with a tangent of zero have it as a result too.
    """
    origin, cell = cell, _simplified(cell)
    graph, builder, names = cell.graph, Builder(simplify=True, within=known_sizes(cell)), _names(cell)
    keys = {leaf: named(graph, node.op)[node.name] for leaf, node in cell.leaves.items()}
    made = {key: rebuild(graph, builder, keep=[key])[key] for key in keys.values()}
    along: Symbols = {}
    origins: dict[str, str] = {}
    for leaf, node in cell.leaves.items():
        if leaf in moving:
            along[keys[leaf]] = builder.leaf(node.op, node.shape, **_attrs(node, names))
            origins[f"{node.op}:{names[node.name]}"] = leaf
    tangents = push(graph, builder, made, along)
    values = {sink: operands(graph, key)[0] for sink, key in cell.sinks.items()}
    follow = {f"state:{name}" for (kind, name), key in values.items() if kind == "next" and key in tangents}
    if not follow <= moving:
        return tangent_of(origin, moving | follow, complete)
    ends = {sink: made[key] for sink, key in values.items()}
    results: dict[Result, Result] = {}
    for (kind, name), key in values.items():
        if key in tangents or complete or (kind == "next" and f"state:{name}" in moving):
            zero = builder.add("broadcast", 0.0, target=made[key].shape)
            ends[kind, names[name]] = tangents.get(key, zero)
            results[kind, name] = (kind, names[name])
    for state in cell.states:
        if ("next", state) in results:
            results |= {(kind, state): (kind, names[state]) for kind in ("final", "previous")}
    _label(graph, builder, made, tangents)
    returns = tuple(name for kind, name in ends if kind != "sum")
    graph = _finished(builder, ends).freeze(f"t_{cell.name}")
    graph.graph["derived_from"] = origin
    return Tangent(Cell(graph, returns, reverse=cell.reverse), origins, results)


def _simplified(cell: Cell) -> Cell:
    """Return the cell as a simplifying builder makes it, so that each of its nodes stays one node."""
    builder = Builder(simplify=True, within=known_sizes(cell))
    return frozen_as(cell, builder, rebuild(cell.graph, builder))  # type: ignore[no-any-return]


def _attrs(node: Node, names: Mapping[str, str]) -> dict[str, Any]:
    """Return the attributes of a leaf's tangent; that of a state with a learned start starts at that one's tangent."""
    attrs = {key: value for key, value in node.attrs if node.op == "parameter" or key == "initial"}
    if node.op == "state" and "initial" in attrs:
        attrs["initial"] = names[attrs["initial"]]
    return attrs | {"name": names[node.name]}


def _names(cell: Cell) -> dict[str, str]:
    """Return the name of each leaf and result -> that of its tangent, which no other one has."""
    names = dict.fromkeys([leaf.partition(":")[2] for leaf in cell.leaves] + [name for _, name in cell.sinks])
    found: dict[str, str] = {}
    for name in names:
        tangent = f"t_{name}"
        while tangent in names or tangent in found.values():
            tangent += "_"
        found[name] = tangent
    return found


def _label(graph: nx.MultiDiGraph, builder: Builder, made: Symbols, tangents: Mapping[str, Any]) -> None:
    """Keep the layers' names, and name the tangents of their results after them."""
    labels = builder.graph.graph["labels"]
    for label, key in graph.graph["labels"].items():
        labels[label] = made[key].key
        if key in tangents:
            labels.setdefault(f"t_{label}", tangents[key].key)


def tangent(traced: Cell) -> Cell:
    """Return the tangent of a cell: a cell like any other, to compile, draw or differentiate.

    Beside the cell's own inputs, states, parameters and results it has the tangent ``t_name`` of each: it computes
    the cell, and the derivative of its results along the directions given (forward mode; Wengert 1964). It runs the
    same way in time. ``program.jvp`` runs it over sequences; ``lg.gradient`` is the other mode.

    Parameters
    ----------
    traced : Cell
        Inputs x, states h, ..., parameters W, outputs y. An input of integers has no tangent.

    Returns
    -------
    Cell
        Inputs x and t_x [B, I], states h and t_h [B, H], parameters W and t_W, outputs y and t_y.

    Raises
    ------
    GraphError
        If what is given is no cell.

    Examples
    --------
    >>> import lstmgraph as lg
    >>> @lg.cell
    ... def leak(x, h):
    ...     return 0.9 * h + x
    >>> lg.tangent(leak).inputs, lg.tangent(leak).states
    (('x', 't_x'), ('h', 't_h'))
    """
    if isinstance(traced, Network) or not isinstance(traced, Cell):
        raise GraphError(
            f"lg.tangent: got {type(traced).__name__}, expected a cell made by @lg.cell; "
            "the tangent of a network comes from lg.compile(network).jvp"
        )
    return tangent_of(traced, moving_leaves(traced), True).cell


def moving_leaves(traced: Traced) -> frozenset[str]:
    """Return the leaves ``kind:name`` that can have a tangent: all but indices and masks."""
    return frozenset(leaf for leaf, node in traced.leaves.items() if not is_constant(node))
