"""A call like one before it is replayed: bit for bit what the usual way gives, and only where the arguments fit."""

import gc
from functools import partial
from itertools import combinations

import numpy as np
import pytest

import lstmgraph as lg
from lstmgraph.replay import REPLAYS, Replay, Replays

T, B = 7, 5


@lg.cell
def two_inputs(x, z, /, h):
    kept = lg.gate(h, x, name="keep") + lg.tanh(z)
    return {"y": lg.tanh_layer(h, z, name="out"), "h": kept}


@lg.network
def tagger(tokens):
    x = lg.embedding(tokens, entries=11, size=4, name="words")
    back = lg.recur(lg.cells.gru, x, size=5, reverse=True, name="back")
    return lg.linear(lg.concat(lg.recur(lg.cells.lstm, x, size=5, name="on"), back), size=3, name="head")


@lg.network
def two_outputs(x):
    y = lg.recur(lg.cells.lstm, x, size=5, name="a")
    return {"y": y, "total": lg.linear(y, size=2, name="head")}


SIZES = {"input_size": 4, "hidden_size": 5}
MADE = {
    "lstm": (lg.cells.lstm, SIZES),
    "gru": (lg.cells.gru, SIZES),
    "layer norm": (lg.cells.layer_norm_lstm, SIZES),
    "learned starts": (lg.transforms.learned_initial_state(lg.cells.lstm), SIZES),
    "two inputs": (two_inputs, {**SIZES, "z": 5}),
    "tagger": (tagger, {}),
    "two outputs": (two_outputs, {"input_size": 4}),
}


@pytest.fixture
def replayed(monkeypatch):
    """Count the calls that were replayed, and those that were tried and went the usual way."""
    counts, usual = {True: 0, False: 0}, Replay.__call__

    def counted(self, groups, rows):
        found = usual(self, groups, rows)
        counts[found is not None] += 1
        return found

    monkeypatch.setattr(Replay, "__call__", counted)
    return counts


def made(name, dtype="float32", **more):
    traced, sizes = MADE[name]
    program = lg.compile(traced, **sizes, dtype=dtype, **more)
    return program, feeds(program, 0)


def feeds(program, seed):
    """Return parameters, inputs, states and cotangents, all random."""
    rng, dtype = np.random.default_rng(seed), program.dtype
    params = {name: rng.standard_normal(value.shape).astype(dtype) for name, value in program.init().items()}
    x = {
        name: rng.integers(0, 11, (T, B)) if kind == np.int64 else rng.standard_normal((T, B, *shape)).astype(dtype)
        for name, shape, kind in program.forms.inputs
    }
    state = {name: rng.standard_normal((B, *shape)).astype(dtype) for name, shape in program.forms.states}
    y = program(params, x)[0]
    outputs = program.engine.sequence.outputs
    like = y if isinstance(y, dict) else {outputs[0]: y}
    return params, x, state, {name: rng.standard_normal(value.shape).astype(dtype) for name, value in like.items()}


def flat(result):
    """Return all arrays of a result, in order."""
    if isinstance(result, np.ndarray):
        return [result]
    if isinstance(result, lg.Gradients):
        result = (result.params, result.x, result.state)
    values = result.values() if isinstance(result, dict) else result
    return [] if result is None else [array for value in values for array in flat(value)]


def same(one, other):
    one, other = flat(one), flat(other)
    return len(one) == len(other) and all(
        a.shape == b.shape and a.dtype == b.dtype and np.array_equal(a, b) for a, b in zip(one, other, strict=True)
    )


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", MADE)
def test_it_is_what_the_usual_way_gives(name, dtype, replayed, monkeypatch):
    program, _ = made(name, dtype)
    bound = None
    for seed in range(3):
        params, x, state, dy = feeds(program, seed)
        bound = program.bind(params) if bound is None or seed == 1 else bound
        calls = []
        for ends in (None, np.random.default_rng(seed).integers(0, T + 1, B)):
            calls.append(partial(program, params, x, lengths=ends))
            calls.append(partial(bound, x, state=state, lengths=ends))
            for wrt in ((), ("params",), ("params", "x", "state")):
                for begin in (None, state):
                    calls.append(partial(program.value_and_gradients, params, x, dy, begin, ends, wrt=wrt))
        known = [call() for call in calls]
        replayed[True] = 0
        again = [call() for call in calls]
        assert replayed[True] == (8 if name == "tagger" else 16)  # indices of rows that differ are packed beforehand
        with monkeypatch.context() as patch:
            patch.setattr(Replays, "again", lambda self, *call: None)
            usual = [call() for call in calls]
        assert all(same(*three[:2]) and same(*three[1:]) for three in zip(known, again, usual, strict=True))


