"""The catalogue's RNN and GRU families compute what their equations say, written again here in NumPy, step by step.

A step takes the parameters, the states and the inputs, and returns the output and the next states.
"""

import importlib
import re

import numpy as np
import pytest

import lstmgraph as lg
from lstmgraph.testing import meaning, random_feeds

FAMILIES = ("rnn_plain", "rnn_structured", "gru_classic", "gru_minimal", "gru_mutants", "gru_linear")
INPUT, HIDDEN, STEPS, BATCH = 3, 5, 4, 3
SQUARE = {"intersection_rnn", "mut1", "mut2", "sru", "sru_1"}  # x stands beside h
SMALL = {"augru": {"attention": 1}, "agru": {"attention": 1}, "gru_ode": {"dt": 1}}
FROZEN = {"echo_state": {"W_h", "W_x", "b"}, "gru_d": {"mean"}, "plrnn": {"diagonal"}}  # no gradient reaches them


def sigmoid(value):
    return 1 / (1 + np.exp(-value))


def relu(value):
    return value * (value > 0)


def times(p, name, **values):
    """Return the sum of the products of a layer."""
    return sum(value @ p[f"{name}.W_{source}" if source != "_" else f"{name}.W"] for source, value in values.items())


def plus(p, name, **values):
    """Return the sum of the products of a layer, and its bias."""
    return times(p, name, **values) + p[f"{name}.b"]


def mix(gate, first, second):
    return gate * first + (1 - gate) * second


def only(h):
    """Return a state that is the output too."""
    return h, {"h": h}


def normal(value, p, name):
    variance = value.var(axis=1, keepdims=True)
    centred = value - value.mean(axis=1, keepdims=True)
    return centred / np.sqrt(variance + 1e-5) * p[f"{name}.gain"] + p[f"{name}.b"]


def reset_and_candidate(p, h, x, r):
    return np.tanh(plus(p, "candidate", h=r * h, x=x))


def modulated(p, h, x):
    return np.tanh(plus(p, "modulation", h=plus(p, "input", x=x) * h)) * h


def two_inputs(p, s, x, *names):
    return (plus(p, name, x=x, before=s["x_delayed"]) for name in names)


