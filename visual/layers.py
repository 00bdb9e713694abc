"""Which nodes of a graph make one layer of the figure: an activation of a sum of products with matrices."""

from collections.abc import Iterable
from dataclasses import dataclass, field

import networkx as nx

from lstmgraph.graph import Node, node_of, operands
from lstmgraph.ops.contract import Glyph
from lstmgraph.plugins import ops
from lstmgraph.visual.bodies import body_at

SUMS = ("+", "−")
PRODUCT = "×"
REGIONS = (
    ({"√"}, "LN"),
    ({"exp", "÷"}, "softmax"),
)  # glyphs among a region's ops -> what the region is called


@dataclass(frozen=True)
class Group:
    """Nodes that are drawn as one item.

    `root` is the node whose value leaves the group, `sources` the nodes whose values enter it, in order.
    """

    root: str
    text: str
    sources: tuple[str, ...]
    members: frozenset[str]
    form: str = "layer"


@dataclass
class Reading:
    """A graph as the figure reads it: which nodes change with time, and what each op looks like."""

    graph: nx.MultiDiGraph
    varying: set[str] = field(init=False)
    order: list[str] = field(init=False)

    def __post_init__(self) -> None:
        """Find what changes with time, in the graph's own order; what no sink needs is left out."""
        graph = self.graph
        needed: set[str] = set()
        self.varying = set()
        for key in reversed(list(graph)):
            if node_of(graph, key).op in ("next", "output", "sum", "input", "state") or key in needed:
                needed.add(key)
                needed.update(graph.pred[key])
        for key in graph:
            if node_of(graph, key).op in ("input", "state") or any(p in self.varying for p in graph.pred[key]):
                self.varying.add(key)
        self.order = [key for key in graph if key in needed]

    def node(self, key: str) -> Node:
        """Return a node's record."""
        return node_of(self.graph, key)

    def kind(self, key: str) -> str:
        """Return the kind of a node's op, or an empty string for leaves and sinks."""
        definition = ops().get(self.node(key).op)
        return definition.kind if definition else ""

    def glyph(self, key: str) -> Glyph:
        """Return how a node's op looks."""
        definition = ops().get(self.node(key).op)
        return definition.glyph if definition else Glyph("box", self.node(key).op)

    def inputs(self, key: str) -> list[str]:
        """Return the operands that change with time."""
        return [source for source in operands(self.graph, key) if source in self.varying]

    def users(self, key: str) -> list[str]:
        """Return the nodes that read a value."""
        return list(self.graph.succ[key])

    def resolve(self, key: str) -> str:
        """Return the node whose value is meant: ops without a glyph pass it through, but for joins."""
        while self.glyph(key).form == "none" and self.kind(key) != "join" and self.inputs(key):
            key = self.inputs(key)[0]
        return key

    def bundle(self, key: str) -> tuple[str, ...]:
        """Return the values that lie side by side in a value: the operands of a join, else itself."""
        key = self.resolve(key)
        if self.kind(key) != "join":
            return (key,)
        return tuple(part for source in self.inputs(key) for part in self.bundle(source))

    def has_parameter(self, key: str) -> bool:
        """Whether an invariant value depends on a parameter."""
        return self.node(key).op == "parameter" or any(self.has_parameter(p) for p in self.graph.pred[key])


@dataclass(frozen=True)
class _Terms:
    """A sum of products with parameters: what enters it, its nodes, how many matrices, and a norm's name."""

    sources: tuple[str, ...] = ()
    members: frozenset[str] = frozenset()
    matrices: int = 0
    mark: str = ""


def find_groups(reading: Reading) -> dict[str, Group]:
    """Return root -> group, for every layer and every region such as a layer norm."""
    regions = _find_regions(reading)
    terms: dict[str, _Terms] = {}
    for key in reading.order:
        found = _terms(reading, regions, terms, key)
        if found is not None:
            terms[key] = found
    groups: dict[str, Group] = {}
    taken: set[str] = set()
    for key in reversed(reading.order):
        if key in taken or key not in reading.varying:
            continue
        group = _layer(reading, regions, terms, key) or regions.get(key)
        if group is not None:
            groups[key] = group
            taken |= group.members
    return groups


def _layer(reading: Reading, regions: dict[str, Group], terms: dict[str, _Terms], key: str) -> Group | None:
    """Return the layer whose result a node is, if it is one."""
    whole = terms.get(key)
    if whole is not None and whole.matrices:
        return Group(key, whole.mark or "W", whole.sources, whole.members)
    if key in regions:
        inner, text, own = regions[key].sources[0], regions[key].text, regions[key].members
    elif reading.kind(key) == "pointwise" and len(operands(reading.graph, key)) == 1:
        inner, text, own = operands(reading.graph, key)[0], reading.glyph(key).text, frozenset({key})
    else:
        return None
    sums = terms.get(inner)
    if sums is None or not sums.matrices or not set(reading.users(inner)) <= own:
        return None
    return Group(key, f"{sums.mark} {text}".strip(), sums.sources, sums.members | own)


