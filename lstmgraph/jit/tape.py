"""A tape: what a call does, recorded once for batches of one extent and fitted to the lengths of each.

Recording decides which kernels run and where each value lies; `lstmgraph.jit.fit` decides the rest, over which rows on
which thread. What lives only within the call shares one block of memory; results have memory of their own.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np

from lstmgraph.graph import Dim, Shape, lead, resize
from lstmgraph.jit import threads
from lstmgraph.jit.arena import address, leased
from lstmgraph.jit.frame import LINE, WHOLE, Array, Block, Entry, Frame, Packing, Ref
from lstmgraph.jit.player import Call, Function, Rounds, clear_rows, copy_rows, put_rows, take_rows
from lstmgraph.jit.rows import Extent, Rows
from lstmgraph.jit.steps import Launch, Python, Share
from lstmgraph.schedule.lifetimes import Life, place

if TYPE_CHECKING:
    from lstmgraph.jit.executor import Executor

SHARE = True  # whether buffers of compiled kernels share memory; each has its own where bounds are checked
SMALL = 8192  # elements up to which results share memory
MOVED = 40  # floating-point operations that moving an element counts as: two threads then move rows where it pays
ALL: Rounds = [[[(0, 0, 1, 0, 1, 0)]]]  # of a kernel that does everything in one call
Table = Callable[[Rows], Any]  # what stands where, as the lengths of a batch have it


class Tape:
    """Steps over the buffers of a call.

    Parameters
    ----------
    executor : Executor
        Compiles kernels and knows the memory.
    extent : Extent
        What the batches have in common.
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
        extent: Extent,
        sizes: Mapping[Dim, Dim],
        wanted: frozenset[str] = frozenset(),
        fixed: frozenset[str] = frozenset(),
        last: Mapping[str, object] = MappingProxyType({}),
        padded: frozenset[str] = frozenset(),
    ) -> None:
        self.executor = executor
        self.extent = extent
        self.sizes = {**sizes, "T": extent.T, "B": extent.B}
        self.wanted = wanted
        self.fixed = fixed
        self.last = last
        self.padded = padded if extent.ragged else frozenset()
        self._replaced: set[int] = set()  # slots whose value has given way to another
        self.steps: list[Launch | Python] = []
        self._refs: list[Ref] = []  # of all kernels, in order
        self.counts: list[int] = []
        self.constants: list[Array | None] = []  # by slot: arrays that are the same in every call
        self.tables: dict[int, Table] = {}  # slot -> what depends on the lengths of a batch
        self.given: dict[str, tuple[Ref, tuple[int, ...] | None]] = {}  # node -> where the tape puts its value
        self.unpacked: set[str] = set()  # what is given in the user's order and with padding
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

    def table(self, table: Table) -> Ref:
        """Return a buffer that depends on the lengths of a batch."""
        ref = self.held()
        self.tables[ref.slot] = table
        return ref

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
        count = width * (1, self.extent.B, self.extent.room)[len(ahead)]
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
        T, B, room = self.extent.T, self.extent.B, self.extent.room
        sequence = len(ahead) == 2
        raw = self._slot((T * B if sequence else B) * width, None)
        self.leaves[key] = raw.slot
        packed = self.take((room if sequence else B) * width)
        self.take_rows(packed, raw, (lambda rows: rows.places) if sequence else (lambda rows: rows.order), width)
        return packed

    def unpack(self, key: str, name: str, ahead: int, width: int) -> None:
        """Add a step that lays the rows of a node out in the user's order, zeros in padding, as a result `name`."""
        sequence = ahead == 2
        target = self.take((self.extent.T if sequence else 1) * self.extent.B * width)
        places: Table = (lambda rows: rows.packed_places) if sequence else (lambda rows: rows.ranks)
        self.take_rows(target, self.given[key][0], places, width)
        self.give(name, target)
        self.unpacked.add(name)

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
        self._move(copy_rows, (target, source), target.count, 1, ALL)

    def clear(self, target: Ref) -> None:
        """Add a step that writes zeros."""
        self._move(clear_rows, (target,), target.count, 1, ALL)

    def take_rows(self, target: Ref, source: Ref, places: Table, width: int) -> None:
        """Add a step that copies rows from their places; zeros where the place is negative."""
        self._move_rows(take_rows, (target, source), places, target.count // max(width, 1), width)

    def put_rows(self, target: Ref, source: Ref, places: Table, width: int) -> None:
        """Add a step that copies rows to their places."""
        self._move_rows(put_rows, (target, source), places, source.count // max(width, 1), width)

    def _move_rows(self, how: Function, refs: tuple[Ref, Ref], places: Table, most: int, width: int) -> None:
        parts = self.executor.parts(MOVED * most * width, max(most, 1))

        def share(rows: Rows) -> Rounds:
            spans = threads.slices(len(places(rows)), parts)
            return [[[(0, 0, 1, b0, b1, slot)] for slot, (b0, b1) in enumerate(spans)]]

        self._move(how, (*refs, self.table(places)), most, width, share)

    def _move(self, how: Function, refs: tuple[Ref, ...], rows: int, width: int, rounds: Rounds | Share) -> None:
        sizes = np.array([rows, width, width * self.executor.dtype.itemsize], np.int64)
        self.launch([Entry(how, refs, sizes)], rounds, float(MOVED * rows * width))

    def launch(
        self, entries: Sequence[Entry], rounds: Rounds | Share, work: float, alone: Sequence[Sequence[Call]] = ()
    ) -> None:
        """Add kernels: how their work is dealt out in rounds, the tasks of one side by side, and the most it may be.

        If the tasks of a round wait for each other, `alone` says for each round what one thread does in their place.
        """
        places = []
        for entry in entries:
            self._touch(entry.refs)
            places.append(len(self._refs))
            self._refs += entry.refs
        self.steps.append(Launch(tuple(entries), tuple(places), rounds, work, alone))

    def _touch(self, refs: Iterable[Ref]) -> None:
        for ref in refs:
            if ref.slot in self._spans:
                self._spans[ref.slot][1] = len(self.steps)

    def finish(self, results: Iterable[Any]) -> None:
        """Say which nodes' values outlive the call, and give everything its place."""
        self.results = [key for key in results if key in self.given]
        outlive = {self.given[key][0].slot for key in self.results} & set(self._spans)
        if self.executor.compiled and SHARE:
            self.own = sorted(slot for slot in outlive if self.counts[slot] >= SMALL)
        else:
            self.own = sorted(self._spans)
        within = [slot for slot in self._spans if slot not in outlive and slot not in self.own]
        beside = sorted(outlive.difference(self.own))  # small results lie side by side
        self.beside = frozenset(beside)
        lives = [Life(self._spans[slot][0], self._spans[slot][1], self._lines(slot)) for slot in within]
        self.slots = np.array([ref.slot for ref in self._refs], np.intp)
        self.shifts = np.array([ref.start * self.executor.dtype.itemsize for ref in self._refs], np.int64)
        self.blocks = (
            self._arrange(within, lives),
            self._arrange(beside, [Life(0, 0, self._lines(slot)) for slot in beside]),
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

    def memory(self, besides: Iterable[str] = ()) -> tuple[int, int]:
        """Return the bytes of what lives within a call, and of its results but for some nodes'."""
        spared = {self.given[key][0].slot for key in besides if key in self.given}
        results = {self.given[key][0].slot for key in self.results}
        owned = [slot for slot in self.own if slot not in spared]
        within = [self.blocks[0].size, *(self.counts[slot] for slot in owned if slot not in results)]
        lasting = [self.blocks[1].size, *(self.counts[slot] for slot in owned if slot in results)]
        item = self.executor.dtype.itemsize
        return sum(leased(count * item) for count in within), sum(leased(count * item) for count in lasting)

    # ---- playing

    def lease(self, addresses: Array) -> list[Array]:
        """Return the memory of one playing, and put where it lies among the addresses.

        In order: of what lives within the call, of small results, of each buffer in `own`.
        """
        memories = []
        for block in self.blocks:
            memory = self.executor.take(block.size)
            if block.size:
                addresses[block.slots] = block.shifts + address(memory)
            memories.append(memory)
        for slot in self.own:
            memory = self.executor.take(self.counts[slot])
            addresses[slot] = address(memory)
            memories.append(memory)
        return memories
