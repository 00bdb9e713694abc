"""Joined sizes, of values in one op: which of them is 1 is known when sizes are bound, and all is right for each."""

import itertools

import numpy as np
import pytest

import lstmgraph as lg
from lstmgraph.autodiff import adjoint
from lstmgraph.testing import random_feeds, results
from lstmgraph.train.losses import cross_entropy, mean_squared_error


@lg.cell
def product(x, z, dt, /, h):
    return 0.5 * h + z * dt + lg.linear(x, name="a")


@lg.cell
def total(x, z, dt, /, h):
    return lg.tanh(0.5 * h + lg.sigmoid(z + dt) * dt + lg.linear(x, name="a"))


@lg.cell
def of_three(x, z, dt, w, /, h):
    return lg.tanh(0.5 * h + (z * dt + w) * w + lg.linear(x, name="a"))


@lg.cell
def chosen(x, z, dt, /, h):
    return lg.tanh_layer(h, x, name="a") * lg.row_max(lg.select(z < dt, z * z, dt))


@lg.cell
def side_by_side(x, z, dt, /, h):
    return lg.tanh_layer(h, x, name="a") + lg.row_sum(lg.concat(z * dt, x) * lg.concat(lg.exp(dt) * z, x))


@lg.cell
def with_the_state(x, z, /, h):
    return lg.tanh(lg.linear(h, x, name="a") + lg.row_sum(lg.tanh(h * z) * z))


@lg.cell
def with_a_parameter(x, z, /, h):
    return lg.tanh_layer(h, x, name="a") + lg.row_sum(lg.softmax(z * lg.parameter("p", shape=("P",))) * z)


@lg.cell
def normal(x, z, dt, /, h):
    return lg.tanh_layer(h, x, name="a") + lg.row_sum(lg.layer_norm(z * dt) ** 3) + lg.mean(lg.concat(z * dt, x))


@lg.cell
def cubes(x):
    return lg.row_sum(lg.layer_norm(x, name="norm") ** 3) + lg.mean(lg.concat(x, x * x))


@lg.cell
def inlined(x, z, dt, /, h):
    return lg.tanh_layer(h, x, name="a") + cubes(z * dt)


JOINED = {
    "product": (product, "z", "dt"),
    "sum": (total, "z", "dt"),
    "three": (of_three, "z", "dt", "w"),
    "a choice": (chosen, "z", "dt"),
    "concat": (side_by_side, "z", "dt"),
    "a state": (with_the_state, "z", "hidden_size"),
    "a parameter": (with_a_parameter, "z", "P"),
    "a norm and a mean": (normal, "z", "dt"),
    "a cell inside": (inlined, "z", "dt"),
}
BOUND = [
    pytest.param(cell, {"hidden_size": 5, **dict(zip(names, sizes, strict=True))}, id=f"{name} {sizes}")
    for name, (cell, *names) in JOINED.items()
    for sizes in itertools.product((1, 5), repeat=len(names))
    if len(names) < 3 or sizes.count(1) != 1
]


def assert_gradient(cell, sizes, run):
    """Compare the gradient of a cell in symbols, at one step, with what vjp gives, where sizes are bound before."""
    program = lg.compile(cell, dtype="float64", input_size=3, **sizes)
    feeds = random_feeds(program, 1, 2, 0)
    expected, found = results(program, feeds), adjoint(cell)
    before = {name: value[None] for name, value in feeds.state.items()}
    values = {"input": feeds.x, "parameter": feeds.params, "previous": before, "d_output": feeds.dy, "d_sum": feeds.dy}
    given = {leaf: values[kind][name] for leaf, (kind, name) in found.origins.items()}
    params = {name: given[f"parameter:{name}"] for name in found.cell.parameters}
    x = {name: given[f"input:{name}"] for name in found.cell.inputs}
    y, final = run(found.cell, sizes, params, x, {state: feeds.dstate[name] for state, name in found.states.items()})
    outputs = y if isinstance(y, dict) else {found.cell.outputs[0]: y}
    for leaf, (kind, name) in found.results.items():
        got = final[name] if kind == "final" else outputs[name]
        np.testing.assert_allclose(got, expected[f"d {leaf}"], rtol=1e-9, atol=1e-12, err_msg=leaf)


def compiled(cell, sizes, params, x, state):
    return lg.compile(cell, dtype="float64", input_size=3, **sizes)(params, x, state=state)


def interpreted(cell, sizes, params, x, state):
    return lg.interpret(cell, params, x, state=state)


def interpreted_with_resets(cell, sizes, params, x, state):
    return lg.interpret(cell, params, x, state=state, reset=np.zeros((1, 2), bool))


@pytest.mark.parametrize(("cell", "sizes"), BOUND)
def test_the_gradient_in_symbols_is_right_for_every_size_bound_later(cell, sizes, in_numpy):
    lg.check_gradients(cell, input_size=3, **sizes)
    for run in (compiled, interpreted, interpreted_with_resets):
        assert_gradient(cell, sizes, run)
    assert_gradient(lg.gradient(cell), sizes, compiled)
    assert_gradient(lg.tangent(cell), sizes, compiled)


@pytest.mark.parametrize("name", ["gru_d", "grid_lstm", "gru_ode"])
def test_the_gradient_of_a_catalogue_cell_is_right_where_its_last_input_is_spread(name, in_numpy):
    cell = lg.cells.catalogue[name]
    for size in (1, 3):
        others = dict.fromkeys(cell.inputs[1:], 3) | {cell.inputs[-1]: size}
        assert_gradient(cell, {"hidden_size": 3, **others}, compiled)


