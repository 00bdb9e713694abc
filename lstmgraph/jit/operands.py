"""The leaves of a kernel as buffers: sequences, parameters, matrices packed once a bind."""

from collections.abc import Mapping

import numpy as np

from lstmgraph.graph import Dim, node_of, resize
from lstmgraph.jit import threads
from lstmgraph.jit.executor import Array, Context, Executor, strided
from lstmgraph.jit.layout import Buffer, Kernel
from lstmgraph.schedule.plan import Plan, Stage


class Operands:
    """Finds the buffers of one stage's leaves."""

    def __init__(
        self, stage: Stage, plan: Plan, executor: Executor, sizes: Mapping[Dim, Dim], fixed: frozenset[str]
    ) -> None:
        assert stage.kernel is not None
        self.executor = executor
        self.kernel: Kernel = stage.kernel
        self.key = stage.key
        self.sources = dict(stage.sources)
        graph = plan.traced.graph
        self.constants = {
            key: np.asarray([node_of(graph, key).attr("value")], executor.dtype)
            for key in self.sources.values()
            if node_of(graph, key).op == "constant"
        }
        self.packs = [self._pack_plan(place, sizes, fixed) for place in range(len(self.kernel.packs))]

    def _pack_plan(
        self, place: int, sizes: Mapping[Dim, Dim], fixed: frozenset[str]
    ) -> tuple[list[str], int, int, int, bool]:
        pack = self.kernel.packs[place]
        keys = [self.sources[f"parameter:{name}"] for name in pack.parameters]
        return (
            keys,
            int(resize(pack.rows, sizes)),
            int(resize(pack.columns, sizes)),
            pack.panel,
            all(k in fixed for k in keys),
        )

    def buffer(self, buffer: Buffer, context: Context, parts: int) -> Array:
        """Return the buffer of a leaf, of packed matrices, or of the tile for some threads."""
        if buffer.role == "tile":
            return self.executor.take(parts * self.kernel.tile)
        if buffer.role == "pack":
            return self._packed(context, int(buffer.name))
        key = self.sources[f"{'parameter' if buffer.role in ('parameter', 'table') else 'input'}:{buffer.name}"]
        value = self.constants[key] if key in self.constants else context.values[key]
        return value if value.ndim == 1 and value.flags.c_contiguous else np.ascontiguousarray(value).reshape(-1)

    def _packed(self, context: Context, place: int) -> Array:
        keys, K, N, panel, fixed = self.packs[place]
        if (self.key, place) in context.packs:
            return context.packs[self.key, place]
        executor, target = self.executor, self.executor.target
        panels, G = -(-N // (target.width * panel)), len(keys)
        packed = executor.take(panels * K * panel * G * target.width)
        matrices = [strided(context.values[key]) for key in keys]
        strides = [stride for _, pair in matrices for stride in pair]
        sizes = np.array([K, N, panel, G, target.vectors, *strides], np.int64)
        spans = threads.slices(panels, executor.parts(8 * K * N * G, panels))
        executor.call(executor.support("pack"), [packed, *(base for base, _ in matrices)], sizes, spans, 0, 1)
        if fixed:
            context.packs[self.key, place] = packed
        return packed
