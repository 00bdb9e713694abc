"""Tables as a picture: the ratio of each contender to ours, a bar each. Needs matplotlib."""

from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from lstmgraph.bench.records import Row

ENDINGS = (".svg", ".png")


def why_none() -> str:
    """Return why no picture can be drawn, or an empty string."""
    try:
        import_module("matplotlib")
    except ImportError:
        return "no picture will be drawn, for matplotlib is not installed; `pip install matplotlib`"
    return ""


def draw(tables: Sequence[tuple[str, Sequence[Row]]], path: Path) -> bool:
    """Draw the ratios of all tables that compare something into a file; return whether there was anything to draw."""
    charts = [(f"{name}: ratio to {rows[0].figures[0].name}", bars) for name, rows in tables if (bars := _bars(rows))]
    if not charts:
        return False
    figure_class = import_module("matplotlib.figure").Figure
    heights = [len(bars) for _, bars in charts]
    figure = figure_class(figsize=(8, 0.3 * sum(heights) + 0.9 * len(charts)), layout="constrained")
    axes = figure.subplots(len(charts), 1, squeeze=False, gridspec_kw={"height_ratios": heights})[:, 0]
    for axis, (title, bars) in zip(axes, charts, strict=True):
        _chart(axis, title, bars)
    figure.savefig(path)
    return True


def _bars(rows: Sequence[Row]) -> list[tuple[str, str, float]]:
    """Return row, contender and ratio of each bar."""
    return [
        (row.label, figure.name, ratio)
        for row in rows
        for figure in row.figures
        if (ratio := row.ratio(figure)) is not None
    ]


def _chart(axis: Any, title: str, bars: list[tuple[str, str, float]]) -> None:
    """Draw one table: long bars are contenders that take longer than the first one."""
    contenders = list(dict.fromkeys(contender for _, contender, _ in bars))
    places = range(len(bars))
    colours = [f"C{contenders.index(contender)}" for _, contender, _ in bars]
    drawn = axis.barh(places, [ratio for *_, ratio in bars], color=colours)
    axis.bar_label(drawn, fmt=" %.2f", fontsize=8)
    axis.set_yticks(places, [f"{label}: {contender}" for label, contender, _ in bars], fontsize=8)
    axis.invert_yaxis()
    axis.axvline(1, color="black", linewidth=0.8)
    axis.set_title(title, fontsize=9, loc="left")
    axis.margins(x=0.12)
