"""The registry: ops, cells and figures, those of lstmgraph and those of other installed packages.

An op is a module of `lstmgraph.ops` (or an entry point of the group ``lstmgraph.ops``) whose ``op`` is an
`lstmgraph.ops.contract.Op`. Adding one is adding a file.
"""

import importlib
import pkgutil
import warnings
from collections.abc import Iterator
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import TYPE_CHECKING, Any

from lstmgraph.errors import GraphError, nearest

if TYPE_CHECKING:
    from lstmgraph.ops.contract import Op


@cache
def ops() -> "dict[str, Op]":
    """Return every op by name."""
    import lstmgraph.ops as package
    from lstmgraph.ops.contract import Op

    found: dict[str, Op] = {}
    for module in pkgutil.iter_modules(package.__path__):
        definition = getattr(importlib.import_module(f"lstmgraph.ops.{module.name}"), "op", None)
        if isinstance(definition, Op):
            register(found, definition.name, definition, f"lstmgraph.ops.{module.name}")
    for name, definition, owner in plugged("lstmgraph.ops"):
        if isinstance(definition, Op):
            register(found, definition.name, definition, owner)
        else:
            warnings.warn(f"{owner}: entry point {name!r} of lstmgraph.ops is no Op; it is left out", stacklevel=2)
    return found


def op(name: str) -> "Op":
    """Return one op.

    Raises
    ------
    GraphError
        If no op has this name.
    """
    try:
        return ops()[name]
    except KeyError:
        raise GraphError(f"unknown op {name!r}, expected one of lstmgraph.ops{nearest(name, list(ops()))}") from None


def register(table: dict[str, Any], name: str, value: Any, owner: str) -> None:
    """Enter a value under its name; a second one of that name is an error."""
    if name in table:
        raise GraphError(f"{owner}: {name!r} is registered already; give it another name")
    table[name] = value


def plugged(group: str) -> Iterator[tuple[str, Any, str]]:
    """Yield (name, object, distribution) of the entry points of a group; a broken one is a warning."""
    for point in sorted(entry_points(group=group), key=lambda p: (p.name, p.value)):
        owner = _owner(point)
        try:
            yield point.name, point.load(), owner
        except Exception as error:  # another package's import may raise anything
            warnings.warn(f"{owner}: entry point {point.name!r} of {group} is broken: {error}", stacklevel=2)


def _owner(point: EntryPoint) -> str:
    return point.dist.name if point.dist is not None else point.value
