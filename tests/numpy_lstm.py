"""A step in NumPy of each cell of the LSTM families, linear recurrences and time-aware cells.

A step takes the parameters, the inputs and the states, and returns what is new by name.
"""

import numpy as np

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


def peephole_lstm(p, x, h, c):
    new = peep(p, "forget", x, h, c) * c + peep(p, "input", x, h, c) * t(p, "candidate", h=h, x=x)
    return {"h": peep(p, "output", x, h, new) * tanh(new), "c": new}


def projected_lstm(p, x, h, c):
    found = lstm(p, x, h, c)
    return found | {"h": only(p, "projection", found["h"])}


def layer_norm_lstm(p, x, h, c):
    def gate(name):
        above = norm(p, f"{name}_h_norm", h @ p[f"{name}_h.W_h"])
        return above + norm(p, f"{name}_x_norm", x @ p[f"{name}_x.W_x"])

    c = sigmoid(gate("forget")) * c + sigmoid(gate("input")) * tanh(gate("candidate"))
    return {"h": sigmoid(gate("output")) * tanh(norm(p, "cell_norm", c)), "c": c}


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


def two_halves(*values):
    return zip(*(np.split(value, 2, axis=-1) for value in values), strict=True)


def group_lstm(p, x_1, x_2, h, c):
    groups = zip((x_1, x_2), *(np.split(value, 2, axis=-1) for value in (h, c)), strict=True)
    found = [lstm(within(p, f"group_{k}"), *group) for k, group in enumerate(groups, start=1)]
    return {key: np.concatenate([group[key] for group in found], -1) for key in ("h", "c")}


def slstm_heads(p, x, h, c, n, m):
    found = []
    for head, states in enumerate(two_halves(h, c, n, m), start=1):
        mine = {}
        for name in ("input", "forget", "candidate", "output"):
            units = slice(None, len(p["forget.W_h_1"])) if head == 1 else slice(len(p["forget.W_h_1"]), None)
            mine |= {f"{name}.W_h": p[f"{name}.W_h_{head}"], f"{name}.b": p[f"{name}.b"][units]}
            mine[f"{name}.W_x"] = p[f"{name}.W_x"][:, units]
        found.append(slstm(mine, x, *states))
    return {key: np.concatenate([head[key] for head in found], -1) for key in ("h", "c", "n", "m")}


def layer_norm_joint_lstm(p, x, h, c):
    sums = norm(p, "sums_h_norm", h @ p["sums_h.W_h"]) + norm(p, "sums_x_norm", x @ p["sums_x.W_x"])
    f, i, o, g = np.split(sums, 4, axis=-1)
    c = sigmoid(f) * c + sigmoid(i) * tanh(g)
    return {"h": sigmoid(o) * tanh(norm(p, "cell_norm", c)), "c": c}


def attention_lstm(p, x, h, c, attended, **past):
    new = lstm(p, total(p, "mix", x=x, attended=attended), h, c)
    window = np.stack([past["past_1"], past["past_2"], past["past_3"]])  # [3, B, H]
    scores = exp(tanh(window @ p["window.W"] + total(p, "query", h=new["h"], c=new["c"])) @ p["score.v"])
    attended = np.einsum("kb,kbh->bh", scores / scores.sum(0), window)
    y = total(p, "projection", h=new["h"], attended=attended)
    return new | {"y": y, "attended": attended, "past_1": y, "past_2": past["past_1"], "past_3": past["past_2"]}


def state_space(p, x, h_re, h_im, decay, scale, count):
    h = decay * (h_re + 1j * h_im) + scale * (x @ (p["B_re.W_x"] + 1j * p["B_im.W_x"]))
    y = count * (h @ (p["C_re.W_re"] + 1j * p["C_im.W_im"])).real + p["D"] * x
    return {"y": y, "h_re": h.real, "h_im": h.imag}


def lru(p, x, h_re, h_im):
    decay = exp(-exp(p["log_nu"]) + 1j * exp(p["log_theta"]))
    return state_space(p, x, h_re, h_im, decay, np.sqrt(1 - abs(decay) ** 2), 1)


def s5(p, x, h_re, h_im):
    a = -exp(p["log_rate"]) + 1j * p["frequency"]
    decay = exp(exp(p["log_step"]) * a)
    return state_space(p, x, h_re, h_im, decay, (decay - 1) / a, 2)


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
