"""Buffers that belong to a call: memory that returns for re-use when the last array on it dies.

Fresh memory costs a page fault for every 4 KiB, which for a kernel's scratch is more than the arithmetic.
"""

import os
import threading
import weakref
from collections import deque
from ctypes import addressof, c_char
from typing import Any

import numpy as np
import numpy.typing as npt

_ALIGNMENT = 64  # a cache line, and the widest SIMD register
_LEAST = 256
_FREE_LIMIT = 1 << 30
_PROMPT = 1 << 20  # bytes from which memory is sorted in, or goes back to the system, as soon as its array dies


class _Lease(weakref.ref["npt.NDArray[np.generic]"]):
    """Watches an array that was handed out and knows its memory."""

    __slots__ = ("memory",)
    memory: memoryview | None

    __hash__ = object.__hash__  # a reference hashes as what it refers to, and arrays do not
    __eq__ = object.__eq__


class Arena:
    """Hands out buffers and takes their memory back by itself.

    Results given to a user, what a pullback holds and a call's scratch need no release: the memory is free
    again when neither the array nor any view of it is left. Any thread may take, and arrays may die on any
    thread.

    Parameters
    ----------
    free_limit : int, optional
        The most bytes to keep for re-use; beyond it the memory that lay unused longest goes back to the
        system.

    Examples
    --------
    >>> arena = Arena()
    >>> buffer = arena.take(1000, np.float32)
    >>> buffer.shape, buffer.ctypes.data % 64
    ((1000,), 0)
    >>> del buffer
    >>> arena.free_bytes
    4096
    """

    def __init__(self, free_limit: int = _FREE_LIMIT) -> None:
        self.free_limit = free_limit
        self._lock = threading.Lock()
        self._leases: set[_Lease] = set()
        self._returned: deque[_Lease] = deque()  # appended to by dying arrays, at any moment
        self._free: dict[int, deque[tuple[int, memoryview]]] = {}  # size -> (age, memory), oldest first
        self._age = 0
        self._free_bytes = 0
        _arenas.add(self)

    @property
    def free_bytes(self) -> int:
        """Bytes that lie ready for re-use."""
        with self._lock:
            self._collect()
            return self._free_bytes

    def take(self, count: int, dtype: npt.DTypeLike) -> "npt.NDArray[np.generic]":
        """Return an uninitialised array, the caller's own until it and its views are dead.

        Parameters
        ----------
        count : int
            The number of elements.
        dtype : dtype_like
            Their type.

        Returns
        -------
        numpy.ndarray, shape (count,)
            Contiguous, writable, its address a multiple of 64.
        """
        element = np.dtype(dtype)
        size = _size_class(count * element.itemsize)
        with self._lock:
            if self._returned:
                self._collect()
            blocks = self._free.get(size)
            if blocks:
                _, memory = blocks.pop()  # the youngest: most likely still in the processor's cache
                self._free_bytes -= size
            else:
                memory = None
        if memory is None:
            memory = _allocate(size)
        # a memoryview as base stops NumPy from making views of the array hold the memory but not the array
        array = np.frombuffer(memory, element, count) if count else np.frombuffer(memory, element)[:0]
        # no Python runs as a small array dies: Ctrl-C that comes in a callback is printed and lost
        lease = _Lease(array, self._returned.append if size < _PROMPT else self._give_back)
        lease.memory = memory
        self._leases.add(lease)
        return array

    def clear(self) -> None:
        """Give all free memory back to the system."""
        with self._lock:
            self._collect()
            self._trim(0)

    def _give_back(self, lease: weakref.ref["npt.NDArray[np.generic]"]) -> None:
        """Take memory back: called when an array dies, perhaps in the middle of any line of this class."""
        assert isinstance(lease, _Lease)
        self._returned.append(lease)
        if self._lock.acquire(blocking=False):  # else whoever holds it, or the next call, collects
            try:
                self._collect()
            finally:
                self._lock.release()

    def _collect(self) -> None:
        """Sort what came back into the free blocks; the lock is held."""
        while self._returned:
            lease = self._returned[0]
            memory, lease.memory = lease.memory, None
            self._leases.discard(lease)
            self._returned.popleft()
            if memory is None:  # Ctrl-C came here
                continue
            self._age += 1
            self._free.setdefault(memory.nbytes, deque()).append((self._age, memory))
            self._free_bytes += memory.nbytes
        if self._free_bytes > self.free_limit:
            self._trim(self.free_limit)

    def _trim(self, limit: int) -> None:
        """Drop the oldest free blocks until at most `limit` bytes are left; the lock is held."""
        # counted anew: Ctrl-C between two lines of `take` leaves the running count too high
        self._free_bytes = sum(size * len(blocks) for size, blocks in self._free.items())
        while self._free_bytes > limit:
            size = min((blocks[0][0], size) for size, blocks in self._free.items() if blocks)[1]
            self._free[size].popleft()
            self._free_bytes -= size

    def _after_fork(self) -> None:
        """Start again in a forked child: another thread may have been inside at that moment."""
        self._lock = threading.Lock()
        self._leases.difference_update(self._returned)
        self._returned.clear()
        self._free.clear()
        self._free_bytes = 0


def address(buffer: Any) -> int:
    """Return where a buffer begins; by way of ctypes, which is four times quicker where it can."""
    try:
        return addressof(c_char.from_buffer(buffer))
    except (TypeError, ValueError):  # read-only or empty
        return int(buffer.__array_interface__["data"][0])


def leased(size: int) -> int:
    """Return how many bytes of memory a buffer of some bytes takes."""
    return _size_class(size) + _ALIGNMENT


def _size_class(size: int) -> int:
    """Round a size up to one of four per doubling, so that re-use hits and at most a fifth is lost."""
    if size <= _LEAST:
        return _LEAST
    step = 1 << ((size - 1).bit_length() - 3)
    return -(-size // step) * step


def _allocate(size: int) -> memoryview:
    raw = np.empty(size + _ALIGNMENT, np.uint8)
    offset = -raw.ctypes.data % _ALIGNMENT
    return memoryview(raw)[offset : offset + size]  # type: ignore[arg-type]


_arenas: "weakref.WeakSet[Arena]" = weakref.WeakSet()


def _forked() -> None:
    for arena in list(_arenas):
        arena._after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forked)
