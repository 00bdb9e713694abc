"""Sizes that nothing settles, axes that are missing: each error names what has the size and says what to do.

Sums of sizes are settled as sizes are: equal ones are one, and every way to compute with them is the same.
"""

import re

import numpy as np
import pytest

import lstmgraph as lg
from lstmgraph.border import symbols_of
from lstmgraph.graph import is_row, keys_of, node_of, operands
from lstmgraph.schedule.resolve import resolve
from lstmgraph.sequences import over_sequences, with_gradient

T, B = 5, 4
X = np.random.default_rng(0).standard_normal((T, B, 3))
Y = np.zeros((T, B), int)


@lg.network
def headless(x):
    y = lg.recur(lg.cells.gru, x, size=8, name="g")
    return lg.linear(y, name="head")


@lg.network
def endless(x):
    y = lg.recur(lg.cells.gru, x, name="g")
    return lg.linear(y, size=2, name="head")


@lg.network
def projecting(x):
    y = lg.recur(lg.cells.projected_lstm, x, size=4, name="g")
    return lg.linear(y, size=2, name="head")


@lg.network
def whole(x):
    y = lg.recur(lg.cells.gru, x, size=8, name="g")
    return lg.linear(y, size=2, name="head")


@lg.network
def one_number(x):
    y = lg.recur(lg.cells.gru, x, size=3, name="g")
    return lg.linear(y, size=1, name="head")


@lg.cell
def leak(x, h):
    return 0.5 * h


def layer(name):
    return rf"layer '{name}' \(test_sizes\.py, line \d+\)"


OF_HEAD, OF_RECUR = layer("head"), layer("g")
OR_SIZE = "or give size= to the layer"
TO_MODEL = rf"pass hidden_size= to lg\.Model, {OR_SIZE}"
FIRST = "call fit first, whose data tell, or pass"
MISSING = {
    "fit, a head": (lambda: lg.Model(headless).fit(X, Y),
        rf"headless: got no size for hidden_size, expected one for {OF_HEAD}; {TO_MODEL}"),
    "predict": (lambda: lg.Model(headless).predict(X),
        rf"headless: got no size for hidden_size, expected one for {OF_HEAD}; {TO_MODEL}"),
    "fit, a recur": (lambda: lg.Model(endless).fit(X, Y),
        rf"endless: got no size for hidden_size, expected one for {OF_RECUR}; {TO_MODEL}"),
    "fit, a symbol": (lambda: lg.Model(projecting).fit(X, Y),
        rf"projecting: got no size for P, expected one for {OF_RECUR}; pass P= to lg\.Model"),
    "fit, a cell": (lambda: lg.Model(lg.cells.gru).fit(X, Y),
        r"gru: got no size for hidden_size, expected one for state h; pass hidden_size= to lg\.Model"),
    "params, a network": (lambda: lg.Model(whole).params,
        rf"whole: got no size for input_size, expected one for input x; {FIRST} input_size= to lg\.Model"),
    "params, both": (lambda: lg.Model(headless).params,
        rf"headless: got no size for input_size and hidden_size, expected one for input x and {OF_HEAD}; {FIRST} "
        rf"input_size= and hidden_size= to lg\.Model, {OR_SIZE}"),
    "compile": (lambda: lg.compile(headless, input_size=3),
        rf"headless: got no size for hidden_size, expected one for {OF_HEAD}; pass hidden_size= to "
        rf"lg\.compile, {OR_SIZE}"),
    "compile, a cell": (lambda: lg.compile(leak),
        r"leak: got no size for input_size and hidden_size, expected one for input x and state h; pass input_size= and "
        r"hidden_size= to lg\.compile"),
    "interpret": (lambda: lg.interpret(leak, {}, X),
        r"leak: got no size for hidden_size, expected one for state h; pass arrays of that size, as in state="
        r"\{'h': np\.zeros\(\(B, H\)\)\}"),
    "a wrong word": (lambda: lg.Model(headless, hiden_size=3),
        r"headless: unknown size 'hiden_size', expected input_size, hidden_size \(nearest: hidden_size, input_size\)"),
    "no number": (lambda: lg.Model(headless, hidden_size="3"),
        r"headless: got hidden_size='3', expected a positive integer"),
}  # fmt: skip


@pytest.mark.parametrize(("call", "message"), MISSING.values(), ids=list(MISSING))
def test_a_missing_size_names_what_has_it_and_where_it_is_given(call, message):
    with pytest.raises(lg.CompileError, match=f"^{message}$"):
        call()


