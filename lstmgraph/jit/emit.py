"""Blocks to source: the text of a kernel that runs a cell over time, or a stateless cell over rows."""

from collections.abc import Iterator
from contextlib import contextmanager

from lstmgraph.graph import named
from lstmgraph.jit.blocks import write_block
from lstmgraph.jit.layout import Kernel, Size
from lstmgraph.jit.machine import Machine
from lstmgraph.jit.places import place_values
from lstmgraph.jit.row_loops import write_copies, write_row_loop
from lstmgraph.jit.writer import Writer
from lstmgraph.schedule.in_place import in_place
from lstmgraph.schedule.levels import blocks
from lstmgraph.schedule.row_loops import RowLoop, row_loops, values_of
from lstmgraph.traced import Traced

FIXED = {"unit": 1, "afresh": 0, "onward": 1, "off": 0}  # arguments of tiles


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
    writer = Writer(cell, target, loop, reverse, name)
    stages = blocks(cell.graph)
    units = row_loops(cell.graph, stages)
    place_values(writer, units)
    with _step(writer):
        for unit in units:
            if isinstance(unit, RowLoop):
                write_row_loop(writer, unit)
            else:
                write_block(writer, unit)
            _meet(writer)
        if write_copies(writer, {key for unit in units for key in values_of(unit)}):
            _meet(writer)
    return _finished(writer, in_place(cell, stages))


@contextmanager
def _step(writer: Writer) -> Iterator[None]:
    """Write the loop over time (if any) around the blocks."""
    graph = writer.cell.graph
    if not writer.loop:
        writer.write("stop = b1", "kept = slot * T - b0")  # T rows of scratch a slot
        yield
        return
    with writer.inside("for step in range(t0, t1):"):
        writer.write("t = T - 1 - step" if writer.reverse else "t = step")
        writer.write(
            "now = index(starts, t + 1) - index(starts, 1)",
            "stop = min(b1, index(starts, t + 2) - index(starts, t + 1))",
        )
        first, second = ("t + 1", "t") if writer.reverse else ("t", "t + 1")
        for name, key in named(graph, "state").items():
            pointer = writer.pointers["blocks", name]
            writer.write(f"{writer.homes[key].base} = index({pointer}, {first})")
            writer.write(f"{writer.identifiers[f'{key} new']} = index({pointer}, {second})")
        writer.write(*writer.bases)
        yield


def _meet(writer: Writer) -> None:
    """Threads that share the units of a row wait for each other: what follows may read what another one wrote."""
    if writer.loop:
        with writer.inside("if parts > 1:"):
            writer.write(f"meet({writer.pointer('meeting', 'meeting')}, parts)")


def _finished(writer: Writer, replaceable: tuple[tuple[str, str], ...]) -> Kernel:
    """Put the head before the lines."""
    sizes = [
        Size("steps"),
        *[Size("keep", name) for name in writer.keeps],
        *[Size("dim", dim) for dim in writer.dims],
        *[Size("ahead", place) for place in range(len(writer.ahead))],
        *([Size("parts")] if writer.loop else []),
    ]
    head = [f"def {writer.name}(buffers, sizes, t0, t1, b0, b1, slot):"]
    head.append(f'    """{_title(writer)}"""')
    for place, buffer in enumerate(writer.buffers):
        word = "integers" if buffer.role in ("starts", "blocks", "index", "places", "meeting") else "floats"
        head.append(f"    {writer.pointers[buffer.role, buffer.name]} = {word}(buffers, {place})")
    if writer.reverse or not writer.loop:
        head.append("    T = sizes[0]")
    for place, (_, name) in enumerate(writer.dims.items(), start=1 + len(writer.keeps)):
        head.append(f"    {name} = sizes[{place}]")
    for place in range(len(writer.ahead)):
        head.append(f"    {writer.identifiers[f'ahead:{place}']} = sizes[{sizes.index(Size('ahead', place))}]")
    if writer.loop:
        head += [f"    parts = sizes[{len(sizes) - 1}]", "    part = slot % parts"]
    for (size, step), (first, end) in writer.shares.items():
        head.append(f"    {first} = share({size}, {step}, part, parts)")
        head.append(f"    {end} = min({size}, share({size}, {step}, part + 1, parts))")
    for size, whole in writer.wholes.items():
        head.append(f"    {whole} = {size} // W * W")
    if writer.tile:  # one stride for all blocks: threads are at different ones
        head.append(f"    mine = slot * {writer.tile // writer.target.width} * W")
    if writer.packs:  # a literal would be a type of its own, and the tiles would be compiled again
        head += [f"    {name} = np.int64({word})" for name, word in FIXED.items()]
    for value, name in writer.numbers.items():
        head.append(f"    {name} = fill(scalar({_literal(value)}))")
    for parameter, name in writer.scalars.items():
        head.append(f"    {name} = splat({writer.pointers['parameter', parameter]}, 0)")
    return Kernel(
        writer.name,
        "\n".join([*head, *writer.lines]) + "\n",
        tuple(writer.buffers),
        tuple(sizes),
        tuple(writer.packs),
        tuple(writer.ahead),
        tuple(writer.aliases),
        replaceable,
        writer.tile,
        tuple(writer.flops),
    )


def _literal(value: float) -> str:
    if value != value:
        return "np.nan"
    return repr(value) if abs(value) != float("inf") else "np.inf" if value > 0 else "-np.inf"


def _title(writer: Writer) -> str:
    if not writer.loop:
        return f"{writer.cell.name}: rows b0 to b1."
    direction = "from the last step to the first" if writer.reverse else "step by step"
    return f"{writer.cell.name}, {direction}: steps t0 to t1, rows b0 to b1 of the batch."
