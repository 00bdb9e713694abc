"""check_finite: the op, the line, the step and the row where the first NaN or infinity is born."""

import importlib.util
import inspect
from pathlib import Path

import numpy as np
import pytest

import lstmgraph as lg
from lstmgraph.errors import GraphError, LstmGraphError, ParameterError
from lstmgraph.testing import random_feeds

T, B = 4, 3


@lg.cell
def roots(x, h):
    """A root of what may be negative, in a layer, and below it a logarithm."""
    inner = lg.linear(h, x, name="inner")
    root = lg.sqrt(inner)
    return root - lg.log(root)


@lg.cell
def kink(x, h):
    """Finite forward at 0, where the slope of the root is not."""
    length = lg.sqrt(x * x)
    return lg.tanh(length + 0.5 * h)


@lg.cell
def by_hand(x, h):
    """A sigmoid whose exponential overflows: 0 forward, NaN on the way back."""
    e = lg.exp(-x)
    return 1 / (1 + e) + 0.1 * h


@lg.cell
def masked(x, h):
    """An infinity that is meant: its exponential is 0."""
    logits = lg.select(x > 0, x, -np.inf)
    return lg.exp(logits) + 0.1 * h


@lg.network
def two_ways(tokens):
    x = lg.embedding(tokens, 6, 4, name="embed")
    ahead = lg.recur(lg.cells.catalogue["lstm"], x, size=5, name="ahead")
    back = lg.recur(kink, ahead, name="back", reverse=True)
    return lg.linear(back, size=2, name="head")


def line_of(cell, text):
    """Return the line of this file where a cell's function has a text."""
    lines = Path(__file__).read_text(encoding="utf-8").split("\n")
    begin = lines.index(f"def {cell}(x, h):")
    return next(number for number, line in enumerate(lines[begin:], begin + 1) if text in line)


def program(cell, dtype="float32", **sizes):
    return lg.compile(cell, dtype=dtype, **sizes)


def lstm_with(seed=0):
    made = program(lg.cells.catalogue["lstm"], input_size=3, hidden_size=5)
    return made, made.init(seed), np.random.default_rng(seed).standard_normal((T, B, 3)).astype("float32")


# ---- the way forward


def test_nothing_is_found_where_all_is_finite():
    made, params, x = lstm_with()
    dy = np.ones((T, B, 5))
    assert lg.check_finite(made, params, x) is None and lg.check_finite(made, params, x, dy=dy) is None
    assert lg.check_finite(made.traced, params, x) is None


def rooted():
    """Return parameters and an input with which the inner sum is x: positive but where x is made negative."""
    made = program(roots, input_size=1, hidden_size=1)
    params = {"inner.W_h": np.zeros((1, 1)), "inner.W_x": np.ones((1, 1)), "inner.b": np.zeros(1)}
    return made, {name: value.astype("float32") for name, value in params.items()}, np.full((T, B, 1), 0.7)


def test_the_op_its_line_the_step_and_the_row():
    made, params, x = rooted()
    x[2, 1] = x[3, 0] = -0.5
    found = lg.check_finite(made, params, x)
    assert (found.where, found.what, found.name, found.t, found.b, found.index) == (
        "roots",
        "value",
        "sqrt",
        2,
        1,
        (0,),
    )
    assert found.line == (__file__, line_of("roots", "lg.sqrt(inner)")) and np.isnan(found.value)
    assert str(found) == (
        f"roots: sqrt (test_finite.py, line {found.line[1]}) made nan at step 2, row 1, feature 0, from operands "
        "without NaN"
    )
    x[1, 2] = 0
    found = lg.check_finite(made, params, x)
    assert (found.name, found.t, found.b, found.value) == ("log", 1, 2, -np.inf)
    assert found.line[1] == line_of("roots", "lg.log(root)") and str(found).endswith("from finite operands")


