"""in_place: results that may be written over an input of the same step. Law: nothing reads the input after that.

Such a pair stands in one place of a row, register by register: all that reads the input is pointwise and comes, in the
order of the blocks, no later than the result. Whether the input is needed elsewhere is known when a call is recorded.
"""

from collections.abc import Sequence

from lstmgraph.graph import is_row, named, node_of, operands
from lstmgraph.schedule.levels import Block, width
from lstmgraph.traced import Traced

Moment = tuple[int, int]  # block, and place in it


def in_place(cell: Traced, blocks: Sequence[Block]) -> tuple[tuple[str, str], ...]:
    """Return (output, input) by name: the output may take the input's place.

    Examples
    --------
    >>> import lstmgraph as lg
    >>> from lstmgraph.schedule.levels import blocks
    >>> @lg.cell
    ... def scaled(x, h):
    ...     return {"y": 2 * x, "h": h}
    >>> in_place(scaled, blocks(scaled.graph))
    (('y', 'x'),)
    """
    graph, inputs = cell.graph, named(cell.graph, "input")
    done: dict[str, Moment] = {}
    for number, block in enumerate(blocks):
        if block.kind in ("tile", "pointwise"):
            done |= {key: (number, place) for place, key in enumerate(block.values)}
    last = {name: found for name, key in inputs.items() if (found := _last_read(cell, key, done)) is not None}
    pairs = []
    for output, key in named(graph, "output").items():
        (source,) = operands(graph, key)
        for name, moment in last.items():
            if source in done and moment <= done[source] and width(graph, source) == width(graph, inputs[name]):
                pairs.append((output, name))
    return tuple(pairs)


def _last_read(cell: Traced, key: str, done: dict[str, Moment]) -> Moment | None:
    """Return when an input is read last; None if not all that reads it does so register by register."""
    graph = cell.graph
    users = set(graph.succ[key])
    if not users or not is_row(node_of(graph, key).shape):
        return None
    if any(user not in done or width(graph, user) != width(graph, key) for user in users):
        return None
    return max(done[user] for user in users)
