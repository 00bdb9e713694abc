"""Blocks to source: the text of a kernel that runs a cell over time, or a stateless cell over rows."""

import keyword
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from lstmgraph.graph import Dim, features, is_row, keys_of, named, node_of, operands
from lstmgraph.jit.layout import Buffer, Kernel, Pack
from lstmgraph.jit.machine import Machine
from lstmgraph.jit.tile import tile_name
from lstmgraph.ops.contract import Fold
from lstmgraph.plugins import op
from lstmgraph.schedule.levels import Block, blocks, tile_groups, width
from lstmgraph.traced import Traced

NUMBERS = {0.0: "zero", 1.0: "one", 2.0: "two", 0.5: "half"}
RESERVED = set(
    "buffers sizes t0 t1 b0 b1 slot t now stop r m p q n j i k rows row at W scalar floats integers element "
    "index put_element load load_part store store_part splat fill zeros fma less less_equal greater greater_equal equal "
    "not_equal select maximum minimum sqrt absolute exp log tanh sigmoid total largest keep running_total "
    "running_total_reverse lane lanes np T kept step feature carry value zero one two half entry".split()
)


@dataclass(frozen=True)
class Address:
    """A row value in memory: buffer, the row that this step begins with, features of a row, offset in it."""

    buffer: str
    base: str
    size: str
    offset: str = ""

    def at(self, row: str, column: str = "") -> str:
        """Return the index of a column of a row."""
        begin = f"{self.base} + {row}" if self.base else row
        first = f"({begin}) * {self.size}" if self.size != "1" else f"{begin}"
        return " + ".join(part for part in (first, self.offset, column) if part)


@dataclass
class Emitter:
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
    used: set[str] = field(default_factory=lambda: set(RESERVED))
    homes: dict[str, Address] = field(default_factory=dict)
    stores: dict[str, list[Address]] = field(default_factory=dict)
    numbers: dict[float, str] = field(default_factory=dict)
    packs: list[Pack] = field(default_factory=list)
    keeps: list[str] = field(default_factory=list)
    bases: list[str] = field(default_factory=list)
    scalars: dict[str, str] = field(default_factory=dict)
    aliases: list[tuple[str, str]] = field(default_factory=list)
    tile: int = 0
    flops: list[tuple[Dim, Dim]] = field(default_factory=list)

    # ---- names

    def identifier(self, wanted: str) -> str:
        """Return a free Python name most like the one wanted."""
        name = re.sub(r"\W", "_", wanted) or "value"
        if name[0].isdigit() or keyword.iskeyword(name):
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

    def number(self, value: float) -> str:
        """Return the name of a constant register."""
        if value not in self.numbers:
            self.numbers[value] = NUMBERS.get(value) or self.identifier(f"number_{len(self.numbers)}")
        return self.numbers[value]

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


def emit(cell: Traced, target: Machine, *, loop: bool, reverse: bool = False, name: str) -> Kernel:
    """Return the kernel of a cell.

    Parameters
    ----------
    cell : Traced
        A graph of one step: leaves, row ops and sinks; no invariant ops (they run once, outside).
    target : Machine
        What it is generated for.
    loop : bool
        Whether it runs over time (has states) or once over rows.
    reverse : bool
        Whether time runs from the last step to the first.
    name : str
        The function's name.
    """
    emitter = Emitter(cell, target, loop, reverse, name)
    stages = blocks(cell.graph)
    _place(emitter, stages)
    with _step(emitter):
        for block in stages:
            _block(emitter, block)
        _copies(emitter, stages)
    return _finished(emitter)


# ---- where values live