class Equations:
    """A step of each cell, by the cell's name."""

    # ---- plain recurrent networks

    def irnn(p, s, x):
        return only(relu(plus(p, "hidden", h=s["h"], x=x)))

    def residual_rnn(p, s, x):
        return only(np.tanh(plus(p, "hidden", h=s["h"], x=x) + s["h"]))

    def jordan(p, s, x):
        y = np.tanh(plus(p, "output", hidden=np.tanh(plus(p, "hidden", y=s["y"], x=x))))
        return y, {"y": y}

    def indrnn(p, s, x):
        return only(relu(plus(p, "input", x=x) + p["recurrent"] * s["h"]))

    def echo_state(p, s, x):
        return only(0.7 * s["h"] + 0.3 * np.tanh(0.9 * s["h"] @ p["W_h"] + x @ p["W_x"] + p["b"]))

    def fast_rnn(p, s, x):
        candidate = np.tanh(plus(p, "candidate", h=s["h"], x=x))
        return only(sigmoid(p["alpha"]) * candidate + sigmoid(p["beta"]) * s["h"])

    def scrn(p, s, x):
        context = (1 - 0.95) * times(p, "context", x=x) + 0.95 * s["s"]
        h = sigmoid(plus(p, "hidden", h=s["h"], x=x, s=context))
        return plus(p, "output", h=h, s=context), {"h": h, "s": context}

    def multiplicative_rnn(p, s, x):
        factors = (x @ p["factor_x.W_x"]) * (s["h"] @ p["factor_h.W_h"])
        return only(np.tanh(plus(p, "hidden", factors=factors, x=x)))

    def mi_rnn(p, s, x):
        a, b = x @ p["input.W_x"], s["h"] @ p["recurrent.W_h"]
        return only(np.tanh(p["alpha"] * a * b + p["beta_h"] * b + p["beta_x"] * a + p["b"]))

    def dilated_rnn(p, s, x):
        h = np.tanh(plus(p, "hidden", h=s["h_delayed_3"], x=x))
        return h, {"h": h, "h_delayed": s["h"], "h_delayed_2": s["h_delayed"], "h_delayed_3": s["h_delayed_2"]}

    def higher_order_rnn(p, s, x):
        h = np.tanh(plus(p, "hidden", h=s["h"], h_2=s["h_delayed"], h_3=s["h_delayed_2"], x=x))
        return h, {"h": h, "h_delayed": s["h"], "h_delayed_2": s["h_delayed"]}

    # ---- recurrent weights of a form

    def gated_antisymmetric(p, s, x):
        recurrent = s["h"] @ (p["V"] - p["V"].T - 0.1 * np.eye(HIDDEN))
        z = sigmoid(recurrent + plus(p, "gate", x=x))
        return only(s["h"] + 0.1 * z * np.tanh(recurrent + plus(p, "input", x=x)))

    def lipschitz_rnn(p, s, x):
        a, w = ((1 - 0.75) * (m + m.T) + 0.75 * (m - m.T) - 0.001 * np.eye(HIDDEN) for m in (p["A"], p["W"]))
        return only(s["h"] + 0.1 * (s["h"] @ a) + 0.1 * np.tanh(s["h"] @ w + plus(p, "input", x=x)))

    def cornn(p, s, x):
        force = np.tanh(plus(p, "force", h=s["h"], z=s["z"], x=x))
        z = s["z"] + 0.042 * force - 0.042 * 2.7 * s["h"] - 0.042 * 4.7 * s["z"]
        h = s["h"] + 0.042 * z
        return h, {"h": h, "z": z}

    def unicornn(p, s, x):
        step = 0.1 * sigmoid(p["c"])
        z = s["z"] - step * (np.tanh(p["w"] * s["h"] + plus(p, "force", x=x)) + 1.0 * s["h"])
        h = s["h"] + step * z
        return h, {"h": h, "z": z}

    def plrnn(p, s, x):
        w = np.where(p["diagonal"] > 0.5, 0, p["W"])
        return only(p["a"] * s["h"] + relu(s["h"]) @ w + plus(p, "input", x=x))

    def shuffling_rnn(p, s, x):
        branch = plus(p, "signal", _=relu(plus(p, "branch", x=x)))
        return only(relu(np.roll(s["h"], 1, axis=1) + branch * sigmoid(plus(p, "gate", x=x))))

    def clockwork_rnn(p, s, x):
        states = {f"h_{period}": s[f"h_{period}"] for period in (1, 2, 4)}
        moved = {}
        for period in (1, 2, 4):
            slower = {name: state for name, state in states.items() if int(name[2:]) >= period}
            moved[f"h_{period}"] = np.tanh(plus(p, f"module_{period}", x=x, **slower))
        new = {"h_1": moved["h_1"]}
        for period in (2, 4):
            clock = s[f"clock_{period}"]
            new[f"h_{period}"] = np.where(clock == 0, moved[f"h_{period}"], s[f"h_{period}"])
            new[f"clock_{period}"] = (clock + 1) % period
        return np.concatenate([new["h_1"], new["h_2"], new["h_4"]], axis=1), new

    # ---- near the gated recurrent unit

    def layer_norm_gru(p, s, x):
        def parts(name):
            above = normal(s["h"] @ p[f"{name}_h.W_h"], p, f"{name}_h_norm")
            return above, normal(x @ p[f"{name}_x.W_x"], p, f"{name}_x_norm")

        r, z = sigmoid(sum(parts("reset"))), sigmoid(sum(parts("update")))
        above, below = parts("candidate")
        return only(mix(z, np.tanh(below + r * above), s["h"]))

    def slim_gru_1(p, s, x):
        z, r = sigmoid(plus(p, "update", h=s["h"])), sigmoid(plus(p, "reset", h=s["h"]))
        return only(mix(z, reset_and_candidate(p, s["h"], x, r), s["h"]))

    def slim_gru_2(p, s, x):
        z, r = sigmoid(times(p, "update", h=s["h"])), sigmoid(times(p, "reset", h=s["h"]))
        return only(mix(z, reset_and_candidate(p, s["h"], x, r), s["h"]))

    def slim_gru_3(p, s, x):
        return only(mix(sigmoid(p["update.b"]), reset_and_candidate(p, s["h"], x, sigmoid(p["reset.b"])), s["h"]))

    def ligru(p, s, x):
        z = sigmoid(plus(p, "update", h=s["h"], x=x))
        return only(mix(z, s["h"], relu(plus(p, "candidate", h=s["h"], x=x))))

    def residual_gru(p, s, x):
        z, r = (sigmoid(plus(p, name, h=s["h"], x=x)) for name in ("update", "reset"))
        h = mix(z, reset_and_candidate(p, s["h"], x, r), s["h"]) + 0.1 * times(p, "residual_h", h=s["h"])
        return h + 0.1 * times(p, "residual_x", x=x), {"h": h}

    def augru(p, s, x, attention):
        r, u = (sigmoid(plus(p, name, h=s["h"], x=x)) for name in ("reset", "update"))
        candidate = np.tanh(plus(p, "candidate_x", x=x) + r * times(p, "candidate_h", h=s["h"]))
        return only(mix(attention * u, candidate, s["h"]))

    def agru(p, s, x, attention):
        r = sigmoid(plus(p, "reset", h=s["h"], x=x))
        candidate = np.tanh(plus(p, "candidate_x", x=x) + r * times(p, "candidate_h", h=s["h"]))
        return only(mix(attention, candidate, s["h"]))

    def caru(p, s, x):
        projected = plus(p, "input", x=x)
        z = sigmoid(plus(p, "update", h=s["h"], x=x))
        return only(mix(sigmoid(projected) * z, np.tanh(plus(p, "candidate", h=s["h"]) + projected), s["h"]))

    # ---- fewer gates

    def mgu_flax(p, s, x):
        f = sigmoid(plus(p, "forget", h=s["h"], x=x))
        return only(mix(f, s["h"], np.tanh(plus(p, "candidate_x", x=x) + f * plus(p, "candidate_h", h=s["h"]))))

    def slim_mgu_1(p, s, x):
        f = sigmoid(plus(p, "forget", h=s["h"]))
        return only(mix(f, reset_and_candidate(p, s["h"], x, f), s["h"]))

    def slim_mgu_2(p, s, x):
        f = sigmoid(times(p, "forget", h=s["h"]))
        return only(mix(f, reset_and_candidate(p, s["h"], x, f), s["h"]))

    def slim_mgu_3(p, s, x):
        f = sigmoid(p["forget.b"])
        return only(mix(f, reset_and_candidate(p, s["h"], x, f), s["h"]))

    def light_ru(p, s, x):
        f = sigmoid(plus(p, "forget", h=s["h"], x=x))
        return only(mix(f, np.tanh(plus(p, "candidate", x=x)), s["h"]))

    def minimal_rnn(p, s, x):
        z = np.tanh(plus(p, "encoder", x=x))
        return only(mix(sigmoid(plus(p, "update", h=s["h"], z=z)), s["h"], z))

    def ugrnn(p, s, x):
        g = sigmoid(plus(p, "update", h=s["h"], x=x))
        return only(mix(g, s["h"], np.tanh(plus(p, "candidate", h=s["h"], x=x))))

    def intersection_rnn(p, s, x):
        totals = {name: plus(p, name, h=s["h"], x=x) for name in ("depth", "time", "depth_gate", "time_gate")}
        y = mix(sigmoid(totals["depth_gate"]), x, relu(totals["depth"]))
        return y, {"h": mix(sigmoid(totals["time_gate"]), s["h"], np.tanh(totals["time"]))}

    def atr(p, s, x):
        a, b = plus(p, "input", x=x), plus(p, "recurrent", h=s["h"])
        return only(sigmoid(a + b) * a + sigmoid(a - b) * s["h"])

    def ran(p, s, x):
        i, f = (sigmoid(plus(p, name, h=s["h"], x=x)) for name in ("input", "forget"))
        c = i * times(p, "content", x=x) + f * s["c"]
        return np.tanh(c), {"h": np.tanh(c), "c": c}

    def star(p, s, x):
        k = sigmoid(plus(p, "gate", h=s["h"], x=x))
        return only(np.tanh(mix(k, np.tanh(plus(p, "input", x=x)), s["h"])))

    def sgrn(p, s, x):
        inputs = plus(p, "input", x=x)
        return only(np.tanh(mix(sigmoid(inputs + plus(p, "recurrent", h=s["h"])), s["h"], inputs)))

    def cfn(p, s, x):
        theta, eta = (sigmoid(plus(p, name, h=s["h"], x=x)) for name in ("horizontal", "vertical"))
        return only(theta * np.tanh(s["h"]) + eta * np.tanh(x @ p["input.W_x"]))

    def miru1(p, s, x):
        r = sigmoid(plus(p, "reset", h=s["h"], x=x))
        return only(mix(0.5, s["h"], reset_and_candidate(p, s["h"], x, r)))

    def miru2(p, s, x):
        return only(mix(0.5, s["h"], reset_and_candidate(p, s["h"], x, 0.5)))

    # ---- found by search, or made from theory

    def mut1(p, s, x):
        z, r = sigmoid(plus(p, "update", x=x)), sigmoid(plus(p, "reset", h=s["h"], x=x))
        return only(np.tanh(plus(p, "candidate", h=r * s["h"]) + np.tanh(x)) * z + s["h"] * (1 - z))

    def mut2(p, s, x):
        z, r = sigmoid(plus(p, "update", h=s["h"], x=x)), sigmoid(x + plus(p, "reset", h=s["h"]))
        return only(np.tanh(plus(p, "candidate", h=r * s["h"], x=x)) * z + s["h"] * (1 - z))

    def mut3(p, s, x):
        z, r = sigmoid(plus(p, "update", h=np.tanh(s["h"]), x=x)), sigmoid(plus(p, "reset", h=s["h"], x=x))
        return only(np.tanh(plus(p, "candidate", h=r * s["h"], x=x)) * z + s["h"] * (1 - z))

    def fast_grnn(p, s, x):
        shared = times(p, "shared", h=s["h"], x=x)
        z, candidate = sigmoid(shared + p["update.b"]), np.tanh(shared + p["candidate.b"])
        return only((sigmoid(p["zeta"]) * (1 - z) + sigmoid(p["nu"])) * candidate + z * s["h"])

    def brc(p, s, x):
        a = 1 + np.tanh(plus(p, "feedback", x=x) + p["feedback.w_h"] * s["h"])
        c = sigmoid(plus(p, "update", x=x) + p["update.w_h"] * s["h"])
        return only(mix(c, s["h"], np.tanh(plus(p, "candidate", x=x) + a * s["h"])))

    def nbrc(p, s, x):
        a, c = 1 + np.tanh(plus(p, "feedback", h=s["h"], x=x)), sigmoid(plus(p, "update", h=s["h"], x=x))
        return only(mix(c, s["h"], np.tanh(plus(p, "candidate", x=x) + a * s["h"])))

    def sgu(p, s, x):
        z = np.clip(0.2 * plus(p, "update", h=s["h"], x=x) + 0.5, 0, 1)
        return only(mix(z, np.log1p(np.exp(modulated(p, s["h"], x))), s["h"]))

    def dsgu(p, s, x):
        z = np.clip(0.2 * plus(p, "update", h=s["h"], x=x) + 0.5, 0, 1)
        return only(mix(z, sigmoid(times(p, "output", h=modulated(p, s["h"], x))), s["h"]))

    def tau_gru(p, s, x):
        u, z = np.tanh(plus(p, "candidate", h=s["h"], x=x)), np.tanh(plus(p, "delayed", h=s["h_delayed_4"], x=x))
        g, a = (sigmoid(plus(p, name, h=s["h"], x=x)) for name in ("update", "feedback"))
        h = (1 - g) * s["h"] + g * (u + a * z)
        past = [h, s["h"], s["h_delayed"], s["h_delayed_2"], s["h_delayed_3"]]
        return h, dict(zip(["h", "h_delayed", "h_delayed_2", "h_delayed_3", "h_delayed_4"], past, strict=True))

    def gru_d(p, s, x, mask, dt):
        x = np.where(mask == 1, x, 0)
        gamma = np.exp(-np.maximum(0, p["decay_x.w"] * dt + p["decay_x.b"]))
        x_hat = mask * x + (1 - mask) * (gamma * s["x_last"] + (1 - gamma) * p["mean"])
        h = np.exp(-np.maximum(0, plus(p, "decay_h", dt=dt))) * s["h"]
        z, r = (sigmoid(plus(p, name, h=h, x=x_hat, mask=mask)) for name in ("update", "reset"))
        new = mix(z, np.tanh(plus(p, "candidate", h=r * h, x=x_hat, mask=mask)), h)
        return new, {"h": new, "x_last": mask * x + (1 - mask) * s["x_last"]}

    def gru_ode(p, s, x, dt):
        r, z = (sigmoid(plus(p, name, h=s["h"], x=x)) for name in ("reset", "update"))
        return only(s["h"] + dt * (1 - z) * (reset_and_candidate(p, s["h"], x, r) - s["h"]))

    # ---- linear in the state

    def t_rnn(p, s, x):
        return only(mix(sigmoid(plus(p, "forget", x=x)), s["h"], plus(p, "candidate", x=x)))

    def t_gru(p, s, x):
        z, f, o = two_inputs(p, s, x, "candidate", "forget", "output")
        h = sigmoid(f) * s["h"] + z * np.tanh(o)
        return h, {"h": h, "x_delayed": x}

    def t_lstm(p, s, x):
        z, f, o = two_inputs(p, s, x, "candidate", "forget", "output")
        c = mix(sigmoid(f), s["c"], z)
        return c * np.tanh(o), {"c": c, "x_delayed": x}

    def min_gru(p, s, x):
        return only(mix(sigmoid(plus(p, "update", x=x)), plus(p, "candidate", x=x), s["h"]))

    def sru(p, s, x):
        f, r = (sigmoid(plus(p, name, x=x) + p[f"{name}.v"] * s["c"]) for name in ("forget", "reset"))
        c = mix(f, s["c"], times(p, "candidate", x=x))
        return mix(r, c, x), {"c": c}

    def sru_1(p, s, x):
        c = mix(sigmoid(plus(p, "forget", x=x)), s["c"], times(p, "candidate", x=x))
        return mix(sigmoid(plus(p, "reset", x=x)), np.tanh(c), x), {"c": c}

    def qrnn_f(p, s, x):
        f, z = two_inputs(p, s, x, "forget", "candidate")
        h = mix(sigmoid(f), s["h"], np.tanh(z))
        return h, {"h": h, "x_delayed": x}

    def qrnn(p, s, x):
        f, z, o = two_inputs(p, s, x, "forget", "candidate", "output")
        c = mix(sigmoid(f), s["c"], np.tanh(z))
        return sigmoid(o) * c, {"c": c, "x_delayed": x}

    def qrnn_ifo(p, s, x):
        i, f, z, o = two_inputs(p, s, x, "input", "forget", "candidate", "output")
        c = sigmoid(f) * s["c"] + sigmoid(i) * np.tanh(z)
        return sigmoid(o) * c, {"c": c, "x_delayed": x}


