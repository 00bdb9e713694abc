"""Copying memory: say ten symbols again after a hundred blank steps (Hochreiter & Schmidhuber 1997).

The task in the form of Arjovsky, Shah & Bengio 2016, section 4.1. Who remembers nothing can say the blanks and guess
the rest, which costs 10 ln 8 / (T + 20) a step: the floor that an LSTM does not leave for a long time. A shuffling
recurrent network (Rotman & Wolf 2021) moves its whole state one unit on at each step; nothing fades, so it learns soon.
"""

import math

import numpy as np

import lstmgraph as lg

T, SYMBOLS = 100, 8
BLANK, GO = 0, SYMBOLS + 1  # the symbols are 1 to 8


def sequences(rows, seed):
    """Return what is heard and what is to be said, both integers [T + 20, rows]."""
    symbols = np.random.default_rng(seed).integers(1, SYMBOLS + 1, (10, rows))
    heard, said = np.full((2, T + 20, rows), BLANK)
    heard[:10], heard[T + 9], said[-10:] = symbols, GO, symbols
    return heard, said


def copier(cell):
    """Return a network of 128 units of a cell and a linear head."""

    @lg.network
    def network(tokens):
        y = lg.recur(cell, lg.one_hot(tokens, GO + 1), size=128, name="memory")
        return lg.linear(y, size=SYMBOLS + 1, name="head")

    return network


def main(steps=300, seed=0):
    """Train both cells, and print how they do on new sequences."""
    heard, said = sequences(12800, seed)
    new, answer = sequences(500, seed + 1000)
    blank, guessed = T + 10, 10 / SYMBOLS
    floor = f"cross entropy {10 * math.log(SYMBOLS) / (T + 20):.4f}, {(blank + guessed) / (T + 20):.1%} said right"
    print(f"without a memory, T = {T}: {floor}")
    for name in ("lstm", "shuffling_rnn"):
        model = lg.Model(copier(lg.cells.catalogue[name]), "cross_entropy", lg.Adam(3e-3, clip_norm=1.0), seed=seed)
        model.fit(heard, said, steps=steps, batch_size=64)
        found = model.evaluate(new, answer)
        right = f"cross entropy {found['loss']:.4f}, {found['accuracy']:.1%} said right"
        print(f"{name} after {model.steps} steps: {right}")


if __name__ == "__main__":
    main()
