"""Sequences run in stretches of steps: results and gradients of the whole bit for bit, in less memory."""

import subprocess
import sys

import numpy as np
import pytest

import lstmgraph as lg
from lstmgraph import stretches
from lstmgraph.jit.rows import Rows, stretch_of
from lstmgraph.schedule import tables

T, B = 11, 5
FORMS = {
    "plain": {},
    "lengths": {"lengths": np.array([11, 4, 0, 7, 4])},
    "short": {"lengths": np.array([2, 0, 5, 2, 3])},
    "reset": {"reset": np.arange(T * B).reshape(T, B) % 5 == 3, "lengths": np.array([4, 11, 1, 7, 7])},
}


@lg.network
def tagger(tokens):
    x = lg.embedding(tokens, 6, 4, name="embed")
    x = lg.recur(lg.cells.lstm, x, size=5, name="low")
    return {"tag": lg.linear(lg.recur(lg.cells.mgu, x, size=3, name="high"), size=2, name="head"), "low": x}


@lg.network
def two_readers(tokens):
    x = lg.embedding(tokens, 6, 4, name="embed")
    y = lg.recur(lg.cells.gru, x, size=3, name="first")
    return lg.linear(y=y, x=x, size=2, name="head")


@lg.cell
def with_two_inputs(x, scale, /, h):
    h = lg.tanh_layer(h=h * scale, x=x, name="mix")
    return {"y": 2 * h, "z": lg.sigmoid(x), "h": h}


CASES = {
    "lstm": lg.cells.lstm,
    "gru": lg.cells.catalogue["gru_reset_before"],
    "antisymmetric": lg.cells.catalogue["antisymmetric"],  # its matrix is U - U'
    "weight_norm": lg.transforms.weight_norm(lg.cells.lstm),
    "delayed": lg.cells.catalogue["t_lstm"],
    "masked": lg.transforms.zoneout(lg.cells.lstm, h=0.2, c=0.4),
    "dropped_weights": lg.transforms.drop_connect(lg.cells.gru, 0.3),
    "learned": lg.transforms.learned_initial_state(lg.cells.lstm, "h", "c"),
    "two_inputs": with_two_inputs,
    "tagger": tagger,
    "two_readers": two_readers,
    "entries": two_readers,
}
THOROUGH = ("lstm", "learned", "tagger", "entries")
EVERY = {
    **{("float32", form): [1, 3] for form in FORMS},
    ("float32", "plain"): [1, 3, T - 1, T, T + 5],
    **{("float64", form): [np.int64(4)] for form in FORMS},
}
RUNS = [(kind, "float64", form) for kind in CASES for form in ("plain", "reset")]
RUNS += [(kind, "float32", form) for kind in THOROUGH for form in FORMS]
NETWORKS = ("tagger", "two_readers", "entries")


@pytest.fixture
def always(monkeypatch):
    """Take products that follow a table over its entries where rows are many: of the whole, not of a short stretch."""
    for name, value in (("WIDE", 1), ("WORK", 0)):
        monkeypatch.setattr(tables, name, value)


def by_name(value):
    return value if isinstance(value, dict) else {"": value} if value is not None else {}


def equal(first, second):
    assert first.keys() == second.keys()
    for name, value in first.items():
        assert value.dtype == second[name].dtype and np.array_equal(value, second[name]), name


def same(first, second):
    """All gradients are equal bit for bit, and some are not zero."""
    equal(first.params, second.params)
    equal(first.state, second.state)
    equal(by_name(first.x), by_name(second.x))
    assert any(value.any() for value in first.params.values())


