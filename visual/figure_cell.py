"""The figure "cell": the inside of a cell, its conveyors straight lines on top."""

from typing import Any

from lstmgraph.visual.dot import write_dot
from lstmgraph.visual.drawing import Drawing
from lstmgraph.visual.engine import LAYERED, PINNED
from lstmgraph.visual.flow import LARGE, write_flow
from lstmgraph.visual.polish import arrange
from lstmgraph.visual.scene import read_scene


def figure(cell: Any) -> Drawing:
    """Draw a cell in the style of the well-known cell-state figure.

    Parameters
    ----------
    cell : Cell
        Any cell. One of more than `LARGE` items, such as the adjoint of a cell with layer norms, is placed by
        Graphviz from left to right.
    """
    scene = read_scene(cell)
    if len(scene.items) > LARGE:
        return Drawing(write_flow(scene), LAYERED)
    return Drawing(write_dot(arrange(scene)), PINNED)
