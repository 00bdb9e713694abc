"""The catalogue's cells equal torch.nn.LSTM, GRU and RNN: outputs, final states and every gradient."""

from dataclasses import dataclass, field
from functools import cache
from itertools import permutations

import numpy as np
import pytest

import lstmgraph as lg
from lstmgraph import cells

torch = pytest.importorskip("torch", reason="torch is not installed: pip install lstmgraph[peers]")

TOLERANCE = {"float32": 2e-5, "float64": 1e-10}  # of the largest number of an array
LSTM_GATES = ("input", "forget", "candidate", "output")  # the order in which torch stacks them
GRU_GATES = ("reset", "update", "candidate")
SIZES = [(1, 3, 5, 1), (7, 5, 3, 9), (16, 17, 1, 3), (50, 9, 5, 3), (64, 3, 7, 33), (100, 5, 3, 17)]  # H, T, B, I


def stacked(cell, directions, layers=2):
    """Return a network of layers of a cell, in one direction or in both."""

    @lg.network
    def network(x):
        for layer in range(layers):
            found = [lg.recur(cell, x, name=f"forward_{layer}")]
            if directions == 2:
                found.append(lg.recur(cell, x, name=f"backward_{layer}", reverse=True))
            x = lg.concat(*found) if directions == 2 else found[0]
        return x

    return network


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


def stacked_places(places, directions, layers=2):
    """As `places`, for each direction of each layer."""
    suffixes = (("forward", ""), ("backward", "_reverse"))[:directions]
    return {
        f"{direction}_{layer}.{name}": (tuple(f"{array}_l{layer}{suffix}" for array in arrays), block)
        for layer in range(layers)
        for direction, suffix in suffixes
        for name, (arrays, block) in places.items()
    }


@dataclass(frozen=True)
class Kind:
    """A layer of torch, our cell, where the parameters stand, and the states in torch's order."""

    module: type
    cell: lg.Cell
    places: dict
    states: str
    options: dict = field(default_factory=dict)
    sizes: dict = field(default_factory=dict)


PROJECTED = layer_places(LSTM_GATES) | {"projection.W": (("weight_hr",), None)}
KINDS = {
    "lstm": Kind(torch.nn.LSTM, cells.lstm, layer_places(LSTM_GATES), "hc"),
    "projected": Kind(torch.nn.LSTM, cells.projected_lstm, PROJECTED, "hc", {"proj_size": 3}, {"P": 3}),
    "gru": Kind(torch.nn.GRU, cells.gru, gru_places(GRU_GATES), "h"),
    "tanh": Kind(torch.nn.RNN, cells.rnn, layer_places(["hidden"]), "h"),
    "relu": Kind(torch.nn.RNN, cells.irnn, layer_places(["hidden"]), "h", {"nonlinearity": "relu"}),
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
    assert_parity(module, cells.lstm, layer_places(LSTM_GATES), [["h"], ["c"]], T, B, hidden=H)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("H, T, B, inputs", SIZES)
def test_gru_equals_torch(H, T, B, inputs, dtype):
    module = random_module(torch.nn.GRU, dtype, H, input_size=inputs, hidden_size=H)
    assert_parity(module, cells.gru, gru_places(GRU_GATES), [["h"]], T, B, hidden=H)


@pytest.mark.parametrize("H, T, B, inputs", SIZES[1:])
def test_plain_network_equals_torch(H, T, B, inputs):
    module = random_module(torch.nn.RNN, "float64", H, input_size=inputs, hidden_size=H)
    assert_parity(module, cells.rnn, layer_places(["hidden"]), [["h"]], T, B, hidden=H)


@pytest.mark.parametrize("P, H, T, B, inputs", [(3, 7, 5, 3, 9), (5, 16, 9, 1, 3), (17, 50, 3, 5, 3)])
def test_projected_lstm_equals_torch(P, H, T, B, inputs):
    module = random_module(torch.nn.LSTM, "float64", H, input_size=inputs, hidden_size=H, proj_size=P)
    assert_parity(module, cells.projected_lstm, PROJECTED, [["h"], ["c"]], T, B, hidden=H, P=P)


@pytest.mark.parametrize("cell", ["lstm", "gru"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_lengths_equal_packed_sequences(cell, dtype):
    kind = KINDS[cell]
    module = random_module(kind.module, dtype, 5, input_size=3, hidden_size=19)
    names = [[state] for state in kind.states]
    assert_parity(module, kind.cell, kind.places, names, 11, 5, hidden=19, lengths=[4, 11, 1, 7, 11])


def assert_layers_equal(kind, directions, lengths, H, T, seed=6):
    """Compare two layers from random initial states."""
    module = random_module(
        kind.module,
        "float64",
        seed,
        input_size=3,
        hidden_size=H,
        num_layers=2,
        bidirectional=directions == 2,
        **kind.options,
    )
    order = [f"{way}_{layer}" for layer in range(2) for way in ("forward", "backward")[:directions]]
    names = [[f"{layer}.{state}" for layer in order] for state in kind.states]
    network, places = stacked(kind.cell, directions), stacked_places(kind.places, directions)
    assert_parity(module, network, places, names, T, 5, hidden=H, lengths=lengths, **kind.sizes)


@pytest.mark.parametrize("lengths", [None, [9, 2, 5, 9, 1]], ids=["full", "lengths"])
def test_bidirectional_layers_equal_torch(lengths):
    assert_layers_equal(KINDS["lstm"], 2, lengths, 13, 9)


@pytest.mark.parametrize("lengths", [None, [4, 1, 3, 4, 2]], ids=["full", "lengths"])
@pytest.mark.parametrize("directions", [1, 2])
@pytest.mark.parametrize("kind", KINDS)
def test_layers_of_every_kind_equal_torch(kind, directions, lengths, in_numpy):
    """With lengths a backward layer starts at each row's own end, as in a packed sequence."""
    assert_layers_equal(KINDS[kind], directions, lengths, 5, 4)


@pytest.mark.parametrize("name", KINDS)
def test_states_start_at_zero_as_in_torch(name, in_numpy):
    kind = KINDS[name]
    module = random_module(kind.module, "float64", 2, input_size=3, hidden_size=5, **kind.options)
    x = np.random.default_rng(3).standard_normal((4, 2, 3))
    want, _ = module(torch.tensor(x))
    y, _ = lg.interpret(kind.cell, as_params(module, kind.places, 5), x)
    assert_near(y, want.detach().numpy(), TOLERANCE["float64"], "y")


def wrong_orders(gates):
    return [order for order in permutations(gates) if order != gates]


@pytest.mark.parametrize("order", wrong_orders(LSTM_GATES), ids="-".join)
def test_a_wrong_order_of_the_lstms_gates_is_seen(order):
    module = random_module(torch.nn.LSTM, "float64", 3, input_size=5, hidden_size=7)
    with pytest.raises(AssertionError, match="y: off by"):
        assert_parity(module, cells.lstm, layer_places(order), [["h"], ["c"]], 5, 3, hidden=7)


@pytest.mark.parametrize("order", wrong_orders(GRU_GATES), ids="-".join)
def test_a_wrong_order_of_the_grus_gates_is_seen(order):
    module = random_module(torch.nn.GRU, "float64", 3, input_size=5, hidden_size=7)
    with pytest.raises(AssertionError, match="y: off by"):
        assert_parity(module, cells.gru, gru_places(order), [["h"]], 5, 3, hidden=7)


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
