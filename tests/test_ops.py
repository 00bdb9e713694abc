"""Every op of the registry: its kernel means what its NumPy function means, its gradient is the derivative.

An op that works on rows, feature by feature or along the features, is tested as it is. Any other needs a line in
`SPECIAL`, and an op of a plug-in is tested like ours.
"""

import re
from functools import partial

import numpy as np
import pytest

import lstmgraph as lg
from lstmgraph.errors import ShapeError
from lstmgraph.ops.contract import Fold, Glyph
from lstmgraph.plugins import ops
from lstmgraph.sequences import over_sequences
from lstmgraph.testing import random_feeds

SIZES = (1, 15, 16, 17, 37)
ENTRIES = 4


def tied_matrix(z):
    return z @ z.builder.add("transpose", lg.parameter("U", shape=("H", "H")))


def parts_of(z):
    narrow = lg.linear(z, name="narrow", size=2)
    both = lg.concat(z, lg.tanh(z), narrow)
    first, second, third = (
        z.builder.add("part", both, index=index, parts=(z.shape[-1], z.shape[-1], 2)) for index in range(3)
    )
    return first * second + lg.row_sum(third)


# op -> the value to test it in, of a row z; or a row that has the op in its gradient or around it
SPECIAL = {
    "log": lambda z: lg.log(1.5 + lg.tanh(z)),
    "sqrt": lambda z: lg.sqrt(1.5 + lg.tanh(z)),
    "div": lambda z: lg.tanh(z) / (2 + lg.sigmoid(z)) + 1 / (2 + lg.tanh(z)),
    "equal": lambda z: z.builder.add("equal", lg.relu(z), 0.0) * z,
    "select": lambda z: lg.select(z > 0.1, lg.tanh(z), 0.5 * z),
    "broadcast": lambda z: z * z.builder.add("broadcast", 0.5, target=z.shape) + lg.row_sum(z),
    "matmul": lambda z: z @ lg.parameter("U", shape=("H", "H")),
    "transpose": tied_matrix,
    "concat": lambda z: lg.linear(both=lg.concat(z, lg.tanh(z)), name="mix"),
    "part": parts_of,
    "outer": lambda z: z @ lg.parameter("U", shape=("H", "H")),
    "batch_sum": lambda z: z * lg.parameter("v") + lg.parameter("s", shape=()),
    "sum_to": lambda z: z * (lg.parameter("v") * lg.parameter("s", shape=())),
    "clip_gradient": lambda z: z.builder.add("clip_gradient", lg.tanh(z), limit=1e3),  # see test_transforms.py
    "size_of": lambda z: z.builder.add("size_of", size=z.shape[-1]) * z / 20,
    "gather": lambda z: z,
    "scatter": lambda z: z,
    "one_hot": lambda z: z,
    "recur": lambda z: z,
    "item": lambda z: z,
}
INDEXED = {"gather", "scatter", "one_hot"}
NOT_DIFFERENTIABLE = {"stop_gradient"}  # differences see through it; test_autodiff says what it does
ANY_SHAPE = {"batch_sum", "broadcast", "item", "outer", "scatter", "size_of", "sum_to"}  # no user writes them


def arity(definition):
    return 1 + max(map(int, re.findall(r"\{(\d)\}", str(definition.kernel))))


def value_of(name, z):
    """Return a value made with an op, of a row z."""
    definition = ops()[name]
    if name in SPECIAL:
        return SPECIAL[name](z)
    if definition.kind == "pointwise":
        if arity(definition) == 1:
            return z.builder.add(name, z)
        assert arity(definition) == 2, f"op {name!r} has three operands: say in SPECIAL how a cell uses it"
        add = partial(z.builder.add, name)  # a number and a value, on either side
        return 2 * add(z, 0.3) + add(0.3, z) + add(z, lg.tanh(z) - 0.2)
    if definition.kind in ("reduction", "running"):
        return z.builder.add(name, z)
    raise AssertionError(f"op {name!r} of kind {definition.kind!r} is not tested: say in SPECIAL how a cell uses it")


def cell_of(name):
    """Return a cell that has an op in a loop, its value as an output, and no other product of a state."""
    if name in INDEXED:
        return indexed

    @lg.cell
    def with_op(x, h):
        z = lg.linear(x, name="input") + lg.parameter("scale") * h
        value = value_of(name, z)
        return {"value": value, "h": lg.tanh(0.5 * value + z)}

    return with_op


@lg.cell
def indexed(index, h):
    row = lg.embedding(index, ENTRIES, "H", name="table") + lg.linear(lg.one_hot(index, ENTRIES), name="code")
    return {"value": row, "h": lg.tanh(row + lg.parameter("scale") * h)}


def sizes_for(name, hidden_size):
    return {"hidden_size": hidden_size, "steps": 2, "batch": 3}


