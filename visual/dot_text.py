"""DOT text read back, as far as figures write it: nodes, edges and clusters with their attributes."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise

_QUOTED, _SIGN = r'("(?:[^"\\]|\\.)*")', r"(->|[\[\]{};,:=])"
_WORD = r'([^\s\[\]{};,:="<]+?(?=->|[\s\[\]{};,:="<]|$))'
_TOKEN = re.compile(rf"\s*(?:{_QUOTED}|{_SIGN}|(<)|{_WORD})")
Attributes = dict[str, str]


@dataclass(frozen=True)
class DotNode:
    """A node, and the cluster in which it stands, if in one."""

    key: str
    attributes: Attributes
    cluster: str = ""


@dataclass(frozen=True)
class DotEdge:
    """An edge."""

    source: str
    target: str
    attributes: Attributes


@dataclass
class DotText:
    """What a DOT text says; nodes and edges have the attributes that were set for all of them."""

    name: str = ""
    graph: Attributes = field(default_factory=dict)
    nodes: dict[str, DotNode] = field(default_factory=dict)
    edges: list[DotEdge] = field(default_factory=list)
    clusters: dict[str, Attributes] = field(default_factory=dict)


def read_dot(dot: str) -> DotText:
    """Return what a DOT text says.

    Parameters
    ----------
    dot : str
        A digraph. Subgraphs as ends of edges and the like are not known here.

    Raises
    ------
    ValueError
        If the text is no such digraph.
    """
    tokens = list(_tokens(dot))
    if len(tokens) < 3 or tokens[0] != "digraph" or "{" not in tokens[:3]:
        raise ValueError("not a digraph")
    found = DotText(name=_text(tokens[1]) if tokens[1] != "{" else "")
    _Reader(tokens, found).read(tokens.index("{") + 1, "", {}, {})
    return found


@dataclass
class _Reader:
    tokens: list[str]
    found: DotText

    def read(self, at: int, cluster: str, for_nodes: Attributes, for_edges: Attributes) -> int:
        """Read statements up to the closing brace; return the place behind it."""
        defaults = {"node": dict(for_nodes), "edge": dict(for_edges)}
        while at < len(self.tokens):
            token = self.tokens[at]
            if token == "}":
                return at + 1
            if token == ";":
                at += 1
            elif token in ("subgraph", "{"):
                name = _text(self.tokens[at + 1]) if token == "subgraph" else ""
                inner = name if name.startswith("cluster") else cluster
                if inner != cluster:
                    self.found.clusters[inner] = {}
                at = self.read(self.tokens.index("{", at) + 1, inner, defaults["node"], defaults["edge"])
            elif self.tokens[at + 1] == "=":
                self._of_graph(cluster)[_text(token)] = _text(self.tokens[at + 2])
                at += 3
            else:
                at = self._statement(at, cluster, defaults)
        raise ValueError("a brace is not closed")

    def _statement(self, at: int, cluster: str, defaults: dict[str, Attributes]) -> int:
        word = self.tokens[at]
        ends = [_text(word)]
        at = self._behind_port(at + 1)
        while self.tokens[at] == "->":
            ends.append(_text(self.tokens[at + 1]))
            at = self._behind_port(at + 2)
        attributes: Attributes = {}
        if self.tokens[at] == "[":
            at, attributes = self._attributes(at + 1)
        if word in defaults:
            defaults[word].update(attributes)
        elif word == "graph":
            self._of_graph(cluster).update(attributes)
        elif len(ends) == 1:
            known = self.found.nodes.get(ends[0])
            inherited = known.attributes if known else defaults["node"]
            self.found.nodes[ends[0]] = DotNode(ends[0], inherited | attributes, known.cluster if known else cluster)
        else:
            for source, target in pairwise(ends):
                self.found.edges.append(DotEdge(source, target, defaults["edge"] | attributes))
        return at

    def _behind_port(self, at: int) -> int:
        """Return the place behind a port, which is left out."""
        return at + 2 if self.tokens[at] == ":" else at

    def _attributes(self, at: int) -> tuple[int, Attributes]:
        found: Attributes = {}
        while self.tokens[at] != "]":
            if self.tokens[at] in (",", ";"):
                at += 1
                continue
            if self.tokens[at + 1] != "=":
                raise ValueError(f"attribute {self.tokens[at]} has no value")
            found[_text(self.tokens[at])] = _text(self.tokens[at + 2])
            at += 3
        return at + 1, found

    def _of_graph(self, cluster: str) -> Attributes:
        return self.found.clusters[cluster] if cluster else self.found.graph


def _tokens(dot: str) -> Iterator[str]:
    at = 0
    while dot[at:].strip():
        found = _TOKEN.match(dot, at)
        if found is None:
            raise ValueError(f"cannot be read from {dot[at : at + 20]!r} on")
        at = found.end()
        if found[3]:
            start, deep = at - 1, 1
            while deep:
                bracket = re.compile("[<>]").search(dot, at)
                if bracket is None:
                    raise ValueError("a label is not closed")
                deep += 1 if bracket[0] == "<" else -1
                at = bracket.end()
            yield dot[start:at]
        else:
            yield found[0].strip()


def _text(token: str) -> str:
    """Return what a token stands for; a label in HTML keeps its angle brackets, line breaks stay as written."""
    return token[1:-1].replace('\\"', '"') if token.startswith('"') else token