def made(kind, dtype="float64", threads=1, T=T, B=B):
    sizes = {} if kind in NETWORKS else {"input_size": 3, "hidden_size": 5}
    sizes |= {"scale": 5} if kind == "two_inputs" else {}
    program = lg.compile(CASES[kind], dtype=dtype, threads=threads, **sizes)
    rng = np.random.default_rng(2)
    params = {name: rng.normal(0, 0.5, value.shape).astype(dtype) for name, value in program.init().items()}
    inputs = {name: rng.standard_normal((T, B, 3)) for name in program.traced.inputs}
    inputs |= {"scale": rng.standard_normal((T, B, 5))} if kind == "two_inputs" else {}
    x = {"tokens": rng.integers(0, 6, (T, B))} if kind in NETWORKS else inputs
    return program, params, x | program.masks(T, B, seed=4), rng


def cotangents(rng, y, last, kind=""):
    dy = {name: rng.standard_normal(value.shape) for name, value in by_name(y).items()}
    dstate = {name: rng.standard_normal(value.shape) for name, value in last.items()}
    if kind == "tagger":
        del dy["low"]  # partial ones
        del dstate["low.c"]
    return dy.get("", dy), dstate


@pytest.mark.parametrize(("kind", "dtype", "form"), RUNS)
def test_results_and_gradients_are_those_of_the_whole(kind, dtype, form, in_numpy, request):
    if kind == "entries":
        request.getfixturevalue("always")
    program, params, x, rng = made(kind, dtype)
    y, last, pullback = program.vjp(params, x, **FORMS[form])
    dy, dstate = cotangents(rng, y, last, kind)
    whole, alone = pullback(dy, dstate), pullback(dy)
    once = program.value_and_gradients(params, x, dy, **FORMS[form], wrt=("params", "x", "state"))
    same(once[2], alone)
    for every in EVERY[dtype, form]:
        z, end, replay = program.vjp(params, x, **FORMS[form], checkpoint_every=every)
        assert not any(value.flags.writeable for value in by_name(z).values())
        equal(by_name(y), by_name(z))
        equal(last, end)
        same(whole, replay(dy, dstate))
        same(alone, replay(dy))
    parts = program.value_and_gradients(params, x, dy, **FORMS[form], checkpoint_every=4)
    equal(by_name(y), by_name(parts[0]))
    equal(last, parts[1])
    equal(parts[2].params, alone.params)


@pytest.mark.parametrize("given", [("h",), ("h", "c")])
def test_states_that_are_given_count_before_learned_ones(given, in_numpy):
    program, params, x, rng = made("learned")
    state = {name: rng.standard_normal((B, 5)) for name in given}
    y, last, pullback = program.vjp(params, x, state=state, **FORMS["reset"])
    _, _, replay = program.vjp(params, x, state=state, **FORMS["reset"], checkpoint_every=4)
    dy, dstate = cotangents(rng, y, last)
    same(pullback(dy, dstate), replay(dy, dstate))


def test_a_learned_start_has_its_gradient(in_numpy):
    program, params, x, rng = made("learned")
    parts = program.value_and_gradients(params, x, rng.standard_normal((T, B, 5)), checkpoint_every=4)[2]
    assert np.abs(parts.params["c.initial"]).max() > 0.1 and np.abs(parts.params["h.initial"]).max() > 0.1


@pytest.mark.parametrize("wrt", [("params",), ("x",), ("state",), ()])
def test_what_is_not_wanted_is_not_there(wrt, in_numpy):
    program, params, x, _ = made("lstm")
    y, _, pullback = program.vjp(params, x, wrt=wrt)
    _, _, replay = program.vjp(params, x, wrt=wrt, checkpoint_every=3)
    whole, parts = pullback(np.ones_like(y)), replay(np.ones_like(y))
    equal(whole.params, parts.params)
    equal(whole.state, parts.state)
    equal(by_name(whole.x), by_name(parts.x))


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("kind", ["lstm", "entries"])
def test_machine_code_gives_the_bits_of_the_whole_too(kind, threads, always, monkeypatch):
    monkeypatch.setattr("lstmgraph.jit.executor.SLICE_WORK", 1)
    steps, batch = 700, 3  # more rows than one block of the kernel, in a stretch too
    program, params, x, rng = made(kind, "float32", threads, steps, batch)
    for lengths in (None, np.array([700, 130, 130]), np.array([3, 640, 0])):
        y, last, pullback = program.vjp(params, x, lengths=lengths)
        dy, dstate = cotangents(rng, y, last)
        whole = pullback(dy, dstate)
        once = program.value_and_gradients(params, x, dy, lengths=lengths)[2]
        equal(once.params, pullback(dy).params)
        for every in (1, 7, 256, 333, 699):
            z, end, replay = program.vjp(params, x, lengths=lengths, checkpoint_every=every)
            equal(by_name(y), by_name(z))
            equal(last, end)
            same(whole, replay(dy, dstate))


