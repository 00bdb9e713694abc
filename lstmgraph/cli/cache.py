"""Show what is kept of compiled code, or delete it."""

import argparse
import sys
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lstmgraph.jit.store import Entry

_DAY = 24 * 3600.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("action", nargs="?", choices=["clear"], help="clear: delete the entries, and nothing else")


def run(arguments: argparse.Namespace) -> int:
    """Print the folder and its entries by title, or delete them."""
    from lstmgraph.jit.cache import cache_entries, cache_report, clear_cache

    if arguments.action == "clear":
        gone, left = clear_cache(), cache_report()
        print(f"{gone.folder}: {gone.entries} entries deleted, {gone.bytes / 1e6:.1f} MB")
        if left.entries:
            print(
                f"lstmgraph: {left.folder}: {left.entries} entries cannot be deleted, expected a folder that this user "
                "may write; delete them as their owner",
                file=sys.stderr,
            )
        return 1 if left.entries else 0
    found = cache_report()
    print(f"{found.folder}: {found.entries} entries, {found.bytes / 1e6:.1f} MB")
    for title, entries in by_title(cache_entries()).items():
        size = sum(entry.bytes for entry in entries) / 1e6
        days = (time.time() - max(entry.used for entry in entries)) / _DAY
        print(f"  {len(entries):5}  {size:8.2f} MB  {_ago(days):12}  {title}")
    return 0


def by_title(entries: Sequence["Entry"]) -> dict[str, list["Entry"]]:
    """Return entries by what was compiled, what has the most of them first."""
    found: dict[str, list[Entry]] = {}
    for entry in entries:
        found.setdefault(entry.title, []).append(entry)
    return dict(sorted(found.items(), key=lambda pair: (-len(pair[1]), pair[0])))


def _ago(days: float) -> str:
    return "used today" if days < 1 else f"{days:.0f} days ago"
