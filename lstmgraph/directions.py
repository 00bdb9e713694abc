"""bidirectional: a cell over a sequence in both directions."""

from lstmgraph.graph import Dim, Symbol
from lstmgraph.layers import recur
from lstmgraph.trace import active
from lstmgraph.traced import Cell, claim


def bidirectional(cell: Cell, *inputs: Symbol, size: Dim = "H", name: str, **sizes: Dim) -> Symbol:
    """Run a cell over the sequence in both directions and return both outputs side by side (Schuster & Paliwal 1997).

    Parameters
    ----------
    cell : Cell
        Any cell; each direction has parameters of its own.
    *inputs : Symbol
        Sequences, one for each input of the cell.
    size : int or str
        The hidden size H of each direction.
    name : str
        Its parameters and states are those of ``NAME.forward`` and ``NAME.backward``.
    **sizes
        Other symbols of the cell.

    Returns
    -------
    Symbol
        [T, B, 2H]: forward, then backward (which runs from each row's own end); a dictionary by name if the cell has
        several outputs.

    Examples
    --------
    >>> import lstmgraph as lg
    >>> @lg.network
    ... def tagger(x):
    ...     return lg.linear(lg.bidirectional(lg.cells.gru, x, size=16, name="gru"), size=5, name="head")
    >>> tagger.states, tagger.parameters["head.W"].shape
    (('gru.forward.h', 'gru.backward.h'), (32, 5))
    """
    claim(active("bidirectional"), name)
    ahead = recur(cell, *inputs, size=size, name=f"{name}.forward", reverse=False, **sizes)
    back = recur(cell, *inputs, size=size, name=f"{name}.backward", reverse=True, **sizes)
    pairs = zip(ahead.values(), back.values(), strict=True) if isinstance(ahead, dict) else [(ahead, back)]
    both = [first.builder.add("concat", first, second) for first, second in pairs]
    for output, value in zip(cell.outputs, both, strict=True):
        value.builder.label(name if len(both) == 1 else f"{name}.{output}", value)
    return both[0] if len(both) == 1 else dict(zip(cell.outputs, both, strict=True))  # type: ignore[return-value]
