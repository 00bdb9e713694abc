"""The peak of memory of a training step, each in a fresh process: the whole process, and what the step adds to it.

    python -m lstmgraph.bench.table_memory lstmgraph 100 32 128 128 2

measures one of them and prints JSON. A step at T = 1 goes before, so that compiling and loading are no part of the
step. Where the system cannot set the peak back (Linux can), what is added is the growth of the process's own peak.
"""

import contextlib
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from lstmgraph.bench.measure import why_not
from lstmgraph.bench.records import Figure, Request, Row, Size
from lstmgraph.errors import LstmGraphError

SIZES = ("medium", "long")
NAMES = {"lstmgraph": "", "torch.nn.LSTM": "torch"}
STEPS = 3
_STATUS, _CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")


def rows(request: Request) -> Iterator[Row]:
    """Yield two rows a size: the step and the process."""
    for name, size in request.chosen(SIZES):
        found = {who: _in_fresh_process(who, peer, size, request.threads) for who, peer in NAMES.items()}
        for place, what in enumerate(("step alone", "whole process")):
            figures = [
                Figure(who, (), answer) if isinstance(answer, str) else Figure(who, (answer[place],))
                for who, answer in found.items()
            ]
            yield Row(f"{name}, {what}", tuple(figures), size, unit="bytes")


def _in_fresh_process(who: str, peer: str, size: Size, threads: int) -> tuple[float, float] | str:
    """Return the bytes of the step and of the process, or why there are none."""
    command = [sys.executable, "-m", __name__, who, *map(str, size), str(threads)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        said = done.stderr.strip().splitlines()[-1:] or ["no reason given"]
        if not peer:
            raise LstmGraphError(f"memory: the process that measures {who} failed: {said[0]}")
        if said[0].startswith("ModuleNotFoundError"):
            return why_not(peer, ModuleNotFoundError(said[0], name=peer))
        return f"failed: {said[0]}"
    step, process = json.loads(done.stdout)
    return float(step), float(process)


def measured(who: str, size: Size, threads: int) -> tuple[int, int]:
    """Run training steps in this process; return the bytes they add to its peak, and its peak."""
    from lstmgraph.bench import ours, peer_torch

    def take(steps: int, size: Size) -> None:
        if who == "lstmgraph":
            program, params, x, dy = ours.compiled(ours.lstm, size, threads)
            for _ in range(steps):
                program.value_and_gradients(params, x, dy)
        else:
            run = peer_torch.training_step(size, threads)
            for _ in range(steps):
                run()

    take(1, size._replace(T=1))
    before = _set_back()
    take(STEPS, size)
    after = peak()
    return after - before, after


def peak() -> int:
    """Return the most memory that this process has had since the start, or since `_set_back`, in bytes."""
    if _STATUS.exists():
        line = next(line for line in _STATUS.read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) * 1024
    import resource  # what POSIX has; its unit is the byte on macOS alone

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def _set_back() -> int:
    """Set the peak back to what the process has now, where the system allows it, and return it."""
    with contextlib.suppress(OSError):
        _CLEAR.write_text("5")  # proc(5): resets the peak resident set size
    return peak()


if __name__ == "__main__":
    print(json.dumps(measured(sys.argv[1], Size(*map(int, sys.argv[2:6])), int(sys.argv[6]))))