def _place(emitter: Emitter, stages: tuple[Block, ...]) -> None:
    """Give every leaf, every sink, and every value that crosses a block its place."""
    graph = emitter.cell.graph
    if emitter.loop:
        emitter.pointer("starts", "starts")
    for name, key in named(graph, "input").items():
        node = node_of(graph, key)
        role = "input" if features(node.shape) else "index"
        pointer = emitter.pointer(role, name, width(graph, key))
        emitter.homes[key] = Address(pointer, _now(emitter), emitter.dim(width(graph, key)))
    for name, key in named(graph, "state").items():
        pointer = emitter.pointer("state", name, width(graph, key))
        emitter.pointer("blocks", name, called=f"{name}_blocks")
        emitter.homes[key] = Address(pointer, emitter.identifier(f"{name}_old"), emitter.dim(width(graph, key)))
        emitter.identifiers[f"{key} new"] = emitter.identifier(f"{name}_new")
    for name, key in named(graph, "next").items():
        state = named(graph, "state")[name]
        old = emitter.homes[state]
        new = Address(old.buffer, emitter.identifiers[f"{state} new"], old.size)
        _add_store(emitter, operands(graph, key)[0], new)
    stored = {operands(graph, key)[0]: name for name, key in reversed(named(graph, "next").items())}
    for name, key in named(graph, "output").items():
        source = operands(graph, key)[0]
        if source in stored:
            emitter.aliases.append((name, stored[source]))
            continue
        pointer = emitter.pointer("output", name, width(graph, source), called=name)
        base = ""
        if emitter.loop:
            emitter.keeps.append(name)
            base = emitter.identifier(f"{name}_row")
            emitter.bases.append(f"{base} = now * sizes[{len(emitter.keeps)}]")
        _add_store(emitter, source, Address(pointer, base, emitter.dim(width(graph, source))))
    _place_crossing(emitter, stages)


def _now(emitter: Emitter) -> str:
    return "now" if emitter.loop else ""


def _add_store(emitter: Emitter, key: str, address: Address) -> None:
    node = node_of(emitter.cell.graph, key)
    emitter.stores.setdefault(key, []).append(address)
    if node.op not in ("input", "state", "constant", "parameter"):
        emitter.homes.setdefault(key, address)


def _place_crossing(emitter: Emitter, stages: tuple[Block, ...]) -> None:
    graph = emitter.cell.graph
    where = {key: place for place, block in enumerate(stages) for key in _values(block)}
    for place, block in enumerate(stages):
        for key in _values(block):
            if key in emitter.homes or not (
                block.kind not in ("tile", "pointwise") or any(_reader(graph, stages, where, user, place) for user in graph.succ[key])
            ):
                continue
            size = width(graph, key)
            name = _value_name(emitter, key)
            pointer = emitter.pointer("scratch", key, size, called=f"{name}_kept")
            emitter.homes[key] = Address(pointer, "" if emitter.loop else "kept", emitter.dim(size))
            emitter.stores.setdefault(key, []).append(emitter.homes[key])
    for key in graph:
        node = node_of(graph, key)
        if node.op not in ("input", "state", "next", "output", "sum", "parameter", "constant") and op(node.op).kind == "view":
            source = emitter.homes[operands(graph, key)[0]]
            skipped = [emitter.dim(part) for part in node.attr("parts")[: node.attr("index")]]
            offset = " + ".join([source.offset, *skipped] if source.offset else skipped)
            emitter.homes[key] = Address(source.buffer, source.base, source.size, offset)


def _reader(graph: object, stages: tuple[Block, ...], where: dict[str, int], user: str, place: int) -> bool:
    """Whether a user of a value stands outside its block (a partial sum or a view stands nowhere)."""
    return where.get(user, -1) != place


def _values(block: Block) -> list[str]:
    return [product.key for product in block.products] + list(block.values)


def _value_name(emitter: Emitter, key: str) -> str:
    """Return the identifier of a value: its label, the state it becomes, or its op."""
    if key not in emitter.identifiers:
        graph = emitter.cell.graph
        label = next((label for label, k in graph.graph["labels"].items() if k == key), None)
        sinks = [node_of(graph, user) for user in graph.succ[key] if node_of(graph, user).op in ("next", "output")]
        wanted = label or next((f"next_{node.name}" if node.op == "next" else f"{node.name}_value" for node in sinks), None)
        emitter.identifiers[key] = emitter.identifier(wanted or _sum_name(emitter, key))
    return emitter.identifiers[key]


