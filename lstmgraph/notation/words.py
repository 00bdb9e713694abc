"""Which nodes are whole words such as a softmax: those that the word's own body gives when it is built again."""

from collections.abc import Callable
from dataclasses import dataclass

import networkx as nx

from lstmgraph import layers
from lstmgraph.graph import Builder, Symbol, node_of
from lstmgraph.ops.contract import Notation, function


@dataclass(frozen=True)
class Word:
    """A function of `lstmgraph.layers`: how it is written, its body, and whether a layer ends with it as with tanh."""

    notation: Notation
    body: Callable[[Symbol], Symbol]
    ends_layer: bool = True


WORDS = (
    Word(function("cumax", r"\operatorname{{cumax}}"), layers.cumax),
    Word(function("softmax", r"\operatorname{{softmax}}"), layers.softmax),
    Word(function("softplus", r"\operatorname{{softplus}}"), layers.softplus),
    Word(function("LN", r"\operatorname{{LN}}"), layers.layer_norm, ends_layer=False),
    Word(function("mean", r"\operatorname{{mean}}"), layers.mean, ends_layer=False),
)


def find_words(graph: nx.MultiDiGraph) -> dict[str, tuple[Word, str]]:
    """Return node -> the word that it is, and the node that the word is of.

    A node's key says how it is computed: a word of a value is there if the key of its body, built on that value, is.
    """
    scratch = Builder(graph=nx.MultiDiGraph(graph))
    found: dict[str, tuple[Word, str]] = {}
    needed = {word: _readers(word.body) for word in WORDS}
    for key in graph:
        readers = {node_of(graph, user).op for user in graph.succ[key]}
        for word in WORDS:
            if needed[word] <= readers:
                result = word.body(scratch.symbol(key)).key
                if result in graph:
                    found.setdefault(result, (word, key))
    return found


def _readers(body: Callable[[Symbol], Symbol]) -> set[str]:
    """Return the ops that read the value itself in a word's body."""
    builder = Builder()
    value = builder.leaf("input", ("B", "H"), name="value")
    body(value)
    return {node_of(builder.graph, user).op for user in builder.graph.succ[value.key]}