def test_a_joined_size_is_compiled():
    assert_gradient(product, {"hidden_size": 5, "z": 5, "dt": 1}, compiled)


# ---- the number of features of a joined value


@lg.cell
def measured(x, z, dt, target, label, /, h):
    joined = z * dt
    return {
        "h": lg.tanh_layer(h, x, name="a"),
        "mean": lg.mean(joined),
        "cubes": lg.row_sum(lg.layer_norm(joined) ** 3),
        "beside": lg.mean(lg.concat(joined, x)),
        "inside": cubes(joined),
        "squares": mean_squared_error(joined, target),
        "spread": mean_squared_error(z, target),
        "entropy": cross_entropy(joined, label),
    }


def measured_by_hand(x, z, dt, target, label):
    def mean(value):
        return value.mean(axis=-1, keepdims=True)

    joined = z * dt
    centred = joined - mean(joined)
    normed = (centred / np.sqrt(mean(centred**2) + 1e-5)) ** 3
    chosen = np.take_along_axis(joined, label[..., None], axis=-1)
    return {
        "mean": mean(joined),
        "cubes": normed.sum(axis=-1, keepdims=True),
        "beside": mean(np.concatenate([joined, x], axis=-1)),
        "inside": normed.sum(axis=-1, keepdims=True) + mean(np.concatenate([joined, joined**2], axis=-1)),
        "squares": mean((joined - target) ** 2),
        "spread": mean((z - target) ** 2),
        "entropy": np.log(np.exp(joined).sum(axis=-1, keepdims=True)) - chosen,
    }


@pytest.mark.parametrize("sizes", [{"z": 1, "dt": 5}, {"z": 5, "dt": 1}, {"z": 5, "dt": 5}], ids=str)
def test_means_norms_and_losses_count_every_feature(sizes, in_numpy):
    random = np.random.default_rng(0)
    x = {name: random.standard_normal((2, 3, size)) for name, size in {"x": 3, "target": 5, **sizes}.items()}
    x["label"] = random.integers(5, size=(2, 3))
    sizes = {"hidden_size": 4, "target": 5, **sizes}
    params = lg.compile(measured, dtype="float64", input_size=3, **sizes).init(0)
    expected = measured_by_hand(**x)
    for run in (compiled, interpreted):
        outputs, _ = run(measured, sizes, params, x, {"h": np.zeros((3, 4))})
        for name, value in expected.items():
            np.testing.assert_allclose(outputs[name], value, rtol=1e-12, atol=1e-12, err_msg=name)


def test_a_parameter_or_a_state_of_a_cell_inside_has_one_of_the_sizes():
    @lg.cell
    def late(x):
        return cubes(lg.delay(x))

    @lg.cell
    def outside(x, z, dt, /, h):
        return 0.5 * h + late(z * dt, name="late")

    assert outside.parameters["late.norm.gain"].shape == ("dt",)
    assert outside.leaves["state:late.x_delayed"].shape == ("B", "dt")


def test_the_size_of_a_state_that_is_open_yet_is_no_size_of_a_value_given_to_a_cell_inside():
    @lg.cell
    def first_half(x):
        return lg.split(lg.concat(x, -x), "I", "I")[0]

    @lg.cell
    def spread(x, dt, /, s):
        return first_half(s * dt)

    assert spread.leaves["state:s"].shape == ("B", "dt")


# ---- sizes that do not fit


@lg.cell
def an_output(x, z, dt, /, h):
    return {"h": lg.tanh_layer(h, x, name="a"), "y": z * dt}


@lg.cell
def a_state(x, z, dt, /, h, s):
    return {"h": lg.tanh_layer(h, x, name="a"), "s": z * dt}


@lg.cell
def a_matrix(x, z, dt, /, h):
    return lg.tanh_layer(h, x, name="a") + lg.linear(lg.dropout(z * dt, 0.5, name="kept"), name="m")


LINE = r" \(test_joined_sizes\.py, line \d+\)"
REFUSED = {
    an_output: r"an_output: output y: got size z = 5, expected dt = 1",
    a_state: rf"a_state: next s{LINE} and{LINE}: got sizes z = 5 and 1, expected equal sizes or 1",
    a_matrix: rf"a_matrix: matmul{LINE}: got sizes z = 5 and 1, expected equal sizes or 1",
}


@pytest.mark.parametrize(("cell", "message"), REFUSED.items(), ids=lambda value: getattr(value, "name", ""))
def test_what_is_derived_from_a_cell_is_refused_where_the_cell_is(cell, message, in_numpy):
    gradient, tangent = lg.gradient(cell), lg.tangent(cell)
    for derived in (cell, gradient, tangent, lg.gradient(gradient), lg.tangent(gradient), lg.gradient(tangent)):
        with pytest.raises(lg.ShapeError, match=f"^{message}; give `size=` to the layers, or other sizes to compile$"):
            lg.compile(derived, input_size=3, hidden_size=4, z=5, dt=1)
        lg.compile(derived, input_size=3, hidden_size=4, z=1, dt=5)


def test_a_gradient_that_needs_fewer_sizes_than_its_cell_is_compiled(in_numpy):
    @lg.cell
    def held(x, z, /, h):
        weights = lg.softmax(z * lg.parameter("p", shape=("P",)))
        return lg.tanh_layer(h, x, name="a") + lg.row_sum(lg.stop_gradient(weights))

    with pytest.raises(lg.CompileError, match=r"^held: got no size for P"):
        lg.compile(held, input_size=3, hidden_size=4, z=5)
    lg.compile(lg.gradient(held), input_size=3, hidden_size=4, z=5)
