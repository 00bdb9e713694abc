"""What a figure says in words: the tooltips of items and wires with their equations, and the description of a scene."""

from collections.abc import Collection, Mapping

from lstmgraph.graph import operands
from lstmgraph.visual.layers import Group, Reading
from lstmgraph.visual.names import number
from lstmgraph.visual.records import Item, Pair, Scene

LONGEST = 160  # letters of an equation in a tooltip
SUM, PRODUCT, WHOLE = 1, 2, 3  # how tightly a text holds together
SUMS = ("+", "−")


def shape_text(shape: Collection[object]) -> str:
    """Return a shape in brackets."""
    return f"[{', '.join(str(dim) for dim in shape)}]"


def tooltip(reading: Reading, key: str, item: Item, group: Group | None, words: Mapping[str, str]) -> str:
    """Return the text of an item that computes something: what it is, its shape, its equation.

    Parameters
    ----------
    reading : Reading
        The graph.
    key : str
        The node whose value leaves the item.
    item : Item
        The item.
    group : Group, optional
        The nodes that it stands for, if there are several.
    words : mapping
        Node -> what the item that shows it is called.
    """
    what = f"{item.kind} {group.text}" if group else reading.node(key).op
    own = words.get(key, item.key)
    inside = {other: word for other, word in words.items() if other != key}
    equation, _ = _expression(reading, key, inside)
    if len(equation) > LONGEST and group:
        equation = f"{group.text} of {', '.join(inside.get(reading.resolve(key), key) for key in group.sources)}"
    equation = equation if len(equation) <= LONGEST else equation[: LONGEST - 1] + "…"
    return f"{item.key}: {what} {item.shape}\n{own} = {equation}"


def wire_text(scene: Scene, pair: Pair) -> str:
    """Return the text of a wire: the value that it carries, its shape, where it goes."""
    source, target = (scene.items[key] for key in pair)
    return f"{called(source)} {source.shape} to {called(target)}".replace("  ", " ")


def called(item: Item) -> str:
    """Return what an item is called in a line of text."""
    return item.name.plain if item.name else item.key


def describe(scene: Scene) -> str:
    """Return a scene in sentences, for those who do not see the figure."""

    def listed(keys: list[str]) -> str:
        return ", ".join(called(scene.items[key]) for key in keys)

    parts = [f"The inside of {scene.name}."]
    for word, kinds in (("Inputs", "input"), ("Outputs", "output")):
        keys = [key for key, item in scene.items.items() if item.kind == kinds]
        if keys:
            parts.append(f"{word}: {listed(keys)}.")
    for state in scene.states:
        path = scene.conveyors.get(state.name)
        old, new = called(scene.items[state.old]), called(scene.items[state.new])
        if path is None:
            parts.append(f"State {old} enters at the left, {new} leaves at the right.")
        else:
            ops = ", ".join(scene.items[key].text for key in path) or "nothing on its way"
            parts.append(f"State {old} runs straight through to {new}, by {ops}.")
    layers = [f"{called(scene.items[key])} ({scene.items[key].text})" for key in scene.of_kind("layer")]
    if layers:
        parts.append(f"Layers: {', '.join(layers)}.")
    return " ".join(parts)


def _expression(reading: Reading, key: str, words: Mapping[str, str]) -> tuple[str, int]:
    """Return a value as text, and how tightly it holds together; values that have items are called by name."""
    if key in words:
        return words[key], WHOLE
    node, glyph, kind = reading.node(key), reading.glyph(key), reading.kind(key)
    if node.op == "constant":
        return number(node.attr("value")), WHOLE
    if not kind:
        return node.name or node.op, WHOLE
    parts = [_expression(reading, source, words) for source in operands(reading.graph, key)]
    if glyph.form == "none" and len(parts) == 1:
        return parts[0]
    if kind == "matmul" and len(parts) == 2:
        return f"{_held(parts[0], PRODUCT)} @ {_held(parts[1], WHOLE)}", PRODUCT
    if kind == "pointwise" and glyph.form == "circle" and len(parts) == 2:
        level = SUM if glyph.text in SUMS else PRODUCT
        return f"{_held(parts[0], level)} {glyph.text} {_held(parts[1], level + (glyph.text != '+'))}", level
    if not parts:
        return glyph.text or node.op, WHOLE
    if "·" in glyph.text:
        return glyph.text.replace("·", parts[0][0]), WHOLE
    if glyph.text == "−":
        return f"−{_held(parts[0], WHOLE)}", SUM
    texts = ", ".join(text for text, _ in parts)
    if kind == "join":
        return f"[{texts}]", WHOLE
    return f"{glyph.text if kind == 'pointwise' else node.op}({texts})", WHOLE


def _held(part: tuple[str, int], level: int) -> str:
    text, own = part
    return text if own >= level else f"({text})"
