"""Cells of the catalogue equal those of torchrecurrent: outputs, final states and every gradient, from random biases.

Each row of the table says where a parameter of ours stands in torchrecurrent's arrays. Where its equations are not
those of the paper, the row says how it is called all the same, or what is held fixed; nothing is left out unsaid.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cache
from itertools import combinations

import numpy as np
import pytest

import lstmgraph as lg

torch = pytest.importorskip("torch", reason="torch is not installed: pip install lstmgraph[peers]")
peer = pytest.importorskip("torchrecurrent", reason="torchrecurrent is not installed: pip install lstmgraph[peers]")

HIDDEN, INPUT, BATCH, STEPS = 5, 3, 3, 4
TOLERANCE = 1e-10  # of the largest number of an array
COMPILED = ("peephole_lstm", "nbrc", "tau_gru")  # machine code of every cell is compared with NumPy elsewhere


# ---- how a cell of torchrecurrent is called: (cell, x, *states) -> output, next states


def one_state(cell, x, h):
    h = cell(x, h)
    return h, (h,)


def two_states(cell, x, *states):
    states = cell(x, states)
    return states[0], states


def output_apart(cell, x, *states):
    y, new = cell(x, states if len(states) > 1 else states[0])
    return y, new if len(states) > 1 else (new,)


def both_states_are_one(cell, x, h):
    """JANET's h and c are equal."""
    h, _ = cell(x, (h, h))
    return h, (h,)


def with_history(cell, x, h, *past):
    """The cell of a tau-GRU is given the delayed state; its layer keeps the past."""
    new = cell(x, h, past[-1])
    return new, (new, h, *past[:-1])


def new_z_first(cell, x, h, z):
    """In the paper (equation 3) h sees the new z; torchrecurrent shows it the old one, so it is called twice."""
    _, z = cell(x, (h, z))
    new, _ = cell(x, (h, z))
    return new, (new, z)


def before_the_activation(cell, x, h, s):
    """In the paper (equations 4 and 5) the hidden layer comes back; torchrecurrent has tanh of the output come back.

    One step can be compared. It does not return the hidden layer, which its output shows.
    """
    y, s = cell(x, (h, s))
    return torch.atanh(y), (None, s)


class HardSigmoid(torch.nn.Module):
    """That of Theano and Keras 2, as in the paper; torch's own is a / 6 + 0.5."""

    def forward(self, a):
        return (0.2 * a + 0.5).clamp(0, 1)


# ---- the table


def layer(name, x=None, h=None, state="h"):
    """A layer's blocks in the arrays of the input and of the state; torch's two biases add up."""
    blocks = {source: (kind, k) for source, kind, k in (("x", "ih", x), (state, "hh", h)) if k is not None}
    weights = {f"{name}.W_{source}": f"weight_{kind}:{k}" for source, (kind, k) in blocks.items()}
    return weights | {f"{name}.b": " ".join(f"bias_{kind}:{k}" for kind, k in blocks.values())}


def layers(names, state="h"):
    """Layers whose blocks stand in this order in all four arrays."""
    return {key: place for k, name in enumerate(names.split()) for key, place in layer(name, k, k, state).items()}


def vectors(names, suffix, array):
    return {f"{name}.{suffix}": f"{array}:{block}" for block, name in enumerate(names.split())}


@dataclass(frozen=True)
class Row:
    """A cell of torchrecurrent and where our parameters stand in its arrays.

    A place is ``array:block``, H rows transposed, or an array of one number; several add up. What has no counterpart
    is fixed to a number or the identity.
    """

    kind: str
    places: dict[str, str]
    step: Callable = one_state
    options: dict = field(default_factory=dict)
    fixed: dict[str, float | str] = field(default_factory=dict)
    square: bool = False  # needs I == H
    steps: int = STEPS
    one: str = ""  # a matrix of ours by which the last feature, which is 1 then, gives 1


