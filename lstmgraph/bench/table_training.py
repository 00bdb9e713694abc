"""A training step of an LSTM written as its equations: forward pass and the gradients of all parameters."""

from collections.abc import Iterator
from functools import partial

import lstmgraph as lg
from lstmgraph.bench import ours, peer_jax, peer_torch
from lstmgraph.bench.measure import Contender, compare
from lstmgraph.bench.records import Request, Row

SIZES = ("tiny", "small", "medium", "long", "large")


def rows(request: Request) -> Iterator[Row]:
    """Yield a row a size."""
    for name, size in request.chosen(SIZES):
        params = lg.compile(ours.lstm, input_size=size.I, hidden_size=size.H).init(seed=0)
        contenders = (
            Contender("lstmgraph", partial(ours.training, ours.lstm, size, request.threads)),
            peer_torch.training(size, request.threads),
            peer_jax.training("lstm", params, size, request.threads),
        )
        yield Row(name, compare(contenders, request.seconds), size, 3 * ours.flops(ours.lstm, size))
