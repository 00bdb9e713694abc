"""Tasks run side by side, all end before `run` returns, and nothing hangs: errors, Ctrl-C, forks, nesting."""

import itertools
import os
import signal
import subprocess
import sys
import threading
import time
import weakref
from pathlib import Path

import numpy as np
import pytest

import lstmgraph
from lstmgraph import settings
from lstmgraph.errors import CompileError
from lstmgraph.jit import threads


def meet(count: int):
    """Tasks that end only if all run at the same time."""
    barrier = threading.Barrier(count, timeout=20)
    return [barrier.wait] * count


def script(text: str, **variables: str) -> "subprocess.Popen[str]":
    environment = os.environ | {"PYTHONPATH": str(Path(lstmgraph.__file__).parents[1])} | variables
    imports = "import os, signal, sys, threading, time\nfrom lstmgraph.jit import threads\n"
    command = [sys.executable, "-c", imports + text]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_tasks_run_side_by_side_and_all_end():
    for count in (0, 1, 2, 3, 8):
        done = []
        threads.run(meet(count))
        threads.run([lambda n=n, done=done: done.append(n) for n in range(count)])
        assert sorted(done) == list(range(count))


def test_the_first_task_runs_on_the_calling_thread():
    seen = {}
    barrier = threading.Barrier(3, timeout=20)

    def task(number):
        seen[number] = threading.current_thread()
        barrier.wait()

    threads.run([lambda n=n: task(n) for n in range(3)])
    assert seen[0] is threading.current_thread()
    assert len(set(seen.values())) == 3
    assert all(seen[number].daemon for number in (1, 2))


def test_more_tasks_than_threads_can_be_started(monkeypatch):
    def refuse(self):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threads, "_pool", threads._Pool())
    monkeypatch.setattr(threading.Thread, "start", refuse)
    done = []
    threads.run([lambda n=n: done.append(n) for n in range(5)])
    assert done == list(range(5))


@pytest.mark.parametrize("bad", [(0,), (1,), (0, 1), (1, 2), (0, 1, 2)])
def test_the_first_error_is_raised_after_all_have_ended(bad):
    ended = []
    barrier = threading.Barrier(3, timeout=20)

    def task(number):
        barrier.wait()
        time.sleep(0.01 * (3 - number))  # the later tasks fail sooner
        ended.append(number)
        if number in bad:
            raise ValueError(number)

    with pytest.raises(ValueError) as caught:
        threads.run([lambda n=n: task(n) for n in range(3)])
    assert caught.value.args == (bad[0],)
    assert sorted(ended) == [0, 1, 2]
    threads.run(meet(3))  # the pool has survived


def test_nested_calls_on_a_pool_thread_run_in_order():
    barrier = threading.Barrier(2, timeout=20)
    order = []

    def inner(number):
        time.sleep(0.01)  # other threads have the time to take the next ones
        order.append((number, threading.get_ident()))

    def nested():
        barrier.wait()
        threads.run([lambda n=n: inner(n) for n in range(4)])

    threads.run(meet(4))  # there are idle threads
    threads.run([barrier.wait, nested])
    assert [n for n, _ in order] == [0, 1, 2, 3]
    assert len({thread for _, thread in order}) == 1


def test_nested_calls_everywhere_do_not_deadlock():
    count = itertools.count()
    tasks = [lambda: next(count)] * 4
    for _ in range(3):
        tasks = [lambda inner=tasks: threads.run(inner)] * 4
    threads.run(tasks)
    assert next(count) == 4**4


def test_many_users_at_once():
    sums = [0] * 8

    def user(place):
        for _ in range(200):
            parts = [0, 0, 0]

            def task(n, parts=parts):
                parts[n] += n + 1

            threads.run([lambda n=n, task=task: task(n) for n in range(3)])
            sums[place] += sum(parts)

    users = [threading.Thread(target=user, args=(place,)) for place in range(8)]
    for thread in users:
        thread.start()
    for thread in users:
        thread.join(20)
    assert sums == [200 * 6] * 8


def test_idle_threads_keep_nothing_alive():
    class Result:
        pass

    barrier = threading.Barrier(2, timeout=20)

    def task(held):
        barrier.wait()

    kept = Result()
    watch = weakref.ref(kept)
    threads.run([barrier.wait, lambda held=kept: task(held)])
    del kept
    assert watch() is None


