"""Say what a bug report needs: versions, vector width, threads, cache folder, drawing engine."""

import argparse
import os
import platform
import shutil
from collections.abc import Callable

from lstmgraph.bench.machine import processor, version_of

_PACKAGES = (
    "lstmgraph",
    "numpy",
    "networkx",
    "numba",
    "llvmlite",
    "graphviz",
    "graphviz-pure",
    "safetensors",
    "tqdm",
)
_VARIABLES = ("LSTMGRAPH_CACHE_DIR", "LSTMGRAPH_THREADS", "LSTMGRAPH_JIT")
_TITLES = 8  # of what is cached


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments: none."""


def run(arguments: argparse.Namespace) -> int:
    """Print one fact a line; a part that is broken says how, and the others still speak."""
    facts: list[tuple[str, Callable[[], str]]] = [
        ("system", platform.platform),
        ("python", lambda: f"{platform.python_version()} ({platform.python_implementation()})"),
        *((name, lambda name=name: version_of(name)) for name in _PACKAGES),
        ("processor", processor),
        ("vector width", _width),
        ("threads", _threads),
        ("cache", _cache),
        ("cached", _cached),
        ("drawing engine", _engine),
        *((name, lambda name=name: os.environ.get(name, "not set")) for name in _VARIABLES),
    ]
    width = max(len(name) for name, _ in facts)
    for name, fact in facts:
        print(f"{name:<{width}}  {_told(fact)}")
    return 0


def _told(fact: Callable[[], str]) -> str:
    try:
        return fact()
    except Exception as error:  # whatever is broken is what the user wants to see
        return f"broken: {type(error).__name__}: {' '.join(str(error).split())}"


def _width() -> str:
    from lstmgraph.jit.processor import cpu_name, host_width

    width = f"{host_width('float32')} float32, {host_width('float64')} float64 (CPU as Numba knows it: {cpu_name()})"
    return width if host_width("float32") > 1 else f"{width}; scalar code, for Numba knows no vectors of this CPU"


def _threads() -> str:
    from lstmgraph.settings import thread_count, thread_limits

    limits = ", ".join(f"{name} {limit}" for name, limit in thread_limits().items())
    return f"{thread_count()}, the least of: {limits}"


def _cache() -> str:
    from lstmgraph.jit.cache import cache_report

    found = cache_report()
    return f"{found.folder}: {found.entries} entries, {found.bytes / 1e6:.1f} MB"


def _cached() -> str:
    from lstmgraph.cli.cache import by_title
    from lstmgraph.jit.cache import cache_entries

    found = by_title(cache_entries())
    most = [f"{len(entries)} {title}" for title, entries in list(found.items())[:_TITLES]]
    more = f" and {len(found) - _TITLES} other titles; see `lstmgraph cache`" if len(found) > _TITLES else ""
    return (", ".join(most) or "nothing") + more


def _engine() -> str:
    from lstmgraph.visual import engine

    places = {
        engine.BUNDLED: f"{version_of(engine.BUNDLED)} {engine.bundled() or ''}".strip(),
        engine.SYSTEM: shutil.which("dot") or "not found",
        engine.IN_PROCESS: version_of(engine.IN_PROCESS),
    }
    return "the first of these that is there: " + ", ".join(f"{name} ({place})" for name, place in places.items())
