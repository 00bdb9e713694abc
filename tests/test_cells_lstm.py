"""The LSTM family, linear recurrences and time-aware cells: each against its equations in plain NumPy, and derived."""

import re

import numpy as np
import pytest

import lstmgraph as lg
from lstmgraph.cells import linear_recurrence, lstm_classic, lstm_gated, lstm_nested, time_aware

FAMILIES = (lstm_classic, lstm_gated, lstm_nested, linear_recurrence, time_aware)
NAMES = [name for family in FAMILIES for name, value in vars(family).items() if isinstance(value, lg.Cell)]
tanh, exp = np.tanh, np.exp


def sigmoid(z):
    return 1 / (1 + exp(-z))


def total(p, name, **sources):
    """Return the sum of the sources times their matrices and of the bias, if there is one."""
    return sum(value @ p[f"{name}.W_{key}"] for key, value in sources.items()) + p.get(f"{name}.b", 0)


def only(p, name, value):
    return value @ p[f"{name}.W"] + p.get(f"{name}.b", 0)


def s(p, name, **sources):
    return sigmoid(total(p, name, **sources))


def t(p, name, **sources):
    return tanh(total(p, name, **sources))


def norm(p, name, z):
    normal = (z - z.mean(-1, keepdims=True)) / np.sqrt(z.var(-1, keepdims=True) + 1e-5)
    return normal * p[f"{name}.gain"] + p[f"{name}.b"]


def within(p, prefix):
    return {key.removeprefix(f"{prefix}."): value for key, value in p.items() if key.startswith(f"{prefix}.")}


def lstm(p, x, h, c):
    c = s(p, "forget", h=h, x=x) * c + s(p, "input", h=h, x=x) * t(p, "candidate", h=h, x=x)
    return {"h": s(p, "output", h=h, x=x) * tanh(c), "c": c}


def original_lstm(p, x, h, c):
    c = c + s(p, "input", h=h, x=x) * t(p, "candidate", h=h, x=x)
    return {"h": s(p, "output", h=h, x=x) * tanh(c), "c": c}


def coupled_lstm(p, x, h, c):
    i = 1 - s(p, "forget", h=h, x=x)
    c = (1 - i) * c + i * t(p, "candidate", h=h, x=x)
    return {"h": s(p, "output", h=h, x=x) * tanh(c), "c": c}


def janet(p, x, h):
    z = total(p, "forget", h=h, x=x)
    return {"h": sigmoid(z) * h + (1 - sigmoid(z - 1)) * t(p, "candidate", h=h, x=x)}


def peep(p, name, x, h, c):
    return sigmoid(total(p, name, h=h, x=x) + p[f"{name}.peephole"] * c)


def residual_lstm(p, x, h, c):
    new = peep(p, "forget", x, h, c) * c + peep(p, "input", x, h, c) * t(p, "candidate", h=h, x=x)
    shown = tanh(new) @ p["projection.W"] + x @ p["shortcut.W_x"]
    return {"h": peep(p, "output", x, h, new) * shown, "c": new}


def highway_lstm(p, x, c_below, h, c):
    d = sigmoid(total(p, "depth", x=x) + p["depth.peephole"] * c + p["depth.below"] * c_below)
    new = peep(p, "forget", x, h, c) * c + peep(p, "input", x, h, c) * t(p, "candidate", h=h, x=x) + d * c_below
    return {"c_above": new, "h": peep(p, "output", x, h, new) * tanh(new), "c": new}


def indy_lstm(p, x, h, c):
    i, f, o, g = (total(p, name, x=x) + p[f"{name}.u"] * h for name in ("input", "forget", "output", "candidate"))
    c = sigmoid(f) * c + sigmoid(i) * tanh(g)
    return {"h": sigmoid(o) * tanh(c), "c": c}


def indy_gru(p, x, h):
    r, z = (sigmoid(total(p, name, x=x) + p[f"{name}.u"] * h) for name in ("reset", "update"))
    return {"h": z * h + (1 - z) * tanh(total(p, "candidate", x=x) + p["candidate.u"] * r * h)}


