"""Blocks as text: products and what is computed on their tile, or pointwise ops: a loop over registers of columns."""

from contextlib import nullcontext
from itertools import chain, takewhile

from lstmgraph.graph import node_of
from lstmgraph.jit.layout import Ahead, Pack
from lstmgraph.jit.tile import product_name
from lstmgraph.jit.values import compute
from lstmgraph.jit.writer import Writer
from lstmgraph.schedule.levels import Block, tile_groups
from lstmgraph.schedule.products import Product
from lstmgraph.schedule.row_loops import values_of


def write_block(writer: Writer, block: Block) -> None:
    """Write one block of products or of pointwise ops."""
    (_tile_block if block.kind == "tile" else _pointwise_block)(writer, block)


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
    for first in range(0, total, target.across):
        across = min(target.across, total - first)
        # j is a multiple of panel * W, and a panel of K rows is total * K registers
        packed = "j" if panel == 1 else f"j // {panel}"
        packed = f"({packed} * {total} + {_times(first)}) * {K}" if first else f"{packed} * {_plus_times(total, K)}"
        c = f"{pointer}, mine{f' + {_times(at + first)}' if at + first else ''}, {_times(columns)}"
        word = "onward" if term else "afresh"
        calls.append(f"{product_name(across)}(rows, {a}, {pack}, {packed}, {c}, {K}, {word}, off)")
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
    with writer.placing():
        with writer.inside(f"if q + W <= {size}:"):
            compute(writer, values_of(block), block.size, {}, "whole", loads)
        with writer.inside(f"elif q < {size}:"):
            writer.write(f"n = {size} - q")
            compute(writer, values_of(block), block.size, {}, "part", loads)


def _pointwise_block(writer: Writer, block: Block) -> None:
    size = writer.dim(block.size)
    with writer.inside("for i in range(b0, stop):"), writer.inside(f"for q in {writer.share(block.size)}:"):
        _body(writer, block, size, {})
