"""Recur stages: a cell over time, on slices of the batch, a few steps a call so that Ctrl-C is heard."""

from collections.abc import Mapping

import numpy as np

from lstmgraph.graph import Dim, resize
from lstmgraph.jit import threads
from lstmgraph.jit.executor import Array, Context, Executor, row_work
from lstmgraph.jit.layout import Buffer
from lstmgraph.jit.operands import Operands
from lstmgraph.jit.rows import Rows
from lstmgraph.schedule.plan import Plan, Stage

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
        self.keeps = [str(dim)[5:] if str(dim).startswith("keep:") else "" for dim in self.kernel.sizes]
        self.sizes = np.array([_size(dim, inner) for dim in self.kernel.sizes], np.int64)
        self.work = row_work(self.kernel, inner)

    def run(self, context: Context) -> None:
        """Run all steps and put the wanted results into the context."""
        rows = context.rows
        results = [(kind, name, key) for kind, name, key in self.results if key in context.wanted]
        kept = {name for kind, name, _ in results if kind == "output"}
        histories = {state for output, state in self.aliases.items() if output in kept}
        histories |= {name for kind, name, _ in results if kind == "previous"}
        states = {name: self._state(context, name, name in histories) for name in self.widths}
        outputs = {
            name: self.executor.take((rows.count if name in kept else rows.B) * width)
            for name, width in self.outputs.items()
        }
        if rows.count:
            self._loop(context, states, outputs, kept, histories)
        for kind, name, key in results:
            if kind == "output" and name in outputs:
                context.values[key] = outputs[name]
                continue
            state = self.aliases[name] if kind == "output" else name
            if kind == "final":
                context.values[key] = self._final(rows, states[state], self.widths[state], state in histories)
            else:
                context.values[key] = _history(
                    rows, states[state], self.widths[state], (kind == "output") != self.reverse
                )

    def _state(self, context: Context, name: str, history: bool) -> Array:
        """Return a state's rows with its initial value in place."""
        rows, width = context.rows, self.widths[name]
        initial = context.values[self.initial[name]].reshape(rows.B, width)
        state = self.executor.take((rows.B + (rows.count if history else rows.B)) * width)
        table = state.reshape(-1, width)
        if self.reverse:
            table[rows.ends if history else rows.two_block_ends] = initial
        else:
            table[: rows.B] = initial
        return state

    def _final(self, rows: Rows, state: Array, width: int, history: bool) -> Array:
        """Return a copy of each row's last value, which outlives the history."""
        table = state.reshape(-1, width)
        if self.reverse:
            return table[: rows.B].reshape(-1).copy()
        return table[rows.ends if history else rows.two_block_ends].reshape(-1)

    def _loop(
        self,
        context: Context,
        states: Mapping[str, Array],
        outputs: Mapping[str, Array],
        kept: set[str],
        histories: set[str],
    ) -> None:
        rows, executor = context.rows, self.executor
        parts = executor.parts(self.work * rows.count, rows.B)
        if rows.order is None:
            spans = threads.slices(rows.B, parts)
        else:
            spans = threads.balanced_slices(rows.sorted_lengths, parts)

        def place(buffer: Buffer) -> Array:
            role, name = buffer.role, buffer.name
            if role == "starts":
                return rows.starts
            if role == "blocks":
                return rows.starts if name in histories else rows.two_blocks
            if role == "state":
                return states[name]
            if role == "output":
                return outputs[name]
            if role == "scratch":
                return executor.take(rows.B * self.scratch[name])
            return self.operands.buffer(buffer, context, len(spans))

        buffers = [place(buffer) for buffer in self.kernel.buffers]
        sizes = self.sizes.copy()
        sizes[0] = rows.T
        for position, name in enumerate(self.keeps):
            if name:
                sizes[position] = name in kept
        function = executor.function(self.kernel, self.title)
        chunk = max(1, int(CHUNK / max(self.work * rows.B / len(spans), 1)))
        for t0 in range(0, rows.T, chunk):
            executor.call(function, buffers, sizes, spans, t0, min(t0 + chunk, rows.T))


def _parts(name: str) -> tuple[str, str]:
    kind, _, result = name.partition(":")
    return kind, result


def _size(dim: Dim, sizes: Mapping[Dim, Dim]) -> int:
    return 0 if dim == "T" or str(dim).startswith("keep:") else int(resize(dim, sizes))


def _history(rows: Rows, state: Array, width: int, after: bool) -> Array:
    """Return the rows after (or before) each step; views unless rows have different lengths."""
    if after:
        return state[rows.B * width : (rows.B + rows.count) * width]
    if rows.before is None:
        return state[: rows.count * width]
    packed: Array = state.reshape(-1, width)[rows.before]
    return packed.reshape(-1)
