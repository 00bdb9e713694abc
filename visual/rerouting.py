"""Wires taken away and routed once more, now that all others are there; what is not better is put back."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lstmgraph.visual.records import Pair

if TYPE_CHECKING:
    from lstmgraph.visual.routing import Router, Tree, Way

LEAST = 0.01  # a gain below this is none


@dataclass(frozen=True)
class _Kept:
    """All wires of one source as they were."""

    tree: "Tree"
    ways: "dict[Pair, Way]"
    used: tuple[tuple[str, int, int], ...]


def reroute(router: "Router") -> None:
    """Route the wires of each source once more."""
    for source in router.nets:
        _again(router, (source,))


def reroute_together(router: "Router") -> None:
    """Route the wires of each source once more, in either order, and of two that cross or stand in each other's way."""
    better = True
    while better and router.budget.left > 0:
        better = False
        for source in router.nets:
            better |= _again(router, (source,)) or _again(router, (source,), backwards=True)
        for pair in list(_neighbours(router)):
            better |= _again(router, pair) or _again(router, pair[::-1])


def _again(router: "Router", sources: Sequence[str], backwards: bool = False) -> bool:
    """Route the wires of some sources once more, one source after the other; return whether that was better."""
    pairs = {source: [pair for pair in router.order if pair[0] == source] for source in sources}
    if router.budget.left <= 0 or any(pair not in router.ways for each in pairs.values() for pair in each):
        return False
    if not any(pair not in router.straight for each in pairs.values() for pair in each):
        return False
    before, kept = router.whole_cost(), {source: _kept(router, source) for source in sources}
    for source in sources:
        router.remove(source)
    for source in sources:
        _lay_straight(router, source, kept[source])
    done = all(
        router.connect(*pair)
        for source in sources
        for pair in (reversed(pairs[source]) if backwards else pairs[source])
        if pair not in router.ways
    )
    if done and router.whole_cost() < before - LEAST:
        return True
    for source in sources:
        router.remove(source)
    for source in sources:
        _put_back(router, source, kept[source])
    return False


def _kept(router: "Router", source: str) -> _Kept:
    net = router.nets[source]
    ways = {pair: way for pair, way in router.ways.items() if pair[0] == source}
    return _Kept(router.trees[source], ways, tuple(lane for lane, owner in router.used.items() if owner == net))


def _put_back(router: "Router", source: str, kept: _Kept) -> None:
    router.trees[source] = kept.tree
    router.ways.update(kept.ways)
    router.used.update(dict.fromkeys(kept.used, router.nets[source]))
    router.mark(source, router.nets[source])
    router.crossed += router.crossings(source)


def _lay_straight(router: "Router", source: str, kept: _Kept) -> None:
    """Put the straight wires of a source back, which stay where they are."""
    for pair, way in kept.ways.items():
        if pair in router.straight:
            router.lay(pair, way)


def _neighbours(router: "Router") -> Iterator[tuple[str, str]]:
    """Yield the pairs of sources whose wires cross or run side by side."""
    names = {net: source for source, net in router.nets.items()}
    grid, met = router.grid, dict[tuple[int, int], int]()
    for source, tree in router.trees.items():
        net = router.nets[source]
        for point in tree.points:
            for there in (point, *(point + delta for delta in grid.deltas)):
                for other in {grid.level[there], grid.upright[there]} - {0, net}:
                    pair = min(net, other), max(net, other)
                    met[pair] = met.get(pair, 0) + 1 + 3 * (there == point)
    for one, other in sorted(met, key=lambda pair: (-met[pair], pair)):
        yield names[one], names[other]
