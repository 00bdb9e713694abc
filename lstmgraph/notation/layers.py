"""Which nodes are a cell's layers: where each one ends, and what it is called."""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import takewhile

from lstmgraph.graph import Node, keys_of, operands
from lstmgraph.notation.names import split_cotangent
from lstmgraph.notation.reading import Reading


@dataclass(frozen=True)
class Layers:
    """A cell's layers: `results`, node -> name of the layer that ends there; `parts`, label -> name of its layer."""

    results: dict[str, str]
    parts: dict[str, str]


def find_layers(reading: Reading, settled: Iterable[str]) -> Layers:
    """Return where a cell's layers end and what they are called.

    A label stands where the cell's author put it; a layer goes on, as long as nothing else reads its sum, up to the
    function that it ends with: a gate with peepholes is σ of the whole sum. Layers that end in one function are one:
    ``forget_h`` and ``forget_x`` are forget. A norm that is read once is written where it is read.

    Parameters
    ----------
    reading : Reading
        The graph.
    settled : iterable of keys
        Nodes that have names already, as those of next states; no layer goes on to them.
    """
    settled = set(settled)
    began = _labels(reading)
    layers: dict[str, str] = {}
    parts: dict[str, str] = {}
    for end, labels in _ends(reading, settled, began).items():
        common = _common_start(list(labels))
        if end in settled or (common and (common in labels or common not in began)):
            layers.setdefault(end, common or next(iter(labels)))
            parts.update({label: common or label for label in labels})
        else:
            for label, key in labels.items():
                layers.setdefault(key, label)
                parts[label] = label
    return Layers({key: layers[key] for key in reading.order if key in layers}, parts)


def _ends(reading: Reading, settled: set[str], began: dict[str, list[str]]) -> dict[str, dict[str, str]]:
    """Return node -> the labels whose layers end there, each with the node where it stands."""
    ends: dict[str, dict[str, str]] = {}
    for label, keys in began.items():
        for key in keys:
            end = key if split_cotangent(label)[0] else _end(reading, settled, key)
            ends.setdefault(end, {})[label] = key
    with_matrix = {name.rpartition(".")[0] for name, node in _parameters(reading) if len(node.shape) == 2}
    return {end: labels for end, labels in ends.items() if end in labels.values() or with_matrix & set(labels)}


def _parameters(reading: Reading) -> list[tuple[str, Node]]:
    nodes = [reading.node(key) for key in keys_of(reading.graph, "parameter")]
    return [(node.name, node) for node in nodes]


def _labels(reading: Reading) -> dict[str, list[str]]:
    """Return label -> nodes: the author's labels, and the products with matrices of layers that have none."""
    graph = reading.graph
    found = {label: [key] for label, key in graph.graph["labels"].items() if key in reading.users}
    products: dict[str, list[str]] = {}
    for leaf in keys_of(graph, "parameter"):
        layer = reading.node(leaf).name.rpartition(".")[0]
        if layer and layer not in found:
            read = [user for user in reading.users.get(leaf, []) if _multiplies(reading, user, leaf)]
            products.setdefault(layer, []).extend(read)
    return found | {layer: keys for layer, keys in products.items() if keys}


def _multiplies(reading: Reading, key: str, matrix: str) -> bool:
    definition = reading.definition(key)
    return definition is not None and definition.kind == "matmul" and operands(reading.graph, key)[1] == matrix


def _end(reading: Reading, settled: set[str], begin: str) -> str:
    """Return the node where a layer ends that has a node inside it; the node itself if it is not clear."""
    key = begin
    while not reading.ends_layer(key) and key not in settled:
        users = reading.users[key]
        if len(users) > 1:
            return key
        goes_on = users and (
            reading.ends_layer(users[0]) or (reading.inside_layer(users[0]) and users[0] not in settled)
        )
        if not goes_on:
            return begin
        key = users[0]
    return key


def _common_start(labels: list[str]) -> str:
    """Return the words that labels begin with: forget for forget_h and forget_x; empty if there are none."""
    words = [label.split("_") for label in labels]
    same = [parts[0] for parts in takewhile(lambda parts: len(set(parts)) == 1, zip(*words, strict=False))]
    return "_".join(same)
