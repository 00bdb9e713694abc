"""save: which values of a forward loop its backward loop is given, and which it computes again.

Law: the backward loop needs no product, reduction or table of the forward one, and what is kept between the two is
least: a minimum cut between what cannot be computed again and what the backward loop reads.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import networkx as nx

from lstmgraph.graph import LEAVES, SINKS, Builder, Symbol, is_row, keys_of, named, node_of, operands, rebuild
from lstmgraph.plugins import op
from lstmgraph.traced import Cell, Traced

UNIT = 1000  # what keeping one feature costs; a state's own history is kept anyway and costs next to nothing


@dataclass(frozen=True)
class Saving:
    """What one later loop takes from one earlier loop: key in the later cell -> key in the earlier cell.

    `again` holds the keys in the earlier cell of what the later one computes again.
    """

    earlier: str
    later: str
    values: tuple[tuple[str, str], ...]
    again: tuple[str, ...]


def save(traced: Traced) -> Traced:
    """Return the graph with saved values as outputs of earlier loops and inputs of later ones."""
    found = [saving for saving in savings(traced) if saving.values]
    return _rewritten(traced, found) if found else traced


def savings(traced: Traced) -> list[Saving]:
    """Return what each later loop takes from, or computes again of, each earlier one."""
    graph = traced.graph
    recurs = keys_of(graph, "recur")
    return [
        saving
        for later in recurs
        for earlier in recurs
        if earlier != later and (saving := _saving(graph, earlier, later)) is not None
    ]


def _cell(graph: nx.MultiDiGraph, key: str) -> Cell:
    return node_of(graph, key).attr("cell")  # type: ignore[no-any-return]


def _saving(graph: nx.MultiDiGraph, earlier: str, later: str) -> Saving | None:
    """Return what `later` should take from `earlier`, or None if it computes nothing of it again."""
    if not _reads_states_of(graph, earlier, later):
        return None
    image = _image(graph, earlier, later)
    cell, reader = _cell(graph, earlier), _cell(graph, later)
    shared = {
        old: new for old, new in image.items() if new in reader.graph and node_of(cell.graph, old).op not in LEAVES
    }
    images = set(shared.values())
    needed = {
        old
        for old, new in shared.items()
        if is_row(node_of(cell.graph, old).shape) and any(user not in images for user in reader.graph.succ[new])
    }
    chosen = cut(cell, set(shared), needed)
    pairs = tuple((shared[old], old) for old in cell.graph if old in chosen)
    reached = _read(reader.graph, {new for new, _ in pairs})
    again = tuple(old for old in cell.graph if old in shared and old not in chosen and shared[old] in reached)
    return Saving(earlier, later, pairs, again) if pairs or again else None


def _read(graph: nx.MultiDiGraph, given: set[str]) -> set[str]:
    """Return what a cell's results are computed from if it is given some of the values on the way."""
    found: set[str] = set()
    stack = keys_of(graph, *SINKS)
    while stack:
        key = stack.pop()
        if key not in found and key not in given:
            found.add(key)
            stack.extend(graph.pred[key])
    return found


def _reads_states_of(graph: nx.MultiDiGraph, earlier: str, later: str) -> bool:
    sources = (node_of(graph, key) for key in operands(graph, later))
    items = [key for key, node in zip(operands(graph, later), sources, strict=True) if node.op == "item"]
    return any(
        operands(graph, key)[0] == earlier and node_of(graph, key).attr("kind") == "previous" for key in items
    ) or (not _cell(graph, earlier).states and earlier in nx.ancestors(graph, later))


def _image(graph: nx.MultiDiGraph, earlier: str, later: str) -> dict[str, str]:
    """Return key in the earlier cell -> key that the same value has in terms of the later cell's leaves."""
    cell, reader = _cell(graph, earlier), _cell(graph, later)
    outside: dict[str, str] = {}
    for leaf, source in zip(reader.leaves, operands(graph, later), strict=True):
        kind, _, name = leaf.partition(":")
        if kind != "state":
            outside.setdefault(source, named(reader.graph, kind)[name])
    previous = {
        node_of(graph, key).attr("name"): key
        for key in graph.succ[earlier]
        if node_of(graph, key).op == "item" and node_of(graph, key).attr("kind") == "previous"
    }
    builder = Builder(simplify=True)
    replace: dict[str, Symbol] = {}
    for leaf, source in zip(cell.leaves, operands(graph, earlier), strict=True):
        kind, _, name = leaf.partition(":")
        there = outside.get(previous.get(name, "") if kind == "state" else source)
        if there is not None:
            replace[named(cell.graph, kind)[name]] = rebuild(reader.graph, builder, keep=[there])[there]
    lost = [key for key in keys_of(cell.graph, "input", "state", "parameter") if key not in replace]
    from lstmgraph.graph import descendants

    gone = descendants(cell.graph, lost)
    keep = [key for key in cell.graph if key not in gone and node_of(cell.graph, key).op not in SINKS]
    return {old: symbol.key for old, symbol in rebuild(cell.graph, builder, keep=keep, replace=replace).items()}


