"""Random masks: dropout in networks and cells, what is drawn, evaluation without it, and training that goes on."""

from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest

import lstmgraph as lg
from lstmgraph.graph import is_row
from lstmgraph.masks import STEPS, draw, with_masks, without_masks
from lstmgraph.train.graph_json import from_json, to_json


def network(rate, per="step"):
    @lg.network
    def dropped(tokens):
        x = lg.embedding(tokens, 7, 5, name="embed")
        y = lg.recur(lg.cells.catalogue["mgu"], x, size=6, name="mgu")
        return lg.linear(lg.dropout(y, rate, name="mgu", per=per), size=7, name="head")

    return dropped


@lg.cell
def noisy(x, h):
    """Dropout of an expression, in a cell."""
    new = lg.tanh_layer(h, x=lg.dropout(x, 0.25, name="x"), name="hidden")
    return new + lg.dropout(h, 0.5, name="h", per="sequence")


@lg.cell
def noisy_by_hand(x, keep_x, keep_h, /, h):
    """The same with masks as inputs."""
    return lg.tanh_layer(h, x=x * keep_x, name="hidden") + h * keep_h


@pytest.fixture
def tiny():
    """Sequences of 7 tokens: each follows from the one before."""
    steps = np.random.default_rng(3).integers(1, 3, (13, 6))
    tokens = np.cumsum(steps, axis=0) % 7
    return SimpleNamespace(x=tokens[:-1], y=tokens[1:])


def feeds(seed=0):
    """Return the two programs of the noisy cell, parameters, inputs for either, and cotangents."""
    program = lg.compile(noisy, input_size=3, hidden_size=4, dtype="float64", threads=1)
    twin = lg.compile(noisy_by_hand, input_size=3, hidden_size=4, keep_x=3, keep_h=4, dtype="float64", threads=1)
    rng = np.random.default_rng(seed)
    params = {name: rng.uniform(0.2, 0.6, value.shape) for name, value in program.init().items()}
    x, masks = rng.standard_normal((5, 3, 3)), program.masks(5, 3, seed=1, step=4)
    explicit = {"x": x, "keep_x": masks["x.keep"], "keep_h": masks["h.keep"]}
    return program, twin, params, {"x": x} | masks, explicit, rng.standard_normal((5, 3, 4))


# ---- what is drawn


@pytest.mark.parametrize("per", ["step", "sequence"])
def test_masks_are_zero_at_their_rate_and_keep_the_mean(per):
    masks = draw(network(0.25, per), {}, (100, 5000 if per == "sequence" else 50), 3, 7, "float32")["mgu.keep"]
    assert masks.shape[::2] == (100, 6) and masks.dtype == np.float32 and masks.flags.c_contiguous
    assert set(np.unique(masks)) == {np.float32(0), np.float32(4 / 3)}
    assert np.mean(masks == 0) == pytest.approx(0.25, abs=0.01) and masks.mean() == pytest.approx(1, abs=0.02)
    assert (masks == masks[:1]).all() == (per == "sequence")


def test_masks_come_from_seed_step_and_name():
    key = {"one": (1, 2), "same": (1, 2), "step": (1, 3), "seed": (2, 2), "swapped": (2, 1)}
    found = {name: draw(network(0.5), {}, (9, 8), *pair, "float32")["mgu.keep"] for name, pair in key.items()}
    assert np.array_equal(found["one"], found["same"])
    for name in ("step", "seed", "swapped"):
        assert not np.array_equal(found["one"], found[name])
    program = lg.compile(noisy, input_size=4, hidden_size=4, dtype="float64")
    masks = program.masks(9, 8, seed=1)
    assert not np.array_equal(masks["x.keep"] == 0, masks["h.keep"] == 0)


def test_a_longer_call_begins_with_the_same_masks():
    program = lg.compile(noisy, input_size=3, hidden_size=5)
    short, long = (program.masks(T, 7, seed=4, step=9) for T in (6, 11))
    for name, value in short.items():
        assert np.array_equal(long[name][:6], value)
    assert program.masks(0, 7)["x.keep"].shape == (0, 7, 3) and program.masks(3, 0)["h.keep"].shape == (3, 0, 5)


