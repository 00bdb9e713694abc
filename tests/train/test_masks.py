"""Dropout: its masks, its absence in evaluation, and training that goes on with it."""

import numpy as np
import pytest

import lstmgraph as lg
from lstmgraph.train import dropout
from lstmgraph.train.masks import draw, mask_names, without_masks


def network(rate):
    @lg.network
    def dropped(tokens):
        x = lg.embedding(tokens, 7, 5, name="embed")
        y = lg.recur(lg.cells.catalogue["mgu"], x, size=6, name="mgu")
        return lg.linear(dropout(y, rate, name="mgu"), size=7, name="head")

    return dropped


def test_masks_are_zero_at_their_rate_and_keep_the_mean():
    masks = draw(network(0.25), {}, (100, 50), 3, 7, "float32")["mgu.keep"]
    assert masks.shape == (100, 50, 6) and masks.dtype == np.float32
    assert set(np.unique(masks)) == {np.float32(0), np.float32(4 / 3)}
    assert np.mean(masks == 0) == pytest.approx(0.25, abs=0.01) and masks.mean() == pytest.approx(1, abs=0.02)


def test_masks_come_from_seed_and_step():
    one, same, step, seed = (
        draw(network(0.5), {}, (9, 8), *key, "float32")["mgu.keep"] for key in ((1, 2), (1, 2), (1, 3), (2, 2))
    )
    assert np.array_equal(one, same) and not np.array_equal(one, step) and not np.array_equal(one, seed)


def test_evaluation_is_the_network_without_dropout(tiny):
    assert mask_names(network(0.5)) == ("mgu.keep",)
    plain = without_masks(network(0.5))
    assert plain.digest == network(0.0).digest == without_masks(plain).digest
    assert plain.states == network(0.5).states and set(plain.graph.graph["labels"]) >= {"embed", "mgu", "head"}
    first, second = (lg.Model(network(rate), seed=4) for rate in (0.5, 0.0))
    assert np.array_equal(first.predict(tiny.x), second.predict(tiny.x))
    assert first.evaluate(tiny.x, tiny.y) == second.evaluate(tiny.x, tiny.y)


def test_training_uses_the_masks_and_their_gradient(tiny):
    """One step of gradient descent against the network with the mask as a plain input."""

    @lg.network
    def masked(tokens, keep):
        x = lg.embedding(tokens, 7, 5, name="embed")
        y = lg.recur(lg.cells.catalogue["mgu"], x, size=6, name="mgu")
        return lg.linear(y * keep, size=7, name="head")

    dropped, explicit = (lg.Model(n, optimizer=lg.SGD(0.1), seed=4) for n in (network(0.5), masked))
    keep = dropped.masks((12, 6))["mgu.keep"]
    one = dropped.fit(tiny.x, tiny.y)
    other = explicit.fit({"tokens": tiny.x, "keep": keep}, tiny.y)
    assert one[0].loss == pytest.approx(other[0].loss, rel=1e-6)
    for name, value in explicit.params.items():
        assert np.allclose(dropped.params[name], value, rtol=1e-5, atol=1e-7), name


def test_training_goes_on_after_loading_with_the_same_masks(tiny, tmp_path, equal_params):
    whole, part = (lg.Model(network(0.3), seed=2) for _ in range(2))
    whole.fit(tiny.x, tiny.y, steps=5, window=5)
    part.fit(tiny.x, tiny.y, steps=2, window=5)
    part.save(tmp_path)
    again = lg.load(tmp_path)
    again.fit(tiny.x, tiny.y, steps=3, window=5)
    assert equal_params(again.params, whole.params)


@pytest.mark.parametrize("rate", [-0.1, 1.0, float("nan"), "half"])
def test_rates_that_make_no_sense_are_errors(rate):
    with pytest.raises(lg.GraphError, match="dropout 'mgu': got rate"):
        network(rate)


def test_dropout_in_a_cell_or_twice_of_one_name_is_an_error():
    with pytest.raises(lg.GraphError, match="not in a cell"):

        @lg.cell
        def cell(x, h):
            return dropout(lg.tanh_layer(h, x, name="hidden"), 0.5, name="a")

    with pytest.raises(lg.GraphError, match="name is taken"):

        @lg.network
        def twice(x):
            return dropout(dropout(x, 0.5, name="a"), 0.5, name="a")
