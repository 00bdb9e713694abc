"""A task that needs memory: add the two marked numbers of a sequence (Hochreiter & Schmidhuber 1997, section 5.4)."""

import numpy as np

import lstmgraph as lg

T, ROWS = 30, 512


def sequences(seed):
    """Return inputs [T, ROWS, 2], numbers and marks, and targets [T, ROWS, 1] that count at the last step."""
    rng = np.random.default_rng(seed)
    x = np.zeros((T, ROWS, 2))
    x[:, :, 0] = rng.random((T, ROWS))
    first, second = rng.integers(0, T // 2, ROWS), rng.integers(T // 2, T, ROWS)
    x[first, np.arange(ROWS), 1] = x[second, np.arange(ROWS), 1] = 1
    total = (x[:, :, 0] * x[:, :, 1]).cumsum(0)  # what has been marked so far
    return x, total[..., None]


@lg.network
def adder(x):
    """An LSTM and a linear head."""
    return lg.linear(lg.recur(lg.cells.lstm, x, size=32, name="lstm"), size=1, name="head")


model = lg.Model(adder, "mean_squared_error", lg.Adam(0.01, clip_norm=1.0))
history = model.fit(*sequences(0), epochs=40, batch_size=64, seconds=5)
x, target = sequences(1)
print(f"loss {history[0].loss:.4f} before, {history[-1].loss:.4f} after {len(history)} steps")
error = np.abs(model.predict(x)[-1] - target[-1]).mean()
print(f"mean error of the sum on new sequences: {error:.3f} (always guessing 1: {np.abs(1 - target[-1]).mean():.3f})")
