"""Forward mode: the derivative along a direction is that of the equations, and the transpose of the pullback."""

import importlib.util
from functools import cache
from pathlib import Path

import networkx as nx
import numpy as np
import pytest

import lstmgraph as lg
from lstmgraph.border import symbols_of
from lstmgraph.errors import GraphError, LstmGraphError
from lstmgraph.graph import keys_of, node_of, operands
from lstmgraph.ops.contract import Glyph, pointwise
from lstmgraph.plugins import ops
from lstmgraph.testing import random_feeds


def _beside(name):
    """Return a module of this folder; tests are imported one by one, not as a package."""
    spec = importlib.util.spec_from_file_location(name, Path(__file__).with_name(f"{name}.py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


cells, one_op = _beside("cells_for_tests"), _beside("test_ops")
CATALOGUE = """antisymmetric clockwork_rnn coupled_lstm gru gru_reset_before highway indrnn janet layer_norm_lstm lmu
    ltc lstm mgu mogrifier_lstm multiplicative_lstm nested_lstm on_lstm peephole_lstm phased_lstm projected_lstm ran sru
    skip_lstm time_aware_lstm unicornn""".split()
NAMES = [*cells.AWKWARD, *(name for name in cells.CATALOGUE if name in CATALOGUE)]


def hides_a_gradient(cell):
    """Whether its gradient is not the derivative on purpose: stop_gradient of more than the maximum in a softmax."""
    stopped = [operands(cell.graph, key)[0] for key in keys_of(cell.graph, "stop_gradient")]
    return any(node_of(cell.graph, key).op != "row_max" for key in stopped)


@lg.network
def two_ways(tokens, z):
    """Two inputs, two recurs, one reversed, over one embedding, and a head; results are read more than once."""
    x = lg.embedding(tokens, 6, 4, name="embed")
    ahead = lg.recur(lg.cells.catalogue["lstm"], x, size="H", name="ahead")
    back = lg.recur(lg.cells.catalogue["mgu"], lg.concat(ahead, z), size=3, name="back", reverse=True)
    mixed = lg.sigmoid_layer(ahead=ahead, back=back, name="mixed", size=3) * back
    return {"head": lg.linear(mixed=mixed, ahead=ahead, name="head", size=2), "back": back, "z": lg.row_sum(z)}


def small(cell, bound):
    """Return a program with those of the sizes that the cell has."""
    known = {"I": "input_size", "H": "hidden_size"}
    sizes = {known.get(symbol, symbol) for symbol in symbols_of(cell)}
    return lg.compile(cell, dtype="float64", threads=1, **{name: bound[name] for name in bound if name in sizes})


@cache
def program_of(name):
    return small(cells.CASES[name].cell, cells.CASES[name].bound(5))


def test_directions_that_are_empty_move_nothing(in_numpy):
    program = lg.compile(lg.cells.lstm, input_size=3, hidden_size=4)
    params, x = program.init(seed=0), np.ones((2, 3, 3))
    plain = program.jvp(params, x, params)
    empty = program.jvp(params, x, params, dx={}, dstate={})
    assert np.array_equal(plain[2], empty[2]) and len(program.engine._tangents) == 1


def directions(program, feeds, seed=7):
    """Return random directions of parameters, inputs and states; NaN stands in the padding."""
    rng = np.random.default_rng(seed)

    def like(values):
        return {name: rng.standard_normal(np.shape(value)) for name, value in values.items()}

    dx = like({name: value for name, value in feeds.x.items() if value.dtype.kind == "f"})
    for value in dx.values():
        value[padding(feeds)] = np.nan
    return like(feeds.params), dx, like(feeds.state)


def padding(feeds):
    T, B = next(iter(feeds.x.values())).shape[:2]
    return np.arange(T)[:, None] >= (np.full(B, T) if feeds.lengths is None else feeds.lengths)


def by_name(program, y):
    return y if isinstance(y, dict) else {"the output": y}


def differences(program, feeds, direction, dx, dstate, step=2e-5):
    """Return the derivatives of outputs and states along a direction, by differences of the NumPy meaning."""

    def at(place):
        params = {name: value + place * step * direction.get(name, 0) for name, value in feeds.params.items()}
        x = {name: value + place * step * dx[name] if name in dx else value for name, value in feeds.x.items()}
        state = {name: value + place * step * dstate.get(name, 0) for name, value in feeds.state.items()}
        y, final = lg.interpret(program.traced, params, x, **feeds.keywords | {"state": state})
        return by_name(program, y) | {("state", name): value for name, value in final.items()}

    near, far = (at(1), at(-1)), (at(2), at(-2))
    return {key: (8 * (near[0][key] - near[1][key]) - (far[0][key] - far[1][key])) / (12 * step) for key in near[0]}


def assert_derivative(program, feeds, exact=True):
    direction, dx, dstate = directions(program, feeds)
    y, state, dy, dlast = program.jvp(feeds.params, feeds.x, direction, dx=dx or None, dstate=dstate, **feeds.keywords)
    plain, last = program(feeds.params, feeds.x, **feeds.keywords)
    found = by_name(program, dy) | {("state", name): value for name, value in dlast.items()}
    for name, value in by_name(program, plain).items():
        np.testing.assert_allclose(by_name(program, y)[name], value, rtol=1e-12, atol=1e-12)
        assert not found[name][padding(feeds)].any(), name
    for name, value in last.items():
        np.testing.assert_allclose(state[name], value, rtol=1e-12, atol=1e-12)
    if exact:
        for key, value in differences(program, feeds, direction, dx, dstate).items():
            np.testing.assert_allclose(found[key], value, rtol=2e-7, atol=2e-8, err_msg=str(key))
    return y, found, (direction, dx, dstate)


def assert_transpose(program, feeds, found, along):
    """Assert <cotangent, tangent> of the results = <cotangent, direction> of the arguments."""
    pullback = program.vjp(feeds.params, feeds.x, **feeds.keywords)[2]
    gradients = pullback(feeds.dy, feeds.dstate)
    cotangents = dict(zip(found, feeds.dy.values(), strict=False)) | {
        ("state", name): value for name, value in feeds.dstate.items()
    }
    results = [np.nansum(found[key] * cotangents[key]) for key in found]
    dx = gradients.x if isinstance(gradients.x, dict) else {program.traced.inputs[0]: gradients.x}
    pairs = [(gradients.params, along[0]), (dx, along[1]), (gradients.state, along[2])]
    arguments = [np.nansum(mine[name] * theirs[name]) for mine, theirs in pairs for name in theirs]
    scale = 1 + np.abs(results).sum()
    assert abs(np.sum(results) - np.sum(arguments)) <= 1e-10 * scale


def assert_forward_mode(program, form, seed=1, exact=True):
    feeds = random_feeds(program, 4, 3, seed, form)
    _, found, along = assert_derivative(program, feeds, exact)
    assert_transpose(program, feeds, found, along)


@pytest.mark.parametrize("name", ops())
def test_the_tangent_of_every_op_is_its_derivative(name, in_numpy):
    program = small(one_op.cell_of(name), {"hidden_size": 5, "input_size": 3})
    for form in ("plain", "reset"):
        assert_forward_mode(program, form, exact=name not in one_op.NOT_DIFFERENTIABLE)


@pytest.mark.parametrize("form", ["plain", "lengths", "reset"])
@pytest.mark.parametrize("name", NAMES)
def test_jvp_is_the_derivative_and_the_transpose_of_the_pullback(name, form, in_numpy):
    assert_forward_mode(program_of(name), form, exact=not hides_a_gradient(program_of(name).traced))


@pytest.mark.parametrize("form", ["plain", "lengths", "reset"])
def test_jvp_of_a_network(form, in_numpy):
    assert_forward_mode(lg.compile(two_ways, hidden_size=5, z=2, dtype="float64"), form)


@pytest.mark.parametrize("name", ["lstm", "kinked"])
def test_machine_code_of_the_tangent(name, run_as):
    run_as("compiled")
    assert_forward_mode(small(cells.CASES[name].cell, cells.CASES[name].bound(17)), "reset")


def test_the_tangent_runs_in_the_loop_of_the_cell(in_numpy):
    program = small(cells.CASES["lstm"].cell, cells.CASES["lstm"].bound(5))
    feeds = random_feeds(program, 3, 2, 0)
    program.jvp(feeds.params, feeds.x, feeds.params, feeds.state, dstate=feeds.state)
    moving = frozenset({"state:h", "state:c", *(f"parameter:{name}" for name in feeds.params)})
    stages = program.engine.tangents(moving).plan.stages
    assert [stage.form for stage in stages].count("recur") == 1 and "t_h @ forget.W_h" in str(
        program.engine.tangents(moving).plan
    )


# ---- partial directions


@pytest.mark.parametrize("kinds", [("params",), ("x",), ("state",), ("x", "state"), ()])
def test_what_is_not_given_does_not_move(kinds, in_numpy):
    program = program_of("leaky")
    feeds = random_feeds(program, 4, 3, 2)
    direction, dx, dstate = directions(program, feeds)
    given = (
        {name: direction[name] for name in list(direction)[:2]} if "params" in kinds else {},
        {"dt": dx["dt"]} if "x" in kinds else {},
        dstate if "state" in kinds else {},
    )
    dy, dlast = program.jvp(
        feeds.params, feeds.x, given[0] or None, feeds.state, dx=given[1] or None, dstate=given[2] or None
    )[2:]
    expected = differences(program, feeds, *given)
    np.testing.assert_allclose(dy, expected["the output"], rtol=1e-7, atol=1e-8)
    np.testing.assert_allclose(dlast["h"], expected["state", "h"], rtol=1e-7, atol=1e-8)
    assert bool(kinds) == bool(dy.any())


def test_nothing_passes_stop_gradient(in_numpy):
    @lg.cell
    def stopped(x, h):
        return lg.tanh_layer(x, name="hidden") + lg.stop_gradient(h) * lg.parameter("scale")

    program = lg.compile(stopped, input_size=3, hidden_size=5, dtype="float64")
    feeds = random_feeds(program, 3, 2, 0)
    dy, dlast = program.jvp(feeds.params, feeds.x, state=feeds.state, dstate=feeds.dstate)[2:]
    assert not dy.any() and not dlast["h"].any()
    dy = program.jvp(feeds.params, feeds.x, {"scale": np.ones(5)}, feeds.state)[2]
    assert dy[0].all()


def test_nan_of_what_is_not_chosen_stays_out(in_numpy):
    @lg.cell
    def chosen(x, h):
        return lg.select(x > 0, lg.log(x), 0.5 * h)

    program = lg.compile(chosen, input_size=4, dtype="float64")
    x = np.array([[[1.0, 2.0, 3.0, -1.0]]])
    dy = program.jvp({}, x, dx=np.ones_like(x))[2]
    np.testing.assert_allclose(dy, [[[1, 0.5, 1 / 3, 0]]])


def test_what_a_builder_simplifies_has_its_tangent(in_numpy):
    @lg.cell
    def roundabout(x, h):
        z = 1 * lg.linear(x, name="input") + 0
        return lg.tanh(z / 1 + h @ lg.parameter("U", shape=("H", "H")).T.T) + z * (1 * z)

    lg.assert_same(lg.tangent(roundabout), compiled=False, forms=("plain",))
    assert_forward_mode(small(roundabout, {"input_size": 3, "hidden_size": 5}), "plain")


def test_masks_are_part_of_the_equations_and_do_not_move(in_numpy):
    @lg.cell
    def noisy(x, h):
        return lg.tanh_layer(h, x=lg.dropout(x, 0.4, name="x"), name="hidden")

    program = small(noisy, {"input_size": 3, "hidden_size": 5})
    feeds = random_feeds(program, 4, 3, 0, training=False)
    direction, dx, dstate = directions(program, feeds)
    feeds.x.update(program.masks(4, 3, seed=1))
    dy = program.jvp(feeds.params, feeds.x, direction, feeds.state, dx=dx, dstate=dstate)[2]
    expected = differences(program, feeds, direction, dx, dstate)
    np.testing.assert_allclose(dy, expected["the output"], rtol=1e-7, atol=1e-8)
    plain = {"x": feeds.x["x"]}
    assert not np.allclose(dy, program.jvp(feeds.params, plain, direction, feeds.state, dx=dx, dstate=dstate)[2])
    assert "x.keep" in lg.tangent(noisy).masks and "t_x.keep" not in lg.tangent(noisy).masks


def test_a_learned_start_moves_with_its_parameter(in_numpy):
    cell = lg.transforms.learned_initial_state(lg.cells.catalogue["mgu"])
    program = small(cell, {"input_size": 3, "hidden_size": 5})
    feeds = random_feeds(program, 4, 3, 0, "reset")
    direction = directions(program, feeds)[0]

    def at(step):
        params = {name: value + step * direction[name] for name, value in feeds.params.items()}
        return lg.interpret(cell, params, feeds.x, lengths=feeds.lengths, reset=feeds.reset)[0]

    dy = program.jvp(feeds.params, feeds.x, direction, lengths=feeds.lengths, reset=feeds.reset)[2]
    np.testing.assert_allclose(dy, (at(1e-5) - at(-1e-5)) / 2e-5, rtol=1e-6, atol=1e-8)
    with pytest.raises(GraphError, match="a state that starts at its learned value"):
        program.jvp(feeds.params, feeds.x, dstate=feeds.dstate)
    assert_forward_mode(program, "reset")
    tangent = lg.tangent(cell)
    (name,) = (name for name in direction if name not in lg.cells.catalogue["mgu"].parameters)
    assert tangent.leaves["state:t_h"].attr("initial") == f"t_{name}"


def test_empty_runs(in_numpy):
    program = program_of("lstm")
    for T, B in [(0, 3), (4, 0)]:
        feeds = random_feeds(program, T, B, 0)
        direction, dx, dstate = directions(program, feeds)
        y, _, dy, dlast = program.jvp(feeds.params, feeds.x, direction, feeds.state, dx=dx, dstate=dstate)
        assert y.shape == dy.shape == (T, B, 5)
        for name, value in dlast.items():
            assert np.array_equal(value, dstate[name])


# ---- the tangent cell


@pytest.mark.parametrize("name", ["lstm", "gru_reset_before", "delayed", "two_outputs", "tokens", "learned_state"])
def test_the_tangent_of_a_cell_is_a_cell(name, in_numpy):
    case = cells.CASES[name]
    tangent = lg.tangent(case.cell)
    assert type(tangent) is lg.Cell and tangent.name == f"t_{name}" and not tangent.reverse
    assert tangent.states == (*case.cell.states, *(f"t_{state}" for state in case.cell.states))
    assert tangent.outputs == (*case.cell.outputs, *(f"t_{output}" for output in case.cell.outputs))
    assert list(tangent.parameters) == [*case.cell.parameters, *(f"t_{name}" for name in case.cell.parameters)]
    floats = [x for x in case.cell.inputs if not case.cell.leaves[f"input:{x}"].attr("integer")]
    assert tangent.inputs == (*case.cell.inputs, *(f"t_{x}" for x in floats))
    assert nx.is_frozen(tangent.graph) and len(tangent.graph) <= 5 * len(case.cell.graph)
    program = small(tangent, case.bound(5) | {f"t_{name}": size for name, size in case.bound(5).items()})
    plain = program_of(name)
    feeds = random_feeds(plain, 4, 3, 1)
    direction, dx, dstate = directions(plain, feeds)
    y, final = program(
        feeds.params | {f"t_{name}": value for name, value in direction.items()},
        feeds.x | {f"t_{name}": value for name, value in dx.items()},
        feeds.state | {f"t_{name}": value for name, value in dstate.items()},
    )
    dy, dlast = plain.jvp(feeds.params, feeds.x, direction, feeds.state, dx=dx or None, dstate=dstate)[2:]
    for key, value in (dy if isinstance(dy, dict) else {case.cell.outputs[0]: dy}).items():
        np.testing.assert_allclose(y[f"t_{key}"], value, rtol=1e-12, atol=1e-12)
    for key, value in dlast.items():
        np.testing.assert_allclose(final[f"t_{key}"], value, rtol=1e-12, atol=1e-12)


def test_the_tangent_is_interpreted_differentiated_and_drawn_like_any_cell():
    tangent = lg.tangent(lg.cells.catalogue["mgu"])
    lg.assert_same(tangent, compiled=False, forms=("lengths",))
    lg.check_gradients(tangent, steps=2, batch=2, second_order=False)
    assert lg.draw(tangent).svg.startswith("<")
    assert lg.tangent(lg.gradient(lg.cells.catalogue["mgu"])).reverse


def test_the_tangent_of_the_tangent_keeps_every_name_apart():
    twice = lg.tangent(lg.tangent(lg.cells.catalogue["mgu"]))
    assert len(twice.states) == 4 == len(set(twice.states)) and twice.inputs[:2] == ("x", "t_x")
    lg.assert_same(twice, compiled=False, forms=("plain",), steps=2, batch=2)


def test_the_tangent_of_the_gradient_is_the_product_with_the_second_derivative(in_numpy):
    """What hvp computes over sequences, from the cells by hand."""
    program = program_of("gru")
    feeds = random_feeds(program, 3, 2, 4)
    direction = directions(program, feeds)[0]
    exact = program.hvp(feeds.params, feeds.x, direction, feeds.dy, feeds.dstate, feeds.state)

    def previous(state):
        before = {name: [] for name in state}
        for t in range(3):
            for name, value in state.items():
                before[name].append(value)
            _, state = program.step(feeds.params, feeds.x["x"][t], state)
        return {name: np.stack(values) for name, values in before.items()}

    h = previous(feeds.state)
    dy = program.jvp(feeds.params, feeds.x, direction, feeds.state)[2]
    t_h = {"h": np.concatenate([np.zeros((1, *dy.shape[1:])), dy[:-1]])}  # the output is the state
    adjoint = lg.compile(lg.gradient(program.traced), input_size=3, hidden_size=5, dtype="float64")
    params = {name: feeds.params[name] for name in adjoint.traced.parameters}
    along = {name: direction[name] for name in params}
    given = {"x": feeds.x["x"], **h, "d_y": feeds.dy["y"]}
    found = adjoint.jvp(params, given, along, {"d_h": feeds.dstate["h"]}, dx=t_h)
    np.testing.assert_allclose(found[2]["d_x"], exact.x, rtol=1e-10, atol=1e-10)
    for name, value in exact.params.items():
        np.testing.assert_allclose(found[2][f"d_{name}"], value, rtol=1e-10, atol=1e-10, err_msg=name)


# ---- wrong calls


@pytest.mark.parametrize("wrong", [None, 3, two_ways])
def test_only_a_cell_has_a_tangent_cell(wrong):
    with pytest.raises(GraphError, match=r"lg\.tangent: got \w+, expected a cell"):
        lg.tangent(wrong)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"direction": {"forget.W": np.ones((5, 5))}}, "unknown parameter 'forget.W'"),
        ({"direction": {"forget.b": np.ones(4)}}, r"forget\.b: got shape \[4\], expected \[5\]"),
        ({"direction": [1]}, "got a direction of type list, expected a dictionary"),
        ({"dx": np.ones((2, 2, 2))}, r"dx of x: got float64 of shape \[2, 2, 2\]"),
        ({"dx": {"y": 1}}, "unknown input of numbers 'y'"),
        ({"dstate": {"z": np.ones((2, 5))}}, "unknown dstate 'z'"),
        ({"dstate": {"h": np.ones(5)}}, "dstate h: got"),
    ],
)
def test_a_wrong_direction_is_named(given, message, in_numpy):
    program = program_of("lstm")
    with pytest.raises(LstmGraphError, match=message):
        program.jvp(program.init(0), np.ones((3, 2, 3)), **given)


def test_a_pullback_that_is_not_linear_is_named(in_numpy, monkeypatch):
    square = pointwise(
        "askew",
        meaning=np.square,
        pullback=lambda result, operands, cotangent: (cotangent * cotangent * operands[0],),
        kernel="{0} * {0}",
        glyph=Glyph("ellipse", "²"),
    )
    monkeypatch.setitem(ops(), "askew", square)

    @lg.cell
    def bent(x, h):
        return square(x) + h

    with pytest.raises(GraphError, match="op askew: got a pullback that is not linear"):
        lg.tangent(bent)
