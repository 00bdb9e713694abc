"""A training step of other cells, beside the same equations in an eager loop and under a compiled scan."""

from collections.abc import Iterator
from functools import partial

import lstmgraph as lg
from lstmgraph.bench import ours, peer_jax, peer_torch
from lstmgraph.bench.measure import Contender, compare
from lstmgraph.bench.records import Request, Row

SIZES = ("small", "medium")
CELLS = ("mgu", "peephole_lstm", "gru_reset_before", "highway_2", "layer_norm_lstm")


def rows(request: Request) -> Iterator[Row]:
    """Yield a row a cell and size."""
    for name in CELLS:
        cell = ours.highway_2 if name == ours.highway_2.name else lg.cells.catalogue[name]
        for label, size in request.chosen(SIZES):
            params = lg.compile(cell, input_size=size.I, hidden_size=size.H).init(seed=0)
            contenders = (
                Contender("lstmgraph", partial(ours.training, cell, size, request.threads)),
                peer_torch.loop(name, params, size, request.threads),
                peer_jax.training(name, params, size, request.threads),
            )
            figures = compare(contenders, request.seconds)
            yield Row(f"{name}, {label}", figures, size, 3 * ours.flops(cell, size))
