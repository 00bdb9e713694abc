"""Where in a user's code a node was written: for errors that point at a line."""

import sys
from functools import cache
from pathlib import Path

Line = tuple[str, int]


@cache
def _own_folders() -> tuple[str, ...]:
    here = Path(__file__).resolve().parent
    import lstmgraph.ops as ops

    return (str(here), str(Path(ops.__file__).resolve().parent))


def user_line() -> Line:
    """Return file and line of the nearest caller outside lstmgraph."""
    frame = sys._getframe(1)
    while frame.f_back is not None and frame.f_code.co_filename.startswith(_own_folders()):
        frame = frame.f_back
    return frame.f_code.co_filename, frame.f_lineno


def say_line(line: Line | None) -> str:
    """Return `` (file.py, line 3)`` for an error message, or an empty string."""
    return f" ({Path(line[0]).name}, line {line[1]})" if line else ""
