"""List the catalogue of cells, or describe one: its equations, parameters and figure."""

import argparse
import json
import os
import re
import shutil
import sys
import tempfile
import textwrap
import unicodedata
from collections import Counter
from collections.abc import Mapping
from itertools import product
from math import prod
from pathlib import Path
from typing import Any

from lstmgraph.cli._find import find_cell
from lstmgraph.errors import DrawingError, GraphError

_NARROW = 16  # letters of a column that is cut in a terminal
_PAPER = re.compile(r"(?:[A-Z][\w'’-]+(?:, (?=[A-Z])| & )?)+(?: et al\.)? (?:19|20)\d\d")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("cell", nargs="?", help="describe this one: a name, or module:name")
    parser.add_argument("--input-size", type=_size, metavar="I", help="count parameters for I input features")
    parser.add_argument("--hidden-size", type=_size, metavar="H", help="count parameters for H hidden units")
    parser.add_argument("--json", action="store_true", help="print JSON, without a figure")


def run(arguments: argparse.Namespace) -> int:
    """Print a table, or one cell."""
    from lstmgraph.cells import catalogue

    sizes = {symbol: size for symbol, size in (("I", arguments.input_size), ("H", arguments.hidden_size)) if size}
    if not arguments.cell:
        cells = dict(sorted(catalogue.items()))
        if arguments.json:
            print(json.dumps([_data(cell, sizes) for cell in cells.values()], indent=2))
        else:
            print("\n".join(_table(cells, sizes)))
        return 0
    try:
        cell = find_cell(arguments.cell)
    except GraphError as error:
        if ":" in arguments.cell:
            raise
        print(f"lstmgraph: {error}", file=sys.stderr)  # a name that does not exist is an error of usage
        return 2
    if arguments.json:
        print(json.dumps(_data(cell, sizes), indent=2))
        return 0
    print("\n".join(_described(cell, sizes)), flush=True)
    print(f"figure      {_figure(cell)}")
    return 0


def count(cell: Any, sizes: Mapping[str, int] | None = None) -> str:
    """Return the number of a cell's parameters as a sum, of what has no size: I input features, H hidden units.

    Examples
    --------
    >>> from lstmgraph.cells import catalogue
    >>> count(catalogue["lstm"]), count(catalogue["lstm"], {"I": 3, "H": 128})
    ('4HH + 4IH + 4H', '67,584')
    """
    known = {symbol: str(size) for symbol, size in (sizes or {}).items()}
    found: Counter[tuple[str, ...]] = Counter()
    for node in cell.parameters.values():
        sums = [[known.get(part, part) for part in str(dim).split("+")] for dim in node.shape]
        for factors in product(*sums):
            symbols = tuple(sorted((factor for factor in factors if not factor.isdigit()), reverse=True))
            found[symbols] += prod(int(factor) for factor in factors if factor.isdigit())
    terms = []
    for symbols, times in sorted(found.items(), key=lambda term: not term[0]):  # the number last
        dot = "" if all(len(symbol) == 1 for symbol in symbols) else "·"
        number = "" if times == 1 and symbols else f"{times:,}{dot if symbols else ''}"
        terms.append(number + dot.join(symbols))
    return " + ".join(terms) or "0"


def _size(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"got {text}, expected at least 1")
    return value


def _width() -> int | None:
    """Return the columns of the terminal; None where the output goes elsewhere and is left whole."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def _table(cells: Mapping[str, Any], sizes: Mapping[str, int]) -> list[str]:
    """Return the lines of the list; a terminal shows as much of each column as it has room for."""
    from lstmgraph.notation.equations import equations

    width = _width()
    rows: list[tuple[str, ...]] = [("name", "states", "parameters", "equations", "")]
    for name, cell in cells.items():
        states, parameters = " ".join(cell.states), count(cell, sizes)
        if width is not None:
            states, parameters = _cut(states, _NARROW), _cut(parameters, _NARROW)
        rows.append((name, states, parameters, f"{len(equations(cell).lines):>9}", _summary(cell)))
    return [_cut(line.removeprefix("  "), width) for line in _columns(rows)]


def _cut(text: str, width: int | None) -> str:
    return text if width is None or len(text) <= width else text[: width - 1] + "…"


def _summary(cell: Any) -> str:
    """Return what a cell is, in a line, and the paper that it is from."""
    line = (cell.__doc__ or "").strip().partition("\n")[0]
    paper = _paper(cell)
    return line if not paper or paper in line else f"{line.rstrip('.')} ({paper})."


def _paper(cell: Any) -> str | None:
    """Return the first paper that a cell's docstring names."""
    found = _PAPER.search(" ".join((cell.__doc__ or "").split()))
    return found.group() if found else None


