"""What a tape runs on: references to buffers, the parameters of a bind, and the memory of one playing."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from lstmgraph.jit.arena import address
from lstmgraph.jit.player import Function

if TYPE_CHECKING:
    from lstmgraph.jit.executor import Context
    from lstmgraph.jit.fit import Fit

Array = np.ndarray[Any, Any]
LINE = 64  # bytes: a cache line, and the widest SIMD register
WHOLE = -1  # the count of a buffer whose length its array knows


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
    """Parameters with what follows from them alone: each computed once, packed once, found once.

    One that is brief serves a single call, whose tape packs what it reads.
    """

    __slots__ = ("brief", "packs", "prepared", "values")

    def __init__(self, values: dict[str, Array], brief: bool = False) -> None:
        self.values = values  # by node
        self.brief = brief
        self.packs: dict[str, Array] = {}  # by the packing's name
        self.prepared: dict[Fit, tuple[Array, list[Any]]] = {}


@dataclass(frozen=True, slots=True)
class Block:
    """Memory that several buffers share: its elements, the buffers, and where each begins in bytes."""

    size: int
    slots: Array
    shifts: Array


class Frame:
    """One playing of a tape: the memory behind its buffers."""

    __slots__ = ("addresses", "arrays", "blocks", "context", "fit", "tape")

    def __init__(
        self, fit: "Fit", context: "Context", blocks: list[Array], addresses: Array, arrays: list[Any]
    ) -> None:
        self.fit = fit
        self.tape = fit.tape
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
        _, small = self.blocks
        for key, slot, elements, shape in self.fit.handed:
            memory = small if slot < 0 else self.arrays[slot]
            value = (memory if memory.ndim == 1 else memory.reshape(-1))[elements]
            values[key] = value if shape is None else value.reshape(shape)

    def thunks(self) -> list[Callable[[], object]]:
        """Return the steps, to be run on this memory any number of times."""
        return [step.on(self) for step in self.fit.parts]


@dataclass(frozen=True, eq=False)
class Entry:
    """A kernel with its buffers and sizes; if `counted`, the first size is the rows of all steps of a batch."""

    function: Function
    refs: tuple[Ref, ...]
    sizes: Array
    counted: bool = False

    def sizes_for(self, count: int) -> Array:
        """Return the sizes for so many rows of all steps."""
        if not self.counted:
            return self.sizes
        sizes = self.sizes.copy()
        sizes[0] = count
        return sizes
