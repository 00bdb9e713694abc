"""Two floors for a character model: the order-0 entropy, and an n-gram model with Witten-Bell smoothing."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from lstmgraph.errors import DataError


@dataclass(frozen=True)
class _Level:
    """Counts of the characters that follow contexts of one length, as sorted codes."""

    grams: Any  # context * entries + character
    counts: Any
    contexts: Any
    totals: Any  # how often each context is followed by anything
    kinds: Any  # by how many different characters


class NGram:
    """An interpolated n-gram model of characters.

    ``p(a | context) = (count(context, a) + kinds(context) p(a | shorter)) / (count + kinds)(context)``
    (Witten & Bell 1991, method C; Chen & Goodman 1999, section 2.6), where ``kinds`` is the number of
    different characters seen after the context; an unseen context has the probabilities of the next shorter
    one, and the shortest is mixed with the uniform distribution.

    Parameters
    ----------
    tokens : integers [n]
        The training text as entries of a vocabulary.
    entries : int
        The size of the vocabulary.
    order : int
        The number of characters before the predicted one that are looked at.

    Examples
    --------
    >>> model = NGram(np.array([1, 2, 1, 2, 1]), entries=3, order=1)
    >>> model.probabilities(np.array([1, 2]))
    array([0.52380952, 0.79365079])
    """

    def __init__(self, tokens: Any, entries: int, order: int = 5) -> None:
        if order < 0 or entries ** (order + 1) > 2**62:
            raise DataError(f"n-gram: got order {order} for {entries} characters, expected 0 to {_most(entries)}")
        self.entries = entries
        self.order = order
        self._levels = [_count(np.asarray(tokens, np.int64), entries, length) for length in range(order + 1)]

    def probabilities(self, tokens: Any) -> Any:
        """Return the probability of each token given those before it in the same array."""
        tokens = np.asarray(tokens, np.int64)
        found = np.full(tokens.shape, 1 / self.entries)
        for length, level in enumerate(self._levels):
            codes = _codes(tokens, self.entries, length)
            place, seen = _find(level.contexts, codes // self.entries)
            gram, known = _find(level.grams, codes)
            if not level.contexts.size or not codes.size:
                continue
            kinds = np.where(seen, level.kinds[place], 0)
            total = np.where(seen, level.totals[place], 0)
            count = np.where(known, level.counts[gram], 0)
            shorter = found[length:]
            mixed = (count + kinds * shorter) / np.maximum(total + kinds, 1)
            found[length:] = np.where(seen, mixed, shorter)
        return found

    def bits_per_character(self, tokens: Any) -> float:
        """Return the mean of -log2 p over the tokens."""
        return float(-np.log2(self.probabilities(tokens)).mean())


def entropy(tokens: Any) -> float:
    """Return the entropy of single characters, in bits: the floor of a model that sees no context."""
    _, counts = np.unique(np.asarray(tokens), return_counts=True)
    shares = counts / max(counts.sum(), 1)
    return float(-(shares * np.log2(shares)).sum())


def highest_order(entries: int, wanted: int = 5) -> int:
    """Return the highest order up to `wanted` whose contexts can be counted for a vocabulary of this size."""
    return min(wanted, _most(entries))


def _most(entries: int) -> int:
    order = 0
    while entries ** (order + 2) <= 2**62 and order < 60:
        order += 1
    return order


def _codes(tokens: Any, entries: int, length: int) -> Any:
    """Return one number for each run of `length` + 1 tokens: context * entries + token."""
    runs = max(len(tokens) - length, 0)
    codes = np.zeros(runs, np.int64)
    for place in range(length + 1):
        codes = codes * entries + tokens[place : place + runs]
    return codes


def _count(tokens: Any, entries: int, length: int) -> _Level:
    grams, counts = np.unique(_codes(tokens, entries, length), return_counts=True)
    contexts, first, kinds = np.unique(grams // entries, return_index=True, return_counts=True)
    totals = np.add.reduceat(counts, first) if len(first) else counts
    return _Level(grams, counts, contexts, totals, kinds)


def _find(table: Any, codes: Any) -> tuple[Any, Any]:
    """Return where each code stands in a sorted table, and whether it does."""
    if not table.size:
        return np.zeros(codes.shape, np.int64), np.zeros(codes.shape, bool)
    place = np.minimum(np.searchsorted(table, codes), table.size - 1)
    return place, table[place] == codes
