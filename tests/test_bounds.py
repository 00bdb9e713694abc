"""No legal call makes a kernel read or write beside its arrays: in the checked shim, and in guarded memory."""

from contextlib import contextmanager

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import lstmgraph as lg
from lstmgraph.border import symbols_of
from lstmgraph.jit.executor import Executor

GUARD = 64  # elements before and after each array


@lg.cell
def lstm(x, h, c):
    c = lg.gate(c, h, x, name="forget") + lg.gate(lg.tanh_layer(h, x, name="candidate"), h, x, name="input")
    h = lg.gate(lg.tanh(c), h, x, name="output")
    return h, c


@lg.cell
def awkward(x, dt, /, h, g):
    """Two levels, a projection, inputs beside states, reductions over a row and a value of one feature."""
    pace = lg.softmax(lg.linear(h, x, name="pace")) * dt
    g = lg.layer_norm(lg.linear(g=pace * h, x=x, name="low", size="P"), name="norm") + lg.row_max(g)
    h = (1 - pace) * h + pace * lg.tanh_layer(g=g, x=x, name="high")
    return {"y": lg.linear(g=g, h=h, name="out", size=3), "h": h, "g": g}


@lg.network
def tagger(tokens):
    x = lg.embedding(tokens, 5, "E", name="embed")
    return lg.linear(lg.recur(lstm, x, name="lstm", reverse=True), size=3, name="head")


sizes = st.integers(1, 9)
CASES = {
    "lstm": (lstm, {"input_size": sizes, "hidden_size": sizes}),
    "awkward": (awkward, {"input_size": sizes, "hidden_size": sizes, "P": sizes, "dt": st.just(1)}),
    "tagger": (tagger, {"hidden_size": sizes, "E": sizes}),
}


@st.composite
def runs(draw, kind):
    """Draw a cell or network, its sizes, T, B, and maybe lengths and reset flags."""
    traced, choices = CASES[kind]
    bound = {name: draw(choice) for name, choice in choices.items()}
    T, B = draw(st.integers(0, 4)), draw(st.integers(0, 7))
    rng, options = np.random.default_rng(draw(st.integers(0, 99))), {}
    if draw(st.booleans()):
        options["lengths"] = rng.integers(0, T + 1, B)
    if draw(st.booleans()):
        options["reset"] = rng.random((T, B)) < 0.3
    if kind == "tagger":
        x = {"tokens": rng.integers(0, 5, (T, B))}
    else:
        x = {"x": rng.standard_normal((T, B, bound["input_size"]))}
    if kind == "awkward":
        x["dt"] = rng.random((T, B, 1))
    return traced, bound, x, options


def guarded(array):
    """Return a copy with NaN before and after it, or an index that no table has."""
    wrong = np.nan if array.dtype.kind == "f" else 2**40
    memory = np.full(array.size + 2 * GUARD, wrong, array.dtype)
    memory[GUARD : GUARD + array.size] = array.reshape(-1)
    return memory[GUARD : GUARD + array.size].reshape(array.shape)


def check(traced, bound, x, options, dtype):
    """Train one step and compare the outputs with the oracle's; every gradient must be finite."""
    program = lg.compile(traced, dtype=dtype, threads=2, **bound)
    params = {name: guarded(value + 0.1) for name, value in program.init(seed=1).items()}
    x = {name: guarded(v if v.dtype.kind == "i" else v.astype(dtype)) for name, v in x.items()}
    y, state, pullback = program.vjp(params, x, **options)
    want, final = lg.interpret(traced, params, x, **options)
    near = {"rtol": 2e-4, "atol": 2e-5} if dtype == "float32" else {"rtol": 1e-10, "atol": 1e-12}
    np.testing.assert_allclose(y, want, **near)
    for name, value in final.items():
        np.testing.assert_allclose(state[name], value, **near)
    grads = pullback(guarded(np.ones_like(y)), dstate={n: guarded(np.ones_like(v)) for n, v in state.items()})
    xs = grads.x.values() if isinstance(grads.x, dict) else [] if grads.x is None else [grads.x]
    for value in (*grads.params.values(), *grads.state.values(), *xs):
        assert np.isfinite(value).all()


