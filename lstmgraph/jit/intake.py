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
Intake = Callable[..., bool]  # of arrays; whether they were those that were expected
NOTHING = write_segment([], 0), np.zeros(SHARED, np.int64)

COPIES = '''
from lstmgraph.jit.native import copy

def copy_1(target, a):
    """Copy an array [B]."""
    for b in range(a.shape[0]):
        copy(target + b * a.itemsize, a.ctypes.data + b * a.strides[0], a.itemsize)

def copy_2(target, a):
    """Copy an array [B, n], whole rows if their elements lie side by side."""
    row = a.shape[1] * a.itemsize
    for b in range(a.shape[0]):
        start = a.ctypes.data + b * a.strides[0]
        if a.strides[1] == a.itemsize:
            copy(target + b * row, start, row)
        else:
            for i in range(a.shape[1]):
                copy(target + b * row + i * a.itemsize, start + i * a.strides[1], a.itemsize)
'''


def intake_source(ranks: Sequence[int]) -> str:
    """Return the source of what takes in arrays of so many dimensions, and then plays a segment over a memory.

    Of each array `places` holds the address to which it goes and the shape that it must have.
    """
    starts = accumulate((1 + rank for rank in ranks), initial=0)
    arrays = [(f"a{number}", start, rank) for number, (start, rank) in enumerate(zip(starts, ranks, strict=False))]
    wrong = [f"{a}.shape[{axis}] != places[{start + 1 + axis}]" for a, start, rank in arrays for axis in range(rank)]
    lines = [
        f"def take(places, memory, segment, {', '.join([a for a, _, _ in arrays])}):",
        f"    if {' or '.join(wrong)}:",
        "        return False",
        *[f"    copy_{rank}(places[{start}], {a})" for a, start, rank in arrays],
        "    play_alone(memory.ctypes.data, segment.ctypes.data)",
        "    return True",
    ]
    return COPIES + "\n" + "\n".join(lines) + "\n"


def intake(executor: Executor, owns: Sequence[Array], segment: Segment, memory: Array) -> Intake:
    """Return what copies arrays into our own, if they are of their types and shapes, and then plays a segment.

    A TypeError is raised for what is no array of the type. Plain Python plays nothing.
    """
    if not executor.compiled:
        return partial(_take, owns)
    kinds = [f"Array({own.dtype}, {own.ndim}, 'A', readonly=True)" for own in owns]
    signature = f"boolean(int64[::1], int64[::1], int64[::1], {', '.join(kinds)})"
    take = executor.function_with_player(
        intake_source([own.ndim for own in owns]), "take", "the intake of a step", signature
    )
    places = np.array([word for own in owns for word in (address(own), *own.shape)], np.int64)
    return partial(take, places, memory, segment.words)


def _take(owns: Sequence[Array], *arrays: Any) -> bool:
    for own, array in zip(owns, arrays, strict=True):
        if type(array) is not np.ndarray or array.dtype != own.dtype or array.shape != own.shape:
            return False
    for own, array in zip(owns, arrays, strict=True):
        own[...] = array
    return True
