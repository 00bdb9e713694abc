"""Draw a cell, as SVG or whatever the file's ending says, or the whole catalogue as a page."""

import argparse
from pathlib import Path

from lstmgraph.cli._find import find_cell


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("cell", nargs="?", help="a cell of the catalogue, or module:name of one's own")
    parser.add_argument("-o", "--output", type=Path, metavar="FILE", help="where to (default: <cell>.svg)")
    parser.add_argument("--figure", metavar="KIND", help="cell, core-idea, gate, chain, graph, ... (default: cell)")
    parser.add_argument("--theme", metavar="THEME", help="classic, dark, print or colour-blind (default: classic)")
    parser.add_argument(
        "--all", type=Path, metavar="DIR", help="draw the catalogue and every kind of figure into a folder, as a page"
    )


def run(arguments: argparse.Namespace) -> int:
    """Draw and say where."""
    import lstmgraph as lg

    if (arguments.all is None) == (arguments.cell is None):
        arguments.parser.error("give a cell, or --all DIR")
    if arguments.all is not None:
        from lstmgraph.cli._gallery import write_gallery

        if arguments.output or arguments.figure or arguments.theme:
            arguments.parser.error("--all draws every figure in its own files; give it alone")
        print(write_gallery(arguments.all))
        return 0
    cell = find_cell(arguments.cell)
    output = arguments.output or Path(f"{cell.name}.svg")
    options = {"theme": arguments.theme} if arguments.theme else {}
    lg.draw(cell, figure=arguments.figure, **options).save(output)
    print(output)
    return 0