def test_an_error_keeps_nothing_alive():
    class Result:
        pass

    def fail(held):
        raise ValueError

    kept = Result()
    watch = weakref.ref(kept)
    with pytest.raises(ValueError):
        threads.run([lambda held=kept: fail(held), lambda: None])
    del kept
    assert watch() is None


INTERRUPT = """
ended = []
def caller():
    time.sleep(0.5 if CALLER_IS_HIT else 0.05)
    ended.append("caller")
def other():
    time.sleep(0.1)
    os.kill(os.getpid(), signal.SIGINT)  # it is the main thread that gets this
    time.sleep(0.2)
    ended.append("other")
try:
    threads.run([caller, other])
except KeyboardInterrupt:
    print(*ended)
threads.run([lambda: ended.append(8), lambda: ended.append(9)])
print(sorted(ended[-2:]))
"""


@pytest.mark.parametrize(("hit", "ended"), [(False, "caller other"), (True, "other")])
def test_ctrl_c_comes_when_all_have_ended(hit, ended):
    output, errors = script(INTERRUPT.replace("CALLER_IS_HIT", str(hit))).communicate(timeout=20)
    assert output.splitlines() == [ended, "[8, 9]"], errors


def test_what_has_not_begun_is_dropped_at_ctrl_c(monkeypatch):
    monkeypatch.setattr(threads._Pool, "submit", lambda *arguments: None)
    done = []

    def interrupted():
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        threads.run([lambda: done.append(0), interrupted, lambda: done.append(2)])
    assert done == [0]


STORM = """
import random
main = threading.current_thread()
def storm():
    while True:
        time.sleep(random.random() * 0.001)
        signal.pthread_kill(main.ident, signal.SIGINT)
running = set()
def task(number):
    if threading.current_thread() is not main:
        running.add(number)
        time.sleep(0.0005)
        running.discard(number)
def mask(how):
    signal.pthread_sigmask(how, {signal.SIGINT})
mask(signal.SIG_BLOCK)
threading.Thread(target=storm, daemon=True).start()
hits = early = 0
for _ in range(300):
    try:
        try:
            mask(signal.SIG_UNBLOCK)
            threads.run([lambda: time.sleep(0.0003)] + [lambda n=n: task(n) for n in (1, 2, 3)])
        finally:
            mask(signal.SIG_BLOCK)
            early += bool(running)
            while running:
                time.sleep(0.001)
    except KeyboardInterrupt:
        hits += 1
print(hits, early)
"""


@pytest.mark.skipif(not hasattr(signal, "pthread_kill"), reason="no signals to threads on this system")
def test_a_storm_of_ctrl_c_hangs_nothing():
    output, errors = script(STORM).communicate(timeout=30)
    hits, early = map(int, output.split())
    assert hits > 50, errors
    assert early <= 3  # two signals within the same few microseconds


