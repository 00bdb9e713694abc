"""Cells written as their equations equal torch.nn.LSTM, GRU and RNN: outputs, final states and every gradient."""

from functools import cache
from itertools import permutations

import numpy as np
import pytest

import lstmgraph as lg

torch = pytest.importorskip("torch", reason="torch is not installed: pip install lstmgraph[peers]")

TOLERANCE = {"float32": 2e-5, "float64": 1e-10}  # of the largest number of an array
LSTM_GATES = ("input", "forget", "candidate", "output")  # the order in which torch stacks them
GRU_GATES = ("reset", "update", "candidate")
SIZES = [(1, 3, 5, 1), (7, 5, 3, 9), (16, 17, 1, 3), (50, 9, 5, 3), (64, 3, 7, 33), (100, 5, 3, 17)]  # H, T, B, I


@lg.cell
def lstm(x, h, c):
    c = lg.gate(c, h, x, name="forget") + lg.gate(lg.tanh_layer(h, x, name="candidate"), h, x, name="input")
    h = lg.gate(lg.tanh(c), h, x, name="output")
    return h, c


@lg.cell
def gru(x, h):
    r = lg.sigmoid_layer(h, x, name="reset")
    z = lg.sigmoid_layer(h, x, name="update")
    n = lg.tanh(lg.linear(x, name="candidate_x") + r * lg.linear(h, name="candidate_h"))
    return (1 - z) * n + z * h


@lg.cell
def plain(x, h):
    return lg.tanh_layer(h, x, name="hidden")


@lg.cell
def projected(x, h, c):
    c = lg.gate(c, h, x, name="forget") + lg.gate(lg.tanh_layer(h, x, name="candidate"), h, x, name="input")
    h = lg.linear(lg.gate(lg.tanh(c), h, x, name="output"), name="projection", size="P", bias=False)
    return h, c


@lg.network
def stacked(x):
    """Two bidirectional layers of LSTM."""
    for layer in range(2):
        forward = lg.recur(lstm, x, name=f"forward_{layer}")
        backward = lg.recur(lstm, x, name=f"backward_{layer}", reverse=True)
        x = lg.concat(forward, backward)
    return x


@cache
def compiled(traced, dtype, **sizes):
    return lg.compile(traced, dtype=dtype, **sizes)


def layer_places(gates):
    """Our parameter -> its place in torch: arrays that hold it, block; the biases that torch has twice add up."""
    places = {}
    for block, gate in enumerate(gates):
        places[f"{gate}.W_x"] = (("weight_ih",), block)
        places[f"{gate}.W_h"] = (("weight_hh",), block)
        places[f"{gate}.b"] = (("bias_ih", "bias_hh"), block)
    return places


def gru_places(gates):
    """As `layer_places`; the candidate's two halves are layers of their own."""
    places = layer_places(gates)
    block = gates.index("candidate")
    for name in ("candidate.W_x", "candidate.W_h", "candidate.b"):
        del places[name]
    for source, kind in (("x", "ih"), ("h", "hh")):
        places[f"candidate_{source}.W_{source}"] = ((f"weight_{kind}",), block)
        places[f"candidate_{source}.b"] = ((f"bias_{kind}",), block)
    return places


def bidirectional_places():
    """As `layer_places`, for both directions of two layers."""
    return {
        f"{direction}_{layer}.{name}": (tuple(f"{array}_l{layer}{suffix}" for array in arrays), block)
        for layer in range(2)
        for direction, suffix in (("forward", ""), ("backward", "_reverse"))
        for name, (arrays, block) in layer_places(LSTM_GATES).items()
    }


def blocks(module, places, hidden, read):
    """Return, by our parameter's name, what `read` gives of torch's arrays: one block of rows of each."""
    found = {}
    for name, (arrays, block) in places.items():
        rows = slice(block * hidden, (block + 1) * hidden) if block is not None else slice(None)
        stems = [array if "_l" in array else f"{array}_l0" for array in arrays]
        found[name] = [read(getattr(module, stem)).detach().numpy()[rows].T for stem in stems]
    return found


def as_params(module, places, hidden):
    found = blocks(module, places, hidden, lambda array: array)
    return {name: np.ascontiguousarray(sum(arrays)) for name, arrays in found.items()}


