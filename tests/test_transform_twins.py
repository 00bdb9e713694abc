"""Modified cells against their twins: cells of the catalogue, NumPy written out, and differences of their gradients."""

import modifiers
import numpy as np
import pytest

import lstmgraph as lg

t = lg.transforms
lstm, gru, catalogue = lg.cells.lstm, lg.cells.gru, lg.cells.catalogue


def assert_equal(cell, twin, rename=lambda name: name, extra=None, tolerance=1e-12, **sizes):
    """Assert that a cell means what its twin means; `rename` is from the cell's parameters to those of the twin."""
    program = modifiers.program_of(cell, **sizes)
    params, x = modifiers.random_call(program, steps=5, batch=3)
    renamed = {rename(name): value for name, value in params.items()} | (extra(params) if extra else {})
    assert set(renamed) == set(twin.parameters)
    (y, state), (expected, last) = lg.interpret(cell, params, x), lg.interpret(twin, renamed, x)
    np.testing.assert_allclose(y, expected, rtol=0, atol=tolerance)
    for name, value in last.items():
        np.testing.assert_allclose(state[name], value, rtol=0, atol=tolerance)


def test_the_same_equations_are_the_same_graph():
    assert t.couple(lstm, input="forget").digest == catalogue["coupled_lstm"].digest
    assert t.projection(lstm).digest == catalogue["projected_lstm"].digest
    assert t.without_gate(lstm, "forget").digest == catalogue["original_lstm"].digest


def test_a_peephole_lstm_is_that_of_the_catalogue():
    assert_equal(t.peephole(lstm), catalogue["peephole_lstm"])
    assert t.peephole(lstm).parameters["forget.peephole"].attr("init") == ("zeros",)
    plain = modifiers.program_of(t.peephole(lstm))
    params, x = plain.init(seed=3), np.random.default_rng(0).standard_normal((4, 2, 4))
    weights = {name: value for name, value in params.items() if not name.endswith("peephole")}
    assert np.array_equal(lg.interpret(t.peephole(lstm), params, x)[0], lg.interpret(lstm, weights, x)[0])


def test_a_layer_norm_lstm_is_that_of_the_catalogue():
    def rename(name):
        layer, _, rest = name.partition(".")
        if layer == "c":
            return f"cell_norm.{rest.removeprefix('norm.')}"
        if rest.startswith("norm_"):
            return f"{layer}_{rest[5]}_norm.gain"
        return f"{layer}_{rest[2]}.{rest}" if rest.startswith("W") else f"{layer}_h_norm.b"

    def other_bias(params):
        return {f"{gate}_x_norm.b": np.zeros(4) for gate in ("forget", "input", "candidate", "output")}

    assert_equal(t.layer_norm(lstm, each="product", states="c"), catalogue["layer_norm_lstm"], rename, other_bias)


def test_sums_are_normalised_as_in_the_catalogue(in_numpy):
    def rename(name):
        return {"hidden.norm.gain": "norm.gain", "hidden.b": "norm.b"}.get(name, name)

    assert_equal(t.layer_norm(lg.cells.rnn), catalogue["layer_norm_rnn"], rename)

    def moved(name):
        layer, _, rest = name.partition(".")
        return name if rest.startswith("W") else f"{layer}_norm.{rest.removeprefix('norm.')}"

    def cell_norm(params):  # far from where the two differ: TF's carries the normalised cell state on
        return {"cell_norm.gain": np.ones(4), "cell_norm.b": np.zeros(4)}

    cell, twin = t.layer_norm(lstm), catalogue["layer_norm_basic_lstm"]
    program = modifiers.program_of(cell)
    params, x = modifiers.random_call(program, steps=1)
    layers = ["forget", "input", "candidate"]
    seen = program.record(params, x, [*layers, "output"])
    renamed = {moved(name): value for name, value in params.items()} | cell_norm(params)
    renamed["forget_norm.b"] = renamed["forget_norm.b"] - 1.0  # TF adds 1 to what the forget gate sees
    values = {name: modifiers.program_of(twin).record(renamed, x, [f"{name}_norm"])[f"{name}_norm"] for name in layers}
    assert np.allclose(np.tanh(values["candidate"]), seen["candidate"], atol=1e-12)
    assert np.allclose(1 / (1 + np.exp(-values["input"])), seen["input"], atol=1e-12)
    assert np.allclose(1 / (1 + np.exp(-values["forget"] - 1)), seen["forget"], atol=1e-12)


