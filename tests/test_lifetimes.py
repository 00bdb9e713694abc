"""The law of lifetimes: buffers that live at one time never overlap, and memory is used again."""

from itertools import combinations

from hypothesis import given
from hypothesis import strategies as st

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
