"""The command line: each module of this folder without a leading underscore is a command.

A command's module says what it does in its docstring's first line, adds its arguments in
``add_arguments(parser)`` and does its work, with its heavy imports, in ``run(arguments) -> exit status``.
"""

import argparse
import importlib
import os
import pkgutil
import sys
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from types import ModuleType

from lstmgraph.errors import LstmGraphError

_INTERRUPTED = 130  # 128 + SIGINT, as shells report it


def commands() -> dict[str, ModuleType]:
    """Return the command modules by name."""
    names = sorted(module.name for module in pkgutil.iter_modules(__path__) if not module.name.startswith("_"))
    return {name: importlib.import_module(f"{__name__}.{name}") for name in names}


def parser() -> argparse.ArgumentParser:
    """Return the parser of the whole command line."""
    whole = argparse.ArgumentParser(
        prog="lstmgraph", description="Gated recurrent cells as graphs: train, sample, draw, look around."
    )
    whole.add_argument("--version", action="version", version=f"lstmgraph {_version()}")
    choices = whole.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name, module in commands().items():
        line = (module.__doc__ or "").splitlines()[0].rstrip(".")
        command = choices.add_parser(name, help=line, description=line + ".")
        module.add_arguments(command)
        command.set_defaults(run=module.run, parser=command)
    return whole


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command and return the exit status: 0, 1 for a failure, 2 for a usage error, 130 for Ctrl-C."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")  # a terminal that has no "…" shall not end a run
    try:
        arguments = parser().parse_args(argv)
    except SystemExit as end:  # argparse has said what was wrong
        return end.code if isinstance(end.code, int) else 2
    try:
        status = int(arguments.run(arguments))
        sys.stdout.flush()
        return status
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else 1
    except BrokenPipeError:  # the reader has gone, as in `lstmgraph sample run | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except KeyboardInterrupt:
        print("lstmgraph: interrupted", file=sys.stderr)
        return _INTERRUPTED
    except (LstmGraphError, OSError) as error:
        print("lstmgraph: " + " ".join(str(error).split()), file=sys.stderr)
        return 1


def _version() -> str:
    try:
        return version("lstmgraph")
    except PackageNotFoundError:  # a checkout that was not installed
        return "(not installed)"
