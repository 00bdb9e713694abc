"""Row loops as text: all that happens along a row, walk after walk, while the row is in the first cache."""

from collections.abc import Callable, Iterable

from lstmgraph.graph import Dim, features, node_of, operands
from lstmgraph.jit.values import Span, compute, load, operand, store
from lstmgraph.jit.writer import Address, Writer, value_name
from lstmgraph.ops.contract import Fold
from lstmgraph.plugins import op
from lstmgraph.schedule.levels import width
from lstmgraph.schedule.row_loops import RowLoop, Walk

Have = dict[str, str]  # numbers of the row by key: each in all lanes of a register


def write_row_loop(writer: Writer, loop: RowLoop) -> None:
    """Write the walks of each row."""
    have: Have = {}
    writers = {"pointwise": _pointwise, "running": _running, "join": _join, "gather": _gather}
    begin, end = writer.rows
    if loop in writer.rows_of:
        first, size = writer.rows_of[loop]
        writer.write(f"{first} = {f'({begin})' if writer.loop else 'slot * T'} * ({size})")
    with writer.inside(f"for i in range({begin}, {end}):"):
        for walk in loop.walks:
            writers[walk.kind](writer, walk, have)


def _along(writer: Writer, size: Dim, body: Callable[[Span], None]) -> None:
    """Write a walk over the registers of a row: the whole ones, then what is left."""
    text, whole = writer.dim(size), writer.whole(size)
    with writer.inside(f"for q in range(0, {whole}, W):"), writer.placing():
        body("whole")
    with writer.inside(f"if {whole} < {text}:"):
        writer.write(f"q = {whole}", f"n = {text} - q")
        with writer.placing():
            body("rest")


def _pointwise(writer: Writer, walk: Walk, have: Have) -> None:
    graph = writer.cell.graph
    lanes = {}
    for key in walk.folds:
        lanes[key] = writer.identifier(f"{value_name(writer, key)}_lanes")
        writer.write(f"{lanes[key]} = {_fold(writer, key).start.replace('inf', 'scalar(np.inf)')}")

    def body(span: Span) -> None:
        near = have if span == "number" else dict(have)
        compute(writer, walk.values, walk.size, near, span)
        for key in walk.folds:
            fold = _fold(writer, key)
            value = operand(writer, operands(graph, key)[0], walk.size, near, span)
            if span != "whole":
                beyond = f"scalar({fold.empty.replace('inf', 'np.inf')})"
                value = f"keep({value}, {'1' if span == 'number' else 'n'}, {beyond})"
            writer.write(f"{lanes[key]} = {fold.step.format(lanes[key], value)}")

    if walk.size == 1:
        body("number")
    else:
        _load_numbers(writer, walk, have)
        _along(writer, walk.size, body)
    for key in walk.folds:
        have[key] = value_name(writer, key)
        writer.write(f"{have[key]} = fill({_fold(writer, key).finish.format(lanes[key])})")
        writer.write(*(store(writer, home, have[key], "number") for home in writer.stores.get(key, ())))


def _fold(writer: Writer, key: str) -> Fold:
    fold = op(node_of(writer.cell.graph, key).op).kernel
    assert isinstance(fold, Fold)
    return fold


def _load_numbers(writer: Writer, walk: Walk, have: Have) -> None:
    """Load the numbers of a row that a walk reads, once."""
    graph = writer.cell.graph
    for key in (*walk.values, *walk.folds):
        for source in operands(graph, key):
            node = node_of(graph, source)
            if node.op not in ("constant", "parameter") and (not features(node.shape) or width(graph, source) == 1):
                operand(writer, source, walk.size, have, "whole")


def _running(writer: Writer, walk: Walk, have: Have) -> None:
    graph, size = writer.cell.graph, writer.dim(walk.size)
    for key in walk.values:
        back = bool(node_of(graph, key).attr("reverse"))
        address = writer.homes[operands(graph, key)[0]]
        name = value_name(writer, key)
        word, last = ("running_total_reverse", "0") if back else ("running_total", "W - 1")
        writer.write("carry = zeros()")
        steps = f"({size} + W - 1) // W"
        with writer.inside(f"for k in range({steps}):"):
            writer.write(f"q = ({steps} - 1 - k) * W" if back else "q = k * W")
            spans: tuple[tuple[Span, str], ...] = (("whole", f"if q + W <= {size}:"), ("part", "else:"))
            with writer.placing():
                for span, test in spans:
                    with writer.inside(test):
                        if span == "part":
                            writer.write(f"n = {size} - q")
                        writer.write(f"{name} = {word}({load(writer, address, span)}) + carry")
                        writer.write(*(store(writer, home, name, span) for home in writer.stores[key]))
            writer.write(f"carry = fill(lane({name}, {last}))")


def _copy(writer: Writer, source: str, targets: Iterable[Address], size: Dim, have: Have) -> None:
    """Copy a value as it stands in memory (or a constant, or a number) to other places."""

    def body(span: Span) -> None:
        value = operand(writer, source, size, dict(have), span)
        writer.write(*(store(writer, target, value, span) for target in targets))

    if size == 1:
        body("number")
    else:
        _along(writer, size, body)


def _join(writer: Writer, walk: Walk, have: Have) -> None:
    graph = writer.cell.graph
    for key in walk.values:
        offset: list[str] = []
        for source in operands(graph, key):
            targets = [
                Address(home.buffer, home.base, home.size, " + ".join(filter(None, [home.offset, *offset])))
                for home in writer.stores[key]
            ]
            _copy(writer, source, targets, width(graph, source), have)
            offset.append(writer.dim(width(graph, source)))


def _gather(writer: Writer, walk: Walk, have: Have) -> None:
    graph, size = writer.cell.graph, writer.dim(walk.size)
    for key in walk.values:
        table, where = operands(graph, key)
        pointer = writer.pointer("table", node_of(graph, table).name, walk.size)
        address = writer.homes[where]
        writer.write(f"entry = index({address.buffer}, {address.at('i')}) * {size}")

        def body(span: Span, homes: Iterable[Address] = writer.stores[key], pointer: str = pointer) -> None:
            texts = {
                "whole": f"load({pointer}, entry + q)",
                "rest": f"load_part({pointer}, entry + q, n)",
                "number": f"splat({pointer}, entry)",
            }
            text = texts[span]
            writer.write(*(store(writer, home, text, span) for home in homes))

        if walk.size == 1:
            body("number")
        else:
            _along(writer, walk.size, body)


def write_copies(writer: Writer, computed: set[str]) -> bool:
    """Copy leaves that are results as they are: a state passed through, an input that is an output; say if any is."""
    graph = writer.cell.graph
    passed = [key for key in writer.stores if key not in computed]
    if passed:
        begin, end = writer.rows
        with writer.inside(f"for i in range({begin}, {end}):"):
            for key in passed:
                _copy(writer, key, writer.stores[key], width(graph, key), {})
    return bool(passed)
