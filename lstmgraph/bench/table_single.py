"""Whole sequences of one row: a forward pass of an LSTM at B = 1, I = H, where the weights are read at every step."""

from collections.abc import Iterator

from lstmgraph.bench.records import Request, Row, Size
from lstmgraph.bench.table_forward import row

SIZES = ()
UNITS = (128, 256, 512, 1024)
T = 100


def rows(request: Request) -> Iterator[Row]:
    """Yield a row a number of units; the sizes asked for, at B = 1, if there are any."""
    sizes = request.sizes or [(str(units), Size(T, 1, units, units)) for units in UNITS]
    for name, size in sizes:
        yield row(name, size._replace(B=1), request)
