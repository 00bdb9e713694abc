"""The figure "cell": the inside of a cell, its conveyors straight lines on top."""

from collections.abc import Iterable
from typing import Any

from lstmgraph.visual.arranged import picture_of, scene_of
from lstmgraph.visual.captioned import with_equations
from lstmgraph.visual.dot import write_dot
from lstmgraph.visual.drawing import Drawing
from lstmgraph.visual.engine import LAYERED, PINNED
from lstmgraph.visual.layered import write_layered
from lstmgraph.visual.look import Look, highlighted
from lstmgraph.visual.records import Scene
from lstmgraph.visual.themes import theme_named
from lstmgraph.visual.wording import describe


def figure(
    cell: Any,
    *,
    theme: str = "classic",
    labels: str = "symbols",
    highlight: str | Iterable[str] | None = None,
    equations: bool | str = False,
) -> Drawing:
    """Draw a cell in the style of the well-known cell-state figure.

    Parameters
    ----------
    cell : Cell
        Any cell. One too large to be read so, such as the adjoint of a cell with layer norms, is placed by
        Graphviz from left to right.
    theme : str
        The colours.
    labels : str
        "symbols" (f with its subscript t) or "names" (forget).
    highlight : str or several, optional
        What stands out: a state, a gate, a layer or any node by name.
    equations : bool or str
        Write the cell's equations, in the figure's names: True or "below", or "beside".
    """
    colours = theme_named(theme)
    scene = scene_of(cell, "cell", labels)
    drawing = inside(scene, highlighted(colours, scene, highlight), scene.name)
    return with_equations(drawing, cell, scene, colours, equations)


def inside(scene: Scene, look: Look, title: str, description: str = "") -> Drawing:
    """Return the inside of a cell as a drawing, placed by us or, where it is too large, by Graphviz."""
    picture = picture_of(scene)
    text = description or describe(scene)
    if picture is None:
        return Drawing(write_layered(scene, look), LAYERED, title, text)
    return Drawing(write_dot(picture, look), PINNED, title, text)
