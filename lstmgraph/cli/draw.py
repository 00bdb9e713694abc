"""Draw a cell, as SVG or whatever the file's ending says."""

import argparse
from pathlib import Path

from lstmgraph.cli._find import find_cell


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("cell", help="a cell of the catalogue, or module:name of one's own")
    parser.add_argument("-o", "--output", type=Path, metavar="FILE", help="where to (default: <cell>.svg)")
    parser.add_argument("--figure", default="cell", metavar="KIND", help="cell, core-idea, graph, ... (default: cell)")


def run(arguments: argparse.Namespace) -> int:
    """Draw and say where."""
    import lstmgraph as lg

    cell = find_cell(arguments.cell)
    output = arguments.output or Path(f"{cell.name}.svg")
    lg.draw(cell, figure=arguments.figure).save(output)
    print(output)
    return 0