def test_nothing_to_run(in_numpy):
    program, params, _, _ = made("lstm")
    for steps, rows in ((0, 3), (9, 0)):
        y, _, gradients = program.value_and_gradients(
            params, np.zeros((steps, rows, 3)), np.zeros((steps, rows, 5)), checkpoint_every=4
        )
        assert y.shape == (steps, rows, 5) and not any(value.any() for value in gradients.params.values())


def test_a_pullback_may_be_called_again_and_gives_arrays_of_its_own(in_numpy):
    program, params, x, rng = made("lstm")
    y, last, replay = program.vjp(params, x, checkpoint_every=4)
    dy, dstate = cotangents(rng, y, last)
    first = replay(dy, dstate)
    kept = {name: value.copy() for name, value in first.params.items()}
    second = replay(dy, dstate)
    same(first, second)
    equal(first.params, kept)
    assert not any(np.shares_memory(value, second.params[name]) for name, value in first.params.items())


def test_the_rows_of_a_stretch_are_a_part_of_those_of_the_whole():
    rows = Rows(T, B, np.array([4, 11, 0, 4, 7]))
    parts = [stretch_of(rows, begin, min(begin + 3, T)) for begin in range(0, T, 3)]
    assert sum(part.count for part in parts) == rows.count
    assert all(part.order is None or np.array_equal(part.order, np.arange(B)) for part in parts)
    sequence = np.arange(T * B).reshape(T, B)[:, rows.order]
    packed = [part.pack(sequence[begin : begin + part.T]) for begin, part in zip(range(0, T, 3), parts, strict=True)]
    assert np.array_equal(np.concatenate(packed), rows.pack(np.arange(T * B).reshape(T, B)))


@pytest.mark.parametrize("limit", [{"checkpoint_every": 4}, {"memory_budget": 32_000}])
def test_training_in_stretches_learns_the_same(limit, lengths_found, in_numpy):
    tokens = np.random.default_rng(0).integers(0, 6, (T, B))

    @lg.network
    def one(tokens):
        x = lg.dropout(lg.embedding(tokens, 6, 4, name="embed"), 0.2, name="words")
        return lg.linear(lg.recur(lg.cells.mgu, x, size=5, name="mgu"), size=6, name="head")

    plain, parts = (lg.Model(one, seed=3, dtype="float64", optimizer=lg.SGD(0.1)) for _ in range(2))
    plain.fit(tokens, tokens, steps=3, lengths=[11, 4, 0, 7, 4])
    parts.fit(tokens, tokens, steps=3, lengths=[11, 4, 0, 7, 4], **limit)
    equal(plain.params, parts.params)
    assert lengths_found == [] if "checkpoint_every" in limit else len(lengths_found) > 2 and max(lengths_found) < T


# ---- errors


@pytest.mark.parametrize("number", [0, -3, 2.5, True, "4"])
@pytest.mark.parametrize("name", ["checkpoint_every", "memory_budget"])
def test_numbers_that_make_no_sense_are_errors(name, number, in_numpy):
    program, params, x, _ = made("lstm")
    for call in (program.vjp, lambda *given, **keywords: program.value_and_gradients(*given, None, **keywords)):
        with pytest.raises(lg.GraphError, match=f"lstm: got {name}={number!r}, expected a whole number of"):
            call(params, x, **{name: number})
    model = lg.Model(two_readers)
    with pytest.raises(lg.GraphError, match=f"{name}="):
        model.fit(np.zeros((3, 2), int), np.zeros((3, 2), int), **{name: number})


