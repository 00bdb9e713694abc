"""The player's protocol: every task is done once and after the step before it, whoever comes, comes late, or never."""

import threading
import time

import numpy as np
import pytest

from lstmgraph.jit import cache, threads
from lstmgraph.jit.executor import Executor
from lstmgraph.jit.machine import host
from lstmgraph.jit.player import (
    ALONE,
    LEADER,
    LINGER,
    PATIENCE,
    PLAY,
    TAKES,
    Step,
    clear_rows,
    copy_rows,
    play,
    put_rows,
    take_rows,
    write_segment,
)

# task `number` of step `t0` counts that it was done, and writes one more than the step before did on the average
KERNEL = """
def kernel(buffers, sizes, t0, t1, row0, row1, number):
    counts = floats(buffers, 0)
    lines = floats(buffers, 1)
    here = t0 * sizes[0] + number
    put_element(counts, here, element(counts, here) + scalar(1))
    total = scalar(0)
    if t0 > 0:
        for other in range(sizes[0]):
            total += element(lines, (t0 - 1) * sizes[0] + other)
    put_element(lines, here, total / scalar(sizes[0]) + scalar(1))
"""
# tasks share the columns of a line and meet after each; sizes: columns, threads
MEETING = """
def meeting(buffers, sizes, t0, t1, row0, row1, number):
    lines = floats(buffers, 0)
    word = integers(buffers, 1)
    columns = sizes[0]
    parts = sizes[1]
    for t in range(t0, t1):
        for k in range(number, columns, parts):
            total = scalar(0)
            if t > 0:
                for other in range(columns):
                    total += element(lines, (t - 1) * columns + other)
            put_element(lines, t * columns + k, total / scalar(columns) + scalar(1))
        if parts > 1:
            meet(word, parts)
"""
STEPS, TASKS = 60, 8


@pytest.fixture(scope="module")
def player():
    return Executor(host("float32"), 1).player()


@pytest.fixture(scope="module")
def kernel():
    module = cache.compile_module(KERNEL, ("kernel",), dtype="float32", width=1, title="a count")
    return module.functions["kernel"]


@pytest.fixture(scope="module")
def meeting():
    module = cache.compile_module(MEETING, ("meeting",), dtype="float32", width=1, title="a meeting")
    return module.functions["meeting"]


def addresses(*arrays):
    return np.array([array.ctypes.data for array in arrays], np.int64)


class Counted:
    """A segment of many small steps, and what it did."""

    def __init__(self, kernel, work: float = 1e9) -> None:
        sizes = np.array([TASKS], np.int64)
        tasks = [[[(0, step, step + 1, 0, 1, task)] for task in range(TASKS)] for step in range(STEPS)]
        self.counts, self.lines = np.zeros((2, STEPS, TASKS), np.float32)
        self.segment = write_segment([Step(((kernel, 0, sizes),), step, (), work) for step in tasks], 2)
        table = addresses(self.counts, self.lines)
        self.memory = np.concatenate([table, np.zeros(self.segment.shared, np.int64)])

    def check(self) -> None:
        np.testing.assert_array_equal(self.counts, 1)
        np.testing.assert_array_equal(self.lines, np.arange(1, STEPS + 1, dtype=np.float32)[:, None] * np.ones(TASKS))


def test_alone(player, kernel):
    run = Counted(kernel, work=0)
    assert run.segment.helpers == 0
    play(player, run.segment, run.memory)
    run.check()
    run.counts[:] = 0
    play(player, run.segment, run.memory)  # no word is used up
    run.check()


def test_a_leader_whom_nobody_helps(player, kernel):
    run = Counted(kernel)
    assert player(run.memory, run.segment.words, 0, LEADER, PATIENCE) == STEPS
    run.check()
    assert player(run.memory, run.segment.words, 0, LEADER, PATIENCE) == STEPS  # called again it does nothing
    run.check()


def test_a_helper_waits_for_the_leader_and_one_that_comes_late_does_nothing(player, kernel):
    run = Counted(kernel)
    assert player(run.memory, run.segment.words, 0, 1, 5) == 0
    assert not run.counts.any()
    player(run.memory, run.segment.words, 0, LEADER, PATIENCE)
    assert player(run.memory, run.segment.words, 0, 1, PATIENCE) == STEPS
    run.check()


@pytest.mark.parametrize("patience", [1, 3, PATIENCE])
@pytest.mark.parametrize("helpers", [1, 3, 7])
def test_helpers_that_come_when_they_like(player, kernel, helpers, patience):
    rng = np.random.default_rng(helpers)
    for _ in range(20):
        run = Counted(kernel)
        delays = rng.random(helpers + 1) * 2e-4

        def part(who, run=run, delays=delays):
            time.sleep(delays[who])
            step = 0
            while step < STEPS:
                step = player(run.memory, run.segment.words, step, who, patience)

        others = [threading.Thread(target=part, args=(who,)) for who in range(1, helpers + 1)]
        for thread in others:
            thread.start()
        part(LEADER)
        run.check()  # as soon as the leader is done
        for thread in others:
            thread.join(20)
        run.check()


