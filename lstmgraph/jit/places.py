"""Where each value of a kernel lives: leaves, results, and the rows that cross from one block to another."""

from lstmgraph.graph import features, named, node_of, operands
from lstmgraph.jit.writer import Address, Writer, value_name
from lstmgraph.plugins import op
from lstmgraph.schedule.levels import Block, width


def place_values(writer: Writer, stages: tuple[Block, ...]) -> None:
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
    _place_crossing(writer, stages)


def _now(writer: Writer) -> str:
    return "now" if writer.loop else ""


def _add_store(writer: Writer, key: str, address: Address) -> None:
    node = node_of(writer.cell.graph, key)
    writer.stores.setdefault(key, []).append(address)
    if node.op not in ("input", "state", "constant", "parameter"):
        writer.homes.setdefault(key, address)


def _place_crossing(writer: Writer, stages: tuple[Block, ...]) -> None:
    graph = writer.cell.graph
    where = {key: place for place, block in enumerate(stages) for key in values_of(block)}
    for place, block in enumerate(stages):
        for key in values_of(block):
            if key in writer.homes or not (
                block.kind not in ("tile", "pointwise")
                or any(_reader(graph, stages, where, user, place) for user in graph.succ[key])
            ):
                continue
            size = width(graph, key)
            name = value_name(writer, key)
            pointer = writer.pointer("scratch", key, size, called=f"{name}_kept")
            writer.homes[key] = Address(pointer, "" if writer.loop else "kept", writer.dim(size))
            writer.stores.setdefault(key, []).append(writer.homes[key])
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


def _reader(graph: object, stages: tuple[Block, ...], where: dict[str, int], user: str, place: int) -> bool:
    """Whether a user of a value stands outside its block (a partial sum or a view stands nowhere)."""
    return where.get(user, -1) != place


def values_of(block: Block) -> list[str]:
    """Return the keys that a block computes, products first."""
    return [product.key for product in block.products] + list(block.values)