def test_both_at_once_are_an_error(in_numpy):
    program, params, x, _ = made("lstm")
    with pytest.raises(lg.GraphError, match="checkpoint_every=4 and memory_budget=100, expected one of them"):
        program.vjp(params, x, checkpoint_every=4, memory_budget=100)


def test_what_runs_back_in_time_is_an_error():
    @lg.network
    def back(x):
        return lg.recur(lg.cells.mgu, x, size=4, name="mgu", reverse=True)

    program = lg.compile(back, input_size=3)
    for limit in ({"checkpoint_every": 4}, {"memory_budget": 4}):
        with pytest.raises(lg.GraphError, match=r"back: got \w+=4 for what runs back in time"):
            program.vjp(program.init(), np.zeros((9, 1, 3)), **limit)


def test_a_sum_over_all_rows_that_is_a_result_is_an_error(in_numpy):
    cell = lg.gradient(lg.gradient(lg.cells.mgu))
    program = lg.compile(cell, input_size=3, hidden_size=3)
    x = {name: np.zeros((9, 1, 3)) for name in cell.inputs}
    for limit in ({"checkpoint_every": 4}, {"memory_budget": 4}):
        with pytest.raises(lg.GraphError, match="reads a sum over all rows"):
            program.vjp(program.init(), x, **limit)


# ---- memory


@pytest.fixture
def lengths_found(monkeypatch):
    """The steps of a stretch that budgets led to."""
    found, longest = [], stretches.longest_stretch

    def spy(*arguments):
        found.append(longest(*arguments))
        return found[-1]

    monkeypatch.setattr(stretches, "longest_stretch", spy)
    return found


@pytest.mark.parametrize("form", ["plain", "lengths", "short"])
@pytest.mark.parametrize("kind", ["learned", "entries"])
def test_a_budget_leads_to_the_same_bits_and_a_greater_one_to_no_shorter_stretches(
    kind, form, lengths_found, always, in_numpy
):
    steps, lengths = 60, {"plain": None, "lengths": [60, 9, 0, 40, 9], "short": [20, 0, 50, 2, 3]}[form]
    program, params, x, rng = made(kind, T=steps)
    y, last, pullback = program.vjp(params, x, lengths=lengths)
    dy, dstate = cotangents(rng, y, last)
    whole = pullback(dy, dstate)
    with pytest.raises(
        lg.GraphError, match=r"memory_budget=9 for 60 steps of 5 rows, expected at least \d+ bytes"
    ) as no:
        program.vjp(params, x, lengths=lengths, memory_budget=9)
    least = int(str(no.value).split()[-2])
    for budget in [*np.geomspace(least, 2 * least, 3).astype(int), 20 * least]:
        z, end, replay = program.vjp(params, x, lengths=lengths, memory_budget=budget)
        equal(by_name(y), by_name(z))
        equal(last, end)
        same(whole, replay(dy, dstate))
    assert lengths_found == sorted(lengths_found) and lengths_found[-1] == steps and lengths_found[0] < lengths_found[2]
    with pytest.raises(lg.GraphError, match="expected at least"):
        program.vjp(params, x, lengths=lengths, memory_budget=least - 1)


def test_a_budget_without_steps_is_no_error(in_numpy):
    program, params, _, _ = made("lstm")
    y, _, _ = program.vjp(params, np.zeros((0, 3, 3)), memory_budget=10**6)
    assert y.shape == (0, 3, 5)