IFCO, IFO = "input forget candidate output", "input forget output"
ROWS = {
    "antisymmetric": Row(
        "AntisymmetricRNNCell",
        {"U": "weight_hh:0", "input.W_x": "weight_ih:0", "input.b": "bias_ih:0 bias_hh:0"},
        options={"epsilon": 0.1, "gamma": 0.1},
    ),
    "gated_antisymmetric": Row(
        "GatedAntisymmetricRNNCell",
        layer("gate", 0) | layer("input", 1) | {"V": "weight_hh:0", "input.b": "bias_ih:1 bias_hh:0"},
        options={"epsilon": 0.1, "gamma": 0.1},
    ),
    "atr": Row("ATRCell", layer("input", 0) | layer("recurrent", h=0)),
    "brc": Row(
        "BRCell",
        {name.replace("W_h", "w_h"): place for name, place in layers("feedback update").items()}
        | layer("candidate", 2),
    ),
    "nbrc": Row("NBRCell", layers("feedback update") | layer("candidate", 2)),
    "cfn": Row(
        "CFNCell",
        layers("horizontal vertical") | {"input.W_x": "weight_ih:2"},
        fixed={"bias_ih:2": 0.0},  # the paper's tanh(W x) has no bias
    ),
    "cornn": Row(
        "coRNNCell",
        layers("force") | {"force.W_z": "weight_ch:0", "force.b": "bias_ih:0 bias_hh:0 bias_ch:0"},
        two_states,
        {"dt": 0.042, "gamma": 2.7, "epsilon": 4.7},
    ),
    "fast_rnn": Row("FastRNNCell", layers("candidate") | {"alpha": "alpha", "beta": "beta"}),
    "fast_grnn": Row(
        "FastGRNNCell",
        {"shared.W_x": "weight_ih:0", "shared.W_h": "weight_hh:0", "zeta": "zeta", "nu": "nu"}
        | {"update.b": "bias_ih:0 bias_hh:0", "candidate.b": "bias_ih:1 bias_hh:1"},
        options={"nonlinearity": "sigmoid"},  # of the gate; tanh by default
    ),
    "indrnn": Row(
        "IndRNNCell",
        {"input.W_x": "weight_ih:0", "input.b": "bias_ih:0 bias_hh:0", "recurrent": "vector_u:0"},
        options={"nonlinearity": "relu"},
    ),
    "intersection_rnn": Row(
        "IntersectionRNNCell", layers("depth time depth_gate time_gate"), output_apart, square=True
    ),
    "janet": Row("JANETCell", layers("forget candidate"), both_states_are_one, fixed={"beta": 1.0}),
    "lem": Row(
        "LEMCell",
        layers("step_h step_z candidate_z")
        | {"candidate_h.W_x": "weight_ih:3", "candidate_h.W_z": "weight_ch:0", "candidate_h.b": "bias_ih:3 bias_ch:0"},
        new_z_first,
    ),
    "light_ru": Row("LightRUCell", layer("candidate", 0) | layer("forget", 1, 0)),
    "ligru": Row("LiGRUCell", layers("update candidate")),
    "mclstm": Row("MCLSTMCell", layers("forget input output control candidate", "v"), output_apart),
    "mgu": Row("MGUCell", layers("forget candidate")),
    "minimal_rnn": Row("MinimalRNNCell", layer("encoder", 0) | layer("update", h=0) | {"update.W_z": "weight_mm:0"}),
    "miru1": Row("MiRU1Cell", layers("reset candidate")),
    "miru2": Row("MiRU2Cell", layers("candidate")),
    "multiplicative_lstm": Row(
        "MultiplicativeLSTMCell",
        {"multiplier_x.W_x": "weight_ih:0", "multiplier_h.W_h": "weight_hh:0"}
        | {f"{name}.W_x": f"weight_ih:{k + 1}" for k, name in enumerate(IFCO.split())}
        | {f"{name}.b": f"bias_ih:{k + 1} bias_mh:{k}" for k, name in enumerate(IFCO.split())}
        | vectors(IFCO, "W_m", "weight_mh"),
        two_states,
        fixed={"bias_ih:0": 0.0, "bias_hh:0": 0.0},  # the paper's factors have no biases
    ),
    "mut1": Row(
        "MUT1Cell",
        layer("update", 0) | layer("reset", 1, 0) | layer("candidate", h=1),
        fixed={"weight_ih:2": "identity", "bias_ih:2": 0.0},  # the paper has tanh(x), not tanh(W x + b)
        square=True,
    ),
    "mut2": Row(
        "MUT2Cell",
        layer("update", 0, 0)
        | layer("candidate", 2, 2)
        | {"reset.W_h": "weight_hh:1", "reset.b": "bias_ih:1 bias_hh:1"},
        fixed={"weight_ih:1": "identity"},  # the paper has x, not W x
        square=True,
    ),
    "mut3": Row("MUT3Cell", layers("update reset candidate")),
    "nas": Row(
        "NASCell",
        layers("leaf_0 leaf_1 leaf_2")
        | {"leaf_3_h.W_h": "weight_hh:3", "leaf_3_h.b": "bias_ih:3 bias_hh:3"}
        | {key: place for k in range(4, 8) for key, place in layer(f"leaf_{k}", k, k).items()},
        two_states,
        fixed={"weight_ih:3": 0.0},
        one="leaf_3_x.W_x",  # TensorFlow's fourth leaf multiplies by W x; torchrecurrent adds it
    ),
    "original_lstm": Row("OriginalLSTMCell", layers("input candidate output"), two_states),
    "peephole_lstm": Row("PeepholeLSTMCell", layers(IFCO) | vectors(IFO, "peephole", "weight_ph"), two_states),
    "ran": Row(
        "RANCell",
        layers("input forget")
        | {f"{name}.W_x": f"weight_ih:{k}" for k, name in enumerate(("content", "input", "forget"))},
        two_states,
    ),
    "residual_lstm": Row(
        "ResLSTMCell",
        layers(IFCO)
        | vectors(IFO, "peephole", "weight_ph")
        | {"projection.W": "weight_proj:0", "shortcut.W_x": "weight_res:0"},
        two_states,
    ),
    "scrn": Row(
        "SCRNCell",
        {"context.W_x": "weight_ih:0", "hidden.W_x": "weight_ih:1", "hidden.W_h": "weight_hh:0"}
        | {"hidden.W_s": "weight_ch:0", "hidden.b": "bias_ih:1 bias_hh:0 bias_ch:0"}
        | {"output.W_h": "weight_hh:1", "output.W_s": "weight_ch:1", "output.b": "bias_hh:1 bias_ch:1"},
        before_the_activation,
        fixed={"bias_ih:0": 0.0, "alpha": 0.95},  # the paper's context has no bias
        steps=1,
    ),
    "sgrn": Row("SGRNCell", layer("input", 0) | layer("recurrent", h=0)),
    "sgu": Row(
        "SGUCell",
        layer("input", 0) | layer("modulation", h=0) | layer("update", 1, 1),
        options={"gate_nonlinearity": HardSigmoid()},
    ),
    "star": Row("STARCell", layer("input", 0) | layer("gate", 1, 0)),
    "t_rnn": Row("TRNNCell", layer("candidate", 0) | layer("forget", 1)),
    "t_gru": Row("TGRUCell", layers("candidate forget output", "before"), two_states),
    "t_lstm": Row("TLSTMCell", layers("candidate forget output", "before"), output_apart),
    "tau_gru": Row("tauGRUCell", layers("candidate delayed update feedback"), with_history),
    "ugrnn": Row("UGRNNCell", layers("candidate update")),
    "unicornn": Row(
        "UnICORNNCell",
        {"force.W_x": "weight_ih:0", "force.b": "bias_ih:0 bias_hh:0", "w": "weight_hh:0", "c": "weight_ch:0"},
        two_states,
        {"dt": 0.1, "alpha": 1.0, "recurrent_bias": True},
    ),
    "wmc_lstm": Row(
        "WMCLSTMCell",
        layers(IFCO)
        | {"input_memory.W_c": "weight_mh:0", "forget_memory.W_c": "weight_mh:1", "output_memory.W": "weight_mh:2"},
        two_states,
        fixed={f"bias_mh:{block}": 0.0 for block in range(3)},  # the paper's tanh(W c) has no bias
    ),
}
ROWS["dsgu"] = replace(ROWS["sgu"], kind="DSGUCell", places=ROWS["sgu"].places | {"output.W_h": "weight_ho:0"})