def _terms(reading: Reading, regions: dict[str, Group], terms: dict[str, _Terms], key: str) -> _Terms | None:
    """Return a node as a sum of products with parameters; None if it is no such sum."""
    if key not in reading.varying:
        return _Terms()
    node_kind, glyph, sources = reading.kind(key), reading.glyph(key), operands(reading.graph, key)
    if node_kind == "matmul":
        if sources[1] in reading.varying:
            return None
        return _Terms(reading.bundle(sources[0]), frozenset({key}), 1)
    if key in regions:
        inner = terms.get(regions[key].sources[0])
        if (
            inner is None
            or not inner.matrices
            or not set(reading.users(regions[key].sources[0])) <= regions[key].members
        ):
            return None
        return _Terms(inner.sources, inner.members | regions[key].members, inner.matrices, regions[key].text)
    inner_terms = [_inner(reading, terms, source) for source in sources]
    if node_kind == "pointwise" and glyph.text in SUMS and all(t is not None for t in inner_terms):
        return _join(key, [t for t in inner_terms if t is not None])
    if node_kind == "pointwise" and glyph.text == PRODUCT and len(reading.inputs(key)) == 1:
        scaled = reading.inputs(key)[0]
        by = next((source for source in sources if source not in reading.varying), scaled)
        inner = _inner(reading, terms, scaled)
        if inner is not None and inner.matrices:
            return _join(key, [inner])
        if inner is None and by != scaled and reading.has_parameter(by):  # a peephole: a diagonal matrix
            return _Terms(reading.bundle(scaled), frozenset({key}))
    if glyph.form == "none" and len(inner_terms) == 1 and inner_terms[0] is not None:
        return _join(key, [inner_terms[0]])
    return None


def _inner(reading: Reading, terms: dict[str, _Terms], key: str) -> _Terms | None:
    """Return an operand's terms if nobody else reads it: a value that is read twice stays visible."""
    if key in reading.varying and len(reading.users(key)) > 1:
        return None
    return terms.get(key)


def _join(key: str, parts: Iterable[_Terms]) -> _Terms:
    parts = list(parts)
    sources = tuple(dict.fromkeys(source for part in parts for source in part.sources))
    members = frozenset({key}).union(*(part.members for part in parts))
    return _Terms(sources, members, sum(p.matrices for p in parts), next((p.mark for p in parts if p.mark), ""))


def _find_regions(reading: Reading) -> dict[str, Group]:
    """Return exit -> region for what makes a known whole: a body, or row reductions of a layer norm or a softmax.

    A region of reductions begins at the operand of its first reduction, the one value that enters it, and ends at
    the first node behind which nothing else of it is read; the gain and the bias of a norm belong to it.
    """
    regions: dict[str, Group] = {}
    taken: set[str] = set()
    for key in reversed(reading.order):  # a body may be part of a larger one
        body = body_at(reading, key) if key in reading.varying and key not in taken else None
        if body is not None:
            regions[key] = Group(key, body.text, (body.entry,), body.members, "ellipse")
            taken |= body.members
    for key in reading.order:
        if key in taken or key not in reading.varying or reading.kind(key) != "reduction":
            continue
        entry = reading.inputs(key)[0]
        found = _close(reading, _grow(reading, entry, key))
        if found is not None:
            root, name, members = found
            regions[root] = Group(root, name, (entry,), frozenset(members), "ellipse")
            taken |= members
    return regions


def _grow(reading: Reading, entry: str, first: str) -> list[str]:
    """Return every node that is computed from the entry alone, by way of its reductions."""
    inside = {entry: None}
    for key in reading.order:
        sources = reading.inputs(key)
        if reading.kind(key) not in ("pointwise", "reduction", "invariant") or not set(sources) <= inside.keys():
            continue
        if key == first or any(source != entry for source in sources) or reading.kind(key) == "reduction":
            inside[key] = None
    return [key for key in inside if key != entry]


def _close(reading: Reading, grown: list[str]) -> tuple[str, str, set[str]] | None:
    """Return exit, name and members of the first whole in what has grown; None if there is none."""
    before: dict[str, set[str]] = {}
    for key in grown:
        before[key] = {key}.union(*(before.get(source, set()) for source in reading.inputs(key)))
        texts = {reading.glyph(member).text for member in before[key]}
        name = next((name for signs, name in REGIONS if signs <= texts), "")
        if name and all(set(reading.users(member)) <= before[key] for member in before[key] - {key}):
            return _with_gain(reading, key, name, before[key])
    return None


def _with_gain(reading: Reading, root: str, name: str, members: set[str]) -> tuple[str, str, set[str]]:
    """Return a region with the parameters that scale and shift its result."""
    while len(reading.users(root)) == 1:
        user = reading.users(root)[0]
        fixed = [source for source in operands(reading.graph, user) if source not in reading.varying]
        affine = reading.kind(user) == "pointwise" and reading.glyph(user).text in (*SUMS, PRODUCT)
        if not affine or not any(reading.node(source).op == "parameter" for source in fixed):
            break
        members, root = members | {user}, user
    return root, name, members
