"""One step after the other: the full run bit for bit, over memory of its own, from any number of threads."""

import gc
import sys
import threading
import tracemalloc
import weakref

import numpy as np
import pytest
from runs import equal, feeds_of, program_of

import lstmgraph as lg
from lstmgraph.bound import STEPPERS
from lstmgraph.errors import LstmGraphError, ShapeError
from lstmgraph.testing import by_name

# compiled, and in NumPy with checked bounds: indices, several inputs and outputs, states passed on or fixed
CELLS = [("compiled", "lstm"), ("compiled", "gru_reset_before")] + [
    ("numpy", name) for name in "leaky two_outputs passed twins tokens plain_outputs learned_state delayed".split()
]


def stepped(bound, x, state, steps):
    """Return outputs and states of each step."""
    found = []
    for t in range(steps):
        y, state = bound.step({name: value[t] for name, value in x.items()}, state)
        found.append((by_name(bound.program, y), state))
    return found


@pytest.mark.parametrize(("way", "name"), CELLS)
def test_steps_are_the_full_run_bit_for_bit(way, name, run_as):
    run_as(way)
    program = program_of(name, way)
    for batch in (1, 2, 7) if way == "numpy" else (1, 3, 33):
        feeds = feeds_of(program, 6, batch, seed=batch)
        bound = program.bind(feeds.params)
        y, final = bound(feeds.x, state=feeds.state)
        found = stepped(bound, feeds.x, feeds.state, 6)
        for t, (outputs, _) in enumerate(found):
            assert equal(outputs, {key: value[t] for key, value in by_name(program, y).items()}), t
        assert equal(found[-1][1], final)
        first = {key: value[0] for key, value in feeds.x.items()}
        assert equal(by_name(program, program.step(feeds.params, first, feeds.state)[0]), found[0][0])


def test_other_types_and_partial_states_take_the_careful_way_to_the_same_bits():
    program = program_of("lstm", "compiled")
    feeds = feeds_of(program, 1, 4, seed=1)
    bound, x = program.bind(feeds.params), feeds.x["x"][0]
    zeros = {name: np.zeros_like(value) for name, value in feeds.state.items()}
    for other in (x.tolist(), np.asfortranarray(x), x.astype(">f8"), np.repeat(x, 2, 1)[:, ::2], {"x": x}):
        assert np.array_equal(bound.step(other, feeds.state)[0], bound.step(x, feeds.state)[0])
    frozen = x.copy()
    frozen.flags.writeable = False
    for alike in (frozen, np.repeat(x, 2, 0)[::2], np.repeat(x, 2, 1)[:, ::2], x[:, ::-1].copy()[:, ::-1]):
        state = {name: np.asfortranarray(value) for name, value in feeds.state.items()}
        assert np.array_equal(bound.step(alike, state)[0], bound.step(x, feeds.state)[0])
    for kind in ("float16", "float32", "longdouble", "int32", "int64"):
        state = {**feeds.state, "c": (4 * feeds.state["c"]).astype(kind)}
        same = {**feeds.state, "c": state["c"].astype(program.dtype)}
        assert np.array_equal(bound.step(x, state)[0], bound.step(x, same)[0]), kind
    assert equal(bound.step(x)[1], bound.step(x, zeros)[1])
    partial = {"h": feeds.state["h"]}
    assert equal(bound.step(x, partial)[1], bound.step(x, {**zeros, **partial})[1])


def test_the_results_of_a_step_are_the_callers_own():
    program = program_of("lstm", "compiled")
    feeds = feeds_of(program, 2, 4, seed=2)
    bound, x = program.bind(feeds.params), feeds.x["x"]
    y, state = bound.step(x[0], feeds.state)
    kept, kept_state = y.copy(), {name: value.copy() for name, value in state.items()}
    second = bound.step(x[1], state)
    assert np.array_equal(y, kept) and equal(state, kept_state)
    y[:] = np.nan
    for value in (*state.values(), *second[1].values()):
        value[:] = np.nan
    assert np.array_equal(bound.step(x[1], kept_state)[0], second[0])


def test_the_gradients_of_parameters_in_an_adjoint_cell_are_whole():
    """An adjoint cell has sums over rows among its outputs: they have no row of a step to take."""
    cell = lg.gradient(lg.cells.rnn)
    program = lg.compile(cell, input_size=2, hidden_size=3, dtype="float64")
    feeds = feeds_of(program, 1, 2, seed=3)
    first = {name: value[0] for name, value in feeds.x.items()}
    y, state = program(feeds.params, feeds.x, state=feeds.state)
    for step in (program.bind(feeds.params).step, lambda *given: program.step(feeds.params, *given)):
        got, after = step(first, feeds.state)
        assert equal(got, {name: y[name] if name in program.traced.sums else y[name][0] for name in y})
        assert equal(after, state)
    assert set(program.traced.sums) < set(y)


def peak_of(action):
    """Return the most bytes that were taken while an action ran."""
    before = tracemalloc.get_traced_memory()[0]
    tracemalloc.reset_peak()
    action()
    return tracemalloc.get_traced_memory()[1] - before


