"""products: sums of matrix products that one pass over the registers computes. Law: the sum's value is unchanged
up to rounding, and its terms stand in one order, what is no state's first, however the graph is split."""

from collections.abc import Iterable
from dataclasses import dataclass

import networkx as nx

from lstmgraph.graph import LEAVES, SINKS, descendants, is_row, keys_of, node_of, operands
from lstmgraph.plugins import op


@dataclass(frozen=True)
class Product:
    """A value that is a sum of products: ``sum(source @ matrix)``."""

    key: str
    terms: tuple[tuple[str, str], ...]


def is_product(graph: nx.MultiDiGraph, key: str) -> bool:
    """Whether a node is rows times a matrix."""
    node = node_of(graph, key)
    return node.op not in (*LEAVES, *SINKS) and op(node.op).kind == "matmul" and is_row(node.shape)


def is_sum(graph: nx.MultiDiGraph, key: str) -> bool:
    """Whether a node is the sum of its operands."""
    node = node_of(graph, key)
    return node.op not in (*LEAVES, *SINKS) and op(node.op).adds


def find_products(graph: nx.MultiDiGraph, among: Iterable[str] | None = None) -> dict[str, Product]:
    """Return the products by the key of their sum.

    An addition of two products is one product if nothing else reads the two.
    """
    nodes = set(graph if among is None else among)
    below = descendants(graph, keys_of(graph, "state"))
    found: dict[str, list[tuple[str, str]]] = {}
    for key in graph:
        if key not in nodes:
            continue
        sources = operands(graph, key)
        if is_product(graph, key):
            found[key] = [(sources[0], sources[1])]
        elif is_sum(graph, key) and all(s in found and graph.out_degree(s) == 1 for s in sources):
            found[key] = [term for source in sources for term in found.pop(source)]
    return {key: Product(key, tuple(sorted(terms, key=lambda term: term[0] in below))) for key, terms in found.items()}
