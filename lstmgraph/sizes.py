"""Sizes that nothing settles: what has them in a graph, and what a user does about it."""

from collections.abc import Iterator, Sequence

from lstmgraph.dims import symbols_in
from lstmgraph.errors import CompileError
from lstmgraph.graph import Shape, node_of
from lstmgraph.lines import say_line
from lstmgraph.traced import Cell, Traced

_KEYWORDS = {"I": "input_size", "H": "hidden_size"}


def spoken(symbol: str) -> str:
    """Return the keyword by which a user gives a symbol its size."""
    return _KEYWORDS.get(symbol, symbol)


def symbol_of(keyword: str) -> str:
    """Return the symbol to which a user gives a size by this keyword."""
    return next((symbol for symbol, word in _KEYWORDS.items() if word == keyword), keyword)


def missing_sizes(traced: Traced, symbols: Sequence[str], remedy: str) -> CompileError:
    """Return the error for symbols without a size: names what has them.

    Parameters
    ----------
    traced : Cell or Network
        What the user wrote.
    symbols : sequence of str
        At least one.
    remedy : str
        What to do; ``{keywords}`` in it are the sizes as keywords.
    """
    owners = {symbol: next(_owners(traced, symbol), None) for symbol in symbols}
    named = list(dict.fromkeys(owner for owner in owners.values() if owner))
    layers = [owner for symbol, owner in owners.items() if symbol == "H" and owner and owner.startswith("layer")]
    return CompileError(
        f"{traced.name}: got no size for {' and '.join(map(spoken, symbols))}, expected one for "
        f"{' and '.join(named) or 'each'}; {remedy.format(keywords=' and '.join(f'{spoken(s)}=' for s in symbols))}"
        f"{', or give size= to the layer' if layers else ''}"
    )


def _owners(traced: Traced, symbol: str) -> Iterator[str]:
    """Yield what has a size of this symbol, best known to the user first."""
    graph = traced.graph
    leaves = [leaf.replace(":", " ") for leaf, node in traced.leaves.items() if _has(node.shape, symbol)]
    first = ("state", "input") if isinstance(traced, Cell) else ("input",)
    yield from (leaf for kind in first for leaf in leaves if leaf.startswith(kind))
    for label, key in graph.graph["labels"].items():
        if _has(node_of(graph, key).shape, symbol):
            yield f"layer {label!r}{say_line(graph.graph['lines'].get(key))}"
    yield from leaves


def _has(shape: Shape, symbol: str) -> bool:
    return any(symbol in symbols_in(dim) for dim in shape)
