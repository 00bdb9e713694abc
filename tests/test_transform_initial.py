"""Learned initial states: their gradient, resets, lengths, states given, directions, and cells inside others."""

import modifiers
import numpy as np
import pytest

import lstmgraph as lg

t = lg.transforms
CELL = t.learned_initial_state(lg.cells.lstm)
ONE = t.learned_initial_state(lg.cells.lstm, "c")
STARTS = ("h.initial", "c.initial")


def call(cell=CELL, steps=4, batch=3):
    program = modifiers.program_of(cell)
    return program, *modifiers.random_call(program, steps, batch)


def without_starts(params):
    """Return the parameters of the plain cell, and the states that the learned ones are."""
    state = {name[0]: np.broadcast_to(params[name], (3, 4)) for name in STARTS if name in params}
    return {name: value for name, value in params.items() if not name.endswith("initial")}, state


@pytest.mark.parametrize("form", ["plain", "lengths", "reset"])
@pytest.mark.parametrize("cell", [CELL, ONE], ids=["both", "one"])
def test_a_learned_start_is_that_state_given(cell, form, in_numpy):
    program, params, x = call(cell)
    plain, state = without_starts(params)
    twin = modifiers.program_of(lg.cells.lstm)
    lengths = None if form == "plain" else [4, 0, 2]
    y, last, pullback = program.vjp(params, x, lengths=lengths)
    expected, final, back = twin.vjp(plain, x, state=state, lengths=lengths)
    np.testing.assert_allclose(y, expected, rtol=1e-12, atol=1e-14)
    for name, value in final.items():
        np.testing.assert_allclose(last[name], value, rtol=1e-12, atol=1e-14)
    dy = np.random.default_rng(0).standard_normal(y.shape)
    got, wanted = pullback(dy, {"c": dy[0]}), back(dy, {"c": dy[0]})
    for name, value in wanted.params.items():
        np.testing.assert_allclose(got.params[name], value, rtol=1e-11, atol=1e-13)
    for name in state:
        np.testing.assert_allclose(
            got.params[f"{name}.initial"], wanted.state[name].sum(axis=0), rtol=1e-11, atol=1e-13
        )
    np.testing.assert_allclose(got.x, wanted.x, rtol=1e-11, atol=1e-13)
    for name in ("h", "c"):
        expected = np.zeros((3, 4)) if name in state else wanted.state[name]
        np.testing.assert_allclose(got.state[name], expected, rtol=1e-11, atol=1e-13)


@pytest.mark.parametrize("options", [{}, {"lengths": [4, 0, 2]}, {"lengths": [3, 4, 2], "reset": True}], ids=str)
def test_the_gradient_of_a_start_is_the_derivative(options, in_numpy):
    program, params, x = call()
    if options.get("reset"):
        options = options | {"reset": np.arange(12).reshape(4, 3) % 5 == 2}
    y, _, pullback = program.vjp(params, x, **options)
    dy = np.random.default_rng(1).standard_normal(y.shape)
    got, h = pullback(dy), 1e-6
    for name in STARTS:
        along = np.random.default_rng(2).standard_normal(4)
        high, low = (
            (lg.interpret(CELL, params | {name: params[name] + s * h * along}, x, **options)[0] * dy).sum()
            for s in (1, -1)
        )
        assert (got.params[name] * along).sum() == pytest.approx((high - low) / (2 * h), rel=1e-7, abs=1e-9)


def test_a_reset_puts_a_row_back_to_the_learned_value(in_numpy):
    program, params, x = call()
    reset = np.zeros((4, 3), bool)
    reset[2, 1] = True
    y, last = program(params, x, reset=reset)
    late, final = program(params, x[2:])
    plain, _ = program(params, x)
    np.testing.assert_allclose(y[2:, 1], late[:, 1], rtol=1e-13)
    np.testing.assert_allclose(last["c"][1], final["c"][1], rtol=1e-13)
    np.testing.assert_allclose(y[:, ::2], plain[:, ::2], rtol=1e-13)
    assert not np.allclose(y[2:, 1], plain[2:, 1])
    np.testing.assert_allclose(lg.interpret(CELL, params, x, reset=reset)[0], y, rtol=1e-12, atol=1e-14)