def ops_in(cell):
    graphs = [cell.graph, over_sequences(cell).graph, lg.gradient(cell).graph]
    return {node.op for graph in graphs for _, node in graph.nodes(data="node")}


@pytest.mark.parametrize("name", ops())
def test_the_cell_of_an_op_has_it(name):
    assert name in ops_in(cell_of(name))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", ops())
def test_the_kernel_means_what_the_op_means(name, dtype):
    for hidden_size in SIZES:
        forms = ("plain", "reset") if hidden_size == 17 else ("plain",)
        lg.assert_same(cell_of(name), compiled=False, dtype=dtype, forms=forms, **sizes_for(name, hidden_size))


@pytest.mark.parametrize("name", [name for name in ops() if name not in NOT_DIFFERENTIABLE])
def test_the_pullback_is_the_derivative(name):
    lg.check_gradients(cell_of(name), seed=1, **sizes_for(name, 5))


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("name", [name for name in ops() if name not in INDEXED])
def test_nan_and_infinity_spread_as_they_mean_and_to_no_other_row(name, bad, in_numpy):
    cell = cell_of(name)
    program = lg.compile(cell, input_size=3, hidden_size=6, dtype="float64", threads=1)
    feeds = random_feeds(program, 3, 4, 0)
    clean, _ = program(feeds.params, feeds.x, feeds.state)
    feeds.x["x"][1, 2, 0] = bad
    lg.assert_same(cell, vars(feeds), hidden_size=6, compiled=False, forms=("plain",))
    value, _ = program(feeds.params, feeds.x, feeds.state)
    rows = [0, 1, 3]
    assert np.array_equal(value[:, rows], clean[:, rows])
    assert np.array_equal(value[0], clean[0])


@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("name", [n for n, each in ops().items() if each.kind == "pointwise" and arity(each) == 2])
def test_nan_and_infinity_on_either_side_of_an_op_spread_as_they_mean(name, bad):
    @lg.cell
    def sides(x, h):
        add = partial(x.builder.add, name)
        return {"left": add(x, 0.3), "right": add(0.3, x), "both": add(x, h), "h": lg.linear(x, name="input")}

    x = np.random.default_rng(0).standard_normal((2, 3, 4))
    x[0, 1, 1] = bad
    lg.assert_same(sides, {"x": x}, input_size=4, hidden_size=4, compiled=False, forms=("plain",))


@pytest.mark.parametrize("name", ops())
def test_nan_in_a_weight_spreads_as_it_means(name, in_numpy):
    cell = cell_of(name)
    program = lg.compile(cell, hidden_size=6, dtype="float64", **({} if name in INDEXED else {"input_size": 3}))
    feeds = random_feeds(program, 2, 3, 0)
    for parameter, value in feeds.params.items():
        if value.ndim:
            feeds.params[parameter].flat[-1] = np.nan
    lg.assert_same(cell, vars(feeds), hidden_size=6, compiled=False, forms=("plain",))


ALONG = [name for name, each in ops().items() if each.kind in ("reduction", "running")]


def of_a_vector(name):
    """Return a cell with an op along the features of a parameter vector, and its value at a step."""

    @lg.cell
    def with_vector(x, h):
        value = lg.parameter("v").builder.add(name, lg.parameter("v") * lg.parameter("v"))
        assert value.shape == (() if ops()[name].kind == "reduction" else ("H",))
        return {"value": value * h, "h": lg.tanh(lg.linear(x, name="input") + value * h)}

    return with_vector


@pytest.mark.parametrize("name", ALONG)
def test_along_a_parameter_vector_it_runs_as_along_a_row(name, in_numpy):
    cell = of_a_vector(name)
    for hidden_size in (1, 5, 17):
        for dtype in ("float32", "float64"):
            lg.assert_same(cell, compiled=False, dtype=dtype, **sizes_for(name, hidden_size))
    errors = lg.check_gradients(cell, seed=1, **sizes_for(name, 5))
    assert {"parameter:v", "second parameter:v"} <= set(errors)
    program = lg.compile(cell, input_size=3, hidden_size=5, dtype="float64")
    feeds = random_feeds(program, 2, 3, 0)
    value, _ = program(feeds.params, feeds.x, feeds.state)
    expected = ops()[name].meaning(feeds.params["v"][None] ** 2)
    np.testing.assert_allclose(value["value"][0] if isinstance(value, dict) else value[0],
        expected * feeds.state["h"], rtol=1e-12)  # fmt: skip


def test_bodies_of_ops_take_a_parameter_vector_too():
    @lg.cell
    def scaled(x, h):
        v = lg.parameter("v")
        unit = v / lg.sqrt(lg.row_sum(v**2) + 0.1)
        return lg.tanh(lg.linear(x, name="input") + unit * h) + lg.mean(v) * lg.softmax(v) * lg.layer_norm(v)

    lg.check_gradients(scaled, steps=2, batch=2)


