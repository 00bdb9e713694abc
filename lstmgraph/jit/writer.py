"""The text of a kernel while it is written: names that are free, pointers, constants, indented lines."""

import keyword
import re
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache

from lstmgraph.graph import Dim, node_of, operands
from lstmgraph.jit.layout import Ahead, Buffer, Pack
from lstmgraph.jit.machine import Machine
from lstmgraph.jit.shim import vectors
from lstmgraph.jit.tile import tiles_source
from lstmgraph.schedule.products import is_product, is_sum
from lstmgraph.schedule.row_loops import RowLoop
from lstmgraph.traced import Traced

NUMBERS = {0.0: "zero", 1.0: "one", 2.0: "two", 0.5: "half"}
OWN = frozenset(  # names that the text of a kernel gives to values of its own, or takes from Python
    "buffers sizes t0 t1 b0 b1 slot part parts t now stop kept step r m p q n j i k rows at T carry entry mine unit "
    "afresh onward off zero one two half np range min __debug__".split()
)


@cache
def reserved_names(target: Machine) -> frozenset[str]:
    """Return the names that a kernel's text uses itself: its own, those of registers, and of the tiles."""
    registers = vars(vectors(target.dtype, target.width))
    return OWN | registers.keys() | set(re.findall(r"^def (\w+)", tiles_source(target), re.MULTILINE))


@dataclass(frozen=True)
class Address:
    """A row value in memory: buffer, the row that this step begins with, features of a row, offset in it.

    Without features of a row there is one row for all, and it begins with the element `base`.
    """

    buffer: str
    base: str
    size: str
    offset: str = ""

    def at(self, row: str, column: str = "") -> str:
        """Return the index of a column of a row."""
        if not self.size:
            return " + ".join(part for part in (self.base, self.offset, column) if part)
        begin = f"{self.base} + {row}" if self.base else row
        first = begin if self.size == "1" else f"({begin}) * {self.size}" if self.base else f"{begin} * {self.size}"
        return " + ".join(part for part in (first, self.offset, column) if part)


