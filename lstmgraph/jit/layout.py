"""Where a kernel finds each value: its buffers, its run-time sizes, and the packed matrices."""

from dataclasses import dataclass

from lstmgraph.graph import Dim


@dataclass(frozen=True)
class Pack:
    """Matrices side by side as one tile reads them: parameters of the kernel's cell by name, columns N, rows K."""

    parameters: tuple[str, ...]
    rows: Dim
    columns: Dim
    panel: int  # registers of one matrix in a panel


@dataclass(frozen=True)
class Ahead:
    """Products with inputs that a loop may find computed for all steps: their packs, by input, and their columns.

    A row of them holds, panel by panel, `registers` registers of columns, as the tile does.
    """

    terms: tuple[tuple[str, int], ...]
    columns: Dim
    panel: int
    registers: int


@dataclass(frozen=True)
class Buffer:
    """One buffer of a kernel.

    Parameters
    ----------
    role : str
        "starts" (first row of each step), "blocks" (first row of a state at each step), "input", "index", "state",
        "output", "parameter", "table", "pack", "ahead", "places" (which row of it is whose), "scratch" (rows of a
        step), "tile", "meeting" (where threads that share a row count who has come).
    name : str
        The leaf or output it holds.
    size : int or str
        Features of a row.
    """

    role: str
    name: str
    size: Dim = 1


@dataclass(frozen=True)
class Size:
    """One run-time size of a kernel.

    Parameters
    ----------
    kind : str
        "steps" (T), "keep" (1 if an output is wanted, 0 to drop it), "dim" (a dimension of the cell), "ahead" (elements
        of a row of products computed ahead, 0 if they are not), "parts" (threads that share the units of a row).
    name : int or str
        Which output, dimension or products.
    """

    kind: str
    name: Dim = ""


@dataclass(frozen=True)
class Kernel:
    """Generated source and what it is called with.

    Parameters
    ----------
    name, source : str
        The function and its text.
    buffers : tuple of Buffer
        In the order of the addresses.
    sizes : tuple of Size
        In the order in which they are passed: the steps first.
    packs : tuple of Pack
        In the order of the pack buffers.
    ahead : tuple of Ahead
        In the order of the buffers of that role.
    aliases : tuple of (output, state)
        Outputs that are a state's next value and so need no buffer of their own.
    in_place : tuple of (output, input)
        Outputs that may be written over an input, if nobody needs that any more.
    tile : int
        Elements of the tile buffer of one slice.
    flops : tuple of (Dim, Dim)
        Rows and columns of each product, for the cost of a row.
    """

    name: str
    source: str
    buffers: tuple[Buffer, ...]
    sizes: tuple[Size, ...]
    packs: tuple[Pack, ...]
    ahead: tuple[Ahead, ...]
    aliases: tuple[tuple[str, str], ...]
    in_place: tuple[tuple[str, str], ...]
    tile: int
    flops: tuple[tuple[Dim, Dim], ...]
