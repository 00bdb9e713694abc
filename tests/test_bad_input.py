"""Every wrong call gets one clear error, which says what, got and expected, before a kernel runs."""

import contextlib

import numpy as np
import pytest

import lstmgraph as lg
from lstmgraph.jit.executor import Executor

T, B, H, INPUTS = 5, 3, 6, 4


@lg.cell
def lstm(x, h, c):
    c = lg.gate(c, h, x, name="forget") + lg.gate(lg.tanh_layer(h, x, name="candidate"), h, x, name="input")
    h = lg.gate(lg.tanh(c), h, x, name="output")
    return h, c


@lg.cell
def leaky(x, dt, /, h):
    """Two inputs, and two outputs beside the state."""
    h = lg.tanh_layer(h=lg.exp(-dt) * h, x=x, name="mix")
    return {"y": 2 * h, "twice": 4 * h, "h": h}


@lg.network
def tagger(tokens):
    x = lg.embedding(tokens, 11, 4, name="embed")
    return lg.linear(lg.recur(lstm, x, size=6, name="lstm"), size=5, name="head")


class Case:
    """Programs and right arguments, from which each wrong call departs in one thing."""

    def __init__(self):
        rng = np.random.default_rng(1)
        self.program = lg.compile(lstm, input_size=INPUTS, hidden_size=H)
        self.params = self.program.init(seed=0)
        self.x = rng.standard_normal((T, B, INPUTS)).astype("float32")
        self.dy = np.ones((T, B, H), "float32")
        self.state = {name: np.zeros((B, H), "float32") for name in ("h", "c")}
        self.several = lg.compile(leaky, input_size=INPUTS, hidden_size=H, dt=1)
        self.several_params = self.several.init(seed=0)
        self.inputs = {"x": self.x, "dt": np.ones((T, B, 1), "float32")}
        self.network = lg.compile(tagger)
        self.network_params = self.network.init(seed=0)
        self.tokens = rng.integers(0, 11, (T, B))
        self.pull = self.program.vjp(self.params, self.x)[2]
        self.pull_several = self.several.vjp(self.several_params, self.inputs)[2]

    def call(self, x=None, params=None, **options):
        return self.program(self.params if params is None else params, self.x if x is None else x, **options)

    def with_params(self, **changed):
        return self.call(params=self.params | {name.replace("__", "."): value for name, value in changed.items()})

    def vjp(self, **options):
        return self.program.vjp(self.params, self.x, **options)

    def run_tokens(self, tokens):
        return self.network(self.network_params, tokens)

    def compile(self, traced=lstm, **options):
        return lg.compile(traced, **{"input_size": INPUTS, "hidden_size": H} | options)


@pytest.fixture(scope="module")
def case():
    return Case()


@pytest.fixture
def no_kernel(monkeypatch):
    """Make the first kernel that would run an error of another kind."""

    def ran(*_):
        raise RuntimeError("a kernel ran")

    monkeypatch.setattr(Executor, "function", ran)
    monkeypatch.setattr(Executor, "support", ran)


def ragged():
    return [[[1.0] * INPUTS] * B] * (T - 1) + [[[1.0] * INPUTS] * (B - 1)]


