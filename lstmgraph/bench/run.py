"""Runs tables one after the other and says what is found as it is found."""

from collections.abc import Callable, Iterable
from typing import Any

from lstmgraph.bench import show, table
from lstmgraph.bench.machine import load, processor, versions
from lstmgraph.bench.peak import peak_flops
from lstmgraph.bench.records import Request, Row, means

Tables = list[tuple[str, list[Row]]]


def facts(request: Request) -> dict[str, Any]:
    """Return what the figures must be read with; measures the peak."""
    busy = load()  # before we are what keeps it busy
    peak = peak_flops(request.threads)
    return {
        "processor": processor(),
        "versions": versions(),
        "threads": request.threads,
        "seconds": request.seconds,
        "load": busy,
        "peak_gflops": peak / 1e9 if peak else None,
    }


def run(names: Iterable[str], request: Request, peak: float | None, say: Callable[[str], None]) -> Tables:
    """Return the rows of each table; each line is said at once."""
    found: Tables = []
    for name in names:
        module = table(name)
        for line in show.title(name, (module.__doc__ or "").partition("\n")[0].rstrip(".")):
            say(line)
        rows: list[Row] = []
        found.append((name, rows))
        for row in module.rows(request):
            rows.append(row)
            for line in show.row_lines(row, peak):
                say(line)
        for line in show.closing(rows):
            say(line)
    return found


def data(machine: dict[str, Any], tables: Tables) -> dict[str, Any]:
    """Return everything for other programs."""
    peak = machine["peak_gflops"]
    return {
        "machine": machine,
        "tables": {
            name: {
                "rows": [row.data(peak * 1e9 if peak else None) for row in rows],
                "geometric_means": means(rows),
            }
            for name, rows in tables
        },
    }
