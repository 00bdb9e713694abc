"""Modifiers that draw: what is dropped where and how often, its absence in evaluation, and its gradient."""

import modifiers
import numpy as np
import pytest

import lstmgraph as lg

t = lg.transforms
lstm, gru = lg.cells.lstm, lg.cells.gru
DRAWN = {
    "zoneout": t.zoneout(lstm, h=0.05, c=0.5),
    "recurrent_dropout": t.recurrent_dropout(lstm, 0.25),
    "recurrent_dropout_per_step": t.recurrent_dropout(gru, 0.25, per="step"),
    "input_dropout": t.input_dropout(gru, 0.25),
    "drop_connect": t.drop_connect(gru, 0.5),
    "all": t.drop_connect(t.input_dropout(t.recurrent_dropout(t.zoneout(lstm, c=0.5), 0.25), 0.25), 0.5),
}
EACH = pytest.mark.parametrize("name", list(DRAWN))


@EACH
def test_masks_are_zero_at_their_rate_and_have_their_mean(name):
    cell = DRAWN[name]
    program = lg.compile(cell, input_size=40, hidden_size=50, threads=1)
    masks = program.masks(400, 30, seed=5, step=2)
    assert set(masks) == set(cell.masks)
    for mask, node in cell.masks.items():
        rate, scale, per = node.attr("mask")
        values = masks[mask]
        assert values.dtype == np.float32 and values.flags.c_contiguous
        assert set(np.unique(values)) == {np.float32(0), np.float32(scale)}
        assert per == ("step" if mask.endswith(("update", "W_h.keep")) or name.endswith("per_step") else "sequence")
        assert scale == (1.0 if mask.endswith("update") else 1 / (1 - rate))
        if mask.endswith("W_h.keep"):
            assert values.shape == (50, 50)
        else:
            assert values.shape == (400, 30, 40 if mask.startswith("x") else 50)
            assert np.array_equal(values, np.broadcast_to(values[:1], values.shape)) == (per == "sequence")
        different = values if per == "step" or values.ndim == 2 else values[0]
        spread = 5 * np.sqrt(rate * (1 - rate) / different.size)
        assert abs(np.mean(different == 0) - rate) < spread


def test_masks_come_from_seed_step_and_name_and_from_nothing_else():
    program = modifiers.program_of(DRAWN["all"])
    one = program.masks(9, 8, seed=1, step=2)
    for key, value in program.masks(9, 8, seed=1, step=2).items():
        assert np.array_equal(value, one[key])
    for other in (program.masks(9, 8, seed=1, step=3), program.masks(9, 8, seed=2, step=2)):
        assert not any(np.array_equal(value, one[key]) for key, value in other.items())
    square = [value for key, value in one.items() if key.endswith("W_h.keep")]
    assert len(square) == 4 and not any(np.array_equal(square[0], value) for value in square[1:])
    longer = program.masks(15, 8, seed=1, step=2)
    for key, value in one.items():  # a longer call begins with the same masks
        assert np.array_equal(longer[key] if value.ndim == 2 else longer[key][:9], value)