def test_an_infinity_of_float32_is_none_in_float64():
    @lg.cell
    def grown(x, h):
        return h + lg.exp(lg.linear(x, name="in"))

    x = np.ones((1, 1, 1))
    for dtype, expected in (("float32", "exp"), ("float64", None)):
        params = {"in.W_x": np.full((1, 1), 90, dtype), "in.b": np.zeros(1, dtype)}
        found = lg.check_finite(program(grown, dtype, input_size=1, hidden_size=1), params, x)
        assert (found and found.name) == expected
    params = {"in.W_x": np.full((1, 1), 3e38, "float32"), "in.b": np.full(1, 3e38, "float32")}
    found = lg.check_finite(grown, params, x)
    assert (found.name, found.layer) == ("add", "in") and " of layer in " in str(found)


@pytest.mark.parametrize(
    ("kind", "place", "expected"),
    [
        ("x", (2, 1, 0), ("input x", 2, 1, (0,))),
        ("forget.W_h", (2, 3), ("parameter forget.W_h", None, None, (2, 3))),
        ("c", (1, 4), ("state c", None, 1, (4,))),
    ],
)
def test_an_array_that_holds_it_is_named(kind, place, expected):
    made, params, x = lstm_with()
    state = {"c": np.zeros((B, 5))}
    {"x": x, "c": state["c"], **params}[kind][place] = np.nan
    found = lg.check_finite(made, params, x, state)
    assert found.what == "array" and (found.name, found.t, found.b, found.index) == expected
    assert f"lstm: {expected[0]} holds nan at " in str(found)


def test_the_first_step_comes_first_whatever_holds_it():
    made, params, x = rooted()
    x[3, 0], x[1, 2] = np.nan, -1
    found = lg.check_finite(made, params, x)
    assert (found.name, found.t, found.b) == ("sqrt", 1, 2)
    x[0, 1] = np.inf
    assert lg.check_finite(made, params, x).name == "input x"


def test_padding_is_not_looked_at_and_rows_keep_their_numbers():
    made, params, x = rooted()
    lengths = np.array([2, 4, 0])
    x[2:, 0] = np.nan
    x[:, 2] = -1
    assert lg.check_finite(made, params, x, lengths=lengths) is None
    assert lg.check_finite(made, params, x, lengths=lengths, dy=np.where(np.isnan(x), np.nan, 1.0)) is None
    x[3, 1] = -1
    found = lg.check_finite(made, params, x, lengths=lengths)
    assert (found.name, found.t, found.b) == ("sqrt", 3, 1)


def test_a_reset_ends_what_was_born_before():
    made, params, x = lstm_with()
    state = {"h": np.full((B, 5), np.nan)}
    reset = np.zeros((T, B), bool)
    reset[0] = True
    assert lg.check_finite(made, params, x, state, reset=reset) is None
    assert lg.check_finite(made, params, x, state).name == "state h"


def test_an_infinity_that_is_meant_is_none():
    made = program(masked, input_size=2)
    x = np.array([[[-1.0, 2.0]], [[1.0, -2.0]]])
    assert lg.check_finite(made, {}, x, dy=np.ones_like(x)) is None
    x[1, 0, 0] = 100
    found = lg.check_finite(made, {}, x)
    assert (found.name, found.t, found.value) == ("exp", 1, np.inf)


def test_rows_whose_results_are_finite_are_not_looked_at():
    x = np.ones((T, B, 2))
    x[0, 0] = -100  # overflows harmlessly
    x[2, 1, 1] = np.nan
    found = lg.check_finite(program(by_hand, input_size=2), {}, x)
    assert (found.name, found.t, found.b) == ("input x", 2, 1)
    x[2, 1, 1] = -100
    dy = np.where(np.arange(B)[:, None] == 0, np.nan, np.ones_like(x))
    assert lg.check_finite(program(by_hand, input_size=2), {}, x, dy=dy).name == "the cotangent of output y"


def test_a_result_that_only_an_infinity_of_the_cell_makes_is_told():
    @lg.cell
    def endless(x, h):
        return lg.select(x > 0, h, -np.inf)

    found = lg.check_finite(endless, {}, -np.ones((1, 1, 2)))
    assert found.what == "result" and str(found).startswith("endless: output y is -inf at step 0, row 0")


