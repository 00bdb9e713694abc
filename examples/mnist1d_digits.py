"""Classify whole sequences: the ten digits of MNIST-1D, 40 steps of one number each (Greydanus & Kobak 2024).

Needs the package mnist1d (``pip install ".[examples]"``), which makes the data from its seed: 4000 sequences to
train on and 1000 to test. Its authors report 32 % for logistic regression, 68 % for a perceptron with hidden layers,
91 % for a GRU, 94 % for a convolutional network and 96 % for a person.
"""

import numpy as np
from mnist1d.data import get_dataset_args, make_dataset

import lstmgraph as lg


@lg.network
def regression(x):
    """Logistic regression: no recurrence; a sequence is one step of 40 features."""
    return lg.linear(x, size=10, name="head")


@lg.network
def classifier(x):
    """Two layers of GRUs in both directions, so that each step has seen the whole sequence, and a linear head."""
    for layer in ("lower", "upper"):
        ahead = lg.recur(lg.cells.gru, x, size=64, name=f"{layer}_ahead")
        back = lg.recur(lg.cells.gru, x, size=64, name=f"{layer}_back", reverse=True)
        x = lg.concat(ahead, back)
    return lg.linear(x, size=10, name="head")


def main(epochs=15, seed=0, rows=4000):
    """Train both on the first `rows` sequences, and print how much of the test set they know."""
    data = make_dataset(get_dataset_args())
    x, y, new, answer = data["x"][:rows], data["y"][:rows], data["x_test"], data["y_test"]

    floor = lg.Model(regression, optimizer=lg.Adam(0.01), seed=seed)
    floor.fit(x[None], y[None], epochs=20 * epochs, batch_size=400)  # T = 1
    print(f"logistic regression: {(floor.predict(new[None])[0].argmax(-1) == answer).mean():.1%} of the test set")

    # the label stands at every step; the answer is the mean over them. The rate and the number of epochs were chosen
    # with the last 800 training sequences held out; the test set is looked at here alone
    model = lg.Model(classifier, optimizer=lg.Adam(0.01, clip_norm=1.0), seed=seed)
    sequences, labels = x.T[..., None], np.tile(y, (40, 1))  # [T, B, 1] and [T, B]
    model.fit(sequences, labels, epochs=epochs, batch_size=100, schedule="cosine")
    found = model.predict(new.T[..., None]).mean(0).argmax(-1)
    print(f"two layers of GRUs in both directions, after {model.steps} steps: {(found == answer).mean():.1%}")


if __name__ == "__main__":
    main()