WIDE = np.zeros((INPUTS, H), "float64")
# name: (the wrong call, the error, words that its message must hold: where, got, expected)
X = {
    "rank 2": (lambda c: c.call(c.x[0]), lg.ShapeError, ["input x", "[3, 4]", "[T, B, 4]"]),
    "rank 4": (lambda c: c.call(c.x[None]), lg.ShapeError, ["input x", "[1, 5, 3, 4]", "[T, B, 4]"]),
    "a number": (lambda c: c.call(1.0), lg.ShapeError, ["input x", "[]", "[T, B, 4]"]),
    "too few features": (lambda c: c.call(c.x[..., :3]), lg.ShapeError, ["input x", "[5, 3, 3]", "[T, B, 4]"]),
    "batch first": (lambda c: c.call(np.zeros((4, T, B))), lg.ShapeError, ["input x", "[4, 5, 3]", "[T, B, 4]"]),
    "strings": (lambda c: c.call(np.full((T, B, INPUTS), "a")), lg.DTypeError, ["input x", "<U1", "float32"]),
    "complex": (lambda c: c.call(c.x + 1j), lg.DTypeError, ["input x", "complex", "float32"]),
    "objects": (lambda c: c.call(c.x.astype(object)), lg.DTypeError, ["input x", "object", "float32"]),
    "dates": (lambda c: c.call(c.x.astype("M8[s]")), lg.DTypeError, ["input x", "datetime64", "float32"]),
    "ragged": (lambda c: c.call(ragged()), lg.LstmGraphError, ["input x", "[T, B, 4]"]),
    "ragged, to the oracle": (lambda c: lg.interpret(lstm, {}, ragged()), lg.LstmGraphError, ["input", "array"]),
    "nothing": (lambda c: c.program(c.params, None), lg.LstmGraphError, ["input x", "[T, B, 4]"]),
    "unknown input": (lambda c: c.call({"xx": c.x}), lg.ShapeError, ["'xx'", "expected x", "nearest: x"]),
    "missing input": (lambda c: c.several(c.several_params, c.x), lg.ShapeError, ["got inputs x", "expected also dt"]),
    "inputs of different T": (
        lambda c: c.several(c.several_params, c.inputs | {"dt": np.ones((T - 1, B, 1))}),
        lg.ShapeError,
        ["input dt", "(4, 3)", "(5, 3)"],
    ),
    "second input of a wrong size": (
        lambda c: c.several(c.several_params, c.inputs | {"dt": np.ones((T, B, 2))}),
        lg.ShapeError,
        ["input dt", "[5, 3, 2]", "[T, B, 1]"],
    ),
}
PARAMS = {
    "float64 weight": (lambda c: c.with_params(forget__W_x=WIDE), lg.DTypeError, ["forget.W_x", "float64", "float32"]),
    "integer weight": (
        lambda c: c.with_params(forget__b=np.zeros(H, int)),
        lg.DTypeError,
        ["forget.b", "int64", "float32"],
    ),
    "transposed weight": (
        lambda c: c.with_params(forget__W_x=np.zeros((H, INPUTS), "float32")),
        lg.ShapeError,
        ["forget.W_x", "[6, 4]", "[4, 6]"],
    ),
    "missing": (
        lambda c: c.call(params={k: v for k, v in c.params.items() if k != "input.b"}),
        lg.ParameterError,
        ["input.b", "program.init"],
    ),
    "unknown": (lambda c: c.with_params(forgot__W_x=WIDE), lg.ParameterError, ["'forgot.W_x'", "nearest: forget.W_x"]),
    "a list": (lambda c: c.call(params=[1, 2]), lg.ParameterError, ["params", "list", "dictionary"]),
    "none": (lambda c: c.program(None, c.x), lg.ParameterError, ["params", "NoneType", "dictionary"]),
    "ragged weight": (lambda c: c.with_params(forget__b=[[1.0], [1.0, 2.0]]), lg.LstmGraphError, ["forget.b", "[6]"]),
    "string weight": (
        lambda c: c.with_params(forget__b=np.full(H, "a")),
        lg.DTypeError,
        ["forget.b", "<U1", "float32"],
    ),
    "wrong direction": (
        lambda c: c.program.hvp(c.params, c.x, {"forget.b": c.params["forget.b"]}, c.dy),
        lg.ParameterError,
        ["input.b", "expected"],
    ),
}
STATE = {
    "unknown": (lambda c: c.call(state={"cell": c.state["c"]}), lg.ShapeError, ["state 'cell'", "h, c"]),
    "of another batch": (
        lambda c: c.call(state={"h": np.zeros((B + 1, H), "float32")}),
        lg.ShapeError,
        ["state h", "[4, 6]", "[3, 6]"],
    ),
    "of another size": (
        lambda c: c.call(state={"c": np.zeros((B, H + 1), "float32")}),
        lg.ShapeError,
        ["state c", "[3, 7]", "[3, 6]"],
    ),
    "complex": (lambda c: c.call(state={"c": c.state["c"] + 1j}), lg.LstmGraphError, ["state c", "complex"]),
    "strings": (lambda c: c.call(state={"h": np.full((B, H), "a")}), lg.LstmGraphError, ["state h", "<U1", "[3, 6]"]),
    "a tuple": (
        lambda c: c.call(state=(c.state["h"], c.state["c"])),
        lg.ShapeError,
        ["state", "tuple", "dictionary", "h, c"],
    ),
    "ragged": (lambda c: c.call(state={"h": [[1.0], [1.0, 2.0]]}), lg.LstmGraphError, ["state h", "[3, 6]"]),
    "step with a sequence": (
        lambda c: c.program.step(c.params, c.x),
        lg.ShapeError,
        ["input x", "[5, 3, 4]", "[B, 4]"],
    ),
    "step with a stale state": (
        lambda c: c.program.step(c.params, c.x[0, :2], c.state),
        lg.ShapeError,
        ["state", "[3, 6]", "[2, 6]"],
    ),
    "bound step with a sequence": (
        lambda c: c.program.bind(c.params).step(c.x, c.state),
        lg.ShapeError,
        ["input x", "[B, 4]"],
    ),
}
LENGTHS = {
    "negative": (lambda c: c.call(lengths=[5, -1, 2]), lg.ShapeError, ["lengths", "-1", "0 to T = 5"]),
    "too long": (lambda c: c.call(lengths=[5, 6, 2]), lg.ShapeError, ["lengths", "6", "0 to T = 5"]),
    "floats": (lambda c: c.call(lengths=[5.0, 2.0, 2.0]), lg.LstmGraphError, ["lengths", "float64", "3 integers"]),
    "booleans": (lambda c: c.call(lengths=[True] * 3), lg.LstmGraphError, ["lengths", "bool", "3 integers"]),
    "too few": (lambda c: c.call(lengths=[5, 2]), lg.ShapeError, ["lengths", "[2]", "3 integers"]),
    "one number": (lambda c: c.call(lengths=5), lg.ShapeError, ["lengths", "[]", "3 integers"]),
    "a matrix": (lambda c: c.call(lengths=[[5, 2, 1]]), lg.ShapeError, ["lengths", "[1, 3]", "3 integers"]),
    "beyond int64": (
        lambda c: c.call(lengths=np.array([2**64 - 1, 1, 1], "uint64")),
        lg.ShapeError,
        ["lengths", "0 to T = 5"],
    ),
    "reset per row": (lambda c: c.call(reset=np.zeros(B, bool)), lg.ShapeError, ["reset", "[3]", "[5, 3]"]),
    "reset batch first": (lambda c: c.call(reset=np.zeros((B, T), bool)), lg.ShapeError, ["reset", "[3, 5]", "[5, 3]"]),
    "reset floats": (lambda c: c.call(reset=np.zeros((T, B))), lg.LstmGraphError, ["reset", "float64", "booleans"]),
}
TOKENS = {
    "too large": (lambda c: c.run_tokens(np.full((T, B), 11)), lg.ShapeError, ["input tokens", "index 11", "0 to 10"]),
    "negative": (lambda c: c.run_tokens(np.full((T, B), -1)), lg.ShapeError, ["input tokens", "index -1", "0 to 10"]),
    "vjp too large": (
        lambda c: c.network.vjp(c.network_params, c.tokens + 11),
        lg.ShapeError,
        ["input tokens", "index 21", "0 to 10"],
    ),
    "vjp negative": (
        lambda c: c.network.vjp(c.network_params, c.tokens - 11),
        lg.ShapeError,
        ["input tokens", "index -", "0 to 10"],
    ),
    "in padding": (
        lambda c: c.network(c.network_params, np.full((T, B), 11), lengths=[0, 0, 0]),
        lg.ShapeError,
        ["input tokens", "index 11", "0 to 10"],
    ),
    "beyond int64": (
        lambda c: c.run_tokens(np.full((T, B), 2**64 - 1, "uint64")),
        lg.ShapeError,
        ["input tokens", "0 to 10"],
    ),
    "floats": (lambda c: c.run_tokens(np.zeros((T, B))), lg.DTypeError, ["input tokens", "float64", "integers"]),
    "one-hot": (
        lambda c: c.run_tokens(np.zeros((T, B, 11), int)),
        lg.ShapeError,
        ["input tokens", "[5, 3, 11]", "[T, B]"],
    ),
}
COTANGENTS = {
    "wrong shape": (lambda c: c.pull(c.dy[:-1]), lg.ShapeError, ["dy", "[4, 3, 6]", "[5, 3, 6]"]),
    "to be broadcast": (lambda c: c.pull(np.float32(1)), lg.ShapeError, ["dy", "[]", "[5, 3, 6]"]),
    "complex": (lambda c: c.pull(c.dy * 1j), lg.LstmGraphError, ["dy", "complex", "[5, 3, 6]"]),
    "strings": (lambda c: c.pull(np.full((T, B, H), "a")), lg.LstmGraphError, ["dy", "<U1", "[5, 3, 6]"]),
    "unknown output": (lambda c: c.pull({"z": c.dy}), lg.LstmGraphError, ["dy", "z", "y"]),
    "one of several": (lambda c: c.pull_several(c.dy), lg.LstmGraphError, ["dy", "dictionary", "y, twice"]),
    "unknown of several": (lambda c: c.pull_several({"thrice": c.dy}), lg.LstmGraphError, ["dy", "thrice", "y, twice"]),
    "unknown dstate": (lambda c: c.pull(c.dy, dstate={"d": c.state["c"]}), lg.ShapeError, ["dstate 'd'", "h, c"]),
    "dstate of a wrong shape": (
        lambda c: c.pull(c.dy, dstate={"c": c.dy}),
        lg.ShapeError,
        ["dstate c", "[5, 3, 6]", "[3, 6]"],
    ),
    "dstate a list": (lambda c: c.pull(c.dy, dstate=[1]), lg.LstmGraphError, ["dstate", "list", "dictionary"]),
    "unknown wrt": (
        lambda c: c.vjp(wrt=("param",)),
        lg.LstmGraphError,
        ["wrt", "param", "params, x, state", "nearest: params"],
    ),
    "wrt of lists": (lambda c: c.vjp(wrt=(["x"],)), lg.LstmGraphError, ["wrt", "['x']", "params, x, state"]),
    "wrt of many kinds": (lambda c: c.vjp(wrt=(1, "a")), lg.LstmGraphError, ["wrt", "1", "params, x, state"]),
    "wrt of arrays": (lambda c: c.vjp(wrt=(np.ones(2),)), lg.LstmGraphError, ["wrt", "array", "params, x, state"]),
    "wrt a number": (lambda c: c.vjp(wrt=3), lg.LstmGraphError, ["wrt", "3", "params, x, state"]),
    "unknown layer": (
        lambda c: c.program.record(c.params, c.x, ["forgot"]),
        lg.GraphError,
        ["'forgot'", "forget, ", "nearest: forget"],
    ),
    "layers in lists": (
        lambda c: c.program.record(c.params, c.x, [["forget"]]),
        lg.GraphError,
        ["['forget']", "forget, "],
    ),
    "the direction of states no dictionary": (
        lambda c: c.program.jvp(c.params, c.x, dstate=c.state["h"]),
        lg.ShapeError,
        ["dstate", "ndarray", "dictionary with h, c"],
    ),
    "no direction": (
        lambda c: c.program.hvp(c.params, c.x, None, c.dy),
        lg.ParameterError,
        ["direction", "NoneType", "like params"],
    ),
    "an unknown ragged input of a step": (
        lambda c: c.program.step(c.params, {"x": c.x[0], "z": [[1], [1, 2]]}),
        lg.ShapeError,
        ["input z", "ragged"],
    ),
    "a ragged step": (
        lambda c: c.program.bind(c.params).step([[1, 2, 3, 4], [1]]),
        lg.ShapeError,
        ["input x", "ragged", "[B, 4]"],
    ),
}
COMPILE = {
    "a function": (lambda c: c.compile(lambda x, h: h), lg.CompileError, ["function", "cell", "@lg.cell"]),
    "a graph": (lambda c: c.compile(lstm.graph), lg.CompileError, ["MultiDiGraph", "cell"]),
    "float16": (lambda c: c.compile(dtype="float16"), lg.CompileError, ["dtype", "float16", "float32 or float64"]),
    "int32": (lambda c: c.compile(dtype=np.int32), lg.CompileError, ["dtype", "int32", "float32 or float64"]),
    "no dtype": (lambda c: c.compile(dtype="single precision"), lg.CompileError, ["dtype", "float32 or float64"]),
    "dtype None": (lambda c: c.compile(dtype=None), lg.CompileError, ["dtype", "None", "float32 or float64"]),
    "unknown size": (
        lambda c: c.compile(hiden_size=3),
        lg.CompileError,
        ["'hiden_size'", "hidden_size", "nearest: hidden_size"],
    ),
    "a size twice": (
        lambda c: c.compile(H=7),
        lg.CompileError,
        ["hidden_size and H", "one of them"],
    ),
    "dtype a dictionary": (
        lambda c: c.compile(dtype={"names": ["a"]}),
        lg.CompileError,
        ["dtype", "names", "float32 or float64"],
    ),
    "missing size": (lambda c: lg.compile(lstm, input_size=3), lg.CompileError, ["hidden_size", "lg.compile"]),
    "missing symbol": (lambda c: c.compile(leaky), lg.CompileError, ["no size for dt", "dt="]),
} | {
    f"{name}={value!r}": (
        lambda c, name=name, value=value: c.compile(**{name: value}),
        lg.CompileError,
        [name, repr(value), "expected"],
    )
    for name, value in [
        *(("input_size", value) for value in (0, -3, 2.5, True, "4", np.nan)),
        *(("hidden_size", value) for value in (0, -3, 2.5, False)),
        *(("threads", value) for value in (0, -1, "x", 1.5, True)),
    ]
}
INTERPRET = {
    "unknown parameter": (
        lambda c: lg.interpret(lstm, c.params | {"forgot.b": c.params["forget.b"]}, c.x),
        lg.ParameterError,
        ["'forgot.b'", "nearest: forget.b"],
    ),
    "lengths": (
        lambda c: lg.interpret(lstm, c.params, c.x, lengths=[9, 1, 1]),
        lg.ShapeError,
        ["lengths", "9", "0 to T = 5"],
    ),
    "tokens too large": (
        lambda c: lg.interpret(tagger, c.network_params, np.full((T, B), 11)),
        lg.ShapeError,
        ["input tokens", "index 11", "0 to 10"],
    ),
    "tokens negative": (
        lambda c: lg.interpret(tagger, c.network_params, np.full((T, B), -1)),
        lg.ShapeError,
        ["input tokens", "index -1", "0 to 10"],
    ),
    "a function": (lambda c: lg.interpret(lambda x: x, {}, c.x), lg.LstmGraphError, ["function", "cell"]),
}
TABLES = {
    "x": X,
    "params": PARAMS,
    "state": STATE,
    "lengths": LENGTHS,
    "tokens": TOKENS,
    "cotangents": COTANGENTS,
    "compile": COMPILE,
    "interpret": INTERPRET,
}
CALLS = [pytest.param(*row, id=f"{table}: {name}") for table, rows in TABLES.items() for name, row in rows.items()]


