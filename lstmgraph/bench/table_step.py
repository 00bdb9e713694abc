"""One time step of one row, as in streaming: program.bind(params).step at I = 64, H = 128."""

from collections.abc import Iterator
from functools import partial

import numpy as np

from lstmgraph.bench import ours, peer_torch
from lstmgraph.bench.measure import Block, Contender, compare, repeated
from lstmgraph.bench.records import Request, Row, Size

SIZES = ()
SIZE = Size(1, 1, 64, 128)


def rows(request: Request) -> Iterator[Row]:
    """Yield the row, or one for each size asked for."""
    for name, size in request.sizes or [("step", SIZE)]:
        one = size._replace(T=1)
        contenders = (
            Contender("lstmgraph", partial(steps, one, request.threads)),
            peer_torch.step(one, request.threads),
        )
        yield Row(name, compare(contenders, request.seconds), one, ours.flops(ours.lstm, one))


def steps(size: Size, threads: int) -> Block:
    """Return steps of a bound program, each from the state that the last one left."""
    program, params, x, _ = ours.compiled(ours.lstm, size, threads)
    bound, first = program.bind(params), x[0]
    state = {name: np.zeros((size.B, size.H), "float32") for name in program.traced.states}

    def run() -> None:
        nonlocal state
        _, state = bound.step(first, state)

    return repeated(run)
