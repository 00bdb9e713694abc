"""The method: contenders run in blocks that take turns, with a pause before each block.

A block begins with a run that does not count. The pause is there because other libraries' threads go on spinning after
their work, and must not take the next contender's processors.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from lstmgraph.bench.records import Figure

ROUNDS = 5  # the most blocks of each contender
PAUSE = 0.2  # seconds; OpenMP of Intel and LLVM spins as long unless told otherwise
Task = Callable[[], object]
Block = Callable[[float], list[float]]  # seconds to run for -> seconds of each run


@dataclass(frozen=True)
class Contender:
    """What is measured.

    Parameters
    ----------
    name : str
        What it is called.
    make : callable
        Returns its block; imports what it needs.
    peer : str
        The package that it is from; where that fails, the others are measured all the same. Empty for ours.
    """

    name: str
    make: Callable[[], Block]
    peer: str = ""


def repeated(task: Task) -> Block:
    """Return a block that runs a task again and again."""

    def block(seconds: float) -> list[float]:
        task()
        found: list[float] = []
        end = time.perf_counter() + seconds
        while not found or time.perf_counter() < end:
            begin = time.perf_counter()
            task()
            found.append(time.perf_counter() - begin)
        return found

    return block


def compare(contenders: Sequence[Contender], seconds: float) -> tuple[Figure, ...]:
    """Run contenders in turn for some seconds in all, and return what each of them took.

    The first block of each, in which it is compiled, does not count.
    """
    ready: dict[str, Block] = {}
    reasons: dict[str, str] = {}
    for contender in contenders:
        try:
            block = contender.make()
            block(0.0)
            ready[contender.name] = block
        except Exception as error:  # a peer may fail in any way
            if not contender.peer:
                raise
            reasons[contender.name] = why_not(contender.peer, error)
    rounds = max(2, min(ROUNDS, round(seconds / (PAUSE * len(ready)))))
    found: dict[str, list[float]] = {name: [] for name in ready}
    for _ in range(rounds):
        for name, block in ready.items():
            time.sleep(PAUSE)
            found[name] += block(seconds / rounds / len(ready))
    return tuple(Figure(each.name, tuple(found.get(each.name, ())), reasons.get(each.name, "")) for each in contenders)


def why_not(peer: str, error: Exception) -> str:
    """Say in a line why a peer was not measured."""
    if isinstance(error, ModuleNotFoundError) and error.name == peer:
        return f"not installed; `pip install {peer}` to compare with it"
    return f"failed: {type(error).__name__}: {' '.join(str(error).split())[:200]}"
