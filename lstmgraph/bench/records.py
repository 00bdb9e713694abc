"""What is asked of a benchmark, and what it found: sizes, figures, rows, tables."""

import math
import statistics
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple


class Size(NamedTuple):
    """T time steps, B batch rows, I input features, H hidden units."""

    T: int
    B: int
    I: int  # noqa: E741
    H: int

    def __str__(self) -> str:
        return f"[{', '.join(map(str, self))}]"


SIZES = {
    "tiny": Size(100, 1, 1, 32),
    "small": Size(100, 32, 32, 64),
    "medium": Size(100, 32, 128, 128),
    "long": Size(1000, 16, 64, 64),
    "large": Size(100, 64, 512, 512),
}


@dataclass(frozen=True)
class Request:
    """How to measure.

    Parameters
    ----------
    threads : int
        Threads of ours and of the others.
    seconds : float
        Time to measure for in each row, pauses and first calls not counted.
    sizes : tuple of (name, size)
        What was asked for; none: each table takes its own.
    """

    threads: int
    seconds: float
    sizes: tuple[tuple[str, Size], ...] = ()

    def chosen(self, usual: Iterable[str]) -> tuple[tuple[str, Size], ...]:
        """Return the sizes asked for, or a table's usual ones."""
        return self.sizes or tuple((name, SIZES[name]) for name in usual)


@dataclass(frozen=True)
class Figure:
    """The measured values of one contender; none, and why, where it could not be measured."""

    name: str
    values: tuple[float, ...]
    why: str = ""

    @property
    def median(self) -> float:
        """The middle value."""
        return statistics.median(self.values)

    @property
    def quartiles(self) -> tuple[float, float]:
        """The first and the third quartile."""
        if len(self.values) == 1:
            return self.values[0], self.values[0]
        first, _, third = statistics.quantiles(self.values, n=4, method="inclusive")
        return first, third

    @property
    def least(self) -> float:
        """The least value: what other work on the machine disturbs least."""
        return min(self.values)


@dataclass(frozen=True)
class Row:
    """One comparison.

    Parameters
    ----------
    label : str
        What is compared.
    figures : tuple of Figure
        Ours first.
    size : Size, optional
        Its size.
    flops : float
        Floating-point operations of the products of one run, 0 if they are not what it is about.
    unit : "seconds" or "bytes"
        Of the figures.
    extra : dict
        Other numbers by what they are.
    """

    label: str
    figures: tuple[Figure, ...]
    size: Size | None = None
    flops: float = 0.0
    unit: str = "seconds"
    extra: Mapping[str, float] = field(default_factory=dict)

    def ratio(self, figure: Figure) -> float | None:
        """Return how many times a figure's median is that of ours; None for ours and where there is none."""
        ours = self.figures[0]
        return None if figure is ours or not figure.values or not ours.values else figure.median / ours.median

    def least_ratio(self, figure: Figure) -> float | None:
        """Return the same of the least values."""
        return None if self.ratio(figure) is None else figure.least / self.figures[0].least

    def data(self, peak: float | None) -> dict[str, Any]:
        """Return the row for other programs; `peak` in floating-point operations a second."""
        return {
            "label": self.label,
            "size": self.size._asdict() if self.size else None,
            "unit": self.unit,
            "figures": [self._figure(figure, peak) for figure in self.figures],
            **({"extra": dict(self.extra)} if self.extra else {}),
        }

    def _figure(self, figure: Figure, peak: float | None) -> dict[str, Any]:
        if not figure.values:
            return {"name": figure.name, "why_not": figure.why}
        found: dict[str, Any] = {
            "name": figure.name,
            "median": figure.median,
            "quartiles": list(figure.quartiles),
            "least": figure.least,
            "runs": len(figure.values),
            "ratio": self.ratio(figure),
            "ratio_of_least": self.least_ratio(figure),
        }
        if self.flops:
            rate = self.flops / figure.median
            found |= {"gflops": rate / 1e9, "share_of_peak": rate / peak if peak else None}
        return found


def means(rows: Iterable[Row]) -> dict[str, float]:
    """Return the geometric mean of the ratios of each contender that was measured in two rows or more."""
    found: dict[str, list[float]] = {}
    for row in rows:
        for figure in row.figures:
            if (ratio := row.ratio(figure)) is not None:
                found.setdefault(figure.name, []).append(ratio)
    return {name: math.exp(statistics.fmean(map(math.log, ratios))) for name, ratios in found.items() if ratios[1:]}
