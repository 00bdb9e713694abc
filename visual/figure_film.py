"""The figure "film": what gates did over time, a row a unit, a column a step."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from lstmgraph.errors import DrawingError, nearest
from lstmgraph.visual.dot import document, pinned, quote
from lstmgraph.visual.drawing import Drawing
from lstmgraph.visual.engine import PINNED
from lstmgraph.visual.look import Look
from lstmgraph.visual.names import number
from lstmgraph.visual.sketch import caption, identity
from lstmgraph.visual.style import CAPTION_FONT, UNIT, text_width
from lstmgraph.visual.themes import Theme, between, theme_named

MOST_STEPS, MOST_UNITS = 240, 24
WIDTH = 60.0  # of a strip, in grid units
UNIT_HEIGHT, LEAST_HEIGHT = 1.0, 2.5  # of a unit and of a strip
GAP = 2.0  # between strips
SHADES = 32  # steps between nothing and everything
SCALE, SCALE_WIDTH, SCALE_BELOW = 33, 30.0, 4.0  # stripes of the scale, its width, how far below the strips it is
SMALL = 10  # size of numbers
SEAM = 0.06  # by how much a unit reaches into the next one: no hairline shows between them
TICKS = 6  # at most so many steps are numbered


def figure(
    recorded: Mapping[str, Any], *, row: int = 0, units: int = MOST_UNITS, steps: int | None = None,
    theme: str = "classic",
) -> Drawing:  # fmt: skip
    """Draw recorded activity as strips: white lets nothing through, green everything, purple is negative.

    Parameters
    ----------
    recorded : dict
        Name -> array [T, B, n], as `Program.record` returns. Values beyond 1 and −1 are drawn as these.
    row : int
        Which of the B rows.
    units : int
        At most so many of the n units are drawn, evenly spaced.
    steps : int, optional
        Only the first so many steps. Beyond 240, neighbouring steps are drawn as their mean.
    theme : str
        The colours.
    """
    look = Look(theme_named(theme))
    arrays = _checked(recorded, row)
    for name, value in (("units", units), ("steps", 1 if steps is None else steps)):
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise DrawingError(f"draw: got {name} {value!r}, expected a whole number from 1 on")
    left = max(text_width(word, CAPTION_FONT) for word in (*arrays, "24 of 999 units")) / UNIT + 5
    lines: list[str] = []
    parts = []
    y = 0.0
    shown = 0
    for name, array in arrays.items():
        values = array[:steps, row]
        shown = len(values)
        drawn, every = _thinned(values, units)
        height = max(LEAST_HEIGHT, UNIT_HEIGHT * drawn.shape[1])
        lines += _strip(look.theme, name, drawn, every, left, y, height)
        parts.append(f"{name}, mean {values.mean():.2f}" if values.size else f"{name}, empty")
        note = f"{name}\n{drawn.shape[1]} of {values.shape[1]} units" if every > 1 else name
        lines.append(caption(f"name of {name}", note, left / 2 - 2.5, y - height / 2, look.theme.text))
        lines += _units(look.theme, name, values.shape[1], every, left, y, height)
        y -= height + GAP
    lines += _axis(look.theme, left, y + GAP, shown)
    negative = any(array[:steps, row].min(initial=0) < 0 for array in arrays.values())
    lines += _scale(look.theme, left, y + GAP - SCALE_BELOW, negative)
    text = (
        f"Activity over {shown} steps of row {row}, a strip each: {'; '.join(parts)}. A value of 0 has the colour of "
        "the background and lets nothing through, 1 is full colour and lets everything through."
    )
    return Drawing(document("film", lines, look.theme), PINNED, f"film of {', '.join(arrays)}", text)


def _checked(recorded: Any, row: int) -> dict[str, np.ndarray[Any, Any]]:
    """Return the arrays, or raise a DrawingError that says what is wanted."""
    if not isinstance(recorded, Mapping) or not recorded:
        raise DrawingError(
            f"draw: got {type(recorded).__name__}, expected a dictionary of arrays [T, B, n] for figure 'film'; "
            "take what program.record returns"
        )
    arrays = {}
    for name, value in recorded.items():
        array = np.asarray(value)
        if array.ndim != 3 or array.dtype.kind not in "fiub":
            raise DrawingError(
                f"draw: {name}: got {array.dtype} of shape {list(array.shape)}, expected numbers [T, B, n]; "
                f"take what program.record returns{nearest(str(name), [])}"
            )
        if isinstance(row, bool) or not isinstance(row, int) or not 0 <= row < array.shape[1]:
            raise DrawingError(f"draw: got row {row!r}, expected a whole number from 0 to {array.shape[1] - 1}")
        arrays[str(name)] = array.astype(np.float64)
    return arrays


def _thinned(values: np.ndarray[Any, Any], units: int) -> tuple[np.ndarray[Any, Any], int]:
    """Return [steps, units] few enough to be seen, and how many units one stands for."""
    count = values.shape[1]
    every = -(-count // units) if count else 1
    values = values[:, ::every]
    if len(values) > MOST_STEPS:
        pieces = np.array_split(values, MOST_STEPS)
        values = np.stack([piece.mean(axis=0) for piece in pieces])
    return values, every


def _strip(
    theme: Theme, name: str, values: np.ndarray[Any, Any], every: int, left: float, top: float, height: float
) -> Iterator[str]:
    """Yield the strip's ground, a box a unit, striped by time, and the strip's outline."""
    count = values.shape[1]
    each = height / max(count, 1)
    whole = pinned(left + WIDTH / 2, top - height / 2, WIDTH / 2, height / 2)
    if values.size:  # what shows through between two stripes
        ground = shade(theme, float(np.nan_to_num(np.abs(values)).mean()))
        yield (
            f'{quote(f"ground of {name}")} [id={identity(f"ground of {name}")} class="ground" shape=box label="" '
            f'penwidth=0 style=filled fillcolor="{ground}" tooltip={quote(name)} {whole}];'
        )
    for unit in range(count):
        y = top - (unit + 0.5) * each
        seam = SEAM if unit + 1 < count else 0.0
        spot = pinned(left + WIDTH / 2, y - seam / 2, WIDTH / 2, (each + seam) / 2)
        tip = f"{name}, unit {unit * every}"
        yield (
            f'{quote(f"{name} {unit}")} [id={identity(f"{name} {unit}")} class="unit" shape=box label="" penwidth=0 '
            f"tooltip={quote(tip)} {spot} {_stripes(theme, values[:, unit])}];"
        )
    yield (
        f'{quote(f"frame of {name}")} [id={identity(f"frame of {name}")} class="frame" shape=box label="" '
        f'color="{theme.items["note"][1]}" penwidth=0.8 tooltip={quote(name)} {whole}];'
    )


def _stripes(theme: Theme, values: np.ndarray[Any, Any]) -> str:
    """Return one unit's values as colours from left to right; equal neighbours are one stripe.

    A theme without a colour of its own for negative values hatches them: half of each step has it.
    """
    runs: list[tuple[str, float]] = []
    for value in values:
        colour = shade(theme, float(value))
        hatched = theme.hatched and value < 0
        for part in ((colour, 0.5), (theme.nothing, 0.5)) if hatched else ((colour, 1.0),):
            if runs and runs[-1][0] == part[0]:
                runs[-1] = (part[0], runs[-1][1] + part[1])
            else:
                runs.append(part)
    if len(runs) < 2:
        return f'style=filled fillcolor="{runs[0][0] if runs else theme.nothing}"'
    # Graphviz wants the parts to sum to 1 within a hair: the last one takes what is left
    parts = [f"{colour};{length / len(values):.6f}" for colour, length in runs[:-1]]
    return f'style=striped fillcolor="{":".join([*parts, runs[-1][0]])}"'


def shade(theme: Theme, value: float) -> str:
    """Return the colour of a value: 0 is nothing, 1 everything, −1 its opposite; NaN has the colour of removal."""
    if np.isnan(value):
        return theme.removed
    part = round(min(abs(value), 1.0) * SHADES) / SHADES
    return between(theme.nothing, theme.everything if value >= 0 else theme.negative, part)


def _units(theme: Theme, name: str, count: int, every: int, left: float, top: float, height: float) -> Iterator[str]:
    """Yield the numbers of the first and the last unit of a strip."""
    shown = range(0, count, every)
    each = height / max(len(shown), 1)
    for unit, place in ((shown[0], 0), (shown[-1], len(shown) - 1))[: len(shown)] if shown else ():
        y = top - (place + 0.5) * each
        text = f"unit {unit}"
        away = text_width(text, SMALL) / 2 / UNIT + 0.7
        yield caption(f"{name} {text}", text, left - away, y, theme.quiet, SMALL)


def _scale(theme: Theme, left: float, y: float, negative: bool) -> Iterator[str]:
    """Yield the colours of the values from nothing, or from −1, to 1, with their numbers below."""
    least = -1 if negative else 0
    values = np.linspace(least, 1, SCALE)
    middle, half = left + WIDTH / 2, SCALE_WIDTH / 2
    yield (
        f'"scale" [id="scale" class="scale" shape=box label="" penwidth=0.8 color="{theme.items["note"][1]}" '
        f'tooltip="from {number(least)} to 1" {pinned(middle, y, half, 0.5)} {_stripes(theme, values)}];'
    )
    words = {-1: "−1", 0: "0, nothing passes", 1: "1, everything passes"}
    for value, text in words.items():
        if value >= least:
            x = middle - half + SCALE_WIDTH * (value - least) / (1 - least)
            yield caption(f"scale {value}", text, x, y - 1.5, theme.quiet, SMALL)


def _axis(theme: Theme, left: float, bottom: float, steps: int) -> Iterator[str]:
    """Yield the numbers of some steps below the strips."""
    for step in range(0, steps, _between_ticks(steps)):
        x = left + WIDTH * (step + 0.5) / steps
        yield caption(f"step {step}", str(step), x, bottom - 1.2, theme.quiet, SMALL)
    yield caption("steps", "step", left - 2.5, bottom - 1.2, theme.quiet, SMALL)


def _between_ticks(steps: int) -> int:
    """Return 1, 2 or 5 with zeros behind it: the least that makes so few numbers that they can be read.

    Examples
    --------
    >>> [_between_ticks(steps) for steps in (0, 6, 7, 40, 1000)]
    [1, 1, 2, 10, 200]
    """
    every = 1
    while steps > every * TICKS:
        every = every * 5 // 2 if str(every)[0] == "2" else every * 2
    return every
