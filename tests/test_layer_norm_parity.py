"""Cells with layer normalisation equal eager PyTorch with ``torch.nn.functional.layer_norm``: results and gradients."""

import numpy as np
import pytest

import lstmgraph as lg

torch = pytest.importorskip("torch", reason="torch is not installed: pip install lstmgraph[peers]")

INPUT, HIDDEN, BATCH, STEPS = 3, 5, 4, 6
TOLERANCE = {"float32": 5e-5, "float64": 1e-10}  # of the largest number of an array


def norm(p, name, value):
    return torch.nn.functional.layer_norm(value, (HIDDEN,), p[f"{name}.gain"], p[f"{name}.b"])


def apart(p, name, x, h):
    """Return the normalised products of input and state, not summed."""
    return norm(p, f"{name}_x_norm", x @ p[f"{name}_x.W_x"]), norm(p, f"{name}_h_norm", h @ p[f"{name}_h.W_h"])


def layer_norm_lstm(p, x, h, c):
    i, f, g, o = (sum(apart(p, name, x, h)) for name in ("input", "forget", "candidate", "output"))
    c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
    return torch.sigmoid(o) * torch.tanh(norm(p, "cell_norm", c)), c


def layer_norm_gru(p, x, h):
    r, z = (torch.sigmoid(sum(apart(p, name, x, h))) for name in ("reset", "update"))
    of_x, of_h = apart(p, "candidate", x, h)
    return (torch.lerp(h, torch.tanh(of_x + r * of_h), z),)


def layer_norm_basic_lstm(p, x, h, c):
    names = ("input", "forget", "candidate", "output")
    i, f, g, o = (norm(p, f"{k}_norm", x @ p[f"{k}.W_x"] + h @ p[f"{k}.W_h"]) for k in names)
    c = norm(p, "cell_norm", torch.sigmoid(f + 1) * c + torch.sigmoid(i) * torch.tanh(g))
    return torch.sigmoid(o) * torch.tanh(c), c


def layer_norm_rnn(p, x, h):
    return (torch.tanh(norm(p, "norm", x @ p["hidden.W_x"] + h @ p["hidden.W_h"])),)


EAGER = {step.__name__: step for step in (layer_norm_lstm, layer_norm_gru, layer_norm_basic_lstm, layer_norm_rnn)}


def near(got, want, dtype):
    assert got.shape == want.shape
    return np.abs(got - want).max() <= TOLERANCE[dtype] * max(np.abs(want).max(), 0.01)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", EAGER)
def test_layer_norm_cells_equal_eager_torch(name, dtype, in_numpy):
    cell, rng = lg.cells.catalogue[name], np.random.default_rng(11)
    program = lg.compile(cell, dtype=dtype, input_size=INPUT, hidden_size=HIDDEN)
    params = {key: rng.uniform(0.2, 1, value.shape) for key, value in program.init(0).items()}
    params = {key: (value * rng.choice([-1, 1], value.shape)).astype(dtype) for key, value in params.items()}
    x = rng.standard_normal((STEPS, BATCH, INPUT)).astype(dtype)
    state = {key: rng.standard_normal((BATCH, HIDDEN)).astype(dtype) for key in cell.states}

    leaves = {key: torch.tensor(value, requires_grad=True) for key, value in {**params, **state, "x": x}.items()}
    now, ys = tuple(leaves[key] for key in cell.states), []
    for t in range(STEPS):
        now = EAGER[name](leaves, leaves["x"][t], *now)
        ys.append(now[0])
    results = [torch.stack(ys), *now]
    cotangents = [rng.standard_normal(value.shape).astype(dtype) for value in results]
    torch.autograd.backward(results, [torch.tensor(value) for value in cotangents])

    y, final, pullback = program.vjp(params, x, state=state)
    for got, want in zip([y, *final.values()], results, strict=True):
        assert near(got, want.detach().numpy(), dtype)
    grads = pullback(cotangents[0], dstate=dict(zip(cell.states, cotangents[1:], strict=True)))
    for key, got in {**grads.params, **grads.state, "x": grads.x}.items():
        assert near(got, leaves[key].grad.numpy(), dtype), key
