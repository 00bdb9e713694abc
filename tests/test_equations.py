"""What a cell's equations say, read as text and as LaTeX, is what the cell computes."""

import re

import numpy as np
import pytest
from cells_for_tests import CASES, THOROUGH, Case

import lstmgraph as lg
from lstmgraph.graph import resize
from lstmgraph.notation.expressions import Applied, Number, names_in, write
from lstmgraph.notation.names import Name, in_latex
from lstmgraph.plugins import op


def _softmax(v):
    raised = np.exp(v - v.max(-1, keepdims=True))
    return raised / raised.sum(-1, keepdims=True)


FUNCTIONS = {
    "σ": lambda v: 1 / (1 + np.exp(-v)),
    "tanh": np.tanh,
    "exp": np.exp,
    "log": np.log,
    "sin": np.sin,
    "√": np.sqrt,
    "⌊": np.floor,
    "|": np.abs,
    "ReLU": lambda v: np.maximum(v, 0),
    "softplus": lambda v: np.logaddexp(0, v),
    "softmax": _softmax,
    "cumax": lambda v: np.cumsum(_softmax(v), -1),
    "LN": lambda v: (v - v.mean(-1, keepdims=True)) / np.sqrt(v.var(-1, keepdims=True) + 1e-5),
    "mean": lambda v: v.mean(-1, keepdims=True),
    "sum": lambda v: v.sum(-1, keepdims=True),
    "cumsum": lambda v: np.cumsum(v, -1),
    "reverse_cumsum": lambda v: np.cumsum(v[..., ::-1], -1)[..., ::-1],
    "max": lambda *v: np.maximum(*v) if len(v) == 2 else v[0].max(-1, keepdims=True),
    "min": lambda a, b: np.minimum(a, b),
    "select": lambda c, a, b: np.where(c != 0, a, b),
    "stop_gradient": lambda v: v,
    "spread": lambda v, shape: np.broadcast_to(v, shape),
    "sum_to": lambda v, shape: op("sum_to").meaning(v, shape),
    "one_hot": lambda v, size: (v[..., None] == np.arange(size)).astype(float),
    "scatter": lambda v, index, size: np.stack([v[index == entry].sum(0) for entry in range(int(size))]),
}
SIGNS = {"<": np.less, "≤": np.less_equal, "=": np.equal}
CLOSING = {"(": ")", "|": "|", "⌊": "⌋"}


class Reader:
    """Computes a line of text: names are those of `values`, the longest that fits; e is a number."""

    def __init__(self, text, values):
        known = sorted([*values, *FUNCTIONS, "1ᵀ", "∑_t", "size="], key=len, reverse=True)
        pattern = "|".join([*(re.escape(word) for word in known), r"\d+(?:\.\d+)?(?:e-?\d+)?", r"\S"])
        self.tokens = [match for match in re.findall(pattern, text) if match.strip()]
        self.values = values | {"e": np.e, "π": np.pi}
        self.place = 0

    @property
    def next(self):
        return self.tokens[self.place] if self.place < len(self.tokens) else ""

    def take(self, *expected):
        token = self.next
        assert not expected or token in expected, f"{token!r} in {' '.join(self.tokens)}"
        self.place += 1
        return token

    def line(self):
        if self.next == "∑_t":
            self.take()
        value = self.comparison()
        assert not self.next, self.tokens[self.place :]
        return value

    def comparison(self):
        value = self.sum()
        return SIGNS[self.take()](value, self.sum()).astype(float) if self.next in SIGNS else value

    def sum(self):
        minus = self.next == "-" and self.take()
        value = -self.quotient() if minus else self.quotient()
        while self.next in ("+", "-"):
            value = value + self.quotient() if self.take() == "+" else value - self.quotient()
        return value

    def quotient(self):
        value = self.product()
        while self.next == "/":
            self.take()
            value = value / self.postfix()
        return value

    def product(self):
        value = self.beside()
        while self.next == "⊙":
            self.take()
            value = value * self.beside()
        return value

    def beside(self):
        value = self.postfix()
        while self.next and self.next not in ("+", "-", "⊙", "/", ")", "]", ",", ":", "⌋", *SIGNS):
            if self.next == "|" and self.inside == "|":
                break
            other = self.postfix()
            numbers = not np.ndim(value) or not np.ndim(other)
            value = (
                value * other if numbers else value @ np.atleast_2d(other) if value.shape[-1] == 1 else value @ other
            )
        return value

    inside = ""  # the sign that closes what is being read

    def postfix(self):
        value = self.atom()
        while self.next in ("ᵀ", "["):
            if self.take() == "ᵀ":
                value = value.T if value.ndim == 2 else value[:, None]
            else:
                value = self.part(value)
                self.take("]")
        return value

    def part(self, value):
        if isinstance(self.values.get(self.next), np.ndarray):
            return value[self.values[self.take()]]
        start = int(self.sum()) if self.next != ":" else 0
        self.take(":")
        stop = int(self.sum()) if self.next != "]" else value.shape[-1]
        return value[..., start:stop]

    def atom(self):
        token = self.take()
        if token == "1ᵀ":
            value = self.postfix()
            total = value.reshape(-1, value.shape[-1]).sum(0)
            return total if total.size > 1 else total[0]
        if token in self.values and not (token in FUNCTIONS and self.next == "("):
            return self.values[token]
        if token in ("|", "⌊", "("):
            value = self.within(CLOSING[token])[0]
            return FUNCTIONS.get(token, lambda v: v)(value)
        if token in FUNCTIONS:
            self.take("(")
            return FUNCTIONS[token](*self.within(")"))
        if token == "[":
            values = self.within("]")
            if all(np.ndim(value) == 0 for value in values):
                return tuple(int(value) for value in values)  # a shape
            rows = np.broadcast_shapes(*(value.shape[:-1] for value in values))
            return np.concatenate([np.broadcast_to(value, (*rows, value.shape[-1])) for value in values], -1)
        return np.float64(token)

    def within(self, closing):
        outer, self.inside = self.inside, closing
        found = []
        while self.next != closing:
            if self.next == "size=":
                self.take()
            found.append(self.comparison())
            if self.next != closing:
                self.take(",")
        self.take(closing)
        self.inside = outer
        return found