@pytest.mark.parametrize(
    ("given", "drawn"), [(0.1, round(0.1 * STEPS) / STEPS), (1e-7, 0.0), (0.9999999, 1 - 1 / STEPS)]
)
def test_rates_are_rounded_to_what_is_drawn(given, drawn):
    found = network(given)
    assert [node.attr("mask")[0] for node in found.masks.values()] == ([drawn] if drawn else [])
    if drawn:
        (node,) = found.masks.values()
        assert node.attr("mask")[1] == 1 / (1 - drawn)  # so that the mean is 1


# ---- in calls


def test_without_masks_a_program_runs_the_graph_for_evaluation(in_numpy):
    program, _, params, given, _, _ = feeds()
    plain = without_masks(noisy)
    assert not plain.masks and without_masks(plain) is plain and plain.states == noisy.states
    x = given["x"]
    y, _ = lg.compile(plain, input_size=3, hidden_size=4, dtype="float64", threads=1)(params, x)
    assert np.array_equal(program(params, x)[0], y) and np.allclose(lg.interpret(noisy, params, x)[0], y, atol=1e-14)
    assert not np.allclose(program(params, given)[0], y)
    fed = with_masks(noisy)
    assert set(fed.inputs) == {"x", "x.keep", "h.keep"} and not fed.masks


@pytest.mark.parametrize("form", ["plain", "lengths", "reset"])
def test_a_cell_with_masks_is_the_cell_with_them_as_inputs(form, in_numpy):
    program, twin, params, given, explicit, dy = feeds()
    options = {} if form == "plain" else {"lengths": [5, 0, 3]}
    options |= {"reset": np.arange(15).reshape(5, 3) % 4 == 2} if form == "reset" else {}
    state = {"h": np.random.default_rng(2).standard_normal((3, 4))}
    y, last, pullback = program.vjp(params, given, state, **options)
    expected, final, back = twin.vjp(params, explicit, state, **options)
    assert np.array_equal(y, expected) and np.array_equal(last["h"], final["h"])
    np.testing.assert_allclose(lg.interpret(noisy, params, given, state, **options)[0], y, atol=1e-13)
    got, wanted = pullback(dy, {"h": dy[0]}), back(dy, {"h": dy[0]})
    assert np.array_equal(got.x, wanted.x["x"]) and np.array_equal(got.state["h"], wanted.state["h"])
    for name, value in wanted.params.items():
        assert np.array_equal(got.params[name], value), name
    direction = {name: np.ones_like(value) for name, value in params.items()}
    if form == "plain":
        second, twice = program.hvp(params, given, direction, dy), twin.hvp(params, explicit, direction, dy)
        for name, value in twice.params.items():
            np.testing.assert_allclose(second.params[name], value, rtol=1e-12, atol=1e-14)
    moved, aside = program.jvp(params, given, direction), twin.jvp(params, explicit, direction)
    np.testing.assert_allclose(moved[2], aside[2], rtol=1e-12, atol=1e-14)


def test_pieces_with_their_masks_are_the_whole_call(in_numpy):
    program, _, params, given, _, _ = feeds()
    whole, last = program(params, given)
    state, pieces = None, []
    for begin, end in ((0, 2), (2, 5)):
        y, state = program(params, {name: value[begin:end] for name, value in given.items()}, state)
        pieces.append(y)
    assert np.array_equal(np.concatenate(pieces), whole) and np.array_equal(state["h"], last["h"])


def test_all_masks_or_none_and_each_in_its_shape(in_numpy):
    program, _, params, given, _, _ = feeds()
    rest = {name: value for name, value in given.items() if name != "h.keep"}
    with pytest.raises(
        lg.ShapeError, match=r"noisy: got no mask h\.keep, expected all of x\.keep, h\.keep for training"
    ):
        program(params, rest)
    for wrong in (given["h.keep"][:4], given["h.keep"][..., :2], "ones"):
        with pytest.raises(lg.ShapeError, match=r"noisy: mask h\.keep: got .* expected numbers of shape \[5, 3, 4\]"):
            program(params, given | {"h.keep": wrong})


