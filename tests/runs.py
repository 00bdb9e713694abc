"""Small programs of the cells in `cells_for_tests`, what they are fed, and what each of their rows computes alone."""

from functools import cache
from itertools import pairwise

import numpy as np
import pytest
from cells_for_tests import CASES, MASKED, THOROUGH

import lstmgraph as lg
from lstmgraph.border import symbols_of
from lstmgraph.graph import is_row
from lstmgraph.testing import by_leaf, by_name, random_feeds

COMPILED = ("lstm", "gru_reset_before")  # in tests that run machine code of some cells; the slow tests take them all
DTYPES = ("float32", "float64")
PLACE = {name: place for place, name in enumerate(CASES)}
IN_BOTH = "lstm gru_reset_before tokens phased_lstm eunn layer_norm_rnn kinked tied row_numbers".split()  # all ops
# many levels, and compiled for a long time, of ops that others have too: slow tests make their machine code
HEAVY = """hyper_lstm attention_lstm layer_norm_basic_lstm layer_norm_joint_lstm layer_norm_gru time_frequency_lstm ltc
fast_slow_lstm""".split()


def is_compiled(name, dtype):
    """Whether a cell's machine code is tested without slow tests: that of every sixth one, of neighbours alike."""
    return name not in HEAVY and (PLACE[name] % 6 == 3 * DTYPES.index(dtype) or name in IN_BOTH)


def form_of(name, dtype):
    """Return the form of a cell's feeds: in one dtype with resets on the way, in the other without."""
    return "reset" if (PLACE[name] // 2 + DTYPES.index(dtype)) % 2 else "lengths"


def in_turn(number):
    """Return the names of cells for one of two tests that are alike: each cell of the catalogue is in one of them."""
    return [name for name in CASES if name in THOROUGH or PLACE[name] % 2 == number] + list(MASKED)


def slow_unless(wanted):
    return () if wanted else pytest.mark.slow


def each_way(in_numpy):
    """Return the parameters ``way, name``: cells in NumPy and some of them compiled; all, if slow tests run."""
    names = {"numpy": in_numpy, "compiled": COMPILED}
    return [
        pytest.param(way, name, id=f"{way}-{name}", marks=slow_unless(name in names[way]))
        for way in names
        for name in {**CASES, **MASKED}
    ]


@cache
def program_of(name, way, dtype="float64", threads=1):
    """Return a small program of a cell: odd sizes, more than one register of them where it is compiled."""
    case = {**CASES, **MASKED}[name]
    bound = case.bound(5 if way == "numpy" else 37, 3 if way == "numpy" else 11)
    words = {"hidden_size": "H", "input_size": "I"}
    known = symbols_of(case.cell)
    sizes = {word: size for word, size in bound.items() if words.get(word, word) in known}
    return lg.compile(case.cell, dtype=dtype, threads=threads, **sizes)


def feeds_of(program, steps, batch, seed, form="plain"):
    """Return random feeds, with masks where a cell has them; NaN stands in all padding."""
    feeds = random_feeds(program, steps, batch, seed, form)
    for name, mask in program.masks(steps, batch, seed=seed).items():
        feeds.x[name] = mask.copy()
        if feeds.lengths is not None and per_row(program, name):
            feeds.x[name][np.arange(steps)[:, None] >= feeds.lengths] = np.nan
    return feeds


def per_row(program, name):
    """Whether an input is a sequence; a mask of weights is none."""
    return name not in program.traced.masks or is_row(program.traced.masks[name].shape)


def equal(first, second):
    """Whether two dictionaries of arrays are equal bit for bit; NaN, of the logarithm of a negative time, is NaN."""
    return first.keys() == second.keys() and all(
        np.array_equal(first[key], second[key], equal_nan=True) for key in first
    )


def alone(program, feeds, together):
    """Return what `results` must be, from each row and each piece between resets run by itself, unpadded."""
    found = {key: np.zeros_like(value) for key, value in together.items()}
    for b, length in enumerate(feeds.lengths):
        row, edges = slice(b, b + 1), [0, *(t for t in range(1, length) if feeds.reset[t, b]), int(length)]
        state = {name: value[row] for name, value in feeds.state.items()}
        for piece, (begin, end) in enumerate(pairwise(edges)):
            fresh = piece > 0 or bool(length > 0 and feeds.reset[0, b])
            x = {name: value[begin:end, row] if per_row(program, name) else value for name, value in feeds.x.items()}
            y, state, pullback = program.vjp(feeds.params, x, state=None if fresh else state)
            for name, value in by_name(program, y).items():
                found[f"output:{name}"][begin:end, row] = value
            last = {name: value[row] for name, value in feeds.dstate.items()} if end == length else None
            gradients = pullback({name: value[begin:end, row] for name, value in feeds.dy.items()}, last)
            for leaf, value in by_leaf(program, gradients).items():
                if leaf.startswith("input:"):
                    found[f"d {leaf}"][begin:end, row] = value
                elif leaf.startswith("parameter:"):
                    found[f"d {leaf}"] += value
                elif not fresh:
                    found[f"d {leaf}"][row] = value
        for name, value in state.items():
            found[f"final:{name}"][row] = value
    return found
