"""Sums over rows: weight gradients and biases together, table gradients; outputs are split, never the sums.

So results are equal bit for bit on any number of threads, and no thread has a copy of its own.
"""

from collections.abc import Callable, Mapping
from functools import partial
from itertools import pairwise

import numpy as np

from lstmgraph.graph import Dim, features, node_of, operands, resize
from lstmgraph.jit.executor import Array, Context, Executor
from lstmgraph.jit.tile import over_rows_work
from lstmgraph.schedule.plan import Plan, Stage


class RunReduce:
    """All sums over rows that can be taken at one point of a plan; those of one value are taken in one pass over it."""

    def __init__(
        self, stage: Stage, plan: Plan, executor: Executor, sizes: Mapping[Dim, Dim], fixed: frozenset[str]
    ) -> None:
        self.executor = executor
        graph = plan.traced.graph
        self.shapes: dict[str, tuple[int, ...]] = {}
        self.sums: dict[str, list[str]] = {}  # value -> its column sums
        self.products: dict[str, list[tuple[str, str]]] = {}  # value -> (the other value, the sum of outer products)
        self.tables: list[tuple[str, str, str]] = []
        self.widths: dict[str, int] = {}
        for _, key in stage.results:
            node, sources = node_of(graph, key), operands(graph, key)
            self.shapes[key] = tuple(int(resize(dim, sizes)) for dim in node.shape)
            for source in sources:
                shape = features(node_of(graph, source).shape)
                self.widths[source] = int(resize(shape[-1], sizes)) if shape else 1
            if node.op == "outer":
                self.products.setdefault(sources[1], []).append((sources[0], key))
            elif node.op == "batch_sum":
                self.sums.setdefault(sources[0], []).append(key)
            else:
                self.tables.append((sources[0], sources[1], key))

    def run(self, context: Context) -> None:
        """Take the sums that are wanted."""
        jobs: list[tuple[float, int, Callable[[int, int, int], None]]] = []
        for source in dict.fromkeys([*self.products, *self.sums]):
            self._over_rows(context, source, jobs)
        for source, index, key in self.tables:
            if key in context.wanted:
                self._scatter(context, source, index, key, jobs)
        self._spread(jobs)

    def _over_rows(
        self, context: Context, source: str, jobs: list[tuple[float, int, Callable[[int, int, int], None]]]
    ) -> None:
        executor, target = self.executor, self.executor.target
        products = [(other, key) for other, key in self.products.get(source, ()) if key in context.wanted]
        sums = [key for key in self.sums.get(source, ()) if key in context.wanted]
        if not products and not sums:
            return
        N = self.widths[source]
        D = context.values[source]
        R = len(D) // N
        total = executor.take(N)
        made = [(other, key, executor.take(self.widths[other] * N)) for other, key in products]
        for key in sums:
            context.values[key] = total[: max(int(np.prod(self.shapes[key])), 1)].reshape(self.shapes[key])
        for _, key, out in made:
            context.values[key] = out.reshape(self.shapes[key])
        if R == 0:
            for out in [total, *(out for _, _, out in made)]:
                out[:] = 0
            return
        columns = [self.widths[other] for other, _, _ in made]
        work = over_rows_work(target, sum(columns))
        panels = -(-N // (target.vectors * target.width))
        scratch = executor.take(min(executor.threads, panels * 8) * work)
        buffers = [D, total, scratch]
        for other, _, out in made:
            buffers += [context.values[other], out]
        sizes = np.array([R, N, work, bool(sums), len(made), *columns], np.int64)
        self._job(executor.support("over_rows"), buffers, sizes, R * N * (2 * sum(columns) + 8), panels, jobs)

    def _scatter(
        self,
        context: Context,
        source: str,
        index: str,
        key: str,
        jobs: list[tuple[float, int, Callable[[int, int, int], None]]],
    ) -> None:
        N = self.widths[source]
        D = context.values[source]
        table = self.executor.take(self.shapes[key][0] * N)
        table[:] = 0
        context.values[key] = table.reshape(self.shapes[key])
        sizes = np.array([len(D) // N, N], np.int64)
        vectors = -(-N // self.executor.target.width)
        buffers = [D, context.values[index], table]
        self._job(self.executor.support("scatter"), buffers, sizes, 16 * len(D), vectors, jobs)

    def _job(
        self,
        function: Callable[..., None],
        buffers: list[Array],
        sizes: Array,
        work: float,
        units: int,
        jobs: list[tuple[float, int, Callable[[int, int, int], None]]],
    ) -> None:
        handles = self.executor.handles(buffers)

        def call(b0: int, b1: int, slot: int, alive: object = buffers) -> None:
            function(handles, sizes, 0, 1, b0, b1, slot)

        jobs.append((work / units, units, call))

    def _spread(self, jobs: list[tuple[float, int, Callable[[int, int, int], None]]]) -> None:
        """Give each thread about the same work: a run of panels of one or more values."""
        total = sum(work * units for work, units, _ in jobs) or 1.0
        parts = self.executor.parts(total, sum(units for _, units, _ in jobs) or 1)
        tasks: list[list[Callable[[], None]]] = [[] for _ in range(parts)]
        done = 0.0
        for work, units, call in jobs:
            middles = (done + work * (np.arange(units) + 0.5)) * parts / total
            owners = np.minimum(middles.astype(int), parts - 1)
            edges = [0, *(np.flatnonzero(np.diff(owners)) + 1).tolist(), units]
            for b0, b1 in pairwise(edges):
                slot = int(owners[b0])
                tasks[slot].append(partial(call, b0, b1, slot))
            done += work * units
        self.executor.together([partial(_in_turn, calls) for calls in tasks if calls])


def _in_turn(calls: list[Callable[[], None]]) -> None:
    for call in calls:
        call()
