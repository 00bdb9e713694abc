"""A cell's picture, placed and routed once: other themes and marks of the same cell share it."""

from collections import OrderedDict
from threading import Lock
from typing import Any

from lstmgraph.errors import DrawingError
from lstmgraph.visual.names import SYMBOLS
from lstmgraph.visual.polish import arrange
from lstmgraph.visual.records import Picture, Scene
from lstmgraph.visual.scene import has_recur, read_scene

KEPT = 64  # pictures
LARGE = 70  # a scene of more items is too large to be read on lines
TANGLED = 27  # so is one with so many more wires than items, as the adjoint of an LSTM: most wires would cross
_pictures: "OrderedDict[str, Picture]" = OrderedDict()  # the scene as text -> its picture
_LOCK = Lock()


def scene_of(cell: Any, figure: str, labels: str = SYMBOLS) -> Scene:
    """Return the scene of a cell, or raise a DrawingError that says what a figure kind shows."""
    traced = getattr(cell, "traced", cell)
    if has_recur(traced):
        raise DrawingError(
            f"draw: {traced.name} is a network, expected a cell for figure {figure!r}; draw one of its cells, "
            "or take figure='network'"
        )
    return read_scene(traced, labels)


def fits(scene: Scene) -> bool:
    """Whether a scene is placed on lines; Graphviz places one that is too large or too tangled."""
    return len(scene.items) <= LARGE and len(scene.wires) - len(scene.items) <= TANGLED


def picture_of(scene: Scene) -> Picture | None:
    """Return the picture of a scene; None for one that is too large or too tangled to be placed on lines."""
    if not fits(scene):
        return None
    key = repr(scene)
    with _LOCK:
        if key in _pictures:
            _pictures.move_to_end(key)
            return _pictures[key]
    picture = arrange(scene)
    with _LOCK:
        _pictures[key] = picture
        if len(_pictures) > KEPT:
            _pictures.popitem(last=False)
    return picture