EQUATIONS = {name: step for name, step in vars(Equations).items() if not name.startswith("__")}


# ---- the claims


class Read(dict):
    """Parameters, and the names of those that were read."""

    def __init__(self, values):
        super().__init__(values)
        self.names = set()

    def __getitem__(self, name):
        self.names.add(name)
        return super().__getitem__(name)


def cells_of_the_families():
    modules = [importlib.import_module(f"lstmgraph.cells.{family}") for family in FAMILIES]
    return {name: value for module in modules for name, value in vars(module).items() if isinstance(value, lg.Cell)}


def sizes_of(name, hidden_size=HIDDEN, input_size=INPUT):
    input_size = hidden_size if name in SQUARE else input_size
    extra = {"mask": input_size, "dt": input_size} if name == "gru_d" else SMALL.get(name, {})
    return {"hidden_size": hidden_size, "input_size": input_size, **extra}


def feeds_of(name, steps=STEPS, batch=BATCH, **sizes):
    """Return a cell's program and its random feeds; nothing is zero but masks and clocks, what is missing is NaN."""
    program = lg.compile(lg.cells.catalogue[name], dtype="float64", **sizes_of(name, **sizes))
    feeds = random_feeds(program, steps, batch, 0)
    if "mask" in feeds.x:
        feeds.x["mask"] = (feeds.x["mask"] > 0).astype(float)
        feeds.x["x"] = np.where(feeds.x["mask"] == 1, feeds.x["x"], np.nan)
        feeds.x["dt"] = np.abs(feeds.x["dt"])
    for clock in [key for key in feeds.state if key.startswith("clock_")]:
        feeds.state[clock] = np.resize([0.0, 1.0, int(clock[6:]) - 1.0], (batch, 1))
    return program, feeds


