"""States kept at the ends of segments: the same results and gradients in less memory."""

import subprocess
import sys

import numpy as np
import pytest

import lstmgraph as lg

T, B = 11, 4
FORMS = {
    "plain": {},
    "lengths": {"lengths": np.array([11, 4, 0, 7])},
    "reset": {"reset": np.arange(T * B).reshape(T, B) % 5 == 3, "lengths": np.array([11, 4, 1, 7])},
}


@lg.network
def tagger(tokens):
    x = lg.embedding(tokens, 6, 4, name="embed")
    x = lg.recur(lg.cells.lstm, x, size=5, name="low")
    return {"tag": lg.linear(lg.recur(lg.cells.mgu, x, size=3, name="high"), size=2, name="head"), "low": x}


CASES = {
    "lstm": lg.cells.lstm,
    "delayed": lg.cells.catalogue["t_lstm"],
    "masked": lg.transforms.zoneout(lg.cells.lstm, h=0.2, c=0.4),
    "tagger": tagger,
}


@pytest.fixture(autouse=True)
def in_numpy(monkeypatch):
    monkeypatch.setenv("LSTMGRAPH_JIT", "0")


def close(first, second):
    assert first.keys() == second.keys()
    for name, value in first.items():
        assert np.allclose(value, second[name], rtol=1e-11, atol=1e-13), name


def by_name(value):
    return value if isinstance(value, dict) else {"": value} if value is not None else {}


def made(kind):
    sizes = {} if kind == "tagger" else {"input_size": 3, "hidden_size": 5}
    program = lg.compile(CASES[kind], dtype="float64", **sizes)
    rng = np.random.default_rng(2)
    params = {name: rng.normal(0, 0.5, value.shape) for name, value in program.init().items()}
    x = rng.integers(0, 6, (T, B)) if kind == "tagger" else rng.standard_normal((T, B, 3))
    x = {"x": x} | program.masks(T, B, seed=4) if kind == "masked" else x
    state = {name: rng.standard_normal(value.shape) for name, value in program(params, x)[1].items()}
    return program, params, x, state, rng


@pytest.mark.parametrize("every", [1, 4, 11])
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("kind", CASES)
def test_gradients_are_those_of_the_whole(kind, form, every):
    program, params, x, state, rng = made(kind)
    keywords = FORMS[form] | {"state": state}
    y, last, pullback = program.vjp(params, x, **keywords)
    z, end, replay = program.vjp(params, x, **keywords, checkpoint_every=every)
    dy = {name: rng.standard_normal(value.shape) for name, value in by_name(y).items()}
    dy = dy if kind == "tagger" else dy[""]
    dstate = {name: rng.standard_normal(value.shape) for name, value in last.items()}
    assert all(np.array_equal(value, by_name(z)[name]) for name, value in by_name(y).items())
    assert all(np.array_equal(value, end[name]) for name, value in last.items())
    whole, parts = pullback(dy, dstate), replay(dy, dstate)
    close(whole.params, parts.params)
    close(whole.state, parts.state)
    close(by_name(whole.x), by_name(parts.x))


def test_a_learned_start_has_its_gradient():
    cell = lg.transforms.learned_initial_state(lg.cells.lstm, "h", "c")
    program = lg.compile(cell, input_size=3, hidden_size=5, dtype="float64")
    rng = np.random.default_rng(0)
    params = {name: rng.normal(0, 0.5, value.shape) for name, value in program.init().items()}
    x, dy = rng.standard_normal((T, B, 3)), rng.standard_normal((T, B, 5))
    whole = program.value_and_gradients(params, x, dy)[2]
    parts = program.value_and_gradients(params, x, dy, checkpoint_every=4)[2]
    assert np.abs(parts.params["c.initial"]).max() > 0.1
    close(whole.params, parts.params)


def test_training_in_segments_learns_the_same():
    rng = np.random.default_rng(0)
    tokens = rng.integers(0, 6, (T, B))

    @lg.network
    def one(tokens):
        x = lg.embedding(tokens, 6, 4, name="embed")
        return lg.linear(lg.recur(lg.cells.mgu, x, size=5, name="mgu"), size=6, name="head")

    plain, parts = (lg.Model(one, seed=3, dtype="float64", optimizer=lg.SGD(0.1)) for _ in range(2))
    plain.fit(tokens, tokens, steps=3)
    parts.fit(tokens, tokens, steps=3, checkpoint_every=4)
    close(plain.params, parts.params)


@pytest.mark.parametrize("every", [0, -3, 2.5, True, "4"])
def test_numbers_that_make_no_sense_are_errors(every):
    program, params, x, _, _ = made("lstm")
    with pytest.raises(lg.GraphError, match="checkpoint_every="):
        program.vjp(params, x, checkpoint_every=every)


def test_what_runs_back_in_time_is_an_error():
    @lg.network
    def back(x):
        return lg.recur(lg.cells.mgu, x, size=4, name="mgu", reverse=True)

    program = lg.compile(back, input_size=3)
    with pytest.raises(lg.GraphError, match="back: got checkpoint_every=4 for what runs back in time"):
        program.vjp(program.init(), np.zeros((9, 1, 3)), checkpoint_every=4)


LONG = """
import resource, numpy as np, lstmgraph as lg
program = lg.compile(lg.cells.lstm, input_size=8, hidden_size=64, threads=2)
params, x = program.init(seed=0), np.zeros((100_000, 1, 8), np.float32)
dy = np.ones((100_000, 1, 64), np.float32)
y, state, gradients = program.value_and_gradients(params, x, dy, checkpoint_every=300)
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
print(peak, all(np.isfinite(value).all() for value in gradients.params.values()))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the unit of ru_maxrss")
def test_a_hundred_thousand_steps_train_in_less_than_a_gibibyte(monkeypatch):
    monkeypatch.setenv("LSTMGRAPH_JIT", "1")
    found = subprocess.run([sys.executable, "-c", LONG], capture_output=True, text=True, check=True)
    peak, finite = found.stdout.split()
    assert float(peak) < 1 and finite == "True"