def layer_norm_basic_lstm(p, x, h, c):
    names = ("input", "forget", "output", "candidate")
    i, f, o, g = (norm(p, f"{name}_norm", total(p, name, h=h, x=x)) for name in names)
    c = norm(p, "cell_norm", sigmoid(f + 1) * c + sigmoid(i) * tanh(g))
    return {"h": sigmoid(o) * tanh(c), "c": c}


def layer_norm_rnn(p, x, h):
    return {"h": tanh(norm(p, "norm", h @ p["hidden.W_h"] + x @ p["hidden.W_x"]))}


def multiplicative(p, x, h, c):
    m = total(p, "multiplier_x", x=x) * total(p, "multiplier_h", h=h)
    c = s(p, "forget", x=x, m=m) * c + s(p, "input", x=x, m=m) * t(p, "candidate", x=x, m=m)
    return s(p, "output", x=x, m=m), c


def multiplicative_lstm(p, x, h, c):
    o, c = multiplicative(p, x, h, c)
    return {"h": o * tanh(c), "c": c}


def multiplicative_lstm_inside(p, x, h, c):
    o, c = multiplicative(p, x, h, c)
    return {"h": tanh(o * c), "c": c}


def mclstm(p, x, v, c):
    f, i, o, m = (s(p, name, x=x, v=v) for name in ("forget", "input", "output", "control"))
    c = f * c + i * t(p, "candidate", x=x, v=v)
    return {"y": o * tanh(c), "v": m * tanh(c), "c": c}


def wmc_lstm(p, x, h, c):
    f = sigmoid(total(p, "forget", h=h, x=x) + tanh(c @ p["forget_memory.W_c"]))
    i = sigmoid(total(p, "input", h=h, x=x) + tanh(c @ p["input_memory.W_c"]))
    c = f * c + i * t(p, "candidate", h=h, x=x)
    return {"h": sigmoid(total(p, "output", h=h, x=x) + tanh(only(p, "output_memory", c))) * tanh(c), "c": c}


def nas(p, x, h, c):
    z = {k: total(p, f"leaf_{k}", h=h, x=x) for k in (0, 1, 2, 4, 5, 6, 7)}
    z[3] = (h @ p["leaf_3_h.W_h"] + p["leaf_3_h.b"]) * (x @ p["leaf_3_x.W_x"])
    first, second = tanh(sigmoid(z[0]) * np.maximum(z[1], 0)), tanh(sigmoid(z[2]) + np.maximum(z[3], 0))
    third, fourth = tanh(tanh(z[4]) * sigmoid(z[5])), sigmoid(tanh(z[6]) + sigmoid(z[7]))
    c = tanh(first + c) * second
    return {"h": tanh(c * tanh(third + fourth)), "c": c}


def elstm(p, x, c):
    f = sigmoid(x @ p["forget.W_x"] + p["forget.w"] * c + p["forget.b"])
    c = f * c + (1 - f) * tanh(x @ p["candidate.W_x"] + p["candidate.w"] * c + p["candidate.b"])
    return {"y": s(p, "output", x=x, c=c) * c, "c": c}


def on_lstm(p, x, h, c):
    f, i = s(p, "forget", h=h, x=x), s(p, "input", h=h, x=x)
    shares = (exp(total(p, name, h=h, x=x)) for name in ("master_forget", "master_input"))
    master_f, below = (np.cumsum(z, -1) / z.sum(-1, keepdims=True) for z in shares)
    w = master_f * (1 - below)
    c = (f * w + (master_f - w)) * c + (i * w + (1 - below - w)) * t(p, "candidate", h=h, x=x)
    return {"h": s(p, "output", h=h, x=x) * tanh(c), "c": c}


def exponential(p, x, h, c, n, m, log_f):
    log_i = total(p, "input", h=h, x=x)
    new_m = np.maximum(log_f + m, log_i)
    i, f = exp(log_i - new_m), exp(log_f + m - new_m)
    c, n = f * c + i * t(p, "candidate", h=h, x=x), f * n + i
    return {"h": s(p, "output", h=h, x=x) * c / n, "c": c, "n": n, "m": new_m}


def slstm(p, x, h, c, n, m):
    return exponential(p, x, h, c, n, m, np.log(s(p, "forget", h=h, x=x)))