def test_every_cell_of_the_families_has_its_equations():
    assert cells_of_the_families().keys() == EQUATIONS.keys()


@pytest.mark.parametrize("name", EQUATIONS)
def test_the_graph_means_the_equations(name, in_numpy):
    cell, (_, feeds) = lg.cells.catalogue[name], feeds_of(name)
    params, x, state = feeds.params, feeds.x, feeds.state
    y, final = lg.interpret(cell, params, x, state)
    read, now = Read(params), state
    for t in range(STEPS):
        expected, now = EQUATIONS[name](read, now, **{key: value[t] for key, value in x.items()})
        assert y[t].shape == expected.shape
        np.testing.assert_allclose(y[t], expected, rtol=1e-12, atol=1e-12, err_msg=f"step {t}")
    assert now.keys() == final.keys()
    for key, value in now.items():
        np.testing.assert_allclose(final[key], value, rtol=1e-12, atol=1e-12, err_msg=key)
    assert read.names == set(cell.parameters)


@pytest.mark.parametrize("name", EQUATIONS)
def test_a_cell_names_its_paper_and_has_an_adjoint(name):
    cell = lg.cells.catalogue[name]
    assert re.search(r"\b(19|20)\d\d\b", cell.__doc__), cell.__doc__
    adjoint = lg.gradient(cell)
    assert adjoint.reverse and adjoint.states


