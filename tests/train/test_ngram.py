"""The n-gram floor against its definition, written out with dictionaries."""

from collections import Counter, defaultdict

import numpy as np
import pytest

from lstmgraph import DataError
from lstmgraph.train.ngram import NGram, entropy, highest_order


def direct(training, tokens, entries, order):
    """Witten-Bell by its recursion, one probability at a time."""
    followers = defaultdict(Counter)
    for end in range(len(training)):
        for length in range(min(order, end) + 1):
            followers[tuple(training[end - length : end])][training[end]] += 1

    def probability(context, token):
        seen = followers.get(context, Counter())
        shorter = probability(context[1:], token) if context else 1 / entries
        kinds = len(seen)
        return (seen[token] + kinds * shorter) / (sum(seen.values()) + kinds) if kinds else shorter

    return [probability(tuple(tokens[max(i - order, 0) : i]), tokens[i]) for i in range(len(tokens))]


@pytest.mark.parametrize("order", [0, 1, 2, 5])
def test_probabilities_are_those_of_the_definition(order):
    rng = np.random.default_rng(order)
    training = (rng.integers(0, 5, 300) * rng.integers(0, 2, 300)).tolist()
    tokens = rng.integers(0, 6, 80).tolist()
    got = NGram(np.array(training), 6, order).probabilities(np.array(tokens))
    assert np.allclose(got, direct(training, tokens, 6, order), rtol=1e-12, atol=0)


def test_probabilities_of_all_characters_add_up_to_1():
    rng = np.random.default_rng(0)
    model = NGram(rng.integers(0, 6, 200), 8, 3)
    for context in ([], [1], [7, 7, 7], rng.integers(0, 6, 3).tolist()):
        total = sum(model.probabilities(np.array([*context, token]))[-1] for token in range(8))
        assert total == pytest.approx(1, abs=1e-12)


def test_bits_per_character():
    assert NGram(np.zeros(0, int), 4, 2).bits_per_character(np.array([0, 3, 1])) == 2
    assert entropy(np.array([0, 1, 2, 3])) == 2 and entropy(np.array([1, 1])) == 0


def test_an_order_that_cannot_be_counted_is_an_error():
    assert highest_order(104) == 5 and highest_order(100_000) == 2
    with pytest.raises(DataError, match="order 9 for 104"):
        NGram(np.array([1]), 104, 9)