FORK = """
done = []
def both():
    barrier = threading.Barrier(2, timeout=10)
    threads.run([barrier.wait, barrier.wait])
    return 0
def child():
    process = os.fork()
    if not process:
        code = 1
        try:
            code = both()
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
both()
print(child())
threads._pool.lock.acquire()   # another thread is growing the pool at that moment
print(child())
threads._pool.lock.release()
codes = []
def forks():
    codes.append(child())
threads.run([lambda: time.sleep(0.2), forks])
print(codes)
both()
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
def test_a_forked_child_has_a_pool_of_its_own():
    output, errors = script(FORK).communicate(timeout=20)
    assert output.splitlines() == ["0", "0", "[0]"], errors


def test_a_process_ends_at_once():
    process = script("threads.run([lambda: None] * 4)\nprint('end')")
    output, errors = process.communicate(timeout=20)
    assert (output, errors, process.returncode) == ("end\n", "", 0)


# ---- slices


@pytest.mark.parametrize("parts", [1, 2, 3, 7, 100])
@pytest.mark.parametrize("total", [0, 1, 2, 7, 10, 64])
def test_slices_cover_all_rows_evenly(total, parts):
    found = threads.slices(total, parts)
    assert [row for a, b in found for row in range(a, b)] == list(range(total))
    lengths = [b - a for a, b in found]
    assert len(found) == min(parts, total)
    assert not found or max(lengths) - min(lengths) <= 1
    assert threads.balanced_slices(np.full(total, 3), parts) == found or total % max(1, len(found))


def test_balanced_slices_are_nearly_equal():
    rng = np.random.default_rng(0)
    for rows, parts in itertools.product((1, 2, 5, 33, 200), (1, 2, 3, 8)):
        weights = rng.integers(0, 50, rows)
        found = threads.balanced_slices(weights, parts)
        assert [row for a, b in found for row in range(a, b)] == list(range(rows))
        assert 1 <= len(found) <= parts
        heaviest = max(weights[a:b].sum() for a, b in found)
        assert heaviest <= weights.sum() / parts + weights.max()
        assert found == threads.balanced_slices(weights.astype(np.float32), parts)


def test_balanced_slices_cut_where_the_weight_is():
    assert threads.balanced_slices([8, 1, 1, 1, 1, 4], 2) == [(0, 1), (1, 6)]
    assert threads.balanced_slices([1, 1, 1, 9], 2) == [(0, 3), (3, 4)]
    assert threads.balanced_slices([0, 0, 0, 0], 2) == [(0, 2), (2, 4)]
    assert threads.balanced_slices([], 2) == []
    assert threads.balanced_slices([0, 0, 5], 3) == [(0, 2), (2, 3)]


# ---- the number of threads


@pytest.fixture
def machine(monkeypatch, tmp_path):
    """Eight processors and nothing else that limits them."""
    for name in ("LSTMGRAPH_THREADS", "OMP_NUM_THREADS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(settings, "_processors", lambda: 8)
    monkeypatch.setattr(settings, "_CGROUP_MEMBERSHIP", tmp_path / "membership")
    monkeypatch.setattr(settings, "_CGROUP_MOUNT", tmp_path / "mount")
    return tmp_path


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def test_the_least_of_all_limits(machine, monkeypatch):
    assert settings.thread_count() == 8
    monkeypatch.setenv("OMP_NUM_THREADS", "6,2")
    assert settings.thread_count() == 6
    monkeypatch.setenv("LSTMGRAPH_THREADS", "5")
    assert settings.thread_count() == 5
    write(machine / "membership", "0::/a/b\n")
    write(machine / "mount/a/b/cpu.max", "max 100000\n")
    assert settings.thread_count() == 5
    write(machine / "mount/a/cpu.max", "350000 100000\n")
    assert settings.thread_count() == 4
    write(machine / "mount/a/b/cpu.max", "20000 100000\n")
    assert settings.thread_count() == 1
    assert settings.thread_count(12) == 12


def test_a_container_that_sees_the_hosts_path(machine):
    write(machine / "membership", "0::/docker/0123\n")
    write(machine / "mount/cpu.max", "200000 100000\n")
    assert settings.thread_count() == 2


def test_the_first_version_of_control_groups(machine):
    write(machine / "membership", "5:memory:/x\n4:cpu,cpuacct:/pod\n")
    write(machine / "mount/cpu,cpuacct/pod/cpu.cfs_quota_us", "-1\n")
    write(machine / "mount/cpu,cpuacct/pod/cpu.cfs_period_us", "100000\n")
    assert settings.thread_count() == 8
    write(machine / "mount/cpu,cpuacct/pod/cpu.cfs_quota_us", "300000\n")
    assert settings.thread_count() == 3


@pytest.mark.parametrize("text", ["nonsense", "-3", "0", ""])
def test_what_others_write_wrong_is_not_our_error(machine, monkeypatch, text):
    monkeypatch.setenv("OMP_NUM_THREADS", text)
    write(machine / "membership", f"{text}\n0::/\n")
    write(machine / "mount/cpu.max", text)
    assert settings.thread_count() == 8


@pytest.mark.parametrize("text", ["0", "-1", "two", "1.5"])
def test_a_wrong_number_in_the_environment(machine, monkeypatch, text):
    monkeypatch.setenv("LSTMGRAPH_THREADS", text)
    with pytest.raises(CompileError, match=f"LSTMGRAPH_THREADS: got '{text}', expected a whole number"):
        settings.thread_count()


@pytest.mark.parametrize("asked", [0, -1, 1.5, "2", True])
def test_a_wrong_number_asked_for(asked):
    with pytest.raises(CompileError, match="threads: got"):
        settings.thread_count(asked)


def test_a_numpy_integer_will_do():
    assert settings.thread_count(np.int64(2)) == 2
    assert type(settings.thread_count(np.int64(2))) is int
