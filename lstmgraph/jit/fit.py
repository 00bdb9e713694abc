"""A fit: what of a tape depends on the lengths of a batch. Tables of rows, and which of them each thread computes."""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from lstmgraph.jit.arena import address
from lstmgraph.jit.frame import Array, Binding, Frame
from lstmgraph.jit.player import Step, write_segment
from lstmgraph.jit.rows import Rows
from lstmgraph.jit.steps import Kernels, Played, Python
from lstmgraph.jit.tape import Tape

if TYPE_CHECKING:
    from lstmgraph.jit.executor import Context

PREPARED = 32  # fits that a bind is ready for
SPAN = 4_000_000_000  # floating-point operations between two looks at Ctrl-C: a tenth of a second on a slow thread


class Fit:
    """A tape for the rows of one batch, to be played any number of times.

    Parameters
    ----------
    tape : Tape
        What was recorded for batches of such an extent.
    rows : Rows
        The batch.
    forms : mapping
        Of results that have rows, how many of their dimensions are rows, and the features of a row. If none is out of
        its place they have the shape that the user sees, [T, B, n] or [B, n].
    """

    def __init__(self, tape: Tape, rows: Rows, forms: Mapping[str, tuple[int, int]]) -> None:
        self.tape, self.rows = tape, rows
        self.arrays = list(tape.constants)
        for slot, table in tape.tables.items():
            self.arrays[slot] = np.ascontiguousarray(table(rows))
        known = [0 if array is None else address(array) for array in self.arrays]
        self.addresses = np.array([*known, 0], np.int64)  # by slot, and one of what nothing reads
        self.parts = list((self._joined if tape.executor.compiled else self._apart)(rows))
        self.played = [part for part in self.parts if isinstance(part, Played)]
        self.handed = [self._handed(key, *forms.get(key, (0, 0))) for key in tape.results]
        self.used = 0  # the moment of its last use

    def _handed(self, key: str, ahead: int, width: int) -> tuple[str, int, slice, tuple[int, ...] | None]:
        """Return of a result the slot of its memory, -1 for that of small results, which elements, and its shape."""
        tape, rows = self.tape, self.rows
        ref, shape = tape.given[key]
        small = ref.slot in tape.beside
        first = ref.start + (tape.offsets[ref.slot] if small else 0)
        count = rows.count * width if ahead == 2 and key not in tape.unpacked else ref.count
        if ahead and (key in tape.unpacked or not tape.extent.ragged):
            shape = (rows.T, rows.B, width)[2 - ahead :]
        return key, -1 if small else ref.slot, slice(first, first + count), shape

    def _apart(self, rows: Rows) -> Iterator[Kernels | Python]:
        """Return the steps as they run in plain Python."""
        for step in self.tape.steps:
            if isinstance(step, Python):
                yield step
            else:
                yield from (Kernels(step.entries, each) for each in step.of(rows))

    def _joined(self, rows: Rows) -> Iterator[Played | Python]:
        """Join kernels that follow each other, up to as much work as may lie between two looks at Ctrl-C."""
        pending: list[Step] = []
        for step in self.tape.steps:
            for each in [step] if isinstance(step, Python) else step.of(rows):
                work = SPAN if isinstance(each, Python) else each.work
                if pending and sum([other.work for other in pending]) + work > SPAN:
                    yield self._played(pending)
                    pending = []
                if isinstance(each, Python):
                    yield each
                else:
                    pending.append(each)
        if pending:
            yield self._played(pending)

    def _played(self, steps: list[Step]) -> Played:
        """Write steps down for the player."""
        tape = self.tape
        segment = write_segment(steps, len(tape.slots))
        blank = np.concatenate([tape.shifts, np.zeros(segment.shared, np.int64)])
        return Played(tape.executor.player(), segment, tape.slots, blank)

    @property
    def table_bytes(self) -> int:
        """Bytes of what is the same in every call."""
        return sum(array.nbytes for array in self.arrays if array is not None)

    def prepare(self, binding: Binding) -> tuple[Array, list[Any]]:
        """Return the addresses and arrays of what is the same in every call of a bind; one that lasts keeps them."""
        known = binding.prepared.get(self)
        if known is None:
            known = addresses, arrays = self.addresses.copy(), self.arrays.copy()
            for key, slot in self.tape.bound.items():
                array = binding.values[key]
                arrays[slot] = array = array if array.flags.c_contiguous else np.ascontiguousarray(array)
                addresses[slot] = address(array)
            for name, (_, slot) in self.tape.packs.items():
                arrays[slot] = array = binding.packs[name]
                addresses[slot] = address(array)
            if binding.brief:
                return known
            if len(binding.prepared) >= PREPARED:  # shapes that come no more
                binding.prepared.clear()
            binding.prepared[self] = known
        return known[0].copy(), known[1].copy()

    def play(self, context: "Context", into: dict[Any, Array] | None = None) -> None:
        """Run all steps on a context's values and put the results there, or elsewhere."""
        frame = self.open(context)
        for part in self.parts:
            part.on(frame)()
        frame.give(context.values if into is None else into)

    def open(self, context: "Context") -> Frame:
        """Return the memory of one playing, what the caller feeds in place."""
        tape = self.tape
        addresses, arrays = self.prepare(context.binding)
        within, small, *own = tape.lease(addresses)
        for slot, memory in zip(tape.own, own, strict=True):
            arrays[slot] = memory
        frame = Frame(self, context, [within, small], addresses, arrays)
        for key, slot in tape.leaves.items():
            frame.hold(slot, context.values[key])
        return frame
