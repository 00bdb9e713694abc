"""Fit, evaluate, predict: what a model does with data."""

import os
import signal

import numpy as np
import pytest

import lstmgraph as lg


def test_training_learns(tiny, make_model):
    model = make_model()
    history = model.fit(tiny.x, tiny.y, epochs=40)
    assert len(history) == 40 == model.steps and not history.interrupted
    assert history.loss[-1] < 0.6 * history.loss[0]
    assert history[0].loss == pytest.approx(make_model().evaluate(tiny.x, tiny.y)["loss"], rel=1e-5)


def test_a_step_follows_the_gradient_of_the_mean_loss(tiny, make_model):
    """Central differences of evaluate, along the step of plain gradient descent, in float64."""
    rate = 1e-4
    model = make_model(optimizer=lg.SGD(rate), dtype="float64")
    lengths = np.array([12, 0, 3, 5, 12, 1])
    start = {name: value.copy() for name, value in model.params.items()}
    history = model.fit(tiny.x, tiny.y, lengths=lengths)
    step = {name: value - start[name] for name, value in model.params.items()}
    losses = []
    for side in (1, -1):
        for name, value in model.params.items():
            value[...] = start[name] + side * step[name]
        losses.append(model.evaluate(tiny.x, tiny.y, lengths=lengths)["loss"])
    squares = sum((value**2).sum() for value in step.values())
    assert (losses[1] - losses[0]) / 2 == pytest.approx(squares / rate, rel=1e-5)
    assert history[0].norm == pytest.approx(np.sqrt(squares) / rate, rel=1e-9)


def test_evaluate_is_the_mean_over_valid_rows(tiny, make_model):
    model, lengths = make_model(), np.array([12, 0, 3, 5, 12, 1])
    logits = model.predict(tiny.x).astype(float)
    logits -= logits.max(-1, keepdims=True)
    each = np.log(np.exp(logits).sum(-1)) - np.take_along_axis(logits, tiny.y[..., None], -1)[..., 0]
    valid = np.arange(12)[:, None] < lengths
    found = model.evaluate(tiny.x, tiny.y, lengths=lengths)
    assert found["loss"] == pytest.approx(each[valid].mean(), rel=1e-5)
    assert found["bits_per_character"] == pytest.approx(found["loss"] / np.log(2))
    assert found["accuracy"] == pytest.approx((logits.argmax(-1) == tiny.y)[valid].mean(), rel=1e-5)


def test_evaluate_carries_the_state_from_window_to_window(tiny, make_model, monkeypatch):
    model = make_model()
    whole = model.evaluate(tiny.x, tiny.y)
    monkeypatch.setattr("lstmgraph.train.model._EVALUATION_ROWS", 30)  # windows of 5 steps
    assert model.evaluate(tiny.x, tiny.y) == pytest.approx(whole, rel=1e-6)


def test_windows_carry_the_state_and_cut_the_gradient(tiny, make_model):
    model = make_model(optimizer=lg.SGD(0.0))
    history = model.fit(tiny.x, tiny.y, window=5, epochs=2)
    assert [step.rows for step in history] == [30, 30, 12] * 2 and [step.epoch for step in history] == [0] * 3 + [1] * 3
    mean = sum(step.loss * step.rows for step in history[:3]) / 72
    assert mean == pytest.approx(model.evaluate(tiny.x, tiny.y)["loss"], rel=1e-5)
    assert history[3].loss == history[0].loss  # the state starts anew with each epoch


def test_batches_see_every_sequence(tiny, make_model):
    model = make_model(optimizer=lg.SGD(0.0))
    lengths = np.array([12, 4, 3, 5, 12, 1])
    history = model.fit(tiny.x, tiny.y, batch_size=4, lengths=lengths)
    assert sum(step.rows for step in history) == lengths.sum() and len(history) == 2
    mean = sum(step.loss * step.rows for step in history) / lengths.sum()
    assert mean == pytest.approx(model.evaluate(tiny.x, tiny.y, lengths=lengths)["loss"], rel=1e-5)


def test_the_same_seed_trains_the_same_and_another_does_not(tiny, make_model, equal_params):
    models = [make_model(seed=seed) for seed in (4, 4, 5)]
    for model in models:
        model.fit(tiny.x, tiny.y, epochs=2, window=5, batch_size=4)
    assert equal_params(models[0].params, models[1].params)
    assert not equal_params(models[0].params, models[2].params)


