"""Which sources are drawn as one bundle: concatenated vectors that several layers read."""

from collections.abc import Mapping
from itertools import pairwise

from lstmgraph.visual.records import Bundle, Kind, Pair, Scene

ENTERING: tuple[Kind, ...] = ("old", "input")


def find_bundles(scene: Scene, columns: Mapping[str, int]) -> tuple[Bundle, ...]:
    """Return the bundles of a scene; a layer takes part in at most one.

    The first is that of states and inputs, which runs along the bottom of the cell. Any further one is of
    sources that at least two of the other layers share.
    """
    layers = scene.of_kind("layer")
    found: list[Bundle] = []
    first = _most_shared(scene, layers, set(scene.of_kind(*ENTERING)), 1)
    if first:
        _add(found, scene, _from_below(scene, first), layers)
    while True:
        bundled = {layer for bundle in found for layer in bundle.layers}
        rest = [layer for layer in layers if layer not in bundled]
        shared = _most_shared(scene, rest, set(scene.items), 2)
        if not shared:
            return tuple(found)
        _add(found, scene, sorted(shared, key=lambda source: columns.get(source, -1)), rest)


def enters(scene: Scene, bundle: Bundle) -> bool:
    """Whether a bundle is the one along the bottom of the cell: of states and inputs alone."""
    return bundle.merges[0] == "merge:0.0" and all(scene.items[source].kind in ENTERING for source in bundle.sources)


def links(scene: Scene, bundles: tuple[Bundle, ...]) -> tuple[Pair, ...]:
    """Return what the router connects: the scene's wires, bundled ones by way of their merge points."""
    found: dict[Pair, None] = {}
    bundled: dict[Pair, str] = {}
    for bundle in bundles:
        for place, source in enumerate(bundle.sources):
            found[source, bundle.merges[max(place - 1, 0)]] = None
        found.update(dict.fromkeys(pairwise(bundle.merges)))
        bundled.update({(source, layer): bundle.merges[-1] for source in bundle.sources for layer in bundle.layers})
    for pair in scene.wires:
        found[bundled.get(pair, pair[0]), pair[1]] = None
    return tuple(found)


def _most_shared(scene: Scene, layers: list[str], allowed: set[str], least: int) -> list[str]:
    """Return the two or more allowed sources that most layers share; empty if fewer than `least` do."""
    fed = {layer: [source for source in scene.sources(layer) if source in allowed] for layer in layers}
    counts: dict[tuple[str, ...], int] = {}
    for layer in layers:
        for other in layers:
            common = tuple(source for source in scene.items if source in fed[layer] and source in fed[other])
            if len(common) > 1 and common not in counts:
                counts[common] = sum(set(common) <= set(fed[each]) for each in layers)
    enough = [common for common, count in counts.items() if count >= least]
    if not enough:
        return []
    best: tuple[str, ...] = max(enough, key=lambda common: (counts[common] * len(common), len(common)))
    return list(best)


def _from_below(scene: Scene, sources: list[str]) -> list[str]:
    """Return states and inputs in the order in which they join.

    A state from below begins, else a conveyor; inputs join where they enter; other conveyors come from above.
    """
    conveyors = [state.old for state in scene.states if state.name in scene.conveyors]
    order = sorted(sources, key=lambda source: (scene.items[source].kind != "old") + 2 * (source in conveyors))
    if scene.items[order[0]].kind == "input" and order[-1] in conveyors:
        order.insert(0, order.pop())
    return order


def _add(found: list[Bundle], scene: Scene, sources: list[str], layers: list[str]) -> None:
    """Add a bundle of sources, read by those of the layers that have them all."""
    merges = tuple(f"merge:{len(found)}.{place}" for place in range(len(sources) - 1))
    readers = tuple(layer for layer in layers if set(sources) <= set(scene.sources(layer)))
    found.append(Bundle(tuple(sources), readers, merges))
