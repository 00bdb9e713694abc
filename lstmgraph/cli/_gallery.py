"""The gallery: every cell of the catalogue and every kind of figure as SVG, and a page that shows them."""

import html
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from lstmgraph.cli._drawn import recording
from lstmgraph.errors import DrawingError

THEMES = {"": "classic", "-dark": "dark"}  # ending of the file's name -> theme
STYLE = """
:root { color-scheme: light dark; --text: #222; --quiet: #666; --line: #ddd; --back: #fff; }
@media (prefers-color-scheme: dark) { :root { --text: #f2f4f7; --quiet: #a3abb5; --line: #333a42; --back: #14181d; } }
body { font: 16px/1.5 system-ui, sans-serif; margin: 0 auto; max-width: 76rem; padding: 1rem 1.5rem 4rem;
       color: var(--text); background: var(--back); }
section { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(26rem, 100%), 1fr)); gap: 1.5rem; }
figure { margin: 0; border: 1px solid var(--line); border-radius: .5rem; padding: 1rem; }
figure.wide { grid-column: 1 / -1; }
img { display: block; max-width: 100%; height: auto; margin: 0 auto; }
figcaption { margin-top: .75rem; border-top: 1px solid var(--line); padding-top: .5rem; }
figcaption span { color: var(--quiet); }
a { color: inherit; }
nav { color: var(--quiet); margin-bottom: 1.5rem; }
nav a { display: inline-block; margin-right: .75rem; }
"""


def write_gallery(folder: Path) -> Path:
    """Draw everything into a folder and return the path of its page.

    Raises
    ------
    DrawingError
        If the folder cannot be made.
    """
    from lstmgraph.cells import catalogue

    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DrawingError(f"draw: folder {folder} cannot be made: {error.strerror}; choose another") from error
    kinds = {f"figure-{name}": _entry(folder, f"figure-{name}", title, draw, True) for name, title, draw in _kinds()}
    cells = {
        name: _entry(folder, name, _first_line(cell), _cell_drawer(cell), False)
        for name, cell in sorted(catalogue.items())
    }
    page = folder / "index.html"
    try:
        page.write_text(_page(kinds, cells), encoding="utf-8")
    except OSError as error:
        raise DrawingError(f"draw: {page} cannot be written: {error.strerror}; choose another folder") from error
    return page


Drawer = Callable[[str], Any]


def _cell_drawer(cell: Any) -> Drawer:
    import lstmgraph as lg

    return lambda theme: lg.draw(cell, theme=theme)


def _kinds() -> Iterator[tuple[str, str, Drawer]]:
    """Yield name, title and drawer of an example of each kind of figure."""
    import lstmgraph as lg

    lstm = lg.cells.lstm

    def of(thing: Any, figure: str, **options: Any) -> Drawer:
        return lambda theme: lg.draw(thing, figure=figure, theme=theme, **options)

    yield "legend", "legend: what the signs stand for", of(None, "legend")
    yield "cell", "cell: the inside of a cell", of(lstm, "cell")
    yield "core-idea", "core-idea: one state's straight line", of(lstm, "core-idea")
    yield "highlight", "cell, one gate highlighted, with names", of(lstm, "cell", highlight="input", labels="names")
    yield "equations", "cell, its equations beside it", of(lstm, "cell", equations="beside")
    yield "gate", "gate: a sigmoid layer and a multiplication", of(lstm, "gate")
    yield "chain", "chain: between the previous and the next step", of(lstm, "chain")
    yield "unrolled", "unrolled: several steps", of(lstm, "unrolled")
    yield "graph", "graph: every primitive operation", of(lg.cells.gru, "graph")
    yield "overlay", "gradient: its way over the cell", of(lstm, "gradient", overlay=True)
    yield "gradient", "gradient: the adjoint is a cell", of(lg.cells.rnn, "gradient")
    yield "diff", "diff: two cells side by side", of(lstm, "diff", other=lg.cells.coupled_lstm)
    for theme in ("print", "colour-blind"):
        yield f"theme-{theme}", f"the theme {theme}, for paper", _in_theme(lstm, theme)
    yield "network", "network: cells in layers, both ways in time", of(_network(), "network")
    program = lg.compile(lstm, input_size=1, hidden_size=12)
    yield "plan", "plan: what the scheduler made of a program", of(program, "plan")
    yield "film", "film: what the gates did over 60 steps", of(recording(program, 60), "film")


def _in_theme(cell: Any, theme: str) -> Drawer:
    import lstmgraph as lg

    return lambda _: lg.draw(cell, figure="core-idea", highlight="input", state="c", theme=theme)


def _network() -> Any:
    """Return an example: an embedding, a cell, a cell in each direction of time, a head."""
    import lstmgraph as lg

    @lg.network
    def tagger(tokens: Any) -> Any:
        words = lg.embedding(tokens, 1000, 32, name="embed")
        below = lg.recur(lg.cells.lstm, words, size=64, name="below")
        forward = lg.recur(lg.cells.gru, below, size=32, name="forward")
        backward = lg.recur(lg.cells.gru, below, size=32, name="backward", reverse=True)
        return lg.linear(forward=forward, backward=backward, size=17, name="head")

    return tagger


def _entry(folder: Path, name: str, title: str, draw: Drawer, wide: bool) -> str:
    """Draw one figure in each theme and return its part of the page."""
    described = ""
    for ending, theme in THEMES.items():
        figure = draw(theme)
        figure.save(folder / f"{name}{ending}.svg")
        described = figure.description
    shown = name.removeprefix("figure-")
    return (
        f'<figure id="{html.escape(name)}"{" class=wide" if wide else ""}>\n<a href="{html.escape(name)}.svg"><picture>'
        f'<source media="(prefers-color-scheme: dark)" srcset="{html.escape(name)}-dark.svg">'
        f'<img src="{html.escape(name)}.svg" loading="lazy" alt="{html.escape(described)}"></picture></a>\n'
        f"<figcaption><strong>{html.escape(shown)}</strong> <span>{html.escape(title)}</span></figcaption>\n</figure>"
    )


def _page(kinds: dict[str, str], cells: dict[str, str]) -> str:
    """Return the page of entries by name: an index of each part, and below it the entries."""

    def index(entries: dict[str, str]) -> str:
        names = ((html.escape(name), html.escape(name.removeprefix("figure-"))) for name in entries)
        return "<nav>" + " ".join(f'<a href="#{name}">{shown}</a>' for name, shown in names) + "</nav>"

    return "\n".join(
        [
            '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>lstmgraph: figures</title>\n<style>{STYLE}</style>\n</head>\n<body>\n<h1>lstmgraph</h1>",
            "<p>Drawn from the graphs of the cells: the picture, the equations and the machine code are one object. "
            f'<a href="#kinds">Kinds of figures</a>, <a href="#cells">{len(cells)} cells</a>.</p>',
            f'<h2 id="kinds">Kinds of figures</h2>\n{index(kinds)}\n<section>',
            *kinds.values(),
            f'</section>\n<h2 id="cells">{len(cells)} cells</h2>\n{index(cells)}\n<section>',
            *cells.values(),
            "</section>\n</body>\n</html>\n",
        ]
    )


def _first_line(cell: Any) -> str:
    return (cell.__doc__ or "").strip().partition("\n")[0]
