"""Recur stages: a cell over time, on slices of the batch, a few steps a call so that Ctrl-C is heard."""

from collections.abc import Mapping

import numpy as np

from lstmgraph.graph import LEAD, Dim, resize
from lstmgraph.jit import threads
from lstmgraph.jit.executor import Array, Executor, row_work
from lstmgraph.jit.frame import Entry, Ref
from lstmgraph.jit.layout import Ahead, Buffer, Size
from lstmgraph.jit.operands import Operands
from lstmgraph.jit.player import Rounds
from lstmgraph.jit.rows import Extent, Rows
from lstmgraph.jit.tape import Table as RowTable
from lstmgraph.jit.tape import Tape
from lstmgraph.schedule.plan import Plan, Stage
from lstmgraph.schedule.tables import WIDE, Table, are_few, table_of
from lstmgraph.traced import Cell

AHEAD_BYTES = 1 << 17  # of matrices for inputs: what a step would walk through again and again
AHEAD_ROWS = 16  # rows of a batch up to which that walk is most of a step
SHARED_BYTES = 1 << 17  # of matrices for each thread: what a step must walk through to be worth a meeting of threads
LARGE_BYTES = 1 << 21  # of matrices that no core's own cache holds beside the rest
LARGE_ROWS = 32  # rows of a thread up to which walking through such matrices is more than what is done with them
SHARED_WORK = 5_000_000  # floating-point operations of all steps that are worth waiting for other threads to come
MEETING = 32  # elements that hold the word where threads meet, in a line of the cache of its own
PROJECTED = 96  # rows of one call of `project`; a multiple of the tile's rows
CHUNK = 2_000_000_000  # floating-point operations of one call of a kernel: about 50 ms