def test_a_layer_norm_gru_is_that_of_the_catalogue():
    """There 1 - z keeps the old state: what the update gate sees has the other sign."""
    names = {"reset": "reset_{}", "update": "update_{}", "candidate_h": "candidate_{}", "candidate_x": "candidate_{}"}
    cell = t.layer_norm(gru, each="product")
    program = modifiers.program_of(cell)
    params, x = modifiers.random_call(program)
    twin = {}
    for name, value in params.items():
        layer, _, rest = name.partition(".")
        sign = -1.0 if layer == "update" and not rest.startswith("W") else 1.0
        place = rest[5] if rest.startswith("norm_") else rest[2] if rest.startswith("W") else layer[-1]
        owner = names[layer].format(place if layer[:9] != "candidate" or rest != "b" else layer[-1])
        if rest.startswith("W"):
            twin[f"{owner}.{rest}"] = value
        elif rest == "b" and not layer.startswith("candidate"):
            twin |= {f"{layer}_h_norm.b": sign * value, f"{layer}_x_norm.b": 0 * value}
        else:
            twin[f"{owner}_norm.{'b' if rest == 'b' else 'gain'}"] = sign * value
    expected, _ = lg.interpret(catalogue["layer_norm_gru"], twin, x)
    np.testing.assert_allclose(lg.interpret(cell, params, x)[0], expected, rtol=0, atol=1e-12)


def test_diagonal_and_multiplicative_cells_are_those_of_the_catalogue():
    assert_equal(t.diagonal(lstm), catalogue["indy_lstm"], lambda name: name.replace("u_h", "u"))

    def rename(name):
        return name if name.startswith("multiplier") else name.replace("W_h", "W_m")

    assert_equal(t.multiplicative(lstm), catalogue["multiplicative_lstm"], rename)


def test_an_activation_or_gate_that_is_left_out_is_left_out():
    @lg.cell
    def by_hand(x, h, c):
        candidate = lg.linear(h, x, name="candidate")
        c = lg.gate(c, h, x, name="forget") + candidate
        return lg.gate(c, h, x, name="output"), c

    cell = t.without_activation(t.without_gate(lstm, "input"), "candidate", "c")
    assert_equal(cell, by_hand)
    both = t.without_gate(lstm, "input", "output")
    assert both.name == "without_input_output_lstm" and "input" not in both.graph.graph["labels"]
    assert not [name for name in both.parameters if name.startswith(("input", "output"))]
    assert_equal(t.without_gate(gru, "reset"), _gru_without_reset())
    assert_equal(t.without_gate(gru, "update"), _held())


def _gru_without_reset():
    @lg.cell
    def free(x, h):
        z = lg.sigmoid_layer(h, x, name="update")
        n = lg.tanh(lg.linear(x, name="candidate_x") + lg.linear(h, name="candidate_h"))
        return (1 - z) * n + z * h

    return free


def _held():
    """A GRU that updates nothing still computes 0 * n, for NaN must pass."""

    @lg.cell
    def held(x, h):
        r = lg.sigmoid_layer(h, x, name="reset")
        return 0 * lg.tanh(lg.linear(x, name="candidate_x") + r * lg.linear(h, name="candidate_h")) + h

    return held


def test_low_rank_and_normalised_weights_are_plain_cells_with_those_weights():
    x = np.random.default_rng(1).standard_normal((4, 3, 4))
    forms = {t.low_rank(gru, "R"): 0, t.weight_norm(gru): 6, t.weight_norm(gru, "reset"): 2}
    for cell, gains in forms.items():
        sizes = {"R": 2} if "low" in cell.name else {}
        params, _ = modifiers.random_call(modifiers.program_of(cell, **sizes))
        assert sum(name.endswith("gain") for name in params) == gains
        plain = {}
        for name in gru.parameters:
            if f"{name}.left" in params:
                plain[name] = params[f"{name}.left"] @ params[f"{name}.right"]
            elif f"{name}.gain" in params:
                v = params[name]
                plain[name] = params[f"{name}.gain"] * v / np.sqrt((v * v).sum(axis=0))
            else:
                plain[name] = params[name]
        np.testing.assert_allclose(lg.interpret(cell, params, x)[0], lg.interpret(gru, plain, x)[0], atol=1e-12)


def test_the_reset_state_of_a_gru_is_read_through_modifiers():
    """``r * h`` reads h: it is dropped, multiplied and made diagonal like h itself."""
    cell = catalogue["gru_reset_before"]
    assert list(t.diagonal(cell).parameters)[:2] == ["reset.u_h", "reset.W_x"]
    assert "candidate.u_h" in t.diagonal(cell).parameters

    @lg.cell
    def by_hand(x, h):
        m = lg.linear(x, name="multiplier_x", bias=False) * lg.linear(h, name="multiplier_h", bias=False)
        r, z = lg.sigmoid_layer(h=m, x=x, name="reset"), lg.sigmoid_layer(h=m, x=x, name="update")
        return z * h + (1 - z) * lg.tanh_layer(h=r * m, x=x, name="candidate")

    assert_equal(t.multiplicative(cell), by_hand)


