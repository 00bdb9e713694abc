"""A small network and data for it, shared by the training tests."""

from types import SimpleNamespace

import numpy as np
import pytest

import lstmgraph as lg


@pytest.fixture(scope="session")
def tiny():
    """A network of 7 tokens and sequences that it can learn: each token follows from the one before."""

    @lg.network
    def tiny_characters(tokens):
        x = lg.embedding(tokens, 7, 5, name="embed")
        return lg.linear(lg.recur(lg.cells.catalogue["mgu"], x, size=6, name="mgu"), size=7, name="head")

    rng = np.random.default_rng(3)
    steps = rng.integers(1, 3, (13, 6))
    tokens = np.cumsum(steps, axis=0) % 7
    return SimpleNamespace(network=tiny_characters, x=tokens[:-1], y=tokens[1:])


@pytest.fixture
def make_model(tiny):
    """Return a function that makes a model of the tiny network."""

    def make(**options):
        options = {"optimizer": lg.Adam(0.02, clip_norm=1.0), "seed": 1} | options
        return lg.Model(tiny.network, options.pop("loss", "cross_entropy"), **options)

    return make


def same(first, second):
    """Whether two dictionaries of arrays are equal bit for bit."""
    return list(first) == list(second) and all(np.array_equal(first[name], second[name]) for name in first)


@pytest.fixture
def equal_params():
    return same
