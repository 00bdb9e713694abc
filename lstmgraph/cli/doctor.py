"""Say what a bug report needs: versions, vector width, threads, cache folder, drawing engine."""

import argparse
import os
import platform
import shutil
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

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


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments: none."""


def run(arguments: argparse.Namespace) -> int:
    """Print one fact a line; a part that is broken says how, and the others still speak."""
    facts: list[tuple[str, Callable[[], str]]] = [
        ("system", platform.platform),
        ("python", lambda: f"{platform.python_version()} ({platform.python_implementation()})"),
        *((name, lambda name=name: _version(name)) for name in _PACKAGES),
        ("processor", _processor),
        ("vector width", _width),
        ("threads", _threads),
        ("cache", _cache),
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


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
        name = next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        name = platform.processor() or platform.machine()
    return f"{name}, {os.cpu_count()} cores"


def _width() -> str:
    from lstmgraph.jit.simd import host_width

    return f"{host_width('float32')} float32, {host_width('float64')} float64"


def _threads() -> str:
    from lstmgraph.settings import thread_count

    return str(thread_count())


def _cache() -> str:
    from lstmgraph.jit.cache import cache_report

    found = cache_report()
    return f"{found.folder}: {found.entries} entries, {found.bytes / 1e6:.1f} MB"


def _engine() -> str:
    dot = shutil.which("dot")
    return f"graphviz-pure {_version('graphviz-pure')}; dot: {dot or 'not found (only needed for PDF)'}"