# ---- reading the table


def at(arrays, place):
    """Return the part of an array at a place, a view [n, H], [H] or ()."""
    name, _, block = place.partition(":")
    if not block:
        return arrays[name].reshape(())
    return arrays[name][int(block) * HIDDEN : (int(block) + 1) * HIDDEN].T


def as_params(row, arrays):
    params = {name: sum(at(arrays, place) for place in places.split()) for name, places in row.places.items()}
    if row.one:
        params[row.one] = np.zeros((INPUT, HIDDEN))
        params[row.one][-1] = 1
    return params


@dataclass(frozen=True)
class Peer:
    """What torchrecurrent was given and what came out, by name; y is one of the results, x one of the gradients."""

    arrays: dict
    x: np.ndarray
    state: dict
    results: dict
    cotangents: dict
    gradients: dict


def random_module(row, rng):
    """Return a cell whose parameters are all random and not near zero, but for those that the row fixes."""
    width = HIDDEN if row.square else INPUT
    module = getattr(peer, row.kind)(width, HIDDEN, **row.options).double()
    arrays = {name: value.detach().numpy() for name, value in module.named_parameters()}
    for array in arrays.values():
        size = 1.5 / np.sqrt(array.shape[1]) if array.ndim == 2 else 1.0
        array[...] = size * rng.uniform(0.1, 1, array.shape) * rng.choice([-1, 1], array.shape)
    for place, value in row.fixed.items():
        at(arrays, place)[...] = np.eye(HIDDEN) if value == "identity" else value
    return module, arrays


