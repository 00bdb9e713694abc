"""Small kernels of SIMD values, compiled as generated source is; other interpreters that find the same packages."""

import os
import subprocess
import sys
from functools import cache
from types import SimpleNamespace

import numpy as np
from numba import njit

from lstmgraph.jit import native, simd
from lstmgraph.jit.processor import host_width

SETTINGS = {"nogil": True, "error_model": "numpy"}

MAP = """
def kernel(buffers, n):
    x = floats(buffers, 0)
    y = floats(buffers, 1)
    i = 0
    while i + W <= n:
        store(y, i, function(load(x, i)))
        i += W
    if i < n:
        store_part(y, i, function(load_part(x, i, n - i)), n - i)
"""


def defined(source: str, names: SimpleNamespace, **more):
    """Return the function `kernel` of the source text, with these globals."""
    scope = {**vars(names), **more}
    exec(source, scope)
    return scope["kernel"]


def run_python(*arguments, cwd=None, **settings):
    """Run another interpreter that finds the same packages, with these environment variables."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), **settings}
    command = [sys.executable, *arguments]
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, check=False)


def addresses(*arrays):
    return np.array([array.ctypes.data for array in arrays], np.int64)


def compiled(kernel):
    """Compile a kernel; in place of the pointer to its buffers' addresses it takes their array."""
    inner = njit(**SETTINGS)(kernel)
    many = kernel.__code__.co_argcount - 1
    text = "def outer(buffers, {0}):\n    inner(words(buffers.ctypes.data), {0})\n"
    scope = {"inner": inner, "words": native.words}
    exec(text.format(", ".join(f"n{place}" for place in range(many))), scope)
    return njit(f"(int64[::1]{', int64' * many})", **SETTINGS)(scope["outer"])


@cache
def compiled_map(name, dtype):
    names = simd.vectors(dtype, host_width(dtype))
    kernel = compiled(defined(MAP, names, function=getattr(names, name)))

    def apply(values):
        values = np.ascontiguousarray(values, dtype)
        result = np.empty_like(values)
        kernel(addresses(values, result), len(values))
        return result

    return apply
