"""Targets of whole sequences, and weights of rows."""

import numpy as np
import pytest

import lstmgraph as lg

T, B = 7, 10
LENGTHS = np.array([7, 1, 3, 7, 5, 0, 2, 6, 4, 7])


@lg.network
def classify(x):
    return lg.linear(lg.recur(lg.cells.mgu, x, size=5, name="mgu"), size=3, name="head")


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(0)
    return rng.standard_normal((T, B, 2)), rng.integers(0, 3, B)


@pytest.fixture(autouse=True)
def in_numpy(monkeypatch):
    monkeypatch.setenv("LSTMGRAPH_JIT", "0")


def model(network=classify, **options):
    return lg.Model(network, seed=1, dtype="float64", **options)


def expected(logits, y, rows):
    """Return the mean cross entropy and accuracy at some (step, row) pairs, in plain NumPy."""
    losses, hits = [], []
    for t, b in rows:
        shifted = logits[t, b] - logits[t, b].max()
        losses.append(np.log(np.exp(shifted).sum()) - shifted[y[b]])
        hits.append(logits[t, b].argmax() == y[b])
    return np.mean(losses), np.mean(hits)


@pytest.mark.parametrize("lengths", [None, LENGTHS])
def test_a_target_a_sequence_counts_at_its_last_valid_step(data, lengths):
    x, y = data
    trained = model()
    first = trained.fit(x, y, lengths=lengths, steps=1)[0].loss
    ends = np.full(B, T) if lengths is None else lengths
    rows = [(end - 1, b) for b, end in enumerate(ends) if end]
    loss, accuracy = expected(model().predict(x, lengths=lengths), y, rows)
    assert first == pytest.approx(loss, rel=1e-12)
    found = trained.evaluate(x, y, lengths=lengths)
    loss, accuracy = expected(trained.predict(x, lengths=lengths), y, rows)
    assert found["loss"] == pytest.approx(loss, rel=1e-12) and found["accuracy"] == pytest.approx(accuracy)
    assert found["loss"] < first


def test_it_is_the_weights_of_the_last_steps(data):
    """One step of gradient descent on windows: those in which no row counts carry the state on."""
    x, y = data
    last = np.zeros((T, B))
    last[LENGTHS[LENGTHS > 0] - 1, np.flatnonzero(LENGTHS)] = 1
    plain, weighted = (model(optimizer=lg.SGD(0.3)) for _ in range(2))
    plain.fit(x, y, lengths=LENGTHS, steps=4, window=3)
    weighted.fit(x, np.broadcast_to(y, (T, B)), lengths=LENGTHS, weights=last, steps=4, window=3)
    assert all(np.array_equal(plain.params[name], value) for name, value in weighted.params.items())


def test_a_window_without_weights_carries_the_state(data):
    x, _ = data
    weights = np.zeros((T, B))
    weights[5:] = 1
    rows = np.zeros((T, B, 3))
    seen = []
    trained = model(loss="mean_squared_error", optimizer=lg.SGD(1e-30))
    trained.fit(x, rows, weights=weights, epochs=1, window=2, callback=lambda step: seen.append(step.loss))
    y = trained.predict(x)
    assert seen == pytest.approx([np.mean(y[5] ** 2), np.mean(y[6] ** 2)])  # steps 4 and 5, then 6


def test_weights_scale_rows_in_loss_and_gradient(data):
    x, y = data
    twice = np.ones((T, B))
    twice[:, 3] = 2
    doubled = [*range(B), 3]
    one, other = (model(optimizer=lg.SGD(0.1)) for _ in range(2))
    targets = np.broadcast_to(y, (T, B))
    first = one.fit(x, targets, weights=twice, steps=2)
    second = other.fit(x[:, doubled], targets[:, doubled], steps=2)
    assert first.loss == pytest.approx(second.loss, rel=1e-12)
    for name, value in other.params.items():
        assert np.allclose(one.params[name], value, rtol=1e-12, atol=1e-14), name
    assert one.evaluate(x, targets, weights=twice) == pytest.approx(other.evaluate(x[:, doubled], targets[:, doubled]))


def test_a_row_of_no_weight_may_be_nan_in_its_loss(data):
    x, _ = data
    weights = np.ones((T, B))
    weights[:, 2] = 0
    targets = np.zeros((T, B, 3))
    targets[:, 2] = np.nan
    found = model(loss="mean_squared_error").evaluate(x, targets, weights=weights)
    assert found["loss"] == pytest.approx(np.mean(np.delete(model().predict(x), 2, axis=1) ** 2))


@pytest.mark.parametrize(
    ("weights", "words"),
    [
        (np.ones((T, B + 1)), r"weights: got float64 of shape \[7, 11\], expected numbers \[T, B\] = \[7, 10\]"),
        (-np.ones((T, B)), "weights: got -1.0, expected finite numbers >= 0"),
        (np.full((T, B), np.nan), "weights: got nan"),
        (np.zeros((T, B)), "weights: got zeros for every valid row"),
        ("many", "weights"),
    ],
)
def test_weights_that_make_no_sense_are_errors(data, weights, words):
    x, y = data
    with pytest.raises(lg.LstmGraphError, match=words):
        model().fit(x, np.broadcast_to(y, (T, B)), weights=weights)


def test_a_target_of_neither_shape_is_an_error(data):
    x, y = data
    with pytest.raises(lg.ShapeError, match="target"):
        model().fit(x, y[:-1])