LONG = """
import numpy as np, lstmgraph as lg
from lstmgraph.bench.table_memory import peak
program = lg.compile(lg.cells.lstm, input_size=8, hidden_size=64, threads=2)
params, x = program.init(seed=0), np.zeros((100_000, 1, 8), np.float32)
dy = np.ones((100_000, 1, 64), np.float32)
y, state, gradients = program.value_and_gradients(params, x, dy, checkpoint_every=300)
print(peak() / 2**30, all(np.isfinite(value).all() for value in gradients.params.values()))
"""
BUDGET = """
import sys, tracemalloc, numpy as np, lstmgraph as lg
from lstmgraph.jit.arena import leased
program = lg.compile(lg.cells.lstm, input_size=8, hidden_size=64, threads=2)
params, x = program.init(seed=0), np.zeros((30_000, 2, 8), np.float32)
dy, lengths = np.ones((30_000, 2, 64), np.float32), [30_000, 20_000] if sys.argv[1] == "lengths" else None
program.value_and_gradients(params, x, dy, lengths=lengths, checkpoint_every=300)
tracemalloc.start()
for budget in (3_000_000, 10_000_000, 30_000_000) if lengths is None else (40_000_000, 60_000_000, 80_000_000):
    program.executor.arena.clear()
    tracemalloc.reset_peak()
    before = tracemalloc.get_traced_memory()[0]
    y = program.value_and_gradients(params, x, dy, lengths=lengths, memory_budget=budget)[0]
    print((tracemalloc.get_traced_memory()[1] - before - leased(y.nbytes)) / budget)
    del y
"""


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the peak may be the parent's")
def test_a_hundred_thousand_steps_train_in_less_than_a_gibibyte(monkeypatch):
    monkeypatch.setenv("LSTMGRAPH_JIT", "1")
    found = subprocess.run([sys.executable, "-c", LONG], capture_output=True, text=True, check=True)
    peak, finite = found.stdout.split()
    assert float(peak) < 1 and finite == "True"


@pytest.mark.parametrize("form", ["plain", "lengths"])
def test_the_memory_that_a_budget_allows_is_not_exceeded_and_is_used(form, monkeypatch):
    monkeypatch.setenv("LSTMGRAPH_JIT", "1")
    command = [sys.executable, "-c", BUDGET, form]
    found = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    assert all(float(share) < 1.1 for share in found) and all(float(share) > 0.4 for share in found), found


@pytest.mark.parametrize("options", [{}, {"checkpoint_every": 3}])
def test_what_the_caller_changes_between_the_passes(options, in_numpy):
    """States are the call's own; indices, which may not be changed, are looked at again before they are used."""
    program, rng = lg.compile(lg.cells.lstm, input_size=3, hidden_size=4), np.random.default_rng(0)
    params, x = program.init(seed=0), rng.standard_normal((T, B, 3)).astype("float32")
    state = {name: rng.standard_normal((B, 4)).astype("float32") for name in ("h", "c")}
    y, _, pullback = program.vjp(params, x, state=state, **options)
    want = pullback(np.ones_like(y)).params
    for value in state.values():
        value[:] = 3
    found = pullback(np.ones_like(y)).params
    assert all(np.array_equal(found[name], want[name]) for name in want)
    program, tokens = lg.compile(two_readers), rng.integers(0, 6, (T, B))
    y, _, pullback = program.vjp(program.init(seed=0), tokens, **options)
    tokens[4, 2] = 1000
    with pytest.raises(lg.ShapeError, match="index 1000, expected 0 to 5"):
        pullback(np.ones_like(y))


def test_what_is_wanted_may_be_said_by_an_iterator(in_numpy):
    program, x = lg.compile(lg.cells.lstm, input_size=3, hidden_size=4), np.ones((T, B, 3))
    for every in (None, 3, T + 1):
        y, _, pullback = program.vjp(program.init(seed=0), x, wrt=iter(["params"]), checkpoint_every=every)
        gradients = pullback(np.ones_like(y))
        assert gradients.params and not np.any(gradients.x)
