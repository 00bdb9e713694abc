"""A program gives the oracle's result for any shape, memory layout, thread and process, and leaks nothing."""

import gc
import threading
from functools import cache

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

import lstmgraph as lg
from lstmgraph.jit import cache as kernel_cache

NEAR = {"float32": {"rtol": 2e-5, "atol": 2e-6}, "float64": {"rtol": 1e-12, "atol": 1e-13}}
few = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@lg.cell
def lstm(x, h, c):
    c = lg.gate(c, h, x, name="forget") + lg.gate(lg.tanh_layer(h, x, name="candidate"), h, x, name="input")
    h = lg.gate(lg.tanh(c), h, x, name="output")
    return h, c


@cache
def compiled(inputs=3, hidden=7, dtype="float32", threads=2):
    return lg.compile(lstm, input_size=inputs, hidden_size=hidden, dtype=dtype, threads=threads)


def random_params(program, seed=0):
    """Return parameters none of which is zero."""
    rng = np.random.default_rng(seed)
    return {name: rng.normal(0, 0.4, v.shape).astype(v.dtype) for name, v in program.init(seed=0).items()}


def random_x(T, B, inputs=3, dtype="float32", seed=1):
    return np.random.default_rng(seed).standard_normal((T, B, inputs)).astype(dtype)


def trained(program, params, x, **options):
    """Return every array that a training step gives, by name."""
    y, state, pullback = program.vjp(params, x, **options)
    rng = np.random.default_rng(3)
    dy = rng.standard_normal(y.shape).astype(program.dtype)
    dstate = {name: rng.standard_normal(value.shape).astype(program.dtype) for name, value in state.items()}
    return named_arrays(y, state, pullback(dy, dstate=dstate))


def named_arrays(y, state, grads):
    found = {"y": y} | (grads.x if isinstance(grads.x, dict) else {"dx": grads.x})
    found |= {f"final {name}": value for name, value in state.items()}
    found |= {f"d {name}": value for name, value in grads.state.items()}
    return found | {f"d {name}": value for name, value in grads.params.items()}


def assert_equal_bits(got, want):
    assert list(got) == list(want)
    for name in want:
        assert got[name].dtype == want[name].dtype and np.array_equal(got[name], want[name]), name


def assert_near(got, want, dtype):
    """Compare a result, (y, state), with another."""
    np.testing.assert_allclose(got[0], want[0], **NEAR[dtype])
    assert list(got[1]) == list(want[1])
    for name, value in want[1].items():
        np.testing.assert_allclose(got[1][name], value, **NEAR[dtype])


@st.composite
def runs(draw):
    """Draw sizes, and maybe lengths, reset flags and initial states."""
    T, B = draw(st.integers(0, 9)), draw(st.integers(0, 6))
    inputs, hidden = draw(st.sampled_from([(1, 1), (3, 2), (9, 7), (3, 16), (5, 33)]))
    dtype = draw(st.sampled_from(["float32", "float64"]))
    rng = np.random.default_rng(draw(st.integers(0, 99)))
    options = {}
    if draw(st.booleans()):
        options["lengths"] = rng.integers(0, T + 1, B)
    if draw(st.booleans()):  # in one element type: it has kernels of its own, which take their time to compile
        options["reset"], dtype = rng.random((T, B)) < 0.3, "float64"
    if draw(st.booleans()):
        options["state"] = {name: rng.standard_normal((B, hidden)).astype(dtype) for name in ("h", "c")}
    return T, B, inputs, hidden, dtype, options


@few
@given(runs())
@example((0, 3, 3, 7, "float32", {}))
@example((5, 0, 3, 7, "float32", {"lengths": [], "reset": np.zeros((5, 0), bool)}))
@example((4, 2, 3, 7, "float32", {"lengths": [0, 0]}))
def test_any_shape_equals_the_oracle(run):
    T, B, inputs, hidden, dtype, options = run
    program = compiled(inputs, hidden, dtype)
    params, x = random_params(program), random_x(T, B, inputs, dtype)
    y, state = program(params, x, **options)
    assert y.shape == (T, B, hidden) and all(value.shape == (B, hidden) for value in state.values())
    assert y.dtype == dtype and all(value.dtype == dtype for value in state.values())
    assert_near((y, state), lg.interpret(lstm, params, x, **options), dtype)


