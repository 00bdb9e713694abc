"""What two scenes have in common: which item of one is which of the other, and which wires are."""

from dataclasses import dataclass

from lstmgraph.visual.records import Pair, Scene


@dataclass(frozen=True)
class Comparison:
    """What one scene has that the other has not: items by key and wires by their ends."""

    removed: frozenset[str | Pair]
    added: frozenset[str | Pair]


def compare(before: Scene, after: Scene) -> Comparison:
    """Return what differs between two scenes.

    States, inputs, outputs and layers are the same if their names are; ops, if they do the same and most of what
    they read and feed is the same, the most alike first. A layer whose activation differs goes and comes, but not its
    wires.
    """
    same = {
        key: key
        for key, item in before.items.items()
        if key in after.items and item.kind != "op" and item.kind == after.items[key].kind
    }
    changed = {key for key in same if not _alike(before, after, key, key)}
    while True:
        best = max(_candidates(before, after, same), default=(0, 0, 0, "", ""))
        if best[0] <= 0:
            break
        same[best[3]] = best[4]
    wires = set(after.wires)
    kept = {(a, b): (same[a], same[b]) for a, b in before.wires if a in same and b in same}
    kept = {old: new for old, new in kept.items() if new in wires}
    removed: set[str | Pair] = {*(before.items.keys() - same.keys()), *changed, *(set(before.wires) - kept.keys())}
    added: set[str | Pair] = {*(after.items.keys() - set(same.values())), *changed, *(wires - set(kept.values()))}
    return Comparison(frozenset(removed), frozenset(added))


def _alike(before: Scene, after: Scene, one: str, other: str) -> bool:
    first, second = before.items[one], after.items[other]
    return (first.kind, first.text) == (second.kind, second.text)


def _candidates(before: Scene, after: Scene, same: dict[str, str]) -> list[tuple[int, int, int, str, str]]:
    """Return the pairs of items that may be the same, with how much speaks for it; earlier ones win a draw."""
    taken = set(same.values())
    found = []
    for place, one in enumerate(before.items):
        if one in same:
            continue
        for at, other in enumerate(after.items):
            if other not in taken and _alike(before, after, one, other):
                score = _common(before, after, same, one, other)
                found.append((score, -place, -at, one, other))
    return found


def _common(before: Scene, after: Scene, same: dict[str, str], one: str, other: str) -> int:
    """Return how many neighbours two items have in common."""
    count = 0
    for mine, theirs in (
        (before.sources(one), after.sources(other)),
        (before.targets(one), after.targets(other)),
    ):
        count += len({same[key] for key in mine if key in same} & set(theirs))
    return count
