"""Sums over rows: weight gradients and biases together, table gradients; outputs are split, never the sums.

So results are equal bit for bit on any number of threads, and no thread has a copy of its own. Each sum is one chain
from the last row to the first, so those of the steps before can go on from those of the steps after, bit for bit.
"""

import copy
import itertools
import math
from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from lstmgraph.graph import Dim, features, lead, node_of, operands, resize
from lstmgraph.jit.executor import Array, Executor
from lstmgraph.jit.frame import Entry, Ref
from lstmgraph.jit.player import Call
from lstmgraph.jit.run_rows import SWEEP
from lstmgraph.jit.tape import Tape
from lstmgraph.jit.tile import over_rows_turns, over_rows_work
from lstmgraph.plugins import op
from lstmgraph.schedule.plan import Plan, Stage


@dataclass
class _Job:
    """One call of a kernel: units are the panels or registers of columns that it can be split into."""

    name: str
    buffers: list[Ref]
    sizes: Array
    counted: bool  # whether the first size is the rows of all steps
    work: float
    units: int
    scratch: int


@dataclass
class _Sums:
    """What is wanted of one value: its own sum, its products with others; its buffer and those of the results.

    More results may be the same sum: parameters of shapes [] and [1], say. Each is an array of its own.
    """

    rows: int
    counted: bool  # whether they are of all steps
    width: int
    total: bool
    products: list[str]
    buffers: list[Ref]
    alike: list[Ref]