def slstm_exponential(p, x, h, c, n, m):
    return exponential(p, x, h, c, n, m, total(p, "forget", h=h, x=x))


def skip_lstm(p, x, h, c, wait):
    chance = 1 - wait
    u = np.round(chance)
    new = lstm(p, x, h, c)
    h, c = u * new["h"] + (1 - u) * h, u * new["c"] + (1 - u) * c
    rise = s(p, "rise", c=c)
    return {"h": h, "c": c, "wait": 1 - (u * rise + (1 - u) * (chance + np.minimum(rise, 1 - chance)))}


def nested_lstm(p, x, h, c, inner_c):
    kept = s(p, "forget", h=h, x=x) * c
    inner = lstm(within(p, "inner"), s(p, "input", h=h, x=x) * t(p, "candidate", h=h, x=x), kept, inner_c)
    return {"h": s(p, "output", h=h, x=x) * tanh(inner["h"]), "c": inner["h"], "inner_c": inner["c"]}


def mogrifier_lstm(p, x, h, c):
    x_1 = 2 * s(p, "round_1", h=h) * x
    h_2 = 2 * s(p, "round_2", x=x_1) * h
    x_3 = 2 * s(p, "round_3", h=h_2) * x_1
    h_4 = 2 * s(p, "round_4", x=x_3) * h_2
    return lstm(p, 2 * s(p, "round_5", h=h_4) * x_3, h_4, c)


def fast_slow_lstm(p, x, h, c, slow_h, slow_c):
    first = lstm(within(p, "fast_1"), x, h, c)
    slow = lstm(within(p, "slow"), first["h"], slow_h, slow_c)
    second = lstm(within(p, "fast_2"), slow["h"], first["h"], first["c"])
    return second | {"slow_h": slow["h"], "slow_c": slow["c"]}


def grid_lstm(p, h_below, c_below, h, c):
    depth = lstm(within(p, "depth"), h, h_below, c_below)
    return {"h_above": depth["h"], "c_above": depth["c"]} | lstm(within(p, "time"), h_below, h, c)


def time_frequency_lstm(p, low, middle, high, **states):
    below, found = np.zeros_like(states["h_low"]), {}
    for band, x in (("low", low), ("middle", middle), ("high", high)):
        seen = {"x": x, "h": states[f"h_{band}"], "below": below}
        c = s(p, "forget", **seen) * states[f"c_{band}"] + s(p, "input", **seen) * t(p, "candidate", **seen)
        below = s(p, "output", **seen) * tanh(c)
        found |= {f"h_{band}": below, f"c_{band}": c}
    return {"y": np.concatenate([found[f"h_{band}"] for band in ("low", "middle", "high")], -1), **found}


def hyper_lstm(p, x, h, c, hyper_h, hyper_c):
    hyper = lstm(within(p, "hyper"), np.concatenate([h, x], -1), hyper_h, hyper_c)
    hidden = {f"hyper_{key}": value for key, value in hyper.items()}

    def seen(name):
        z_h, z_x, z_b = (only(p, f"{name}.embedded_{part}", hyper["h"]) for part in "hxb")
        sum_h = only(p, f"{name}.scale_h", z_h) * total(p, f"{name}_h", h=h)
        sum_x = only(p, f"{name}.scale_x", z_x) * total(p, f"{name}_x", x=x)
        return norm(p, f"{name}_norm", sum_h + sum_x + only(p, f"{name}.shift", z_b))

    c = sigmoid(seen("forget") + 1) * c + sigmoid(seen("input")) * tanh(seen("candidate"))
    return {"h": sigmoid(seen("output")) * tanh(norm(p, "cell_norm", c)), "c": c} | hidden


def gilr(p, x, h):
    g = s(p, "forget", x=x)
    return {"h": g * h + (1 - g) * t(p, "candidate", x=x)}


def gilr_lstm(p, x, s, c):
    sums = {name: total(p, name, x=x, s=s) for name in ("forget", "input", "candidate", "output")}
    c = sigmoid(sums["forget"]) * c + sigmoid(sums["input"]) * tanh(sums["candidate"])
    surrogate = gilr({key.removeprefix("surrogate_"): value for key, value in p.items() if "surr" in key}, x, s)
    return {"y": sigmoid(sums["output"]) * c, "s": surrogate["h"], "c": c}


