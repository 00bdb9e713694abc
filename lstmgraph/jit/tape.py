"""A tape: what a call does for batches of one shape, recorded once and played for each call.

Recording decides all that the numbers do not: which kernels run over which rows on which thread, and where each value
lies. What lives only within the call shares one block of memory; results have memory of their own.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from ctypes import addressof, c_char
from dataclasses import dataclass
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

import numpy as np

from lstmgraph.graph import Dim, Shape, lead, resize
from lstmgraph.jit import threads
from lstmgraph.jit.rows import Rows
from lstmgraph.schedule.lifetimes import Life, place

if TYPE_CHECKING:
    from lstmgraph.jit.executor import Context, Executor

Array = np.ndarray[Any, Any]
Function = Callable[..., None]
Call = tuple[int, int, int, int, int, int]  # which entry; t0, t1, b0, b1, slot
Rounds = Sequence[Sequence[Sequence[Call]]]  # one after the other; side by side; one after the other
SHARE = True  # where bounds are checked, every buffer has memory of its own
SMALL = 8192  # elements up to which results share memory
WHOLE = -1  # the count of a buffer whose length its array knows
LINE = 64  # bytes: a cache line, and the widest SIMD register
PREPARED = 32  # tapes that a bind is ready for


@dataclass(frozen=True, slots=True)
class Ref:
    """Some elements of a buffer of the call."""

    slot: int
    start: int
    count: int

    def part(self, start: int, count: int) -> "Ref":
        """Return `count` elements from `start` on."""
        return Ref(self.slot, self.start + start, count)


@dataclass(frozen=True)
class Packing:
    """Matrices of one shape side by side as a tile reads them: their nodes, rows K, columns N, registers of a panel."""

    keys: tuple[str, ...]
    rows: int
    columns: int
    panel: int

    @cached_property
    def name(self) -> str:
        """What tells it from others."""
        return f"{','.join(self.keys)} {self.rows}x{self.columns}/{self.panel}"


class Binding:
    """Parameters with what follows from them alone: each computed once, packed once, found once."""

    __slots__ = ("packs", "prepared", "values")

    def __init__(self, values: dict[str, Array]) -> None:
        self.values = values  # by node
        self.packs: dict[str, Array] = {}  # by the packing's name
        self.prepared: dict[Tape, tuple[Array, list[Any]]] = {}


@dataclass(frozen=True, slots=True)
class Block:
    """Memory that several buffers share: its elements, the buffers, and where each begins in bytes."""

    size: int
    slots: Array
    shifts: Array


class Frame:
    """One playing of a tape: the memory behind its buffers."""

    __slots__ = ("addresses", "arrays", "blocks", "context", "tape")

    def __init__(
        self, tape: "Tape", context: "Context", blocks: list[Array], addresses: Array, arrays: list[Any]
    ) -> None:
        self.tape = tape
        self.context = context
        self.blocks = blocks  # what lives within the call; small results
        self.addresses = addresses
        self.arrays = arrays

    def hold(self, slot: int, array: Array) -> None:
        """Put an array behind a buffer."""
        array = array if array.flags.c_contiguous else np.ascontiguousarray(array)
        self.arrays[slot] = array
        self.addresses[slot] = address(array)

    def array(self, ref: Ref) -> Array:
        """Return elements as a flat array."""
        array = self.arrays[ref.slot]
        if array is None:
            first = self.tape.offsets[ref.slot]
            block = self.blocks[ref.slot in self.tape.beside]
            array = self.arrays[ref.slot] = block[first : first + self.tape.counts[ref.slot]]
        flat: Array = array if array.ndim == 1 else array.reshape(-1)
        return flat if ref.count == WHOLE else flat[ref.start : ref.start + ref.count]

    def value(self, key: str) -> Array:
        """Return the value of a node in its shape."""
        if key not in self.tape.given:
            values = self.context.binding.values if key in self.tape.bound else self.context.values
            return values[key]
        ref, shape = self.tape.given[key]
        array = self.array(ref)
        return array if shape is None else array.reshape(shape)

    def give(self, values: dict[Any, Array]) -> None:
        """Put the results, by node, where they are wanted."""
        for key in self.tape.results:
            values[key] = self.value(key)

    def thunks(self) -> list[Callable[[], object]]:
        """Return the steps, to be run on this memory any number of times."""
        return [step(self) for step in self.tape.steps]


Step = Callable[[Frame], Callable[[], object]]  # from the memory of a playing to what is done there


@dataclass(frozen=True, eq=False)
class Entry:
    """A kernel with its buffers and sizes."""

    function: Function
    refs: tuple[Ref, ...]
    sizes: Array

    def handles(self, compiled: bool, itemsize: int) -> Callable[[Frame], Any]:
        """Return what makes the kernel's table of a frame: addresses, or under the shim arrays."""
        if not compiled:
            return lambda frame: [frame.array(ref) for ref in self.refs]
        slots = np.array([ref.slot for ref in self.refs], np.intp)
        shifts = np.array([ref.start * itemsize for ref in self.refs], np.int64)
        if not shifts.any():
            return lambda frame: frame.addresses.take(slots)
        return lambda frame: frame.addresses.take(slots) + shifts


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
    """

    def __init__(
        self,
        executor: "Executor",
        rows: Rows,
        sizes: Mapping[Dim, Dim],
        wanted: frozenset[str] = frozenset(),
        fixed: frozenset[str] = frozenset(),
    ) -> None:
        self.executor = executor
        self.rows = rows
        self.sizes = {**sizes, "T": rows.T, "B": rows.B}
        self.wanted = wanted
        self.fixed = fixed
        self.steps: list[Step] = []
        self.counts: list[int] = []
        self.constants: list[Array | None] = []  # by slot: arrays that are the same in every call
        self.given: dict[str, tuple[Ref, tuple[int, ...] | None]] = {}  # node -> where the tape puts its value
        self.once: dict[str, Ref] = {}  # node -> where a step holds its value
        self.direct: set[int] = set()  # those of them that kernels read as they are
        self.leaves: dict[str, int] = {}  # node -> slot of what the caller feeds
        self.bound: dict[str, int] = {}  # node -> slot of what a bind holds
        self.packs: dict[str, tuple[Packing, int]] = {}  # name -> packed parameters and their slot
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
        """Return packed parameters, which belong to a bind and not to a call."""
        name = packing.name
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

    def read(self, key: str, shape: Shape) -> Ref:
        """Return where the value of a node lies; one that no step gives is fed by the caller."""
        if key in self.given:
            return self.given[key][0]
        count = int(np.prod([int(resize(dim, self.sizes)) for dim in shape[len(lead(shape)) :]], initial=1))
        count *= {0: 1, 1: self.rows.B, 2: self.rows.count}[len(lead(shape))]
        if key in self.once:
            self.direct.add(self.once[key].slot)
            return Ref(self.once[key].slot, 0, count)
        table = self.bound if key in self.fixed else self.leaves
        if key not in table:
            table[key] = self._slot(count, None).slot
        return Ref(table[key], 0, count)

    def _slot(self, count: int, constant: Array | None) -> Ref:
        self.counts.append(count)
        self.constants.append(constant)
        return Ref(len(self.counts) - 1, 0, count)

    def python(self, step: Step, touched: Iterable[Ref]) -> None:
        """Add a step in Python that touches these buffers."""
        self._touch(touched)
        self.steps.append(step)

    def copy(self, target: Ref, source: Ref) -> None:
        """Add a step that copies elements."""
        self.python(lambda frame: partial(np.copyto, frame.array(target), frame.array(source)), (target, source))

    def fill(self, target: Ref, number: float) -> None:
        """Add a step that writes one number everywhere."""
        self.python(lambda frame: partial(frame.array(target).fill, number), (target,))

    def launch(self, entries: Sequence[Entry], rounds: Rounds) -> None:
        """Add a step of kernels: rounds one after the other, the tasks of a round side by side."""
        for entry in entries:
            self._touch(entry.refs)
        executor = self.executor
        tables = [entry.handles(executor.compiled, executor.dtype.itemsize) for entry in entries]
        kernels = [(entry.function, entry.sizes) for entry in entries]

        def step(frame: Frame) -> Callable[[], None]:
            bound = [(function, table(frame), sizes) for (function, sizes), table in zip(kernels, tables, strict=True)]
            if len(rounds) == 1 and len(rounds[0]) == 1:
                return partial(_perform, bound, rounds[0][0])
            return partial(_in_rounds, bound, rounds)

        self.steps.append(step)

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
        self._base = np.array([0 if array is None else address(array) for array in self.constants], np.int64)

    def _lines(self, slot: int) -> int:
        """Return how many lines of the cache a buffer takes."""
        return -(-self.counts[slot] * self.executor.dtype.itemsize // LINE)

    def _arrange(self, slots: list[int], lives: list[Life]) -> Block:
        """Give buffers their places in one block."""
        offsets, end = place(lives)
        each = LINE // self.executor.dtype.itemsize
        self.offsets |= {slot: offset * each for slot, offset in zip(slots, offsets, strict=True)}
        return Block(end * each, np.array(slots, np.intp), np.array(offsets, np.int64) * LINE)

    # ---- playing

    def prepare(self, binding: Binding) -> tuple[Array, list[Any]]:
        """Return the addresses of what is the same in every call of a bind, and the arrays; the bind keeps them."""
        known = binding.prepared.get(self)
        if known is None:
            addresses, arrays = self._base.copy(), list(self.constants)
            found = [(binding.values[key], slot) for key, slot in self.bound.items()]
            found += [(binding.packs[name], slot) for name, (_, slot) in self.packs.items()]
            for array, slot in found:
                arrays[slot] = array if array.flags.c_contiguous else np.ascontiguousarray(array)
                addresses[slot] = address(arrays[slot])
            if len(binding.prepared) >= PREPARED:  # shapes that come no more
                binding.prepared.clear()
            known = binding.prepared[self] = (addresses, arrays)
        return known

    def play(self, context: "Context", into: dict[Any, Array] | None = None) -> None:
        """Run all steps on a context's values and put the results there, or elsewhere."""
        frame = self.open(context)
        for step in self.steps:
            step(frame)()
        frame.give(context.values if into is None else into)

    def open(self, context: "Context") -> Frame:
        """Return the memory of one playing, what the caller feeds in place."""
        take = self.executor.take
        known, held = self.prepare(context.binding)
        addresses, arrays = known.copy(), held.copy()
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


def _in_rounds(bound: Sequence[tuple[Function, Any, Array]], rounds: Rounds) -> None:
    for tasks in rounds:
        threads.run([partial(_perform, bound, calls) for calls in tasks])


def _perform(bound: Sequence[tuple[Function, Any, Array]], calls: Sequence[Call]) -> None:
    for entry, t0, t1, b0, b1, slot in calls:
        function, handles, sizes = bound[entry]
        function(handles, sizes, t0, t1, b0, b1, slot)


def address(buffer: Any) -> int:
    """Return where a buffer begins; by way of ctypes, which is four times quicker where it can."""
    try:
        return addressof(c_char.from_buffer(buffer))
    except (TypeError, ValueError):  # read-only or empty
        return int(buffer.__array_interface__["data"][0])
