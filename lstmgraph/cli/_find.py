"""Cells by the names that the command line takes."""

import importlib
import sys
from typing import Any

from lstmgraph.errors import GraphError, nearest


def find_cell(name: str, *, networks: bool = False) -> Any:
    """Return a cell of the catalogue, or ``module:name`` of one's own; that may be a network where networks are wanted.

    Raises
    ------
    GraphError
        If there is no such cell; the message names the nearest ones.
    """
    from lstmgraph.cells import catalogue
    from lstmgraph.traced import Cell, Network

    wanted: tuple[type, ...] = (Cell, Network) if networks else (Cell,)
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
    if not isinstance(getattr(found, attribute, None), wanted):
        known = [key for key, value in vars(found).items() if isinstance(value, wanted)]
        raise GraphError(
            f"cell {name}: {module} has no cell {attribute!r}, expected one of "
            f"{', '.join(known) or 'its own'}{nearest(attribute, known)}; make one with @lg.cell"
        )
    return getattr(found, attribute)
