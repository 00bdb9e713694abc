"""A tape: what a call does for batches of one shape, recorded once and played for each call.

Recording decides all that the numbers do not: which kernels run over which rows on which thread, and where each value
lies. What lives only within the call shares one block of memory; results have memory of their own.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import accumulate, zip_longest
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np

from lstmgraph.graph import Dim, Shape, lead, resize
from lstmgraph.jit import threads
from lstmgraph.jit.arena import leased
from lstmgraph.jit.frame import LINE, WHOLE, Array, Binding, Block, Entry, Frame, Packing, Ref, address
from lstmgraph.jit.player import (
    Call,
    Function,
    Launch,
    Rounds,
    clear_rows,
    copy_rows,
    put_rows,
    take_rows,
    write_segment,
)
from lstmgraph.jit.rows import Rows
from lstmgraph.jit.steps import Kernels, Played, Python
from lstmgraph.schedule.lifetimes import Life, place

if TYPE_CHECKING:
    from lstmgraph.jit.executor import Context, Executor

SHARE = True  # where bounds are checked, every buffer has memory of its own
SMALL = 8192  # elements up to which results share memory
MOVED = 16  # floating-point operations that take as long as moving an element
PREPARED = 32  # tapes that a bind is ready for
SPAN = 4_000_000_000  # floating-point operations between two looks at Ctrl-C: a tenth of a second on a slow thread


class Tape:
    """Steps over the buffers of a call.

    Parameters
    ----------
    executor : Executor
        Compiles kernels and knows the memory.
    rows : Rows
        The batch's shape.
    sizes : mapping
        Symbol -> size.
    wanted : frozenset of keys
        The nodes whose values the caller or a later stage reads.
    fixed : frozenset of keys
        The parameters and what follows from them alone.
    last : mapping
        Node -> the stage that reads it last; what outlives the call is not among them.
    padded : frozenset of keys
        The leaves that are fed in the user's order and with padding.
    """

    def __init__(
        self,
        executor: "Executor",
        rows: Rows,
        sizes: Mapping[Dim, Dim],
        wanted: frozenset[str] = frozenset(),
        fixed: frozenset[str] = frozenset(),
        last: Mapping[str, object] = MappingProxyType({}),
        padded: frozenset[str] = frozenset(),
    ) -> None:
        self.executor = executor
        self.rows = rows
        self.sizes = {**sizes, "T": rows.T, "B": rows.B}
        self.wanted = wanted
        self.fixed = fixed
        self.last = last
        self.padded = padded if rows.order is not None else frozenset()
        self._replaced: set[int] = set()  # slots whose value has given way to another
        self.steps: list[Kernels | Python] = []
        self.counts: list[int] = []
        self.constants: list[Array | None] = []  # by slot: arrays that are the same in every call
        self.given: dict[str, tuple[Ref, tuple[int, ...] | None]] = {}  # node -> where the tape puts its value
        self.once: dict[str, Ref] = {}  # node -> where a step holds its value
        self.direct: set[int] = set()  # those of them that kernels read as they are
        self.leaves: dict[str, int] = {}  # node -> slot of what the caller feeds
        self.bound: dict[str, int] = {}  # node -> slot of what a bind holds
        self.packs: dict[str, tuple[Packing, int]] = {}  # name -> packed parameters of a bind and their slot
        self.packed: dict[str, Ref] = {}  # name -> where a step has packed parameters
        self.offsets: dict[int, int] = {}  # slot -> first element in the block
        self._spans: dict[int, list[int]] = {}  # slot of the block -> first and last step that touch it
        self.used = 0  # the moment of its last use

    # ---- recording

    def take(self, count: int) -> Ref:
        """Return a buffer of elements whose memory the tape provides."""
        ref = self._slot(count, None)
        self._spans[ref.slot] = [len(self.steps), len(self.steps)]
        return ref

    def constant(self, array: Array) -> Ref:
        """Return a buffer that is the same in every call."""
        return self._slot(array.size, np.ascontiguousarray(array))

    def held(self) -> Ref:
        """Return a buffer behind which a step will hold an array of its own."""
        return self._slot(WHOLE, None)

    def pack(self, packing: Packing) -> Ref:
        """Return packed parameters: of a step of this tape, else of a bind."""
        name = packing.name
        if name in self.packed:
            return self.packed[name]
        if name not in self.packs:
            self.packs[name] = (packing, self.held().slot)
        return Ref(self.packs[name][1], 0, WHOLE)

    def made(self, key: str) -> Ref:
        """Return such a buffer for the value of a node."""
        self.once[key] = self.held()
        return self.once[key]

    def give(self, key: str, ref: Ref, shape: tuple[int, ...] | None = None) -> None:
        """Say where the value of a node lies."""
        self.given[key] = (ref, shape)

    def replace(self, key: str, reader: object) -> Ref | None:
        """Return where a node's value lies, for a stage to write over as it reads it; None if it is needed later."""
        if key not in self.given or self.last.get(key) is not reader:
            return None
        ref, _ = self.given[key]
        alone = sum(other.slot == ref.slot for other, _ in self.given.values()) == 1
        whole = ref.start == 0 and ref.count == self.counts[ref.slot]
        if ref.slot not in self._spans or ref.slot in self._replaced or not (alone and whole):
            return None
        self._replaced.add(ref.slot)
        return ref

    def read(self, key: str, shape: Shape) -> Ref:
        """Return where the value of a node lies; one that no step gives is fed by the caller."""
        if key in self.given:
            return self.given[key][0]
        ahead = lead(shape)
        width = math.prod(int(resize(dim, self.sizes)) for dim in shape[len(ahead) :])
        count = width * (1, self.rows.B, self.rows.count)[len(ahead)]
        if key in self.padded:
            self.give(key, self._pack_rows(key, width, ahead))
            return self.given[key][0]
        if key in self.once:
            self.direct.add(self.once[key].slot)
            return Ref(self.once[key].slot, 0, count)
        table = self.bound if key in self.fixed else self.leaves
        if key not in table:
            table[key] = self._slot(count, None).slot
        return Ref(table[key], 0, count)

    def _pack_rows(self, key: str, width: int, ahead: Shape) -> Ref:
        """Add a step that packs a leaf, and return where its rows lie then."""
        rows = self.rows
        assert rows.order is not None  # else nothing is padded
        whole, places = (rows.B * rows.T, rows.places) if len(ahead) == 2 else (rows.B, rows.order)
        raw = self._slot(whole * width, None)
        self.leaves[key] = raw.slot
        packed = self.take(len(places) * width)
        self.take_rows(packed, raw, places, width)
        return packed

    def unpack(self, key: str, name: str, width: int) -> None:
        """Add steps that lay the sequence of a node out in the user's order, zeros in padding, as a result `name`."""
        rows = self.rows
        target = self.take(rows.T * rows.B * width)
        self.clear(target)
        self.put_rows(target, self.given[key][0], rows.places, width)
        self.give(name, target)

    def _slot(self, count: int, constant: Array | None) -> Ref:
        self.counts.append(count)
        self.constants.append(constant)
        return Ref(len(self.counts) - 1, 0, count)

    def python(self, step: Callable[[Frame], None], touched: Iterable[Ref]) -> None:
        """Add a step in Python that touches these buffers."""
        self._touch(touched)
        self.steps.append(Python(step))

    def copy(self, target: Ref, source: Ref) -> None:
        """Add a step that copies elements."""
        self._move(copy_rows, (target, source), 1, target.count)

    def clear(self, target: Ref) -> None:
        """Add a step that writes zeros."""
        self._move(clear_rows, (target,), 1, target.count)

    def take_rows(self, target: Ref, source: Ref, places: Array, width: int) -> None:
        """Add a step that copies rows from their places."""
        self._move(take_rows, (target, source, self.constant(places)), len(places), width)

    def put_rows(self, target: Ref, source: Ref, places: Array, width: int) -> None:
        """Add a step that copies rows to their places."""
        self._move(put_rows, (target, source, self.constant(places)), len(places), width)

    def _move(self, how: Function, refs: tuple[Ref, ...], rows: int, width: int) -> None:
        sizes = np.array([rows, width, width * self.executor.dtype.itemsize], np.int64)
        work = float(MOVED * rows * width)
        spans = threads.slices(rows, self.executor.parts(work, rows))
        tasks = [[(0, 0, 1, b0, b1, slot)] for slot, (b0, b1) in enumerate(spans)]
        self.launch([Entry(how, refs, sizes)], [tasks], work)

    def fill(self, target: Ref, number: float) -> None:
        """Add a step that writes one number everywhere."""
        self.python(lambda frame: frame.array(target).fill(number), (target,))

    def launch(
        self, entries: Sequence[Entry], rounds: Rounds, work: float, alone: Sequence[Sequence[Call]] = ()
    ) -> None:
        """Add steps of kernels: rounds one after the other, the tasks of a round side by side; and their cost.

        If the tasks of a round wait for each other, `alone` says for each what one thread does in their place.
        """
        for tasks, instead in zip_longest(rounds, alone, fillvalue=()):
            for entry in entries:
                self._touch(entry.refs)
            self.steps.append(Kernels(tuple(entries), tasks, instead, work / len(rounds)))

    def _touch(self, refs: Iterable[Ref]) -> None:
        for ref in refs:
            if ref.slot in self._spans:
                self._spans[ref.slot][1] = len(self.steps)

    def finish(self, results: Iterable[Any]) -> None:
        """Say which nodes' values outlive the call, and give everything its place."""
        executor = self.executor
        self.results = [key for key in results if key in self.given]
        outlive = {self.given[key][0].slot for key in self.results} & set(self._spans)
        if executor.compiled and SHARE:
            self._own = sorted(slot for slot in outlive if self.counts[slot] >= SMALL)
        else:
            self._own = sorted(self._spans)
        inside = [slot for slot in self._spans if slot not in outlive and slot not in self._own]
        beside = sorted(outlive.difference(self._own))  # small results lie side by side
        self.beside = frozenset(beside)
        lives = [Life(self._spans[slot][0], self._spans[slot][1], self._lines(slot)) for slot in inside]
        self._inside = self._arrange(inside, lives)
        self._beside = self._arrange(beside, [Life(0, 0, self._lines(slot)) for slot in beside])
        self.parts = list(self._segments()) if executor.compiled else self.steps
        self._base = np.array([0 if array is None else address(array) for array in self.constants], np.int64)
        self.handed = [self._handed(key) for key in self.results]

    def _handed(self, key: str) -> tuple[str, int, slice, tuple[int, ...] | None]:
        """Return of a result the slot of its memory, -1 for that of small results, which elements, and its shape."""
        ref, shape = self.given[key]
        small = ref.slot in self.beside
        first = ref.start + (self.offsets[ref.slot] if small else 0)
        return key, -1 if small else ref.slot, slice(first, first + ref.count), shape

    def _segments(self) -> Iterator[Played | Python]:
        """Join steps of kernels that follow each other, up to as much work as may lie between two looks at Ctrl-C."""
        pending: list[Kernels] = []
        for step in self.steps:
            work = step.work if isinstance(step, Kernels) else SPAN
            if pending and sum(each.work for each in pending) + work > SPAN:
                yield self._segment(pending)
                pending = []
            if isinstance(step, Kernels):
                pending.append(step)
            else:
                yield step
        if pending:
            yield self._segment(pending)

    def _segment(self, steps: Sequence[Kernels]) -> Played:
        """Write steps down for the player."""
        entries = list(dict.fromkeys(entry for step in steps for entry in step.entries))
        refs = [ref for entry in entries for ref in entry.refs]
        places = accumulate((len(entry.refs) for entry in entries), initial=0)
        calls = {entry: (entry.function, place, entry.sizes) for entry, place in zip(entries, places, strict=False)}
        launches = [
            Launch(tuple(calls[entry] for entry in step.entries), step.tasks, step.alone, step.work) for step in steps
        ]
        segment = write_segment(launches, len(refs))
        shifts = [ref.start * self.executor.dtype.itemsize for ref in refs]
        return Played(
            self.executor.player(),
            segment,
            np.array([ref.slot for ref in refs], np.intp),
            np.array([*shifts, *[0] * segment.shared], np.int64),
        )

    def _lines(self, slot: int) -> int:
        """Return how many lines of the cache a buffer takes."""
        return -(-self.counts[slot] * self.executor.dtype.itemsize // LINE)

    def _arrange(self, slots: list[int], lives: list[Life]) -> Block:
        """Give buffers their places in one block."""
        offsets, end = place(lives)
        each = LINE // self.executor.dtype.itemsize
        self.offsets |= {slot: offset * each for slot, offset in zip(slots, offsets, strict=True)}
        return Block(end * each, np.array(slots, np.intp), np.array(offsets, np.int64) * LINE)

    def memory(self, besides: Iterable[str] = ()) -> tuple[int, int, int]:
        """Return the bytes of what lives within a call, of its results but for some nodes', and of its tables."""
        spared = {self.given[key][0].slot for key in besides if key in self.given}
        results = {self.given[key][0].slot for key in self.results}
        owned = [slot for slot in self._own if slot not in spared]
        inside = [self._inside.size, *(self.counts[slot] for slot in owned if slot not in results)]
        lasting = [self._beside.size, *(self.counts[slot] for slot in owned if slot in results)]
        within, outside = (
            sum(leased(count * self.executor.dtype.itemsize) for count in sizes) for sizes in (inside, lasting)
        )
        return within, outside, sum(array.nbytes for array in self.constants if array is not None)

    # ---- playing

    def prepare(self, binding: Binding) -> tuple[Array, list[Any]]:
        """Return the addresses and arrays of what is the same in every call of a bind; one that lasts keeps them."""
        known = binding.prepared.get(self)
        if known is None:
            known = addresses, arrays = self._base.copy(), list(self.constants)
            found = [(binding.values[key], slot) for key, slot in self.bound.items()]
            found += [(binding.packs[name], slot) for name, (_, slot) in self.packs.items()]
            for array, slot in found:
                arrays[slot] = array if array.flags.c_contiguous else np.ascontiguousarray(array)
                addresses[slot] = address(arrays[slot])
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
        take = self.executor.take
        addresses, arrays = self.prepare(context.binding)
        blocks = []
        for block in (self._inside, self._beside):
            memory = take(block.size)
            if block.size:
                addresses[block.slots] = block.shifts + address(memory)
            blocks.append(memory)
        frame = Frame(self, context, blocks, addresses, arrays)
        for key, slot in self.leaves.items():
            frame.hold(slot, context.values[key])
        for slot in self._own:
            frame.hold(slot, take(self.counts[slot]))
        return frame
