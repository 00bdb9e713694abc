"""A scene that is too large to be placed on lines: the same items, placed by Graphviz from left to right."""

from lstmgraph.visual.dot import item_look, quote
from lstmgraph.visual.records import Scene
from lstmgraph.visual.routing import conveyor_pairs
from lstmgraph.visual.style import ARROW, FONT, PEN, TEXT, WIRE

LARGE = 50  # items from which on a scene is drawn so


def write_flow(scene: Scene) -> str:
    """Return the DOT text of a scene without positions; its conveyors are as straight as Graphviz can."""
    straight = conveyor_pairs(scene)
    on_line = {key for pair in straight for key in pair}
    lines = [
        f"digraph {quote(scene.name)} {{",
        f'  graph [rankdir=LR ranksep=0.35 nodesep=0.2 bgcolor=white fontname="{FONT}"];',
        f'  node [penwidth={PEN} fontname="{FONT}" fontcolor="{TEXT}" margin=0.05 height=0.35 width=0.35];',
        f'  edge [penwidth={PEN} arrowsize={ARROW / 10:g} color="{WIRE}"];',
    ]
    for key, item in scene.items.items():
        kind = "state" if item.kind in ("old", "new") else item.kind
        words = f"conveyor {kind}" if key in on_line else kind
        name = f" xlabel={quote(item.name.base)}" if item.name and item.kind == "layer" else ""
        lines.append(f'  {quote(key)} [class="{words}" tooltip={quote(item.tooltip or key)} {item_look(item)}{name}];')
    for source, target in scene.wires:
        line = (source, target) in straight
        words = "class=conveyor weight=100" if line else "class=wire"
        lines.append(f"  {quote(source)} -> {quote(target)} [{words}];")
    return "\n".join([*lines, "}"]) + "\n"
