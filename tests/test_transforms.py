"""Every modifier alone and after every other: the cell runs, is drawn, saved, inlined, and says what it is."""

import re
from functools import cache

import modifiers
import numpy as np
import pytest

import lstmgraph as lg
from lstmgraph.train.graph_json import from_json, to_json

t = lg.transforms
BOTH = pytest.mark.parametrize("base", list(modifiers.CELLS))
EACH = pytest.mark.parametrize("name", list(modifiers.MODIFIERS))
MATRIX = {"drop_connect", "weight_norm"}  # makes an expression of a matrix
ALWAYS = {  # what cannot follow what, beside itself
    ("zoneout", "projection"),  # a state that is kept in part has one size
    ("layer_norm_products", "layer_norm"),
    ("diagonal", "recurrent_dropout"),  # no matrix is left
    ("diagonal", "drop_connect"),
    ("diagonal", "projection"),
    ("diagonal", "multiplicative"),
    ("diagonal", "low_rank"),
    ("low_rank", "diagonal"),
    ("projection", "residual"),  # the output has another size than the input
    ("projection", "diagonal"),
    *((name, form) for name in MATRIX for form in ("low_rank", "diagonal")),
}
REFUSED = {
    # after these there is no telling which state or output is meant; a GRU has one
    "lstm": ALWAYS | {("diagonal", "peephole"), ("outputs", "residual"), ("outputs", "highway")},
    # on a GRU these take the gates of each other
    "gru": ALWAYS | {("couple", "without_gate"), ("without_gate", "couple"), ("without_activation", "couple")},
}
TWICE = {"residual", "clip_states", "clip_gradients", "outputs"}


@cache
def modified(base, *names):
    """Return a cell after some modifiers, first to last."""
    cell = modifiers.CELLS[base]
    for name in names:
        cell = modifiers.MODIFIERS[name](cell)
    return cell


def applies(base, name):
    """Whether a modifier makes sense of the plain cell: the state of a GRU is read pointwise."""
    return (base, name) != ("gru", "projection")


def assert_means_what_it_runs(cell):
    """Assert that a small program computes the NumPy meaning of its cell, in evaluation and in training."""
    program = modifiers.program_of(cell)
    params, x = modifiers.random_call(program)
    feeds = [x, {"x": x} | program.masks(3, 2, seed=1)] if cell.masks else [x]
    for given in feeds:
        (y, state), (got, last) = lg.interpret(cell, params, given), program(params, given)
        for key, value in modifiers.outputs_of(y).items():
            np.testing.assert_allclose(modifiers.outputs_of(got)[key], value, rtol=1e-11, atol=1e-12, err_msg=key)
        for key, value in state.items():
            np.testing.assert_allclose(last[key], value, rtol=1e-11, atol=1e-12, err_msg=key)


@BOTH
@EACH
def test_a_modified_cell_is_a_cell_like_any_other(base, name, in_numpy):
    if not applies(base, name):
        with pytest.raises(
            lg.GraphError, match="projection of gru: got a cell without a state that only matrices read"
        ):
            modified(base, name)
        return
    plain, cell = modifiers.CELLS[base], modified(base, name)
    assert (cell.inputs, cell.states) == (plain.inputs, plain.states) and cell.digest != plain.digest
    assert cell.name.endswith(f"_{base}")
    first = plain.__doc__.split("\n")[0].rstrip(".")
    assert cell.__doc__.startswith(f"{first}, with") and cell.__doc__.split("\n")[0].endswith(".")
    assert from_json(to_json(cell)).digest == cell.digest and list(from_json(to_json(cell)).masks) == list(cell.masks)
    assert base == "gru" or lg.draw(cell).dot.startswith("digraph")
    assert_means_what_it_runs(cell)