class RunRecur:
    """One recur stage.

    A state that something reads at every step keeps its history, one block of rows a step; any other has two
    blocks in turn. Which it is, is data of the call, not code: the kernel looks up where a step's rows begin.
    """

    def __init__(
        self, stage: Stage, plan: Plan, executor: Executor, sizes: Mapping[Dim, Dim], fixed: frozenset[str]
    ) -> None:
        assert stage.kernel is not None and stage.cell is not None
        inner = {symbol: resize(dim, sizes) for symbol, dim in stage.sizes}
        self.executor, self.kernel, self.title = executor, stage.kernel, stage.cell.name
        self.operands = Operands(stage, plan, executor, inner, fixed)
        self.reverse = stage.reverse
        self.results = [(*_parts(name), key) for name, key in stage.results]
        self.aliases = dict(self.kernel.aliases)
        cell = stage.cell
        self.widths = {name: int(resize(cell.leaves[f"state:{name}"].shape[-1], inner)) for name in cell.states}
        self.initial = {name: self.operands.sources[f"state:{name}"] for name in cell.states}
        self.outputs = {b.name: int(resize(b.size, inner)) for b in self.kernel.buffers if b.role == "output"}
        self.scratch = {b.name: int(resize(b.size, inner)) for b in self.kernel.buffers if b.role == "scratch"}
        self.ahead = [_dims(each, stage.cell, inner) for each in self.kernel.ahead]
        self.tables = [self._table(each, stage, plan, fixed) for each in self.kernel.ahead]
        self.keeps = [size.name if size.kind == "keep" else "" for size in self.kernel.sizes]
        self.sizes = np.array([_usual(size, inner) for size in self.kernel.sizes], np.int64)
        self.work = row_work(self.kernel, inner)
        self.bytes = [
            int(resize(pack.rows, inner))
            * int(resize(pack.columns, inner))
            * len(pack.parameters)
            * executor.dtype.itemsize
            for pack in self.kernel.packs
        ]

    def _table(self, ahead: Ahead, stage: Stage, plan: Plan, fixed: frozenset[str]) -> Table | None:
        """Return the table that the rows of an input are of, if it is known before the loop."""
        if len(ahead.terms) != 1 or stage.phase:
            return None
        table = table_of(plan.traced.graph, self.operands.sources[f"input:{ahead.terms[0][0]}"])
        return table if table is not None and table.key in fixed else None

    def record(self, tape: Tape) -> None:
        """Add all steps to a tape, and say where the wanted results lie."""
        results = [(kind, name, key) for kind, name, key in self.results if key in tape.wanted]
        kept = {name for kind, name, _ in results if kind == "output"}
        histories = {state for output, state in self.aliases.items() if output in kept}
        histories |= {name for kind, name, _ in results if kind == "previous"}
        states = {name: self._state(tape, name, name in histories) for name in self.widths}
        outputs = {name: self._output(tape, name, width, name in kept) for name, width in self.outputs.items()}
        if tape.extent.room:
            self._loop(tape, states, outputs, kept, histories)
        for kind, name, key in results:
            if kind == "output" and name in outputs:
                tape.give(key, outputs[name])
                continue
            state = self.aliases[name] if kind == "output" else name
            if kind == "final":
                tape.give(key, self._final(tape, states[state], state, state in histories))
            else:
                after = (kind == "output") != self.reverse
                tape.give(key, _history(tape, states[state], self.widths[state], after))

    def _output(self, tape: Tape, name: str, width: int, kept: bool) -> Ref:
        """Return the rows of an output: in place of an input that nobody reads any more, if it may be."""
        if not kept:
            return tape.take(tape.extent.B * width)
        sources = list(self.operands.sources.values())
        for output, given in self.kernel.in_place:
            key = self.operands.sources[f"input:{given}"]
            if output == name and sources.count(key) == 1 and (place := tape.replace(key, self)) is not None:
                return place
        return tape.take(tape.extent.room * width)

    def _state(self, tape: Tape, name: str, history: bool) -> Ref:
        """Return a state's rows, its initial value put in place by a step."""
        extent, width = tape.extent, self.widths[name]
        initial = tape.read(self.initial[name], ("B", width))
        state = tape.take((extent.B + (extent.room if history else extent.B)) * width)
        if self.reverse and extent.ragged:
            tape.put_rows(state, initial, _ends(history), width)
        else:
            tape.copy(state.part(_block(extent, history, self.reverse) * width, extent.B * width), initial)
        return state

    def _final(self, tape: Tape, state: Ref, name: str, history: bool) -> Ref:
        """Return a copy of each row's last value, which outlives the history."""
        extent, width = tape.extent, self.widths[name]
        final = tape.take(extent.B * width)
        if self.reverse or not extent.ragged:
            tape.copy(final, state.part(_block(extent, history, not self.reverse) * width, extent.B * width))
        else:
            tape.take_rows(final, state, _ends(history), width)
        return final

    def _loop(
        self,
        tape: Tape,
        states: Mapping[str, Ref],
        outputs: Mapping[str, Ref],
        kept: set[str],
        histories: set[str],
    ) -> None:
        extent, executor, sizes = tape.extent, self.executor, self.sizes.copy()
        sizes[0] = extent.T
        for position, name in enumerate(self.keeps):
            if name:
                sizes[position] = name in kept
        ahead = [self._project(tape, place, sizes) for place in range(len(self.ahead))]
        shared = self._threads_of_a_row(extent, [result.count > 0 for result, _ in ahead])
        parts = shared if shared > 1 else executor.parts(self.work * extent.room, extent.B)
        meeting = tape.take(MEETING) if shared > 1 else tape.constant(np.zeros(1, np.int64))
        if shared > 1:
            tape.clear(meeting)

        def place(buffer: Buffer) -> Ref:
            role, name = buffer.role, buffer.name
            if role == "starts":
                return tape.table(lambda rows: rows.starts)
            if role == "blocks":
                return tape.table(_blocks(name in histories))
            if role == "state":
                return states[name]
            if role == "output":
                return outputs[name]
            if role == "scratch":
                return tape.take(extent.B * self.scratch[name])
            if role == "meeting":
                return meeting
            if role in ("ahead", "places"):
                return ahead[int(name)][role == "places"]
            return self.operands.buffer(buffer, tape, parts)

        entry = Entry(
            executor.function(self.kernel, self.title), tuple(place(buffer) for buffer in self.kernel.buffers), sizes
        )
        self._launch(tape, entry, parts, shared > 1)

    def _launch(self, tape: Tape, entry: Entry, parts: int, shared: bool) -> None:
        """Add the loop on some threads, which share the units of each row or have rows of their own."""
        T, B, work = tape.extent.T, tape.extent.B, self.work * tape.extent.room
        chunk = max(1, int(CHUNK / max(self.work * B / parts, 1)))
        times = [(t0, min(t0 + chunk, T)) for t0 in range(0, T, chunk)]
        if shared:
            rounds = [[[(0, t0, t1, 0, B, slot)] for slot in range(parts)] for t0, t1 in times]
            alone = [[(1, t0, t1, 0, B, 0)] for t0, t1 in times]
            tape.launch([self._shared(entry, parts), entry], rounds, work, alone)
            return

        def share(rows: Rows) -> Rounds:
            spans = rows.slices(parts)
            return [[[(0, t0, t1, b0, b1, slot)] for slot, (b0, b1) in enumerate(spans)] for t0, t1 in times]

        tape.launch([entry], share, work)

    def _shared(self, entry: Entry, parts: int) -> Entry:
        """Return the kernel for some threads that share the units of each row."""
        sizes = entry.sizes.copy()
        sizes[self.kernel.sizes.index(Size("parts"))] = parts
        return Entry(entry.function, entry.refs, sizes)

    def _threads_of_a_row(self, extent: Extent, ahead: list[bool]) -> int:
        """Return how many threads compute the units of each row together: too few rows, or matrices that are large.

        Then each walks through its part of the matrices alone, which lies in its own cache, and they meet after every
        block of a step. Matrices of products computed ahead are not walked through.
        """
        executor = self.executor
        done = {pack for each, there in zip(self.kernel.ahead, ahead, strict=True) if there for _, pack in each.terms}
        size = sum(size for pack, size in enumerate(self.bytes) if pack not in done)
        few = LARGE_ROWS * executor.threads if size >= LARGE_BYTES else executor.threads - 1
        if not executor.compiled or few < extent.B or self.work * extent.room < SHARED_WORK:
            return 1
        return max(1, min(executor.threads, size // SHARED_BYTES))

    def _project(self, tape: Tape, place: int, sizes: Array) -> tuple[Ref, Ref]:
        """Compute the products with inputs for all steps at once, where that is quicker than step by step.

        The sums are those of the loop, bit for bit: a tile goes on from them as it would from its own. Rows of a
        table are multiplied once each. Returned are the products and which of their rows is each row's.
        """
        ahead, extent, executor = self.kernel.ahead[place], tape.extent, self.executor
        K, N = self.ahead[place]
        width, size = executor.target.width, executor.dtype.itemsize
        panels = -(-N // (ahead.panel * width))
        columns = panels * ahead.registers * width
        few = self._few(tape, place)
        if few is None and (extent.T < 2 or extent.B > AHEAD_ROWS or sum(K) * columns * size < AHEAD_BYTES):
            return tape.take(0), tape.constant(np.empty(0, np.int64))
        count = extent.room if few is None else few[0].count // K[0]
        sizes[self.kernel.sizes.index(Size("ahead", place))] = columns
        result = tape.take(count * columns)
        work = 2.0 * sum(K) * columns * count
        parts = executor.parts(work, count)

        def share(rows: Rows) -> Rounds:
            spans = threads.slices(rows.count if few is None else count, parts)
            return [
                [
                    [(0, 0, 1, b, min(b + PROJECTED, b1), slot) for b in range(b0, b1, PROJECTED)]
                    for slot, (b0, b1) in enumerate(spans)
                ]
            ]

        for term, (name, pack) in enumerate(ahead.terms):
            source = few[0] if few else self.operands.buffer(Buffer("input", name), tape, 1)
            packed = self.operands.buffer(Buffer("pack", str(pack)), tape, 1)
            entry = Entry(
                executor.support("project"),
                (source, packed, result),
                np.array([K[term], panels, ahead.registers, term > 0], np.int64),
            )
            tape.launch([entry], share, work)
        return result, few[1] if few else tape.constant(np.arange(count, dtype=np.int64))

    def _few(self, tape: Tape, place: int) -> tuple[Ref, Ref] | None:
        """Return the table of an input and which of its rows is each row's, if they are few, else None."""
        table, (K, _) = self.tables[place], self.ahead[place]
        if table is None or K[0] < WIDE or not are_few(int(resize(table.shape[0], tape.sizes)), tape.extent.room):
            return None
        return tape.read(table.key, table.shape), tape.read(table.index, LEAD)


def _dims(ahead: Ahead, cell: Cell, sizes: Mapping[Dim, Dim]) -> tuple[list[int], int]:
    """Return the features of each input, and the columns of the product."""
    K = [int(resize(cell.leaves[f"input:{name}"].shape[-1], sizes)) for name, _ in ahead.terms]
    return K, int(resize(ahead.columns, sizes))


def _parts(name: str) -> tuple[str, str]:
    kind, _, result = name.partition(":")
    return kind, result


def _usual(size: Size, sizes: Mapping[Dim, Dim]) -> int:
    """Return what a run-time size is unless a recording says otherwise."""
    return int(resize(size.name, sizes)) if size.kind == "dim" else int(size.kind == "parts")


def _history(tape: Tape, state: Ref, width: int, after: bool) -> Ref:
    """Return the rows after (or before) each step; a part of the state unless rows have different lengths."""
    extent = tape.extent
    if after or not extent.ragged:
        return state.part(extent.B * width if after else 0, extent.room * width)
    packed = tape.take(extent.room * width)
    tape.take_rows(packed, state, lambda rows: rows.before, width)
    return packed


def _block(extent: Extent, history: bool, last: bool) -> int:
    """Return the first row of the first or the last block of a state, where no row ends before another."""
    return (extent.T if history else extent.T % 2) * extent.B if last else 0


def _blocks(history: bool) -> RowTable:
    """Return where the blocks of a state begin."""
    return (lambda rows: rows.starts) if history else (lambda rows: rows.two_blocks)


def _ends(history: bool) -> RowTable:
    """Return which row of a state is each row's last."""
    return (lambda rows: rows.ends) if history else (lambda rows: rows.two_block_ends)
