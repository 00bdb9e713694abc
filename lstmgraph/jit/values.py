"""Values as text: what is computed, loaded and stored at one register of columns, or as a number of a row."""

from collections.abc import Iterable, Mapping
from typing import Literal

from lstmgraph.graph import Dim, features, node_of, operands
from lstmgraph.jit.writer import Address, Writer, value_name
from lstmgraph.plugins import op
from lstmgraph.schedule.levels import width

# W columns from q on; n of them; n that are left after a walk, under names of their own, for Numba is slow with names
# that are assigned twice; the one number of a row, in every lane
Span = Literal["whole", "part", "rest", "number"]
NO_LOADS: Mapping[str, str] = {}


def compute(
    writer: Writer,
    keys: Iterable[str],
    size: Dim,
    have: dict[str, str],
    span: Span,
    loads: Mapping[str, str] = NO_LOADS,
) -> None:
    """Write values in order, each stored where others look for it; `have` gains their names."""
    graph = writer.cell.graph
    feature = "zeros()" if span == "number" else "lanes() + fill(scalar(q))"
    for key in keys:
        if key in loads:
            text = loads[key]
        else:
            node = node_of(graph, key)
            arguments = [operand(writer, source, size, have, span) for source in operands(graph, key)]
            pattern = op(node.op).kernel
            assert isinstance(pattern, str), node.op
            text = pattern.format(*arguments, feature=feature)
        have[key] = _named(writer, value_name(writer, key), span)
        writer.write(f"{have[key]} = {text}")
        for address in writer.stores.get(key, ()):
            writer.write(store(writer, address, have[key], span))


def _named(writer: Writer, name: str, span: Span) -> str:
    return writer.identifier(f"{name}_rest") if span == "rest" else name


def store(writer: Writer, address: Address, name: str, span: Span) -> str:
    """Return the text that stores a register."""
    if span == "number":
        return f"put_element({address.buffer}, {address.at('i')}, lane({name}, 0))"
    where = f"{address.buffer}, {writer.place(address)}"
    return f"store({where}, {name})" if span == "whole" else f"store_part({where}, {name}, n)"


def load(writer: Writer, address: Address, span: Span) -> str:
    """Return the text of a register of a row value in memory."""
    if span == "number":
        return f"splat({address.buffer}, {address.at('i')})"
    where = f"{address.buffer}, {writer.place(address)}"
    return f"load({where})" if span == "whole" else f"load_part({where}, n)"


def operand(writer: Writer, key: str, size: Dim, have: dict[str, str], span: Span) -> str:
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
        text = f"load({pointer}, q)" if span == "whole" else f"load_part({pointer}, q, n)"
        wanted = writer.identifiers.setdefault(f"{key} value", writer.identifier(f"{node.name}_values"))
    elif not features(node.shape):
        text = f"fill(scalar(index({writer.homes[key].buffer}, {writer.homes[key].at('i')})))"
        wanted = writer.identifiers.setdefault(f"{key} value", writer.identifier(f"{node.name}_value"))
    else:
        narrow = width(graph, key) == 1 and size != 1
        text = load(writer, writer.homes[key], "number" if narrow else span)
        wanted = writer.identifiers.setdefault(f"{key} value", writer.identifier(f"{node.name or node.op}_value"))
    have[key] = _named(writer, wanted, span)
    writer.write(f"{have[key]} = {text}")
    return have[key]


def _scalar(writer: Writer, name: str) -> str:
    if name not in writer.scalars:
        writer.pointer("parameter", name)
        writer.scalars[name] = writer.identifier(f"{name}_value")
    return writer.scalars[name]
