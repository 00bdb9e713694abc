"""The catalogue of cells: a file a family; every cell of a family file is in ``catalogue`` by its name."""

import importlib
import pkgutil
from typing import Any

from lstmgraph.plugins import plugged, register
from lstmgraph.traced import Cell


def _collect() -> dict[str, Cell]:
    found: dict[str, Cell] = {}
    for module in pkgutil.iter_modules(__path__):
        family = importlib.import_module(f"{__name__}.{module.name}")
        for name, value in vars(family).items():
            if isinstance(value, Cell) and value.name == name:
                register(found, name, value, family.__name__)
    for name, value, owner in plugged("lstmgraph.cells"):
        register(found, name, value, owner)
    return found


catalogue: dict[str, Cell] = _collect()
globals().update(catalogue)


def __getattr__(name: str) -> Any:
    """Return a cell of the catalogue."""
    from lstmgraph.errors import nearest

    try:
        return catalogue[name]
    except KeyError:
        raise AttributeError(f"lg.cells has no cell {name!r}{nearest(name, list(catalogue))}") from None