def _sum_name(emitter: Emitter, key: str) -> str:
    """Return a name after the layer whose product or sum a value is, else after its op."""
    graph, node = emitter.cell.graph, node_of(emitter.cell.graph, key)
    if node.op in ("matmul", "add"):
        owners = {node_of(graph, source).name.rpartition(".") for source in operands(graph, key)}
        for owner, _, weight in sorted(owners):
            if owner:
                return f"{owner}_{'sum' if weight == 'b' else 'product'}"
        if node.op == "add" and all(node_of(graph, source).op == "matmul" for source in operands(graph, key)):
            return _sum_name(emitter, operands(graph, key)[0])
    return f"{node.op}_value"


# ---- the step


@contextmanager
def _step(emitter: Emitter) -> Iterator[None]:
    """Write the loop over time (if any) around the blocks."""
    graph = emitter.cell.graph
    if not emitter.loop:
        emitter.write("stop = b1", "kept = slot * T - b0")  # T rows of scratch a slot
        yield
        return
    with emitter.inside("for step in range(t0, t1):"):
        emitter.write("t = T - 1 - step" if emitter.reverse else "t = step")
        emitter.write("now = index(starts, t + 1) - index(starts, 1)", "stop = min(b1, index(starts, t + 2) - index(starts, t + 1))")
        first, second = ("t + 1", "t") if emitter.reverse else ("t", "t + 1")
        for name, key in named(graph, "state").items():
            pointer = emitter.pointers["blocks", name]
            emitter.write(f"{emitter.homes[key].base} = index({pointer}, {first})")
            emitter.write(f"{emitter.identifiers[f'{key} new']} = index({pointer}, {second})")
        emitter.write(*emitter.bases)
        yield


def _block(emitter: Emitter, block: Block) -> None:
    writers = {
        "tile": _tile_block,
        "pointwise": _pointwise_block,
        "reduction": _reduction_block,
        "running": _running_block,
        "join": _join_block,
        "gather": _gather_block,
    }
    writers[block.kind](emitter, block)


