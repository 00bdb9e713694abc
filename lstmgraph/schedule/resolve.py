"""resolve: bind sizes. Law: afterwards equal sizes have equal symbols, spread values have size 1, and every op fits.

Symbols stay symbols, so that one kernel serves all sizes; only sizes that one op joins are settled: a size of 1 beside
another is a value spread over more features, and two equal ones, sums of sizes too, are one.
"""

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import networkx as nx

from lstmgraph.border import symbols_of
from lstmgraph.dims import Within, joined, symbols_in, terms, widest
from lstmgraph.errors import LstmGraphError, ShapeError
from lstmgraph.graph import LEAVES, SINKS, Builder, Dim, Node, features, is_row, join, operands, rebuild, resize
from lstmgraph.lines import say_line
from lstmgraph.plugins import op
from lstmgraph.traced import Cell, Traced

Bound = tuple[tuple[Dim, Dim], ...]


@lru_cache(maxsize=256)
def resolve(traced: Any, bound: Bound) -> Any:
    """Return the traced graph with its sizes settled, given symbol -> integer as pairs.

    Raises
    ------
    ShapeError
        If two values that one op joins have different sizes: names the op, its line and both values' lines.
        A gradient or a tangent does not fit where the cell that it is derived from does not.
    """
    sizes = dict(bound)
    origin = traced.graph.graph.get("derived_from")
    if origin is not None and sizes.keys() >= set(symbols_of(origin)):  # a gradient may need fewer
        resolve(origin, bound)
    graph = _rebuilt(traced.graph, _widest(traced.graph, sizes), sizes, traced.name)
    while spread := _spread(graph, sizes):
        graph = _rebuilt(graph, dict.fromkeys(spread, 1), sizes, traced.name)
    graph = _rebuilt(graph, _joined(traced, graph, sizes), sizes, traced.name)
    resolved = type(traced)(graph, traced.returns, traced.__doc__ or "")
    for name in traced.outputs:
        got, wanted = (each.result_shape("output", name) for each in (resolved, traced))
        if [resize(dim, sizes) for dim in got] != [resize(dim, sizes) for dim in wanted]:
            raise ShapeError(
                f"{traced.name}: output {name}: got size {_valued(got[-1], sizes)}, expected "
                f"{_valued(wanted[-1], sizes)}; give `size=` to the layers, or other sizes to compile"
            )
    return resolved


def _within(sizes: Mapping[Dim, Dim]) -> Within:
    return lambda first, second: resize(first, sizes) <= resize(second, sizes)  # type: ignore[operator]


def _widest(graph: nx.MultiDiGraph, sizes: Mapping[Dim, Dim]) -> dict[Dim, Dim]:
    """Return joined size -> the widest of its sizes, of those that the attributes of ops have."""
    attrs = [attr for _, node in graph.nodes(data="node") for attr in node.attrs]
    dims = {value for name, value in attrs if name == "size"}
    dims |= {dim for name, value in attrs if name in ("target", "parts") for dim in value}
    return {dim: widest([dim], _within(sizes)) for dim in dims if len(joined(dim)) > 1}


def _spread(graph: nx.MultiDiGraph, sizes: Mapping[Dim, Dim]) -> set[Dim]:
    """Return the symbols of size 1 that stand for a value spread over more features."""
    found: set[Dim] = set()
    for key, node in graph.nodes(data="node"):
        if node.op not in (*LEAVES, *SINKS) and op(node.op).kind in ("pointwise", "invariant"):
            for pair in _pairs(graph, key, node):
                if len({resize(dim, sizes) for dim in pair}) > 1:
                    found |= {dim for dim in pair if isinstance(dim, str) and resize(dim, sizes) == 1}
    return found


def _rebuilt(
    graph: nx.MultiDiGraph, exchange: Mapping[Dim, Dim], sizes: Mapping[Dim, Dim], name: str
) -> nx.MultiDiGraph:
    builder = Builder(simplify=True, within=_within(sizes))
    made: dict[str, Any] = {}
    for key, node in graph.nodes(data="node"):
        if node.op == "recur":
            made[key] = _recur(builder, node, [made[s] for s in operands(graph, key)], exchange, sizes)
            continue
        try:
            made |= rebuild(graph, builder, keep=[key], sizes=exchange, replace=made)
        except LstmGraphError as error:
            raise type(error)(f"{name}{say_line(graph.graph['lines'].get(key))}: {error}") from None
    builder.graph.graph["labels"] = {
        label: made[key].key for label, key in graph.graph["labels"].items() if key in made
    }
    return builder.freeze(name)