def cut(cell: Cell, possible: set[str], needed: Iterable[str]) -> set[str]:
    """Return the values to keep: the cheapest set from which all needed ones follow by cheap pointwise ops."""
    stored = {operands(cell.graph, key)[0] for key in keys_of(cell.graph, "next")}
    network = nx.DiGraph()
    network.add_nodes_from(("source", "target"))
    for key in cell.graph:
        node = node_of(cell.graph, key)
        if key not in possible or not is_row(node.shape):
            continue
        width = 1 if node.shape[-1] == 1 else 64
        network.add_edge((key, "in"), (key, "out"), capacity=1 if key in stored else UNIT * width)
        if not op(node.op).cheap:
            network.add_edge("source", (key, "in"))
        for source in operands(cell.graph, key):
            if source in possible and is_row(node_of(cell.graph, source).shape):
                network.add_edge((source, "out"), (key, "in"))
    for key in needed:
        network.add_edge((key, "out"), "target")
    _, (near, far) = nx.minimum_cut(network, "source", "target")
    return {key for key in possible if (key, "in") in near and (key, "out") in far}


def value_name(cell: Traced, key: str, taken: Iterable[str]) -> str:
    """Return a name for a value: its label, the state it becomes, or its op and place."""
    labels = {k: label for label, k in cell.graph.graph["labels"].items()}
    nexts = {operands(cell.graph, k)[0]: f"next_{node_of(cell.graph, k).name}" for k in keys_of(cell.graph, "next")}
    node, sources = node_of(cell.graph, key), operands(cell.graph, key)
    name = labels.get(key) or nexts.get(key) or f"{node.op}_{list(cell.graph).index(key)}"
    if len(sources) == 1 and node_of(cell.graph, sources[0]).op == "parameter":
        name = f"{node_of(cell.graph, sources[0]).name}.{node.op}"
    used = set(taken)
    while name in used:
        name += "_"
    return name


def _rewritten(traced: Traced, savings: list[Saving]) -> Traced:
    graph = traced.graph
    extra: dict[str, dict[str, str]] = {}  # earlier recur -> key in its cell -> name of the output
    for saving in savings:
        cell = _cell(graph, saving.earlier)
        names = extra.setdefault(saving.earlier, {})
        outputs = {operands(cell.graph, key)[0]: name for name, key in named(cell.graph, "output").items()}
        for _, old in saving.values:
            if old not in names:
                names[old] = outputs.get(old) or value_name(cell, old, [*cell.outputs, *names.values()])
    builder = Builder(simplify=True)
    made: dict[str, Symbol] = {}
    for key, node in graph.nodes(data="node"):
        if node.op != "recur":
            made |= rebuild(graph, builder, keep=[key], replace=made)
            continue
        sources = [made[source] for source in operands(graph, key)]
        taken = [saving for saving in savings if saving.later == key]
        made[key] = _recur(builder, graph, key, sources, extra, taken, made)
    builder.graph.graph["labels"] = {label: made[key].key for label, key in graph.graph["labels"].items()}
    return type(traced)(builder.freeze(traced.name), traced.returns)


def _recur(
    builder: Builder,
    graph: nx.MultiDiGraph,
    key: str,
    sources: list[Symbol],
    extra: dict[str, dict[str, str]],
    savings: list[Saving],
    made: dict[str, Symbol],
) -> Symbol:
    from lstmgraph.ops.recur import make, result

    node = node_of(graph, key)
    cell: Cell = node.attr("cell")
    values: dict[str, Symbol | float] = dict(zip(cell.leaves, sources, strict=True))
    inside = Builder(simplify=True)
    replace: dict[str, Symbol] = {}
    for leaf in keys_of(cell.graph, "input"):
        rebuild(cell.graph, inside, keep=[leaf])
    for saving in savings:
        for new, old in saving.values:
            name = f"saved_{extra[saving.earlier][old]}"
            while f"input:{name}" in values:
                name += "_"
            stream = result(made[saving.earlier], "output", extra[saving.earlier][old], ("T", "B"))
            values[f"input:{name}"] = stream
            replace[new] = inside.leaf("input", node_of(cell.graph, new).shape, name=name)
    keep = [k for k, n in cell.graph.nodes(data="node") if n.op in (*SINKS, "state")]
    copied = rebuild(cell.graph, inside, keep=keep, replace=replace)
    for old, name in extra.get(key, {}).items():
        if name not in cell.outputs:
            inside.sink("output", copied[old] if old in copied else rebuild(cell.graph, inside, keep=[old])[old], name)
    inside.graph.graph["labels"] = {
        label: copied[k].key for label, k in cell.graph.graph["labels"].items() if k in copied
    }
    saved = Cell(inside.freeze(cell.name), cell.returns)
    return make(builder, saved, values, node.attr("sizes"), node.attr("reverse", False), node.attr("name"))
