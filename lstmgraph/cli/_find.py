"""Cells by the names that the command line takes."""

import importlib
import sys
from typing import Any

from lstmgraph.errors import GraphError, nearest


def find_cell(name: str) -> Any:
    """Return a cell of the catalogue, or ``module:name`` of one's own.

    Raises
    ------
    GraphError
        If there is no such cell; the message names the nearest ones.
    """
    from lstmgraph.cells import catalogue
    from lstmgraph.traced import Cell

    module, colon, attribute = name.partition(":")
    if not colon:
        if name not in catalogue:
            raise GraphError(
                f"cell: got {name!r}, expected one that `lstmgraph cells` lists"
                f"{nearest(name, list(catalogue))}, or module:name of one's own"
            )
        return catalogue[name]
    if "" not in sys.path:
        sys.path.insert(0, "")  # the folder one stands in, as with python -m
    try:
        found = importlib.import_module(module)
    except Exception as error:  # another's module may raise anything
        raise GraphError(
            f"cell {name}: module {module} cannot be imported ({type(error).__name__}: {error})"
        ) from error
    if not isinstance(getattr(found, attribute, None), Cell):
        known = [key for key, value in vars(found).items() if isinstance(value, Cell)]
        raise GraphError(
            f"cell {name}: {module} has no cell {attribute!r}, expected one of "
            f"{', '.join(known) or 'its own'}; make one with @lg.cell"
        )
    return getattr(found, attribute)
