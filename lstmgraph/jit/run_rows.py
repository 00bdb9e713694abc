"""Row stages: a stateless cell over all rows at once, a few at a time so that what lies between stays in the cache."""

from collections.abc import Mapping

import numpy as np

from lstmgraph.graph import Dim, features, resize
from lstmgraph.jit import threads
from lstmgraph.jit.executor import Executor, row_work
from lstmgraph.jit.frame import Entry, Ref
from lstmgraph.jit.layout import Buffer
from lstmgraph.jit.operands import Operands
from lstmgraph.jit.player import Rounds
from lstmgraph.jit.rows import Rows
from lstmgraph.jit.tape import Tape
from lstmgraph.schedule.plan import Plan, Stage

CHUNK = 96  # rows of scratch a thread; a multiple of the tile's rows
SWEEP = 1_000_000_000  # floating-point operations between two looks at Ctrl-C


class RunRows:
    """One row stage."""

    def __init__(
        self, stage: Stage, plan: Plan, executor: Executor, sizes: Mapping[Dim, Dim], fixed: frozenset[str]
    ) -> None:
        assert stage.kernel is not None and stage.cell is not None
        self.executor, self.kernel, self.title = executor, stage.kernel, plan.traced.name
        self.operands = Operands(stage, plan, executor, sizes, fixed)
        self.sequence = len(stage.rows) == 2
        self.results = [(name.partition(":")[2], key) for name, key in stage.results]
        shapes = {name: features(stage.cell.result_shape("output", name)) for name, _ in self.results}
        self.widths = {name: int(resize(shape[-1], sizes)) if shape else 1 for name, shape in shapes.items()}
        self.sizes = np.array([0, *(int(resize(size.name, sizes)) for size in self.kernel.sizes[1:])], np.int64)
        self.scratch = {b.name: int(resize(b.size, sizes)) for b in self.kernel.buffers if b.role == "scratch"}
        self.work = row_work(self.kernel, sizes)

    def record(self, tape: Tape) -> None:
        """Add all rows to a tape."""
        executor = self.executor
        most = tape.extent.room if self.sequence else tape.extent.B
        outputs = {name: tape.take(most * width) for name, width in self.widths.items()}
        for name, key in self.results:
            tape.give(key, outputs[name])
        if not most:
            return
        parts = executor.parts(self.work * most, most)
        chunk = min(CHUNK, most)

        def place(buffer: Buffer) -> Ref:
            if buffer.role == "output":
                return outputs[buffer.name]
            if buffer.role == "scratch":
                return tape.take(parts * chunk * self.scratch[buffer.name])
            return self.operands.buffer(buffer, tape, parts)

        sizes = self.sizes.copy()
        sizes[0] = chunk
        buffers = tuple(place(buffer) for buffer in self.kernel.buffers)
        entry = Entry(executor.function(self.kernel, self.title), buffers, sizes)
        stride = max(chunk, int(SWEEP / self.work) // chunk * chunk)

        def share(rows: Rows) -> Rounds:
            spans = threads.slices(rows.count if self.sequence else rows.B, parts)
            longest = max(b1 - b0 for b0, b1 in spans)
            return [
                [
                    [(0, 0, 1, b, min(b + chunk, end), slot) for b in range(b0 + begin, end, chunk)]
                    for slot, (b0, b1) in enumerate(spans)
                    if (end := min(b0 + begin + stride, b1)) > b0 + begin
                ]
                for begin in range(0, longest, stride)
            ]

        tape.launch([entry], share, self.work * most)