def test_a_size_given_settles_it(in_numpy):
    for network, sizes in ((headless, {"hidden_size": 2}), (projecting, {"P": 3}), (lg.cells.gru, {"hidden_size": 2})):
        assert len(lg.Model(network, **sizes).fit(X, Y, progress=False)) == 1
    assert lg.interpret(leak, {}, X, state={"h": np.ones((B, 7))})[0].shape == (T, B, 7)
    targets = np.zeros((T, B, 6))
    model = lg.Model(headless, loss="mean_squared_error")
    model.fit(X, targets, progress=False)
    assert model.sizes["hidden_size"] == 6, "a target of numbers says the size of the prediction"


def test_a_missing_parameter_is_said_before_its_size():
    params = lg.compile(headless, input_size=3, hidden_size=2).init(0)
    with pytest.raises(lg.LstmGraphError, match=r"^headless: got no parameter head\.b, expected 12"):
        lg.interpret(headless, {name: value for name, value in params.items() if name != "head.b"}, X)
    with pytest.raises(lg.ShapeError, match=r"^headless: parameter head\.W: got shape \[8\], expected \[8, 2\]"):
        lg.interpret(headless, params | {"head.W": params["head.W"][:, 0]}, X)


COMPILED = lg.compile(one_number, input_size=1)
ADD = r"for one feature add the last axis: {}\[\.\.\., None\]"
AXES = {
    "compiled": (lambda: COMPILED(COMPILED.init(0), X[..., 0]),
        r"one_number: input x: got shape \[5, 4\], expected \[T, B, 1\]; " + ADD.format("x")),
    "fit": (lambda: lg.Model(one_number).fit(X[..., 0], Y),
        r"one_number: input x: got shape \[5, 4\], expected \[T, B, I\]; " + ADD.format("x")),
    "predict": (lambda: lg.Model(one_number).predict(X[..., 0]),
        r"one_number: input x: got shape \[5, 4\], expected \[T, B, I\]; " + ADD.format("x")),
    "interpret": (lambda: lg.interpret(leak, {}, X[..., 0]),
        r"leak: input x: got shape \[5, 4\], expected \[T, B, I\]; " + ADD.format("x")),
    "one sequence": (lambda: lg.interpret(whole, lg.compile(whole, input_size=3).init(0), X[:, 0]),
        r"whole: input x: got shape \[5, 3\], expected \[T, B, 3\]; for one sequence add the axis of rows: "
        r"x\[:, None\]"),
    "another size": (lambda: lg.interpret(whole, lg.compile(whole, input_size=3).init(0), X[..., 0]),
        r"whole: input x: got shape \[5, 4\], expected \[T, B, 3\]; sequences are time-major"),
    "targets of numbers": (lambda: lg.Model(one_number, "mean_squared_error").fit(X, X[..., 0]),
        r"one_number: target: got shape \[5, 4\], expected \[T, B, 1\] = \[5, 4, 1\], or \[B, 1\] = \[4, 1\] for one "
        r"target a sequence, which counts at its last valid step; " + ADD.format("y")),
    "classes": (lambda: lg.Model(whole).fit(X, Y[0, :3]),
        r"whole: target: got shape \[3\], expected \[T, B\] = \[5, 4\], or \[B\] = \[4\] for one target a sequence, "
        r"which counts at its last valid step; a label that every step shall predict is given at each step"),
}  # fmt: skip


@pytest.mark.parametrize(("call", "message"), AXES.values(), ids=list(AXES))
def test_a_missing_axis_is_said_as_such(call, message, in_numpy):
    with pytest.raises(lg.ShapeError, match=f"^{message}$"):
        call()


def test_errors_of_a_model_name_the_network_and_never_the_objective():
    assert lg.Model(whole).objective.name == "whole"
    with pytest.raises(lg.LstmGraphError) as caught:
        lg.Model(whole, input_size=4).fit(X, Y)
    assert str(caught.value).startswith("whole: ") and not re.search("cross_entropy|compile", str(caught.value))


# ---- sums of sizes


@lg.cell
def one_beside(x, dt, /, h, s):
    weights = lg.softmax(lg.concat(s * dt, lg.tanh_layer(h, x, name="a")))
    first, rest = lg.split(weights, 1, "H")
    return {"h": rest, "s": lg.tanh(lg.row_sum(first))}


@lg.cell
def other_order(x, h):
    first, rest = lg.split(lg.tanh(lg.concat(x, h)) * lg.concat(h, x), "H", "I")
    return {"y": rest, "h": first + lg.linear(h, x, name="a")}


@lg.cell
def sum_beside(x, dt, /, h):
    return lg.tanh(lg.concat(x, dt) * h + lg.linear(h, x, name="a"))


@lg.cell
def two_sums(x, p, q, /, h):
    first, rest = lg.split(lg.tanh(lg.concat(x, h)) * lg.concat(p, q), "I", "H")
    return {"y": first, "h": rest + lg.linear(h, x, name="a")}


@lg.cell
def added(x, z, /, h):
    return 0.5 * h + z + lg.linear(x, name="a")