def test_padding_does_not_matter_not_even_nan(equal_params):
    @lg.network
    def small(x):
        return lg.linear(lg.recur(lg.cells.catalogue["rnn"], x, size=3, name="rnn"), size=2, name="head")

    rng = np.random.default_rng(0)
    x, y, lengths = rng.standard_normal((5, 2, 4)), rng.standard_normal((5, 2, 2)), np.array([5, 2])
    params = []
    for filler in (0.0, np.nan):
        x[2:, 1] = y[2:, 1] = filler
        model = lg.Model(small, "mean_squared_error", lg.SGD(0.1))
        model.fit(x, y, lengths=lengths, steps=2)
        params.append(model.params)
    assert equal_params(*params)


def test_limits_end_training(tiny, make_model):
    model = make_model()
    assert len(model.fit(tiny.x, tiny.y, steps=3)) == 3
    assert len(model.fit(tiny.x, tiny.y, steps=3, epochs=2)) == 2
    assert len(model.fit(tiny.x, tiny.y, steps=0)) == len(model.fit(tiny.x, tiny.y, epochs=0)) == 0
    history = model.fit(tiny.x, tiny.y, seconds=0.05)
    assert 0.04 < history[-1].seconds < 5 and len(history) >= 1  # written down a moment before the clock says stop


def test_schedules_scale_the_learning_rate(tiny, make_model):
    history = make_model().fit(tiny.x, tiny.y, steps=4, schedule="linear")
    assert [step.learning_rate for step in history] == pytest.approx([0.02, 0.015, 0.01, 0.005])
    history = make_model().fit(tiny.x, tiny.y, steps=3, schedule=lambda step, progress: 10.0**-step)
    assert [step.learning_rate for step in history] == pytest.approx([0.02, 0.002, 0.0002])


def test_validation_comes_after_each_epoch_and_at_the_end(tiny, make_model):
    history = make_model().fit(tiny.x, tiny.y, window=5, steps=8, validation=(tiny.x, tiny.y))
    assert [step for step, _ in history.validation] == [3, 6, 8]
    assert set(history.validation[0][1]) == {"loss", "accuracy", "bits_per_character"}


def test_a_callback_sees_each_step_and_can_end_training(tiny, make_model):
    seen = []
    make_model().fit(tiny.x, tiny.y, steps=9, callback=lambda step: seen.append(step) or step.step == 4)
    assert [step.step for step in seen] == [1, 2, 3, 4]


def test_ctrl_c_ends_training_and_leaves_a_usable_model(tiny, make_model, equal_params):
    model = make_model()

    def press(step):
        if step.step == 3:
            os.kill(os.getpid(), signal.SIGINT)
            return signal.sigtimedwait([], 0.01) if hasattr(signal, "sigtimedwait") else None
        return None

    history = model.fit(tiny.x, tiny.y, steps=50, callback=press)
    assert history.interrupted and 3 <= len(history) < 50 and model.steps == len(history)
    other = make_model()
    other.fit(tiny.x, tiny.y, steps=len(history))
    assert equal_params(model.params, other.params)
    model.evaluate(tiny.x, tiny.y)


def test_a_loss_that_is_not_finite_is_an_error_and_changes_nothing(tiny, make_model, equal_params):
    model = make_model()
    model.params["head.b"][2] = np.nan
    before = {name: value.copy() for name, value in model.params.items() if name != "head.b"}
    with pytest.raises(lg.LstmGraphError, match="got loss nan"):
        model.fit(tiny.x, tiny.y)
    assert equal_params({name: model.params[name] for name in before}, before) and model.steps == 0


def test_the_progress_bar_goes_to_stderr_when_asked(tiny, make_model, capsys):
    make_model().fit(tiny.x, tiny.y, steps=3)
    assert capsys.readouterr() == ("", "")
    make_model().fit(tiny.x, tiny.y, steps=3, progress=True)
    out, err = capsys.readouterr()
    assert out == "" and "100%" in err and "bits per character" in err and "rows/s" in err


