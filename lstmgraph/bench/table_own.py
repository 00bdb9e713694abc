"""A training step of an LSTM written by a user, beside the catalogue's: nothing in the library is faster than yours."""

from collections.abc import Iterator
from functools import partial

import lstmgraph as lg
from lstmgraph.bench import ours
from lstmgraph.bench.measure import Contender, compare
from lstmgraph.bench.records import Request, Row

SIZES = ("small", "medium")


def rows(request: Request) -> Iterator[Row]:
    """Yield a row a size."""
    cells = {"your equations": ours.lstm, "lg.cells.lstm": lg.cells.catalogue["lstm"]}
    for name, size in request.chosen(SIZES):
        contenders = [
            Contender(what, partial(ours.training, cell, size, request.threads)) for what, cell in cells.items()
        ]
        yield Row(name, compare(contenders, request.seconds), size, 3 * ours.flops(ours.lstm, size))