def test_within_a_network_the_recur_and_the_layer_are_named():
    @lg.network
    def deep(x):
        below = lg.recur(roots, x, size=2, name="below")
        return lg.linear(lg.recur(lg.cells.catalogue["lstm"], below, size=5, name="above"), size=2, name="head")

    made = program(deep, input_size=1)
    params = made.init(0) | {"below.inner.b": np.full(2, 0.7, "float32")}
    x = np.zeros((T, B, 1))
    params["below.inner.W_x"][:] = 1
    params["below.inner.W_h"][:] = 0
    x[2, 1] = -9
    found = lg.check_finite(made, params, x)
    assert (found.where, found.name, found.t, found.b) == ("deep: recur below", "sqrt", 2, 1)
    x[2, 1] = 0
    params["head.W"][:] = params["head.b"][:] = 3e38
    found = lg.check_finite(made, params, x)
    assert (found.where, found.layer, found.t) == ("deep", "head", 0)


# ---- the way back


def test_the_way_back_has_the_op_and_the_line_of_the_way_forward():
    made = program(kink, input_size=2)
    x = np.ones((T, B, 2))
    x[1, 2, 1] = x[2, 0, 0] = 0
    dy = np.ones_like(x)
    assert lg.check_finite(made, {}, x) is None
    found = lg.check_finite(made, {}, x, dy=dy)
    assert (found.what, found.name, found.operand, found.t, found.b, found.index) == (
        "cotangent",
        "sqrt",
        0,
        2,
        0,
        (0,),
    )
    assert found.line[1] == line_of("kink", "lg.sqrt") and "on the way back sqrt (test_finite.py" in str(found)
    dy[2, 0] = dy[3, 0] = 0  # 0 times an infinite slope is NaN still
    assert np.isnan(lg.check_finite(made, {}, x, dy=dy).value)


def test_a_value_that_overflows_harmlessly_is_found_on_the_way_back():
    made = program(by_hand, input_size=2)
    x = np.ones((T, B, 2))
    x[2, 1, 0] = -100
    assert lg.check_finite(made, {}, x) is None
    found = lg.check_finite(made, {}, x, dy=np.ones_like(x))
    assert (found.name, found.t, found.b, found.index) == ("exp", 2, 1, (0,)) and np.isnan(found.value)


def test_the_way_back_through_a_network():
    made = program(two_ways, "float64")
    params = made.init(0)
    params["embed.W"][:] = 0
    for name in params:
        if name.startswith("ahead."):
            params[name][:] = 0  # the reversed recur sees 0 at every step
    found = lg.check_finite(made, params, np.zeros((T, B), int), dy=np.ones((T, B, 2)))
    assert (found.where, found.name, found.t) == ("two_ways: recur back", "sqrt", 0)  # it runs back: 0 is its last step


def test_cotangents_that_hold_it_are_named():
    made, params, x = lstm_with()
    dy = np.ones((T, B, 5))
    dy[1, 2, 3] = np.inf
    assert "the cotangent of output y holds inf at step 1, row 2, feature 3" in str(
        lg.check_finite(made, params, x, dy=dy)
    )
    found = lg.check_finite(made, params, x, dstate={"c": np.full((B, 5), np.nan)})
    assert found.name == "the cotangent of state c" and found.b == 0


def test_finite_parts_that_add_up_to_an_infinity():
    @lg.cell
    def plain(x, h):
        return h + lg.parameter("b")

    dy = np.full((T, B, 1), 2e38)
    found = lg.check_finite(
        program(plain, input_size=1, hidden_size=1), {"b": np.zeros(1, "float32")}, np.ones((T, B, 1)), dy=dy
    )
    assert found.what in ("result", "cotangent") and found.value == np.inf


CELLS = "lstm gru layer_norm_lstm on_lstm phased_lstm nested_lstm".split()