LATEX = {
    r"\odot": "⊙", r"\sigma": "σ", r"\le": "≤", r"\sum_t": "∑_t", r"\pi": "π", r"\mathbf{1}^\top": "1ᵀ",
    r"\left\lfloor": "⌊", r"\right\rfloor": "⌋", r"\left": "", r"\right": "", r"^\top": "ᵀ",
    r"\text{otherwise}": "", r"\,": "",
} | {f"\\{name}": name for name in ("tanh", "exp", "log", "sin", "max", "min")}  # fmt: skip
LATEX |= {r"\operatorname{" + name.replace("_", r"\_") + "}": name for name in FUNCTIONS}
SHAPES = (r" \cdot 10^{", r"\frac{", r"\sqrt{", r"\begin{cases}", r"\end{cases}", "\\\\")


class Typeset:
    """Reads LaTeX as the text that it stands for; `names` is LaTeX of a name -> its text."""

    def __init__(self, latex, names):
        self.words = LATEX | names
        words = sorted([*self.words, *SHAPES], key=len, reverse=True)
        self.tokens = re.findall("|".join(map(re.escape, words)) + "|.", latex)
        self.place = 0

    def whole(self):
        text = self.until("")
        assert self.place == len(self.tokens) + 1 and "\\" not in text and "&" not in text, text
        return text

    def until(self, stop):
        """Return the text up to a token, past it."""
        parts = []
        while (token := self.tokens[self.place] if self.place < len(self.tokens) else "") != stop:
            assert token, f"{stop} is missing"
            self.place += 1
            if token == r"\frac{":
                over, _ = self.until("}"), self.until("{")
                parts.append(f"(({over}) / ({self.until('}')}))")
            elif token == r" \cdot 10^{":
                parts.append(f"e{self.until('}')}")
            elif token == r"\sqrt{":
                parts.append(f"√({self.until('}')})")
            elif token == r"\begin{cases}":
                first, condition, second = self.until("&"), self.until("\\\\"), self.until("&")
                parts.append(f"select({condition}, {first}, {second})")
                assert not self.until(r"\end{cases}").strip()
            elif token == "{":
                parts.append(self.until("}"))
            else:
                parts.append(self.words.get(token, token))
        self.place += 1
        return "".join(parts)


def typeset_names(equations):
    """Return LaTeX -> text of every name."""
    names = {name for line in equations.lines for name in (line.name, *names_in(line.value))}
    found = {name.latex: name.text for name in names}
    assert len(found) == len({name.text for name in names}) == len(names)
    return found


def computed(equations, values, language):
    """Return written name -> value of every line, as it is read in one of the languages."""
    names = typeset_names(equations) | {in_latex(size): size for size in values if len(size) > 1}
    values = dict(values)
    found = {}
    lines = equations.text if language == "text" else equations.latex.replace("&=", "=", 10**6)
    if language == "latex":
        body = lines.removeprefix("\\begin{aligned}\n").removesuffix("\n\\end{aligned}")
        lines = "\n".join(Typeset(line, names).whole() for line in body.split(" \\\\\n"))
    for line in lines.split("\n"):
        name, _, right = line.partition(" = ")
        assert name.strip() not in found, f"{name} stands twice"
        found[name.strip()] = values[name.strip()] = Reader(right, values).line()
    return found


