"""Parts worked on side by side, the player's protocol, rows dealt out: nothing hangs, nothing is lost."""

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


def meeting(count: int):
    """Parts that end only if all are worked on at the same time."""
    met = [threading.Event() for _ in range(count)]
    return [lambda event=event: event.set() or all(each.wait(20) for each in met) for event in met]


def script(text: str, **variables: str) -> "subprocess.Popen[str]":
    environment = os.environ | {"PYTHONPATH": str(Path(lstmgraph.__file__).parents[1])} | variables
    imports = "import os, signal, sys, threading, time\nfrom lstmgraph.jit import threads\n"
    command = [sys.executable, "-c", imports + text]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.mark.parametrize("count", [1, 2, 3, 8])
def test_parts_are_worked_on_side_by_side(count):
    threads.together(meeting(count))


def test_the_first_part_is_the_calling_threads_own():
    seen = {}

    def part(number, meet):
        seen[number] = threading.current_thread()
        return meet()

    threads.together([lambda n=n, meet=meet: part(n, meet) for n, meet in enumerate(meeting(3))])
    assert seen[0] is threading.current_thread()
    assert len(set(seen.values())) == 3
    assert all(seen[number].daemon for number in (1, 2))


def test_a_part_is_called_until_it_is_done():
    calls = []
    threads.together([lambda: len(calls) == 3 or calls.append(1)])
    assert len(calls) == 3


def test_a_part_that_always_fails_ends():
    with pytest.raises(ZeroDivisionError):
        threads.together([lambda: 1 / 0])


def test_the_first_part_ends_where_no_thread_can_be_started(monkeypatch):
    def refuse(self):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threads, "_pool", threads._Pool())
    monkeypatch.setattr(threading.Thread, "start", refuse)
    done = []
    threads.together([lambda: done.append(0) or True, lambda: done.append(1) or True])
    assert set(done) == {0}


def test_many_users_at_once():
    sums = [0] * 8

    def user(place):
        for _ in range(200):
            left, lock = [0, 1, 2], threading.Lock()

            def part(left=left, lock=lock):
                with lock:
                    if left:
                        sums[place] += left.pop()
                    return not left

            threads.together([part] * 3)

    users = [threading.Thread(target=user, args=(place,)) for place in range(8)]
    for thread in users:
        thread.start()
    for thread in users:
        thread.join(20)
    assert sums == [200 * 3] * 8


def test_idle_threads_keep_nothing_alive():
    class Result:
        pass

    kept = Result()
    watch = weakref.ref(kept)
    first, second = meeting(2)
    threads.together([first, lambda held=kept: second()])
    del kept
    deadline = time.monotonic() + 20
    while watch() is not None and time.monotonic() < deadline:
        time.sleep(0.001)
    assert watch() is None


INTERRUPT = """
ended = []
looks = 0
def caller():
    global looks
    looks += 1
    if looks == 1:
        time.sleep(0.2)  # it is here that Ctrl-C comes
    time.sleep(0.05)
    ended.append("caller")
    return True
def other():
    time.sleep(0.1)
    os.kill(os.getpid(), signal.SIGINT)  # it is the main thread that gets this
    return True
try:
    threads.together([caller, other])
except KeyboardInterrupt:
    print(*set(ended))
threads.together([lambda: True, lambda: True])
print("on")
"""


def test_ctrl_c_comes_when_the_first_part_has_ended():
    output, errors = script(INTERRUPT).communicate(timeout=20)
    assert output.splitlines() == ["caller", "on"], errors


STORM = """
import random
import numpy as np
import lstmgraph as lg
from lstmgraph.jit import executor, player
executor.SLICE_WORK = player.HELPED = 1
program = lg.compile(lg.cells.lstm, input_size=9, hidden_size=33, threads=3)
params = program.init(seed=0)
x = np.random.default_rng(0).standard_normal((40, 17, 9)).astype("f4")
def run():
    y, _, pullback = program.vjp(params, x)
    return pullback(y).params["forget.W_h"]
want = run()
main = threading.current_thread()
def storm():
    while True:
        time.sleep(random.random() * 0.002)
        signal.pthread_kill(main.ident, signal.SIGINT)
def mask(how):
    signal.pthread_sigmask(how, {signal.SIGINT})
mask(signal.SIG_BLOCK)
threading.Thread(target=storm, daemon=True).start()
hits = same = runs = 0
while hits < 100 and runs < 3000:
    runs += 1
    try:
        try:
            mask(signal.SIG_UNBLOCK)
            found = run()
        finally:
            mask(signal.SIG_BLOCK)
        same += np.array_equal(found, want)
    except KeyboardInterrupt:
        hits += 1
print(hits, runs - hits - same, np.array_equal(run(), want))
"""


@pytest.mark.skipif(not hasattr(signal, "pthread_kill"), reason="no signals to threads on this system")
def test_a_storm_of_ctrl_c_hangs_nothing_and_spoils_nothing():
    output, errors = script(STORM).communicate(timeout=100)
    hits, wrong, whole = output.split()
    assert int(hits) >= 50, errors
    assert (wrong, whole) == ("0", "True")


FORK = """
def both():
    came = threading.Event()
    threads.together([lambda: came.wait(10), lambda: came.set() or True])
    return 0 if came.is_set() else 1
def child():
    process = os.fork()
    if process == 0:
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
both()
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
def test_a_forked_child_has_a_pool_of_its_own():
    output, errors = script(FORK).communicate(timeout=20)
    assert output.splitlines() == ["0", "0"], errors


def test_a_process_ends_at_once():
    process = script("threads.together([lambda: True, lambda: time.sleep(60)])\nprint('end')")
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