@few
@given(runs())
@example((0, 3, 3, 7, "float64", {}))
@example((5, 0, 3, 7, "float64", {}))
def test_the_pullback_is_the_derivative_of_the_oracle(run):
    T, B, inputs, hidden, _, options = run
    program, rng = compiled(inputs, hidden, "float64"), np.random.default_rng(5)
    params, x = random_params(program), random_x(T, B, inputs, "float64")
    state = options.pop("state", {name: np.zeros((B, hidden)) for name in ("h", "c")})
    state = {name: value.astype("float64") for name, value in state.items()}
    y, final, pullback = program.vjp(params, x, state=state, **options)
    dy = rng.standard_normal(y.shape)
    dstate = {name: rng.standard_normal(value.shape) for name, value in final.items()}
    grads = pullback(dy, dstate=dstate)
    way = {name: rng.standard_normal(value.shape) for name, value in params.items()}
    dx, dstart = rng.standard_normal(x.shape), {n: rng.standard_normal(v.shape) for n, v in state.items()}

    def loss(step):
        moved = {name: value + step * way[name] for name, value in params.items()}
        start = {name: value + step * dstart[name] for name, value in state.items()}
        y, final = lg.interpret(lstm, moved, x + step * dx, state=start, **options)
        return (y * dy).sum() + sum((final[name] * dstate[name]).sum() for name in final)

    want = (loss(1e-5) - loss(-1e-5)) / 2e-5
    got = (grads.x * dx).sum() + sum((grads.state[name] * dstart[name]).sum() for name in dstart)
    got += sum((grads.params[name] * way[name]).sum() for name in way)
    assert abs(got - want) <= 1e-6 * max(1, abs(want))


LAYOUTS = {
    "every other step": lambda x: np.repeat(x, 2, axis=0)[::2],
    "every other feature": lambda x: np.repeat(x, 2, axis=-1)[..., ::2],
    "backwards": lambda x: x[::-1].copy()[::-1],
    "batch first": lambda x: np.ascontiguousarray(x.swapaxes(0, 1)).swapaxes(0, 1) if x.ndim > 1 else x,
    "Fortran order": np.asfortranarray,
    "not aligned": lambda x: np.frombuffer(b"-" + x.tobytes(), np.uint8)[1:].view(x.dtype).reshape(x.shape),
}
OTHER_TYPES = {
    "float64": lambda x: x.astype("float64"),
    "big-endian": lambda x: x.astype(">f4"),
    "list": lambda x: x.tolist(),
    "long double": lambda x: x.astype(np.longdouble),
    "masked array": np.ma.masked_array,
}


def read_only(array):
    array = array.copy()
    array.flags.writeable = False
    return array


@pytest.mark.parametrize(
    "form", [*LAYOUTS.values(), *OTHER_TYPES.values(), read_only], ids=[*LAYOUTS, *OTHER_TYPES, "read-only"]
)
def test_the_layout_and_type_of_arguments_make_no_difference(form):
    program = compiled()
    params, x = random_params(program), random_x(6, 4)
    state = {name: random_x(1, 4, 7, seed=4)[0] for name in ("h", "c")}
    want = trained(program, params, x, state=state)
    assert_equal_bits(trained(program, params, form(x), state={n: form(v) for n, v in state.items()}), want)


@pytest.mark.parametrize("form", [*LAYOUTS.values(), read_only], ids=[*LAYOUTS, "read-only"])
def test_the_layout_of_parameters_and_cotangents_makes_no_difference(form):
    program = compiled()
    params, x = random_params(program), random_x(6, 4)
    y, state, pullback = program.vjp(params, x)
    want = named_arrays(y, state, pullback(y, dstate=state))
    formed = {name: form(value) for name, value in params.items()}
    y, state, pullback = program.vjp(formed, x)
    dstate = {name: form(value) for name, value in state.items()}
    assert_equal_bits(named_arrays(y, state, pullback(form(y), dstate=dstate)), want)


@pytest.mark.parametrize("kind", ["int8", "uint64", ">i4", "list"])
def test_the_type_of_lengths_makes_no_difference(kind):
    program, lengths = compiled(), np.array([6, 0, 3, 1])
    params, x = random_params(program), random_x(6, 4)
    other = lengths.tolist() if kind == "list" else lengths.astype(kind)
    assert_equal_bits(trained(program, params, x, lengths=other), trained(program, params, x, lengths=lengths))


def test_what_stands_in_padding_is_never_read():
    program, lengths = compiled(), np.array([6, 0, 3, 1])
    params, x, dy = random_params(program), random_x(6, 4), random_x(6, 4, 7)
    padding = np.arange(6)[:, None] >= lengths
    y, state, pullback = program.vjp(params, np.where(padding[..., None], np.float32(0), x), lengths=lengths)
    want = named_arrays(y, state, pullback(np.where(padding[..., None], np.float32(0), dy)))
    assert not want["y"][padding].any() and not want["dx"][padding].any()
    y, state, pullback = program.vjp(params, np.where(padding[..., None], np.float32("nan"), x), lengths=lengths)
    assert_equal_bits(named_arrays(y, state, pullback(np.where(padding[..., None], np.float32("nan"), dy))), want)