def _tile_block(emitter: Emitter, block: Block) -> None:
    """Products of a level, panel by panel, and the pointwise ops of its level while the tile is hot."""
    groups = tile_groups(block)
    panel = max(1, emitter.target.vectors // max(len(group) for group in groups))
    columns = sum(len(group) for group in groups) * panel
    tile = emitter.pointer("tile", "tile")
    size = emitter.dim(block.size)
    packs = [[_pack(emitter, group, term, panel) for term in range(len(group[0].terms))] for group in groups]
    emitter.tile = max(emitter.tile, emitter.target.rows * columns * emitter.target.width)
    step = "W" if panel == 1 else f"{panel} * W"
    with emitter.inside(f"for j in range(0, {size}, {step}):"):
        emitter.write("r = b0")
        with emitter.inside("while r < stop:"):
            for place, height in enumerate(emitter.target.heights):
                last = place == len(emitter.target.heights) - 1
                test = "else:" if last and place else f"{'elif' if place else 'if'} stop - r >= {height}:"
                with emitter.inside(test):
                    emitter.write(f"rows = {height}")
                    _tile_calls(emitter, groups, packs, panel, columns, height, tile)
            with emitter.inside("for m in range(rows):"):
                emitter.write("i = r + m")
                with emitter.inside(f"for p in range({panel}):") if panel > 1 else _nothing():
                    emitter.write("q = j" if panel == 1 else "q = j + p * W")
                    emitter.write(f"at = (slot * {emitter.target.rows} + m) * {columns} * W")
                    at, loads = 0, {}
                    for group in groups:
                        for place, product in enumerate(group):
                            register = f"{at + place}" + (f" + p * {len(group)}" if panel > 1 else "")
                            loads[product.key] = f"load({tile}, at + ({register}) * W)"
                        at += len(group) * panel
                    _body(emitter, block, size, loads)
            emitter.write("r += rows")


@contextmanager
def _nothing() -> Iterator[None]:
    yield


def _pack(emitter: Emitter, group: tuple, term: int, panel: int) -> str:  # type: ignore[type-arg]
    graph = emitter.cell.graph
    matrices = [product.terms[term][1] for product in group]
    names = tuple(node_of(graph, key).name for key in matrices)
    shape = node_of(graph, matrices[0]).shape
    emitter.flops += [(shape[0], shape[1])] * len(group)
    emitter.packs.append(Pack(names, shape[0], shape[1], panel))
    wanted = "_".join(["pack", names[0].split(".")[-1]])
    return emitter.pointer("pack", str(len(emitter.packs) - 1), called=wanted)


def _tile_calls(
    emitter: Emitter, groups: list, packs: list[list[str]], panel: int, columns: int, height: int, tile: str  # type: ignore[type-arg]
) -> None:
    at = 0
    vectors = emitter.target.vectors
    for group, names in zip(groups, packs, strict=True):
        total = len(group) * panel
        for term, ((source, matrix), pack) in enumerate(zip(group[0].terms, names, strict=True)):
            address = emitter.homes[source]
            K = emitter.dim(node_of(emitter.cell.graph, matrix).shape[0])
            add = min(term, 1)
            for first in range(0, total, vectors):
                across = min(vectors, total - first)
                count = "j" if panel == 1 else f"j // {panel}"  # j is a multiple of panel * W
                begin = f"({count} * {total} + {first} * W) * {K}" if first else f"{count} * {total} * {K}"
                row = f"(slot * {emitter.target.rows * columns} + {at + first}) * W"
                emitter.write(
                    f"{tile_name(height, across)}({address.buffer}, {address.at('r')}, {address.size}, 1, {pack}, {begin}, "
                    f"{tile}, {row}, {columns} * W, {K}, {add})"
                )
        at += total


def _body(emitter: Emitter, block: Block, size: str, loads: dict[str, str]) -> None:
    """The pointwise ops of a block at one register of columns, whole or in part."""
    with emitter.inside(f"if q + W <= {size}:"):
        _expressions(emitter, block, loads, part=False)
    with emitter.inside(f"elif q < {size}:"):
        emitter.write(f"n = {size} - q")
        _expressions(emitter, block, loads, part=True)


def _pointwise_block(emitter: Emitter, block: Block) -> None:
    size = emitter.dim(block.size)
    with emitter.inside("for i in range(b0, stop):"), emitter.inside(f"for q in range(0, {size}, W):"):
        _body(emitter, block, size, {})


def _expressions(emitter: Emitter, block: Block, loads: dict[str, str], part: bool) -> None:
    graph = emitter.cell.graph
    have: dict[str, str] = {}
    for key in _values(block):
        name = _value_name(emitter, key)
        if key in loads:
            emitter.write(f"{name} = {loads[key]}")
        else:
            node = node_of(graph, key)
            arguments = [_value(emitter, source, block.size, have, part) for source in operands(graph, key)]
            text = op(node.op).kernel
            assert isinstance(text, str), node.op
            emitter.write(f"{name} = " + text.format(*arguments, feature="lanes() + fill(scalar(q))"))
        have[key] = name
        for address in emitter.stores.get(key, ()):
            emitter.write(_store(address, name, part))


def _store(address: Address, name: str, part: bool) -> str:
    where = f"{address.buffer}, {address.at('i', 'q')}"
    return f"store_part({where}, {name}, n)" if part else f"store({where}, {name})"


def _load(address: Address, part: bool) -> str:
    where = f"{address.buffer}, {address.at('i', 'q')}"
    return f"load_part({where}, n)" if part else f"load({where})"


def _value(emitter: Emitter, key: str, size: Dim, have: dict[str, str], part: bool) -> str:
    """Return the name of an operand in a block, loading it if it stands elsewhere."""
    graph = emitter.cell.graph
    node = node_of(graph, key)
    if key in have:
        return have[key]
    if node.op == "constant":
        return emitter.number(node.attr("value"))
    if node.op == "parameter":
        if node.shape in ((), (1,)):
            return _scalar(emitter, node.name)
        pointer = emitter.pointer("parameter", node.name, node.shape[0])
        text = f"load_part({pointer}, q, n)" if part else f"load({pointer}, q)"
        wanted = emitter.identifiers.setdefault(f"{key} value", emitter.identifier(f"{node.name}_values"))
    elif not features(node.shape):
        text = f"fill(scalar(index({emitter.homes[key].buffer}, {emitter.homes[key].at('i')})))"
        wanted = emitter.identifiers.setdefault(f"{key} value", emitter.identifier(f"{node.name}_value"))
    else:
        address = emitter.homes[key]
        narrow = width(graph, key) == 1 and size != 1
        text = f"splat({address.buffer}, {address.at('i')})" if narrow else _load(address, part)
        wanted = emitter.identifiers.setdefault(f"{key} value", emitter.identifier(f"{node.name or node.op}_value"))
    emitter.write(f"{wanted} = {text}")
    have[key] = wanted
    return wanted


def _scalar(emitter: Emitter, name: str) -> str:
    if name not in emitter.scalars:
        pointer = emitter.pointer("parameter", name)
        emitter.scalars[name] = emitter.identifier(f"{name}_value")
        del pointer
    return emitter.scalars[name]


def _reduction_block(emitter: Emitter, block: Block) -> None:
    graph, size = emitter.cell.graph, emitter.dim(block.size)
    for key in block.values:
        fold = op(node_of(graph, key).op).kernel
        assert isinstance(fold, Fold)
        (source,) = operands(graph, key)
        address = emitter.homes[source]
        name = _value_name(emitter, key)
        empty = f"scalar({fold.empty.replace('inf', 'np.inf')})"
        with emitter.inside("for i in range(b0, stop):"):
            emitter.write(f"{name} = {fold.start.replace('inf', 'scalar(np.inf)')}")
            with emitter.inside(f"for q in range(0, {size}, W):"):
                with emitter.inside(f"if q + W <= {size}:"):
                    emitter.write(f"{name} = {fold.step.format(name, _load(address, False))}")
                with emitter.inside("else:"):
                    emitter.write(f"n = {size} - q")
                    emitter.write(f"{name} = {fold.step.format(name, f'keep({_load(address, True)}, n, {empty})')}")
            for home in emitter.stores[key]:
                emitter.write(f"put_element({home.buffer}, {home.at('i')}, {fold.finish.format(name)})")


def _running_block(emitter: Emitter, block: Block) -> None:
    graph, size = emitter.cell.graph, emitter.dim(block.size)
    for key in block.values:
        back = bool(node_of(graph, key).attr("reverse"))
        address = emitter.homes[operands(graph, key)[0]]
        name = _value_name(emitter, key)
        word, last = ("running_total_reverse", "0") if back else ("running_total", "W - 1")
        with emitter.inside("for i in range(b0, stop):"):
            emitter.write("carry = zeros()")
            steps = f"({size} + W - 1) // W"
            with emitter.inside(f"for k in range({steps}):"):
                emitter.write(f"q = ({steps} - 1 - k) * W" if back else "q = k * W")
                for part, test in ((False, f"if q + W <= {size}:"), (True, "else:")):
                    with emitter.inside(test):
                        if part:
                            emitter.write(f"n = {size} - q")
                        emitter.write(f"{name} = {word}({_load(address, part)}) + carry")
                        emitter.write(*(_store(home, name, part) for home in emitter.stores[key]))
                emitter.write(f"carry = fill(lane({name}, {last}))")


def _copy(emitter: Emitter, source: str, targets: list[Address], size: Dim) -> None:
    """Copy a value as it stands in memory (or a constant) to other places."""
    text = emitter.dim(size)
    with emitter.inside("for i in range(b0, stop):"), emitter.inside(f"for q in range(0, {text}, W):"):
        for part, test in ((False, f"if q + W <= {text}:"), (True, "else:")):
            with emitter.inside(test):
                if part:
                    emitter.write(f"n = {text} - q")
                value = _value(emitter, source, size, {}, part)
                emitter.write(*(_store(target, value, part) for target in targets))


def _join_block(emitter: Emitter, block: Block) -> None:
    graph = emitter.cell.graph
    for key in block.values:
        offset: list[str] = []
        for source in operands(graph, key):
            targets = [
                Address(home.buffer, home.base, home.size, " + ".join(filter(None, [home.offset, *offset])))
                for home in emitter.stores[key]
            ]
            _copy(emitter, source, targets, width(graph, source))
            offset.append(emitter.dim(width(graph, source)))


def _gather_block(emitter: Emitter, block: Block) -> None:
    graph, size = emitter.cell.graph, emitter.dim(block.size)
    for key in block.values:
        table, where = operands(graph, key)
        pointer = emitter.pointer("table", node_of(graph, table).name, block.size)
        address = emitter.homes[where]
        with emitter.inside("for i in range(b0, stop):"):
            emitter.write(f"entry = index({address.buffer}, {address.at('i')}) * {size}")
            with emitter.inside(f"for q in range(0, {size}, W):"):
                for part, test in ((False, f"if q + W <= {size}:"), (True, "else:")):
                    with emitter.inside(test):
                        if part:
                            emitter.write(f"n = {size} - q")
                        text = f"load_part({pointer}, entry + q, n)" if part else f"load({pointer}, entry + q)"
                        emitter.write(*(_store(home, text, part) for home in emitter.stores[key]))


def _copies(emitter: Emitter, stages: tuple[Block, ...]) -> None:
    """Copy leaves that are results as they are: a state passed through, an input that is an output."""
    computed = {key for block in stages for key in _values(block)}
    graph = emitter.cell.graph
    for key, targets in emitter.stores.items():
        if key not in computed:
            _copy(emitter, key, targets, width(graph, key))


def _finished(emitter: Emitter) -> Kernel:
    """Put the head before the lines."""
    sizes: list[Dim] = ["T", *[f"keep:{name}" for name in emitter.keeps], *emitter.dims]
    head = [f"def {emitter.name}(buffers, sizes, t0, t1, b0, b1, slot):"]
    head.append(f'    """{_title(emitter)}"""')
    for place, buffer in enumerate(emitter.buffers):
        word = "integers" if buffer.role in ("starts", "blocks", "index") else "floats"
        head.append(f"    {emitter.pointers[buffer.role, buffer.name]} = {word}(buffers, {place})")
    if emitter.reverse or not emitter.loop:
        head.append("    T = sizes[0]")
    for place, (_, name) in enumerate(emitter.dims.items(), start=1 + len(emitter.keeps)):
        head.append(f"    {name} = sizes[{place}]")
    for value, name in emitter.numbers.items():
        head.append(f"    {name} = fill(scalar({_literal(value)}))")
    for parameter, name in emitter.scalars.items():
        head.append(f"    {name} = splat({emitter.pointers['parameter', parameter]}, 0)")
    return Kernel(
        emitter.name,
        "\n".join([*head, *emitter.lines]) + "\n",
        tuple(emitter.buffers),
        tuple(sizes),
        tuple(emitter.packs),
        tuple(emitter.aliases),
        emitter.tile,
        tuple(emitter.flops),
    )


def _literal(value: float) -> str:
    if value != value:
        return "np.nan"
    return repr(value) if abs(value) != float("inf") else "np.inf" if value > 0 else "-np.inf"


def _title(emitter: Emitter) -> str:
    if not emitter.loop:
        return f"{emitter.cell.name}: rows b0 to b1."
    direction = "from the last step to the first" if emitter.reverse else "step by step"
    return f"{emitter.cell.name}, {direction}: steps t0 to t1, rows b0 to b1 of the batch."


__all__ = ["Kernel", "emit", "is_row", "keys_of"]
