"""Which row of which step stands where: sequences of different lengths are kept packed, longest row first.

A sequence [T, B, n] is kept as its valid rows only, step after step. A state's history has one block of rows before
the first step and one after each step. So padding is never read, and the cost follows the sum of the lengths.
"""

import math
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from typing import Any

import numpy as np

from lstmgraph.jit import threads

Array = np.ndarray[Any, Any]
ROOMS = 8  # sizes a doubling of the memory for packed rows


@dataclass(frozen=True)
class Extent:
    """What batches have in common that share a recording.

    Parameters
    ----------
    T, B : int
        Steps and batch rows.
    room : int
        Rows of all steps that there is memory for.
    ragged : bool
        Whether rows have different lengths, and are kept packed.
    """

    T: int
    B: int
    room: int
    ragged: bool


@dataclass(frozen=True, eq=False)
class Rows:
    """The rows of a batch.

    Parameters
    ----------
    T, B : int
        Steps and batch rows.
    lengths : array or None
        Valid steps of each row, in the user's order.
    """

    T: int
    B: int
    lengths: Array | None = None
    _cuts: dict[int, list[tuple[int, int]]] = field(default_factory=dict, init=False, repr=False)

    @cached_property
    def key(self) -> tuple[int, int, bytes]:
        """What tells this batch's shape from others."""
        return self.T, self.B, b"" if self.order is None else self.lengths.tobytes()  # type: ignore[union-attr]

    @cached_property
    def extent(self) -> Extent:
        """What this batch has in common with others; of nearly as many rows, if they are kept packed."""
        if self.order is None:
            return Extent(self.T, self.B, self.T * self.B, ragged=False)
        step = 1 << max((self.count - 1).bit_length() - ROOMS.bit_length(), 0)
        return Extent(self.T, self.B, min(-(-self.count // step) * step, self.T * self.B), ragged=True)

    @cached_property
    def order(self) -> Array | None:
        """The user's rows by falling length; None if all are full."""
        if self.lengths is None or (self.lengths == self.T).all():
            return None
        return np.argsort(-self.lengths, kind="stable")

    @cached_property
    def sorted_lengths(self) -> Array:
        """Valid steps, longest first."""
        if self.lengths is None or self.order is None:
            return np.full(self.B, self.T, np.int64)
        return self.lengths[self.order]

    @cached_property
    def starts(self) -> Array:
        """First row of each block of a state's history: before the first step, then after each step; and the end."""
        active = np.full(self.T, self.B, np.int64)
        if self.order is not None:
            active -= np.cumsum(np.bincount(self.sorted_lengths, minlength=self.T + 1))[: self.T]
        return np.concatenate([[0, self.B], self.B + np.cumsum(active)]).astype(np.int64)

    @cached_property
    def count(self) -> int:
        """Valid rows of all steps."""
        return int(self.starts[-1] - self.B)

    @property
    def places(self) -> Any:
        """Row of the padded sequence [T * B] of each packed row; None if nothing is padded."""
        return None if self.order is None else self._places_and_before[0]

    @cached_property
    def packed_places(self) -> Any:
        """Packed row of each row of the padded sequence [T * B], -1 in padding; None if nothing is padded."""
        if self.order is None:
            return None
        found = np.full(self.T * self.B, -1)
        found[self.places] = np.arange(self.count)
        return found

    @cached_property
    def ranks(self) -> Any:
        """Where each of the user's rows is by falling length; None if all are full."""
        return None if self.order is None else np.argsort(self.order)

    @property
    def before(self) -> Any:
        """Row of the history, of the block before each packed row's step; None if they are the first rows."""
        return None if self.order is None else self._places_and_before[1]

    @cached_property
    def _places_and_before(self) -> tuple[Array, Array]:
        """`places` and `before`, of rows of different lengths."""
        assert self.order is not None
        steps = np.repeat(np.arange(self.T), np.diff(self.starts[1:]))
        within = np.arange(self.count) - (self.starts[1:-1] - self.B)[steps]
        return steps * self.B + self.order[within], self.starts[steps] + within

    @cached_property
    def ends(self) -> Array:
        """Row of the history that holds each sorted row's state after its last step."""
        return self.starts[self.sorted_lengths] + np.arange(self.B)

    @cached_property
    def two_blocks(self) -> Array:
        """Block starts of a state of which only the present and the next value are kept."""
        return (np.arange(self.T + 2) % 2 * self.B).astype(np.int64)

    @cached_property
    def two_block_ends(self) -> Array:
        """As `ends`, in two blocks."""
        return self.two_blocks[self.sorted_lengths] + np.arange(self.B)

    def slices(self, parts: int) -> list[tuple[int, int]]:
        """Return the rows of each of some threads, about as many steps for each."""
        if parts not in self._cuts:
            whole = self.order is None
            self._cuts[parts] = (
                threads.slices(self.B, parts) if whole else threads.balanced_slices(self.sorted_lengths, parts)
            )
        return self._cuts[parts]

    def pack(self, padded: Array) -> Array:
        """Return the valid rows [count * n] of a sequence [T, B, n] or [T, B]."""
        flat = padded.reshape(self.T * self.B, math.prod(padded.shape[2:]))
        return (flat if self.places is None else flat[self.places]).reshape(-1)

    def unpack(self, packed: Array, width: int) -> Array:
        """Return a sequence [T, B, n], zeros in padding."""
        if self.places is None:
            return packed.reshape(self.T, self.B, width)
        padded = np.zeros((self.T * self.B, width), packed.dtype)
        padded[self.places] = packed.reshape(-1, width)
        return padded.reshape(self.T, self.B, width)

    def sort(self, rows: Array) -> Array:
        """Return [B, n] rows, longest first."""
        return rows if self.order is None else rows[self.order]

    def unsort(self, rows: Array) -> Array:
        """Return [B, n] rows in the user's order."""
        return rows if self.order is None else rows[self.ranks]


@lru_cache(maxsize=16)
def full_rows(T: int, B: int) -> Rows:
    """Return the rows of a batch without padding; the tables of recent ones are kept."""
    return Rows(T, B)


def stretch_of(rows: Rows, begin: int, end: int) -> Rows:
    """Return the rows of some steps of a batch, the batch's longest row first."""
    if rows.order is None:
        return full_rows(end - begin, rows.B)
    return Rows(end - begin, rows.B, np.clip(rows.sorted_lengths - begin, 0, end - begin))


NO_ROWS = Rows(0, 0)
