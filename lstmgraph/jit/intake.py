"""Takes the arrays of a step in: one call from Python looks at them, copies them and plays what computes with them.

It takes a third of the time that the same takes in Python.
"""

from collections.abc import Callable, Sequence
from functools import partial
from itertools import accumulate
from typing import Any

import numpy as np

from lstmgraph.jit.arena import address
from lstmgraph.jit.executor import Executor
from lstmgraph.jit.player import SHARED, Segment, write_segment

Array = np.ndarray[Any, Any]
Intake = Callable[..., object]  # of arrays; true if they were those that were expected
NOTHING = write_segment([], 0), np.zeros(SHARED, np.int64)

COPIES = '''
from lstmgraph.jit.native import ADDRESS, DIMENSIONS, ITEM, LETTER, SHAPE, STRIDES, copy, words

def differs(a, wanted):
    """Say whether an array is not as wanted: of such a format, so many dimensions, this shape."""
    if a[LETTER] != wanted[1] or a[DIMENSIONS] != wanted[2]:
        return True
    shape = words(a[SHAPE])
    for axis in range(a[DIMENSIONS]):
        if shape[axis] != wanted[3 + axis]:
            return True
    return False

def copy_1(target, a):
    """Copy an array [B]."""
    size = a[ITEM]
    for b in range(words(a[SHAPE])[0]):
        copy(target + b * size, a[ADDRESS] + b * words(a[STRIDES])[0], size)

def copy_2(target, a):
    """Copy an array [B, n], whole rows if their elements lie side by side."""
    shape, strides, size = words(a[SHAPE]), words(a[STRIDES]), a[ITEM]
    for b in range(shape[0]):
        row, start = target + b * shape[1] * size, a[ADDRESS] + b * strides[0]
        if strides[1] == size:
            copy(row, start, shape[1] * size)
        else:
            for i in range(shape[1]):
                copy(row + i * size, start + i * strides[1], size)
'''


def intake_source(ranks: Sequence[int]) -> str:
    """Return the source of what takes in arrays of so many dimensions, and then plays a segment over a memory.

    Of each array `places` holds the address to which it goes, and the format, dimensions and shape that it must have.
    """
    starts = accumulate((3 + rank for rank in ranks), initial=0)
    arrays = [(f"a{number}", 8 * start, rank) for number, (start, rank) in enumerate(zip(starts, ranks, strict=False))]
    lines = [
        f"def take(places, table, record, {', '.join([a for a, _, _ in arrays])}):",
        "    wanted = places[ADDRESS]",
        *[f"    if differs({a}, words(wanted + {at})):\n        return 0" for a, at, _ in arrays],
        *[f"    copy_{rank}(words(wanted + {at})[0], {a})" for a, at, rank in arrays],
        "    play_alone(table[ADDRESS], record[ADDRESS])",
        "    return 1",
    ]
    return COPIES + "\n" + "\n".join(lines) + "\n"


def intake(executor: Executor, owns: Sequence[Array], segment: Segment, memory: Array) -> Intake:
    """Return what copies arrays into our own, if they are of their types and shapes, and then plays a segment.

    A TypeError is raised for what has no buffer. Plain Python plays nothing.
    """
    if not executor.compiled:
        return partial(_take, owns)
    source, takes = intake_source([own.ndim for own in owns]), " ".join(["array"] * (3 + len(owns)))
    take = executor.function_with_player(source, "take", "the intake of a step", takes)
    wanted = [(address(own), ord(own.dtype.char), own.ndim, *own.shape) for own in owns]
    places = np.array([word for words in wanted for word in words], np.int64)
    return partial(take, places, memory, segment.words)


def _take(owns: Sequence[Array], *arrays: Any) -> bool:
    for own, array in zip(owns, arrays, strict=True):
        if type(array) is not np.ndarray or array.dtype != own.dtype or array.shape != own.shape:
            return False
    for own, array in zip(owns, arrays, strict=True):
        own[...] = array
    return True
