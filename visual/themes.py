"""Themes: every colour of a figure, as one frozen record a theme."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from lstmgraph.errors import DrawingError, nearest

Colours = tuple[str, str]  # fill and outline


@dataclass(frozen=True)
class Theme:
    """The colours of a figure.

    Parameters
    ----------
    name : str
        What a user calls it.
    background : str
        Behind everything.
    items : mapping
        Kind of item (frame, layer, sum, op, input, output, note) -> fill and outline.
    wire, text, label, quiet : str
        Wires, text in items, names beside layers, and what may be overlooked.
    faded : (fill, outline), faded_frame : (fill, outline)
        Items and the frame where something else is shown.
    faded_wire, faded_text : str
        Likewise.
    gradient, added, removed : str
        The way back of a gradient, and the two sides of a comparison.
    nothing, everything, negative : str
        What a gate of 0 and of 1 looks like, and a value of −1.
    hatched : bool
        Whether negative values are hatched, since no colour tells them from positive ones.
    """

    name: str
    background: str
    items: Mapping[str, Colours]
    wire: str
    text: str
    label: str
    quiet: str
    faded: Colours
    faded_frame: Colours
    faded_wire: str
    faded_text: str
    gradient: str
    added: str
    removed: str
    nothing: str
    everything: str
    negative: str
    hatched: bool = False


CLASSIC = Theme(
    name="classic",
    background="#FFFFFF",
    items={
        "frame": ("#E3F1DA", "#8FB37C"),
        "layer": ("#FCEBB6", "#C9A94B"),
        "sum": ("#F3E3C3", "#B08D4A"),
        "op": ("#F6C3CD", "#C9788A"),
        "input": ("#C7E2F6", "#6FA4C9"),
        "output": ("#E2CDF0", "#A27FBE"),
        "note": ("#FFFFFF", "#B5B5B5"),
    },
    wire="#2B2B2B",
    text="#222222",
    label="#444444",
    quiet="#6B6B6B",
    faded=("#F6F6F6", "#DADADA"),
    faded_frame=("#FAFCF9", "#D5E0CF"),
    faded_wire="#C9C9C9",
    faded_text="#A8A8A8",
    gradient="#C2185B",
    added="#1B7F3B",
    removed="#C62828",
    nothing="#FFFFFF",
    everything="#2CA25F",
    negative="#8856A7",
)

DARK = Theme(
    name="dark",
    background="#14181D",
    items={
        "frame": ("#1E2B24", "#4F7F59"),
        "layer": ("#57471A", "#D8B44A"),
        "sum": ("#4A3B22", "#BF9A5A"),
        "op": ("#5A2A37", "#E27C93"),
        "input": ("#1C3E59", "#6FB1E0"),
        "output": ("#432A5B", "#B58BD8"),
        "note": ("#14181D", "#6C757F"),
    },
    wire="#D6DAE0",
    text="#F2F4F7",
    label="#C4CAD2",
    quiet="#A3ABB5",
    faded=("#1B2026", "#333A42"),
    faded_frame=("#171D1D", "#2A3630"),
    faded_wire="#3F4750",
    faded_text="#69727C",
    gradient="#FF6FA5",
    added="#5FD38A",
    removed="#FF7B72",
    nothing="#14181D",
    everything="#3FD487",
    negative="#B58BD8",
)

PRINT = Theme(
    name="print",
    background="#FFFFFF",
    items={
        "frame": ("#F3F3F3", "#8C8C8C"),
        "layer": ("#D4D4D4", "#4D4D4D"),
        "sum": ("#E2E2E2", "#000000"),
        "op": ("#FFFFFF", "#333333"),
        "input": ("#E8E8E8", "#707070"),
        "output": ("#BDBDBD", "#5A5A5A"),
        "note": ("#FFFFFF", "#9A9A9A"),
    },
    wire="#1A1A1A",
    text="#000000",
    label="#333333",
    quiet="#595959",
    faded=("#FFFFFF", "#D0D0D0"),
    faded_frame=("#FFFFFF", "#D8D8D8"),
    faded_wire="#C4C4C4",
    faded_text="#A0A0A0",
    gradient="#000000",
    added="#000000",
    removed="#6E6E6E",
    nothing="#FFFFFF",
    everything="#3A3A3A",
    negative="#3A3A3A",
    hatched=True,
)

# Colours that most people tell apart: Okabe & Ito (2008), "Color Universal Design", their tints and shades.
COLOUR_BLIND = replace(
    CLASSIC,
    name="colour-blind",
    items={
        "frame": ("#F4F4F1", "#8A8A86"),
        "layer": ("#F9F2A7", "#C2B300"),
        "sum": ("#BFE6DA", "#009E73"),
        "op": ("#FAD7B5", "#D55E00"),
        "input": ("#D3ECFA", "#56B4E9"),
        "output": ("#F3DAE8", "#A05080"),
        "note": ("#FFFFFF", "#B5B5B5"),
    },
    faded_frame=("#FBFBFA", "#DADAD8"),
    gradient="#D55E00",
    added="#0072B2",
    removed="#993F73",
    everything="#0072B2",
    negative="#E69F00",
)

THEMES = {theme.name: theme for theme in (CLASSIC, DARK, PRINT, COLOUR_BLIND)}


def theme_named(name: str) -> Theme:
    """Return a theme, or raise a DrawingError that lists them."""
    if name not in THEMES:
        raise DrawingError(
            f"draw: unknown theme {name!r}, expected one of {', '.join(THEMES)}{nearest(str(name), list(THEMES))}"
        )
    return THEMES[name]


def between(first: str, second: str, part: float) -> str:
    """Return the colour so far on the way from one to another.

    Examples
    --------
    >>> between("#000000", "#FFFFFF", 0.5)
    '#808080'
    """
    mixed = (round(int(first[at : at + 2], 16) * (1 - part) + int(second[at : at + 2], 16) * part) for at in (1, 3, 5))
    return "#" + "".join(f"{value:02X}" for value in mixed)
