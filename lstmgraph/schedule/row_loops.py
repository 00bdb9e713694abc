"""row_loops: blocks without products that follow each other are one loop over rows, if one of them goes along a row.

Law: a walk reads only what leaves, earlier blocks and earlier walks hold. A reduction is taken along the walk that
computes what it reduces, else along an earlier one of its size; what one walk alone reads is never in memory, nor is
a number of a row that its loop alone reads; of what else its loop alone reads there is one row.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import groupby

import networkx as nx

from lstmgraph.graph import LEAVES, SINKS, Dim, node_of, operands
from lstmgraph.plugins import op
from lstmgraph.schedule.levels import Block, width


@dataclass(frozen=True)
class Walk:
    """One walk over the features of a row, register by register; of one feature, no walk but a number.

    Parameters
    ----------
    kind : str
        "pointwise", "running", "join" or "gather".
    size : int or str
        The number of features.
    values : tuple of str
        What is computed on the way, in order.
    folds : tuple of str
        Reductions that take their operand on the way and are numbers after it.
    """

    kind: str
    size: Dim
    values: tuple[str, ...] = ()
    folds: tuple[str, ...] = ()


@dataclass(frozen=True)
class RowLoop:
    """Walks over a row, one after the other, before the next row begins."""

    walks: tuple[Walk, ...]


def row_loops(graph: nx.MultiDiGraph, blocks: Iterable[Block]) -> tuple[Block | RowLoop, ...]:
    """Return the blocks in order, those that are walks over a row loop by loop."""
    made: list[Block | RowLoop] = []
    for products, group in groupby(blocks, lambda block: block.kind == "tile"):
        together = tuple(group)
        alone = products or all(block.kind == "pointwise" for block in together)
        made += together if alone else [RowLoop(_walks(graph, together))]
    return tuple(made)


def _walks(graph: nx.MultiDiGraph, blocks: Sequence[Block]) -> tuple[Walk, ...]:
    walks: list[Walk] = []
    for block in blocks:
        if block.kind != "reduction":
            walks.append(Walk(block.kind, block.size, block.values))
            continue
        for key in block.values:
            place = _walk_of(graph, walks, key, block.size)
            if place == len(walks):
                walks.append(Walk("pointwise", block.size))
            walks[place] = replace(walks[place], folds=(*walks[place].folds, key))
    return tuple(walks)


def _walk_of(graph: nx.MultiDiGraph, walks: Sequence[Walk], key: str, size: Dim) -> int:
    """Return the walk that a reduction is taken along: the first that has its operand, else the last of its size."""
    (source,) = operands(graph, key)
    held, whole = 0, _viewed(graph, source)
    for place, walk in enumerate(walks):
        if whole in (*walk.values, *walk.folds):
            held = place if walk.kind == "pointwise" and source in walk.values else place + 1
    fitting = [
        place for place, walk in enumerate(walks) if place >= held and walk.kind == "pointwise" and walk.size == size
    ]
    reading = [
        place
        for place in fitting
        if source in walks[place].values or any(source in operands(graph, value) for value in walks[place].values)
    ]
    return (reading or fitting[-1:] or [len(walks)])[0]


def _viewed(graph: nx.MultiDiGraph, key: str) -> str:
    """Return the value that a view is a part of, or the key itself."""
    while _is_view(graph, key):
        (key,) = operands(graph, key)
    return key


def _is_view(graph: nx.MultiDiGraph, key: str) -> bool:
    node = node_of(graph, key)
    return node.op not in (*LEAVES, *SINKS) and op(node.op).kind == "view"


def values_of(unit: Block | RowLoop) -> list[str]:
    """Return the keys that a block or loop computes, in order, products first."""
    if isinstance(unit, Block):
        return [product.key for product in unit.products] + list(unit.values)
    return [key for walk in unit.walks for key in (*walk.values, *walk.folds)]


def read_elsewhere(graph: nx.MultiDiGraph, unit: Block | RowLoop) -> list[str]:
    """Return what a block or loop computes and something reads that has not got it in a register."""
    if isinstance(unit, Block):
        own = set(values_of(unit))
        return [key for key in values_of(unit) if not set(graph.succ[key]) <= own]
    numbers = {key for walk in unit.walks if walk.kind != "running" for key in (*walk.values, *walk.folds)}
    found = []
    for walk in unit.walks:
        together = {*walk.values, *walk.folds}
        for key in (*walk.values, *walk.folds):
            near = numbers if width(graph, key) == 1 else together
            if walk.kind != "pointwise" or not set(graph.succ[key]) <= near:
                found.append(key)
    return found


def read_along_the_row(graph: nx.MultiDiGraph, loop: RowLoop) -> list[str]:
    """Return what later walks of a loop read, and nothing after the loop: one row of it is enough."""
    own = set(values_of(loop))
    return [key for key in read_elsewhere(graph, loop) if _readers(graph, key) <= own]


def _readers(graph: nx.MultiDiGraph, key: str) -> set[str]:
    """Return what reads a value or a part of it."""
    found: set[str] = set()
    for user in graph.succ[key]:
        found |= _readers(graph, user) if _is_view(graph, user) else {user}
    return found