def random_module(kind, dtype, seed, **options):
    """Return a torch layer whose weights and biases are all random and not zero."""
    module = kind(dtype=getattr(torch, dtype), **options)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for weight in module.parameters():
            scale = 0.5 if weight.dim() == 1 else weight.shape[1] ** -0.5
            weight.copy_(scale * torch.randn(weight.shape, generator=generator))
    return module


def assert_near(got, want, tolerance, what):
    """Compare relative to the largest number; sums that cancel below 0.01 count as 0.01."""
    assert got.shape == want.shape, what
    error = np.abs(got - want).max(initial=0)
    assert error <= tolerance * max(np.abs(want).max(initial=0), 0.01), f"{what}: off by {error}"


def torch_run(module, x, states, lengths):
    """Run torch's layer; return leaves that take gradients, the output and the final states, [L, B, n] each."""
    leaf = torch.tensor(x, requires_grad=True)
    starts = [torch.tensor(state, requires_grad=True) for state in states]
    given = leaf
    if lengths is not None:
        given = torch.nn.utils.rnn.pack_padded_sequence(leaf, torch.tensor(lengths), enforce_sorted=False)
    y, final = module(given, tuple(starts) if len(starts) > 1 else starts[0])
    if lengths is not None:
        y, _ = torch.nn.utils.rnn.pad_packed_sequence(y, total_length=len(x))
    return leaf, starts, y, list(final) if len(starts) > 1 else [final]


def assert_parity(module, traced, places, names, T, B, *, hidden, lengths=None, **sizes):
    """Compare a run from random states, and the gradients for random cotangents of output and final states.

    `names` holds, for each of torch's states, our names of its layers.
    """
    dtype = next(module.parameters()).dtype
    dtype, inputs = str(dtype).removeprefix("torch."), module.input_size
    tolerance, rng = TOLERANCE[dtype], np.random.default_rng(7)
    program = compiled(traced, dtype, input_size=inputs, hidden_size=hidden, **sizes)
    params = as_params(module, places, hidden)
    widths = {"h": sizes.get("P", hidden), "c": hidden}
    x = rng.standard_normal((T, B, inputs)).astype(dtype)
    states = [rng.standard_normal((len(group), B, widths[group[0][-1]])).astype(dtype) for group in names]
    ours = {name: state[n] for group, state in zip(names, states, strict=True) for n, name in enumerate(group)}
    leaf, starts, want, finals = torch_run(module, x, states, lengths)
    y, state, pullback = program.vjp(params, x, state=ours, lengths=lengths)
    assert_near(y, want.detach().numpy(), tolerance, "y")
    for group, final in zip(names, finals, strict=True):
        for n, name in enumerate(group):
            assert_near(state[name], final[n].detach().numpy(), tolerance, f"final {name}")

    dy = rng.standard_normal(y.shape).astype(dtype)
    dstates = [rng.standard_normal(state.shape).astype(dtype) for state in states]
    module.zero_grad()
    torch.autograd.backward([want, *finals], [torch.tensor(value) for value in (dy, *dstates)])
    cotangents = {name: d[n] for group, d in zip(names, dstates, strict=True) for n, name in enumerate(group)}
    grads = pullback(dy, dstate=cotangents)
    assert_near(grads.x, leaf.grad.numpy(), tolerance, "dx")
    for group, start in zip(names, starts, strict=True):
        for n, name in enumerate(group):
            assert_near(grads.state[name], start.grad[n].numpy(), tolerance, f"d {name}")
    for name, gradients in blocks(module, places, hidden, lambda array: array.grad).items():
        for gradient in gradients:  # each of torch's two biases has our bias's gradient
            assert_near(grads.params[name], gradient, tolerance, f"d {name}")
    assert set(grads.params) == set(places)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("H, T, B, inputs", SIZES)
def test_lstm_equals_torch(H, T, B, inputs, dtype):
    module = random_module(torch.nn.LSTM, dtype, H, input_size=inputs, hidden_size=H)
    assert_parity(module, lstm, layer_places(LSTM_GATES), [["h"], ["c"]], T, B, hidden=H)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("H, T, B, inputs", SIZES)
