"""The figure "graph": every primitive op of a cell or network as a node, shapes on the wires."""

from collections.abc import Iterable
from typing import Any

import networkx as nx

from lstmgraph.errors import DrawingError, nearest
from lstmgraph.graph import LEAVES, Node, keys_of, node_of, operands
from lstmgraph.plugins import ops
from lstmgraph.visual.dot import plain_text, quote
from lstmgraph.visual.drawing import Drawing
from lstmgraph.visual.engine import LAYERED
from lstmgraph.visual.fixed import fixed_label, fixed_size
from lstmgraph.visual.layered import head, rank_of
from lstmgraph.visual.look import Look, Mark, Paint, listed, paint_kind, paint_wire
from lstmgraph.visual.names import number
from lstmgraph.visual.records import Pair
from lstmgraph.visual.scene import graph_of
from lstmgraph.visual.themes import theme_named

SMALL, LEAST = 9, 25  # the size of shapes on wires; the least width and height of a node, in points
# leaf or sink -> kind of item whose colours it has
KINDS = {"input": "input", "state": "output", "next": "output", "output": "output", "sum": "sum"}


def figure(
    cell: Any, *, direction: str = "up", theme: str = "classic", highlight: str | Iterable[str] | None = None
) -> Drawing:
    """Draw every primitive op of a graph.

    Parameters
    ----------
    cell : Cell or Network
        What is drawn.
    direction : str
        Where values flow: "up", "down", "right" or "left".
    theme : str
        The colours.
    highlight : str or several, optional
        What stands out: layers, states, inputs, outputs and parameters by name, ops by their keys in the DOT text.
    """
    graph, rank = graph_of(cell), rank_of(direction)
    title = str(graph.graph.get("name") or "graph")
    names = {key: f"{node_of(graph, key).op}.{place}" for place, key in enumerate(graph)}
    labels: dict[str, str] = {key: label for label, key in reversed(graph.graph.get("labels", {}).items())}
    look = _look(theme, graph, names, labels, highlight)
    lines = head(title, rank, look.theme, "ranksep=0.4 nodesep=0.25")
    for key, name in names.items():
        drawn = _node(look, name, node_of(graph, key), labels.get(key, ""), [names[s] for s in operands(graph, key)])
        lines.append(f"  {quote(name)} [id={quote(name)} {drawn}];")
    for key, name in names.items():
        for place, source in enumerate(operands(graph, key)):
            pair, node = (names[source], name), node_of(graph, source)
            paint = paint_wire(look, pair)
            style = " style=dashed" if node.op in ("parameter", "constant") else ""
            identity = quote(f"{pair[0]}_to_{name}")
            tip = f"operand {place} of {name}: {pair[0]} [{_shape(node)}]"
            lines.append(
                f"  {quote(pair[0])} -> {quote(name)} [label={fixed_label(_shape(node), SMALL)} id={identity} "
                f'class="wire" tooltip={quote(tip)} color="{paint.line}" fontcolor="{paint.text}" '
                f"penwidth={paint.pen - 0.3:g}{style}];"
            )
    first = " ".join(f"{quote(names[key])};" for key in keys_of(graph, "input", "state"))
    lines += [f"  {{ rank=same; {first} }}", "}"]
    text = f"Every primitive operation of {title}: {len(graph)} nodes, {graph.number_of_edges()} wires with shapes."
    return Drawing("\n".join(lines) + "\n", LAYERED, f"{title}: every operation", text)


def _look(
    theme: str,
    graph: nx.MultiDiGraph,
    names: dict[str, str],
    labels: dict[str, str],
    wanted: str | Iterable[str] | None,
) -> Look:
    """Return the look that shows what is named, with its operands and what reads it."""
    if wanted is None:
        return Look(theme_named(theme))
    marks: dict[str | Pair, Mark] = {}
    known = {key: {name, labels.get(key, ""), node_of(graph, key).name} - {""} for key, name in names.items()}
    for word in listed(wanted):
        found = [key for key, words in known.items() if word in words]
        if not found:
            every = [word for words in known.values() for word in sorted(words)]
            raise DrawingError(
                f"draw: {graph.graph.get('name')} has no node {word!r} to show, expected a layer, leaf, sink or op of "
                f"it{nearest(str(word), every)}"
            )
        for key in found:
            pairs = [(names[s], names[key]) for s in graph.pred[key]] + [
                (names[key], names[s]) for s in graph.succ[key]
            ]
            marks[names[key]] = "lit"
            marks.update(dict.fromkeys(pairs, "lit"))
            marks.update({end: "lit" for pair in pairs for end in pair})
    return Look(theme_named(theme), marks, "faded")


def _shape(node: Node) -> str:
    return "×".join(str(dim) for dim in node.shape)


def _node(look: Look, name: str, node: Node, label: str, sources: list[str]) -> str:
    """Return class, shape, colours, text and tooltip of a node; parameters and numbers are small notes."""
    what = " ".join(word for word in (f"{name}: {node.op}", node.name or label, f"[{_shape(node)}]") if word)
    equation = f"\n{name} = {node.op}({', '.join(sources)})" if sources else ""
    tip = f"tooltip={quote(what + equation)}"
    if node.op in ("parameter", "constant"):
        text = node.name if node.op == "parameter" else number(node.attr("value"))
        paint = paint_kind(look, name, "note")
        return f'class="{node.op}" shape=note fontsize=9 {_sized(text, 9)} {_colours(paint)} label={quote(text)} {tip}'
    if node.op in KINDS:
        text = node.name if node.op in LEAVES else f"{node.op} {node.name}"
        paint = paint_kind(look, name, KINDS[node.op])
        drawn = f"shape=ellipse fontsize=12 {_sized(text, 12)} {_colours(paint)}"
        return f'class="{node.op}" {drawn} label={quote(text)} {tip}'
    definition = ops().get(node.op)
    form = definition.glyph.form if definition else "box"
    paint = paint_kind(look, name, "layer" if form in ("box", "layer") else "op")
    shape = {"circle": "circle", "ellipse": "ellipse"}.get(form, "box")
    shape = "ellipse" if label and shape == "circle" else shape  # a circle around a name would be huge
    text = plain_text(definition.glyph.text if definition else "") or node.op
    text = f"{text}\n{label}" if label else text
    return f'class="op" shape={shape} fontsize=12 {_sized(text, 12)} {_colours(paint)} label={quote(text)} {tip}'


def _sized(text: str, size: float) -> str:
    """Return how large a node with a text is."""
    return fixed_size([(line, size) for line in text.split("\n")], (14, 10), LEAST)


def _colours(paint: Paint) -> str:
    return f'style=filled fillcolor="{paint.fill}" color="{paint.line}" fontcolor="{paint.text}"'