def one_step(name, adjoint=False):
    """Return a cell, random values of its leaves at one step and of its symbols of size, and what it computes."""
    sizes = CASES[name].bound(5, 3)
    sizes = {"H": sizes.pop("hidden_size"), "I": sizes.pop("input_size"), **sizes}
    cell = lg.gradient(CASES[name].cell) if adjoint else CASES[name].cell
    rng, given, leaves = np.random.default_rng(7), {"input": {}, "state": {}, "parameter": {}}, {}
    for leaf, node in cell.leaves.items():
        shape = tuple(int(resize(dim, sizes | {"B": 2})) for dim in node.shape)
        value = rng.integers(0, 4, shape) if node.attr("integer") else rng.standard_normal(shape)
        given[leaf.partition(":")[0]][node.name] = leaves[leaf] = value
    x = {name: value[None] for name, value in given["input"].items()}
    y, final = lg.interpret(cell, given["parameter"], x, given["state"])
    y = y if isinstance(y, dict) else {(cell.outputs + cell.sums)[0]: y}
    results = {("output", name): y[name][0] for name in cell.outputs}
    results |= {("sum", name): y[name] for name in cell.sums}
    results |= {("next", name): value for name, value in final.items()}
    return cell, leaves, sizes, results


def assert_right(name, adjoint=False):
    cell, leaves, sizes, results = one_step(name, adjoint)
    found = lg.equations(cell)
    left = {line.name.text for line in found.lines}
    values = (
        sizes
        | {"B": 2}
        | {written: leaves[leaf] for written, leaf in found.names.items() if leaf in leaves and written not in left}
    )
    for language in ("text", "latex"):
        lines = computed(found, values, language)
        told = set()
        for line, value in lines.items():
            sink = tuple(found.names.get(line, "").split(":"))
            if sink in results:
                told.add(sink)
                right, where = results[sink], f"{name}: {language}: {line}"
                np.testing.assert_allclose(np.broadcast_to(value, right.shape), right, 1e-9, 1e-12, err_msg=where)
        for kind, full in set(results) - told:  # what goes without saying
            delay = full in cell.graph.graph.get("hidden", ())
            first = results.get(("next", cell.states[0])) if cell.states else None
            assert delay or (full == "y" and np.array_equal(results[kind, full], first)), (name, kind, full)


@pytest.mark.parametrize("name", CASES)
def test_text_and_latex_say_what_the_cell_computes(name):
    assert_right(name)


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=() if name in THOROUGH else pytest.mark.slow) for name in CASES]
)
def test_equations_of_an_adjoint_say_what_it_computes(name):
    assert_right(name, adjoint=True)


def test_the_equations_of_the_lstm_and_the_gru_are_those_of_the_field():
    assert str(lg.equations(lg.cells.lstm)) == LSTM
    assert lg.equations(lg.cells.gru).latex == GRU
    assert lg.equations(lg.cells.gru)._repr_latex_() == f"$$\n{GRU}\n$$"


LSTM = """\
f_t = σ(h_{t-1} W_h^f + x_t W_x^f + b^f)
c̃_t = tanh(h_{t-1} W_h^c̃ + x_t W_x^c̃ + b^c̃)
i_t = σ(h_{t-1} W_h^i + x_t W_x^i + b^i)
c_t = f_t ⊙ c_{t-1} + i_t ⊙ c̃_t
o_t = σ(h_{t-1} W_h^o + x_t W_x^o + b^o)
h_t = o_t ⊙ tanh(c_t)"""
GRU = r"""\begin{aligned}
r_t &= \sigma(h_{t-1} W_h^r + x_t W_x^r + b^r) \\
u_t &= \sigma(h_{t-1} W_h^u + x_t W_x^u + b^u) \\
\tilde{h}_t &= \tanh(x_t W_x^{\tilde{h}} + b_x^{\tilde{h}} + r_t \odot (h_{t-1} W_h^{\tilde{h}} + b_h^{\tilde{h}})) \\
h_t &= (1 - u_t) \odot \tilde{h}_t + u_t \odot h_{t-1}
\end{aligned}"""


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("peephole_lstm", "o_t = σ(h_{t-1} W_h^o + x_t W_x^o + b^o + peephole^o ⊙ c_t)"),
        ("rnn", "h_t = tanh(h_{t-1} W_h + x_t W_x + b)"),  # one layer: nothing to tell apart
        ("dilated_rnn", "h_t = tanh(x_t W_x + h_{t-4} W_h + b)"),
        ("fast_rnn", "h_t = σ(α) h̃_t + σ(β) h_{t-1}"),
        ("antisymmetric", "i_t = tanh(h_{t-1} (U - Uᵀ) - 0.1 h_{t-1} + x_t W_x + b)"),
        ("on_lstm", "master_{input,t} = cumax(h_{t-1} W_h^{master,input} + x_t W_x^{master,input} + b^{master,input})"),
        ("layer_norm_lstm", "h_t = o_t ⊙ tanh(LN(c_t) ⊙ gain^{cell,norm} + b^{cell,norm})"),
        ("two_deep", "f_t^lower = σ(h_{1,t-1} W_h^{lower,f} + x_t W_x^{lower,f} + b^{lower,f})"),
        ("time_frequency_lstm", "c_{low,t} = f_{1,t} ⊙ c_{low,t-1} + i_{1,t} ⊙ c̃_{1,t}"),
        ("leaky", "y_t = 2 h_t"),
        ("plain_outputs", "vector_t = spread(v, [B, H])"),
    ],
)
def test_notation(name, line):
    assert line in lg.equations(CASES[name].cell).text.splitlines()