def test_masks_in_a_cell_are_saved_and_inlined():
    again = from_json(to_json(noisy))
    assert again.digest == noisy.digest and list(again.masks) == ["x.keep", "h.keep"]
    assert lg.draw(noisy).dot.startswith("digraph")

    @lg.cell
    def two(x, h1, h2):
        h1 = noisy(x, h1, name="lower")
        return {"y": noisy(h1, h2, name="upper"), "h1": h1, "h2": h2}

    assert list(two.masks) == ["lower.x.keep", "lower.h.keep", "upper.x.keep", "upper.h.keep"]
    assert two.masks["upper.x.keep"].shape == ("B", "H") and two.inputs == ("x",)


# ---- in models


def test_evaluation_is_the_network_without_dropout(tiny, in_numpy):
    assert list(network(0.5).masks) == ["mgu.keep"]
    plain = without_masks(network(0.5))
    assert plain.digest == network(0.0).digest == without_masks(plain).digest
    assert plain.states == network(0.5).states and set(plain.graph.graph["labels"]) >= {"embed", "mgu", "head"}
    first, second = (lg.Model(network(rate), seed=4) for rate in (0.5, 0.0))
    assert np.array_equal(first.predict(tiny.x), second.predict(tiny.x))
    assert first.evaluate(tiny.x, tiny.y) == second.evaluate(tiny.x, tiny.y)


def test_training_uses_the_masks_and_their_gradient(tiny, in_numpy):
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


@pytest.mark.parametrize("per", ["step", "sequence"])
def test_training_goes_on_after_loading_with_the_same_masks(per, tiny, tmp_path, in_numpy):
    whole, part = (lg.Model(network(0.3, per), seed=2) for _ in range(2))
    whole.fit(tiny.x, tiny.y, steps=5, window=5)
    part.fit(tiny.x, tiny.y, steps=2, window=5)
    part.save(tmp_path)
    again = lg.load(tmp_path)
    again.fit(tiny.x, tiny.y, steps=3, window=5)
    assert list(again.params) == list(whole.params)
    assert all(np.array_equal(again.params[name], value) for name, value in whole.params.items())


# ---- errors


@pytest.mark.parametrize("rate", [-0.1, 1.0, float("nan"), "half", True])
def test_rates_that_make_no_sense_are_errors(rate):
    with pytest.raises(lg.GraphError, match="dropout 'mgu': got rate"):
        network(rate)


def test_a_name_twice_another_period_and_no_rows_are_errors():
    def traced(body):
        return lambda: lg.network(body)

    def twice(x):
        return lg.dropout(lg.dropout(x, 0.5, name="a"), 0.5, name="a")

    def hourly(x):
        return lg.dropout(x, 0.5, name="a", per="hour")

    def weights(x):
        return x * lg.dropout(lg.parameter("w", shape=("I",)), 0.5, name="a")

    for body, message in ((twice, "name is taken"), (hourly, "got per='hour'"), (weights, "expected rows of features")):
        with pytest.raises(lg.GraphError, match=message):
            traced(body)()
    with pytest.raises(lg.GraphError, match="outside a cell"):
        lg.dropout(1.0, 0.5, name="a")


def test_a_step_takes_masks_of_weights_and_of_rows(in_numpy):
    program = lg.compile(
        lg.transforms.zoneout(lg.transforms.drop_connect(lg.cells.lstm, 0.4), h=0.5), input_size=3, hidden_size=4
    )
    params, x, masks = program.init(seed=0), np.ones((1, 3, 3)), program.masks(1, 3, seed=2)
    rows = {name: mask[0] if is_row(program.traced.masks[name].shape) else mask for name, mask in masks.items()}
    want = program(params, {"x": x} | masks)[0][0]
    for step in (partial(program.step, params), program.bind(params).step):
        assert np.array_equal(step({"x": x[0]} | rows)[0], want)


@pytest.mark.parametrize("wrong", [-1, 1.5, "a", True])
def test_masks_are_for_whole_numbers_of_steps_and_rows(wrong):
    program = lg.compile(lg.transforms.zoneout(lg.cells.lstm, h=0.5), input_size=3, hidden_size=4)
    for word in ("T", "B", "seed", "step"):
        with pytest.raises(lg.CompileError, match=f"masks: got {word} = .*expected an integer from 0 on"):
            program.masks(**({"T": 2, "B": 2} | {word: wrong}))
