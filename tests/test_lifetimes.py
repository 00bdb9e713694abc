"""The laws of lifetimes and of places: buffers that live at one time never overlap, and memory is used again."""

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import lstmgraph as lg
from lstmgraph.jit.tape import Tape
from lstmgraph.schedule.lifetimes import Life, place

lives = st.builds(lambda first, length, size: Life(first, first + length, size), *[st.integers(0, 9)] * 3)


@given(st.lists(lives, max_size=12))
def test_what_lives_at_one_time_never_overlaps(found):
    offsets, end = place(found)
    for (one, a), (other, b) in combinations(zip(found, offsets, strict=True), 2):
        if one.first <= other.last and other.first <= one.last:
            assert a + one.size <= b or b + other.size <= a
    assert all(offset >= 0 and offset + life.size <= end for life, offset in zip(found, offsets, strict=True))


def test_memory_is_used_again():
    assert place([Life(step, step + 1, 8) for step in range(9)])[1] == 16


# ---- in place


@lg.cell
def mixed(x, dt, a, /, h):
    """x is multiplied by a matrix and dt is narrow."""
    y = a * h
    h = lg.tanh(lg.linear(h, x, name="mix") * x * dt)
    return {"y": y, "late": lg.linear(y=y, name="late", size="H") + a, "h": h, "z": 2 * h}


def replaceable(cell, name, **sizes):
    """Return the pairs of a kernel of a plan."""
    program = lg.compile(cell, input_size=6, hidden_size=6, **sizes)
    return next(stage.kernel for stage in program.plan.stages if stage.kernel and stage.kernel.name == name).in_place


def test_only_what_is_read_register_by_register_and_no_later_gives_its_place(in_numpy):
    pairs = replaceable(mixed, "run_mixed", dt=1, a=6)
    assert ("y", "a") in pairs
    assert not {name for _, name in pairs} & {"x", "dt"}
    pairs = replaceable(lg.cells.lstm, "run_d_lstm")
    assert ("d_forget", "saved_forget") in pairs
    assert ("d_output", "saved_input") not in pairs  # it is read after that


@pytest.mark.parametrize("name", ["lstm", "gru", "peephole_lstm", "layer_norm_lstm", "highway", "mut1"])
@pytest.mark.parametrize("lengths", [None, [3, 0, 5, 1]])
def test_gradients_written_in_place_are_the_same(name, lengths, in_numpy, monkeypatch):
    taken = []
    replace = Tape.replace

    def counted(self, key, reader):
        place = replace(self, key, reader)
        taken.append(place is not None)
        return place

    def run():
        program = lg.compile(lg.cells.catalogue[name], input_size=6, hidden_size=6, dtype="float64")
        rng = np.random.default_rng(0)
        params = {key: value + rng.normal(0, 0.3, value.shape) for key, value in program.init(seed=0).items()}
        x, dy = rng.standard_normal((2, 5, 4, 6))
        wrt = ("params", "x", "state")
        y, state, gradients = program.value_and_gradients(params, x, dy, lengths=lengths, wrt=wrt)
        return [y, *state.values(), *gradients.params.values(), gradients.x, *gradients.state.values()]

    monkeypatch.setattr(Tape, "replace", counted)
    found = run()
    assert any(taken)
    monkeypatch.setattr(Tape, "replace", lambda self, key, reader: None)
    for one, other in zip(found, run(), strict=True):
        np.testing.assert_array_equal(one, other)
