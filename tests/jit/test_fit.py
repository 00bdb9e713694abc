"""A recording serves batches of other lengths: what depends on them is fitted, and results are those of a new one."""

from itertools import pairwise

import numpy as np
import pytest

import lstmgraph as lg
from lstmgraph.jit import executor as executors
from lstmgraph.jit.executor import Executor
from lstmgraph.jit.rows import ROOMS, Rows, full_rows

T, B = 23, 9
CELLS = {"lstm": lg.cells.lstm, "sums in the loop": lg.cells.layer_norm_lstm}


@lg.network
def tagger(tokens):
    x = lg.embedding(tokens, entries=11, size=4, name="words")
    back = lg.recur(lg.cells.gru, x, size=5, reverse=True, name="back")
    return lg.linear(lg.concat(lg.recur(lg.cells.lstm, x, size=5, name="on"), back), size=3, name="head")


def lengths_of(rng, count):
    """Return lengths with so many valid rows in all, some of them 0."""
    lengths = np.zeros(B, int)
    while lengths.sum() < count:
        lengths[rng.choice(np.flatnonzero(lengths[1:] < T) + 1)] += 1
    return lengths


def results_of(program, params, x, dy, lengths):
    y, state, found = program.value_and_gradients(params, x, dy, lengths=lengths)
    z, end, pullback = program.vjp(params, x, lengths=lengths)
    again = pullback(dy)
    return [y, z, *state.values(), *end.values(), *found.params.values(), *again.params.values()]


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("name", [*CELLS, "tagger"])
def test_other_lengths_share_a_recording_bit_for_bit(name, threads, monkeypatch):
    monkeypatch.setattr(executors, "SLICE_WORK", 2000)
    rng = np.random.default_rng(3)
    if name == "tagger":
        made, sizes, x = tagger, {}, rng.integers(0, 11, (T, B))
    else:
        made, sizes, x = CELLS[name], {"input_size": 4, "hidden_size": 5}, rng.standard_normal((T, B, 4)).astype("f4")
    program = lg.compile(made, **sizes, threads=threads)
    params = {key: rng.standard_normal(value.shape).astype("f4") for key, value in program.init().items()}
    dy = rng.standard_normal(program(params, x)[0].shape).astype("f4")
    main, whole = program.engine.main, program.engine.whole
    for line in (main, whole):
        line._tapes.clear()
    for count in (97, 100, 103, 98):
        lengths = lengths_of(rng, count)
        fresh = lg.compile(made, **sizes, threads=threads)
        both = [results_of(each, params, x, dy, lengths) for each in (program, fresh)]
        assert all(np.array_equal(one, other) for one, other in zip(*both, strict=True))
    assert len(main._tapes) == 2 and len(whole._tapes) == 1  # forward, backward; both in one


def test_what_lies_beyond_the_rows_is_never_read(monkeypatch):
    monkeypatch.setattr(Executor, "take", lambda self, count: np.full(count, np.nan, self.dtype))
    rng = np.random.default_rng(5)
    program = lg.compile(lg.cells.lstm, input_size=4, hidden_size=5)
    params = program.init()
    x, dy = rng.standard_normal((T, B, 4)).astype("f4"), rng.standard_normal((T, B, 5)).astype("f4")
    for count in (104, 97, 100):
        found = results_of(program, params, x, dy, lengths_of(rng, count))
        assert all(np.isfinite(value).all() for value in found)


def test_room_grows_with_the_rows_and_is_never_much_more():
    rows = [Rows(64, 40, lengths) for lengths in np.sort(np.random.default_rng(0).integers(0, 65, (300, 40)), axis=1)]
    rooms = sorted((each.count, each.extent.room) for each in rows)
    assert all(count <= room <= max(count * (1 + 1 / ROOMS), count) for count, room in rooms)
    assert all(one[1] <= other[1] for one, other in pairwise(rooms))
    assert len({room for _, room in rooms}) < 8
    assert full_rows(7, 3).extent.room == 21 and Rows(7, 3, np.zeros(3, np.int64)).extent.room == 0
