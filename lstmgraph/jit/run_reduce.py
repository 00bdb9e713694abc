"""Sums over rows: weight gradients and biases together, table gradients; outputs are split, never the sums.

So results are equal bit for bit on any number of threads, and no thread has a copy of its own.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from itertools import pairwise

import numpy as np

from lstmgraph.graph import Dim, features, node_of, operands, resize
from lstmgraph.jit.executor import Array, Context, Executor
from lstmgraph.jit.tile import over_rows_work
from lstmgraph.plugins import op
from lstmgraph.schedule.plan import Plan, Stage

Call = Callable[[int, int, int], None]


@dataclass
class _Job:
    """One call of a kernel: units are the panels or registers of columns that it can be split into."""

    name: str
    buffers: list[Array]
    sizes: Array
    work: float
    units: int
    scratch: int


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
            which = op(node.op).kernel
            if which == "products":
                self.products.setdefault(sources[1], []).append((sources[0], key))
            elif which == "sums":
                self.sums.setdefault(sources[0], []).append(key)
            else:
                self.tables.append((sources[0], sources[1], key))
        self.values = tuple(dict.fromkeys([*self.products, *self.sums]))

    def run(self, context: Context) -> None:
        """Take the sums that are wanted."""
        jobs = [job for source in self.values if (job := self._over_rows(context, source)) is not None]
        jobs += [self._scatter(context, *table) for table in self.tables if table[2] in context.wanted]
        parts = self.executor.parts(sum(job.work for job in jobs), sum(job.units for job in jobs))
        most = max((job.scratch for job in jobs), default=0)
        scratch = self.executor.take(parts * most)
        for job in jobs:
            if job.scratch:  # one stride for all jobs: threads are at different ones
                job.buffers[2], job.sizes[2] = scratch, most
        calls = [self._call(job) for job in jobs]
        if parts == 1:
            for job, call in zip(jobs, calls, strict=True):
                call(0, job.units, 0)
        else:
            self.executor.together(_spread(jobs, calls, parts))

    def _over_rows(self, context: Context, source: str) -> "_Job | None":
        """Return the sums and products of one value as a job, or None if there is nothing to do."""
        executor, target = self.executor, self.executor.target
        products = [(other, key) for other, key in self.products.get(source, ()) if key in context.wanted]
        sums = [key for key in self.sums.get(source, ()) if key in context.wanted]
        if not products and not sums:
            return None
        N = self.widths[source]
        D = context.values[source]
        R = len(D) // N
        total = executor.take(N)
        buffers = [D, total, D]  # the third is working memory, shared by all jobs
        for key in sums:
            context.values[key] = total[: max(math.prod(self.shapes[key]), 1)].reshape(self.shapes[key])
        for other, key in products:
            out = executor.take(self.widths[other] * N)
            context.values[key] = out.reshape(self.shapes[key])
            buffers += [context.values[other], out]
        if R == 0:
            for out in (total, *buffers[4::2]):
                out[:] = 0
            return None
        columns = [self.widths[other] for other, _ in products]
        work = over_rows_work(target, sum(columns))
        sizes = np.array([R, N, work, bool(sums), len(products), *columns], np.int64)
        panels = -(-N // (target.vectors * target.width))
        return _Job("over_rows", buffers, sizes, R * N * (2 * sum(columns) + 8), panels, work)

    def _scatter(self, context: Context, source: str, index: str, key: str) -> "_Job":
        N = self.widths[source]
        D = context.values[source]
        table = self.executor.take(self.shapes[key][0] * N)
        table[:] = 0
        context.values[key] = table.reshape(self.shapes[key])
        sizes = np.array([len(D) // N, N], np.int64)
        vectors = -(-N // self.executor.target.width)
        return _Job("scatter", [D, context.values[index], table], sizes, 16 * len(D), vectors, 0)

    def _call(self, job: "_Job") -> Call:
        """Return the job as a function of its panels and the slot; it holds the buffers."""
        function, handles = self.executor.support(job.name), self.executor.handles(job.buffers)
        buffers, sizes = job.buffers, job.sizes

        def call(b0: int, b1: int, slot: int, alive: object = buffers) -> None:
            function(handles, sizes, 0, 1, b0, b1, slot)

        return call


def _spread(jobs: list["_Job"], calls: list[Call], parts: int) -> list[Callable[[], None]]:
    """Give each thread about the same work: runs of panels of one or more values."""
    total = sum(job.work for job in jobs)
    tasks: list[list[Callable[[], None]]] = [[] for _ in range(parts)]
    done = 0.0
    for job, call in zip(jobs, calls, strict=True):
        middles = (done + job.work * (np.arange(job.units) + 0.5) / job.units) * parts / total
        owners = np.minimum(middles.astype(int), parts - 1)
        edges = [0, *(np.flatnonzero(np.diff(owners)) + 1).tolist(), job.units]
        for b0, b1 in pairwise(edges):
            slot = int(owners[b0])
            tasks[slot].append(partial(call, b0, b1, slot))
        done += job.work
    return [partial(_in_turn, turns) for turns in tasks if turns]


def _in_turn(calls: list[Callable[[], None]]) -> None:
    for call in calls:
        call()
