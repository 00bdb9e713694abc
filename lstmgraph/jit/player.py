"""Plays runs of kernels: one call from Python for many steps, on one thread or several.

A segment is written down as words: for each step its tasks, for each task its calls. Threads that play a segment share
a progress word, a claim for each task and a count for each step. The leader opens step after step and waits for those
who have begun; a task is whose claim it is, so one that comes late, or never, holds nobody up. Tasks of a step whose
threads wait for each other inside the kernel are begun only if enough threads are there; if not, the leader does what
stands beside them for one thread. A helper that did a task stays awake for a while, away from Python: it is there when
the next segment begins, and does not ask for Python's lock just when the leader needs it to go on with the results. One
that came too late for any goes on at once to what was asked of it since.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from lstmgraph.jit import threads
from lstmgraph.jit.arena import address
from lstmgraph.jit.machine_code import CFunction

Array = np.ndarray[Any, Any]
Player = Callable[..., int]
Function = CFunction | Callable[..., Any]  # machine code, or plain Python
Call = tuple[int, int, int, int, int, int]  # which entry; t0, t1, b0, b1, slot
Tasks = Sequence[Sequence[Call]]  # side by side; the calls of each one after the other
Rounds = Sequence[Tasks]  # one after the other
ALONE, LEADER = -1, 0  # who plays; helpers are 1, 2, ..
PATIENCE = 50_000  # looks at a shared word, about a millisecond, before Python is asked to sleep
LINGER = 8000  # looks at the bell, some 0.2 to 0.4 ms: more than a training step does in Python
HEAD, SHARED = 5, 8  # words before the steps; words that the progress has for itself, a line of the cache
HELPED = 2_000_000  # operations of all that was dealt out, below which one thread does it: another would have to wake


def copy_rows(buffers: Sequence[Array], sizes: Array, *span: int) -> None:
    """Copy all elements."""
    buffers[0][:] = buffers[1]


def clear_rows(buffers: Sequence[Array], sizes: Array, *span: int) -> None:
    """Set all elements to zero."""
    buffers[0][:] = 0


def take_rows(buffers: Sequence[Array], sizes: Array, *span: int) -> None:
    """Copy rows b0 to b1 from their places; zeros where the place is negative."""
    (target, source, places), (_, _, b0, b1, _) = buffers, span
    rows, places = target.reshape(-1, sizes[1])[b0:b1], places[b0:b1]
    rows[:] = 0
    rows[places >= 0] = source.reshape(-1, sizes[1])[places[places >= 0]]


def put_rows(buffers: Sequence[Array], sizes: Array, *span: int) -> None:
    """Copy rows b0 to b1 to their places."""
    (target, source, places), (_, _, b0, b1, _) = buffers, span
    target.reshape(-1, sizes[1])[places[b0:b1]] = source.reshape(-1, sizes[1])[b0:b1]


MOVES: tuple[Function, ...] = (copy_rows, clear_rows, take_rows, put_rows)  # sizes: rows, elements and bytes of a row
TAKES = "array array number number number"  # the arguments of `play`
PLAY = f'''
from lstmgraph.jit.native import ADDRESS, call, claim, clear, copy, count, give_way, pause, peek, publish, words

def perform(memory, place):
    """Do the call whose words lie at a place: move rows, or call a kernel."""
    line = words(place)
    buffers = memory + 8 * line[1]
    if line[0] >= {len(MOVES)}:
        call(line[0], buffers, line[2], line[3], line[4], line[5], line[6], line[7])
        return
    buffer = words(buffers)
    sizes = words(line[2])
    if line[0] == 0:
        copy(buffer[0], buffer[1], sizes[0] * sizes[2])
    elif line[0] == 1:
        clear(buffer[0], sizes[0] * sizes[2])
    else:
        places = words(buffer[2])
        for row in range(line[5], line[6]):
            if line[0] == 3:
                copy(buffer[0] + places[row] * sizes[2], buffer[1] + row * sizes[2], sizes[2])
            elif places[row] < 0:
                clear(buffer[0] + row * sizes[2], sizes[2])
            else:
                copy(buffer[0] + row * sizes[2], buffer[1] + places[row] * sizes[2], sizes[2])

def waits(shared, place, least, patience):
    """Wait until a shared word has grown to a number; say whether patience was lost."""
    for look in range(patience):
        if peek(shared, place) >= least:
            return False
        pause()
    return True

def lacks(shared, arrivals, helpers, wanted, patience):
    """Wait until some helpers have arrived; say whether patience was lost."""
    for look in range(patience):
        here = 0
        for helper in range(helpers):
            here += peek(shared, arrivals + helper)
        if here >= wanted:
            return False
        pause()
    return True

def linger(bell, heard):
    """Stay until the bell rings again, for a while; now and then whoever else wants to run here goes first."""
    looks = 0
    while looks < {LINGER} and peek(bell, 0) == heard:
        pause()
        looks += 1
        if looks % 512 == 0:
            give_way()

def do_task(memory, place, task):
    """Do the calls of a task of the segment at a place, one after the other."""
    segment = words(place)
    spans = {HEAD} + 3 * segment[0]
    calls = place + 8 * (spans + 2 * segment[1])
    for each in range(segment[spans + 2 * task], segment[spans + 2 * task + 1]):
        perform(memory, calls + 64 * each)

def play_alone(memory, place):
    """Run the segment at a place on this thread."""
    segment = words(place)
    for step in range(segment[0]):
        line = {HEAD} + 3 * step
        begin, number, alone = segment[line], segment[line + 1], segment[line + 2]
        if alone >= 0:
            begin, number = alone, 1
        for task in range(begin, begin + number):
            do_task(memory, place, task)

def play(table, record, first, who, patience):
    """Run a segment from its step `first` on; return the step where patience was lost, or the number of steps."""
    memory, place = table[ADDRESS], record[ADDRESS]
    shared, segment = words(memory), words(place)
    steps, tasks, progress, helpers = segment[0], segment[1], segment[2], segment[3]
    bell = words(segment[4])
    arrivals = progress + {SHARED}
    claims = arrivals + helpers
    done = claims + tasks
    if who > {LEADER}:
        publish(shared, arrivals + who - 1, 1)
    elif who == {LEADER} and peek(shared, progress) == 0:
        count(bell, 0)
    heard = -1
    for step in range(first, steps):
        line = {HEAD} + 3 * step
        begin, number, alone = segment[line], segment[line + 1], segment[line + 2]
        if who > {LEADER}:
            if waits(shared, progress, step + 1, patience):
                return step
        elif alone >= 0 and (who == {ALONE} or lacks(shared, arrivals, helpers, number - 1, patience // 10)):
            mine = who == {ALONE}
            for task in range(begin, begin + number):  # none of them, or all: some may have been begun before
                if who == {LEADER} and claim(shared, claims + task) == 0:
                    mine = True
                    count(shared, done + step)
            begin, number = alone, 1 if mine else 0
        if who == {LEADER}:
            publish(shared, progress, step + 1)
        for turn in range(number):
            task = begin + (who + turn) % number
            if who == {ALONE} or claim(shared, claims + task) == 0:
                heard = peek(bell, 0)  # this leader has rung and waits for the task: its next ring is yet to come
                do_task(memory, place, task)
                if who >= {LEADER}:
                    count(shared, done + step)
        if who == {LEADER} and waits(shared, done + step, segment[line + 1], patience):
            return step
    if who > {LEADER}:
        linger(bell, heard)
    return steps
'''
_bell = np.zeros(2 * SHARED, np.int64)[SHARED:]  # how often leaders have begun; nothing else lies in its line


@dataclass(frozen=True, eq=False)
class Step:
    """Kernels to be run: each one's function, where its buffers stand in a table, and its sizes."""

    kernels: tuple[tuple[Function, int, Array], ...]
    tasks: Tasks
    alone: Sequence[Call]  # if the tasks wait for each other: what one thread does in their place
    work: float  # floating-point operations


