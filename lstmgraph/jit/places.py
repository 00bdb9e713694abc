"""Where each value of a kernel lives: leaves, results, and the rows that cross from one block to another."""

from collections import Counter
from collections.abc import Sequence

from lstmgraph.graph import Dim, features, join, named, node_of, operands
from lstmgraph.jit.writer import Address, Writer, value_name
from lstmgraph.plugins import op
from lstmgraph.schedule.levels import Block, width
from lstmgraph.schedule.row_loops import RowLoop, read_along_the_row, read_elsewhere


def place_values(writer: Writer, units: tuple[Block | RowLoop, ...]) -> None:
    """Give every leaf, every sink, and every value that crosses a block its place."""
    graph = writer.cell.graph
    if writer.loop:
        writer.pointer("starts", "starts")
    for name, key in named(graph, "input").items():
        node = node_of(graph, key)
        role = "input" if features(node.shape) else "index"
        pointer = writer.pointer(role, name, width(graph, key))
        writer.homes[key] = Address(pointer, _now(writer), writer.dim(width(graph, key)))
    for name, key in named(graph, "state").items():
        pointer = writer.pointer("state", name, width(graph, key))
        writer.pointer("blocks", name, called=f"{name}_blocks")
        writer.homes[key] = Address(pointer, writer.identifier(f"{name}_old"), writer.dim(width(graph, key)))
        writer.identifiers[f"{key} new"] = writer.identifier(f"{name}_new")
    for name, key in named(graph, "next").items():
        state = named(graph, "state")[name]
        old = writer.homes[state]
        new = Address(old.buffer, writer.identifiers[f"{state} new"], old.size)
        _add_store(writer, operands(graph, key)[0], new)
    stored = {operands(graph, key)[0]: name for name, key in reversed(named(graph, "next").items())}
    for name, key in named(graph, "output").items():
        source = operands(graph, key)[0]
        if source in stored:
            writer.aliases.append((name, stored[source]))
            continue
        pointer = writer.pointer("output", name, width(graph, source), called=f"all_{name}")
        base = ""
        if writer.loop:
            writer.keeps.append(name)
            base = writer.identifier(f"{name}_row")
            writer.bases.append(f"{base} = now * sizes[{len(writer.keeps)}]")
        _add_store(writer, source, Address(pointer, base, writer.dim(width(graph, source))))
    _place_crossing(writer, units)


def _now(writer: Writer) -> str:
    return "now" if writer.loop else ""


def _add_store(writer: Writer, key: str, address: Address) -> None:
    node = node_of(writer.cell.graph, key)
    writer.stores.setdefault(key, []).append(address)
    if node.op not in ("input", "state", "constant", "parameter"):
        writer.homes.setdefault(key, address)


def _place_crossing(writer: Writer, units: tuple[Block | RowLoop, ...]) -> None:
    graph = writer.cell.graph
    for unit in units:
        if isinstance(unit, RowLoop):
            _place_row(writer, unit)
        for key in read_elsewhere(graph, unit):
            if key in writer.homes:
                continue
            size = width(graph, key)
            name = value_name(writer, key)
            pointer = writer.pointer("scratch", key, size, called=f"{name}_kept")
            _add_store(writer, key, Address(pointer, "" if writer.loop else "kept", writer.dim(size)))
    for key in graph:
        node = node_of(graph, key)
        if (
            node.op not in ("input", "state", "next", "output", "sum", "parameter", "constant")
            and op(node.op).kind == "view"
        ):
            source = writer.homes[operands(graph, key)[0]]
            skipped = [writer.dim(part) for part in node.attr("parts")[: node.attr("index")]]
            offset = " + ".join([source.offset, *skipped] if source.offset else skipped)
            writer.homes[key] = Address(source.buffer, source.base, source.size, offset)


def _place_row(writer: Writer, loop: RowLoop) -> None:
    """Give what only a row loop reads its place in one row of all such values, side by side: it stays in the cache."""
    graph = writer.cell.graph
    keys = [key for key in read_along_the_row(graph, loop) if key not in writer.homes]
    if not keys:
        return
    sizes = [width(graph, key) for key in keys]
    pointer = writer.pointer("scratch", f"row {keys[0]}", join(sizes), called="row")
    first = writer.identifier(f"{pointer}_first")
    for place, key in enumerate(keys):
        _add_store(writer, key, Address(pointer, first, "", _offset(writer, sizes[:place])))
    writer.rows_of[loop] = (first, _offset(writer, sizes))


def _offset(writer: Writer, sizes: Sequence[Dim]) -> str:
    """Return the features of values side by side."""
    counts = Counter(writer.dim(size) for size in sizes)
    numbers = (f"{count}" if dim == "1" else dim if count == 1 else f"{count} * {dim}" for dim, count in counts.items())
    return " + ".join(numbers)
