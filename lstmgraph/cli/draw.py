"""Draw a cell, a network or a trained model as SVG, PNG, PDF or DOT, or the whole catalogue as a page."""

import argparse
import sys
import warnings
from pathlib import Path
from typing import Any

# what a figure kind takes -> how its flag is read, and its help
OPTIONS: dict[str, dict[str, Any]] = {
    "theme": {"help": "classic, dark, print or colour-blind (default: classic)"},
    "labels": {"help": "symbols (f with its subscript t) or names (forget)"},
    "highlight": {
        "action": "append", "metavar": "NAME",
        "help": "a state, gate, layer or any node that stands out; may be given several times",
    },
    "equations": {
        "nargs": "?", "const": "below", "metavar": "PLACE", "help": "the equations too, below (default) or beside",
    },
    "direction": {"help": "of graph, network and plan: up, down, right or left"},
    "overlay": {"action": "store_true", "help": "of gradient: its way laid over the cell"},
    "state": {"help": "of core-idea: which state"},
    "name": {"flag": "--gate", "help": "of gate: which gate"},
    "other": {"flag": "--with", "metavar": "NAME", "help": "of diff: the second cell"},
    "steps": {"type": int, "metavar": "N", "help": "of unrolled and film: how many steps"},
    "row": {"type": int, "metavar": "N", "help": "of film: which of the rows, from 0 on"},
    "units": {"type": int, "metavar": "N", "help": "of film: at most so many units"},
    "scale": {"type": float, "metavar": "X", "help": "how many times larger (default: 1)"},
    "engine": {"help": "graphviz-pure, dot or pygraphviz (default: what is there)"},
}  # fmt: skip


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument(
        "cell", nargs="?", metavar="NAME",
        help="a cell of the catalogue, module:name of a cell or network of one's own, or a folder that `lstmgraph "
        "train` wrote; a legend needs none",
    )  # fmt: skip
    parser.add_argument(
        "-o",
        "--output",
        type=Path,
        metavar="FILE",
        help="where to, ending in .svg, .png, .pdf or .dot (default: NAME.svg or NAME-KIND.svg)",
    )
    parser.add_argument("--figure", metavar="KIND", help="cell, core-idea, gate, chain, graph, ... (default: cell)")
    for option, words in OPTIONS.items():
        flag = words.get("flag", f"--{option}")
        shown = {"metavar": option.upper()} if "action" not in words else {}
        rest = {key: value for key, value in words.items() if key != "flag"}
        parser.add_argument(flag, dest=option, default=None, **{**shown, **rest})
    parser.add_argument(
        "--size", type=int, metavar="N",
        help="of plan and film: every size of the cell (default: 64 for a plan, 12 for a film)",
    )  # fmt: skip
    parser.add_argument(
        "--all", type=Path, metavar="DIR", help="draw the catalogue and every kind of figure into a folder, as a page"
    )


def run(arguments: argparse.Namespace) -> int:
    """Draw and say where."""
    import lstmgraph as lg
    from lstmgraph.cli._drawn import drawn, figure_of
    from lstmgraph.cli._find import find_cell

    options = {name: getattr(arguments, name) for name in OPTIONS if getattr(arguments, name) is not None}
    if arguments.all is not None:
        from lstmgraph.cli._gallery import write_gallery

        if arguments.cell or arguments.output or arguments.figure or arguments.size or options:
            arguments.parser.error("--all draws every figure in its own files; give it alone")
        print(write_gallery(arguments.all))
        return 0
    if arguments.cell is None and arguments.figure != "legend":
        arguments.parser.error("give a cell, or --all DIR")
    if arguments.size is not None and (arguments.size < 1 or arguments.figure not in ("plan", "film")):
        arguments.parser.error(f"argument --size: got {arguments.size}, expected 1 or more, with --figure plan or film")
    figure = figure_of(arguments.figure)
    name, thing = drawn(arguments.cell, figure, arguments.size, options.get("steps"))
    if "other" in options:
        options["other"] = find_cell(options["other"])
    kind = "" if figure in (None, "cell", "legend") else f"-{figure}"
    output = arguments.output or Path(f"{name}{kind}.svg")
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always", UserWarning)
        lg.draw(thing, figure=figure, **options).save(output)
    for warning in told:
        print(f"lstmgraph: {warning.message}", file=sys.stderr)
    print(output)
    return 0
