"""Every modifier as a call on an LSTM or a GRU, and what it refuses: shared by the tests of modifiers."""

from functools import partial

import numpy as np

import lstmgraph as lg

CELLS = {"lstm": lg.cells.lstm, "gru": lg.cells.gru}
t = lg.transforms

# name -> the modifier, as it changes an LSTM and a GRU
MODIFIERS = {
    "zoneout": partial(t.zoneout, h=0.25),
    "recurrent_dropout": partial(t.recurrent_dropout, rate=0.25),
    "input_dropout": partial(t.input_dropout, rate=0.25, per="step"),
    "drop_connect": partial(t.drop_connect, rate=0.5),
    "layer_norm": t.layer_norm,
    "layer_norm_products": partial(t.layer_norm, each="product"),
    "peephole": lambda cell: t.peephole(cell, state=None if "c" in cell.states else "h"),
    "couple": lambda cell: t.couple(cell, **({"input": "forget"} if "c" in cell.states else {"reset": "update"})),
    "without_gate": lambda cell: t.without_gate(cell, "output" if "c" in cell.states else "reset"),
    "without_activation": lambda cell: t.without_activation(cell, "candidate" if "c" in cell.states else "update"),
    "projection": partial(t.projection, size=3),
    "multiplicative": partial(t.multiplicative, state="h"),
    "residual": t.residual,
    "highway": partial(t.highway, project=True),
    "low_rank": partial(t.low_rank, rank=2),
    "diagonal": t.diagonal,
    "weight_norm": t.weight_norm,
    "clip_states": partial(t.clip_states, low=0.5),
    "clip_gradients": partial(t.clip_gradients, limit=0.5),
    "learned_initial_state": t.learned_initial_state,
    "outputs": lambda cell: t.outputs(cell, *cell.states),
}


def program_of(cell, **sizes):
    """Return a small program in float64; I and H are equal, so that any shortcut fits."""
    return lg.compile(cell, dtype="float64", threads=1, **({"input_size": 4, "hidden_size": 4} | sizes))


def random_call(program, steps=3, batch=2, seed=0):
    """Return random parameters, none of them constant or zero, and an input."""
    rng = np.random.default_rng(seed)
    params = {name: rng.uniform(0.2, 0.9, value.shape) for name, value in program.init(seed=0).items()}
    params = {name: value * rng.choice([-1.0, 1.0], value.shape) for name, value in params.items()}
    return params, rng.standard_normal((steps, batch, 4))


def outputs_of(y):
    """Return outputs by name."""
    return y if isinstance(y, dict) else {"y": y}
