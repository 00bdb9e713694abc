"""A loss of one's own: a function of symbols, compiled and differentiated with the network."""

import numpy as np

import lstmgraph as lg


@lg.network
def forecaster(x):
    """The next value of a series from those before."""
    return lg.linear(lg.recur(lg.cells.gru, x, size=16, name="gru"), size=1, name="head")


def huber(prediction, target):
    """Quadratic for small errors, linear for great ones (Huber 1964)."""
    error = lg.abs(prediction - target)
    return lg.row_sum(lg.select(error < 0.1, 0.5 * error * error, 0.1 * error - 0.005))


time = np.arange(400)[:, None] * 0.1 + np.arange(8)
series = np.sin(time) + 0.5 * np.sin(2.3 * time)
series[::50] += 5  # outliers, which a squared error would chase
x, y = series[:-1, :, None], series[1:, :, None]

model = lg.Model(forecaster, huber, lg.Adam(0.01))
history = model.fit(x, y, epochs=30, window=50)
print(f"loss {history[0].loss:.4f} before, {history[-1].loss:.4f} after")
