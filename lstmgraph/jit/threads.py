"""The thread pool of the kernels, and how rows are dealt out to threads."""

import contextlib
import itertools
import os
import threading
import time
from collections.abc import Callable, Sequence
from queue import SimpleQueue

import numpy as np
import numpy.typing as npt

Part = Callable[[], bool]  # what a thread calls until it is True

_MOST_WORKERS = 255
_HOPELESS = 10_000  # errors of one part: no storm of signals, but a part that always fails
_NAP = 50e-6  # seconds between two calls of a part that has to wait


class _Pool:
    """The threads of one process; they wait on one queue of parts."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.workers = 0
        self.queue: SimpleQueue[Part] = SimpleQueue()

    def submit(self, parts: Sequence[Part]) -> None:
        """Let threads of the pool work on parts, each when it is free."""
        if self.workers < len(parts):
            self.grow(min(len(parts), _MOST_WORKERS))
        for part in parts:
            self.queue.put(part)

    def grow(self, workers: int) -> None:
        """Start threads until there are `workers`."""
        with self.lock:
            while self.workers < workers:
                name = f"lstmgraph-{self.workers + 1}"
                # daemons: at exit nobody waits for a thread that waits for work
                worker = threading.Thread(target=_serve, args=(self.queue,), name=name, daemon=True)
                try:
                    worker.start()
                except RuntimeError:  # no more threads to be had: the caller does the work itself
                    return
                self.workers += 1


def _serve(queue: "SimpleQueue[Part]") -> None:
    """Work on parts for ever: the body of a pool thread."""
    while True:
        with contextlib.suppress(BaseException):  # whose part always fails: the caller's own says so
            _finish(queue.get())


def _finish(part: Part) -> BaseException | None:
    """Call a part until it is True, whatever comes between; return the interrupt that came."""
    interrupt: BaseException | None = None
    for _ in range(_HOPELESS):
        try:
            while not part():
                time.sleep(_NAP)
            return interrupt
        except BaseException as error:  # Ctrl-C: kernels still write to the caller's arrays
            interrupt = interrupt or error
    assert interrupt is not None
    raise interrupt


_pool = _Pool()


def together(parts: Sequence[Part]) -> None:
    """Work on parts side by side; return when the first, the calling thread's own, has ended.

    The others are worked on by threads of the pool that happen to be free: the first part must not need them, and must
    see to it that those who have begun have ended what the caller relies on. Any number of threads may call at once.

    Parameters
    ----------
    parts : sequence of callable
        Called without arguments, again and again, until they return True.

    Raises
    ------
    BaseException
        An interrupt of the calling thread, a KeyboardInterrupt say, when the first part has ended; the error of a
        part that fails again and again.

    Examples
    --------
    >>> found = []
    >>> together([lambda: len(found) == 2 or found.append(1)])
    >>> found
    [1, 1]
    """
    interrupt = None
    try:
        _pool.submit(parts[1:])
    finally:
        try:
            interrupt = _finish(parts[0])
        finally:
            _finish(parts[0])  # at once, unless Ctrl-C came on the way into the first
    if interrupt is not None:
        raise interrupt


def _forked() -> None:
    """Begin anew: the threads of the old pool are not in this process, and its lock may be held."""
    global _pool
    _pool = _Pool()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forked)


def slices(total: int, parts: int) -> list[tuple[int, int]]:
    """Cut ``range(total)`` into contiguous slices whose lengths differ by at most one.

    Parameters
    ----------
    total : int
        The number of rows.
    parts : int
        The most slices wanted, at least 1.

    Returns
    -------
    list of (start, stop)
        In order, none empty: fewer than `parts` where there are fewer rows, none for no rows.

    Examples
    --------
    >>> slices(10, 4)
    [(0, 3), (3, 6), (6, 8), (8, 10)]
    """
    if total <= 0:
        return []
    parts = max(1, min(parts, total))
    each, longer = divmod(total, parts)
    return list(itertools.pairwise([i * each + min(i, longer) for i in range(parts + 1)]))


def balanced_slices(weights: npt.ArrayLike, parts: int) -> list[tuple[int, int]]:
    """Cut rows into contiguous slices of nearly equal total weight.

    Parameters
    ----------
    weights : array_like, shape (rows,)
        The cost of each row, not negative: its number of time steps, say.
    parts : int
        The most slices wanted, at least 1.

    Returns
    -------
    list of (start, stop)
        In order, none empty, covering every row. Each cut is the one nearest to its share of the total:
        the same weights give the same slices on any machine.

    Examples
    --------
    >>> balanced_slices([8, 1, 1, 1, 1, 4], 2)
    [(0, 1), (1, 6)]
    """
    rows = np.asarray(weights, dtype=np.float64)
    reached = np.cumsum(rows)
    if not rows.size or not reached[-1] > 0:
        return slices(rows.size, parts)
    before = np.concatenate(([0.0], reached))
    shares = reached[-1] * (np.arange(1, parts) / max(parts, 1))
    after = np.searchsorted(before, shares)
    nearer = np.where(shares - before[after - 1] < before[after] - shares, after - 1, after)
    cuts = [0, *nearer.tolist(), rows.size]
    return [(a, b) for a, b in itertools.pairwise(cuts) if a < b]