def test_a_state_that_is_given_counts_before_the_learned_one(in_numpy):
    program, params, x = call()
    plain, starts = without_starts(params)
    given = {"h": np.full((3, 4), 0.3)}
    y, _, pullback = program.vjp(params, x, state=given)
    expected, _ = lg.interpret(lg.cells.lstm, plain, x, state=starts | given)
    np.testing.assert_allclose(y, expected, rtol=1e-12, atol=1e-14)
    gradients = pullback(np.ones_like(y))
    assert not gradients.params["h.initial"].any() and gradients.params["c.initial"].any()
    assert gradients.state["h"].any() and not gradients.state["c"].any()
    both, _, back = program.vjp(params, x, state={"h": starts["h"], "c": starts["c"]})
    np.testing.assert_allclose(both, program(params, x)[0], rtol=1e-12, atol=1e-14)
    assert not back(np.ones_like(both)).params["c.initial"].any()


def test_steps_and_bound_calls_start_there_too(in_numpy):
    program, params, x = call()
    whole, last = program(params, x)
    bound, state = program.bind(params), None
    for step in range(4):
        y, state = bound.step(x[step], state)
        assert np.array_equal(y, whole[step])
    assert np.array_equal(state["c"], last["c"])
    empty, start = program(params, x[:0])
    assert empty.shape == (0, 3, 4) and np.array_equal(start["c"], np.tile(params["c.initial"], (3, 1)))


@pytest.mark.parametrize("lengths", [None, [4, 0, 2]])
def test_a_reversed_recur_starts_there_at_each_rows_end(lengths, in_numpy):
    @lg.network
    def back(x):
        return lg.recur(CELL, x, size=4, name="r", reverse=True)

    program = lg.compile(back, input_size=4, dtype="float64", threads=1)
    params, x = modifiers.random_call(program, steps=4, batch=3)
    inner = {name.removeprefix("r."): value for name, value in params.items()}
    y, _ = program(params, x, lengths=lengths)
    for b, length in enumerate(lengths or [4, 4, 4]):
        expected, _ = lg.interpret(CELL, inner, x[:length, b : b + 1][::-1])
        np.testing.assert_allclose(y[:length, b], expected[::-1, 0], rtol=1e-12, atol=1e-14)
    assert back.leaves["state:r.h"].attr("initial") == "r.h.initial"
    _, _, pullback = program.vjp(params, x, lengths=lengths)
    dy = np.random.default_rng(3).standard_normal(y.shape)
    got, along, h = pullback(dy).params["r.c.initial"], np.array([0.3, -1.0, 0.7, 0.2]), 1e-6
    high, low = (
        (program(params | {"r.c.initial": params["r.c.initial"] + s * h * along}, x, lengths=lengths)[0] * dy).sum()
        for s in (1, -1)
    )
    assert (got * along).sum() == pytest.approx((high - low) / (2 * h), rel=1e-7)


def test_it_starts_at_zero_trains_and_comes_back_from_disk(tmp_path, in_numpy):
    @lg.network
    def net(x):
        return lg.linear(lg.recur(ONE, x, size=3, name="r"), size=2, name="head")

    x, y = (np.random.default_rng(seed).standard_normal((4, 3, 2)) for seed in (0, 1))
    model = lg.Model(net, loss="mean_squared_error", optimizer=lg.SGD(0.1), seed=1)
    plain, _ = without_starts(modifiers.program_of(ONE).init())
    assert set(plain) == set(lg.cells.lstm.parameters)
    model.predict(x)
    assert not model.params["r.c.initial"].any()
    model.fit(x, y, steps=2, progress=False)
    assert model.params["r.c.initial"].any()
    model.save(tmp_path / "run")
    assert np.array_equal(lg.load(tmp_path / "run").predict(x), model.predict(x))


def test_an_inlined_cell_starts_where_the_outer_one_says():
    @lg.cell
    def outer(x, h, c):
        return CELL(x, h, c, name="inner")

    assert not [name for name in outer.parameters if name.endswith("initial")]


def test_what_is_wrong_is_said():
    with pytest.raises(lg.GraphError, match=r"learned_initial_state of lstm: unknown state 'k', expected one of h, c"):
        t.learned_initial_state(lg.cells.lstm, "k")
    with pytest.raises(lg.GraphError, match=r"learned_initial_state of .*: the cell has 'c\.initial' already"):
        t.learned_initial_state(ONE)
