"""List the catalogue of cells, or describe one."""

import argparse
from collections import Counter
from typing import Any

from lstmgraph.cli._find import find_cell


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("cell", nargs="?", help="describe this one: a name, or module:name")


def run(arguments: argparse.Namespace) -> int:
    """Print a table, or one cell."""
    if arguments.cell:
        print("\n".join(_described(find_cell(arguments.cell))))
        return 0
    from lstmgraph.cells import catalogue

    rows = [("name", "states", "parameters", "")]
    rows += [(name, " ".join(cell.states), count(cell), _first_line(cell)) for name, cell in sorted(catalogue.items())]
    widths = [max(len(row[place]) for row in rows) for place in range(3)]
    for row in rows:
        columns = [text.ljust(width) for text, width in zip(row, widths, strict=False)]
        print("  ".join([*columns, row[3]]).rstrip())
    return 0


def count(cell: Any) -> str:
    """Return the number of a cell's parameters as a sum: I input features, H hidden units.

    Examples
    --------
    >>> from lstmgraph.cells import catalogue
    >>> count(catalogue["lstm"])
    '4HH + 4IH + 4H'
    """
    found = Counter("·".join(map(str, node.shape)) or "1" for node in cell.parameters.values())
    terms = []
    for product, times in found.items():
        plain = all(len(factor) == 1 and factor.isalpha() for factor in product.split("·"))
        text = product.replace("·", "") if plain else product
        terms.append(str(times) if text == "1" else text if times == 1 else f"{times}{'' if plain else '·'}{text}")
    return " + ".join(terms) or "0"


def _first_line(cell: Any) -> str:
    return (cell.__doc__ or "").strip().partition("\n")[0]


def _described(cell: Any) -> list[str]:
    width = max((len(name) for name in cell.parameters), default=0)
    shapes = [f"  {name:<{width}}  [{', '.join(map(str, node.shape))}]" for name, node in cell.parameters.items()]
    return [
        cell.name,
        *([f"  {line}".rstrip() for line in (cell.__doc__ or "").strip().splitlines()]),
        f"inputs: {', '.join(cell.inputs)}",
        f"states: {', '.join(cell.states)}",
        f"outputs: {', '.join(cell.outputs)}",
        f"parameters ({count(cell)}):",
        *shapes,
    ]
