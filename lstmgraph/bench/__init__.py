"""How fast: ours beside what a user would pick instead, in turn in one run, on this machine.

A module ``table_*.py`` is a table: its docstring's first line is the title, ``SIZES`` names the sizes it takes by
default (none: it has its own), and ``rows(request)`` yields its rows. A module ``peer_*.py`` is a library to compare
with; it imports that library when a row asks for it, and where it is missing the row says so.
"""

import importlib
import pkgutil
from types import ModuleType

USUAL = ("training", "forward", "step")
_PREFIX = "table_"


def tables() -> list[str]:
    """Return the names of the tables, the usual ones first."""
    found = [module.name for module in pkgutil.iter_modules(__path__) if module.name.startswith(_PREFIX)]
    return [*USUAL, *sorted({name.removeprefix(_PREFIX) for name in found} - set(USUAL))]


def table(name: str) -> ModuleType:
    """Return the module of a table."""
    return importlib.import_module(f"{__name__}.{_PREFIX}{name}")
