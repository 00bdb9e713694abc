"""Measure this machine: ours beside what a user would pick instead."""

import argparse
import json
import math
import sys
from pathlib import Path

from lstmgraph.bench import USUAL, tables
from lstmgraph.bench.machine import processors
from lstmgraph.bench.picture import ENDINGS
from lstmgraph.bench.records import SIZES, Request, Size
from lstmgraph.errors import nearest


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument(
        "--tables", nargs="+", type=_table, metavar="TABLE", help=f"of {', '.join(tables())} (default: the first three)"
    )
    parser.add_argument(
        "--sizes", nargs="+", type=_size, metavar="SIZE", help=f"of {', '.join(SIZES)}, or T,B,I,H (default: a table's)"
    )
    parser.add_argument("--threads", type=_threads, metavar="N", help="threads of everyone (default: as doctor says)")
    parser.add_argument(
        "--seconds", type=_seconds, default=2.0, metavar="S", help="to measure each row for (default: 2; a look: 0.2)"
    )
    parser.add_argument("--json", action="store_true", help="print JSON, at the end")
    parser.add_argument(
        "--plot", type=_picture, metavar="FILE", help="draw the ratios, as SVG or PNG; needs matplotlib"
    )


def run(arguments: argparse.Namespace) -> int:
    """Measure and print."""
    from lstmgraph.bench import picture, show
    from lstmgraph.bench.run import data, facts
    from lstmgraph.bench.run import run as measure
    from lstmgraph.settings import thread_count

    request = Request(thread_count(arguments.threads), arguments.seconds, tuple(arguments.sizes or ()))
    why_none = picture.why_none() if arguments.plot else ""
    if why_none:
        print(f"lstmgraph: {why_none}", file=sys.stderr)
    machine = facts(request)
    say = _silent if arguments.json else _say
    for line in show.heading(machine):
        say(line)
    peak = machine["peak_gflops"]
    found = measure(dict.fromkeys(arguments.tables or USUAL), request, peak * 1e9 if peak else None, say)
    if arguments.json:
        print(json.dumps(data(machine, found), indent=2))
    if arguments.plot and not why_none:
        drawn = picture.draw(found, arguments.plot)
        say(f"\n{arguments.plot}" if drawn else "\nno picture: nothing was compared")
    return 0


def _say(line: str) -> None:
    print(line, flush=True)


def _silent(line: str) -> None:
    """Keep stdout for JSON."""


def _table(text: str) -> str:
    known = tables()
    if text not in known:
        raise argparse.ArgumentTypeError(f"got {text!r}, expected any of {', '.join(known)}{nearest(text, known)}")
    return text


def _size(text: str) -> tuple[str, Size]:
    """Return a size by its name, or from its four numbers."""
    if text in SIZES:
        return text, SIZES[text]
    parts = text.split(",")
    if len(parts) == len(Size._fields) and all(part.strip().isdecimal() and int(part) > 0 for part in parts):
        return "own", Size(*map(int, parts))
    known = list(SIZES)
    raise argparse.ArgumentTypeError(
        f"got {text!r}, expected any of {', '.join(known)}, or T,B,I,H of at least 1 each{nearest(text, known)}"
    )


def _threads(text: str) -> int:
    most = processors()
    if not text.isdecimal() or not 1 <= int(text) <= most:
        raise argparse.ArgumentTypeError(f"got {text!r}, expected 1 to {most}, the processors that there are")
    return int(text)


def _seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 < value < math.inf:
        raise argparse.ArgumentTypeError(f"got {text!r}, expected a number above 0")
    return value


def _picture(text: str) -> Path:
    path = Path(text)
    if path.suffix.lower() not in ENDINGS or not path.parent.is_dir():
        raise argparse.ArgumentTypeError(
            f"got {text!r}, expected a file that ends in {' or '.join(ENDINGS)}, in a folder that is there"
        )
    return path
