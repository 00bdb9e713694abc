"""What a user holds of a figure: its DOT text, its picture in any format, and how it is saved and shown."""

import importlib
import os
import pkgutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any

from lstmgraph.errors import DrawingError, nearest
from lstmgraph.visual.engine import LAYERED, PINNED, render

SUFFIXES = (".svg", ".png", ".pdf", ".dot", ".gv")
PREFIX = "figure_"


@dataclass(frozen=True)
class Drawing:
    """What a figure kind returns: DOT text, and which engine gives the nodes their places."""

    dot: str
    layout: str = LAYERED


FigureKind = Callable[..., "Drawing | str"]


class Figure:
    """A figure; it shows itself in a notebook.

    Parameters
    ----------
    dot : str
        The DOT text.
    layout : str
        The engine for it: "neato" where all positions are given, else "dot".
    """

    def __init__(self, dot: str, layout: str = PINNED) -> None:
        self.dot = dot
        self.layout = layout

    def __repr__(self) -> str:
        return f"<Figure: {len(self.dot.splitlines())} lines of DOT>"

    @cached_property
    def svg(self) -> str:
        """The picture as SVG text."""
        return render(self.dot, "svg", self.layout).decode("utf-8")

    @cached_property
    def png(self) -> bytes:
        """The picture as the bytes of a PNG file."""
        return render(self.dot, "png", self.layout)

    def save(self, path: "str | os.PathLike[str]") -> Path:
        """Write the figure to a file, in the format of its suffix: .svg, .png, .dot, .gv or .pdf.

        Parameters
        ----------
        path : path
            Where to. The file appears when it is complete, or not at all.

        Raises
        ------
        DrawingError
            If the suffix is unknown, the path cannot be written, or no engine draws this format.
        """
        path = Path(path)
        content = self._content(path.suffix.lower())
        try:
            _write(path, content)
        except OSError as error:
            reason = error.strerror or str(error)
            raise DrawingError(f"save: {path} cannot be written: {reason}; choose another path") from error
        return path

    def _content(self, suffix: str) -> bytes:
        if suffix not in SUFFIXES:
            raise DrawingError(
                f"save: got a file name ending in {suffix or 'nothing'!r}, expected one of "
                f"{', '.join(SUFFIXES)}{nearest(suffix, list(SUFFIXES))}"
            )
        if suffix == ".svg":
            return self.svg.encode("utf-8")
        if suffix == ".png":
            return self.png
        return render(self.dot, "pdf", self.layout) if suffix == ".pdf" else self.dot.encode("utf-8")

    def show(self) -> None:
        """Show the figure: in a notebook in place, elsewhere in the web browser."""
        try:
            from IPython import get_ipython  # type: ignore[import-not-found]
            from IPython.display import display  # type: ignore[import-not-found]
        except ImportError:
            pass
        else:
            if get_ipython() is not None:
                display(self)
                return
        import webbrowser

        path = Path(tempfile.mkdtemp(prefix="lstmgraph-")) / "figure.svg"
        webbrowser.open(self.save(path).as_uri())

    def _repr_svg_(self) -> str:
        return self.svg

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        return {"image/svg+xml": self.svg, "text/plain": repr(self)}


def draw(thing: Any, figure: str = "cell", **options: Any) -> Figure:
    """Draw a cell.

    Parameters
    ----------
    thing : Cell
        What is drawn: a cell, an adjoint, or anything with a `graph` of primitive ops.
    figure : str
        The kind of figure: ``cell``, the cell-state figure; ``graph``, every primitive op.
    **options
        What the kind of figure takes.

    Returns
    -------
    Figure
        Has `.dot`, `.svg`, `.png` and `.save(path)`, and shows itself in a notebook.

    Raises
    ------
    DrawingError
        If the kind is unknown, an option is, or the thing is no cell.

    Examples
    --------
    >>> import lstmgraph as lg
    >>> lg.draw(lg.cells.lstm).save("lstm.svg")  # doctest: +SKIP
    """
    kinds = figure_kinds()
    if figure not in kinds:
        raise DrawingError(
            f"draw: unknown figure {figure!r}, expected one of {', '.join(kinds)}{nearest(str(figure), list(kinds))}"
        )
    _check_options(figure, kinds[figure], options)
    made = kinds[figure](thing, **options)
    return Figure(made.dot, made.layout) if isinstance(made, Drawing) else Figure(made, LAYERED)


@cache
def figure_kinds() -> dict[str, FigureKind]:
    """Return every figure kind by name: the modules ``figure_*`` here, and other packages' entry points."""
    import lstmgraph.visual as package
    from lstmgraph.plugins import plugged, register

    found: dict[str, FigureKind] = {}
    for module in pkgutil.iter_modules(package.__path__):
        if module.name.startswith(PREFIX):
            path = f"{package.__name__}.{module.name}"
            name = module.name.removeprefix(PREFIX).replace("_", "-")
            register(found, name, importlib.import_module(path).figure, path)
    for name, kind, owner in plugged("lstmgraph.figures"):
        register(found, name, kind, owner)
    return found


def _check_options(figure: str, kind: FigureKind, options: dict[str, Any]) -> None:
    import inspect

    parameters = list(inspect.signature(kind).parameters.values())[1:]
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters):
        return
    known = [parameter.name for parameter in parameters]
    for name in options:
        if name not in known:
            expected = f"expected one of {', '.join(known)}" if known else "it takes none"
            raise DrawingError(f"draw: unknown option {name!r} of figure {figure!r}, {expected}{nearest(name, known)}")


def _write(path: Path, content: bytes) -> None:
    """Write a file beside its place and move it there: a reader never sees half of it."""
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        umask = os.umask(0)
        os.umask(umask)
        os.chmod(name, 0o666 & ~umask)
        os.replace(name, path)
    except BaseException:
        os.unlink(name)
        raise
