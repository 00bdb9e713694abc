"""Windows, batches, limits and schedules."""

from itertools import chain

import numpy as np
import pytest

import lstmgraph as lg
from lstmgraph.train.budget import SCHEDULES, Budget, as_schedule
from lstmgraph.train.feed import Feed, Place


def feed(**options):
    x = np.arange(7 * 5).reshape(7, 5)
    return Feed({"x": x, "target": x + 1}, **options)


def walk(data, epochs=1):
    place, items = Place(data="d"), []
    for _ in range(data.items * epochs):
        items.append(data.item(place))
        place = data.after(place, {"h": np.full(2, len(items))})
    return items, place


def test_windows_cover_the_time_in_order():
    items, place = walk(feed(window=3))
    assert [item.inputs["x"].shape for item in items] == [(3, 5), (3, 5), (1, 5)]
    assert np.array_equal(np.concatenate([item.inputs["x"] for item in items]), feed().arrays["x"])
    assert [item.rows for item in items] == [15, 15, 5] and [item.first for item in items] == [
        True,
        False,
        False,
    ]
    assert (place.epoch, place.index, place.state, place.data) == (1, 0, {}, "d")


def test_states_are_carried_within_a_sequence_only():
    data, place, carried = feed(window=3, batch_size=2), Place(), []
    for step in range(6):
        place = data.after(place, {"h": np.array([step])})
        carried.append([int(v[0]) for v in place.state.values()])
    assert carried == [[0], [1], [], [3], [4], []]


def test_batches_hold_every_sequence_once_in_an_order_of_seed_and_epoch():
    columns = [[item.inputs["x"][0].tolist() for item in walk(feed(batch_size=2, seed=s), 2)[0]] for s in (0, 0, 1)]
    first, second = columns[0][:3], columns[0][3:]
    assert sorted(chain(*first)) == sorted(chain(*second)) == [0, 1, 2, 3, 4] and first != second
    assert columns[0] == columns[1] and columns[0] != columns[2]


def test_lengths_are_cut_to_windows_and_follow_their_rows():
    lengths = np.array([7, 0, 3, 4, 1])
    items, _ = walk(feed(window=3, lengths=lengths))
    assert [item.lengths.tolist() for item in items] == [[3, 0, 3, 3, 1], [3, 0, 0, 1, 0], [1, 0, 0, 0, 0]]
    assert [item.rows for item in items] == [10, 4, 1]
    for item in walk(feed(batch_size=2, lengths=lengths))[0]:
        assert item.lengths.tolist() == lengths[item.inputs["x"][0]].tolist()


def test_the_fingerprint_knows_data_and_cut():
    one = feed(window=3).fingerprint
    other = Feed({"x": feed().arrays["x"], "target": feed().arrays["x"]}, window=3).fingerprint
    assert len({one, other, feed(window=2).fingerprint, feed(window=3, lengths=np.full(5, 7)).fingerprint}) == 4
    assert one == feed(window=3).fingerprint


@pytest.mark.parametrize(
    ("options", "expected"), [({"window": 0}, "window: got 0"), ({"batch_size": 1.5}, "batch_size")]
)
def test_sizes_that_make_no_sense_are_errors(options, expected):
    with pytest.raises(lg.DataError, match=expected):
        feed(**options)
    with pytest.raises(lg.DataError, match="nothing valid"):
        feed(lengths=np.zeros(5, int))


def test_schedules_run_from_1_to_0_or_stay():
    for name, middle in (("constant", 1.0), ("linear", 0.5), ("cosine", 0.5)):
        factor = SCHEDULES[name]
        assert factor(9, 0.0) == 1 and factor(9, 0.5) == pytest.approx(middle)
        assert factor(9, 1.0) == pytest.approx(1.0 if name == "constant" else 0.0)
    assert as_schedule(max) is max
    with pytest.raises(lg.GraphError, match="nearest: cosine"):
        as_schedule("cosin")


def test_the_first_limit_counts_and_the_clock_can_stand():
    budget = Budget(10, 1000.0, taken=5)
    assert budget.progress == 0.5
    assert Budget(0, None).progress == 1 and Budget(None, 0).progress == 1 and Budget(None, None).progress == 0
    with budget.pause():
        before = budget._paused
    assert budget._paused > before
    for wrong in (-1, float("nan"), "x", True):
        with pytest.raises(lg.GraphError, match="steps: got"):
            Budget(wrong, None)
