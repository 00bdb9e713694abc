"""A graph as equations read it: words in place of their bodies, who reads what, and how large a value is."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import networkx as nx

from lstmgraph.graph import SINKS, Node, node_of, operands
from lstmgraph.notation.names import escaped
from lstmgraph.notation.words import Word, find_words
from lstmgraph.ops.contract import Notation, Op, function
from lstmgraph.plugins import op


@dataclass
class Reading:
    """What a cell's equations are written from.

    `order` holds the nodes that some sink needs, in the order of the cell's lines; `users`, for each, the nodes that
    read it, as often as they do.
    """

    graph: nx.MultiDiGraph
    words: dict[str, tuple[Word, str]] = field(init=False)
    order: list[str] = field(init=False)
    users: dict[str, list[str]] = field(init=False)

    def __post_init__(self) -> None:
        """Find the words and who reads what."""
        self.words = find_words(self.graph)
        self.users = {}
        for key in reversed(list(self.graph)):
            if key in self.users or self.node(key).op in SINKS:
                self.users.setdefault(key, [])
                for source in self.sources(key):
                    self.users.setdefault(source, []).append(key)
        self.order = [key for key in self.graph if key in self.users]

    def node(self, key: str) -> Node:
        """Return a node's record."""
        return node_of(self.graph, key)

    def sources(self, key: str) -> Sequence[str]:
        """Return what a node is written with: its operands, or what its word is of."""
        return (self.words[key][1],) if key in self.words else operands(self.graph, key)

    def definition(self, key: str) -> Op | None:
        """Return a node's op; None for leaves, sinks and words."""
        return op(self.node(key).op) if key not in self.words and self.graph.pred[key] and not self.sink(key) else None

    def sink(self, key: str) -> bool:
        """Whether a node is a sink."""
        return self.node(key).op in SINKS

    def notation(self, key: str) -> Notation:
        """Return how a node is written; an op that does not say it, as a function of its name."""
        if key in self.words:
            return self.words[key][0].notation
        definition = op(self.node(key).op)
        if definition.notation is not None:
            return definition.notation
        return function(definition.name, rf"\operatorname{{{{{escaped(definition.name)}}}}}")

    def ends_layer(self, key: str) -> bool:
        """Whether a node is a function of one value, unit by unit, such as σ."""
        if key in self.words:
            return self.words[key][0].ends_layer
        definition = self.definition(key)
        if definition is None or definition.kind != "pointwise" or len(self.sources(key)) != 1:
            return False
        return definition.glyph.form == "ellipse"

    def inside_layer(self, key: str) -> bool:
        """Whether a node may stand inside a layer: arithmetic on its sum, or a norm of it."""
        if key in self.words:
            return not self.words[key][0].ends_layer
        definition = self.definition(key)
        return definition is not None and definition.kind == "pointwise" and definition.glyph.form == "circle"

    def reached(self, key: str) -> str:
        """Return the state that a value reaches first, or an empty string."""
        ahead, seen = [key], {key}
        for node in ahead:
            if self.node(node).op == "next":
                return self.node(node).name
            ahead += [user for user in dict.fromkeys(self.users[node]) if user not in seen]
            seen.update(self.users[node])
        return ""
