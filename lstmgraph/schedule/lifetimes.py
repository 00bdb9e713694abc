"""lifetimes: the buffers of one call in one block of memory. Law: two that live at one time never overlap."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Life:
    """One buffer: the first and the last step that touch it, and its size."""

    first: int
    last: int
    size: int


def place(lives: Sequence[Life]) -> tuple[list[int], int]:
    """Return where each buffer begins, and the size of the block.

    The largest are placed first, each in the lowest gap between those that live at the same time.

    Examples
    --------
    >>> place([Life(0, 1, 64), Life(1, 2, 64), Life(2, 3, 64)])
    ([0, 64, 0], 128)
    """
    offsets = [0] * len(lives)
    placed: list[int] = []
    end = 0
    for number in sorted(range(len(lives)), key=lambda n: (-lives[n].size, lives[n].first, n)):
        life, offset = lives[number], 0
        meeting = [n for n in placed if lives[n].first <= life.last and life.first <= lives[n].last]
        for other in sorted(meeting, key=lambda n: offsets[n]):
            if offset + life.size <= offsets[other]:
                break
            offset = max(offset, offsets[other] + lives[other].size)
        offsets[number] = offset
        placed.append(number)
        end = max(end, offset + life.size)
    return offsets, end