def test_gru_equals_torch(H, T, B, inputs, dtype):
    module = random_module(torch.nn.GRU, dtype, H, input_size=inputs, hidden_size=H)
    assert_parity(module, gru, gru_places(GRU_GATES), [["h"]], T, B, hidden=H)


@pytest.mark.parametrize("H, T, B, inputs", SIZES[1:])
def test_plain_network_equals_torch(H, T, B, inputs):
    module = random_module(torch.nn.RNN, "float64", H, input_size=inputs, hidden_size=H)
    assert_parity(module, plain, layer_places(["hidden"]), [["h"]], T, B, hidden=H)


@pytest.mark.parametrize("P, H, T, B, inputs", [(3, 7, 5, 3, 9), (5, 16, 9, 1, 3), (17, 50, 3, 5, 3)])
def test_projected_lstm_equals_torch(P, H, T, B, inputs):
    module = random_module(torch.nn.LSTM, "float64", H, input_size=inputs, hidden_size=H, proj_size=P)
    places = layer_places(LSTM_GATES) | {"projection.W": (("weight_hr",), None)}
    assert_parity(module, projected, places, [["h"], ["c"]], T, B, hidden=H, P=P)


@pytest.mark.parametrize("cell", ["lstm", "gru"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_lengths_equal_packed_sequences(cell, dtype):
    lengths = [4, 11, 1, 7, 11]
    kind = torch.nn.LSTM if cell == "lstm" else torch.nn.GRU
    module = random_module(kind, dtype, 5, input_size=3, hidden_size=19)
    places = layer_places(LSTM_GATES) if cell == "lstm" else gru_places(GRU_GATES)
    names = [["h"], ["c"]] if cell == "lstm" else [["h"]]
    assert_parity(module, lstm if cell == "lstm" else gru, places, names, 11, 5, hidden=19, lengths=lengths)


@pytest.mark.parametrize("lengths", [None, [9, 2, 5, 9, 1]], ids=["full", "lengths"])
def test_bidirectional_layers_equal_torch(lengths):
    options = {"input_size": 3, "hidden_size": 13, "num_layers": 2, "bidirectional": True}
    module = random_module(torch.nn.LSTM, "float64", 6, **options)
    order = ("forward_0", "backward_0", "forward_1", "backward_1")
    names = [[f"{layer}.{state}" for layer in order] for state in ("h", "c")]
    assert_parity(module, stacked, bidirectional_places(), names, 9, 5, hidden=13, lengths=lengths)


def wrong_orders(gates):
    return [order for order in permutations(gates) if order != gates]


@pytest.mark.parametrize("order", wrong_orders(LSTM_GATES), ids="-".join)
def test_a_wrong_order_of_the_lstms_gates_is_seen(order):
    module = random_module(torch.nn.LSTM, "float64", 3, input_size=5, hidden_size=7)
    with pytest.raises(AssertionError, match="y: off by"):
        assert_parity(module, lstm, layer_places(order), [["h"], ["c"]], 5, 3, hidden=7)


@pytest.mark.parametrize("order", wrong_orders(GRU_GATES), ids="-".join)
def test_a_wrong_order_of_the_grus_gates_is_seen(order):
    module = random_module(torch.nn.GRU, "float64", 3, input_size=5, hidden_size=7)
    with pytest.raises(AssertionError, match="y: off by"):
        assert_parity(module, gru, gru_places(order), [["h"]], 5, 3, hidden=7)


def test_every_wrong_order_was_tried():
    assert len(wrong_orders(LSTM_GATES)) == 23
    assert len(wrong_orders(GRU_GATES)) == 5


def test_a_wrong_order_of_the_gradients_is_seen():
    """The gradients are compared gate by gate, not only as a whole."""
    module = random_module(torch.nn.LSTM, "float64", 3, input_size=5, hidden_size=7)
    module.zero_grad()
    y, _ = module(torch.randn(5, 3, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(1)))
    y.sum().backward()
    right = blocks(module, layer_places(LSTM_GATES), 7, lambda array: array.grad)
    for order in wrong_orders(LSTM_GATES):
        wrong = blocks(module, layer_places(order), 7, lambda array: array.grad)
        different = [n for n in right if not np.allclose(right[n][0], wrong[n][0], rtol=1e-3, atol=1e-6)]
        assert len(different) >= 6, order
