"""The thread pool of the kernels, and how rows are dealt out to threads."""

import itertools
import os
import threading
from collections import deque
from collections.abc import Callable, Sequence
from queue import SimpleQueue

import numpy as np
import numpy.typing as npt

Task = Callable[[], None]

_MOST_WORKERS = 255


class _Batch:
    """The tasks of one call of `run`.

    Only what pool threads do is counted, for the calling thread may be interrupted between any two lines.
    """

    __slots__ = ("done", "errors", "lock", "pending", "running", "waiting")

    def __init__(self, tasks: Sequence[Task]) -> None:
        self.pending = deque(enumerate(tasks))  # popleft is atomic: a task is begun once
        self.errors: list[tuple[int, BaseException]] = []
        self.lock = threading.Lock()
        self.running = 0  # tasks that pool threads have begun and not ended
        self.waiting = False
        self.done = threading.Lock()
        self.done.acquire()  # released when the last pool thread leaves

    def work(self) -> None:
        """Run the tasks that nobody has begun: the calling thread's part."""
        while self.pending:
            try:
                number, task = self.pending.popleft()
            except IndexError:
                return
            self.attempt(number, task)

    def help(self) -> None:
        """Run the tasks that nobody has begun: a pool thread's part."""
        while True:
            with self.lock:
                if not self.pending:
                    return
                try:
                    number, task = self.pending.popleft()
                except IndexError:  # the calling thread was quicker
                    return
                self.running += 1
            self.attempt(number, task)
            del task  # nothing may keep the caller's arrays alive once it has its result
            with self.lock:
                self.running -= 1
                if self.waiting and not self.running:
                    self.waiting = False
                    self.done.release()

    def attempt(self, number: int, task: Task) -> None:
        """Run one task and keep its error."""
        try:
            task()
        except Exception as error:
            self.errors.append((number, error))
        except BaseException as error:  # Ctrl-C or exit: what has not begun shall not begin
            self.pending.clear()
            self.errors.append((-1, error))

    def wait(self) -> BaseException | None:
        """Wait until no task runs, whatever happens; return the interrupt that came meanwhile."""
        interrupt: BaseException | None = None
        while True:
            try:
                self.pending.clear()
                with self.lock:
                    if not self.running:
                        return interrupt
                    self.waiting = True
                self.done.acquire()
            except BaseException as error:  # Ctrl-C: kernels still write to the caller's arrays
                interrupt = interrupt or error


class _Pool:
    """The threads of one process; they wait on one queue of batches."""

    def __init__(self) -> None:
        self.process = os.getpid()
        self.lock = threading.Lock()
        self.workers = 0
        self.queue: SimpleQueue[_Batch] = SimpleQueue()

    def submit(self, batch: _Batch, helpers: int) -> None:
        """Ask `helpers` threads to help with a batch."""
        if self.workers < helpers:
            self.grow(min(helpers, _MOST_WORKERS))
        for _ in range(helpers):
            self.queue.put(batch)

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


def _serve(queue: "SimpleQueue[_Batch]") -> None:
    """Help with batches for ever: the body of a pool thread."""
    _this_thread.process = os.getpid()
    while True:
        queue.get().help()


_this_thread = threading.local()  # .process is set on pool threads
_pool = _Pool()


def run(tasks: Sequence[Task]) -> None:
    """Run tasks side by side and return when all have ended.

    The calling thread begins with the first task and then takes what no pool thread has begun, so this works,
    if slower, where no thread can be started. Tasks must not wait for each other. Calls from a task that runs
    on a pool thread run their tasks one after the other. Any number of threads may call at once.

    Parameters
    ----------
    tasks : sequence of callable
        Called without arguments; results are ignored.

    Raises
    ------
    BaseException
        The error of the first task, in their order, that failed, after all have ended. A KeyboardInterrupt
        that arrives meanwhile is raised when the running tasks have ended; those not begun are dropped.

    Examples
    --------
    >>> found = []
    >>> run([lambda: found.append(1), lambda: found.append(2)])
    >>> sorted(found)
    [1, 2]
    """
    if len(tasks) == 1:
        tasks[0]()
        return
    batch = _Batch(tasks)
    interrupt = None
    try:
        if getattr(_this_thread, "process", None) != os.getpid():
            _current_pool().submit(batch, len(tasks) - 1)
        batch.work()
    finally:
        try:
            interrupt = batch.wait()
        finally:
            batch.wait()  # at once, unless Ctrl-C came on the way into the first
    try:
        if interrupt is not None:
            raise interrupt
        if batch.errors:
            raise min(batch.errors, key=lambda found: found[0])[1]
    finally:
        batch.errors.clear()  # else the error, its traceback and the batch keep each other alive
        del interrupt


def _current_pool() -> _Pool:
    """Return this process's pool: after a fork the old one's threads are gone and its lock may be held."""
    global _pool
    if _pool.process != os.getpid():
        _pool = _Pool()
    return _pool


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
    parts = max(1, min(parts, total))
    each, longer = divmod(max(total, 0), parts)
    cuts = [i * each + min(i, longer) for i in range(parts + 1)]
    return [(a, b) for a, b in itertools.pairwise(cuts) if a < b]


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