@cache
def expected(name):
    """Run torchrecurrent's cell from random states, and back from random cotangents."""
    row, cell, rng = ROWS[name], lg.cells.catalogue[name], np.random.default_rng(len(name))
    module, arrays = random_module(row, rng)
    x = rng.standard_normal((row.steps, BATCH, HIDDEN if row.square else INPUT))
    if row.one:
        x[..., -1] = 1
    widths = {state: x.shape[-1] if state == "x_delayed" else HIDDEN for state in cell.states}
    state = {state: rng.standard_normal((BATCH, width)) for state, width in widths.items()}
    leaf = torch.tensor(x, requires_grad=True)
    starts = {key: torch.tensor(value, requires_grad=True) for key, value in state.items()}
    now, ys = tuple(starts.values()), []
    for t in range(row.steps):
        y, now = row.step(module, leaf[t], *now)
        ys.append(y)
    results = {"y": torch.stack(ys)} | {key: value for key, value in zip(starts, now, strict=True) if value is not None}
    cotangents = {key: rng.standard_normal(value.shape) for key, value in results.items()}
    leaves = {"x": leaf, **starts, **dict(module.named_parameters())}
    given = [torch.tensor(value) for value in cotangents.values()]
    gradients = torch.autograd.grad(list(results.values()), list(leaves.values()), given)
    results = {key: value.detach().numpy() for key, value in results.items()}
    gradients = {key: value.numpy() for key, value in zip(leaves, gradients, strict=True)}
    return Peer(arrays, x, state, results, cotangents, gradients)


def distance(got, want):
    """Return the greatest difference, relative to the greatest number; below 0.01 it counts as 0.01."""
    assert got.shape == want.shape
    return np.abs(got - want).max() / max(np.abs(want).max(), 0.01)


def forward_distance(name, params):
    """Return how far outputs and final states are from torchrecurrent's."""
    want = expected(name)
    y, final = lg.interpret(lg.cells.catalogue[name], params, want.x, want.state)
    got = {**final, "y": y}
    return max(distance(got[key], value) for key, value in want.results.items())


# ---- the claims


def test_every_cell_of_torchrecurrent_is_compared():
    assert {row.kind for row in ROWS.values()} == {name for name in peer.__all__ if name.endswith("Cell")}


@pytest.mark.parametrize("name", ROWS)
def test_every_parameter_has_one_place(name):
    row = ROWS[name]
    _, arrays = random_module(row, np.random.default_rng(0))
    times = {key: np.zeros(array.shape) for key, array in arrays.items()}
    for place in [*" ".join(row.places.values()).split(), *row.fixed]:
        view = at(times, place)
        view += 1
    for key, count in times.items():
        assert (count == 1).all(), key
    assert {*row.places, row.one} - {""} == set(lg.cells.catalogue[name].parameters)


@pytest.mark.parametrize("way, name", [("numpy", name) for name in ROWS] + [("compiled", name) for name in COMPILED])
def test_a_cell_equals_torchrecurrents(way, name, run_as):
    run_as(way)
    row, want, cell = ROWS[name], expected(name), lg.cells.catalogue[name]
    params = as_params(row, want.arrays)
    assert forward_distance(name, params) < TOLERANCE
    program = lg.compile(cell, dtype="float64", input_size=want.x.shape[-1], hidden_size=HIDDEN)
    y, final, pullback = program.vjp(params, want.x, state=want.state)
    results = {**final, "y": y}
    for key, value in want.results.items():
        assert distance(results[key], value) < TOLERANCE, key
    dstate = {key: value for key, value in want.cotangents.items() if key != "y"}
    grads = pullback(want.cotangents["y"], dstate=dstate)
    inputs = slice(-1) if row.one else slice(None)  # the last feature is read by what is ours alone
    assert distance(grads.x[..., inputs], want.gradients["x"][..., inputs]) < TOLERANCE
    for key in cell.states:
        assert distance(grads.state[key], want.gradients[key]) < TOLERANCE, key
    for key, places in row.places.items():
        for place in places.split():  # each of the biases that add up has our bias's gradient
            assert distance(grads.params[key], at(want.gradients, place)) < TOLERANCE, (key, place)


def wrong_mappings(row, arrays):
    """Yield the table's mistakes: any two parameters of one shape exchanged, any part of a sum left out."""
    right = as_params(row, arrays)
    for first, second in combinations(row.places, 2):
        if right[first].shape == right[second].shape:
            yield f"{first} <-> {second}", right | {first: right[second], second: right[first]}
    for name, places in row.places.items():
        for place in places.split():
            yield f"{name} without {place}", right | {name: right[name] - at(arrays, place)}


@pytest.mark.parametrize("name", ROWS)
def test_a_wrong_mapping_is_seen(name):
    for mistake, params in wrong_mappings(ROWS[name], expected(name).arrays):
        assert forward_distance(name, params) > 0.01, mistake