def functional(program, feeds, kind="", name="", change=0.0):
    """Return the sum of outputs and final states times their cotangents, of a changed leaf."""
    given = {"parameter": dict(feeds.params), "input": dict(feeds.x), "state": dict(feeds.state)}
    if kind:
        given[kind][name] = given[kind][name] + change
    y, final = lg.interpret(program.traced, given["parameter"], given["input"], given["state"])
    total = sum(np.sum(y * dy) for dy in feeds.dy.values())
    return total + sum(np.sum(value * feeds.dstate[state]) for state, value in final.items())


@pytest.mark.parametrize("name", EQUATIONS)
def test_the_adjoint_is_the_derivative(name, in_numpy):
    program, feeds = feeds_of(name, steps=2, batch=2, hidden_size=3, input_size=2)
    gradients, rng = meaning(program, feeds), np.random.default_rng(1)
    for leaf in program.traced.leaves:
        kind, _, part = leaf.partition(":")
        gradient = gradients[f"d {leaf}"]
        if part in FROZEN.get(name, ()):
            assert not gradient.any(), leaf
            continue
        along = rng.standard_normal(gradient.shape)
        steps = {1: 8, -1: -8, 2: -1, -2: 1}  # differences of the fourth order
        numbers = sum(
            weight * functional(program, feeds, kind, part, place * 1e-4 * along) for place, weight in steps.items()
        )
        np.testing.assert_allclose(numbers / 12e-4, np.sum(along * gradient), rtol=1e-8, atol=1e-8, err_msg=leaf)
