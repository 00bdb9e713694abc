"""The engine that turns DOT text into SVG, PNG and PDF: a wheel that carries one, or what the system has."""

import os
import shutil
import sysconfig
from functools import cache
from pathlib import Path
from threading import Lock

from lstmgraph.errors import DrawingError

BUNDLED = "graphviz-pure"
PINNED, LAYERED = "neato", "dot"  # nodes and edges have their places already; Graphviz finds them
_ONE_AT_A_TIME = Lock()  # the graphviz package takes the program's path from a global
PDF_REMEDY = "install Graphviz (its program `dot`) or `pip install pygraphviz`, or save as .svg or .png"


def render(dot: str, file_format: str, layout: str) -> bytes:
    """Return the picture of a DOT text.

    Parameters
    ----------
    dot : str
        The text.
    file_format : str
        "svg", "png" or "pdf".
    layout : str
        `PINNED` where all positions are given, `LAYERED` where Graphviz is to find them.

    Raises
    ------
    DrawingError
        If no engine is there, or the engine refuses the text.
    """
    programs = [bundled() if file_format != "pdf" else None, shutil.which("dot")]
    failure: DrawingError | None = None
    for program in [program for program in programs if program]:
        try:
            return _call(program, dot, file_format, layout)
        except DrawingError as error:
            failure = failure or error
    found = _with_pygraphviz(dot, file_format, layout)
    if found is not None:
        return found
    remedy = PDF_REMEDY if file_format == "pdf" else "`pip install graphviz-pure`"
    raise failure or DrawingError(f"no engine found that draws {file_format}; {remedy}; the DOT text needs none (.dot)")


@cache
def bundled() -> str | None:
    """Return the program of the wheel; scripts of a virtual environment need not be on PATH."""
    name = BUNDLED + (".exe" if os.name == "nt" else "")
    schemes = [sysconfig.get_path("scripts")]
    if os.name in sysconfig.get_scheme_names() or f"{os.name}_user" in sysconfig.get_scheme_names():
        schemes.append(sysconfig.get_path("scripts", f"{os.name}_user"))
    for folder in schemes:
        if folder and (Path(folder) / name).is_file():
            return str(Path(folder) / name)
    return shutil.which(BUNDLED)


def _call(program: str, dot: str, file_format: str, layout: str) -> bytes:
    from graphviz import Source, backend

    with _ONE_AT_A_TIME:
        known = backend.dot_command.DOT_BINARY
        backend.dot_command.DOT_BINARY = Path(program)
        try:
            drawn: bytes = Source(dot, engine=layout).pipe(
                format=file_format, neato_no_op=2 if layout == PINNED else None, quiet=True
            )
        except (backend.CalledProcessError, backend.ExecutableNotFound, OSError) as error:
            raise DrawingError(f"{Path(program).name} failed to draw {file_format}: {error}") from error
        finally:
            backend.dot_command.DOT_BINARY = known
    return drawn


def _with_pygraphviz(dot: str, file_format: str, layout: str) -> bytes | None:
    try:
        from pygraphviz import AGraph  # type: ignore[import-not-found]
    except ImportError:
        return None
    drawn = AGraph(string=dot).draw(format=file_format, prog="nop2" if layout == PINNED else layout)
    return bytes(drawn)