def test_the_pool_helps(player, kernel, monkeypatch):
    asked = []
    submit = threads._Pool.submit
    monkeypatch.setattr(threads._Pool, "submit", lambda pool, parts: (asked.append(len(parts)), submit(pool, parts)))
    for _ in range(50):
        run = Counted(kernel)
        play(player, run.segment, run.memory)
        run.check()
    assert asked == [TASKS - 1] * 50


@pytest.fixture(scope="module")
def patient():
    """Return a player whose helpers stay for ever."""
    text = PLAY.replace(f"looks < {LINGER}", "looks < 10**12")
    assert text != PLAY
    module = cache.compile_module(text, ("play",), dtype="float32", width=1, title="a player", takes=TAKES)
    return module.functions["play"]


def begin_to_help(player, run):
    """Start a thread that helps with a segment."""
    arguments = (run.memory, run.segment.words, 0, 1, PATIENCE)
    helper = threading.Thread(target=player, args=arguments, daemon=True)
    helper.start()
    return helper


def test_a_helper_that_did_a_task_stays_until_a_leader_begins(player, patient, kernel):
    done, other = Counted(kernel), Counted(kernel)
    done.memory[done.segment.words[2]] = STEPS  # all steps are open: the helper does them all
    helper = begin_to_help(patient, done)
    helper.join(0.1)
    assert helper.is_alive()
    done.check()
    player(other.memory, other.segment.words, 0, LEADER, PATIENCE)
    helper.join(20)
    assert not helper.is_alive()


def test_a_helper_that_came_too_late_does_not_stay(player, patient, kernel):
    done = Counted(kernel)
    player(done.memory, done.segment.words, 0, LEADER, PATIENCE)
    helper = begin_to_help(patient, done)
    helper.join(20)
    assert not helper.is_alive()
    done.check()


@pytest.mark.parametrize("threads_that_come", [1, 2, 3])
def test_threads_that_meet_are_all_there_or_one_works_alone(player, meeting, threads_that_come):
    columns, parts = 5, 3
    alone = 0
    for _ in range(20):
        lines, word = np.zeros((STEPS, columns), np.float32), np.zeros(1, np.int64)
        shared, single = np.array([columns, parts]), np.array([columns, 1])
        launches = [
            Step(
                ((meeting, 0, shared), (meeting, 0, single)),
                [[(0, step, step + 10, 0, 1, part)] for part in range(parts)],
                [(1, step, step + 10, 0, 1, 0)],
                1e9,
            )
            for step in range(0, STEPS, 10)
        ]
        segment = write_segment(launches, 2)
        memory = np.concatenate([addresses(lines, word), np.zeros(segment.shared, np.int64)])

        def part(who, memory=memory, segment=segment):
            step = 0
            while step < STEPS // 10:
                step = player(memory, segment.words, step, who, PATIENCE)

        others = [threading.Thread(target=part, args=(who,)) for who in range(1, threads_that_come)]
        for thread in others:
            thread.start()
        part(LEADER)
        np.testing.assert_array_equal(lines, np.arange(1, STEPS + 1, dtype=np.float32)[:, None] * np.ones(columns))
        alone += word[0] == 0
        for thread in others:
            thread.join(20)
    assert threads_that_come == parts or alone == 20


@pytest.mark.parametrize("width", [1, 3])
def test_rows_are_moved_as_in_python(player, width):
    rng = np.random.default_rng(width)
    source = rng.standard_normal(7 * width).astype(np.float32)
    places = rng.permutation(7)[:5]
    padded = np.where([False, True, False, False, True], -1, places)
    whole, halves = [(0, 5)], [(0, 2), (2, 5)]
    for move, rows, spans, given in (
        (copy_rows, 5, whole, (source[: 5 * width].copy(),)),
        (clear_rows, 5, whole, ()),
        (take_rows, 5, halves, (source, places)),
        (take_rows, 5, halves, (source, padded)),
        (put_rows, 5, halves, (source[: 5 * width].copy(), places)),
    ):
        found, want = np.full((2, 9 * width), 99, np.float32)
        sizes = np.array([rows, width, 4 * width], np.int64)
        count = (7 if move is put_rows else 5) * width
        tasks = [[(0, 0, 1, b0, b1, 0)] for b0, b1 in spans]
        segment = write_segment([Step(((move, 0, sizes),), tasks, (), 0)], 1 + len(given))
        table = addresses(found, *given)
        assert player(np.concatenate([table, np.zeros(99, np.int64)]), segment.words, 0, ALONE, PATIENCE) == 1
        for b0, b1 in spans:
            move([want[:count], *given], sizes, 0, 1, b0, b1, 0)
        np.testing.assert_array_equal(found, want)
        assert (found[count:] == 99).all()
