"""Places for boxes and the wires between them, rank by rank: what Graphviz does, in little, where it is missing.

After Sugiyama, Tagawa & Toda (1981), "Methods for visual understanding of hierarchical system structures": ranks by
the longest way, the order in a rank by the mean of the neighbours, places as near to the neighbours as boxes allow.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import networkx as nx

BETWEEN, RANKS = 18.0, 40.0  # points between boxes of a rank, and between ranks
THIN = 10.0  # how much room a wire takes that passes a rank
SWEEPS, SETTLING = 16, 24  # how often a rank is put in order, and moved toward its neighbours
Key = Any
Place = tuple[float, float]  # across, along
Size = tuple[float, float]


@dataclass(frozen=True)
class Ranked:
    """Where boxes stand and how wires run: `ways` are the points that a wire passes between its two boxes."""

    places: Mapping[Key, Place]
    ways: Mapping[tuple[Key, Key], tuple[Place, ...]]


def rank(sizes: Mapping[Key, Size], wires: Collection[tuple[Key, Key]], apart: float = RANKS) -> Ranked:
    """Return places for boxes of these sizes.

    Parameters
    ----------
    sizes : mapping
        Box -> its size across and along the direction in which wires run, in points.
    wires : collection of pairs
        From box to box. One that closes a circle is not looked at.
    apart : float
        Points between two ranks.

    Examples
    --------
    >>> places = rank({"a": (10, 10), "b": (10, 10)}, [("a", "b")]).places
    >>> places["b"][1] - places["a"][1]
    50.0
    """
    graph = nx.DiGraph()
    graph.add_nodes_from(sizes)
    for source, target in dict.fromkeys(wires):
        if source != target and not nx.has_path(graph, target, source):
            graph.add_edge(source, target)
    number = _numbers(graph)
    chains = {pair: _chain(pair, number) for pair in graph.edges}
    layers = _layers(graph, number, chains)
    for chain in chains.values():
        graph.add_edges_from(pairwise(chain))
    graph.remove_edges_from([pair for pair, chain in chains.items() if len(chain) > 2])
    layers = _ordered(graph, layers)
    across = _across(graph, layers, sizes)
    along = _along(layers, sizes, apart)
    places = {key: (across[key], sum(along[at]) / 2) for at, layer in enumerate(layers) for key in layer}
    ways = {  # straight past the boxes of a rank
        pair: tuple((across[key], side) for key in chain[1:-1] for side in along[key[2]])
        for pair, chain in chains.items()
    }
    return Ranked({key: places[key] for key in sizes}, ways)


def _numbers(graph: nx.DiGraph) -> dict[Key, int]:
    """Return the rank of each box: the first that wires allow; one without sources stands just before its target."""
    number: dict[Key, int] = {}
    declared = {key: at for at, key in enumerate(graph)}
    order = list(nx.lexicographical_topological_sort(graph, key=declared.__getitem__))
    for key in order:
        number[key] = max((number[source] + 1 for source in graph.pred[key]), default=0)
    for key in reversed(order):
        if graph.succ[key] and not graph.pred[key]:
            number[key] = min(number[target] for target in graph.succ[key]) - 1
    return number


def _chain(pair: tuple[Key, Key], number: Mapping[Key, int]) -> list[Key]:
    """Return the ends of a wire, and between them a key for each rank that it passes."""
    between = [(*pair, at) for at in range(number[pair[0]] + 1, number[pair[1]])]
    return [pair[0], *between, pair[1]]


def _layers(graph: nx.DiGraph, number: Mapping[Key, int], chains: Mapping[Any, Sequence[Key]]) -> list[list[Key]]:
    layers: list[list[Key]] = [[] for _ in range(max(number.values(), default=0) + 1)]
    for key in graph:
        layers[number[key]].append(key)
    for chain in chains.values():
        for key in chain[1:-1]:
            layers[key[2]].append(key)
    return layers


def _ordered(graph: nx.DiGraph, layers: list[list[Key]]) -> list[list[Key]]:
    """Return the ranks in the order that crosses fewest wires of those tried."""
    best = layers, _crossings(graph, layers)
    for sweep in range(SWEEPS):
        down = sweep % 2 == 0
        layers = [list(layer) for layer in layers]
        for at in range(1, len(layers)) if down else range(len(layers) - 2, -1, -1):
            beside = {key: place for place, key in enumerate(layers[at - 1 if down else at + 1])}
            own = {key: place for place, key in enumerate(layers[at])}
            means: dict[Key, tuple[float, int]] = {}
            for key in layers[at]:
                near = [beside[other] for other in (graph.pred if down else graph.succ)[key]]
                means[key] = (sum(near) / len(near) if near else own[key]), own[key]
            layers[at].sort(key=means.__getitem__)
        count = _crossings(graph, layers)
        if count < best[1]:
            best = layers, count
    return best[0]


def _crossings(graph: nx.DiGraph, layers: list[list[Key]]) -> int:
    count = 0
    for upper, lower in pairwise(layers):
        at = {key: place for place, key in enumerate(lower)}
        ends = [sorted(at[target] for target in graph.succ[key]) for key in upper]
        before: list[int] = []
        for targets in ends:
            count += sum(other > target for target in targets for other in before)
            before += targets
    return count


def _across(graph: nx.DiGraph, layers: list[list[Key]], sizes: Mapping[Key, Size]) -> dict[Key, float]:
    """Return where each box stands in its rank: near the mean of its neighbours, none over another."""
    half = {key: sizes[key][0] / 2 if key in sizes else THIN / 2 for layer in layers for key in layer}
    found: dict[Key, float] = {}
    for layer in layers:
        x = 0.0
        for key in layer:
            found[key] = x + half[key]
            x += 2 * half[key] + BETWEEN
        found.update({key: found[key] - x / 2 for key in layer})
    for turn in range(SETTLING):
        for layer in layers if turn % 2 == 0 else reversed(layers):
            wanted = []
            for key in layer:
                near = [found[other] for other in (*graph.pred[key], *graph.succ[key])]
                wanted.append(sum(near) / len(near) if near else found[key])
            found.update(zip(layer, _apart(wanted, [half[key] for key in layer]), strict=True))
    return found


def _apart(wanted: list[float], half: list[float]) -> list[float]:
    """Return places in this order near those wanted, halfway between those pushed to the right and to the left."""
    right, left = list(wanted), list(wanted)
    for at in range(1, len(wanted)):
        right[at] = max(wanted[at], right[at - 1] + half[at - 1] + half[at] + BETWEEN)
    for at in range(len(wanted) - 2, -1, -1):
        left[at] = min(wanted[at], left[at + 1] - half[at + 1] - half[at] - BETWEEN)
    return [(one + other) / 2 for one, other in zip(right, left, strict=True)]


def _along(layers: list[list[Key]], sizes: Mapping[Key, Size], apart: float) -> list[Place]:
    """Return where each rank begins and ends."""
    found: list[Place] = []
    at = 0.0
    for layer in layers:
        high = max((sizes[key][1] for key in layer if key in sizes), default=0.0)
        found.append((at, at + high))
        at += high + apart
    return found
