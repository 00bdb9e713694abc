"""A training step on several threads beside one thread."""

from collections.abc import Iterator
from functools import partial

from lstmgraph.bench import ours
from lstmgraph.bench.measure import Contender, compare
from lstmgraph.bench.records import Figure, Request, Row

SIZES = ("small", "medium", "large")


def rows(request: Request) -> Iterator[Row]:
    """Yield a row a size; the ratio is what the threads bring."""
    for name, size in request.chosen(SIZES):
        counts = dict.fromkeys((request.threads, 1))
        contenders = [
            Contender(f"{count} thread{'s' * (count > 1)}", partial(ours.training, ours.lstm, size, count))
            for count in counts
        ]
        figures = compare(contenders, request.seconds)
        if len(counts) == 1:
            figures = (*figures, Figure("more threads", (), "not measured; give --threads 2 or more"))
        yield Row(name, figures, size, 3 * ours.flops(ours.lstm, size))