def _beside(name):
    spec = importlib.util.spec_from_file_location(name, Path(__file__).with_name(f"{name}.py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


cells = _beside("cells_for_tests")


@pytest.mark.parametrize("name", [*cells.AWKWARD, *CELLS])
def test_the_walk_back_gives_the_gradients(name, in_numpy):
    """What is walked op by op is the gradient: the finder looks at the numbers that the program computes."""
    from lstmgraph.births import backward_births
    from lstmgraph.border import symbols_of
    from lstmgraph.graph import operands
    from lstmgraph.interpreter import evaluate
    from lstmgraph.testing import by_leaf

    case = cells.CASES[name]
    known = {"I": "input_size", "H": "hidden_size"}
    sizes = {known.get(symbol, symbol) for symbol in symbols_of(case.cell)}
    made = program(case.cell, "float64", **{word: size for word, size in case.bound(5).items() if word in sizes})
    feeds = random_feeds(made, T, B, 0)
    sequence, sizes = made.engine.sequence, {**made.sizes, "T": T, "B": B}
    leaves = {f"parameter:{name}": value for name, value in feeds.params.items()}
    leaves |= {f"input:{name}": value for name, value in feeds.x.items()}
    leaves |= {f"state:{name}": value for name, value in feeds.state.items()}
    values, seeds = evaluate(sequence.graph, leaves, sizes, made.dtype), {}
    for (kind, name), sink in sequence.sinks.items():
        (source,) = operands(sequence.graph, sink)
        seeds[source] = seeds.get(source, 0) + (feeds.dstate[name] if kind == "next" else feeds.dy[name])
    births, cotangents = backward_births(sequence.graph, values, seeds, sizes, made.dtype)
    assert not births
    expected = by_leaf(made, made.vjp(feeds.params, feeds.x, feeds.state)[2](feeds.dy, feeds.dstate))
    found = {
        f"{sequence.graph.nodes[key]['node'].op}:{sequence.graph.nodes[key]['node'].name}": key for key in cotangents
    }
    for leaf, value in expected.items():
        mine = cotangents[found[leaf]] if leaf in found else np.zeros_like(value)
        np.testing.assert_allclose(mine, value, rtol=1e-12, atol=1e-12, err_msg=leaf)


# ---- in training


def fit(debug, **options):
    @lg.network
    def small(x):
        return lg.linear(lg.recur(by_hand, x + lg.parameter("shift", shape=("I",)), name="hand"), size=1, name="head")

    model = lg.Model(small, loss="mean_squared_error", optimizer=lg.SGD(0.1), seed=0)
    x = np.ones((T, B, 2))
    x[2, 1, 0] = options["value"]
    model.fit(x, np.ones((T, B, 1)), steps=1, progress=False, debug=debug)


@pytest.mark.parametrize(
    ("value", "loss", "place"),
    [
        (np.nan, "got loss nan", "input x holds nan at step 2, row 1, feature 0"),
        (-100.0, "got gradients of norm nan", "recur hand: on the way back exp (test_finite.py, line "),
    ],
)
def test_fit_says_where_when_asked(value, loss, place, in_numpy):
    with pytest.raises(LstmGraphError) as plain:
        fit(False, value=value)
    assert loss in str(plain.value) and str(plain.value).endswith("; fit(..., debug=True) says where it is born")
    with pytest.raises(LstmGraphError) as told:
        fit(True, value=value)
    assert loss in str(told.value) and place in str(told.value) and "debug=True" not in str(told.value)


def test_training_that_is_finite_is_not_replayed(in_numpy, monkeypatch):
    monkeypatch.setattr("lstmgraph.finite.check_finite", lambda *a, **k: pytest.fail("replayed"))
    fit(True, value=1.0)


# ---- wrong calls


def test_what_was_run_is_checked_like_a_call():
    made, params, x = lstm_with()
    with pytest.raises(GraphError, match=r"lg\.check_finite: got int, expected a program"):
        lg.check_finite(3, params, x)
    with pytest.raises(ParameterError, match=r"got no parameter forget\.W_h"):
        lg.check_finite(made, {}, x)
    assert "dy" in inspect.signature(lg.check_finite).parameters