def minimal(p, x, h, candidate):
    f, i = s(p, "forget", x=x), s(p, "input", x=x)
    return {"h": (f * h + i * candidate) / (f + i)}


def min_lstm(p, x, h):
    return minimal(p, x, h, total(p, "candidate", x=x))


def min_lstm_positive(p, x, h):
    z = total(p, "candidate", x=x)
    return minimal(p, x, h, np.where(z >= 0, z + 0.5, sigmoid(z)))


def rg_lru(p, x, h):
    a = sigmoid(p["decay"]) ** (8 * s(p, "recurrence", x=x))
    return {"h": a * h + np.sqrt(1 - a**2) * (s(p, "input", x=x) * x)}


def s4d_real(p, x, h):
    rate, step = exp(p["log_rate"]), exp(p["log_step"])
    h = exp(-step * rate) * h + (1 - exp(-step * rate)) / rate * (x @ p["B.W_x"])
    return {"y": h @ p["C.W_h"] + p["D"] * x, "h": h}


def selective_ssm(p, x, h):
    step = np.log1p(exp(total(p, "step", x=x)))
    h = exp(-step * exp(p["log_rate"])) * h + step * (x @ p["B.W_x"]) * x
    return {"y": (x @ p["C.W_x"]) * h + p["D"] * x, "h": h}


def lmu(p, x, h, m):
    u = x @ p["encoder.W_x"] + h @ p["encoder.W_h"] + m @ p["encoder.W_m"]
    m = m @ p["memory.A"] + u * p["memory.B"]
    return {"h": t(p, "hidden", x=x, h=h, m=m), "m": m}


def time_aware_lstm(p, x, dt, h, c):
    short = t(p, "decomposition", c=c)
    return lstm(p, x, h, c - short + short / np.log(np.e + dt))


def phased_lstm(p, x, time, h, c):
    phase = np.mod(time / exp(p["log_period"]) - p["shift"], 1.0)
    part = phase / p["open_ratio"]
    k = np.where(part < 0.5, 2 * part, np.where(part < 1, 2 - 2 * part, 0.001 * phase))
    new_c = peep(p, "forget", x, h, c) * c + peep(p, "input", x, h, c) * t(p, "candidate", h=h, x=x)
    new_h = peep(p, "output", x, h, new_c) * tanh(new_c)
    return {"h": k * new_h + (1 - k) * h, "c": k * new_c + (1 - k) * c}


def lem(p, x, h, z):
    step_z, step_h = s(p, "step_z", h=h, x=x), s(p, "step_h", h=h, x=x)
    z = (1 - step_z) * z + step_z * t(p, "candidate_z", h=h, x=x)
    return {"h": (1 - step_h) * h + step_h * t(p, "candidate_h", z=z, x=x), "z": z}


def cfc(p, x, dt, h):
    z = 1.7159 * tanh(0.666 * total(p, "backbone", h=h, x=x))
    gate = sigmoid(only(p, "time_a", z) * dt + only(p, "time_b", z))
    return {"h": tanh(only(p, "head_1", z)) * (1 - gate) + gate * tanh(only(p, "head_2", z))}


def cfc_pure(p, x, dt, h):
    f = only(p, "head", 1.7159 * tanh(0.666 * total(p, "backbone", h=h, x=x)))
    return {"h": -p["A"] * exp(-dt * (abs(p["rate"]) + abs(f))) * f + p["A"]}


def mixed_memory_cfc(p, x, dt, h, c):
    kept = lstm(within(p, "memory"), x, h, c)
    return cfc(within(p, "cfc"), x, dt, kept["h"]) | {"c": kept["c"]}


def ltc(p, x, dt, h):
    for _ in range(6):
        f = sigmoid(x @ p["synapse.W_x"] + h @ p["synapse.W_h"] + p["synapse.b"])
        h = (h + dt / 6 * f * p["A"]) / (1 + dt / 6 * (1 / exp(p["log_tau"]) + f))
    return {"h": h}