@dataclass
class Writer:
    """Writes one kernel; what it decides is kept in plain tables."""

    cell: Traced
    target: Machine
    loop: bool
    reverse: bool
    name: str
    lines: list[str] = field(default_factory=list)
    depth: int = 1
    buffers: list[Buffer] = field(default_factory=list)
    pointers: dict[tuple[str, str], str] = field(default_factory=dict)
    dims: dict[Dim, str] = field(default_factory=dict)
    identifiers: dict[str, str] = field(default_factory=dict)
    used: set[str] = field(init=False)
    homes: dict[str, Address] = field(default_factory=dict)
    stores: dict[str, list[Address]] = field(default_factory=dict)
    numbers: dict[float, str] = field(default_factory=dict)
    packs: list[Pack] = field(default_factory=list)
    ahead: list[Ahead] = field(default_factory=list)
    keeps: list[str] = field(default_factory=list)
    bases: list[str] = field(default_factory=list)
    scalars: dict[str, str] = field(default_factory=dict)
    shares: dict[tuple[str, str], tuple[str, str]] = field(default_factory=dict)
    wholes: dict[str, str] = field(default_factory=dict)
    rows_of: dict[RowLoop, tuple[str, str]] = field(default_factory=dict)  # of one row: its first element, its elements
    aliases: list[tuple[str, str]] = field(default_factory=list)
    names_of_places: dict[str, str] = field(default_factory=dict)  # by their text
    places: dict[str, str] = field(default_factory=dict)  # those of them that are in use
    tile: int = 0
    flops: list[tuple[Dim, Dim]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.used = set(reserved_names(self.target))

    # ---- names

    def identifier(self, wanted: str) -> str:
        """Return a free Python name most like the one wanted."""
        letters = unicodedata.normalize("NFKC", wanted)  # as Python reads names
        name = "".join(letter if f"_{letter}".isidentifier() else "_" for letter in letters) or "value"
        if not name.isidentifier() or keyword.iskeyword(name):
            name = f"v_{name}"
        base, count = name, 2
        while name in self.used:
            name, count = f"{base}_{count}", count + 1
        self.used.add(name)
        return name

    def dim(self, dim: Dim) -> str:
        """Return the name of a dimension in the text."""
        if dim == 1:
            return "1"
        if dim not in self.dims:
            wanted = f"n{len(self.dims)}" if isinstance(dim, int) or not str(dim).isidentifier() else str(dim)
            self.dims[dim] = self.identifier(wanted)
        return self.dims[dim]

    def pointer(self, role: str, name: str, size: Dim = 1, called: str | None = None) -> str:
        """Return the pointer to a buffer; the first mention makes it an argument."""
        if (role, name) not in self.pointers:
            self.buffers.append(Buffer(role, name, size))
            self.pointers[role, name] = self.identifier(called or name)
        return self.pointers[role, name]

    def share(self, size: Dim, panel: int = 1) -> str:
        """Return the range of columns, panel by panel, that are this thread's: all, or in a loop its part of them."""
        text, step = self.dim(size), "W" if panel == 1 else f"{panel} * W"
        if not self.loop:
            return f"range(0, {text}, {step})"
        if (text, step) not in self.shares:
            self.shares[text, step] = (self.identifier(f"{text}_first"), self.identifier(f"{text}_end"))
        first, end = self.shares[text, step]
        return f"range({first}, {end}, {step})"

    def whole(self, size: Dim) -> str:
        """Return the name of the columns that fill whole registers."""
        text = self.dim(size)
        if text not in self.wholes:
            self.wholes[text] = self.identifier(f"{text}_whole")
        return self.wholes[text]

    @property
    def rows(self) -> tuple[str, str]:
        """The rows that are this thread's in a row loop: all, or in a loop over time its part of them."""
        if not self.loop:
            return "b0", "stop"
        return "b0 + share(stop - b0, 1, part, parts)", "b0 + share(stop - b0, 1, part + 1, parts)"

    def number(self, value: float) -> str:
        """Return the name of a constant register."""
        if value not in self.numbers:
            self.numbers[value] = NUMBERS.get(value) or self.identifier(f"number_{len(self.numbers)}")
        return self.numbers[value]

    def place(self, address: Address) -> str:
        """Return where column q of row i is: a name, which `placing` gives a value."""
        text = address.at("i", "q")
        if not address.size:
            return text
        if text not in self.names_of_places:
            self.names_of_places[text] = self.identifier(f"{address.base.removesuffix('_row') or 'row'}_at")
        self.places[text] = self.names_of_places[text]
        return self.places[text]

    @contextmanager
    def placing(self) -> Iterator[None]:
        """Write above what follows where its columns are: once, for whole registers and for parts of one."""
        self.places, here = {}, len(self.lines)
        yield
        self.lines[here:here] = ["    " * self.depth + f"{name} = {text}" for text, name in self.places.items()]

    # ---- lines

    def write(self, *lines: str) -> None:
        """Add lines at the present depth."""
        self.lines.extend("    " * self.depth + line for line in lines)

    @contextmanager
    def inside(self, *header: str) -> Iterator[None]:
        """Write a header and indent what follows."""
        self.write(*header)
        self.depth += 1
        yield
        self.depth -= 1


def value_name(writer: Writer, key: str) -> str:
    """Return the identifier of a value: its label, the state it becomes, or its op."""
    if key not in writer.identifiers:
        graph = writer.cell.graph
        label = next((label for label, k in graph.graph["labels"].items() if k == key), None)
        sinks = [node_of(graph, user) for user in graph.succ[key] if node_of(graph, user).op in ("next", "output")]
        wanted = label or next(
            (f"next_{node.name}" if node.op == "next" else f"{node.name}_value" for node in sinks), None
        )
        writer.identifiers[key] = writer.identifier(wanted or _sum_name(writer, key))
    return writer.identifiers[key]


def _sum_name(writer: Writer, key: str) -> str:
    """Return a name after the layer whose product or sum a value is, else after its op."""
    graph = writer.cell.graph
    if is_product(graph, key) or is_sum(graph, key):
        owners = {node_of(graph, source).name.rpartition(".") for source in operands(graph, key)}
        for owner, _, weight in sorted(owners):
            if owner:
                return f"{owner}_{'sum' if weight == 'b' else 'product'}"
        if all(is_product(graph, source) for source in operands(graph, key)):
            return _sum_name(writer, operands(graph, key)[0])
    return f"{node_of(graph, key).op}_value"
