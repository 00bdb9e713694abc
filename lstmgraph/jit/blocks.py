"""Blocks as text: each kind of block is a loop over rows and registers of columns."""

from contextlib import nullcontext
from itertools import chain, takewhile

from lstmgraph.graph import Dim, features, node_of, operands
from lstmgraph.jit.layout import Ahead, Pack
from lstmgraph.jit.places import values_of
from lstmgraph.jit.tile import product_name
from lstmgraph.jit.writer import Address, Writer, value_name
from lstmgraph.ops.contract import Fold
from lstmgraph.plugins import op
from lstmgraph.schedule.levels import Block, tile_groups, width
from lstmgraph.schedule.products import Product


def write_block(writer: Writer, block: Block) -> None:
    """Write one block."""
    writers = {
        "tile": _tile_block,
        "pointwise": _pointwise_block,
        "reduction": _reduction_block,
        "running": _running_block,
        "join": _join_block,
        "gather": _gather_block,
    }
    writers[block.kind](writer, block)


def _tile_block(writer: Writer, block: Block) -> None:
    """Products of a level, panel by panel, and the pointwise ops of its level while the tile is hot."""
    groups = tile_groups(block)
    target = writer.target
    panel = max(1, target.vectors // max(len(group) for group in groups))
    columns = sum(len(group) for group in groups) * panel
    writer.tile = max(writer.tile, target.rows * columns * target.width)
    tile, size = writer.pointer("tile", "tile"), writer.dim(block.size)
    lines, loads = [], {}
    at = 0
    for group in groups:
        lines += _product_calls(writer, group, panel, (tile, at, columns))
        for place, product in enumerate(group):
            register = _plus(
                at + place, f"p * {len(group)}" if panel > 1 and len(group) > 1 else "p" if panel > 1 else ""
            )
            loads[product.key] = f"load({tile}, {'at' if register == '0' else f'at + {_times(register)}'})"
        at += len(group) * panel
    with writer.inside(f"for j in {writer.share(block.size, panel)}:"):
        writer.write("r = b0")
        with writer.inside("while r < stop:"):
            writer.write("rows = tile_rows(stop - r)", *lines)
            with writer.inside("for m in range(rows):"):
                writer.write("i = r + m", f"at = mine + m * {_times(columns)}")
                with writer.inside(f"for p in range({panel}):") if panel > 1 else nullcontext():
                    writer.write("q = j + p * W" if panel > 1 else "q = j")
                    _body(writer, block, size, loads)
            writer.write("r += rows")


def _plus(number: int, text: str) -> str:
    """Return the sum of a number and a text, as short as it can be."""
    return " + ".join(part for part in (text, str(number) if number or not text else "") if part)


def _times(registers: int | str) -> str:
    """Return the elements of some registers."""
    text = str(registers)
    return "W" if text == "1" else f"({text}) * W" if "+" in text else f"{text} * W"


def _product_calls(writer: Writer, group: tuple[Product, ...], panel: int, tile: tuple[str, int, int]) -> list[str]:
    """Return the calls that compute the products of the same sources, term after term in one accumulator.

    Those with inputs, which stand first, are taken over where they were computed ahead.
    """
    pointer, at, columns = tile
    total = len(group) * panel
    corner = f"{pointer}, mine{f' + {_times(at)}' if at else ''}, {_times(columns)}"
    sources = [node_of(writer.cell.graph, source) for source, _ in group[0].terms]
    inputs = [node.name for node in takewhile(lambda node: node.op == "input", sources)] if writer.loop else []
    first = len(writer.packs)
    calls = [_term_calls(writer, group, term, panel, tile) for term in range(len(sources))]
    if not inputs:
        return list(chain(*calls))
    place = len(writer.ahead)
    terms = tuple(zip(inputs, range(first, first + len(inputs)), strict=True))
    writer.ahead.append(Ahead(terms, node_of(writer.cell.graph, group[0].terms[0][1]).shape[1], panel, total))
    row = writer.identifiers[f"ahead:{place}"] = writer.identifier(f"ahead_{'_'.join(inputs)}_row")
    ahead = writer.pointer("ahead", str(place), called=f"ahead_{'_'.join(inputs)}")
    places = writer.pointer("places", str(place), called=f"places_{'_'.join(inputs)}")
    start = f"{'j' if panel == 1 else f'j // {panel}'} * {total}"
    return [
        f"if {row} > 0:",
        f"    copy_rows(rows, {places}, now + r, {ahead}, {start}, {row}, {corner}, {total})",
        "else:",
        *[f"    {call}" for call in chain(*calls[: len(inputs)])],
        *chain(*calls[len(inputs) :]),
    ]


def _term_calls(
    writer: Writer, group: tuple[Product, ...], term: int, panel: int, tile: tuple[str, int, int]
) -> list[str]:
    """Return the calls that add one term of some products to the tile."""
    pointer, at, columns = tile
    source, matrix = group[0].terms[term]
    total, target = len(group) * panel, writer.target
    pack = _pack(writer, group, term, panel)
    address = writer.homes[source]
    K = writer.dim(node_of(writer.cell.graph, matrix).shape[0])
    a = f"{address.buffer}, {address.at('r')}, {address.size}, unit"
    calls = []
    for first in range(0, total, target.vectors):
        across = min(target.vectors, total - first)
        # j is a multiple of panel * W, and a panel of K rows is total * K registers
        packed = "j" if panel == 1 else f"j // {panel}"
        packed = f"({packed} * {total} + {_times(first)}) * {K}" if first else f"{packed} * {_plus_times(total, K)}"
        c = f"{pointer}, mine{f' + {_times(at + first)}' if at + first else ''}, {_times(columns)}"
        word = "onward" if term else "afresh"
        calls.append(f"{product_name(across)}(rows, {a}, {pack}, {packed}, {c}, {K}, {word})")
    return calls


def _plus_times(total: int, K: str) -> str:
    return K if total == 1 else f"{total} * {K}"


def _pack(writer: Writer, group: tuple[Product, ...], term: int, panel: int) -> str:
    """Return the pointer to the matrices of one term of some products, packed side by side."""
    graph = writer.cell.graph
    names = tuple(node_of(graph, product.terms[term][1]).name for product in group)
    shape = node_of(graph, group[0].terms[term][1]).shape
    writer.flops += [(shape[0], shape[1])] * len(group)
    writer.packs.append(Pack(names, shape[0], shape[1], panel))
    common = names[0] if len(names) == 1 else names[0].rpartition(".")[2]
    return writer.pointer("pack", str(len(writer.packs) - 1), called=f"packed_{common}")


def _body(writer: Writer, block: Block, size: str, loads: dict[str, str]) -> None:
    """The pointwise ops of a block at one register of columns, whole or in part."""
    with writer.inside(f"if q + W <= {size}:"):
        _expressions(writer, block, loads, part=False)
    with writer.inside(f"elif q < {size}:"):
        writer.write(f"n = {size} - q")
        _expressions(writer, block, loads, part=True)


def _pointwise_block(writer: Writer, block: Block) -> None:
    size = writer.dim(block.size)
    with writer.inside("for i in range(b0, stop):"), writer.inside(f"for q in {writer.share(block.size)}:"):
        _body(writer, block, size, {})


def _expressions(writer: Writer, block: Block, loads: dict[str, str], part: bool) -> None:
    graph = writer.cell.graph
    have: dict[str, str] = {}
    for key in values_of(block):
        name = value_name(writer, key)
        if key in loads:
            writer.write(f"{name} = {loads[key]}")
        else:
            node = node_of(graph, key)
            arguments = [_value(writer, source, block.size, have, part) for source in operands(graph, key)]
            text = op(node.op).kernel
            assert isinstance(text, str), node.op
            writer.write(f"{name} = " + text.format(*arguments, feature="lanes() + fill(scalar(q))"))
        have[key] = name
        for address in writer.stores.get(key, ()):
            writer.write(_store(address, name, part))


def _store(address: Address, name: str, part: bool) -> str:
    where = f"{address.buffer}, {address.at('i', 'q')}"
    return f"store_part({where}, {name}, n)" if part else f"store({where}, {name})"


def _load(address: Address, part: bool) -> str:
    where = f"{address.buffer}, {address.at('i', 'q')}"
    return f"load_part({where}, n)" if part else f"load({where})"


def _value(writer: Writer, key: str, size: Dim, have: dict[str, str], part: bool) -> str:
    """Return the name of an operand in a block, loading it if it stands elsewhere."""
    graph = writer.cell.graph
    node = node_of(graph, key)
    if key in have:
        return have[key]
    if node.op == "constant":
        return writer.number(node.attr("value"))
    if node.op == "parameter":
        if node.shape in ((), (1,)):
            return _scalar(writer, node.name)
        pointer = writer.pointer("parameter", node.name, node.shape[0])
        text = f"load_part({pointer}, q, n)" if part else f"load({pointer}, q)"
        wanted = writer.identifiers.setdefault(f"{key} value", writer.identifier(f"{node.name}_values"))
    elif not features(node.shape):
        text = f"fill(scalar(index({writer.homes[key].buffer}, {writer.homes[key].at('i')})))"
        wanted = writer.identifiers.setdefault(f"{key} value", writer.identifier(f"{node.name}_value"))
    else:
        address = writer.homes[key]
        narrow = width(graph, key) == 1 and size != 1
        text = f"splat({address.buffer}, {address.at('i')})" if narrow else _load(address, part)
        wanted = writer.identifiers.setdefault(f"{key} value", writer.identifier(f"{node.name or node.op}_value"))
    writer.write(f"{wanted} = {text}")
    have[key] = wanted
    return wanted


def _scalar(writer: Writer, name: str) -> str:
    if name not in writer.scalars:
        pointer = writer.pointer("parameter", name)
        writer.scalars[name] = writer.identifier(f"{name}_value")
        del pointer
    return writer.scalars[name]


def _reduction_block(writer: Writer, block: Block) -> None:
    graph, size = writer.cell.graph, writer.dim(block.size)
    for key in block.values:
        fold = op(node_of(graph, key).op).kernel
        assert isinstance(fold, Fold)
        (source,) = operands(graph, key)
        address = writer.homes[source]
        name = value_name(writer, key)
        empty = f"scalar({fold.empty.replace('inf', 'np.inf')})"
        with writer.inside(f"for i in {writer.undivided}:"):
            writer.write(f"{name} = {fold.start.replace('inf', 'scalar(np.inf)')}")
            with writer.inside(f"for q in range(0, {size}, W):"):
                with writer.inside(f"if q + W <= {size}:"):
                    writer.write(f"{name} = {fold.step.format(name, _load(address, False))}")
                with writer.inside("else:"):
                    writer.write(f"n = {size} - q")
                    writer.write(f"{name} = {fold.step.format(name, f'keep({_load(address, True)}, n, {empty})')}")
            for home in writer.stores[key]:
                writer.write(f"put_element({home.buffer}, {home.at('i')}, {fold.finish.format(name)})")


def _running_block(writer: Writer, block: Block) -> None:
    graph, size = writer.cell.graph, writer.dim(block.size)
    for key in block.values:
        back = bool(node_of(graph, key).attr("reverse"))
        address = writer.homes[operands(graph, key)[0]]
        name = value_name(writer, key)
        word, last = ("running_total_reverse", "0") if back else ("running_total", "W - 1")
        with writer.inside(f"for i in {writer.undivided}:"):
            writer.write("carry = zeros()")
            steps = f"({size} + W - 1) // W"
            with writer.inside(f"for k in range({steps}):"):
                writer.write(f"q = ({steps} - 1 - k) * W" if back else "q = k * W")
                for part, test in ((False, f"if q + W <= {size}:"), (True, "else:")):
                    with writer.inside(test):
                        if part:
                            writer.write(f"n = {size} - q")
                        writer.write(f"{name} = {word}({_load(address, part)}) + carry")
                        writer.write(*(_store(home, name, part) for home in writer.stores[key]))
                writer.write(f"carry = fill(lane({name}, {last}))")


def _copy(writer: Writer, source: str, targets: list[Address], size: Dim) -> None:
    """Copy a value as it stands in memory (or a constant) to other places."""
    text = writer.dim(size)
    with writer.inside(f"for i in {writer.undivided}:"), writer.inside(f"for q in range(0, {text}, W):"):
        for part, test in ((False, f"if q + W <= {text}:"), (True, "else:")):
            with writer.inside(test):
                if part:
                    writer.write(f"n = {text} - q")
                value = _value(writer, source, size, {}, part)
                writer.write(*(_store(target, value, part) for target in targets))


def _join_block(writer: Writer, block: Block) -> None:
    graph = writer.cell.graph
    for key in block.values:
        offset: list[str] = []
        for source in operands(graph, key):
            targets = [
                Address(home.buffer, home.base, home.size, " + ".join(filter(None, [home.offset, *offset])))
                for home in writer.stores[key]
            ]
            _copy(writer, source, targets, width(graph, source))
            offset.append(writer.dim(width(graph, source)))


def _gather_block(writer: Writer, block: Block) -> None:
    graph, size = writer.cell.graph, writer.dim(block.size)
    for key in block.values:
        table, where = operands(graph, key)
        pointer = writer.pointer("table", node_of(graph, table).name, block.size)
        address = writer.homes[where]
        with writer.inside(f"for i in {writer.undivided}:"):
            writer.write(f"entry = index({address.buffer}, {address.at('i')}) * {size}")
            with writer.inside(f"for q in range(0, {size}, W):"):
                for part, test in ((False, f"if q + W <= {size}:"), (True, "else:")):
                    with writer.inside(test):
                        if part:
                            writer.write(f"n = {size} - q")
                        text = f"load_part({pointer}, entry + q, n)" if part else f"load({pointer}, entry + q)"
                        writer.write(*(_store(home, text, part) for home in writer.stores[key]))


def write_copies(writer: Writer, stages: tuple[Block, ...]) -> bool:
    """Copy leaves that are results as they are: a state passed through, an input that is an output; say if any is."""
    computed = {key for block in stages for key in values_of(block)}
    graph = writer.cell.graph
    passed = [key for key in writer.stores if key not in computed]
    for key in passed:
        _copy(writer, key, writer.stores[key], width(graph, key))
    return bool(passed)
