"""Tables as text for people."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from lstmgraph.bench.records import Figure, Row, means

_NAME = 20
_UNITS = {"seconds": ((1.0, "s"), (1e-3, "ms"), (1e-6, "us")), "bytes": ((1e9, "GB"), (1e6, "MB"))}
_COLUMNS = f"{'':{_NAME + 4}} {'median':>10}  {'quartiles':20} {'least':>8}  {'ratio':>6} {'least':>6}   GFLOP/s   peak"
NOTE = "ratio: the median, and the least, over that of the first line; above 1 the first one is faster or smaller"


def heading(facts: Mapping[str, Any]) -> list[str]:
    """Return the lines above all tables."""
    versions = ", ".join(f"{name} {version}" for name, version in facts["versions"].items())
    peak = facts["peak_gflops"]
    lines = [
        str(facts["processor"]),
        f"{facts['threads']} threads, float32; "
        + (f"peak {peak:.0f} GFLOP/s (our register tile)" if peak else "peak not measured: kernels are not compiled"),
        versions,
        NOTE,
    ]
    load = facts["load"]
    if load is not None and load > 0.5:
        lines.append(
            f"other work keeps {load:.1f} processors busy: do not trust these figures, measure again on a quiet machine"
        )
    return lines


def title(name: str, text: str) -> list[str]:
    """Return the lines above a table."""
    return ["", f"{name}: {text}", _COLUMNS]


def row_lines(row: Row, peak: float | None) -> list[str]:
    """Return the lines of a row."""
    head = f"  {row.label}" + (f" [T, B, I, H] = {row.size}" if row.size else "")
    lines = [head, *(_line(row, figure, peak) for figure in row.figures)]
    if row.extra:
        lines.append("    " + ", ".join(f"{name} {number:.3f}" for name, number in row.extra.items()))
    return lines


def closing(rows: Iterable[Row]) -> Iterator[str]:
    """Yield the line below a table: the geometric means of the ratios."""
    found = means(rows)
    if found:
        yield "  geometric mean of the ratios: " + ", ".join(f"{name} {mean:.2f}" for name, mean in found.items())


def _line(row: Row, figure: Figure, peak: float | None) -> str:
    if not figure.values:
        return f"    {figure.name:{_NAME}} {figure.why}"
    units = _UNITS[row.unit]  # the greatest one that leaves a digit before the point
    scale, unit = next((pair for pair in units if figure.median >= pair[0]), units[-1])
    median = f"{figure.median / scale:.3f} {unit}"
    first, third = figure.quartiles
    spread = f"{first / scale:.3f} to {third / scale:.3f}" if len(figure.values) > 1 else ""
    found = (row.ratio(figure), row.least_ratio(figure))
    ratios = " ".join(f"{'' if ratio is None else f'{ratio:.2f}':>6}" for ratio in found)
    rate = row.flops / figure.median
    rates = f"{rate / 1e9:8.1f}" + (f"  {rate / peak:5.0%}" if peak else "") if row.flops else ""
    line = f"    {figure.name:{_NAME}} {median:>10}  {spread:20} {figure.least / scale:8.3f}  {ratios}  {rates}"
    return line.rstrip()
