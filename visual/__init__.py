"""Figures of cells: from the graph to a scene, a placement, wires, DOT text, and a picture."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lstmgraph.visual.drawing import Figure, draw

__all__ = ["Figure", "draw"]


def __getattr__(name: str) -> Any:
    if name in __all__:
        from lstmgraph.visual import drawing

        return getattr(drawing, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
