"""levels: a loop's step, or a row stage, as blocks that run one after the other.

Law: a block reads only what leaves and earlier blocks hold, and every value is computed in one block. A product or
reduction stands one level above its operands, a pointwise op on its operands' level; the values of one level and
size are one block, so that pointwise ops follow while the registers' tile is hot.
"""

from dataclasses import dataclass, field

import networkx as nx

from lstmgraph.graph import LEAVES, SINKS, Dim, features, is_row, node_of, operands
from lstmgraph.plugins import op
from lstmgraph.schedule.products import Product, find_products, is_product, is_sum


@dataclass(frozen=True)
class Block:
    """Values of one level and size.

    Parameters
    ----------
    level : int
        Its place among the others.
    size : int or str
        The number of features that it runs over.
    kind : str
        "tile" (products, then pointwise ops), "pointwise", or the kind of the ops in it: "reduction", "running",
        "join", "gather".
    products : tuple of Product
        The sums of products, those of the same sources side by side.
    values : tuple of str
        The other keys, in order.
    """

    level: int
    size: Dim
    kind: str
    products: tuple[Product, ...] = ()
    values: tuple[str, ...] = ()


@dataclass
class _Levels:
    graph: nx.MultiDiGraph
    products: dict[str, Product]
    hidden: set[str]
    level: dict[str, int] = field(default_factory=dict)


def width(graph: nx.MultiDiGraph, key: str) -> Dim:
    """Return the number of features of a value."""
    shape = features(node_of(graph, key).shape)
    return shape[-1] if shape else 1


def blocks(graph: nx.MultiDiGraph) -> tuple[Block, ...]:
    """Return the blocks that compute the row values of a graph."""
    chosen = [
        key for key in graph if node_of(graph, key).op not in (*LEAVES, *SINKS) and is_row(node_of(graph, key).shape)
    ]
    products = find_products(graph, chosen)
    state = _Levels(graph, products, _inside_products(graph, chosen, products))
    visible = [key for key in chosen if key not in state.hidden]
    for key in visible:
        state.level[key] = _level(state, key)
    _sink_cheap(state, visible)
    return _grouped(state, visible)


def _inside_products(graph: nx.MultiDiGraph, chosen: list[str], products: dict[str, Product]) -> set[str]:
    """Return the partial products and sums that are no values of their own."""
    inside: set[str] = set()
    for key in chosen:
        if key not in products and is_product(graph, key):
            inside.add(key)
    for product in products.values():
        stack = list(operands(graph, product.key)) if is_sum(graph, product.key) else []
        while stack:
            key = stack.pop()
            inside.add(key)
            if is_sum(graph, key):
                stack.extend(operands(graph, key))
    return inside


def _reads(state: _Levels, key: str) -> list[str]:
    """Return the row values that a value is computed from."""
    if key in state.products:
        return [source for source, _ in state.products[key].terms]
    return [source for source in operands(state.graph, key) if is_row(node_of(state.graph, source).shape)]


def kind_of(graph: nx.MultiDiGraph, key: str, products: dict[str, Product]) -> str:
    """Return the kind of block that a value belongs to."""
    return "tile" if key in products else op(node_of(graph, key).op).kind


def _level(state: _Levels, key: str) -> int:
    graph = state.graph
    kind = kind_of(graph, key, state.products)
    level = -1 if kind == "view" else 0
    for source in _reads(state, key):
        below = state.level.get(source, -1)
        if kind == "view":
            level = max(level, below)
            continue
        source_kind = kind_of(graph, source, state.products) if source in state.level else "leaf"
        together = (
            kind == "pointwise" and source_kind in ("pointwise", "tile") and width(graph, source) == width(graph, key)
        )
        level = max(level, below if together else below + 1)
    return level


def _sink_cheap(state: _Levels, visible: list[str]) -> None:
    """Compute a cheap value where it is read, if all it is made of is at hand there."""
    graph = state.graph
    for key in reversed(visible):
        if kind_of(graph, key, state.products) != "pointwise":
            continue
        users = list(graph.succ[key])
        if any(user not in state.level or node_of(graph, user).op in SINKS or user in state.hidden for user in users):
            continue
        if any(
            kind_of(graph, user, state.products) != "pointwise" or width(graph, user) != width(graph, key)
            for user in users
        ):
            continue
        target = min((state.level[user] for user in users), default=state.level[key])
        sources = [source for source in _reads(state, key) if source in state.level]
        if target > state.level[key] and all(_crosses(state, source, target) for source in sources):
            state.level[key] = target


def _crosses(state: _Levels, key: str, level: int) -> bool:
    """Whether a value is read at a level or above it already."""
    return any(state.level.get(user, -1) >= level for user in state.graph.succ[key])


def _grouped(state: _Levels, visible: list[str]) -> tuple[Block, ...]:
    graph = state.graph
    groups: dict[tuple[int, str, Dim], list[str]] = {}
    for key in visible:
        kind = kind_of(graph, key, state.products)
        if kind == "view":
            continue
        size = width(graph, operands(graph, key)[0]) if kind in ("reduction", "running") else width(graph, key)
        form = "pointwise" if kind == "tile" else kind
        groups.setdefault((state.level[key], form, size), []).append(key)
    made = []
    for (level, form, size), keys in sorted(groups.items(), key=lambda item: (item[0][0], list(groups).index(item[0]))):
        products = tuple(state.products[key] for key in keys if key in state.products)
        together = sorted(products, key=lambda p: _first_alike(products, p))
        values = tuple(key for key in keys if key not in state.products)
        made.append(Block(level, size, "tile" if products else form, tuple(together), values))
    return tuple(made)


def _first_alike(products: tuple[Product, ...], product: Product) -> int:
    sources = [tuple(source for source, _ in other.terms) for other in products]
    return sources.index(tuple(source for source, _ in product.terms))


def tile_groups(block: Block) -> list[tuple[Product, ...]]:
    """Return the products of a block that have the same sources, group by group."""
    groups: dict[tuple[str, ...], list[Product]] = {}
    for product in block.products:
        groups.setdefault(tuple(source for source, _ in product.terms), []).append(product)
    return [tuple(group) for group in groups.values()]