def test_several_inputs_sizes_from_data_and_a_loss_of_ones_own():
    @lg.network
    def weighted(x, w):
        return lg.linear(lg.recur(lg.cells.catalogue["rnn"], x, size=4, name="rnn"), size=1, name="head") * w

    def absolute(prediction, target):
        return lg.abs(prediction - target) * lg.parameter("temperature", shape=(), init=1.0)

    rng = np.random.default_rng(0)
    x, w, y = rng.standard_normal((6, 3, 2)), np.ones((6, 3, 1)), rng.standard_normal((6, 3, 1))
    model = lg.Model(weighted, absolute, lg.SGD(0.01))
    with pytest.raises(lg.CompileError, match="input_size"):
        model.params  # noqa: B018
    model.fit({"x": x, "w": w}, y)
    assert model.params["rnn.hidden.W_x" if "rnn.hidden.W_x" in model.params else "hidden.W_x"].shape == (
        2,
        4,
    )
    assert model.params["temperature"] != 1
    prediction = model.predict({"x": x, "w": w})
    loss = float((np.abs(prediction - y) * model.params["temperature"]).mean())
    assert model.evaluate({"x": x, "w": w}, y) == {"loss": pytest.approx(loss, rel=1e-5)}


def test_a_network_that_runs_back_in_time_is_trained_on_whole_sequences(tiny):
    @lg.network
    def backward(tokens):
        x = lg.embedding(tokens, 7, 3, name="embed")
        return lg.linear(lg.recur(lg.cells.catalogue["rnn"], x, size=4, name="rnn", reverse=True), size=7, name="head")

    model = lg.Model(backward)
    with pytest.raises(lg.GraphError, match="runs back in time"):
        model.fit(tiny.x, tiny.y, window=5)
    model.fit(tiny.x, tiny.y)
    assert model.steps == 1


@pytest.mark.parametrize(
    ("change", "error", "expected"),
    [
        (lambda x, y: (x, y[:-1]), lg.ShapeError, "target"),
        (lambda x, y: (x, y[..., None]), lg.ShapeError, "target"),
        (lambda x, y: (x, y * 1.0), lg.DTypeError, "target.*integers"),
        (lambda x, y: (x + 7, y), lg.ShapeError, "index"),
        (lambda x, y: (x, y - 3), lg.ShapeError, "index"),
        (lambda x, y: (x[:0], y[:0]), lg.DataError, "at least one step"),
        (lambda x, y: ({"token": x}, y), lg.ShapeError, "nearest: tokens"),
    ],
)
def test_data_that_do_not_fit_are_one_error(tiny, make_model, change, error, expected):
    model = make_model()
    x, y = change(tiny.x, tiny.y)
    for call in (model.fit, model.evaluate):
        with pytest.raises(error, match=expected):
            call(x, y)
    assert model.steps == 0


@pytest.mark.parametrize(
    ("options", "error", "expected"),
    [
        ({"optimizer": "adam"}, lg.GraphError, "optimizer='adam'"),
        ({"loss": "entropy"}, lg.GraphError, "nearest: cross_entropy"),
        ({"dtype": "float16"}, lg.CompileError, "float16"),
        ({"seed": -1}, lg.GraphError, "seed=-1"),
    ],
)
def test_options_that_make_no_sense_are_one_error(make_model, options, error, expected):
    with pytest.raises(error, match=expected):
        make_model(**options)
    with pytest.raises(lg.GraphError, match="expected a network"):
        lg.Model(lambda x: x)


def test_fresh_data_at_each_step_cost_a_step_each(tiny, make_model, equal_params, monkeypatch):
    """Only the first call on arrays of a form compiles with a step that is dropped."""
    from lstmgraph.train.loop import Loop

    taken = []
    step = Loop._next_weights
    monkeypatch.setattr(Loop, "_next_weights", lambda self, *given: taken.append(given[2]) or step(self, *given))
    model, whole = make_model(optimizer=lg.SGD(0.1)), make_model(optimizer=lg.SGD(0.1))
    for _ in range(3):
        model.fit(tiny.x.copy(), tiny.y, steps=1)
    assert taken == [0.0, 1.0, 1.0, 1.0] and model.steps == 3
    whole.fit(tiny.x, tiny.y, steps=3)
    assert equal_params(model.params, whole.params)
    taken.clear()
    model.fit(tiny.x[:5], tiny.y[:5], steps=1)  # another shape
    model.fit(tiny.x[:5], tiny.y[:5], steps=1, lengths=np.full(6, 4))  # another form
    model.fit(tiny.x[:5], tiny.y[:5], steps=2)
    model.fit(tiny.x[:5], tiny.y[:5], steps=0)
    assert taken == [0.0, 1.0, 0.0, 1.0, 1.0, 1.0]