def _recur(
    builder: Builder, node: Node, sources: list[Any], exchange: Mapping[Dim, Dim], sizes: Mapping[Dim, Dim]
) -> Any:
    attrs = dict(node.attrs)
    cell: Cell = attrs["cell"]
    attrs["sizes"] = tuple((symbol, resize(dim, exchange)) for symbol, dim in attrs["sizes"])
    inner = tuple((symbol, resize(dim, sizes)) for symbol, dim in attrs["sizes"])
    attrs["cell"] = resolve(cell, inner)
    return builder.add("recur", *sources, **attrs)


def _joined(traced: Traced, graph: nx.MultiDiGraph, sizes: Mapping[Dim, Dim]) -> dict[Dim, Dim]:
    """Return symbol -> the size that it must equal: a symbol, a number, or a sum of them."""
    found: dict[Dim, Dim] = {}
    for key, node in graph.nodes(data="node"):
        for first, second in _pairs(graph, key, node):
            if first == second:
                continue
            if resize(first, sizes) != resize(second, sizes):
                raise ShapeError(_conflict(traced.name, graph, key, node, first, second, sizes))
            more = _equated(resize(first, found), resize(second, found), sizes)
            found = {symbol: resize(dim, more) for symbol, dim in found.items()} | more
    return found


def _equated(first: Dim, second: Dim, sizes: Mapping[Dim, Dim]) -> dict[Dim, Dim]:
    """Return symbol -> the size in its place that makes two equal sizes, or sums of sizes, the same.

    What both have cancels out; a symbol that is left alone is what stands beside it (``dt+H`` and ``H+1``: dt is 1).
    Of sums of several symbols each is its number.
    """
    one, other = terms(first), terms(second)
    left, right = (join(rest.elements()) for rest in (one - other, other - one))
    for symbol, kept in sorted([(left, right), (right, left)], key=lambda pair: pair[0] == "H"):
        if isinstance(symbol, str) and "+" not in symbol:
            return {symbol: kept}
    return {part: sizes[part] for dim in (left, right) for part in symbols_in(dim)}


def _pairs(graph: nx.MultiDiGraph, key: str, node: Node) -> list[tuple[Dim, Dim]]:
    """Return the pairs of dimensions that an op needs to be equal."""
    shapes = [graph.nodes[source]["node"].shape for source in operands(graph, key)]
    if node.op == "next":
        state = next((n for _, n in graph.nodes(data="node") if n.op == "state" and n.name == node.name), None)
        return [(shapes[0][-1], state.shape[-1])] if state is not None and features(state.shape) else []
    if node.op in (*LEAVES, *SINKS):
        return []
    kind = op(node.op).kind
    if kind == "recur":  # the resolved cell may have joined symbols that stand apart out here
        inner = dict(node.attr("sizes"))
        leaves = node.attr("cell").leaves.values()
        return [
            (dim, resize(wanted, inner))
            for shape, leaf in zip(shapes, leaves, strict=True)
            for dim, wanted in zip(features(shape), features(leaf.shape), strict=True)
        ]
    if kind == "matmul":
        return [(features(shapes[0])[-1], shapes[1][0])]
    if kind == "view":
        return [(features(shapes[0])[-1], join(node.attr("parts")))]
    if kind == "pointwise" or (kind == "invariant" and len(shapes) > 1):
        target = features(node.shape)
        return [
            (dim, wanted)
            for shape in shapes
            for dim, wanted in zip(features(shape)[::-1], target[::-1], strict=False)
            if dim != 1 and (is_row(node.shape) or len(features(shape)) == len(target))
        ]
    if kind == "invariant" and node.attr("target"):  # it sums along the features only where the target is narrower
        return [
            pair for pair in zip(features(shapes[0])[::-1], features(node.shape)[::-1], strict=False) if 1 not in pair
        ]
    return []


def _conflict(
    name: str, graph: nx.MultiDiGraph, key: str, node: Node, first: Dim, second: Dim, sizes: Mapping[Dim, Dim]
) -> str:
    one, other = (_valued(dim, sizes) for dim in sorted((first, second), key=lambda dim: dim == "H"))
    lines = graph.graph["lines"]
    remedy = graph.graph["hints"].get(key, "give `size=` to the layers")
    where = {say_line(lines[k]) for k in [key, *operands(graph, key)] if k in lines}
    return (
        f"{name}: {f'{node.op} {node.name}'.strip()}{' and'.join(sorted(where))}: got sizes {one} and {other}, "
        f"expected equal sizes or 1; {remedy}, or other sizes to compile"
    )


def _valued(dim: Dim, sizes: Mapping[Dim, Dim]) -> str:
    return str(dim) if isinstance(dim, int) else f"{dim} = {resize(dim, sizes)}"
