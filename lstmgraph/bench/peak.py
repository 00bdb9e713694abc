"""The machine's peak: the matmul's register tile over operands that stay in the first cache, on all threads at once."""

import time

import numpy as np

from lstmgraph.jit.cache import compile_module
from lstmgraph.jit.executor import Context, Executor
from lstmgraph.jit.fit import Fit
from lstmgraph.jit.frame import Binding, Entry
from lstmgraph.jit.machine import host
from lstmgraph.jit.rows import NO_ROWS
from lstmgraph.jit.tape import Tape
from lstmgraph.jit.tile import tile_name, tile_text

K = 64  # columns of A: all operands are less than 32 KiB
TIMES = 20_000  # tiles a run
RUNS = 50  # half a second in all: clocks need time to settle, and other work to get out of the way
KERNEL = '''
def peak(buffers, sizes, t0, t1, b0, b1, slot):
    """Multiply the same small matrices again and again."""
    a = floats(buffers, 0)
    b = floats(buffers, 1)
    c = floats(buffers, 2)
    zero = np.int64(0)
    one = np.int64(1)
    K = sizes[0]
    for t in range(t0, t1):
        TILE(a, zero, K, one, b, zero, c, zero, sizes[1], K, t, zero)
'''


def peak_flops(thread_count: int, dtype: str = "float32") -> float | None:
    """Return the floating-point operations a second of fused multiply-adds; None if kernels are not compiled.

    The best of several runs: what the machine can do, where medians say what it does.
    """
    target = host(dtype)
    if not target.compiled:
        return None
    rows, vectors = target.rows, target.vectors
    source = tile_text(rows, vectors) + "\n\n" + KERNEL.replace("TILE", tile_name(rows, vectors)).strip("\n") + "\n"
    module = compile_module(source, ("peak",), dtype=dtype, width=target.width, title="the measure of the peak")
    columns = vectors * target.width
    sizes = np.array([K, columns], np.int64)
    shapes = ((rows, K), (K, columns), (rows, columns))
    tape = Tape(Executor(target, thread_count), NO_ROWS.extent, {})
    entries = [
        Entry(module.functions["peak"], tuple(tape.constant(np.full(shape, 1e-3, dtype)) for shape in shapes), sizes)
        for _ in range(thread_count)
    ]
    work = 2.0 * rows * columns * K * TIMES * thread_count
    tape.launch(entries, [[[(thread, 0, TIMES, 0, 1, 0)] for thread in range(thread_count)]], work)
    tape.finish([])
    fit = Fit(tape, NO_ROWS, {})
    context = Context(NO_ROWS, {}, Binding({}))
    seconds = []
    for _ in range(RUNS):
        begin = time.perf_counter()
        fit.play(context)
        seconds.append(time.perf_counter() - begin)
    return work / min(seconds)