@pytest.mark.parametrize("kind", list(CASES))
@settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_no_run_leaves_its_arrays_under_the_shim(kind, data):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LSTMGRAPH_JIT", "0")
        check(*data.draw(runs(kind)), "float64")


@contextmanager
def guarded_buffers():
    """Give kernels buffers that are NaN all over, with NaN before and after each, which must stay."""
    given = []

    def take(self, count):
        memory = np.full(count + 2 * GUARD, np.nan, self.dtype)
        given.append(memory)
        return memory[GUARD : GUARD + count]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Executor, "take", take)
        patch.setattr("lstmgraph.jit.tape.SHARE", False)
        patch.setattr("lstmgraph.jit.rows.ROOMS", 1 << 40)  # no room beyond the rows that there are
        yield given
    for memory in given:
        assert np.isnan(memory[:GUARD]).all() and np.isnan(memory[-GUARD:]).all()


@pytest.mark.parametrize("kind", ["lstm", "tagger"])
@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_compiled_kernels_touch_nothing_beside_their_buffers_and_use_nothing_unset(kind, data):
    with guarded_buffers():
        check(*data.draw(runs(kind)), "float32")


@pytest.mark.parametrize("H", [15, 16, 17, 31, 33])
def test_guarded_memory_at_sizes_about_the_vector_width(H):
    x = {"x": np.random.default_rng(H).standard_normal((3, 7, H + 1))}
    with guarded_buffers() as given:
        check(lstm, {"input_size": H + 1, "hidden_size": H}, x, {"lengths": [3, 1, 2, 0, 3, 3, 1]}, "float32")
    assert len(given) > 5


# one and more levels, blocks and reductions of equal and of different widths
UNEVEN = ("lstm", "gru", "gru_reset_before", "peephole_lstm", "projected_lstm", "layer_norm_lstm", "highway")


@pytest.mark.parametrize("name", UNEVEN)
def test_no_two_threads_write_to_one_place(name, monkeypatch):
    """The slices of a call are run one after the other, and what each changes is compared with what others changed."""
    monkeypatch.setenv("LSTMGRAPH_JIT", "0")
    monkeypatch.setattr("lstmgraph.jit.executor.SLICE_WORK", 1)
    most = []

    def together(tasks):
        changed = set()
        most.append(len(tasks))
        for task in tasks:
            before = [memory.tobytes() for memory in given]
            task()
            for place, (old, memory) in enumerate(zip(before, given, strict=True)):
                differs = np.frombuffer(old, np.uint64) != memory.view(np.uint64)
                now = {(place, element) for element in np.flatnonzero(differs).tolist()}
                assert not now & changed
                changed |= now

    cell = lg.cells.catalogue[name]
    symbols = dict.fromkeys(symbols_of(cell), 5) | {"I": 9, "H": 9}
    sizes = {"input_size": symbols.pop("I"), "hidden_size": symbols.pop("H")} | symbols
    program = lg.compile(cell, dtype="float64", threads=3, **sizes)
    rng = np.random.default_rng(1)
    params = {key: value + rng.normal(0, 0.1, value.shape) for key, value in program.init(seed=1).items()}
    x = {key: rng.random((2, 13, symbols.get(key, 9))) for key in cell.inputs}
    with guarded_buffers() as given:
        monkeypatch.setattr("lstmgraph.jit.player.in_order", together)
        for lengths in (None, [2, 1, 0] * 4 + [2]):
            y, state, pullback = program.vjp(params, x, lengths=lengths)
            pullback(rng.random(y.shape), dstate={key: rng.random(value.shape) for key, value in state.items()})
    assert max(most) == 3
