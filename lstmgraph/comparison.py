"""same(): whether two cells or networks are one."""

from typing import Any

from lstmgraph.errors import GraphError
from lstmgraph.graph import Node, named, node_of, operands
from lstmgraph.traced import Traced

NAME = "name"


def same(first: Traced, second: Traced, parameters: bool = False) -> bool:
    """Return whether two cells, or two networks, compute the same by the same equations.

    Parameters
    ----------
    first, second : Cell or Network
        What is compared.
    parameters : bool
        Whether parameters must have the same names too; then this asks whether the digests are equal.

    Returns
    -------
    bool
        Inputs, states and outputs count by their names: they are how a cell is used. Parameters are matched by
        where they are used, one to one, so a tied weight is not the same as two; their shapes and initialisers count.
        Operands count in their order: ``a + b`` is not the same as ``b + a``. The names of the cell and of its
        layers, and the order of its lines, do not count.

    Raises
    ------
    GraphError
        If one of the two is no cell and no network.

    Examples
    --------
    >>> import lstmgraph as lg
    >>> lg.same(lg.cells.lstm, lg.cells.lstm), lg.same(lg.cells.lstm, lg.cells.gru)
    (True, False)
    """
    for traced in (first, second):
        if not isinstance(traced, Traced):
            raise GraphError(f"lg.same: got {type(traced).__name__}, expected a cell or a network; use @lg.cell")
    if parameters or first.digest == second.digest:
        return first.digest == second.digest
    return _matched(first, second) is not None


def _matched(first: Traced, second: Traced) -> dict[str, str] | None:
    """Return node of the first -> node of the second, walking down from the sinks; None if they are not the same."""
    if type(first) is not type(second) or first.sinks.keys() != second.sinks.keys() or _used(first) != _used(second):
        return None
    pairs = [(first.sinks[sink], second.sinks[sink]) for sink in first.sinks]
    there: dict[str, str] = {}
    taken: set[str] = set()
    while pairs:
        one, other = pairs.pop()
        if one in there or other in taken:
            if there.get(one) != other:
                return None
            continue
        there[one] = other
        taken.add(other)
        below = operands(first.graph, one), operands(second.graph, other)
        nodes = node_of(first.graph, one), node_of(second.graph, other)
        if len(below[0]) != len(below[1]) or not _alike(*nodes):
            return None
        pairs += zip(*below, strict=True)
    return there


def _used(traced: Traced) -> list[tuple[str, Any]]:
    """Return what a user hands in, in order: inputs and states with their shapes."""
    return [(leaf, node.shape) for leaf, node in traced.leaves.items() if not leaf.startswith("parameter:")]


def _alike(one: Node, other: Node) -> bool:
    """Whether two nodes do the same; cells inside recurs are compared in their turn."""
    if (one.op, one.shape) != (other.op, other.shape):
        return False
    return _attrs(one).keys() == _attrs(other).keys() and all(
        _equal(value, _attrs(other)[name]) for name, value in _attrs(one).items()
    )


def _attrs(node: Node) -> dict[str, Any]:
    """Return the attributes that count: names only of what a user hands in and gets back."""
    counted = node.op in ("input", "state", "next", "output", "sum", "item")
    return {name: value for name, value in node.attrs if name != NAME or counted}


def _equal(one: Any, other: Any) -> bool:
    """Whether two attributes are equal; cells, if their parameters are taken in the same order too."""
    if not isinstance(one, Traced) or not isinstance(other, Traced):
        return bool(one == other)
    found = _matched(one, other)
    if found is None:
        return False
    orders = [list(named(traced.graph, "parameter").values()) for traced in (one, other)]
    return [found.get(key) for key in orders[0]] == orders[1]