@pytest.mark.parametrize("held", ["bound", "not bound"])
@pytest.mark.parametrize("name", MADE)
def test_a_pullback_is_what_the_usual_way_gives(name, held, replayed, monkeypatch):
    program, _ = made(name)

    def run(both, dstate, wide):
        y, last, pullback = both()
        first = pullback({key: value.astype("f8") for key, value in dy.items()} if wide else dy, dstate)
        kept = [array.copy() for array in flat(first)]
        assert not any(value.flags.writeable for value in flat(y)) and all(a.flags.writeable for a in flat(last))
        other = pullback({key: 2 * value for key, value in dy.items()}, dstate)
        assert same(first, kept) and same(pullback(dy, dstate), first)
        return [y, last, first, other]

    for seed in range(2):
        params, x, state, dy = feeds(program, seed)
        dstate = {key: value[::-1].copy() for key, value in state.items()}
        callee = program.bind(params) if held == "bound" else partial(program.vjp, params)
        call = callee.vjp if held == "bound" else callee
        for wrt in (("params",), ("params", "x", "state")):
            for begin in (None, state):
                for later in (None, dstate):
                    both = partial(call, x, begin, wrt=wrt)
                    run(both, later, False)
                    replayed[True] = 0
                    again, mixed = run(both, later, False), run(both, later, True)
                    assert replayed[True] == 7  # all but a pullback from float64
                    with monkeypatch.context() as patch:
                        patch.setattr(Replays, "again", lambda self, *call: None)
                        usual = run(both, later, False)
                    assert same(again, usual) and same(mixed, usual)


def test_what_does_not_fit_goes_the_usual_way(replayed):
    program, (params, x, _, dy) = made("lstm")
    (x,), (dy,) = x.values(), dy.values()
    want = program.value_and_gradients(params, x, dy)
    wide = np.empty((T, B, 8), "f4")
    wide[..., ::2] = x
    read_only = x.copy()
    read_only.flags.writeable = False
    others = [x.astype("f8"), x.tolist(), np.asfortranarray(x), wide[..., ::2], {"x": x.astype("f8")}, read_only]
    for other in others:
        assert same(program.value_and_gradients(params, other, dy), want)
    assert replayed[True] == 1  # the one that is read-only
    ordered = {name: np.asfortranarray(value) for name, value in params.items()}
    assert same(program.value_and_gradients(ordered, x, dy.astype("f8")), want)
    assert replayed[True] == 1
    assert same(program.value_and_gradients(params, x, dy, lengths=[T] * B), want)  # all are full
    assert replayed[True] == 2


@pytest.mark.parametrize("name", ["lstm", "tagger", "layer norm"])
def test_results_are_the_users_own_and_arguments_are_looked_at_anew(name, replayed):
    program, (params, x, _, dy) = made(name)
    program.value_and_gradients(params, x, dy)
    first = program.value_and_gradients(params, x, dy)
    kept = [array.copy() for array in flat(first)]
    assert not any(np.shares_memory(one, other) for one, other in combinations(flat(first), 2))
    for array in flat(first):
        array[...] = np.nan
    again = program.value_and_gradients(params, x, dy)
    assert same(again, kept)
    for value in params.values():
        value *= 2
    fresh = lg.compile(program.traced, **MADE[name][1])
    assert same(program.value_and_gradients(params, x, dy), fresh.value_and_gradients(params, x, dy))
    assert same(again, kept) and replayed[True] == 3


def test_wrong_arguments_are_refused_as_ever():
    program, (params, x, _, dy) = made("tagger")
    for _ in range(2):
        program.value_and_gradients(params, x, dy)
    tokens = x["tokens"].copy()
    tokens[3, 2] = 11
    with pytest.raises(lg.ShapeError, match="input tokens: got index 11, expected 0 to 10"):
        program.value_and_gradients(params, {"tokens": tokens}, dy)
    with pytest.raises(lg.ParameterError):
        program.value_and_gradients({**params, "more": np.ones(3, "f4")}, x, dy)
    with pytest.raises(lg.ParameterError):
        program.value_and_gradients({name: value for name, value in params.items() if "head" not in name}, x, dy)
    with pytest.raises(lg.ShapeError):
        program.value_and_gradients(params, x, {name: value[:-1] for name, value in dy.items()})


def test_a_state_that_starts_at_a_learned_value_may_be_given_or_not():
    program, (params, x, state, dy) = made("learned starts")
    fresh = lg.compile(program.traced, **SIZES)
    for begin in (None, state, {"h": state["h"]}, {"h": state["h"], "c": None}, state, None, {}):
        for _ in range(2):
            found = program.value_and_gradients(params, x, dy, begin, wrt=("params", "state"))
        assert same(found, fresh.value_and_gradients(params, x, dy, begin, wrt=("params", "state")))
        fresh.replays._known.clear()