def test_a_step_takes_no_memory_but_that_of_its_results():
    program = lg.compile(lg.cells.lstm, input_size=40, hidden_size=256, threads=2)
    bound, x = program.bind(program.init(seed=0)), np.ones((64, 40), "float32")
    y, state = bound.step(x)
    returned = y.nbytes + sum(value.nbytes for value in state.values())
    (stepper,) = bound._idle[x.shape]
    tracemalloc.start()
    try:
        for _ in range(5):
            y, state = bound.step(x, state)
        for _ in range(20):  # a state has 65,536 bytes, x 10,240
            assert peak_of(lambda: stepper.take(x, *state.values())) < 4_000
            assert all(peak_of(thunk) < 4_000 for thunk in stepper.thunks)
            assert peak_of(lambda: bound.step(x, state)) < returned + 4_000
        growth = []
        for _ in range(3):  # other threads of the process take memory at times, steps would each time
            before = tracemalloc.get_traced_memory()[0]
            for _ in range(100):
                bound.step(x, state)
            growth.append(tracemalloc.get_traced_memory()[0] - before)
        assert min(growth) < 4_000
    finally:
        tracemalloc.stop()


def test_a_bind_that_nobody_holds_is_gone_at_once():
    program = program_of("lstm", "compiled")
    feeds = feeds_of(program, 1, 2, seed=8)
    bound = program.bind(feeds.params)
    bound.step(feeds.x["x"][0])
    (steppers,) = bound._idle.values()
    known = [weakref.ref(steppers[0]), weakref.ref(steppers[0].take)]  # the last one leads to all of its memory
    collects = gc.isenabled()
    gc.disable()
    try:
        del bound, steppers
        assert [each() for each in known] == [None, None]
    finally:
        if collects:
            gc.enable()


def test_many_numbers_of_rows_keep_a_bounded_memory():
    program = program_of("lstm", "compiled")
    feeds = feeds_of(program, 1, 40, seed=4)
    bound, x = program.bind(feeds.params), feeds.x["x"][0]
    whole = bound.step(x, feeds.state)[0]
    for rows in [*range(1, 41), *range(40, 0, -1)]:
        part = {name: value[:rows] for name, value in feeds.state.items()}
        np.testing.assert_allclose(bound.step(x[:rows], part)[0], whole[:rows], rtol=1e-12)
        assert len(bound._idle) <= STEPPERS
    assert all(len(binding.prepared) <= 40 for binding in bound._bindings.values())


def test_threads_that_step_one_bind_do_not_meet():
    program = program_of("lstm", "compiled")
    feeds = [feeds_of(program, 60, rows, seed=rows) for rows in (2, 2, 2, 3, 3, 3, 1, 4)]
    bound, errors = program.bind(feeds[0].params), []
    want = [stepped(bound, given.x, given.state, 60) for given in feeds]
    shared, start = program.bind(feeds[0].params), threading.Barrier(len(feeds))

    def work(number):
        try:
            start.wait()
            for _ in range(5):
                got = stepped(shared, feeds[number].x, feeds[number].state, 60)
                for (outputs, state), (expected, after) in zip(got, want[number], strict=True):
                    assert equal(outputs, expected) and equal(state, after)
        except BaseException as error:
            errors.append(error)

    workers = [threading.Thread(target=work, args=(number,)) for number in range(len(feeds))]
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
    finally:
        sys.setswitchinterval(interval)
    assert not errors


def test_another_threads_step_may_come_between_any_two_lines(monkeypatch):
    """The list of idle memory is empty by the time it is taken from: a step makes memory of its own."""
    program = program_of("lstm", "compiled")
    feeds = feeds_of(program, 1, 2, seed=5)
    bound, x = program.bind(feeds.params), feeds.x["x"][0]
    want = bound.step(x, feeds.state)[0]
    (idle,) = bound._idle.values()

    class Raced(list):
        def __bool__(self):
            return True  # it was not empty when one looked

    bound._idle = dict.fromkeys(bound._idle, Raced())
    idle.clear()
    assert np.array_equal(bound.step(x, feeds.state)[0], want)


@pytest.mark.parametrize("wrong", [np.array([7]), np.array([-1])])
def test_a_step_that_is_refused_leaves_the_bind_usable(wrong, in_numpy):
    program = program_of("tokens", "numpy")
    feeds = feeds_of(program, 1, 1, seed=6)
    bound = program.bind(feeds.params)
    want = bound.step(np.array([3]), feeds.state)[0]
    with pytest.raises(LstmGraphError, match="index"):
        bound.step(wrong, feeds.state)
    for other in (np.array([[3]]), np.array(3), np.int64(3), 3):
        with pytest.raises(ShapeError, match="one step"):
            bound.step(other, feeds.state)
    assert np.array_equal(bound.step(np.array([3]), feeds.state)[0], want)


def test_a_step_that_is_interrupted_leaves_the_bind_usable(in_numpy):
    program = program_of("passed", "numpy")
    feeds = feeds_of(program, 1, 2, seed=7)
    bound, x = program.bind(feeds.params), feeds.x["x"][0]
    want = bound.step(x, feeds.state)
    (stepper,) = bound._idle[x.shape]

    def interrupted():
        raise KeyboardInterrupt

    last, stepper.thunks[-1] = stepper.thunks[-1], interrupted
    with pytest.raises(KeyboardInterrupt):
        bound.step(x, want[1])
    stepper.thunks[-1] = last
    assert bound._idle[x.shape] == [stepper]
    again = bound.step(x, feeds.state)
    assert np.array_equal(again[0], want[0]) and equal(again[1], want[1])
