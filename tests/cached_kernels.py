"""Tiny kernels for the tests of the cache, and other processes that compile or load them."""

import ctypes
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

import lstmgraph
from lstmgraph.jit import cache

KIND = {"dtype": "float32", "width": 16}
HELPER = "def area(steps, rows):\n    return steps * rows\n"


def kernel(factor: int) -> str:
    return (
        "def kernel(addresses, sizes, t0, t1, row0, row1, number):\n"
        f"    sizes[number] = area(t1 - t0, row1 - row0) * {factor}\n"
    )


def compiled(factor: int) -> cache.Module:
    helper = cache.compile_module(HELPER, (), **KIND)
    return cache.compile_module(kernel(factor), ("kernel",), uses=(helper,), title=f"times {factor}", **KIND)


def value(module: cache.Module) -> int:
    sizes = np.zeros(3, np.int64)
    call(module.functions["kernel"], np.zeros(1, np.int64), sizes, 1, 4, 0, 5, 2)
    return int(sizes[2])


def call(kernel, *arguments) -> None:
    """Call a kernel; arrays by their addresses."""
    function = ctypes.CFUNCTYPE(None, *[ctypes.c_void_p] * 2, *[ctypes.c_int64] * 5)(kernel.address)
    function(*[array.ctypes.data for array in arguments[:2]], *arguments[2:])


PROGRAM = f"""
import json, os, sys
sys.path[:0] = [{str(Path(__file__).parent)!r}]
import cached_kernels
said = []
cached_kernels.cache.on_compile = said.append
values = [cached_kernels.value(cached_kernels.compiled(int(factor))) for factor in sys.argv[1:]]
print(json.dumps({{"values": values, "said": said, "numba": "numba" in sys.modules}}))
"""


def start(
    folder: Path, *arguments: object, program: str = PROGRAM, under: Sequence[str] = (), **variables: str
) -> "subprocess.Popen[str]":
    """Start another interpreter on a cache folder; `under` is a command that runs a command."""
    environment = os.environ | {"LSTMGRAPH_CACHE_DIR": str(folder), "PYTHONWARNINGS": "error"} | variables
    environment["PYTHONPATH"] = str(Path(lstmgraph.__file__).parents[1])
    command = [*under, sys.executable, "-c", program, *map(str, arguments)]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def result(process: "subprocess.Popen[str]") -> dict:
    output, errors = process.communicate(timeout=100)
    assert process.returncode == 0, errors
    assert errors == ""  # no terminal: nothing is said there
    return json.loads(output)


def entries(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if len(path.name) == 32)