class RunReduce:
    """All sums over rows that can be taken at one point of a plan; those of one value are taken in one pass over it."""

    def __init__(
        self, stage: Stage, plan: Plan, executor: Executor, sizes: Mapping[Dim, Dim], fixed: frozenset[str]
    ) -> None:
        self.executor = executor
        self.goes_on = False
        graph = plan.traced.graph
        self.shapes: dict[str, tuple[int, ...]] = {}
        self.sums: dict[str, list[str]] = {}  # value -> its column sums
        self.products: dict[str, list[tuple[str, str]]] = {}  # value -> (the other value, the sum of outer products)
        self.tables: list[tuple[str, str, str]] = []
        self.widths: dict[str, int] = {}
        self.leaves = {key: node_of(graph, key).shape for _, key in stage.sources}
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

    @cached_property
    def onward(self) -> "RunReduce":
        """The same sums, going on from what the caller's arrays hold, in place."""
        found = copy.copy(self)
        found.goes_on = True
        return found

    def record(self, tape: Tape) -> None:
        """Add the sums that are wanted to a tape."""
        groups: dict[Hashable, list[_Sums]] = {}
        for source in self.values:
            sums = self._sums(tape, source)
            if sums is not None:
                groups.setdefault((sums.rows, sums.counted, sums.width, sums.total, tuple(sums.products)), []).append(
                    sums
                )
        jobs = [self._over_rows(tape, group) for group in groups.values()]
        jobs += [self._scatter(tape, *table) for table in self.tables if table[2] in tape.wanted]
        if not jobs:
            return
        parts = self.executor.parts(sum(job.work for job in jobs), sum(job.units for job in jobs))
        most = max(job.scratch for job in jobs)
        scratch = tape.take(parts * most)
        for job in jobs:
            if job.scratch:  # one stride for all jobs: threads are at different ones
                job.buffers[0], job.sizes[2] = scratch, most
        entries = [Entry(self.executor.support(job.name), tuple(job.buffers), job.sizes, job.counted) for job in jobs]
        tape.launch(entries, _spread(jobs, parts), sum(job.work for job in jobs))
        for sums in itertools.chain(*groups.values()):
            for result in sums.alike:
                tape.copy(result, sums.buffers[1])

    def _sums(self, tape: Tape, source: str) -> "_Sums | None":
        """Return what is wanted of one value; None if there is nothing to do."""
        products = {other: key for other, key in self.products.get(source, ()) if key in tape.wanted}
        totals = [key for key in self.sums.get(source, ()) if key in tape.wanted]
        if not products and not totals:
            return None
        N = self.widths[source]
        D = tape.read(source, self.leaves[source])
        keys = [*totals, *products.values()]
        if self.goes_on:
            own = [tape.read(key, self.shapes[key]) for key in keys]
        else:
            own = [tape.take(math.prod(self.shapes[key])) for key in keys]
            for key, out in zip(keys, own, strict=True):
                tape.give(key, out, self.shapes[key])
        if D.count == 0:
            for out in () if self.goes_on else own:
                tape.clear(out)
            return None
        total, alike, results = own[0] if totals else tape.take(N), own[1 : len(totals)], own[len(totals) :]
        return _Sums(D.count // N, self._counted(source), N, bool(totals), list(products), [D, total, *results], alike)

    def _over_rows(self, tape: Tape, group: list["_Sums"]) -> "_Job":
        """Return the sums of values that are multiplied by the same others as a job."""
        target, (first, *_) = self.executor.target, group
        columns = [self.widths[other] for other in first.products]
        panels = len(group) * -(-first.width // (target.vectors * target.width))
        turns = min(over_rows_turns(target, sum(columns)), panels)
        work = over_rows_work(target, sum(columns), turns)
        counts = [first.rows, first.width, work, first.total, turns, self.goes_on, len(columns), *columns]
        others = [tape.read(other, self.leaves[other]) for other in first.products]
        buffers = [others[0] if others else first.buffers[0], *others, *(ref for each in group for ref in each.buffers)]
        cost = len(group) * first.rows * first.width * (2 * sum(columns) + 8)
        return _Job("over_rows", buffers, np.array(counts, np.int64), first.counted, cost, panels, work)

    def _scatter(self, tape: Tape, source: str, index: str, key: str) -> "_Job":
        N = self.widths[source]
        D = tape.read(source, self.leaves[source])
        if self.goes_on:
            table = tape.read(key, self.shapes[key])
        else:
            table = tape.take(self.shapes[key][0] * N)
            tape.clear(table)
            tape.give(key, table, self.shapes[key])
        sizes = np.array([D.count // N, N], np.int64)
        vectors = -(-N // self.executor.target.width)
        buffers = [D, tape.read(index, self.leaves[index]), table]
        return _Job("scatter", buffers, sizes, self._counted(source), 16 * D.count, vectors, 0)

    def _counted(self, source: str) -> bool:
        """Whether the rows of a value are those of all steps."""
        return len(lead(self.leaves[source])) == 2


def _spread(jobs: list["_Job"], parts: int) -> list[list[list[Call]]]:
    """Give each thread about the same work: runs of panels of one or more values, in rounds between looks at Ctrl-C."""
    total = sum(job.work for job in jobs)
    tasks: list[list[tuple[float, Call]]] = [[] for _ in range(parts)]
    done = 0.0
    for entry, job in enumerate(jobs):
        middles = (done + job.work * (np.arange(job.units) + 0.5) / job.units) * parts / max(total, 1)
        owners = np.minimum(middles.astype(int), parts - 1)
        edges = [0, *(np.flatnonzero(np.diff(owners)) + 1).tolist(), job.units]
        for b0, b1 in itertools.pairwise(edges):
            slot, each = int(owners[b0]), job.work / job.units
            step = max(1, int(SWEEP / max(each, 1)))
            for b in range(b0, b1, step):
                end = min(b + step, b1)
                tasks[slot].append(((end - b) * each, (entry, 0, 1, b, end, slot)))
        done += job.work
    return _in_rounds(tasks)


def _in_rounds(tasks: list[list[tuple[float, Call]]]) -> list[list[list[Call]]]:
    """Cut each thread's calls, with their work, where as much is done as may be between two looks at Ctrl-C."""
    rounds: dict[int, dict[int, list[Call]]] = {}
    for slot, calls in enumerate(tasks):
        done = 0.0
        for work, call in calls:
            rounds.setdefault(int(done / SWEEP), {}).setdefault(slot, []).append(call)
            done += work
    return [list(rounds[number].values()) for number in sorted(rounds)]