@EACH
def test_evaluation_takes_the_mean(name, in_numpy):
    cell = DRAWN[name]
    program = modifiers.program_of(cell)
    params, x = modifiers.random_call(program)
    y, state = program(params, x)
    plain = lstm if "c" in cell.states else gru
    if not cell.name.count("zoneout"):
        expected, last = modifiers.program_of(plain)(params, x)
        assert np.array_equal(y, expected) and all(np.array_equal(state[key], last[key]) for key in last)
        return
    rates = {mask.partition(".")[0]: node.attr("mask")[0] for mask, node in cell.masks.items() if "update" in mask}

    @lg.cell
    def mixed(x, h, c):
        new_h, new_c = lstm(x, h, c)
        share = {"h": 1 - rates.get("h", 0), "c": 1 - rates["c"]}
        return share["h"] * new_h + (1 - share["h"]) * h, share["c"] * new_c + (1 - share["c"]) * c

    expected, last = lg.interpret(mixed, params, x)
    np.testing.assert_allclose(y, expected, rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(state["c"], last["c"], rtol=1e-12, atol=1e-14)


def by_hand(name):
    """Return a cell with masks as inputs, and input -> mask."""

    @lg.cell
    def zoned(x, update_h, update_c, /, h, c):
        new_h, new_c = lstm(x, h, c)
        return update_h * new_h + (1 - update_h) * h, update_c * new_c + (1 - update_c) * c

    @lg.cell
    def dropped(x, keep, /, h, c):
        seen = h * keep
        c = lg.gate(c, h=seen, x=x, name="forget") + lg.gate(
            lg.tanh_layer(h=seen, x=x, name="candidate"), h=seen, x=x, name="input"
        )
        return lg.gate(lg.tanh(c), h=seen, x=x, name="output"), c

    @lg.cell
    def dropped_gru(x, keep, /, h):
        r, z = lg.sigmoid_layer(h=h * keep, x=x, name="reset"), lg.sigmoid_layer(h=h * keep, x=x, name="update")
        above = lg.linear(h * keep, name="candidate_h")
        return (1 - z) * lg.tanh(lg.linear(x, name="candidate_x") + r * above) + z * h

    @lg.cell
    def dropped_input(x, keep, /, h):
        return gru(x * keep, h)

    return {
        "zoneout": (zoned, {"update_h": "h.update", "update_c": "c.update"}),
        "recurrent_dropout": (dropped, {"keep": "h.keep"}),
        "recurrent_dropout_per_step": (dropped_gru, {"keep": "h.keep"}),
        "input_dropout": (dropped_input, {"keep": "x.keep"}),
    }[name]


def renamed(params, cell):
    """Return parameters by the names of a cell: a single source that is no state makes a weight ``W``."""
    return {name: params.get(name, params.get(name.replace(".W", ".W_h"))) for name in cell.parameters}


@pytest.mark.parametrize("form", ["plain", "lengths", "reset"])
@pytest.mark.parametrize("name", [name for name in DRAWN if name not in ("drop_connect", "all")])
def test_training_is_the_cell_with_its_masks_as_inputs(name, form, in_numpy):
    cell, (twin, inputs) = DRAWN[name], by_hand(name)
    program = modifiers.program_of(cell)
    explicit = modifiers.program_of(twin, **dict.fromkeys(inputs, 4))
    params, x = modifiers.random_call(program, steps=4, batch=3)
    masks = program.masks(4, 3, seed=2, step=1)
    options = {} if form == "plain" else {"lengths": [4, 0, 2]}
    options |= {"reset": np.arange(12).reshape(4, 3) % 5 == 3} if form == "reset" else {}
    other = renamed(params, twin)
    given = {"x": x} | {key: masks[mask] for key, mask in inputs.items()}
    y, state, pullback = program.vjp(params, {"x": x} | masks, **options)
    expected, last, back = explicit.vjp(other, given, **options)
    np.testing.assert_allclose(y, expected, rtol=1e-12, atol=1e-14)
    dy = np.random.default_rng(3).standard_normal(y.shape)
    got, wanted = pullback(dy, {"h": last["h"]}), back(dy, {"h": last["h"]})
    np.testing.assert_allclose(got.x, wanted.x["x"], rtol=1e-10, atol=1e-13)
    assert set(got.params) == set(params)
    for key, value in got.params.items():
        np.testing.assert_allclose(renamed(got.params, twin)[key] if key in wanted.params else value,
            wanted.params.get(key, value), rtol=1e-10, atol=1e-13)  # fmt: skip
    for key, value in wanted.state.items():
        np.testing.assert_allclose(got.state[key], value, rtol=1e-10, atol=1e-13)
        np.testing.assert_allclose(state[key], last[key], rtol=1e-12, atol=1e-14)
    if form == "plain":
        direction = {key: np.cos(np.arange(value.size)).reshape(value.shape) for key, value in params.items()}
        second = program.hvp(params, {"x": x} | masks, direction, dy)
        twice = explicit.hvp(other, given, renamed(direction, twin), dy)
        np.testing.assert_allclose(second.x, twice.x["x"], rtol=1e-9, atol=1e-12)


def test_dropped_weights_are_the_weights_of_a_plain_cell(in_numpy):
    cell, plain = DRAWN["drop_connect"], gru
    program, other = modifiers.program_of(cell), modifiers.program_of(plain)
    params, x = modifiers.random_call(program)
    masks = program.masks(3, 2, seed=4)
    dropped = {name: value * masks.get(f"{name}.keep", 1.0) for name, value in params.items()}
    y, _, pullback = program.vjp(params, {"x": x} | masks)
    expected, _, back = other.vjp(dropped, x)
    np.testing.assert_allclose(y, expected, rtol=1e-12)
    got, wanted = pullback(np.ones_like(y)), back(np.ones_like(y))
    for name, value in wanted.params.items():
        np.testing.assert_allclose(got.params[name], value * masks.get(f"{name}.keep", 1.0), rtol=1e-10, atol=1e-13)
    np.testing.assert_allclose(got.x, wanted.x, rtol=1e-10, atol=1e-13)


def test_gradients_with_masks_are_derivatives(in_numpy):
    """By differences of the NumPy meaning, all masks at once."""
    cell = DRAWN["all"]
    program = modifiers.program_of(cell)
    params, x = modifiers.random_call(program)
    masks = program.masks(3, 2, seed=8)
    dy = np.random.default_rng(1).standard_normal((3, 2, 4))
    _, _, pullback = program.vjp(params, {"x": x} | masks)
    got, h = pullback(dy), 1e-5
    for name in params:
        along = np.random.default_rng(7).standard_normal(params[name].shape)
        high, low = (
            (lg.interpret(cell, params | {name: params[name] + s * h * along}, {"x": x} | masks)[0] * dy).sum()
            for s in (1, -1)
        )
        assert (got.params[name] * along).sum() == pytest.approx((high - low) / (2 * h), rel=1e-6, abs=1e-8), name


def test_the_state_itself_is_not_dropped():
    """In a GRU h is multiplied into the new state too: that one is whole."""
    cell = t.recurrent_dropout(gru, 0.5)
    params, x = modifiers.random_call(modifiers.program_of(cell))
    params["update.W_h"][:], params["update.W_x"][:], params["update.b"][:] = 0, 0, 1000
    state = {"h": np.random.default_rng(0).standard_normal((2, 4))}
    y, _ = lg.interpret(cell, params, {"x": x, "h.keep": np.zeros((3, 2, 4))}, state=state)
    assert np.array_equal(y[-1], state["h"])


@pytest.mark.parametrize("name", ["zoneout", "all"])
def test_models_draw_save_and_load(name, tmp_path, in_numpy):
    @lg.network
    def net(tokens):
        x = lg.embedding(tokens, 5, 4, name="embed")
        return lg.linear(lg.recur(DRAWN[name], x, size=4, name="r"), size=5, name="head")

    tokens = np.random.default_rng(0).integers(0, 5, (7, 3))
    whole, part, plain = (lg.Model(net, optimizer=lg.SGD(0.5), seed=seed) for seed in (2, 2, 3))
    whole.fit(tokens[:-1], tokens[1:], steps=4, progress=False)
    part.fit(tokens[:-1], tokens[1:], steps=2, progress=False)
    part.save(tmp_path / "run")
    again = lg.load(tmp_path / "run")
    assert set(again.network.masks) == set(net.masks) == {f"r.{mask}" for mask in DRAWN[name].masks}
    again.fit(tokens[:-1], tokens[1:], steps=2, progress=False)
    for key, value in whole.params.items():
        assert np.array_equal(again.params[key], value), key
    assert np.array_equal(again.predict(tokens), whole.predict(tokens))
    first = plain.fit(tokens[:-1], tokens[1:], steps=1, progress=False)[0].loss
    assert first != pytest.approx(plain.evaluate(tokens[:-1], tokens[1:])["loss"], rel=1e-6)
