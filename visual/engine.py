"""The engine that turns DOT text into SVG, PNG and PDF: a wheel that carries one, or what the system has."""

import importlib
import os
import re
import shutil
import sysconfig
import warnings
from collections.abc import Callable
from functools import cache
from pathlib import Path
from threading import Lock

from lstmgraph.errors import DrawingError, nearest

BUNDLED, SYSTEM, IN_PROCESS = "graphviz-pure", "dot", "pygraphviz"
ORDER = {"pdf": (SYSTEM, IN_PROCESS)}  # the bundled engine draws no PDF
USUAL = (BUNDLED, SYSTEM, IN_PROCESS)
PINNED, LAYERED = "neato", "dot"  # nodes and edges have their places already; Graphviz finds them
_ONE_AT_A_TIME = Lock()  # the graphviz package takes the program's path from a global
INSTALL = {
    BUNDLED: "`pip install graphviz-pure`",
    SYSTEM: "install Graphviz, its program `dot`",
    IN_PROCESS: "`pip install pygraphviz`",
}
_OPENING = re.compile(r'\s*(strict\s+)?(di)?graph\b\s*("(?:[^"\\]|\\.)*"|\w*)\s*\{')
PNG_DPI = 96.0  # what Graphviz takes for a PNG


def render(dot: str, file_format: str, layout: str, engine: str | None = None, scale: float = 1.0) -> bytes:
    """Return the picture of a DOT text.

    Parameters
    ----------
    dot : str
        The text.
    file_format : str
        "svg", "png" or "pdf".
    layout : str
        `PINNED` where all positions are given, `LAYERED` where Graphviz is to find them.
    engine : str, optional
        "graphviz-pure", "dot" or "pygraphviz"; by default the first of them that is there and can.
    scale : float
        Enlarges a PNG or PDF; an SVG is scaled by its own size (`lstmgraph.visual.svg`).

    Raises
    ------
    DrawingError
        If no engine is there, the one asked for is not, or it refuses the text. An SVG needs none: where none is
        there it is written by `lstmgraph.visual.writer`.
    """
    able = ORDER.get(file_format, USUAL)
    chosen = (check_engine(engine),) if engine else able
    if engine and engine not in able:
        raise DrawingError(
            f"engine {engine} draws no {file_format}, expected {' or '.join(able)}; "
            f"{' or '.join(INSTALL[name] for name in able)}"
        )
    if scale != 1 and file_format != "svg":
        dot = _with_dpi(dot, (PNG_DPI if file_format == "png" else 72.0) * scale)
    failure: DrawingError | None = None
    for name in chosen:
        draw = _engines()[name]()
        if draw is None:
            continue
        try:
            placed, how = (dot, layout) if name == BUNDLED else _placed(dot, layout)
            return draw(placed, file_format, how)
        except DrawingError as error:
            failure = failure or error
    if failure:
        raise failure
    if file_format == "svg" and not engine:
        from lstmgraph.visual.writer import write_svg

        drawn = write_svg(dot).encode()
        _say_once()
        return drawn
    remedy = " or ".join(INSTALL[name] for name in chosen)
    what = f"engine {engine} is not installed" if engine else f"no engine found that draws {file_format}"
    raise DrawingError(f"{what}; {remedy}; the DOT text needs none (.dot)")


def _placed(dot: str, layout: str) -> tuple[str, str]:
    """Return a DOT text with all places and its layout, for other engines: each release places in its own way.

    It is the bundled engine that places; where it is not there the text stays as it is.
    """
    place = _engines()[BUNDLED]() if layout != PINNED else None
    return (dot, layout) if place is None else (place(dot, "dot", layout).decode(), PINNED)


@cache
def _say_once() -> None:
    """Say, once a process, that an engine would be better."""
    warnings.warn(
        "no engine found that draws figures; lstmgraph writes their SVG by itself, PNG and PDF need one; "
        f"{INSTALL[BUNDLED]}",
        stacklevel=4,
    )


def check_engine(name: str) -> str:
    """Return the name of an engine, or raise a DrawingError that lists them."""
    if not isinstance(name, str) or name not in USUAL:
        raise DrawingError(
            f"draw: unknown engine {name!r}, expected one of {', '.join(USUAL)}{nearest(str(name), list(USUAL))}"
        )
    return name


Draw = Callable[[str, str, str], bytes]


def _engines() -> dict[str, Callable[[], Draw | None]]:
    """Return how each engine is found."""
    return {
        BUNDLED: lambda: _program(bundled()),
        SYSTEM: lambda: _program(shutil.which("dot")),
        IN_PROCESS: _in_process,
    }


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


def _program(path: str | None) -> Draw | None:
    """Return how a program draws, None if there is no such program."""
    return (lambda dot, file_format, layout: _call(path, dot, file_format, layout)) if path else None


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


def _in_process() -> Draw | None:
    """Return how pygraphviz draws, None if it is not installed."""
    try:
        agraph = importlib.import_module("pygraphviz").AGraph
    except ImportError:
        return None

    def draw(dot: str, file_format: str, layout: str) -> bytes:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of labels that are a hair too wide for their boxes
                drawn = agraph(string=dot).draw(format=file_format, prog="nop2" if layout == PINNED else layout)
        except (OSError, RuntimeError, ValueError) as error:
            raise DrawingError(f"pygraphviz failed to draw {file_format}: {error}") from error
        return bytes(drawn)

    return draw


def _with_dpi(dot: str, dpi: float) -> str:
    """Return a DOT text that asks for so many dots an inch."""
    opening = _OPENING.match(dot)
    return f"{opening[0]} dpi={dpi:g};{dot[opening.end() :]}" if opening else dot