def test_states_are_clipped_before_they_are_read():
    cell = t.clip_states(lstm, -0.1, 0.2, states="c")

    @lg.cell
    def by_hand(x, h, c):
        new = lg.gate(c, h, x, name="forget") + lg.gate(lg.tanh_layer(h, x, name="candidate"), h, x, name="input")
        c = lg.minimum(lg.maximum(new, -0.1), 0.2)
        return lg.gate(lg.tanh(c), h, x, name="output"), c

    assert_equal(cell, by_hand)
    params, x = modifiers.random_call(modifiers.program_of(cell), steps=9)
    c = lg.interpret(cell, params, x)[1]["c"]
    assert c.min() == -0.1 and c.max() == 0.2

    @lg.cell
    def passed(x, h, k):
        return lg.tanh_layer(h, x, name="hidden") * k, k

    y, state = lg.interpret(t.clip_states(passed, 0.5, states="k"), {"hidden.W_h": np.ones((1, 1)), "hidden.W_x":
        np.ones((1, 1)), "hidden.b": np.ones(1)}, np.ones((1, 1, 1)), state={"k": np.full((1, 1), 2.0)})  # fmt: skip
    assert state["k"] == 0.5 and y > 1  # what the step reads is the state as it came


# ---- gradients


def test_gradients_are_clipped_on_their_way_through_time(in_numpy):
    """A linear cell, whose gradient is known: clipped at each step, as written out here."""

    @lg.cell
    def linear(x, h):
        return lg.linear(h, x, name="sum")

    limit, cell = 0.3, t.clip_gradients(linear, 0.3)
    program = modifiers.program_of(cell)
    params, x = modifiers.random_call(program)
    y, _, pullback = program.vjp(params, x)
    assert np.array_equal(y, modifiers.program_of(linear)(params, x)[0])
    dy = np.random.default_rng(5).standard_normal(y.shape)
    got, flow, dW, dx = pullback(dy), np.zeros((2, 4)), np.zeros((4, 4)), np.zeros_like(x)
    previous = np.concatenate([np.zeros((1, 2, 4)), y[:-1]])
    for step in range(len(x) - 1, -1, -1):
        clipped = np.clip(dy[step] + flow, -limit, limit)
        dW, dx[step] = dW + previous[step].T @ clipped, clipped @ params["sum.W_x"].T
        flow = clipped @ params["sum.W_h"].T
    np.testing.assert_allclose(got.params["sum.W_h"], dW, rtol=1e-12)
    np.testing.assert_allclose(got.x, dx, rtol=1e-12)
    np.testing.assert_allclose(got.state["h"], flow, rtol=1e-12)
    assert not np.allclose(got.x, modifiers.program_of(linear).vjp(params, x)[2](dy).x)


def test_forward_mode_does_not_see_that_gradients_are_clipped(in_numpy):
    cell = t.clip_gradients(lstm, 0.01)
    program, plain = modifiers.program_of(cell), modifiers.program_of(lstm)
    params, x = modifiers.random_call(program)
    direction = {name: np.ones_like(value) for name, value in params.items()}
    for one, other in zip(program.jvp(params, x, direction), plain.jvp(params, x, direction), strict=True):
        for key, value in modifiers.outputs_of(one).items():
            np.testing.assert_allclose(value, modifiers.outputs_of(other)[key], atol=1e-14)
    lg.check_gradients(t.clip_gradients(gru, 1e6), hidden_size=3, steps=3, batch=2)  # wide limits: the derivative


CHECKED = {
    "layer_norm": t.layer_norm(lstm, each="product", states="c"),
    "peephole": t.peephole(gru, "h"),
    "projection": t.projection(lstm, size=2),
    "multiplicative": t.multiplicative(gru),
    "highway": t.highway(lstm, project=True),
    "low_rank": t.low_rank(gru, 2),
    "weight_norm": t.weight_norm(lstm),
    "diagonal": t.diagonal(gru),
    "outputs": t.outputs(lstm, "c", "forget"),
    "without": t.without_activation(t.without_gate(lstm, "forget"), "candidate"),
    "stack": t.residual(t.layer_norm(t.weight_norm(t.multiplicative(t.couple(lstm, input="forget")))), project=True),
}


@pytest.mark.parametrize("name", list(CHECKED))
def test_gradients_are_derivatives(name, in_numpy):
    second = name in ("stack", "weight_norm")
    lg.check_gradients(CHECKED[name], hidden_size=4, steps=3, batch=2, second_order=second, tolerance=1e-7)


@pytest.mark.parametrize("name", ["layer_norm", "weight_norm", "stack", "outputs"])
def test_all_forms_agree_in_ragged_batches(name, in_numpy):
    lg.assert_same(CHECKED[name], hidden_size=4, compiled=False, forms=("lengths", "reset"))
