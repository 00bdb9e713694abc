"""Step by step: a bound program keeps its weights packed and takes one time step at a call."""

import numpy as np

import lstmgraph as lg

program = lg.compile(lg.cells.lstm, input_size=4, hidden_size=32)
bound = program.bind(program.init(seed=0))
x = np.random.default_rng(0).standard_normal((100, 1, 4)).astype("float32")

whole, _ = bound(x)
state = None
for t, x_t in enumerate(x):
    y_t, state = bound.step(x_t, state)
    assert np.array_equal(y_t, whole[t])  # the same bits, whether in one call or in a hundred
print("one hundred steps, equal bit for bit to one call")