def _described(cell: Any, sizes: Mapping[str, int]) -> list[str]:
    """Return the lines that describe a cell."""
    from lstmgraph.notation.equations import equations

    found, width = equations(cell), _width()
    lines = [cell.name, *(f"  {line}".rstrip() for line in (cell.__doc__ or "").strip().splitlines()), "", "equations"]
    lines += [part for line in found.text.splitlines() for part in _wrapped(line, width)]
    written = {full: name for name, full in found.names.items()}
    for kind in ("input", "state"):
        leaves = [leaf for leaf in cell.leaves if leaf.startswith(f"{kind}:")]
        lines += ["", f"{kind}s"] if leaves else []
        lines += _columns(
            [(leaf.partition(":")[2], _said(cell.leaves[leaf].shape, sizes), written[leaf]) for leaf in leaves]
        )
    lines += ["", f"outputs     {', '.join(cell.outputs)}", f"parameters  {count(cell, sizes)}"]
    return lines + _columns(
        [
            (name, _said(node.shape, sizes), written[f"parameter:{name}"], _start(node.attr("init", ("zeros",))))
            for name, node in cell.parameters.items()
        ]
    )


def _wrapped(line: str, width: int | None) -> list[str]:
    """Return an equation as lines that fit into a terminal."""
    if width is None:
        return [f"  {line}"]
    return textwrap.wrap(
        line,
        max(width, 40),
        initial_indent="  ",
        subsequent_indent="      ",
        break_long_words=False,
        break_on_hyphens=False,
    )


def _columns(rows: list[tuple[str, ...]]) -> list[str]:
    """Return rows as lines, their columns one below the other; the last one is as long as it is."""
    widths = [max(map(_letters, column)) for column in zip(*rows, strict=True)]
    return [
        "  "
        + "  ".join(text + " " * (width - _letters(text)) for text, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]


def _letters(text: str) -> int:
    """Return how many columns a text takes: a tilde stands above its letter."""
    return sum(not unicodedata.combining(letter) for letter in text)


def _shape(shape: tuple[int | str, ...], sizes: Mapping[str, int]) -> list[int | str]:
    from lstmgraph.graph import resize

    known: dict[int | str, int | str] = dict(sizes.items())
    return [resize(dim, known) for dim in shape]


def _said(shape: tuple[int | str, ...], sizes: Mapping[str, int]) -> str:
    return f"[{', '.join(map(str, _shape(shape, sizes)))}]"


def _start(init: tuple[Any, ...]) -> str:
    """Return how a parameter starts, as ``uniform(-1, 1)``."""
    kind, *numbers = init
    return f"{kind}({', '.join(f'{number:g}' for number in numbers)})" if numbers else str(kind)


def _figure(cell: Any) -> str:
    """Draw a cell into the temporary folder and return where; or why not."""
    import lstmgraph as lg

    try:
        drawing = lg.draw(cell).svg
    except DrawingError as error:
        return f"none ({error})"
    handle, path = tempfile.mkstemp(prefix=f"{cell.name}-", suffix=".svg")
    os.close(handle)
    Path(path).write_text(drawing, encoding="utf-8")
    return path


def _data(cell: Any, sizes: Mapping[str, int]) -> dict[str, Any]:
    """Return what there is to know of a cell, for other programs."""
    from lstmgraph.notation.equations import equations

    found = equations(cell)
    shapes = {leaf: _shape(node.shape, sizes) for leaf, node in cell.leaves.items()}
    return {
        "name": cell.name,
        "about": (cell.__doc__ or "").strip(),
        "paper": _paper(cell),
        "inputs": {name: shapes[f"input:{name}"] for name in cell.inputs},
        "states": {name: shapes[f"state:{name}"] for name in cell.states},
        "outputs": list(cell.outputs),
        "parameters": {
            name: {"shape": shapes[f"parameter:{name}"], "init": list(node.attr("init", ("zeros",)))}
            for name, node in cell.parameters.items()
        },
        "parameter_count": count(cell, sizes),
        "equations": found.text.splitlines(),
        "latex": found.latex,
        "names": dict(found.names),
    }
