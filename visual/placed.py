"""A DOT text whose nodes Graphviz would place, with a place for everything: for our own SVG writer."""

from dataclasses import replace
from itertools import pairwise
from math import hypot

from lstmgraph.visual.curves import Place
from lstmgraph.visual.dot_text import DotEdge, DotNode, DotText
from lstmgraph.visual.labels import Block, Type, lay_out
from lstmgraph.visual.ranks import RANKS, rank

INCH = 72.0
MARGIN, HEADING, STACKED = 12.0, 22.0, 34.0  # around the nodes of a cluster, for its label, between its nodes
ARROW, LOOP = 10.0, 26.0  # length of an arrowhead of size 1; how far a loop reaches aside
BEND = 0.4  # how far a curve goes straight on, of the way to the next point
Box = tuple[float, float, float, float]  # middle, half width and half height, in points, y upwards


def with_places(text: DotText) -> DotText:
    """Return a DOT text in which every node, edge and cluster has a place.

    A cluster is a box in which its nodes stand one after the other; wires between ranks are curves.
    """
    flow = _Flow(text.graph.get("rankdir", "TB"))
    sizes = {key: _size(node) for key, node in text.nodes.items()}
    members: dict[str, list[str]] = {}
    for key, node in text.nodes.items():
        members.setdefault(node.cluster, []).append(key)
    inner = {name: members[name] for name in text.clusters if name in members}
    units = {key: sizes[key] for key in members.get("", [])}
    units |= {name: _size_of_cluster(text, name, [sizes[key] for key in keys], flow) for name, keys in inner.items()}
    unit = {key: node.cluster if node.cluster in inner else key for key, node in text.nodes.items()}
    pairs = [(unit[edge.source], unit[edge.target]) for edge in text.edges if not _is_loop(edge)]
    labels = [_label(edge).width for edge in text.edges if not _is_loop(edge)]
    apart = max(RANKS, max(labels, default=0.0) + 2 * MARGIN) if flow.sideways else RANKS
    ranked = rank({key: flow.turned(*size) for key, size in units.items()}, pairs, apart)
    boxes: dict[str, Box] = {}
    for key, place in ranked.places.items():
        boxes[key] = (*flow.place(*place), units[key][0] / 2, units[key][1] / 2)
    for name, keys in inner.items():
        boxes |= _stacked(boxes[name], {key: sizes[key] for key in keys}, flow)
    found = DotText(text.name, text.graph)
    for key, node in text.nodes.items():
        found.nodes[key] = replace(node, attributes=node.attributes | _pinned(boxes[key]))
    found.clusters = {name: text.clusters[name] | _pinned(boxes[name]) for name in inner}
    for edge in text.edges:
        pair = unit[edge.source], unit[edge.target]
        if _is_loop(edge):
            curve = _loop(boxes[edge.source], boxes[edge.target], flow)
        else:
            between = [flow.place(*place) for place in ranked.ways.get(pair, ())]
            curve = _way(boxes, (edge.source, edge.target) if pair[0] == pair[1] else pair, between, flow)
        found.edges.append(_drawn(edge, curve, flow))
    return found


class _Flow:
    """The direction in which wires run: what is across and along it, as x and y."""

    def __init__(self, rankdir: str) -> None:
        self.sideways = rankdir in ("LR", "RL")
        self.sign = 1.0 if rankdir in ("LR", "BT") else -1.0

    def place(self, across: float, along: float) -> Place:
        """Return x and y."""
        return (self.sign * along, -across) if self.sideways else (across, self.sign * along)

    def turned(self, width: float, height: float) -> tuple[float, float]:
        """Return a size across and along."""
        return (height, width) if self.sideways else (width, height)

    def side(self, box: Box, ahead: bool) -> Place:
        """Return the middle of the side of a box at which wires leave, or enter."""
        x, y, half_width, half_height = box
        by = self.sign if ahead else -self.sign
        return (x + by * half_width, y) if self.sideways else (x, y + by * half_height)


def _size(node: DotNode) -> tuple[float, float]:
    said = node.attributes
    if "width" in said and "height" in said and said.get("fixedsize") == "true":
        return float(said["width"]) * INCH, float(said["height"]) * INCH
    block = lay_out(said.get("label", node.key), Type(float(said.get("fontsize", 14)), ""))
    return max(block.width + 16, 36.0), max(block.height + 10, 36.0)


