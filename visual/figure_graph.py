"""The figure "graph": every primitive op of a cell or network as a node, shapes on the wires."""

from typing import Any

from lstmgraph.errors import DrawingError
from lstmgraph.graph import LEAVES, Node, keys_of, node_of, operands
from lstmgraph.plugins import ops
from lstmgraph.visual.dot import quote
from lstmgraph.visual.drawing import Drawing
from lstmgraph.visual.engine import LAYERED
from lstmgraph.visual.names import number
from lstmgraph.visual.scene import graph_of
from lstmgraph.visual.style import ARROW, COLOURS, FONT, PEN, PLAIN_SIGNS, TEXT, WIRE

NOTE_FILL, NOTE_LINE, SHAPE_COLOUR = "#FFFFFF", "#B5B5B5", "#777777"
# leaf or sink -> kind of item whose colours it has
TERMINAL_COLOURS = {"input": "input", "state": "output", "next": "output", "output": "output", "sum": "sum"}


def figure(cell: Any, *, direction: str = "up") -> Drawing:
    """Draw every primitive op of a graph.

    Parameters
    ----------
    cell : Cell or Network
        What is drawn.
    direction : str
        Where values flow: "up", "down" or "right".
    """
    graph = graph_of(cell)
    rank = {"up": "BT", "down": "TB", "right": "LR"}.get(direction)
    if rank is None:
        raise DrawingError(f"draw: got direction {direction!r}, expected up, down or right")
    names = {key: f"{node_of(graph, key).op}.{place}" for place, key in enumerate(graph)}
    labels: dict[str, str] = {key: label for label, key in reversed(graph.graph.get("labels", {}).items())}
    lines = [
        f"digraph {quote(graph.graph.get('name') or 'graph')} {{",
        f'  graph [rankdir={rank} ranksep=0.4 nodesep=0.25 bgcolor=white fontname="{FONT}"];',
        f'  node [penwidth={PEN} fontname="{FONT}" fontcolor="{TEXT}" fontsize=12 style=filled '
        'margin="0.06,0.03" height=0.3 width=0.3];',
        f'  edge [penwidth=1 arrowsize={ARROW / 10:g} color="{WIRE}" fontname="{FONT}" fontsize=8 '
        f'fontcolor="{SHAPE_COLOUR}"];',
    ]
    for key, name in names.items():
        lines.append(f"  {quote(name)} [{_look(node_of(graph, key), labels.get(key, ''))} id={quote(name)}];")
    for key, name in names.items():
        for place, source in enumerate(operands(graph, key)):
            node = node_of(graph, source)
            style = " style=dashed" if node.op in ("parameter", "constant") else ""
            lines.append(
                f"  {quote(names[source])} -> {quote(name)} [label={quote(_shape(node))} class=wire "
                f"tooltip={quote(f'operand {place} of {name}')}{style}];"
            )
    lines += [
        f"  {{ rank=same; {' '.join(quote(names[k]) + ';' for k in keys_of(graph, 'input', 'state'))} }}",
        "}",
    ]
    return Drawing("\n".join(lines) + "\n", LAYERED)


def _shape(node: Node) -> str:
    return "×".join(str(dim) for dim in node.shape)


def _look(node: Node, label: str) -> str:
    """Return class, shape, colours, text and tooltip of a node; parameters and numbers are small notes."""
    tip = f"tooltip={quote(f'{node.op} {node.name or label} [{_shape(node)}]')}"
    if node.op in ("parameter", "constant"):
        text = node.name if node.op == "parameter" else number(node.attr("value"))
        return (
            f'class="{node.op}" shape=note fontsize=9 fillcolor="{NOTE_FILL}" color="{NOTE_LINE}" '
            f"label={quote(text)} {tip}"
        )
    if node.op in TERMINAL_COLOURS:
        fill, line = COLOURS[TERMINAL_COLOURS[node.op]]
        text = node.name if node.op in LEAVES else f"{node.op} {node.name}"
        return f'class="{node.op}" shape=ellipse fillcolor="{fill}" color="{line}" label={quote(text)} {tip}'
    definition = ops().get(node.op)
    glyph = definition.glyph if definition else None
    text = "".join(PLAIN_SIGNS.get(sign, sign) for sign in (glyph.text if glyph else "")) or node.op
    form = glyph.form if glyph else "box"
    fill, line = COLOURS["layer" if form in ("box", "layer") else "op"]
    shape = {"circle": "circle", "ellipse": "ellipse"}.get(form, "box")
    text = f"{text}\n{label}" if label else text
    return f'class="op" shape={shape} fillcolor="{fill}" color="{line}" label={quote(text)} {tip}'
