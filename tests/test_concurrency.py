"""Many threads, many shapes, one program: every call gets the serial result, bit for bit, and results are its own."""

import gc
import sys
import threading
import weakref
from contextlib import contextmanager
from functools import cache
from itertools import combinations
from types import SimpleNamespace

import numpy as np
import pytest

import lstmgraph as lg
from lstmgraph.jit import executor as executors
from lstmgraph.jit.executor import Executor
from lstmgraph.jit.fit import PREPARED
from lstmgraph.jit.machine import host
from lstmgraph.jit.run_reduce import _Job, _spread
from lstmgraph.jit.run_rows import SWEEP
from lstmgraph.line import TAPES

THREADS = 8


@lg.network
def tagger(tokens):
    """A table, a cell backwards in time, a head."""
    x = lg.embedding(tokens, 5, "E", name="embed")
    return lg.linear(lg.recur(lg.cells.lstm, x, name="lstm", reverse=True), size=3, name="head")


@cache
def lstm(dtype="float32"):
    return lg.compile(lg.cells.lstm, input_size=3, hidden_size=5, threads=2, dtype=dtype)


@cache
def network():
    return lg.compile(tagger, hidden_size=5, E=3, threads=2)


def random_params(program, seed=0):
    rng = np.random.default_rng(seed)
    return {name: rng.normal(0, 0.4, v.shape).astype(v.dtype) for name, v in program.init(seed=0).items()}


def batch(program, number):
    """Return one of many batches: T and B from 0 on, a third of them with rows of different lengths."""
    rng = np.random.default_rng(number)
    T, B = int(rng.integers(0, 9)), int(rng.integers(0, 7))
    indices = program.traced.inputs == ("tokens",)
    x = rng.integers(0, 5, (T, B)) if indices else rng.standard_normal((T, B, 3)).astype(program.dtype)
    return x, {"lengths": rng.integers(0, T + 1, B)} if number % 3 == 0 else {}


def everything(program, bound, params, number):
    """Return copies of all that one batch gives by every kind of call."""
    x, options = batch(program, number)
    y, state, pullback = bound.vjp(x, **options)
    first, second = pullback(y, dstate=state), pullback(2 * y)
    found = [y, *state.values(), bound(x, **options)[0], *first.params.values(), *second.params.values()]
    found += [value for value in (first.x, second.x) if value is not None]
    if number % 7 == 0 and program is lstm():
        found += program.hvp(params, x, params, y, **options).params.values()
        found += [
            program.jvp(params, x, params, **options)[2],
            program.value_and_gradients(params, x, y)[2].params["input.b"],
        ]
        found += program.record(params, x, ["forget"], **options).values()
    return [np.array(value) for value in found]


