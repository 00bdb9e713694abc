"""Every cell of the catalogue, and every awkward one, computes what its equations say, however it is run."""

import importlib.util
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

import lstmgraph as lg
from lstmgraph.jit import executor
from lstmgraph.testing import meaning, random_feeds, results


def _beside(name):
    """Return a module of this folder; tests are imported one by one, not as a package."""
    spec = importlib.util.spec_from_file_location(name, Path(__file__).with_name(f"{name}.py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


CASES = _beside("cells_for_tests").CASES
SIZES = {1: (3, 5), 15: (2, 7), 16: (2, 3), 17: (3, 5), 37: (2, 3)}  # H -> T, B: tiles of every height
ALWAYS_COMPILED = ("lstm", "gru_reset_before")  # the others' machine code is tested by the slow tests


def compiled_names():
    return [pytest.param(name, marks=() if name in ALWAYS_COMPILED else pytest.mark.slow) for name in CASES]


def each_way():
    """Every cell in NumPy; some compiled, all of them if slow tests run."""
    compiled = [
        pytest.param("compiled", name, id=f"compiled-{name}", marks=() if name in ALWAYS_COMPILED else pytest.mark.slow)
        for name in CASES
    ]
    return [pytest.param("numpy", name, id=f"numpy-{name}") for name in CASES] + compiled


def program_of(name, way, dtype="float64", threads=1):
    """Return a small program of a cell: odd sizes, more than one register of them where it is compiled."""
    bound = CASES[name].bound(5 if way == "numpy" else 37, 3 if way == "numpy" else 11)
    from lstmgraph.border import symbols_of

    words = {"hidden_size": "H", "input_size": "I"}
    known = symbols_of(CASES[name].cell)
    sizes = {word: size for word, size in bound.items() if words.get(word, word) in known}
    return lg.compile(CASES[name].cell, dtype=dtype, threads=threads, **sizes)


def equal(first, second):
    """Whether two dictionaries of arrays are equal bit for bit."""
    return first.keys() == second.keys() and all(np.array_equal(first[key], second[key]) for key in first)


def outputs_of(program, y):
    return dict(y) if isinstance(y, dict) else {program.traced.outputs[0]: y}


def steps_of(values, begin, end):
    return {name: value[begin:end] for name, value in values.items()}


# ---- the same by every way


@pytest.mark.parametrize("hidden_size", SIZES)
@pytest.mark.parametrize("name", CASES)
def test_kernels_mean_the_equations_at_any_size(name, hidden_size):
    steps, batch = SIZES[hidden_size]
    sizes = {"steps": steps, "batch": batch, **CASES[name].bound(hidden_size)}
    lg.assert_same(CASES[name].cell, compiled=False, forms=("plain", "reset"), **sizes)
    if hidden_size in (1, 16):
        lg.assert_same(CASES[name].cell, compiled=False, forms=("lengths",), dtype="float32", **sizes)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", compiled_names())
def test_machine_code_means_the_equations(name, dtype, run_as):
    run_as("compiled")
    for hidden_size in (16, 37):
        lg.assert_same(CASES[name].cell, steps=5, batch=9, dtype=dtype, **CASES[name].bound(hidden_size, 7))


@pytest.mark.parametrize("name", CASES)
def test_gradients_are_derivatives(name):
    errors = lg.check_gradients(CASES[name].cell, steps=3, batch=2, **CASES[name].bound(5))
    orders = {f"{order}parameter:{leaf}" for leaf in CASES[name].cell.parameters for order in ("", "second ")}
    assert orders <= errors.keys()


# ---- sequences of different lengths


def alone(program, feeds):
    """Return what `results` must return, from each row and each piece between resets run by itself, unpadded."""
    batch = next(iter(feeds.x.values())).shape[1]
    full = meaning(program, feeds)
    found = {key: np.zeros_like(value) for key, value in full.items()}
    for b in range(batch):
        row, length = slice(b, b + 1), int(feeds.lengths[b])
        edges = [0, *(t for t in range(1, length) if feeds.reset[t, b]), length]
        state = {name: value[row] for name, value in feeds.state.items()}
        cotangents = []
        for piece, (begin, end) in enumerate(pairwise(edges)):
            back = piece > 0 or (length > 0 and feeds.reset[0, b])
            x = {name: value[begin:end, row] for name, value in feeds.x.items()}
            y, state, pullback = program.vjp(feeds.params, x, state=None if back else state)
            for name, value in outputs_of(program, y).items():
                found[f"output:{name}"][begin:end, row] = value
            last = {name: value[row] for name, value in feeds.dstate.items()} if end == length else None
            gradients = pullback({name: value[begin:end, row] for name, value in feeds.dy.items()}, last)
            cotangents.append((begin, end, back, gradients))
        for name, value in state.items():
            found[f"final:{name}"][row] = value
        _add(program, found, row, cotangents)
    return found


def _add(program, found, row, cotangents):
    for begin, end, back, gradients in cotangents:
        x = gradients.x if isinstance(gradients.x, dict) else {program.traced.inputs[0]: gradients.x}
        for name, value in x.items():
            if value is not None:
                found[f"d input:{name}"][begin:end, row] = value
        for name, value in gradients.params.items():
            found[f"d parameter:{name}"] += value
        for name, value in gradients.state.items():
            found[f"d state:{name}"][row] += 0 * value if back else value


@pytest.mark.parametrize(("way", "name"), each_way())
def test_rows_and_pieces_run_as_if_alone(way, name, run_as):
    run_as(way)
    program = program_of(name, way)
    feeds = random_feeds(program, 6, 4, 3, "reset")
    together, apart = results(program, feeds), alone(program, feeds)
    for key, value in apart.items():
        np.testing.assert_allclose(together[key], value, rtol=1e-12, atol=1e-12, err_msg=key)


@pytest.mark.parametrize(("way", "name"), each_way())
def test_padding_is_never_read(way, name, run_as):
    run_as(way)
    program = program_of(name, way)
    feeds = random_feeds(program, 4, 5, 1, "lengths")
    outside = np.arange(4)[:, None] >= feeds.lengths
    with_nan = results(program, feeds)
    for value in (*feeds.x.values(), *feeds.dy.values()):
        value[outside] = 3 if value.dtype.kind == "f" else 0
    assert equal(with_nan, results(program, feeds))
    for key, value in with_nan.items():
        assert np.isfinite(value).all(), key
        if key.startswith(("output:", "d input:")):
            assert not value[outside].any(), key


@pytest.mark.parametrize("form", ["plain", "lengths", "reset"])
@pytest.mark.parametrize(("steps", "batch"), [(0, 3), (4, 0), (0, 0), (4, 3)])
@pytest.mark.parametrize("name", CASES)
def test_nothing_to_run_leaves_the_state_as_it_is(name, steps, batch, form, in_numpy):
    program = program_of(name, "numpy")
    lengths = np.zeros(batch, int)
    if form == "plain" and steps and batch:
        pytest.skip("not empty")
    given = {"lengths": None if form == "plain" else lengths}
    feeds = random_feeds(program, steps, batch, 0, form, given)
    found = results(program, feeds)
    for name, value in feeds.state.items():
        assert np.array_equal(found[f"final:{name}"], value)
        assert np.array_equal(found[f"d state:{name}"], feeds.dstate[name])
    for key, value in found.items():
        if not key.startswith(("final:", "d state:")):
            assert not value.any(), key
            assert key.startswith("d parameter:") or value.shape[:2] == (steps, batch)


# ---- equal bit for bit


@pytest.mark.parametrize(("way", "name"), each_way())
def test_steps_and_pieces_are_the_whole_run_bit_for_bit(way, name, run_as):
    run_as(way)
    program = program_of(name, way, "float32")
    feeds = random_feeds(program, 5, 7, 2)
    whole, final = program(feeds.params, feeds.x, feeds.state)
    for sizes in ((2, 3), (1, 1, 1, 1, 1)):
        state, begin, pieces = feeds.state, 0, []
        for size in sizes:
            y, state = program(feeds.params, steps_of(feeds.x, begin, begin + size), state)
            pieces.append(outputs_of(program, y))
            begin += size
        joined = {key: np.concatenate([piece[key] for piece in pieces]) for key in pieces[0]}
        assert equal(joined, outputs_of(program, whole)) and equal(state, final)
    bound, state = program.bind(feeds.params), feeds.state
    for t in range(5):
        y, state = bound.step({key: value[t] for key, value in feeds.x.items()}, state)
        assert equal(outputs_of(program, y), {key: value[t] for key, value in outputs_of(program, whole).items()})
    assert equal(state, final)


@pytest.mark.parametrize(("way", "name"), each_way())
def test_a_row_is_the_same_in_whatever_batch_it_sits(way, name, run_as):
    run_as(way)
    program = program_of(name, way, "float32")
    feeds = random_feeds(program, 3, 13, 4)
    whole, final = program(feeds.params, feeds.x, feeds.state)
    lengths = np.where(np.arange(13) % 2, 3, 1)
    ragged, _ = program(feeds.params, feeds.x, feeds.state, lengths=lengths)
    for key, value in outputs_of(program, ragged).items():
        assert np.array_equal(value[:, 1::2], outputs_of(program, whole)[key][:, 1::2])
    for rows in (slice(0, 1), slice(3, 8), slice(6, 13), slice(12, None, -3)):
        x = {key: value[:, rows] for key, value in feeds.x.items()}
        y, state = program(feeds.params, x, {key: value[rows] for key, value in feeds.state.items()})
        for key, value in outputs_of(program, y).items():
            assert np.array_equal(value, outputs_of(program, whole)[key][:, rows]), key
        assert equal(state, {key: value[rows] for key, value in final.items()})


@pytest.mark.parametrize(("way", "name"), each_way())
def test_results_do_not_depend_on_the_number_of_threads(way, name, run_as, monkeypatch):
    run_as(way)
    monkeypatch.setattr(executor, "SLICE_WORK", 1)
    found = []
    for threads in (1, 2, 3):
        program = program_of(name, way, "float32", threads)
        found.append(results(program, random_feeds(program, 3, 7, 5, "reset")))
    assert equal(found[0], found[1]) and equal(found[0], found[2])


@pytest.mark.parametrize(("way", "name"), each_way())
def test_pullbacks_do_not_meet(way, name, run_as):
    run_as(way)
    program = program_of(name, way, "float32")
    first, second = (random_feeds(program, 3, 4, seed) for seed in (0, 1))
    expected = results(program, first)
    y, _, pullback = program.vjp(first.params, first.x, **first.keywords)
    other, _, second_pullback = program.vjp(second.params, second.x, **second.keywords)
    kept = {key: value.copy() for key, value in outputs_of(program, y).items()}
    for _ in range(2):
        second_pullback(second.dy, second.dstate)
        again = pullback(first.dy, first.dstate)
        for key, value in again.params.items():
            assert np.array_equal(value, expected[f"d parameter:{key}"]), key
        for key, value in again.state.items():
            assert np.array_equal(value, expected[f"d state:{key}"]), key
    assert equal(outputs_of(program, y), kept)
    for value in (*outputs_of(program, y).values(), *outputs_of(program, other).values()):
        with pytest.raises(ValueError, match="read-only"):
            value[...] = 0
