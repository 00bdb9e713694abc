"""A step in NumPy of each cell of the RNN families.

A step takes the parameters, the states and the inputs, and returns the output and the next states.
"""

import numpy as np


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


def only(h):
    """Return a state that is the output too."""
    return h, {"h": h}


# ---- plain recurrent networks


def rnn(p, s, x):
    return only(np.tanh(plus(p, "hidden", h=s["h"], x=x)))


def antisymmetric(p, s, x):
    recurrent = p["U"] - p["U"].T - 0.1 * np.eye(len(p["U"]))
    return only(s["h"] + 0.1 * np.tanh(s["h"] @ recurrent + plus(p, "input", x=x)))


def highway(p, s, x):
    h = s["h"]
    for depth in range(3):
        seen = {"h": h, "x": x} if depth == 0 else {"h": h}
        carry = sigmoid(plus(p, f"carry_{depth}", **seen))
        h = np.tanh(plus(p, f"transform_{depth}", **seen)) * (1 - carry) + h * carry
    return only(h)


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
    recurrent = s["h"] @ (p["V"] - p["V"].T - 0.1 * np.eye(len(s["h"][0])))
    z = sigmoid(recurrent + plus(p, "gate", x=x))
    return only(s["h"] + 0.1 * z * np.tanh(recurrent + plus(p, "input", x=x)))


def lipschitz_rnn(p, s, x):
    a, w = ((1 - 0.75) * (m + m.T) + 0.75 * (m - m.T) - 0.001 * np.eye(len(s["h"][0])) for m in (p["A"], p["W"]))
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


def eunn(p, s, x):
    hidden = s["h"].shape[1] // 2
    turn = {}
    for layer in (1, 2):
        angle, matrix = p[f"rotation_{layer}.angle"], np.zeros((2 * hidden, 2 * hidden))
        for j in range(hidden):  # unit j of the first half with unit j of the second
            pair = np.ix_([j, hidden + j], [j, hidden + j])
            matrix[pair] = [[np.cos(angle[j]), -np.sin(angle[j])], [np.sin(angle[j]), np.cos(angle[j])]]
        turn[layer] = matrix
    shift = np.eye(2 * hidden)
    shift[:hidden, :hidden] = np.roll(np.eye(hidden), 1, axis=0)
    orthogonal = turn[2] @ shift @ turn[1]
    np.testing.assert_allclose(orthogonal @ orthogonal.T, np.eye(2 * hidden), atol=1e-14)
    z = s["h"] @ orthogonal.T + times(p, "input", x=x)
    return only(np.sign(z) * relu(np.abs(z) + p["modulus.b"]))


def su_rnn(p, s, x, time):
    waves = [p[f"wave_{k}.height"] * np.sin(p[f"wave_{k}.frequency"] * time + p[f"wave_{k}.phase"]) for k in (1, 2, 3)]
    moves = p["switch.b"] + sum(waves) > 0
    return only(np.where(moves, np.tanh(plus(p, "hidden", h=s["h"], x=x)), s["h"]))


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
