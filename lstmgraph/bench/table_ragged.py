"""A training step on sequences of different lengths: the share of the time beside the share of the steps."""

from collections.abc import Iterator
from functools import partial

import numpy as np

from lstmgraph.bench import ours
from lstmgraph.bench.measure import Contender, compare
from lstmgraph.bench.records import Request, Row

SIZES = ("small", "medium", "long")


def rows(request: Request) -> Iterator[Row]:
    """Yield a row a size; lengths are drawn evenly from 1 to T, at each step exchanged among rows for the last figure.

    Which row ends when is written down once for a batch: if it comes but once, that is some tenths of a millisecond.
    """
    for name, size in request.chosen(SIZES):
        rng = np.random.default_rng(0)
        lengths = rng.integers(1, size.T + 1, size.B)
        step = partial(ours.training, ours.lstm, size, request.threads)
        contenders = (
            Contender("with lengths", partial(step, lengths.copy)),
            Contender("all steps", step),
            Contender("others at each step", partial(step, partial(rng.permutation, lengths))),
        )
        figures = compare(contenders, request.seconds)
        shares = {
            "share of the time": figures[0].median / figures[1].median,
            "share of the steps": float(lengths.sum()) / (size.T * size.B),
        }
        yield Row(name, figures, size, extra=shares)