@lg.network
def of_sums(x, dt):
    y = lg.recur(one_beside, x, dt, size="K", name="r")
    return lg.linear(lg.concat(x, y) * lg.concat(y, x), size=2, name="head")


SUMS = {
    "one": (one_beside, {"dt": 1}, {"h": "H", "s": 1}),
    "order": (other_order, {}, {"h": "H"}),
    "a sum and a symbol": (sum_beside, {"dt": 2}, {"h": "I+dt"}),
    "a sum with one and a symbol": (sum_beside, {"dt": 1, "H": 4}, {"h": "I+dt"}),
    "two sums": (two_sums, {"p": 4, "q": 4}, {"h": 5}),
    "a network": (of_sums, {"K": 5, "dt": 1}, {}),
    "gradient": (lg.gradient(added), {"z": 5}, {"d_h": "H"}),
    "gradient of a spread value": (lg.gradient(added), {"z": 1}, {"d_h": "H"}),
    "gradient of a sum": (lg.gradient(sum_beside), {"dt": 2}, {"d_h": "I+dt"}),
}


def _cells(traced):
    return [node_of(traced.graph, key).attr("cell") for key in keys_of(traced.graph, "recur")]


@pytest.mark.parametrize(("traced", "others", "states"), SUMS.values(), ids=list(SUMS))
def test_equal_sums_of_sizes_are_one_sum_and_no_sum_along_the_features_stays(traced, others, states):
    sizes = {"I": 3, "H": 5, **others}
    bound = tuple((symbol, sizes[symbol]) for symbol in symbols_of(traced))
    graph = resolve(over_sequences(traced), bound)
    for cell in _cells(graph):
        assert not states or {name: cell.leaves[f"state:{name}"].shape[-1] for name in cell.states} == states
    whole = with_gradient(graph)
    for cell in (whole, *_cells(whole)):
        kept = [operands(cell.graph, key)[0] for key in keys_of(cell.graph, "sum_to")]
        assert not [key for key in kept if is_row(node_of(cell.graph, key).shape)]
    named = {{"I": "input_size", "H": "hidden_size"}.get(symbol, symbol): size for symbol, size in bound}
    lg.assert_same(traced, **named, compiled=False)
    lg.check_gradients(traced, **named)


def test_a_sum_of_sizes_with_one_is_compiled():
    lg.assert_same(one_beside, dt=1, compiled=True, forms=["plain"])


# ---- operators that are none


def test_whole_powers_are_products():
    @lg.cell
    def powers(x, h):
        return {"y": lg.concat(*[x**exponent for exponent in range(1, 9)], x**2.0, x ** np.float32(3)), "h": h}

    y, _ = lg.interpret(powers, {}, X, state={"h": np.zeros((B, 2))})
    expected = np.concatenate([X**exponent for exponent in (*range(1, 9), 2, 3)], axis=-1)
    np.testing.assert_allclose(y, expected, rtol=1e-14)
    assert {node.op for _, node in powers.graph.nodes(data="node")} == {
        "input",
        "state",
        "mul",
        "concat",
        "next",
        "output",
    }


REFUSED = {
    r"power of state h%s: got exponent 2\.5, expected a whole number from 1 to 8; write lg\.sqrt\(value\), 1 / value, "
    r"or lg\.exp\(exponent \* lg\.log\(value\)\) of a value above 0": lambda x, h: h**2.5,
    r"power of mul%s: got exponent -1, expected .*": lambda x, h: (h * x) ** -1,
    r"power of state h%s: got exponent 9, expected .*": lambda x, h: h**9,
    r"power of state h%s: got exponent Symbol, expected .*": lambda x, h: h**x,
    r"power of state h%s: got exponent True, expected .*": lambda x, h: h**True,
    r"power of 2%s: got state h as the exponent, expected a number; write lg\.exp\(value \* math\.log\(base\)\)": (
        lambda x, h: 2**h
    ),
    r"state h%s: got an index -1, expected the whole value, of all steps and rows; lg\.split takes features apart, "
    r"lg\.delay gives earlier steps, program\.record shows a layer at each step, and for the last step alone "
    r"Model\.fit takes targets without the axis of time": lambda x, h: h[-1],
    r"input x%s: got an index \(slice.*, expected the whole value, .*": lambda x, h: x[:, 1:],
    r"a value of a cell cannot be unpacked or iterated; lg\.split takes its features apart%s": lambda x, h: list(h),
}


@pytest.mark.parametrize(("message", "function"), REFUSED.items(), ids=[message[:40] for message in REFUSED])
def test_other_operators_say_what_to_write(message, function):
    line = r" \(test_sizes\.py, line \d+\)"
    with pytest.raises(lg.GraphError, match=f"^{message % line}$"):
        lg.cell(function)
