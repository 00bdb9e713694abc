"""The figure "network": embeddings, cells run over time and layers, from the inputs to the outputs."""

import html
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from lstmgraph.errors import DrawingError
from lstmgraph.graph import named
from lstmgraph.visual.dot import POINTS_PER_INCH, item_look, plain_text, quote
from lstmgraph.visual.drawing import Drawing
from lstmgraph.visual.engine import LAYERED
from lstmgraph.visual.fixed import fixed_label, fixed_size
from lstmgraph.visual.layered import head, rank_of
from lstmgraph.visual.look import Look, highlighted, paint_item, paint_kind, paint_wire
from lstmgraph.visual.records import Item, Name, Scene
from lstmgraph.visual.scene import graph_of, has_recur, read_scene
from lstmgraph.visual.sizes import size_of
from lstmgraph.visual.style import UNIT
from lstmgraph.visual.themes import theme_named
from lstmgraph.visual.wording import wire_text

BIG, SMALL, NOTE = 14, 11, 9  # sizes of names, of what they are, of shapes on wires
AROUND = (22, 10)  # points that a box is wider and higher than its text


def figure(
    network: Any,
    *,
    direction: str = "up",
    theme: str = "classic",
    highlight: str | Iterable[str] | None = None,
) -> Drawing:
    """Draw a network: each cell that it runs is a box whose states come back to it, an arrow says which way it runs.

    Parameters
    ----------
    network : Network
        What is drawn.
    direction : str
        Where values flow: "up", "down", "right" or "left".
    theme : str
        The colours.
    highlight : str or several, optional
        What stands out: inputs, outputs, cells and layers by name.
    """
    colours, rank = theme_named(theme), rank_of(direction)
    traced = getattr(network, "traced", network)
    graph_of(traced)
    if not has_recur(traced):
        raise DrawingError(
            f"draw: {traced.name} is a cell, expected a network for figure 'network'; take figure='cell'"
        )
    scene = _with_dropouts(_without_states(read_scene(traced, "names")), traced)
    look = highlighted(colours, scene, highlight)
    lines = head(scene.name, rank, colours, "ranksep=0.45 nodesep=0.5")
    names = _labels(traced, scene)
    for key, item in scene.items.items():
        lines.append(
            f'  {quote(key)} [id={quote(f"{scene.name}.{key}")} class="{item.kind}" '
            f"tooltip={quote(item.tooltip or key)} {_looks(item, names.get(key, ''), look)}];"
        )
    for pair in scene.wires:
        paint, source = paint_wire(look, pair), scene.items[pair[0]]
        lines.append(
            f"  {quote(pair[0])} -> {quote(pair[1])} [id={quote(f'{scene.name}.{pair[0]}_to_{pair[1]}')} "
            f'class="wire" tooltip={quote(wire_text(scene, pair))} label={fixed_label(source.shape, NOTE)} '
            f'fontcolor="{paint.text}" color="{paint.line}" penwidth={paint.pen:g}];'
        )
    for key, states in _states(scene, traced).items():
        paint = paint_wire(look, key)
        lines.append(
            f'  {quote(key)} -> {quote(key)} [id={quote(f"{scene.name}.{key}_states")} class="state" '
            f"tooltip={quote(f'states of {key}: {states}')} label={fixed_label(states, NOTE)} "
            f'fontcolor="{paint.text}" color="{paint.line}" penwidth={paint.pen:g}];'
        )
    made = "\n".join([*lines, "}"]) + "\n"
    return Drawing(made, LAYERED, f"{scene.name}, a network", _text(scene))


def _without_states(scene: Scene) -> Scene:
    """Return the scene without what enters and leaves as states, which come back to their cell, and without times."""
    items = {
        key: replace(item, name=item.name and Name(item.name.base))
        for key, item in scene.items.items()
        if item.kind not in ("old", "new")
    }
    return Scene(scene.name, items, tuple(pair for pair in scene.wires if set(pair) <= items.keys()), (), {})


def _with_dropouts(scene: Scene, network: Any) -> Scene:
    """Return the scene in which a product with a random mask is a dropout: the mask is no input that one gives."""
    masks = [f"input:{node.name}" for _, node in network.graph.nodes(data="node") if node.attr("mask")]
    items = {key: item for key, item in scene.items.items() if key not in masks}
    for mask in masks:
        for key in scene.targets(mask):
            items[key] = replace(items[key], form="ellipse", text="dropout")
    return Scene(scene.name, items, tuple(pair for pair in scene.wires if pair[0] not in masks), (), {})


def _labels(network: Any, scene: Scene) -> dict[str, str]:
    """Return item -> the name of what has one in the network but none in a cell's figure: embeddings."""
    labels = {key: label for label, key in reversed(network.graph.graph.get("labels", {}).items())}
    numbers: dict[str, int] = {}
    found = {}
    for key, node in network.graph.nodes(data="node"):
        numbers[node.op] = numbers.get(node.op, 0) + 1
        if key in labels and f"{node.op}.{numbers[node.op]}" in scene.items:
            found[f"{node.op}.{numbers[node.op]}"] = labels[key]
    return found | {key: item.name.base for key, item in scene.items.items() if item.name}


def _looks(item: Item, name: str, look: Look) -> str:
    """Return shape, colours and text of an item: its name, and below it what it is; an embedding is a layer too."""
    learned = name and item.kind == "op" and item.form == "box"
    paint = paint_kind(look, item.key, "layer") if learned else paint_item(look, item)
    if item.kind not in ("cell", "layer") and not (name and item.form == "box"):
        wide, high = (2 * half * UNIT / POINTS_PER_INCH for half in size_of(item, 0))
        return f"fixedsize=true width={wide:.4f} height={high:.4f} {item_look(item, paint)}"
    big, small = (
        f'<FONT POINT-SIZE="{size}" COLOR="{paint.text}">{html.escape(plain_text(text))}</FONT>'
        for text, size in ((name or item.text, BIG), (item.text if name else "", SMALL))
    )
    style = "rounded,filled" if item.kind == "cell" else "filled"
    size = fixed_size([(name or item.text, BIG), (item.text if name else "", SMALL)], AROUND)
    return (
        f'shape=box style="{style}" {size} fillcolor="{paint.fill}" color="{paint.line}" '
        f"penwidth={paint.pen:g} label=<{big}<BR/>{small}>"
    )


def _states(scene: Scene, network: Any) -> dict[str, str]:
    """Return the states of each cell in one line."""
    found = {}
    states = named(graph_of(network), "state")
    for key, item in scene.items.items():
        if item.kind == "cell" and item.name is not None:
            start = f"{item.name.base}."
            found[key] = ", ".join(name.removeprefix(start) for name in states if name.startswith(start))
    return {key: states for key, states in found.items() if states}


def _text(scene: Scene) -> str:
    parts = [f"The network {scene.name}, from its inputs to its outputs:"]
    for key, item in scene.items.items():
        sources = " and ".join(scene.sources(key))
        parts.append(f"{item.tooltip}{f', from {sources}' if sources else ''};".replace("\n", ", "))
    return " ".join(parts)
