"""A step in NumPy of each cell of the GRU families, as in `numpy_rnn`."""

import numpy as np
from numpy_rnn import only, plus, relu, sigmoid, times


def mix(gate, first, second):
    return gate * first + (1 - gate) * second


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


# ---- the gated recurrent unit


def gru(p, s, x):
    r, z = (sigmoid(plus(p, name, h=s["h"], x=x)) for name in ("reset", "update"))
    return only(mix(z, s["h"], np.tanh(plus(p, "candidate_x", x=x) + r * plus(p, "candidate_h", h=s["h"]))))


def gru_reset_before(p, s, x):
    r, z = (sigmoid(plus(p, name, h=s["h"], x=x)) for name in ("reset", "update"))
    return only(mix(z, s["h"], reset_and_candidate(p, s["h"], x, r)))


def mgu(p, s, x):
    f = sigmoid(plus(p, "forget", h=s["h"], x=x))
    return only(mix(f, reset_and_candidate(p, s["h"], x, f), s["h"]))


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


def min_gru_positive(p, s, x):
    z = plus(p, "candidate", x=x)
    return only(mix(sigmoid(plus(p, "update", x=x)), np.where(z >= 0, z + 0.5, sigmoid(z)), s["h"]))


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