def test_names_lead_back_to_the_graph():
    found = lg.equations(lg.cells.t_lstm).names
    assert found["x_{t-1}"] == "state:x_delayed" and found["W_before^c̃"] == "parameter:candidate.W_before"
    assert found["f_t"] == "layer:forget" and found["c_t"] == "next:c" and found["y_t"] == "output:y"
    assert "f_t" not in lg.equations(lg.cells.peephole_lstm).names  # the label is that of the sum inside σ
    adjoint = lg.equations(lg.gradient(lg.cells.rnn))
    assert adjoint.names["h_{t-1}"] == "input:h" and adjoint.names["∂h_{t-1}"] == "next:d_h"
    assert "∂W_h = ∑_t h_{t-1}ᵀ δhidden_t" in adjoint.text and adjoint.names["∂W_h"] == "sum:d_hidden.W_h"


def test_names_that_would_be_written_alike_are_told_apart(monkeypatch):
    @lg.cell
    def alike(x, h, h_t, t, H):
        gate = lg.sigmoid_layer(x, h, name="t") * lg.parameter("f") + lg.parameter("h")
        forget = lg.sigmoid_layer(x, name="forget") * lg.tanh_layer(x, name="e")
        return h * gate + forget, h_t * forget, t + gate, H * 2.718281828459045 * 3.0

    found = lg.equations(alike)
    names = {name for line in found.lines for name in (line.name, *names_in(line.value))}
    assert len({name.text for name in names}) == len({name.latex for name in names}) == len(names)
    monkeypatch.setitem(CASES, "alike", Case(alike, dict.fromkeys(("h_t", "t"), "H")))
    assert_right("alike")


def test_an_adjoint_of_an_adjoint_has_equations_too():
    twice = lg.gradient(lg.gradient(lg.cells.lstm))
    assert len(lg.equations(twice).lines) > 20


def test_what_is_no_cell_is_refused():
    with pytest.raises(lg.GraphError, match=r"lg\.equations: got function, expected a cell"):
        lg.equations(lambda x: x)


@pytest.mark.parametrize("language", ["text", "latex"])
def test_parentheses_say_what_the_tree_says(language):
    """Random trees of operators: what is written is read as it was meant."""
    rng = np.random.default_rng(3)
    values = {"a": rng.standard_normal((2, 3)), "b": rng.standard_normal((2, 3)), "M": rng.standard_normal((3, 3))}
    signs = {"add": np.add, "sub": np.subtract, "mul": np.multiply, "div": np.divide}

    def tree(depth):
        """Return an expression and its value."""
        kind = rng.choice(["leaf", "number", "neg", "matmul", *signs, *signs]) if depth else "leaf"
        if kind == "leaf":
            name = str(rng.choice(["a", "b"]))
            return Name(name), values[name]
        first, value = tree(depth - 1)
        if kind == "neg":
            return Applied(op("neg").notation, (first,)), -value
        if kind == "matmul":
            return Applied(op("matmul").notation, (first, Name("M"))), value @ values["M"]
        if kind == "number":
            number = float(rng.choice([-2.0, 0.5, 3.0]))
            return Applied(op("mul").notation, (Number(number), first), by_number=True), number * value
        second, other = tree(depth - 1)
        return Applied(op(kind).notation, (first, second)), signs[kind](value, other)

    with np.errstate(all="ignore"):
        for _ in range(300):
            expression, value = tree(4)
            text = write(expression, language)
            text = text if language == "text" else Typeset(text, {name: name for name in values}).whole()
            np.testing.assert_allclose(Reader(text, values).line(), value, rtol=1e-6, atol=1e-9, err_msg=text)