@pytest.mark.parametrize("shape", [(), ("H", "H")])
@pytest.mark.parametrize("name", ALONG)
def test_numbers_and_matrices_have_no_features_to_run_along(name, shape):
    with pytest.raises(ShapeError, match=rf"^{name}: got shape .*, expected rows or a parameter vector"):

        @lg.cell
        def wrong(x, h):
            return h + lg.parameter("v", shape=shape).builder.add(name, lg.parameter("v", shape=shape))


@pytest.mark.parametrize("name", ["maximum", "minimum", "row_max"])
def test_at_a_tie_the_parts_of_a_gradient_add_up_to_the_whole(name, in_numpy):
    @lg.cell
    def tied(x, h):
        return {"y": lg.row_max(h) if name == "row_max" else ops()[name](h, h + 0 * x), "h": h}

    program = lg.compile(tied, input_size=4, hidden_size=4, dtype="float64")
    _, _, pullback = program.vjp({}, np.ones((1, 2, 4)), {"h": np.full((2, 4), 0.7)})
    dy = np.random.default_rng(0).standard_normal((1, 2, 1 if name == "row_max" else 4))
    np.testing.assert_allclose(pullback(dy).state["h"].sum(), dy.sum(), rtol=1e-12)


# ---- what an op says of itself


def wrong_shapes(name):
    """Return shapes that an op refuses, and its attributes."""
    definition = ops()[name]
    special = {
        "matmul": ((("B", 3), (4, 5)), {}),
        "concat": ((("B", 3), (4,)), {}),
        "part": ((("B", 7),), {"index": 0, "parts": (3, 5)}),
        "transpose": (((4,),), {}),
        "gather": (((4,), ("B",)), {}),
        "one_hot": ((("B", 3),), {"size": 4}),
        "recur": ((("T", "B", 3),), {"cell": lg.cells.catalogue["rnn"], "sizes": (("H", 4), ("I", 3))}),
    }
    if name in special:
        return special[name]
    if definition.kind in ("reduction", "running"):
        return ((4, 5),), {}
    return ((("B", 3), ("B", 4), ("B", 5))[: arity(definition)] if arity(definition) > 1 else (("B", 3, 4),)), {}


@pytest.mark.parametrize("name", sorted(set(ops()) - ANY_SHAPE))
def test_a_wrong_shape_is_refused_by_the_name_of_the_op_and_the_shape(name):
    shapes, attributes = wrong_shapes(name)
    with pytest.raises(ShapeError) as refused:
        ops()[name].shape(shapes, attributes)
    message = str(refused.value)
    assert message.startswith(name) and "got" in message and "expected" in message
    assert any(character.isdigit() for character in message) or "matrix" in message, "the shape stands in it"


@pytest.mark.parametrize("name", ops())
def test_an_op_says_all_of_itself(name):
    definition = ops()[name]
    assert definition.name == name and definition.doc.endswith(".") and isinstance(definition.glyph, Glyph)
    if definition.kind == "reduction":
        assert isinstance(definition.kernel, Fold)
    elif definition.kind == "pointwise":
        assert isinstance(definition.kernel, str)


@pytest.mark.parametrize("dtype", ["float32", pytest.param("float64", marks=pytest.mark.slow)])
def test_machine_code_means_what_the_ops_mean(dtype, run_as):
    run_as("compiled")
    rows = [name for name in ops() if name not in INDEXED and ops()[name].kind in ("pointwise", "reduction", "running")]

    @lg.cell
    def every_op(x, h):
        z = lg.linear(x, name="input") + lg.parameter("scale") * h
        values = {f"of_{name}": value_of(name, z) for name in rows if name not in ("sum_to", "size_of")}
        return {**values, "h": lg.tanh(lg.linear(h, name="again") + z)}

    lg.assert_same(every_op, hidden_size=17, dtype=dtype, forms=("plain",), compiled=True)
    x = np.random.default_rng(0).standard_normal((4, 3, 3)).astype(dtype)
    x[1, 0], x[1, 1, 1], x[2, 1, 2] = np.nan, np.inf, -np.inf
    lg.assert_same(every_op, {"x": x}, hidden_size=17, dtype=dtype, forms=("plain",), compiled=True)
    lg.assert_same(indexed, hidden_size=17, dtype=dtype, forms=("plain",), compiled=True)


def test_an_op_without_a_test_is_seen(monkeypatch):
    from dataclasses import replace

    unknown = replace(ops()["matmul"], name="mystery")
    monkeypatch.setitem(ops(), "mystery", unknown)
    with pytest.raises(AssertionError, match="op 'mystery' of kind 'matmul' is not tested: say in SPECIAL"):
        cell_of("mystery")
