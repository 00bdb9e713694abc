"""Runs the stages of a plan: leases buffers, packs matrices, calls kernels on slices of rows."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np

from lstmgraph import settings
from lstmgraph.graph import Dim, Node, features, node_of, resize
from lstmgraph.interpreter import concrete
from lstmgraph.jit import threads
from lstmgraph.jit.arena import Arena
from lstmgraph.jit.cache import Module, compile_module
from lstmgraph.jit.layout import Buffer, Kernel, Pack
from lstmgraph.jit.machine import Machine
from lstmgraph.jit.rows import Rows
from lstmgraph.jit.tile import SUPPORT, outer_work, support_source, tiles_source
from lstmgraph.plugins import op
from lstmgraph.schedule.plan import Plan, Stage

Array = np.ndarray[Any, Any]
SLICE_WORK = 1_000_000  # floating-point operations below which a second thread costs more than it brings
CHUNK_WORK = 2_000_000_000  # of one call of a kernel: about 50 ms, so that Ctrl-C is heard
CHUNK_ROWS = 128  # rows that a row stage takes at a time, so that its scratch stays in the cache


@dataclass
class Context:
    """What one run works with.

    Parameters
    ----------
    sizes : dict
        Symbol -> size.
    rows : Rows
        The batch.
    values : dict
        Key -> array: sequences packed and flat, batch rows [B * n] sorted, parameters as they are.
    packs : dict
        (stage key, pack) -> packed matrix, made on first use; shared by runs of one bind.
    wanted : frozenset of keys
        What the caller or a later stage reads.
    """

    sizes: Mapping[Dim, Dim]
    rows: Rows
    values: dict[str, Any]
    packs: dict[tuple[str, int], Array] = field(default_factory=dict)
    fixed: frozenset[str] = frozenset()
    wanted: frozenset[str] = frozenset()


class Executor:
    """Compiles the kernels of a plan when they are first needed, and runs its stages."""

    def __init__(self, target: Machine, thread_count: int) -> None:
        self.target = target
        self.threads = thread_count
        self.dtype = np.dtype(target.dtype)
        self.arena = Arena()
        self._tiles: Module | None = None
        self._functions: dict[str, Callable[..., None]] = {}

    def tiles(self) -> Module:
        """Return the register tiles."""
        if self._tiles is None:
            self._tiles = compile_module(tiles_source(self.target), (), dtype=self.target.dtype, width=self.target.width)
        return self._tiles

    def function(self, kernel: Kernel, title: str) -> Callable[..., None]:
        """Return the compiled function of a kernel."""
        if kernel.source not in self._functions:
            module = compile_module(
                kernel.source, (kernel.name,), dtype=self.target.dtype, width=self.target.width, uses=(self.tiles(),), title=title
            )
            self._functions[kernel.source] = module.functions[kernel.name]
        return self._functions[kernel.source]

    def support(self, name: str) -> Callable[..., None]:
        """Return one of the kernels that serve every cell."""
        if name not in self._functions:
            source = support_source(self.target)
            module = compile_module(source, SUPPORT, dtype=self.target.dtype, width=self.target.width, uses=(self.tiles(),))
            self._functions.update({entry: module.functions[entry] for entry in SUPPORT})
        return self._functions[name]

    def run(self, stage: Stage, plan: Plan, context: Context) -> None:
        """Run one stage: its results go into the context."""
        runners = {"once": self._once, "fill": self._fill, "rows": self._rows, "recur": self._recur, "reduce": self._reduce}
        runners[stage.form](stage, plan, context)

    # ---- NumPy on parameters

    def _once(self, stage: Stage, plan: Plan, context: Context) -> None:
        node = node_of(plan.traced.graph, stage.key)
        with np.errstate(all="ignore"):
            value = op(node.op).meaning(*(self._array(plan, context, key) for _, key in stage.sources), **concrete(node.attrs, context.sizes))
        context.values[stage.key] = np.asarray(value, self.dtype)

    def _array(self, plan: Plan, context: Context, key: str) -> Any:
        node = node_of(plan.traced.graph, key)
        return np.asarray(node.attr("value"), self.dtype) if node.op == "constant" else context.values[key]

    def _fill(self, stage: Stage, plan: Plan, context: Context) -> None:
        node = node_of(plan.traced.graph, stage.key)
        count = context.rows.count if len(stage.rows) == 2 else context.rows.B
        value = self._array(plan, context, stage.sources[0][1])
        made = self.arena.take(count * self._width(node, context), self.dtype)
        made.reshape(count, -1)[:] = value
        context.values[stage.key] = made

    def _width(self, node: Node, context: Context) -> int:
        return int(resize(features(node.shape)[-1], context.sizes)) if features(node.shape) else 1

    # ---- calling

    def _call(
        self, function: Callable[..., None], buffers: list[Array], sizes: Array, spans: list[tuple[int, int]], t0: int, t1: int
    ) -> None:
        """Call a kernel on several spans of rows at once."""
        handles: Any = buffers if not settings.jit_enabled() else np.array([b.ctypes.data for b in buffers], np.int64)
        if len(spans) == 1:
            function(handles, sizes, t0, t1, *spans[0], 0)
            return
        threads.run([partial(function, handles, sizes, t0, t1, b0, b1, slot) for slot, (b0, b1) in enumerate(spans)])

    def _parts(self, work: float) -> int:
        return max(1, min(self.threads, int(work / SLICE_WORK)))

    def _sizes(self, stage: Stage, context: Context) -> dict[Dim, Dim]:
        return {symbol: resize(dim, context.sizes) for symbol, dim in stage.sizes} if stage.form == "recur" else dict(context.sizes)

    def _work(self, kernel: Kernel, sizes: Mapping[Dim, Dim]) -> float:
        """Return the floating-point operations of a row, exp and its like counted as twenty."""
        products = sum(2 * int(resize(k, sizes)) * int(resize(n, sizes)) for k, n in kernel.flops)
        return products + 60 * sum(int(resize(b.size, sizes)) for b in kernel.buffers if b.role != "pack") + 100

    # ---- row stages

    def _rows(self, stage: Stage, plan: Plan, context: Context) -> None:
        kernel = stage.kernel
        assert kernel is not None
        sizes = self._sizes(stage, context)
        count = context.rows.count if len(stage.rows) == 2 else context.rows.B
        outputs = {
            name: self.arena.take(count * self._output_width(stage, name, sizes), self.dtype) for name, _ in stage.results
        }
        context.values.update({key: outputs[name] for name, key in stage.results})
        if not count:
            return
        work = self._work(kernel, sizes)
        parts = max(1, min(self._parts(work * count), count))
        chunk = min(CHUNK_ROWS, count)

        def place(buffer: Buffer) -> Array:
            if buffer.role == "output":
                return outputs[f"output:{buffer.name}"]
            if buffer.role == "scratch":
                return self.arena.take(parts * chunk * int(resize(buffer.size, sizes)), self.dtype)
            return self._leaf(stage, plan, context, kernel, buffer, parts)

        buffers = [place(buffer) for buffer in kernel.buffers]
        run_sizes = np.array([chunk, *(int(resize(dim, sizes)) for dim in kernel.sizes[1:])], np.int64)
        function = self.function(kernel, plan.traced.name)
        spans = threads.slices(count, parts)
        steps = max(b1 - b0 for b0, b1 in spans)
        for begin in range(0, steps, chunk * 8):
            tasks = [
                partial(self._sweep, function, buffers, run_sizes, b0 + begin, min(b0 + begin + chunk * 8, b1), chunk, slot)
                for slot, (b0, b1) in enumerate(spans)
            ]
            threads.run(tasks) if len(tasks) > 1 else tasks[0]()

    def _sweep(
        self, function: Callable[..., None], buffers: list[Array], sizes: Array, begin: int, end: int, chunk: int, slot: int
    ) -> None:
        handles: Any = buffers if not settings.jit_enabled() else np.array([b.ctypes.data for b in buffers], np.int64)
        for b0 in range(begin, end, chunk):
            function(handles, sizes, 0, 1, b0, min(b0 + chunk, end), slot)

    def _output_width(self, stage: Stage, name: str, sizes: Mapping[Dim, Dim]) -> int:
        assert stage.cell is not None
        kind, _, output = name.partition(":")
        shape = features(stage.cell.result_shape(kind, output))
        return int(resize(shape[-1], sizes)) if shape else 1

    def _leaf(
        self, stage: Stage, plan: Plan, context: Context, kernel: Kernel, buffer: Buffer, parts: int
    ) -> Array:
        """Return the buffer of a leaf, a packed matrix or the tile."""
        sources = dict(stage.sources)
        if buffer.role == "tile":
            return self.arena.take(parts * kernel.tile, self.dtype)
        if buffer.role == "pack":
            return self._packed(stage, plan, context, kernel.packs[int(buffer.name)], int(buffer.name))
        kind = "parameter" if buffer.role in ("parameter", "table") else "input"
        value = self._array(plan, context, sources[f"{kind}:{buffer.name}"])
        return np.ascontiguousarray(value).reshape(-1)

    def _packed(self, stage: Stage, plan: Plan, context: Context, pack: Pack, place: int) -> Array:
        """Return matrices as the tiles read them, made once a bind."""
        sources = dict(stage.sources)
        keys = [sources[f"parameter:{name}"] for name in pack.parameters]
        store = context.packs if all(key in context.fixed for key in keys) else {}
        if (stage.key, place) not in store:
            sizes = self._sizes(stage, context)
            K, N = int(resize(pack.rows, sizes)), int(resize(pack.columns, sizes))
            W = self.target.width
            panels, G = -(-N // (W * pack.panel)), len(keys)
            packed = self.arena.take(panels * K * pack.panel * G * W, self.dtype)
            function = self.support("pack")
            for g, key in enumerate(keys):
                base, strides = _strided(context.values[key])
                run_sizes = np.array([K, N, *strides, pack.panel, G, g, self.target.vectors], np.int64)
                self._call(function, [base, packed], run_sizes, threads.slices(panels, min(self._parts(8 * K * N), panels)), 0, 1)
            store[stage.key, place] = packed
        return store[stage.key, place]

    # ---- loops

    def _recur(self, stage: Stage, plan: Plan, context: Context) -> None:
        kernel, cell, rows = stage.kernel, stage.cell, context.rows
        assert kernel is not None and cell is not None
        sizes = self._sizes(stage, context)
        results = {name: key for name, key in stage.results if key in context.wanted}
        aliases = dict(kernel.aliases)
        histories = {state for output, state in kernel.aliases if f"output:{output}" in results}
        histories |= {name.partition(":")[2] for name in results if name.startswith("previous:")}
        widths = {name: int(resize(cell.leaves[f"state:{name}"].shape[-1], sizes)) for name in cell.states}
        states = {name: self._state(stage, context, name, widths[name], name in histories) for name in cell.states}
        outputs: dict[str, Array] = {}
        for buffer in kernel.buffers:
            if buffer.role == "output":
                count = rows.count if f"output:{buffer.name}" in results else rows.B
                outputs[buffer.name] = self.arena.take(count * int(resize(buffer.size, sizes)), self.dtype)
        if rows.count:
            self._loop(stage, plan, context, kernel, sizes, states, outputs, set(results), histories)
        for name, key in results.items():
            kind, _, result = name.partition(":")
            state = aliases.get(result, "") if kind == "output" else result
            if kind == "output" and not state:
                context.values[key] = outputs[result]
            elif kind == "final":
                context.values[key] = self._final(rows, states[state], widths[state], stage.reverse, state in histories)
            else:
                after = (kind == "output") != stage.reverse
                context.values[key] = self._history(rows, states[state], widths[state], after)

    def _state(self, stage: Stage, context: Context, name: str, width: int, history: bool) -> Array:
        """Return a state's rows with its initial value in place."""
        rows = context.rows
        initial = context.values[dict(stage.sources)[f"state:{name}"]].reshape(rows.B, width)
        count = rows.count + rows.B if history else 2 * rows.B
        state = self.arena.take(max(count, 1) * width, self.dtype)
        table = state[: count * width].reshape(-1, width)
        if stage.reverse:
            table[rows.ends if history else rows.two_block_ends] = initial
        else:
            table[: rows.B] = initial
        return state

    def _final(self, rows: Rows, state: Array, width: int, reverse: bool, history: bool) -> Array:
        table = state[: len(state) // width * width].reshape(-1, width)
        if reverse:
            return table[: rows.B].reshape(-1).copy()
        return table[rows.ends if history else rows.two_block_ends].reshape(-1)

    def _history(self, rows: Rows, state: Array, width: int, after: bool) -> Array:
        """Return the rows after (or before) each step; views unless rows have different lengths."""
        if after:
            return state[rows.B * width : (rows.B + rows.count) * width]
        if rows.before is None:
            return state[: rows.count * width]
        return state.reshape(-1, width)[rows.before].reshape(-1)

    def _loop(
        self,
        stage: Stage,
        plan: Plan,
        context: Context,
        kernel: Kernel,
        sizes: Mapping[Dim, Dim],
        states: Mapping[str, Array],
        outputs: Mapping[str, Array],
        results: set[str],
        histories: set[str],
    ) -> None:
        rows = context.rows
        work = self._work(kernel, sizes)
        parts = min(self._parts(work * rows.count), rows.B)
        spans = threads.slices(rows.B, parts) if rows.order is None else threads.balanced_slices(rows.sorted_lengths, parts)

        def place(buffer: Buffer) -> Array:
            if buffer.role == "starts":
                return rows.starts
            if buffer.role == "blocks":
                return rows.starts if buffer.name in histories else rows.two_blocks
            if buffer.role == "state":
                return states[buffer.name]
            if buffer.role == "output":
                return outputs[buffer.name]
            if buffer.role == "scratch":
                return self.arena.take(rows.B * int(resize(buffer.size, sizes)), self.dtype)
            return self._leaf(stage, plan, context, kernel, buffer, parts)

        buffers = [place(buffer) for buffer in kernel.buffers]
        run_sizes = np.array([_size(dim, rows, sizes, results) for dim in kernel.sizes], np.int64)
        function = self.function(kernel, stage.cell.name if stage.cell else "")
        chunk = max(1, int(CHUNK_WORK / max(work * rows.B / parts, 1)))
        for t0 in range(0, rows.T, chunk):
            self._call(function, buffers, run_sizes, spans, t0, min(t0 + chunk, rows.T))

    # ---- sums over rows

    def _reduce(self, stage: Stage, plan: Plan, context: Context) -> None:
        graph = plan.traced.graph
        node = node_of(graph, stage.key)
        sources = [key for _, key in stage.sources]
        N = self._width(node_of(graph, sources[1 if node.op == "outer" else 0]), context)
        R = len(context.values[sources[0]]) // max(self._width(node_of(graph, sources[0]), context), 1)
        reducers = {"outer": self._outer, "batch_sum": self._batch_sum, "scatter": self._scatter}
        shape = tuple(int(resize(dim, context.sizes)) for dim in node.shape)
        made = reducers[node.op](R, N, shape, [context.values[key] for key in sources])
        context.values[stage.key] = made[: int(np.prod(shape))].reshape(shape)

    def _outer(self, R: int, N: int, shape: tuple[int, ...], values: list[Array]) -> Array:
        K = shape[0]
        out = self.arena.take(K * N, self.dtype)
        if R == 0:
            out[:] = 0
            return out
        panels = -(-N // (self.target.vectors * self.target.width))
        parts = min(self._parts(2 * R * K * N), panels)
        work = outer_work(self.target, K)
        scratch = self.arena.take(parts * work, self.dtype)
        sizes = np.array([R, K, N, work], np.int64)
        self._call(self.support("outer"), [values[0], values[1], out, scratch], sizes, threads.slices(panels, parts), 0, 1)
        return out

    def _batch_sum(self, R: int, N: int, shape: tuple[int, ...], values: list[Array]) -> Array:
        out = self.arena.take(N, self.dtype)
        vectors = -(-N // self.target.width)
        spans = threads.slices(vectors, min(self._parts(4 * R * N), vectors))
        self._call(self.support("column_sum"), [values[0], out], np.array([R, N], np.int64), spans, 0, 1)
        return out

    def _scatter(self, R: int, N: int, shape: tuple[int, ...], values: list[Array]) -> Array:
        out = self.arena.take(shape[0] * N, self.dtype)
        out[:] = 0
        vectors = -(-N // self.target.width)
        spans = threads.slices(vectors, min(self._parts(4 * R * N), vectors))
        self._call(self.support("scatter"), [values[0], values[1], out], np.array([R, N], np.int64), spans, 0, 1)
        return out


def _size(dim: Dim, rows: Rows, sizes: Mapping[Dim, Dim], results: set[str]) -> int:
    if dim == "T":
        return rows.T
    if isinstance(dim, str) and dim.startswith("keep:"):
        return int(f"output:{dim[5:]}" in results)
    return int(resize(dim, sizes))


def _strided(matrix: Array) -> tuple[Array, tuple[int, int]]:
    """Return a matrix as flat memory and the strides of a row and a column."""
    if matrix.flags.c_contiguous:
        return matrix.reshape(-1), (matrix.shape[1], 1)
    if matrix.T.flags.c_contiguous:
        return matrix.T.reshape(-1), (1, matrix.shape[0])
    return np.ascontiguousarray(matrix).reshape(-1), (matrix.shape[1], 1)