@dataclass(frozen=True, eq=False)
class Segment:
    """Launches that follow each other, as words.

    Parameters
    ----------
    words : int64 array
        Steps, tasks, where the shared words begin, helpers, where the bell is; of each step its first task, their
        number, and the task in their place or -1; first and last call of each task; the calls, eight words each:
        function, buffers, sizes, t0, t1, b0, b1, slot.
    buffers : int
        Addresses before the shared words.
    shared : int
        Shared words.
    helpers : int
        Threads that are asked to help.
    parts : tuple of Step
        They keep alive what the words point to.
    """

    words: Array
    buffers: int
    shared: int
    helpers: int
    parts: tuple[Step, ...]


def write_segment(parts: Sequence[Step], buffers: int) -> Segment:
    """Write steps down, over a table of so many addresses."""
    steps: list[int] = []
    tasks: list[int] = []
    calls: list[int] = []
    for step in parts:
        begin, number = len(tasks) // 2, len(step.tasks)
        steps += [begin, number, begin + number if step.alone else -1]
        heads = [(_code(function), place, address(sizes)) for function, place, sizes in step.kernels]
        for task in (*step.tasks, step.alone) if step.alone else step.tasks:
            tasks += [len(calls) // 8, len(calls) // 8 + len(task)]
            for entry, *span in task:
                calls += heads[entry]
                calls += span
    helped = sum([step.work for step in parts if len(step.tasks) > 1]) >= HELPED
    helpers = max([len(step.tasks) for step in parts]) - 1 if helped else 0
    head = [len(parts), len(tasks) // 2, buffers, helpers, address(_bell)]
    words = np.array([*head, *steps, *tasks, *calls], np.int64)
    return Segment(words, buffers, SHARED + helpers + len(tasks) // 2 + len(parts), helpers, tuple(parts))


def _code(function: Function) -> int:
    return function.address if isinstance(function, CFunction) else MOVES.index(function)


def play(player: Player, segment: Segment, memory: Array) -> None:
    """Run a segment; `memory` begins with the addresses of its buffers and ends with its shared words, all zero."""
    if not segment.helpers:
        playing_alone(player, segment, memory)()
        return
    threads.together([_part(player, segment.words, memory, who) for who in range(segment.helpers + 1)])


def playing_alone(player: Player, segment: Segment, memory: Array) -> Callable[[], object]:
    """Return what runs a segment on this thread, any number of times over the same memory."""
    return partial(player, memory, segment.words, 0, ALONE, PATIENCE)


def _part(player: Player, words: Array, memory: Array, who: int) -> Callable[[], bool]:
    """Return what a thread calls until it is done."""
    steps, step = int(words[0]), 0

    def part() -> bool:
        nonlocal step
        if step < steps:
            step = player(memory, words, step, who, PATIENCE)
        return step == steps

    return part


def play_in_python(bound: Sequence[tuple[Any, Any, Array]], tasks: Tasks) -> None:
    """Run kernels that are plain Python, each with its arrays and sizes."""
    in_order([partial(_perform, bound, calls) for calls in tasks])


def in_order(tasks: Sequence[Callable[[], None]]) -> None:
    """Run tasks one after the other."""
    for task in tasks:
        task()


def _perform(bound: Sequence[tuple[Any, Any, Array]], calls: Sequence[Call]) -> None:
    with np.errstate(all="ignore"):
        for entry, t0, t1, b0, b1, slot in calls:
            function, buffers, sizes = bound[entry]
            function(buffers, sizes, t0, t1, b0, b1, slot)