@BOTH
@EACH
def test_a_modified_cell_can_be_modified_again(base, name, in_numpy):
    """Traced and interpreted after every other modifier; run after the one before it in the table."""
    if not applies(base, name):
        return
    for place, second in enumerate(modifiers.MODIFIERS):
        if not applies(base, second):
            continue
        if (name, second) in REFUSED[base] or (name == second and name not in TWICE):
            with pytest.raises(lg.LstmGraphError, match=rf"{second.removesuffix('_products')}|residual_projected|gate"):
                lg.interpret(modified(base, name, second), {"none": np.ones(1)}, np.ones((2, 1, 4)))
            continue
        cell = modified(base, name, second)
        program = modifiers.program_of(cell)
        params, x = modifiers.random_call(program)
        y, state = lg.interpret(cell, params, {"x": x} | program.masks(3, 2))
        assert all(np.isfinite(value).all() for value in [*modifiers.outputs_of(y).values(), *state.values()])
        if place == (list(modifiers.MODIFIERS).index(name) + 1) % len(modifiers.MODIFIERS):
            assert_means_what_it_runs(cell)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("recurrent_dropout", "layer_norm"),
        ("zoneout", "layer_norm"),
        ("recurrent_dropout", "projection"),
        ("weight_norm", "drop_connect"),
        ("low_rank", "projection"),
        ("couple", "weight_norm"),
        ("input_dropout", "drop_connect"),
        ("learned_initial_state", "layer_norm_products"),
    ],
)
def test_what_does_not_meet_can_come_in_either_order(first, second):
    one, other = modified("lstm", first, second), modified("lstm", second, first)
    if (first, second) == ("recurrent_dropout", "projection"):
        assert {name: node.shape for name, node in one.masks.items()} == {"h.keep": ("B", 3)}
    assert one.digest == other.digest and set(one.masks) == set(other.masks)


def test_nothing_to_do_is_the_plain_cell():
    lstm, gru = modifiers.CELLS.values()
    for cell in (lstm, gru):
        assert t.zoneout(cell) is cell and t.zoneout(cell, h=0) is cell
        assert t.recurrent_dropout(cell, 0) is cell and t.recurrent_dropout(cell, 0.5, states=()) is cell
        assert t.input_dropout(cell, 0.0) is cell and t.input_dropout(cell, 0.5, inputs=[]) is cell
        assert t.drop_connect(cell, 0) is cell
        assert t.layer_norm(cell, ()) is cell and t.weight_norm(cell, []) is cell
        assert t.couple(cell) is cell and t.without_gate(cell) is cell and t.without_activation(cell) is cell
        infinity = float("inf")
        assert t.clip_states(cell, infinity) is cell and t.clip_states(cell, 1, states=()) is cell
        assert t.clip_gradients(cell, infinity) is cell and t.clip_gradients(cell, 1, layers=()) is cell
    assert t.peephole(lstm, layers=()) is lstm


def test_names_add_up_and_states_keep_their_order():
    cell = t.zoneout(t.peephole(lg.cells.lstm), c=0.5)
    assert cell.name == "zoneout_peephole_lstm" and cell.states == ("h", "c")
    assert re.match(
        r"Long short-term memory with a forget gate, with peepholes \(c to forget, input, output; Gers et al. 2002\), "
        r"with zoneout \(c 0.5; Krueger et al. 2017\)\.\n",
        cell.__doc__,
    )
    assert cell.graph.graph["lines"]  # errors still point into the cell
    assert set(lg.cells.lstm.graph.graph["labels"]) == set(cell.graph.graph["labels"])