def test_what_it_points_to_lives_as_long_as_it(replayed):
    program, (params, x, state, dy) = made("lstm", threads=1)
    bound = program.bind(params)
    calls = [
        lambda: bound(x, state=state),
        lambda: program(params, x),
        lambda: program.value_and_gradients(params, x, dy),
    ]
    want = [call() for call in calls]
    for engine in program._engines.values():
        for line in (engine.main, engine.whole):
            for known in (line._fits, line._tapes, line._packings, line._packed):
                known.clear()
    for binding in bound._bindings.values():
        binding.prepared.clear()
    program.forms._known.clear()
    gc.collect()
    junk = [np.full(n, np.nan, "f4") for n in range(1, 400)]
    replayed[True] = 0
    assert all(same(call(), found) for call, found in zip(calls, want, strict=True)) and replayed[True] == 3
    del junk


@lg.cell
def before_and_after(x, h):
    after = lg.tanh_layer(h, x, name="a")
    return {"y": h, "z": after, "h": after}


def test_outputs_that_are_one_history_are_the_users_own():
    program = lg.compile(before_and_after, **SIZES)
    params, x, _, dy = feeds(program, 0)
    for _ in range(2):
        for run in (program(params, x), program.value_and_gradients(params, x, dy), program.vjp(params, x)):
            assert not np.shares_memory(run[0]["y"], run[0]["z"])


@pytest.mark.parametrize("cell", [lg.cells.lstm, lg.cells.rnn])
def test_what_is_kept_for_a_pullback_is_not_copied(cell):
    program = lg.compile(cell, **SIZES)
    params, x, *_ = feeds(program, 0)
    for _ in range(2):
        program.vjp(params, x)[2](np.ones((T, B, 5), "f4"))
    assert len(program.replays._known) == 3 and all(not replay.shared for replay in program.replays._known.values())


@lg.network
def beside_a_sum(x):
    """What follows from a sum over all rows is computed between the kernels."""
    total = lg.exp(lg.stop_gradient(x.builder.add("batch_sum", x)) * 0.02)
    return lg.recur(lg.cells.gru, x * total, size=5, name="gru") * 2.0


def test_a_pullback_reads_what_its_own_forward_pass_computed():
    program = lg.compile(beside_a_sum, input_size=4)
    for seed in range(4):
        params, x, _, dy = feeds(program, seed)
        found = program.vjp(params, x)[2](dy)
        assert same(found, lg.compile(beside_a_sum, input_size=4).vjp(params, x)[2](dy)), seed


def test_a_wrong_input_is_not_blamed_on_the_lengths():
    program, (params, x, *_) = made("lstm")
    with pytest.raises(lg.ShapeError, match=r"input x: got shape \[7, 4\], expected"):
        program(params, x["x"][:, 0], lengths=[T] * B)


def test_few_forms_are_remembered():
    program, (params, x, _, _) = made("lstm")
    (x,) = x.values()
    for rows in range(1, 3 * REPLAYS):
        program(params, np.zeros((1, rows, 4), "f4"))
    assert len(program.replays._known) <= REPLAYS


@lg.cell
def alike(x, h):
    """Three parameters have the same gradient: a sum over the same rows."""
    row = lg.row_sum(h * lg.linear(x, name="up")) + lg.parameter("a", shape=()) + lg.parameter("b", shape=(1,))
    return lg.tanh((row + lg.parameter("c", shape=(1,))) + 0.5 * h)


@pytest.mark.parametrize(("way", "options"), [("compiled", {}), ("numpy", {}), ("numpy", {"checkpoint_every": 3})])
@pytest.mark.parametrize("steps", [0, T])
def test_no_two_gradients_share_memory(steps, way, options, run_as, replayed):
    run_as(way)
    program, rng = lg.compile(alike, **SIZES), np.random.default_rng(0)
    x, params = rng.standard_normal((steps, B, 4)).astype("float32"), program.init(seed=0)
    for _ in range(2):
        y, _, pullback = program.vjp(params, x, **options)
        for found in (
            pullback(np.ones_like(y)).params,
            program.value_and_gradients(params, x, np.ones_like(y), **options)[2].params,
        ):
            assert not any(np.shares_memory(one, other) for one, other in combinations(found.values(), 2))
            assert found["a"] == found["b"] == found["c"] and (found["a"] != 0) == (steps > 0)
    assert replayed[True] == (3 if way == "compiled" else 0)
