"""The leaves of a kernel as buffers: sequences, parameters, matrices packed once a bind."""

from collections.abc import Mapping, Sequence

import numpy as np

from lstmgraph.graph import Dim, node_of, resize
from lstmgraph.jit import threads
from lstmgraph.jit.executor import Array, Executor, strides
from lstmgraph.jit.frame import Entry, Packing, Ref
from lstmgraph.jit.layout import Buffer, Kernel
from lstmgraph.jit.player import Call
from lstmgraph.jit.tape import Tape
from lstmgraph.schedule.plan import Plan, Stage


class Operands:
    """Finds the buffers of one stage's leaves."""

    def __init__(
        self, stage: Stage, plan: Plan, executor: Executor, sizes: Mapping[Dim, Dim], fixed: frozenset[str]
    ) -> None:
        assert stage.kernel is not None
        self.executor = executor
        self.kernel: Kernel = stage.kernel
        self.sources = dict(stage.sources)
        graph = plan.traced.graph
        self.shapes = {key: node_of(graph, key).shape for key in self.sources.values()}
        self.constants = {
            key: np.asarray([node_of(graph, key).attr("value")], executor.dtype)
            for key in self.sources.values()
            if node_of(graph, key).op == "constant"
        }
        self.packs = [self._pack(place, sizes) for place in range(len(self.kernel.packs))]
        self.fixed = fixed

    def _pack(self, place: int, sizes: Mapping[Dim, Dim]) -> Packing:
        pack = self.kernel.packs[place]
        keys = tuple(self.sources[f"parameter:{name}"] for name in pack.parameters)
        return Packing(keys, int(resize(pack.rows, sizes)), int(resize(pack.columns, sizes)), pack.panel)

    def buffer(self, buffer: Buffer, tape: Tape, parts: int) -> Ref:
        """Return the buffer of a leaf, of packed matrices, or of the tile for some threads."""
        if buffer.role == "tile":
            return tape.take(parts * self.kernel.tile)
        if buffer.role == "pack":
            packing = self.packs[int(buffer.name)]
            if all(key in self.fixed for key in packing.keys):
                return tape.pack(packing)
            matrices = [(tape.read(key, self.shapes[key]), (packing.columns, 1)) for key in packing.keys]
            packed, entry, calls, work = record_packing(tape, packing, matrices)
            tape.launch([entry], [[[call] for call in calls]], work)
            return packed
        key = self.sources[f"{'parameter' if buffer.role in ('parameter', 'table') else 'input'}:{buffer.name}"]
        return tape.constant(self.constants[key]) if key in self.constants else tape.read(key, self.shapes[key])


def record_packing(
    tape: Tape, packing: Packing, matrices: Sequence[tuple[Ref, tuple[int, int]]]
) -> tuple[Ref, Entry, list[Call], float]:
    """Return where packed matrices lie, how they are packed, given each one's memory and strides, and the work."""
    executor, target = tape.executor, tape.executor.target
    K, N, G = packing.rows, packing.columns, len(matrices)
    panels = -(-N // (target.width * packing.panel))
    packed = tape.take(panels * K * packing.panel * G * target.width)
    steps = [step for _, pair in matrices for step in pair]
    sizes = np.array([K, N, packing.panel, G, target.vectors, *steps], np.int64)
    entry = Entry(executor.support("pack"), (packed, *(ref for ref, _ in matrices)), sizes)
    work = 40.0 * K * N * G  # as long as so many operations of a product: a copy across rows
    spans = threads.slices(panels, executor.parts(work, panels))
    return packed, entry, [(0, 0, 1, b0, b1, slot) for slot, (b0, b1) in enumerate(spans)], work


def record_packings(tape: Tape, packings: Sequence[Packing], memory: Mapping[str, tuple[str, Array]]) -> dict[str, Ref]:
    """Add a step that packs matrices of parameters, all side by side, and return where they lie by the packings' names.

    Of each matrix `memory` says the node in whose memory it lies, and how it lies there.
    """
    entries: list[Entry] = []
    tasks: dict[int, list[Call]] = {}
    total, found = 0.0, {}
    for packing in packings:
        lies = [memory[key] for key in packing.keys]
        matrices = [(tape.read(node, matrix.shape), strides(matrix)) for node, matrix in lies]
        found[packing.name], entry, calls, work = record_packing(tape, packing, matrices)
        for slot, call in enumerate(calls):
            tasks.setdefault(slot, []).append((len(entries), *call[1:]))
        entries.append(entry)
        total += work
    tape.launch(entries, [list(tasks.values())], total)
    return found