@pytest.mark.parametrize("name", ["recurrent_dropout", "residual", "projection", "learned_initial_state", "outputs"])
def test_a_modified_cell_works_in_a_network_and_inside_another_cell(name, in_numpy):
    cell = modified("lstm", name)

    @lg.network
    def net(x):
        y = lg.recur(cell, x, size=4, name="r")
        return y if isinstance(y, dict) else lg.linear(y, size=2, name="head")

    @lg.cell
    def outer(x, h, c):
        found = cell(x, h, c, name="inner")
        h, c = (found["h"], found["c"]) if isinstance(found, dict) else found
        return {"y": h, "h": h, "c": c}

    for traced, sizes in ((net, {"input_size": 4}), (outer, {"input_size": 4, "hidden_size": 4})):
        program = lg.compile(traced, dtype="float64", threads=1, **sizes)
        params, x = modifiers.random_call(program)
        given = {"x": x} | program.masks(3, 2)
        (y, _), (got, _) = lg.interpret(traced, params, given), program(params, given)
        for key, value in modifiers.outputs_of(y).items():
            np.testing.assert_allclose(modifiers.outputs_of(got)[key], value, rtol=1e-11, atol=1e-12)
    assert set(outer.masks) == {f"inner.{mask}" for mask in cell.masks}
    assert set(net.masks) == {f"r.{mask}" for mask in cell.masks}


def test_residual_and_highway_return_their_output_beside_the_states():
    x, rng = np.ones((3, 2, 4)), np.random.default_rng(0)
    for cell in (t.residual(lg.cells.gru), t.highway(lg.cells.gru)):
        assert cell.returns == ("y", "h") and cell.outputs == ("y",)
        params = {name: rng.standard_normal(value.shape) for name, value in modifiers.program_of(cell).init().items()}
        plain = {name: params[name] for name in lg.cells.gru.parameters}
        y, state = lg.interpret(cell, params, x)
        h, last = lg.interpret(lg.cells.gru, plain, x)
        carry = 1.0
        if cell.name == "highway_gru":
            carry = 1 / (1 + np.exp(-(x @ params["transform.W_x"] + params["transform.b"])))
        expected = h + x if cell.name == "residual_gru" else carry * h + (1 - carry) * x
        np.testing.assert_allclose(y, expected, rtol=1e-12)
        np.testing.assert_array_equal(state["h"], last["h"])


def test_outputs_are_what_record_returns(in_numpy):
    cell = t.outputs(lg.cells.lstm, "c", "forget", "y")
    program, plain = modifiers.program_of(cell), modifiers.program_of(lg.cells.lstm)
    params, x = modifiers.random_call(program)
    y, state = program(params, x)
    assert list(y) == ["c", "forget", "y"] and np.array_equal(y["c"][-1], state["c"])
    assert np.array_equal(y["y"], plain(params, x)[0])
    assert np.array_equal(y["forget"], plain.record(params, x, ["forget"])["forget"])
    one, _ = modifiers.program_of(t.outputs(lg.cells.lstm, "c"))(params, x)
    assert np.array_equal(one, y["c"])


@pytest.mark.parametrize("name", ["gru", "two_outputs"])
def test_bidirectional_is_both_directions_side_by_side(name, in_numpy):
    @lg.cell
    def two_outputs(x, h):
        new = lg.tanh_layer(h, x, name="new")
        return {"y": new, "z": 2 * new - h, "h": new}

    cell = {"gru": lg.cells.gru, "two_outputs": two_outputs}[name]

    @lg.network
    def both(x):
        return lg.bidirectional(cell, x, size=3, name="b")

    @lg.network
    def backward(x):
        return lg.recur(cell, x, size=3, name="b.backward", reverse=True)

    program, alone = (lg.compile(each, input_size=4, dtype="float64", threads=1) for each in (both, backward))
    params, x = modifiers.random_call(program)
    assert {key.split(".")[1] for key in params} == {"forward", "backward"} and len(both.states) == 2
    lengths = [3, 1]
    y, _ = program(params, x, lengths=lengths)
    part, _ = alone({key: value for key, value in params.items() if key in backward.parameters}, x, lengths=lengths)
    for key, value in modifiers.outputs_of(y).items():
        assert value.shape == (3, 2, 6)
        np.testing.assert_array_equal(value[..., 3:], modifiers.outputs_of(part)[key])
        assert not np.allclose(value[..., :3], value[..., 3:])
    lg.check_gradients(both, hidden_size=3, steps=3, batch=2, second_order=False)
