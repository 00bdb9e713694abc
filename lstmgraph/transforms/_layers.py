"""The layers of a cell, found in its graph: which products they sum, what those read, and what is made of the sum."""

from dataclasses import dataclass, replace

from lstmgraph.graph import LEAVES, SINKS, Node, ancestors, descendants, is_row, named, node_of, operands
from lstmgraph.plugins import op
from lstmgraph.traced import Cell

GATE = "sigmoid"  # a gate is a sigmoid layer and a product


@dataclass(frozen=True)
class Product:
    """Rows times a matrix.

    Parameters
    ----------
    weight : str
        The full name of its matrix, ``forget.W_h``; what a modifier makes of the matrix keeps that name in front.
    source : str
        Key of the rows.
    steps : tuple of str
        Keys of the products with a matrix, first to last: several where the matrix is of low rank.
    """

    weight: str
    source: str
    steps: tuple[str, ...]

    @property
    def key(self) -> str:
        """Key of the whole product."""
        return self.steps[-1]


@dataclass(frozen=True)
class Layer:
    """A layer of a cell: the sum of products with the matrices of one name, and what is made of it.

    Parameters
    ----------
    name : str
        The prefix of its parameters.
    products : tuple of Product
        What is summed.
    total : str
        Key of what the activation sees: of the whole sum, bias included.
    value : str
        Key of the layer's result: of its activation, or of the total.
    """

    name: str
    products: tuple[Product, ...]
    total: str
    value: str


def find_layers(cell: Cell) -> dict[str, Layer]:
    """Return a cell's layers by name: every name that matrices applied to rows begin with, in order."""
    found: dict[str, dict[str, Product]] = {}
    for key, node in cell.graph.nodes(data="node"):
        weight = matrix_name(cell, operands(cell.graph, key)[1]) if _is_product(node) else ""
        if weight:
            layer, matrix = _split(weight)
            products = found.setdefault(layer, {})
            product = Product(f"{layer}.{matrix}" if matrix else layer, operands(cell.graph, key)[0], (key,))
            inner = products.get(product.source)
            if inner is not None and inner.weight == product.weight:
                del products[inner.key]
                product = replace(inner, steps=(*inner.steps, key))
            products[product.key] = product
    return {name: _layer(cell, name, tuple(products.values())) for name, products in found.items()}


def matrix_name(cell: Cell, key: str) -> str:
    """Return the name of the parameter that a matrix is, or of the first one that it is made of."""
    above = ancestors(cell.graph, [key])
    parameters = named(cell.graph, "parameter").items()
    return next((name for name, leaf in parameters if leaf in above and name not in cell.masks), "")


def read_leaves(cell: Cell, key: str, kind: str) -> tuple[str, ...]:
    """Return the names of the leaves of a kind that a value is: the leaf, one of its factors, or a part of it.

    The state h is in ``h``, ``r * h``, ``relu(h)`` and ``concat(x, h)``; in a state's next value there is none.
    """
    node = node_of(cell.graph, key)
    if node.op == kind and not node.attr("mask"):
        return (node.name,)
    nexts = {operands(cell.graph, sink)[0] for (result, _), sink in cell.sinks.items() if result == "next"}
    if node.op in LEAVES or key in nexts:
        return ()
    rows = [source for source in operands(cell.graph, key) if is_row(node_of(cell.graph, source).shape)]
    if node.op == "mul" or op(node.op).kind in ("join", "view") or (op(node.op).kind == "pointwise" and len(rows) == 1):
        return tuple(dict.fromkeys(name for row in rows for name in read_leaves(cell, row, kind)))
    return ()


def word(name: str, weight: str) -> str:
    """Return a name for what belongs to a matrix: ("norm", "forget.W_h") is ``forget.norm_h``."""
    layer, matrix = _split(weight)
    return f"{layer}.{name}{matrix.removeprefix('W')}" if matrix else f"{layer}.{name}"


def activation(cell: Cell, key: str) -> str:
    """Return the key of the function that is all that a value goes through, else ""."""
    users = list(cell.graph.succ[key])
    return users[0] if len(users) == 1 and is_function(cell, users[0]) else ""


def is_function(cell: Cell, key: str) -> bool:
    """Whether a value is a function of one other value, unit by unit."""
    node = node_of(cell.graph, key)
    if node.op in (*LEAVES, *SINKS) or len(operands(cell.graph, key)) != 1:
        return False
    return op(node.op).kind == "pointwise" and op(node.op).kernel != "{0}"


def is_gate(cell: Cell, layer: Layer) -> bool:
    """Whether a layer is a gate."""
    return node_of(cell.graph, layer.value).op == GATE


def _is_product(node: Node) -> bool:
    return node.op not in (*LEAVES, *SINKS) and op(node.op).kind == "matmul" and is_row(node.shape)


def _split(name: str) -> tuple[str, str]:
    """Return the layer and the matrix in a parameter's name: ``forget.W_h.left`` is ("forget", "W_h")."""
    parts = name.split(".")
    for place, part in enumerate(parts):
        if place and (part == "W" or part.startswith("W_")):
            return ".".join(parts[:place]), part
    return name, ""


def _layer(cell: Cell, name: str, products: tuple[Product, ...]) -> Layer:
    label = cell.graph.graph["labels"].get(name)
    if label is None or label not in descendants(cell.graph, [products[0].key]):
        label = sum_of(cell, products, f"{name}.b")
    if is_function(cell, label):
        return Layer(name, products, operands(cell.graph, label)[0], label)
    return Layer(name, products, label, activation(cell, label) or label)


def sum_of(cell: Cell, products: tuple[Product, ...], bias: str = "") -> str:
    """Return the key of the sum of products, and of a bias if there is one, as far as nothing else is added."""
    graph = cell.graph
    own = {product.key for product in products} | {key for key in [named(graph, "parameter").get(bias)] if key}
    total = products[0].key
    while True:
        users = list(graph.succ[total])
        node = node_of(graph, users[0]) if len(users) == 1 else None
        if (
            node is None
            or node.op in SINKS
            or not op(node.op).adds
            or not set(operands(graph, users[0])) <= own | {total}
        ):
            return total
        total = users[0]