@contextmanager
def hasty():
    """Let threads take turns after every few lines."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        yield
    finally:
        sys.setswitchinterval(interval)


def side_by_side(works):
    """Run each on a thread of its own, all at once, and return the errors."""
    errors, start = [], threading.Barrier(len(works))

    def run(work):
        try:
            start.wait()
            work()
        except BaseException as error:
            errors.append(error)

    workers = [threading.Thread(target=run, args=(work,)) for work in works]
    with hasty():
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
    return errors


def assert_equal(got, want):
    assert len(got) == len(want) and all(np.array_equal(a, b) for a, b in zip(got, want, strict=True))


@pytest.mark.parametrize("make", [lstm, lambda: lstm("float64"), network], ids=["float32", "float64", "network"])
def test_eight_threads_get_the_serial_results(make, monkeypatch):
    monkeypatch.setattr(executors, "SLICE_WORK", 2000)  # even these small batches are dealt out to threads
    program = make()
    params = random_params(program)
    numbers = range(30)
    alone = program.bind(params)
    want = [everything(program, alone, params, number) for number in numbers]
    shared = program.bind(params)

    def work(seed):
        for number in np.random.default_rng(seed).permutation(numbers):
            assert_equal(everything(program, shared, params, int(number)), want[number])

    assert not side_by_side([lambda seed=seed: work(seed) for seed in range(THREADS)])
    main = program.engine.main
    assert len(main._tapes) <= TAPES and len(main._fits) <= TAPES
    assert all(len(binding.prepared) <= PREPARED + THREADS for binding in shared._bindings.values())


def test_one_pullback_may_be_called_by_many_threads_and_after_its_program_is_gone():
    program = lg.compile(lg.cells.lstm, input_size=3, hidden_size=5, threads=2)
    rng = np.random.default_rng(2)
    params, x = random_params(program), rng.standard_normal((6, 4, 3)).astype("f")
    y, state, *pullbacks = program.vjp(params, x, lengths=[6, 0, 3, 2])
    cotangents = [rng.standard_normal(y.shape).astype("f") for _ in range(THREADS)]
    want = [list(pullbacks[0](dy).params.values()) for dy in cotangents]
    kept, kept_state = y.copy(), {name: value.copy() for name, value in state.items()}
    watch = weakref.ref(program.engine)
    del program

    def work(number):
        for _ in range(5):
            assert_equal(list(pullbacks[0](cotangents[number]).params.values()), want[number])

    assert not side_by_side([lambda number=number: work(number) for number in range(THREADS)])
    pullbacks.clear()
    gc.collect()
    assert watch() is None
    fill = [np.full(value.shape, np.nan) for value in (y, *state.values()) for _ in range(50)]  # memory given back
    assert np.array_equal(y, kept) and all(np.array_equal(state[name], kept_state[name]) for name in state)
    del fill


def test_recordings_of_shapes_that_come_no_more_are_dropped():
    program = lstm()
    bound, main = program.bind(random_params(program)), program.engine.main
    for T in range(1, 3 * PREPARED):
        bound(np.ones((T, 1, 3), "f"))
    assert len(main._tapes) <= TAPES and len(main._fits) <= TAPES
    (binding,) = bound._bindings.values()
    assert len(binding.prepared) <= PREPARED
    last = list(main._fits)[-1]
    for T in range(1, 3 * TAPES):  # one that is used in between stays
        bound(np.ones((3 * PREPARED - 1, 1, 3), "f"))
        bound(np.ones((T, 1, 3), "f"))
    assert last in main._fits


def test_kernels_of_one_name_that_compile_at_once_are_not_mixed_up():
    executor = Executor(host("float32"), 1)
    executor._tiles = SimpleNamespace()
    both = threading.Barrier(2, timeout=20)

    def module(source, entries, uses, title):
        both.wait()
        return SimpleNamespace(functions={entries[0]: source})

    executor._module = module
    found = {}

    def work(source):
        found[source] = executor.function(SimpleNamespace(source=source, name="run_lstm"), "title")

    assert not side_by_side([lambda: work("first"), lambda: work("second")])
    assert found == {"first": "first", "second": "second"}


@lg.cell
def handed_on(x, h):
    """Outputs that are the input, one value twice, and a parameter."""
    h = lg.tanh_layer(h, x, name="hidden")
    return {"input": x, "h": h, "again": h, "vector": lg.parameter("v")}


@lg.network
def twice(x):
    """The input and one value twice as outputs; its gradient is the cotangent that it is given."""
    z = lg.linear(x, size=4, name="layer")
    return {"input": x, "first": z, "second": z}


@pytest.mark.parametrize("steps", [0, 1, 3])
@pytest.mark.parametrize("traced", [handed_on, twice], ids=["cell", "network"])
def test_no_result_shares_memory_with_an_argument_or_another_result(traced, steps, in_numpy):
    sizes = {"hidden_size": 4} if traced is handed_on else {}
    program = lg.compile(traced, input_size=3, dtype="float64", **sizes)
    rng = np.random.default_rng(1)
    params, x = random_params(program), rng.standard_normal((steps, 2, 3))
    state = {name: rng.standard_normal((2, 4)) for name in program.traced.states}
    bound = program.bind(params)
    y, final = bound(x, state=state)
    dy = {name: rng.standard_normal(value.shape) for name, value in y.items()}
    again, last, pullback = bound.vjp(x, state=state)
    first, second = pullback(dy), pullback(dy)
    arguments = [x, *state.values(), *params.values(), *bound.params.values(), *dy.values()]
    results = [*y.values(), *final.values(), *again.values(), *last.values()]
    for gradients in (first, second):
        results += [gradients.x, *gradients.params.values(), *gradients.state.values()]
    assert not any(np.shares_memory(a, b) for a in results for b in arguments)
    assert not any(np.shares_memory(a, b) for a, b in combinations(results, 2))
    np.testing.assert_array_equal(y["input"], x)


@pytest.mark.parametrize("parts", [1, 2, 3])
def test_sums_over_rows_listen_to_ctrl_c(parts):
    """No thread does much more than SWEEP operations before the calling thread looks; each unit is summed once."""
    jobs = [
        _Job("over_rows", [], np.zeros(3), False, work, units, 0)
        for work, units in ((7e9, 16), (1e6, 3), (4e10, 1), (0, 2))
    ]
    rounds = _spread(jobs, parts)
    done = []
    for tasks in rounds:
        assert len({call[-1] for calls in tasks for call in calls}) == len(tasks) <= parts
        for calls in tasks:
            pieces = [jobs[entry].work / jobs[entry].units * (b1 - b0) for entry, _, _, b0, b1, _ in calls]
            assert sum(pieces[:-1]) < SWEEP  # one unit may be more
            assert all(
                piece <= SWEEP or b1 - b0 == 1 for piece, (_, _, _, b0, b1, _) in zip(pieces, calls, strict=True)
            )
            assert {call[-1] for call in calls} == {calls[0][-1]}
            done += [(entry, unit) for entry, _, _, b0, b1, _ in calls for unit in range(b0, b1)]
    assert sorted(done) == [(entry, unit) for entry, job in enumerate(jobs) for unit in range(job.units)]
    assert len(rounds) > 7 / parts
