"""Sizes in symbols: ``"H+I"`` of values side by side, ``"H|dt"`` of values in one op, each as wide or of size 1.

A joined size is the widest of its sizes, which are sums: ``"H|dt"`` beside ``"I"`` is ``"H+I|I+dt"``.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from itertools import product

Dim = int | str
Shape = tuple[Dim, ...]
Within = Callable[[Dim, Dim], bool]


def resize(dim: Dim, sizes: Mapping[Dim, Dim]) -> Dim:
    """Return a dimension with its symbols exchanged."""
    if dim in sizes:
        return sizes[dim]
    if isinstance(dim, str) and "|" in dim:
        return widest(resize(each, sizes) for each in joined(dim))
    if isinstance(dim, str) and "+" in dim:
        return join([resize(int(part) if part.isdigit() else part, sizes) for part in dim.split("+")])
    return dim


def join(dims: Iterable[Dim]) -> Dim:
    """Return the size of values side by side: whatever their order, one sum of sizes is one text."""
    return widest(_sum(parts) for parts in product(*(joined(dim) for dim in dims)))


def _sum(dims: Iterable[Dim]) -> Dim:
    parts = [part for dim in dims for part in str(dim).split("+")]
    number = sum(int(part) for part in parts if part.isdigit())
    symbols = sorted(part for part in parts if not part.isdigit())
    if not symbols:
        return number
    return "+".join(symbols + ([str(number)] if number else []))


def joined(dim: Dim) -> list[Dim]:
    """Return the sizes, symbols or sums of them, of which a size is the widest."""
    return [int(each) if each.isdigit() else each for each in str(dim).split("|")]


def never_above(first: Dim, second: Dim) -> bool:
    """Whether a size is never above another, as each symbol is at least 1."""
    one, other = terms(first), terms(second)
    return set(one - other) <= {1} and (one - other).total() <= (other - one).total()


def widest(dims: Iterable[Dim], within: Within = never_above) -> Dim:
    """Return the size of values in one op, of which each is as wide or of size 1: whatever their order, one text.

    Parameters
    ----------
    dims : iterable of int or str
        Their sizes.
    within : callable, optional
        Whether the first of two sizes is known not to be above the second.
    """
    found = sorted({each for dim in dims for each in joined(dim)}, key=str)
    numbers = [each for each in found if isinstance(each, int)]
    if max(numbers, default=1) > 1:
        return max(numbers)
    for each in list(found):
        if any(each != other and within(each, other) for other in found):
            found.remove(each)
    return found[0] if len(found) == 1 else "|".join(map(str, found))


def terms(dim: Dim) -> Counter[Dim]:
    """Return how often each symbol, and 1, is in a sum of sizes."""
    found: Counter[Dim] = Counter()
    for part in str(dim).split("+"):
        if part.isdigit():
            found[1] += int(part)
        else:
            found[part] += 1
    return found


def symbols_in(dim: Dim) -> list[str]:
    """Return the symbols in a size."""
    return [part for each in joined(dim) for part in terms(each).elements() if isinstance(part, str)]


def guessed(dim: Dim) -> Dim:
    """Return the one of the sizes that are joined by which a traced graph shows the size: H, a number, or the last."""
    known = [each for each in joined(dim) if not str(each).startswith("?")] or joined(dim)
    return next((each for each in known if each == "H" or isinstance(each, int)), known[-1])
