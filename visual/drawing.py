"""What a user holds of a figure: its DOT text, its picture in any format, and how it is saved and shown."""

import importlib
import os
import pkgutil
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import networkx as nx

from lstmgraph.errors import DrawingError, nearest
from lstmgraph.visual.engine import LAYERED, PINNED, check_engine, render
from lstmgraph.visual.scene import has_recur
from lstmgraph.visual.svg import readable

SUFFIXES = (".svg", ".png", ".pdf", ".dot", ".gv")
PREFIX = "figure_"
LARGEST = 100
WORDS = ("theme", "labels", "direction", "state", "name")  # options that are one word each


@dataclass(frozen=True)
class Drawing:
    """What a figure kind returns.

    Parameters
    ----------
    dot : str
        The DOT text.
    layout : str
        What gives the nodes their places: "neato" where the text does, "dot" where Graphviz does.
    title, description : str
        What the figure is called, and what it shows, for those who do not see it.
    """

    dot: str
    layout: str = LAYERED
    title: str = ""
    description: str = ""


FigureKind = Callable[..., "Drawing | str"]


class Figure:
    """A figure; it shows itself in a notebook.

    Parameters
    ----------
    dot : str
        The DOT text.
    layout : str
        The engine for it: "neato" where all positions are given, else "dot".
    title, description : str
        What the figure is called, and what it shows.
    engine : str, optional
        What draws it: "graphviz-pure", "dot" or "pygraphviz"; by default what is there and can.
    scale : float
        How many times larger pictures are.
    """

    def __init__(
        self,
        dot: str,
        layout: str = PINNED,
        *,
        title: str = "figure",
        description: str = "",
        engine: str | None = None,
        scale: float = 1.0,
    ) -> None:
        self.dot = dot
        self.layout = layout
        self.title = title
        self.description = description
        self.engine = engine
        self.scale = scale

    def __repr__(self) -> str:
        return f"<Figure: {len(self.dot.splitlines())} lines of DOT>"

    @cached_property
    def svg(self) -> str:
        """The picture as SVG text, with a title, a description, and tooltips on nodes and wires."""
        drawn = render(self.dot, "svg", self.layout, self.engine).decode("utf-8")
        return readable(drawn, self.title, self.description, self.scale)

    @cached_property
    def png(self) -> bytes:
        """The picture as the bytes of a PNG file."""
        return render(self.dot, "png", self.layout, self.engine, self.scale)

    @cached_property
    def pdf(self) -> bytes:
        """The picture as the bytes of a PDF file; needs Graphviz's own program or pygraphviz."""
        return render(self.dot, "pdf", self.layout, self.engine, self.scale)

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
        except (OSError, ValueError) as error:  # a name that no file can have is a ValueError
            reason = getattr(error, "strerror", None) or str(error)
            raise DrawingError(f"save: {path} cannot be written: {reason}; choose another path") from error
        return path

    def _content(self, suffix: str) -> bytes:
        if suffix not in SUFFIXES:
            raise DrawingError(
                f"save: got a file name ending in {repr(suffix) if suffix else 'nothing'}, expected one of "
                f"{', '.join(SUFFIXES)}{nearest(suffix, list(SUFFIXES))}"
            )
        if suffix == ".svg":
            return self.svg.encode("utf-8")
        if suffix == ".png":
            return self.png
        return self.pdf if suffix == ".pdf" else self.dot.encode("utf-8")

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

        path = self.save(Path(tempfile.mkdtemp(prefix="lstmgraph-")) / "figure.svg")
        if not webbrowser.open(path.as_uri()):
            print(f"no web browser found; the figure is {path}")

    def _repr_svg_(self) -> str:
        return self.svg

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        return {"image/svg+xml": self.svg, "text/plain": repr(self)}


