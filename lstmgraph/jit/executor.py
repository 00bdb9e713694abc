"""What every stage of a plan runs on: compiled functions, leased buffers, slices of rows on threads."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from lstmgraph.graph import Dim, resize
from lstmgraph.jit.arena import Arena
from lstmgraph.jit.cache import Module, compile_module
from lstmgraph.jit.frame import Binding
from lstmgraph.jit.layout import Kernel
from lstmgraph.jit.machine import Machine
from lstmgraph.jit.player import PLAY, TAKES, Function, Player
from lstmgraph.jit.rows import Rows
from lstmgraph.jit.tile import support_source, tiles_source

Array = np.ndarray[Any, Any]
SLICE_WORK = 300_000  # floating-point operations of a thread's share: less is not worth dealing out


@dataclass
class Context:
    """What one run works with.

    Parameters
    ----------
    rows : Rows
        The batch.
    values : dict
        Key -> array: sequences packed and flat, batch rows [B * n] sorted; as the user sees them if no row is moved.
    binding : Binding
        The parameters.
    lent : set
        Keys of values that belong to somebody else: the caller's arguments, and results that were given away.
    padded : bool
        Whether numbers in leaves lie in the user's order and with padding, and sequences that are results shall.
    """

    rows: Rows
    values: dict[str, Any]
    binding: Binding
    lent: set[str] = field(default_factory=set)
    padded: bool = False


class Executor:
    """Compiles kernels when they are first needed and calls them."""

    def __init__(self, target: Machine, thread_count: int) -> None:
        self.target = target
        self.threads = thread_count
        self.dtype = np.dtype(target.dtype)
        self.arena = Arena()
        self.compiled = target.compiled
        self._tiles: Module | None = None
        self._functions: dict[str, Function] = {}
        self._player: Module | None = None

    def take(self, count: int) -> Array:
        """Lease a buffer of elements that begins a line of the cache; it goes back by itself when nobody holds it."""
        return self.arena.take(count, self.dtype)

    def tiles(self) -> Module:
        """Return the register tiles."""
        if self._tiles is None:
            self._tiles = self._module(tiles_source(self.target), (), (), "tiles")
        return self._tiles

    def function(self, kernel: Kernel, title: str) -> Function:
        """Return the compiled function of a kernel."""
        if kernel.source not in self._functions:  # two kernels may have one name
            module = self._module(kernel.source, (kernel.name,), (self.tiles(),), title)
            self._functions[kernel.source] = module.functions[kernel.name]
        return self._functions[kernel.source]

    def support(self, name: str) -> Function:
        """Return one of the kernels that serve every cell."""
        if name not in self._functions:
            module = self._module(
                support_source(name, self.target), (name,), (self.tiles(),), f"{name}, for every cell"
            )
            self._functions[name] = module.functions[name]
        return self._functions[name]

    def player(self) -> Player:
        """Return what plays segments."""
        play: Player = self._player_module().functions["play"]
        return play

    def _player_module(self) -> Module:
        if self._player is None:
            self._player = self._module(PLAY, ("play",), (), "the player of kernels", TAKES)
        return self._player

    def function_with_player(self, source: str, name: str, title: str, takes: str) -> Player:
        """Return the compiled function of a text that calls the player's functions."""
        made: Player = self._module(source, (name,), (self._player_module(),), title, takes).functions[name]
        return made

    def _module(
        self, source: str, entries: tuple[str, ...], uses: tuple[Module, ...], title: str, takes: str | None = None
    ) -> Module:
        target = self.target
        return compile_module(
            source,
            entries,
            dtype=target.dtype,
            width=target.width,
            uses=uses,
            title=title,
            compiled=target.compiled,
            takes=takes,
        )

    def parts(self, work: float, most: int) -> int:
        """Return on how many threads to spread some floating-point operations."""
        return max(1, min(self.threads, int(work / SLICE_WORK), most))


def row_work(kernel: Kernel, sizes: Mapping[Dim, Dim]) -> float:
    """Return the floating-point operations of one row of a kernel, sixty for each value beside the products."""
    products = sum(2 * int(resize(k, sizes)) * int(resize(n, sizes)) for k, n in kernel.flops)
    return products + 60 * sum(int(resize(b.size, sizes)) for b in kernel.buffers if b.role != "pack") + 100


def in_memory(matrix: Array) -> Array:
    """Return the matrix whose rows lie one after the other in a matrix's memory: itself, its transpose, or a copy."""
    if matrix.flags.c_contiguous:
        return matrix
    return matrix.T if matrix.flags.f_contiguous else np.ascontiguousarray(matrix)


def strides(matrix: Array) -> tuple[int, int]:
    """Return the steps, in elements of that memory, from row to row and from column to column."""
    across = matrix.flags.f_contiguous and not matrix.flags.c_contiguous
    return (1, matrix.shape[0]) if across else (matrix.shape[1], 1)
