"""Where in a user's code a node was written: for errors that point at a line."""

import sys
from functools import cache
from pathlib import Path

Line = tuple[str, int]


@cache
def _own_folders() -> tuple[tuple[str, ...], str]:
    """Return the folders of the machinery, and the one where cells are written as a user writes them."""
    import lstmgraph.ops as ops

    here = Path(__file__).resolve().parent
    return (str(here), str(Path(ops.__file__).resolve().parent)), str(here / "cells")


def user_line() -> Line:
    """Return file and line of the nearest caller outside the machinery."""
    own, cells = _own_folders()
    frame = sys._getframe(1)
    while frame.f_back is not None:
        name = frame.f_code.co_filename
        if name.startswith(cells) or not name.startswith(own):
            break
        frame = frame.f_back
    return frame.f_code.co_filename, frame.f_lineno


def say_line(line: Line | None) -> str:
    """Return `` (file.py, line 3)`` for an error message, or an empty string."""
    return f" ({Path(line[0]).name}, line {line[1]})" if line else ""
