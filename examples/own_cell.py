"""A cell of one's own: written, run, differentiated, drawn."""

import tempfile
from pathlib import Path

import numpy as np

import lstmgraph as lg


@lg.cell
def coupled_lstm(x, h, c):
    """An LSTM that forgets exactly as much as it takes in (Greff et al. 2017, the CIFG variant)."""
    forget = lg.sigmoid_layer(h, x, name="forget")
    c = forget * c + (1 - forget) * lg.tanh_layer(h, x, name="candidate")
    return lg.gate(lg.tanh(c), h, x, name="output"), c


program = lg.compile(coupled_lstm, input_size=3, hidden_size=16)
params = program.init(seed=0)
x = np.random.default_rng(0).standard_normal((50, 4, 3))  # T, B, I

y, state = program(params, x)
print("output", y.shape, "states", {name: value.shape for name, value in state.items()})

# the NumPy meaning of the same graph says the same
expected, _ = lg.interpret(coupled_lstm, params, x)
print("greatest difference from NumPy", float(np.abs(y - expected).max()))

y, state, pullback = program.vjp(params, x)
gradients = pullback(np.ones_like(y))
print("gradients", {name: value.shape for name, value in gradients.params.items()})

picture = Path(tempfile.mkdtemp()) / "coupled_lstm.svg"
lg.draw(coupled_lstm).save(picture)
print("picture", picture)