# ---- the tests

STEPS = {name: globals()[name] for name in NAMES}
SQUARE = ("rg_lru", "selective_ssm")  # cells that need I == H
POSITIVE = ("state:n", "state:wait", "input:dt", "input:time", "parameter:open_ratio")
SYMBOLS = ("dt", "time", "middle", "high", "M", "K", "Z", "U", "c_below")
HIDDEN = {"lmu": ("parameter:memory.A", "parameter:memory.B")}  # what stop_gradient hides from the gradient


def random_feeds(name, hidden=5, inputs=3, steps=4, batch=3):
    """Return parameters, inputs and states of a cell at random."""
    cell = lg.cells.catalogue[name]
    sizes = {"H": hidden, "I": hidden if name in SQUARE else inputs, "H+I": hidden + inputs, "dt": 1, "time": 1, "M": 3}
    sizes |= {
        "K": 2,
        "Z": 4,
        "U": 7,
        "middle": inputs,
        "high": inputs,
        "c_below": inputs if name == "grid_lstm" else hidden,
    }
    rng = np.random.default_rng([3, *name.encode()])
    feeds = {"parameter": {}, "input": {}, "state": {}}
    for leaf, node in cell.leaves.items():
        kind, _, key = leaf.partition(":")
        rows = {"parameter": (), "input": (steps, batch), "state": (batch,)}[kind]
        shape = rows + tuple(sizes.get(dim, dim) for dim in node.shape if dim != "B")
        value = rng.uniform(0.2, 0.9, shape)
        feeds[kind][key] = value if leaf in POSITIVE else value * rng.choice([-1.0, 1.0], shape)
        if key == "time":
            feeds[kind][key] = 3.7 * np.cumsum(value, axis=0)
    return cell, feeds, sizes


@pytest.mark.parametrize("name", NAMES)
def test_a_cell_computes_its_equations(name):
    cell, feeds, _ = random_feeds(name)
    y, final = lg.interpret(cell, feeds["parameter"], feeds["input"], state=feeds["state"])
    outputs, state = y if isinstance(y, dict) else {cell.outputs[0]: y}, feeds["state"]
    for step in range(4):
        found = STEPS[name](feeds["parameter"], *(x[step] for x in feeds["input"].values()), **state)
        for output, value in outputs.items():
            expected = found[output] if output in found else found[cell.states[0]]
            np.testing.assert_allclose(value[step], expected, rtol=0, atol=1e-12)
        state = {key: found[key] for key in cell.states}
    for key, value in final.items():
        np.testing.assert_allclose(value, state[key], rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", NAMES)
def test_a_gradient_is_the_derivative(name):
    cell, feeds, sizes = random_feeds(name, hidden=3, inputs=2, steps=2, batch=2)
    assert lg.gradient(cell).sums
    if name == "skip_lstm":  # straight through: the gradient is meant to be another than the derivative
        return
    extra = {str(dim): sizes[dim] for node in cell.leaves.values() for dim in node.shape if dim in SYMBOLS}
    given = {"params": feeds["parameter"], "x": feeds["input"], "state": feeds["state"]}
    extra |= {"input_size": sizes["I"], "hidden_size": 3}
    errors = lg.check_gradients(cell, given, second_order=False, tolerance=np.inf, **extra)
    assert set(cell.leaves) == set(errors)
    assert not {leaf: error for leaf, error in errors.items() if error > 1e-8 and leaf not in HIDDEN.get(name, ())}


@pytest.mark.parametrize("name", NAMES)
def test_a_cell_names_its_paper(name):
    assert re.search(r"\b(19|20)\d\d\b", lg.cells.catalogue[name].__doc__)


def test_a_legendre_memory_remembers_a_window():
    a, b = linear_recurrence.legendre_memory(6, window=50.0)
    memory, ago = np.zeros((1, 6)), np.linspace(0, 50, 11)
    for step in range(200):
        memory = memory @ a + np.sin(step / 40) * b
    remembered = np.polynomial.legendre.legval(2 * ago / 50 - 1, memory[0])
    np.testing.assert_allclose(remembered, np.sin((199.5 - ago) / 40), atol=0.02)