def test_arguments_are_not_written_to():
    program = compiled()
    params, x = random_params(program), random_x(6, 4)
    given = {"x": x, "h": random_x(1, 4, 7)[0], "lengths": np.array([6, 0, 3, 1]), **params}
    before = {name: value.copy() for name, value in given.items()}
    trained(program, params, x, state={"h": given["h"]}, lengths=given["lengths"])
    assert_equal_bits(given, before)


def test_a_result_is_the_callers_own():
    """What is done to the results of one call is seen by no later call."""
    program = compiled()
    params, x = random_params(program), random_x(6, 4)
    y, state = program(params, x)
    kept = y.copy()
    y[:] = np.nan
    for value in state.values():
        value[:] = np.nan
    assert np.array_equal(program(params, x)[0], kept)


def test_no_number_of_steps_or_rows_compiles_again(monkeypatch):
    program = compiled(inputs=5, hidden=11)
    params = random_params(program)
    trained(program, params, random_x(2, 2, 5))
    trained(program, params, random_x(2, 2, 5), lengths=[1, 2])
    found = []
    monkeypatch.setattr(kernel_cache, "on_compile", found.append)
    modules = len(kernel_cache._modules)
    for T in (1, 7, 64, 300):
        for B in (1, 3, 32):
            trained(program, params, random_x(T, B, 5))
            trained(program, params, random_x(T, B, 5), lengths=[T // 2] * B)
    assert not found and len(kernel_cache._modules) == modules


@lg.cell
def uneven(x, h, c):
    """Layers of different widths, two levels, a vector beside the matrices: reductions of all sizes side by side."""
    f = lg.sigmoid(lg.linear(h, x, name="forget", size="C") + lg.parameter("peephole", shape=("C",)) * c)
    c = f * c + (1 - f) * lg.tanh_layer(h, x, name="candidate", size="C")
    return lg.tanh_layer(c=c, x=x, name="projection", size="P", bias=False), c


@lg.cell
def gru_reset_before(x, h):
    """Two levels, of two layers and of one: threads that are not in step must not share working memory."""
    r = lg.sigmoid_layer(h, x, name="reset")
    z = lg.sigmoid_layer(h, x, name="update")
    n = lg.tanh_layer(h=r * h, x=x, name="candidate")
    return z * h + (1 - z) * n


@pytest.mark.parametrize("options", [{}, {"lengths": [*range(0, 96, 6)] * 2}], ids=["full", "lengths"])
@pytest.mark.parametrize(
    "cell, sizes",
    [(lstm, {"hidden_size": 65}), (uneven, {"C": 130, "P": 65}), (gru_reset_before, {"hidden_size": 50})],
    ids=["lstm", "uneven", "gru_reset_before"],
)
def test_any_number_of_threads_gives_the_same_bits(cell, sizes, options):
    x = random_x(96, 32, 33)
    programs = [lg.compile(cell, input_size=33, threads=threads, **sizes) for threads in (1, 2, 4, 5)]
    params = random_params(programs[0])
    want = trained(programs[0], params, x, **options)
    for _ in range(30):  # two threads that write to one place do not meet every time
        for program in programs[1:]:
            assert_equal_bits(trained(program, params, x, **options), want)


def test_two_programs_in_turn_do_not_meet():
    first, second = compiled(3, 7), compiled(3, 16)
    x = random_x(9, 5)
    params = [random_params(program) for program in (first, second)]
    want = [trained(first, params[0], x), trained(second, params[1], x)]
    ys = [program.vjp(p, x) for program, p in zip((first, second), params, strict=True)]
    for got, expected in zip(ys, want, strict=True):
        assert np.array_equal(got[0], expected["y"])
    again = [trained(first, params[0], x), trained(second, params[1], x)]
    for got, expected in zip(again, want, strict=True):
        assert_equal_bits(got, expected)


def test_threads_through_one_program_at_once_get_the_serial_result():
    program = compiled(33, 65)
    params = random_params(program)
    batches = [random_x(20, 16, 33, seed=seed) for seed in range(4)]
    want = [trained(program, params, x) for x in batches]
    errors, start = [], threading.Barrier(4)

    def work(number):
        try:
            start.wait()
            for _ in range(8):
                assert_equal_bits(trained(program, params, batches[number]), want[number])
        except BaseException as error:
            errors.append(error)

    workers = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert not errors


def test_threads_that_begin_with_a_cold_program_get_the_same_bits():
    """Plans and packed weights are made once, whoever comes first."""
    program = lg.compile(lstm, input_size=3, hidden_size=7, threads=2)
    params, x = random_params(program), random_x(6, 4)
    want = trained(compiled(), params, x)
    found, start = [], threading.Barrier(4)

    def work():
        start.wait()
        found.append(trained(program, params, x))

    workers = [threading.Thread(target=work) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert len(found) == 4
    for got in found:
        assert_equal_bits(got, want)


def test_pullbacks_of_one_program_do_not_meet_and_may_be_called_again():
    program = compiled()
    params = random_params(program)
    batches = [random_x(9, 5, seed=seed) for seed in range(3)]
    want = [named_arrays(y, s, pull(np.ones_like(y))) for y, s, pull in (program.vjp(params, x) for x in batches)]
    held = [program.vjp(params, x) for x in batches]
    for _ in range(2):
        for (y, state, pullback), expected in zip(reversed(held), reversed(want), strict=True):
            assert_equal_bits(named_arrays(y, state, pullback(np.ones_like(y))), expected)


def test_a_pullback_outlives_its_program_and_its_arguments():
    program = lg.compile(lstm, input_size=3, hidden_size=7)
    params, x, dy = random_params(program), random_x(9, 5), random_x(9, 5, 7)
    want = program.vjp(params, x)[2](dy).params
    pullback = program.vjp(params, x)[2]
    del program, params, x
    gc.collect()
    assert_equal_bits(pullback(dy).params, want)


@pytest.mark.parametrize("form", ["call", "bind", "gradients"])
def test_parameters_that_were_one_array_in_a_call_are_two_in_the_next(form):
    program, x = compiled(5, 5, threads=1), random_x(4, 3, 5)
    params = random_params(program)
    both = params | {"input.W_x": params["forget.W_x"], "output.W_h": params["forget.W_h"]}
    dy = random_x(4, 3, 5, seed=2)

    def results(run, given):
        if form == "gradients":
            y, state, grads = run.value_and_gradients(given, x, dy, wrt=("params", "x", "state"))
            return named_arrays(y, state, grads)
        y, state = run(given, x) if form == "call" else run.bind(given)(x)
        return {"y": y, **state}

    fresh = lg.compile(lstm, input_size=5, hidden_size=5, threads=1)
    want = results(fresh, params)
    results(program, both)
    assert_equal_bits(results(program, params), want)


def test_a_pullback_does_not_see_what_becomes_of_the_dictionaries_of_its_call():
    program, x = compiled(threads=1), random_x(4, 3)
    params, dy = random_params(program), random_x(4, 3, 7, seed=2)
    state = {name: random_x(1, 3, 7, seed=3)[0] for name in ("h", "c")}
    want = program.vjp(params, {"x": x}, state=dict(state))[2](dy)
    given = {"x": x}
    pullback = program.vjp(params, given, state=state)[2]
    given["x"] = random_x(6, 2)
    del state["c"]
    assert_equal_bits(named_arrays(dy, {}, pullback(dy)), named_arrays(dy, {}, want))


@pytest.mark.parametrize("form", ["call", "gradients", "pullback"])
def test_an_argument_that_is_a_result_is_as_given_where_rows_end_early(form):
    @lg.cell
    def passing(x, dt, /, h):
        return {"y": x, "z": dt * h, "h": lg.tanh_layer(h, x, name="mix")}

    program = lg.compile(passing, input_size=3, hidden_size=2, dt=1)
    params, x = random_params(program), random_x(5, 4)
    inputs, lengths = {"x": x, "dt": random_x(5, 4, 1, seed=2)}, np.array([2, 5, 0, 3])
    state = {"h": random_x(1, 4, 2, seed=3)[0]}
    dy = {"z": random_x(5, 4, 2, seed=4)}
    if form == "call":
        y, final = program(params, inputs, state=state, lengths=lengths)
    elif form == "gradients":
        y, final, _ = program.value_and_gradients(params, inputs, dy, state=state, lengths=lengths)
    else:
        y, final, pullback = program.vjp(params, inputs, state=state, lengths=lengths)
        grads, again = pullback(dy), pullback(dy)
        assert_equal_bits(named_arrays(y["y"], final, again), named_arrays(y["y"], final, grads))
    want, last = lg.interpret(passing, params, inputs, state=state, lengths=lengths)
    valid = np.arange(5)[:, None] < lengths
    assert np.array_equal(y["y"], np.where(valid[..., None], x, 0))
    assert np.allclose(y["z"], want["z"], **NEAR["float32"]) and not y["z"][~valid].any()
    assert np.allclose(final["h"], last["h"], **NEAR["float32"])
    assert np.array_equal(final["h"][2], state["h"][2])


def test_a_bound_program_is_a_snapshot_of_its_parameters():
    program, x = compiled(), random_x(9, 5)
    params = random_params(program)
    bound, later = program.bind(params), program.bind(params)
    before = bound(x)[0].copy()
    for value in params.values():
        value += 1
    assert np.array_equal(bound(x)[0], before)
    assert np.array_equal(later(x)[0], before)