@pytest.mark.parametrize("wrong, error, words", CALLS)
def test_a_wrong_call_gets_one_clear_error(wrong, error, words, case, no_kernel):
    with pytest.raises(error) as found:
        wrong(case)
    message = str(found.value)
    assert isinstance(found.value, lg.LstmGraphError)
    assert all(word in message for word in words), message
    assert "\n" not in message and len(message) < 400, message


def test_the_right_calls_from_which_the_wrong_ones_depart_do_run(case):
    assert case.call()[0].shape == (T, B, H)
    assert case.call(state=case.state, lengths=[5, 0, 2], reset=np.zeros((T, B), bool))[0].shape == (T, B, H)
    assert case.pull(case.dy, dstate={"c": case.state["c"]}).x.shape == (T, B, INPUTS)
    assert case.pull_several({"twice": case.dy}).x["dt"].shape == (T, B, 1)
    assert case.run_tokens(case.tokens)[0].shape == (T, B, 5)
    assert case.compile(threads=1)(case.params, case.x)[0].shape == (T, B, H)
    assert lg.interpret(tagger, case.network_params, case.tokens)[0].shape == (T, B, 5)


def test_an_error_leaves_the_program_as_it_was(case):
    before, _ = case.call()
    for wrong, _, _ in (row for rows in TABLES.values() for row in rows.values()):
        with contextlib.suppress(Exception):
            wrong(case)
    assert np.array_equal(case.call()[0], before)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_numbers_that_are_not_finite_are_no_error_and_stay_in_their_row(bad, case):
    x = case.x.copy()
    x[1, 1, 2] = bad
    y, state = case.call(x)
    clean, clean_state = case.call()
    want, want_state = lg.interpret(lstm, case.params, x)
    assert np.array_equal(np.isnan(y), np.isnan(want))
    assert np.array_equal(np.isnan(state["c"]), np.isnan(want_state["c"]))
    assert np.array_equal(y[:, [0, 2]], clean[:, [0, 2]])
    assert np.array_equal(state["c"][[0, 2]], clean_state["c"][[0, 2]])
    assert np.array_equal(y[0], clean[0])