def draw(
    thing: Any = None,
    figure: str | None = None,
    *,
    engine: str | None = None,
    scale: float = 1.0,
    **options: Any,
) -> Figure:
    """Draw a cell, its graph, a network, a program or what a program recorded.

    Parameters
    ----------
    thing : Cell, networkx.MultiDiGraph, Network, Program or dict
        What is drawn: a cell or its adjoint, the graph of one, a network, a compiled program, or the dictionary that
        `Program.record` returns. The legend needs none.
    figure : str, optional
        The kind of figure. Of a cell: ``cell`` (the cell-state figure, the default), ``core-idea``, ``gate``,
        ``chain``, ``unrolled``, ``graph`` (every primitive op; the default of a graph), ``gradient``, ``diff``; of a
        network: ``network``; of a program: ``plan``; of a recording: ``film``; and ``legend``.
    engine : str, optional
        What draws the picture: "graphviz-pure", "dot" or "pygraphviz"; by default what is there and can.
    scale : float
        How many times larger pictures are.
    **options
        What the kind of figure takes. All take ``theme``: "classic", "dark", "print" or "colour-blind". Those that
        show a cell take ``labels``, "symbols" (f with its subscript t) or "names" (forget), and ``highlight``, the
        name of a state, a gate, a layer or any node, or several: the rest fades. ``cell``, ``core-idea``, ``chain``,
        ``unrolled`` and ``gradient`` take ``equations``, "below" or "beside". ``docs/figures.md`` lists all.

    Returns
    -------
    Figure
        Has `.dot`, `.svg`, `.png`, `.pdf` and `.save(path)`, and shows itself in a notebook.

    Raises
    ------
    DrawingError
        If the kind is unknown, an option or a name is, or the kind cannot show this thing.

    Examples
    --------
    >>> import lstmgraph as lg
    >>> lg.draw(lg.cells.lstm).save("lstm.svg")  # doctest: +SKIP
    >>> "core idea" in lg.draw(lg.cells.lstm, figure="core-idea", theme="dark").title
    True
    """
    kinds = figure_kinds()
    figure = figure or _usual(thing)
    thing = _whole(thing)
    if not isinstance(figure, str) or figure not in kinds:
        raise DrawingError(
            f"draw: unknown figure {figure!r}, expected one of {', '.join(kinds)}{nearest(str(figure), list(kinds))}"
        )
    _check_options(figure, kinds[figure], options)
    if engine is not None:
        check_engine(engine)
    if isinstance(scale, bool) or not isinstance(scale, int | float) or not 0 < scale <= LARGEST:
        raise DrawingError(f"draw: got scale {scale!r}, expected a number above 0, at most {LARGEST}")
    made = kinds[figure](thing, **options)
    made = made if isinstance(made, Drawing) else Drawing(made)
    title = made.title or figure
    return Figure(made.dot, made.layout, title=title, description=made.description, engine=engine, scale=float(scale))


def _usual(thing: Any) -> str:
    """Return the kind of figure for a thing of which none was asked."""
    if isinstance(thing, Mapping):
        return "film"
    if hasattr(thing, "plan"):
        return "plan"
    if has_recur(_whole(thing)):
        return "network"
    return "graph" if isinstance(thing, nx.MultiDiGraph) else "cell"


def _whole(thing: Any) -> Any:
    """Return a bare graph as the cell or network that it is of, anything else as it is."""
    if (
        not isinstance(thing, nx.MultiDiGraph)
        or "name" not in thing.graph
        or any(node is None for _, node in thing.nodes(data="node"))
    ):
        return thing
    from lstmgraph.traced import Cell, Network

    cell = Cell(thing)
    return Network(thing) if has_recur(cell) else cell


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
    for name in WORDS:
        if not isinstance(options.get(name, ""), str | None):
            raise DrawingError(f"draw: got {name} {options[name]!r}, expected a word")
    for name in options:
        if name not in known:
            every = [*known, "engine", "scale"]
            raise DrawingError(
                f"draw: unknown option {name!r} of figure {figure!r}, expected one of {', '.join(every)}"
                f"{nearest(name, every)}"
            )


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
