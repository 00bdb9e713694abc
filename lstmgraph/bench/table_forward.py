"""A forward pass of an LSTM written as its equations, its weights packed before."""

from collections.abc import Iterator

from lstmgraph.bench import ours, peer_jax, peer_onnxruntime, peer_torch
from lstmgraph.bench.measure import Contender, compare
from lstmgraph.bench.records import Request, Row, Size

SIZES = ("tiny", "small", "medium", "long", "large")


def rows(request: Request) -> Iterator[Row]:
    """Yield a row a size."""
    for name, size in request.chosen(SIZES):
        yield row(name, size, request)


def row(label: str, size: Size, request: Request) -> Row:
    """Return the comparison at a size."""
    _, params, _, _ = ours.compiled(ours.lstm, size, request.threads)
    contenders = (
        Contender("lstmgraph", lambda: ours.forward(ours.lstm, size, request.threads)),
        peer_torch.forward(size, request.threads),
        peer_jax.forward("lstm", params, size, request.threads),
        peer_onnxruntime.forward(size, request.threads),
    )
    return Row(label, compare(contenders, request.seconds), size, ours.flops(ours.lstm, size))
