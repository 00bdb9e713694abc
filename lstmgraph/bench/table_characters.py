"""A training step of a character model, end to end: embedding of 64, LSTM of 256, head of 103, clipping, Adam."""

from collections.abc import Iterator
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np

import lstmgraph as lg
from lstmgraph.bench import peer_torch
from lstmgraph.bench.measure import Block, Contender, compare
from lstmgraph.bench.records import Request, Row, Size
from lstmgraph.graph import Symbol

SIZES = ()
SIZE = Size(64, 32, 64, 256)
V = 103  # characters
WINDOWS = 50  # of T steps each; the state is carried from one to the next


def rows(request: Request) -> Iterator[Row]:
    """Yield a row a number of layers and size; I is the embedding."""
    for name, size in request.sizes or [("", SIZE)]:
        text = np.random.default_rng(0).integers(0, V, (size.T * WINDOWS + 1, size.B))
        for layers in (1, 2):
            sizes = {"T": size.T, "V": V, "embedding": size.I, "H": size.H}
            contenders = (
                Contender("lstmgraph", partial(steps, layers, size, text, request.threads)),
                peer_torch.characters(layers, sizes, text[:-1], text[1:], request.threads),
            )
            products = size.H * V + 4 * size.H * (size.I + size.H) + (layers - 1) * 4 * size.H * 2 * size.H
            label = ", ".join(filter(None, (name, f"{layers} layer{'s' * (layers > 1)}")))
            yield Row(label, compare(contenders, request.seconds), size, 6.0 * size.T * size.B * products)


def steps(layers: int, size: Size, text: Any, threads: int) -> Block:
    """Return training steps as Model.fit takes them, by its own clock: it compiles before that starts."""
    model = lg.Model(network(layers, size), optimizer=lg.Adam(3e-3, clip_norm=1.0), threads=threads)

    def block(seconds: float) -> list[float]:
        limit = {"seconds": seconds} if seconds else {"steps": 1}
        history = model.fit(text[:-1], text[1:], window=size.T, progress=False, **limit)
        elapsed = [0.0, *(step.seconds for step in history)]
        taken = [after - before for before, after in pairwise(elapsed)]
        return taken[1:] or taken  # the first one of a block does not count

    return block


def network(layers: int, size: Size) -> Any:
    """Return the model's network."""

    @lg.network
    def characters(tokens: Symbol) -> Symbol:
        y = lg.embedding(tokens, V, size.I, name="embed")
        for layer in range(layers):
            y = lg.recur(lg.cells.catalogue["lstm"], y, size=size.H, name=f"lstm_{layer}")
        return lg.linear(y, size=V, name="head")

    return characters
