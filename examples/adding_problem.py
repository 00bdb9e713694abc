"""A task that needs memory: add the two marked numbers of a sequence (Hochreiter & Schmidhuber 1997, section 5.4).

The answer counts at the last of 200 steps alone. Two LSTMs of the same equations learn it, or do not: they differ only
in where the biases of two gates start.
"""

import numpy as np

import lstmgraph as lg

T = 200


def sequences(rows, seed):
    """Return numbers and marks [T, rows, 2], and one target a sequence, [rows, 1]."""
    rng = np.random.default_rng(seed)
    x = np.zeros((T, rows, 2))
    x[:, :, 0] = rng.random((T, rows))
    first, second = rng.integers(0, T // 2, rows), rng.integers(T // 2, T, rows)
    x[first, np.arange(rows), 1] = x[second, np.arange(rows), 1] = 1
    return x, (x[:, :, 0] * x[:, :, 1]).sum(0)[:, None]


@lg.network
def adder(x):
    """An LSTM and a linear head."""
    return lg.linear(lg.recur(lg.cells.lstm, x, size=64, name="lstm"), size=1, name="head")


def chrono(model, rng):
    """Let the units start with memories of 1 to T steps (Tallec & Ollivier 2018, "chrono initialization")."""
    forget = model.params["lstm.forget.b"]  # parameters are NumPy arrays: views of what training changes
    forget[:] = np.log(rng.uniform(1, T - 1, len(forget)))
    model.params["lstm.input.b"][:] = -forget


def main(steps=1000, seed=0):
    """Train both, and print their errors on new sequences."""
    x, target = sequences(6400, seed)
    new, answer = sequences(1000, seed + 1000)
    print(f"T = {T}; always guessing 1 has a mean squared error of {np.square(1 - answer).mean():.4f}")
    for start in ("usual", "chrono"):
        model = lg.Model(adder, "mean_squared_error", lg.Adam(0.01, clip_norm=1.0), seed=seed, input_size=2)
        if start == "chrono":
            chrono(model, np.random.default_rng(seed))
        # a target without steps counts at the last step of its sequence
        model.fit(x, target, steps=steps, batch_size=64, schedule="cosine")
        error = np.square(model.predict(new)[-1] - answer).mean()
        print(f"an LSTM with the {start} start, after {model.steps} steps: {error:.4f}")


if __name__ == "__main__":
    main()