def _size_of_cluster(text: DotText, name: str, sizes: list[tuple[float, float]], flow: _Flow) -> tuple[float, float]:
    widths, heights = [size[0] for size in sizes], [size[1] for size in sizes]
    apart = STACKED * (len(sizes) - 1)
    wide = sum(widths) + apart if flow.sideways else max(widths) + 2 * LOOP
    high = max(heights) if flow.sideways else sum(heights) + apart
    label = lay_out(text.clusters[name].get("label", ""), Type(float(text.clusters[name].get("fontsize", 14)), ""))
    return max(wide, label.width) + 2 * MARGIN, high + 2 * MARGIN + HEADING


def _stacked(around: Box, sizes: dict[str, tuple[float, float]], flow: _Flow) -> dict[str, Box]:
    """Return where the nodes of a cluster stand, one after the other in the direction of the wires."""
    x, y = around[0], around[1] - HEADING / 2
    whole = sum(size[0 if flow.sideways else 1] for size in sizes.values()) + STACKED * (len(sizes) - 1)
    at = -whole / 2
    found = {}
    for key, (width, height) in sizes.items():
        step = width if flow.sideways else height
        dx, dy = flow.place(0.0, at + step / 2)
        found[key] = (x + dx, y + dy, width / 2, height / 2)
        at += step + STACKED
    return found


def _pinned(box: Box) -> dict[str, str]:
    x, y, half_width, half_height = box
    return {
        "pos": f"{x:.2f},{y:.2f}!",
        "width": f"{2 * half_width / INCH:.4f}",
        "height": f"{2 * half_height / INCH:.4f}",
    }


# ---- edges


def _is_loop(edge: DotEdge) -> bool:
    return edge.source == edge.target or edge.attributes.get("constraint") == "false"


def _loop(source: Box, target: Box, flow: "_Flow") -> list[Place]:
    """Return a curve that leaves a box beside the flow and comes back to it, or to an earlier one."""
    if flow.sideways:
        apart = 0.0 if source[0] != target[0] else min(source[2], 8.0)
        start, end = (source[0] + apart, source[1] + source[3]), (target[0] - apart, target[1] + target[3])
        above = max(start[1], end[1]) + LOOP
        return [start, (start[0], above), (end[0], above), end]
    apart = 0.0 if source[1] != target[1] else min(source[3], 8.0)
    start, end = (source[0] + source[2], source[1] - apart), (target[0] + target[2], target[1] + apart)
    aside = max(start[0], end[0]) + LOOP
    return [start, (aside, start[1]), (aside, end[1]), end]


def _way(boxes: dict[str, Box], ends: tuple[str, str], way: list[Place], flow: _Flow) -> list[Place]:
    """Return a smooth curve from one box over these points to the other, as cubics."""
    points = [flow.side(boxes[ends[0]], ahead=True), *way, flow.side(boxes[ends[1]], ahead=False)]
    curve = [points[0]]
    for (x, y), (a, b) in pairwise(points):
        bend = (BEND * (a - x), 0.0) if flow.sideways else (0.0, BEND * (b - y))
        curve += [(x + bend[0], y + bend[1]), (a - bend[0], b - bend[1]), (a, b)]
    return curve


def _label(edge: DotEdge) -> Block:
    return lay_out(edge.attributes.get("label", ""), Type(float(edge.attributes.get("fontsize", 14)), ""))


def _drawn(edge: DotEdge, curve: list[Place], flow: "_Flow") -> DotEdge:
    """Return an edge with its curve, which ends where its arrowhead begins, and the place of its label."""
    said = dict(edge.attributes)
    (x, y), (a, b) = curve[-1], curve[-2]
    length = hypot(x - a, y - b) or 1.0
    back = min(ARROW * float(said.get("arrowsize", 1)), length) / length
    foot = x + (a - x) * back, y + (b - y) * back
    said["pos"] = f"e,{x:.2f},{y:.2f} " + " ".join(f"{x:.2f},{y:.2f}" for x, y in (*curve[:-1], foot))
    if said.get("label"):
        block = _label(edge)
        at = len(curve) // 6 * 3
        ends = curve[at : at + 4]
        middle = [
            sum(weight * point[side] for weight, point in zip((1, 3, 3, 1), ends, strict=True)) / 8 for side in (0, 1)
        ]
        aside = (0.0, block.height / 2 + 1) if flow.sideways else (block.width / 2 + 2, 0.0)
        said["lp"] = f"{middle[0] + aside[0]:.2f},{middle[1] + aside[1]:.2f}"
    return DotEdge(edge.source, edge.target, said)
