"""One generator for every register: AVX-512, AVX2, SSE2, NEON and none, in processes whose CPU is forced down."""

import functools
import os
import platform
import re
import subprocess
import sys

import numpy as np
import pytest
from numba.core import codegen
from simd_kernels import compiled

import lstmgraph as lg
from lstmgraph.jit import simd
from lstmgraph.jit.cache import compile_module
from lstmgraph.jit.machine import host, machine
from lstmgraph.jit.processor import host_width
from lstmgraph.jit.tile import product_name, tiles_source
from lstmgraph.testing import TOLERANCE, meaning, random_feeds, results

X86 = platform.machine() in ("x86_64", "AMD64")
AVX2 = "+avx,+avx2,+fma,+sse2,+sse4.2,+popcnt,+64bit"
# what Numba is told -> lanes of float32; the machine of the tests itself is one more
FORCED = {
    "avx2": ({"NUMBA_CPU_NAME": "haswell", "NUMBA_CPU_FEATURES": AVX2}, 8, "float32"),
    "sse2": ({"NUMBA_CPU_NAME": "x86-64", "NUMBA_CPU_FEATURES": "+sse2,+64bit"}, 4, "float32"),
    "unknown": ({"NUMBA_CPU_NAME": "generic"}, 1, "float64"),
}


@lg.cell
def everything(x, h, g):
    """Products at two levels, a state of another size, reductions of a row, comparisons, pointwise functions."""
    pace = lg.cumax(lg.linear(h, x, name="pace")) * lg.sigmoid(lg.row_max(g))
    g = lg.tanh_layer(g=g, h=pace * h, name="low", size="P")
    h = lg.minimum((1 - pace) * h + lg.linear(g, name="high"), lg.log(2 + lg.exp(lg.row_sum(x))))
    return {"y": lg.sqrt(1 + h * h), "h": h, "g": g}


@lg.network
def tagger(tokens):
    """A table, the cell backwards in time, a head."""
    x = lg.embedding(tokens, 5, "E", name="embed")
    return lg.linear(lg.recur(everything, x, size="H", P="P", name="cell", reverse=True), size=2, name="head")


SIZES = {"hidden_size": 21, "E": 9, "P": 18}  # whole registers and parts of one, whatever their width


def check_kernels(dtype):
    """Compare kernels of every kind with the NumPy meaning, forward and backward, rows of different lengths too."""
    program = lg.compile(tagger, dtype=dtype, **SIZES)
    for form in ("plain", "lengths"):
        feeds = random_feeds(program, 3, 7, 0, form)
        expected, got = meaning(program, feeds), results(program, feeds)
        assert got.keys() == expected.keys()
        for name, value in expected.items():
            np.testing.assert_allclose(got[name], value, TOLERANCE[dtype], TOLERANCE[dtype], err_msg=name)


def run_here(code, **told):
    """Run code in another process with this file as `t`, and return what it printed."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([os.path.dirname(__file__), *sys.path]), **told}
    command = [sys.executable, "-c", f"import test_vector_widths as t; {code}"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return done.stdout


@functools.cache
def process(name):
    """Return what came of the checks in a process with that CPU."""
    told, _, dtype = FORCED[name]
    return run_here(f"t.check_kernels({dtype!r}); print(t.host('float32').width, t.bits())", **told).split()


def skip_if_missing(name):
    told, _, _ = FORCED[name]
    wanted = {f.strip("+") for f in told.get("NUMBA_CPU_FEATURES", "").split(",")} - {""}
    if wanted and not (X86 and all(f"+{f}" in codegen.get_host_cpu_features().split(",") for f in wanted)):
        pytest.skip("this CPU cannot run that code")


@pytest.mark.parametrize("name", FORCED)
def test_kernels_for_a_cpu_that_is_forced_down(name):
    skip_if_missing(name)
    assert int(process(name)[0]) == FORCED[name][1]


def bits():
    """Return the bits of values whose rounding no CPU may change: sums in the order that the source says."""
    v = simd.vectors("float64", 4)
    scope = {**vars(v)}
    exec("def kernel(b, n):\n    store(floats(b, 1), 0, fill(total(load(floats(b, 0), 0))))\n", scope)
    x, y = np.array([1e16, 3.0, -1e16, 1e-3]), np.zeros(4)
    compiled(scope["kernel"])(np.array([x.ctypes.data, y.ctypes.data]), 4)
    return y[0].hex()


def test_the_order_of_a_rows_sum_is_the_same_on_every_cpu():
    skip_if_missing("sse2")
    assert process("sse2")[1] == process("unknown")[1] == bits()


def doctor(**told):
    printed = run_here("from lstmgraph.cli import main; main(['doctor'])", **told)
    return next(line for line in printed.splitlines() if line.startswith("vector width"))


def test_a_cpu_that_numba_does_not_know_is_scalar_and_the_doctor_says_so():
    line = doctor(NUMBA_CPU_NAME="generic")
    assert "1 float32, 1 float64" in line and "scalar" in line and "generic" in line
    assert ("scalar" in doctor()) == (host_width("float32") == 1)


@pytest.mark.parametrize(
    ("width", "tile"), [(16, (6, 4)), (8, (6, 2)), (4, (6, 2)), (1, (2, 2))], ids=["avx512", "avx2", "neon", "scalar"]
)
def test_only_parameters_tell_the_targets_apart(width, tile):
    target = machine("float32", width)
    assert (target.rows, target.vectors) == tile and target.heights[0] == tile[0] and target.heights[-1] == 1
    assert host("float32") == machine("float32", host_width("float32"))
    assert sorted(set(target.heights), reverse=True) == list(target.heights)


@pytest.mark.parametrize("width", [16, 1])
def test_tiles_cover_any_number_of_rows_and_none_computes_one_row_that_others_could_have(width):
    target = machine("float32", width)
    module = compile_module(tiles_source(target), (), dtype="float32", width=width, compiled=False)
    for rows in range(1, 50):
        left, taken = rows, []
        while left:
            taken.append(module.functions["tile_rows"](left))
            left -= taken[-1]
        assert set(taken) <= set(target.heights) and taken == sorted(taken, reverse=True)
        assert taken.count(1) <= (rows == 1 if width > 1 else rows % 2)


@pytest.mark.parametrize("width", [16, 8, 4, 1])
def test_a_product_of_any_columns_gives_each_row_the_same_bits_at_every_height(width):
    target, K, rng = machine("float64", width), 7, np.random.default_rng(width)
    module = compile_module(tiles_source(target), (), dtype="float64", width=width, compiled=False)
    for columns in range(1, target.across + 1):
        product, N = module.functions[product_name(columns)], columns * width
        A, B = rng.standard_normal((target.rows, K)), rng.standard_normal((K, N))
        groups = [B[:, first : first + target.vectors * width] for first in range(0, N, target.vectors * width)]
        packed = np.concatenate([group.ravel() for group in groups])
        for add in (0, 1):
            begin = rng.standard_normal((target.rows, N))
            alone = begin.copy()
            for row in range(target.rows):
                product(1, A.ravel(), row * K, K, 1, packed, 0, alone.reshape(-1), row * N, N, K, add, 0)
            np.testing.assert_allclose(alone, begin * add + A @ B, rtol=1e-12, atol=1e-14)
            for rows in target.heights:
                found = begin.copy()
                product(rows, A.ravel(), 0, K, 1, packed, 0, found.reshape(-1), 0, N, K, add, 0)
                assert np.array_equal(found[:rows], alone[:rows]) and np.array_equal(found[rows:], begin[rows:])


ARM = """
def kernel(buffers, n):
    x = floats(buffers, 0)
    y = floats(buffers, 1)
    i = 0
    while i + W <= n:
        v = load(x, i)
        store(y, i, tanh(fma(v, v, splat(x, 0))) * sigmoid(v))
        i += W
    if i < n:
        store_part(y, i, exp(load_part(x, i, n - i)), n - i)
"""


def arm_assembly(dtype, width):
    """Return the text above as assembly of a CPU that is not at hand; in a process of its own, for LLVM may abort."""
    from llvmlite import binding

    binding.initialize_all_targets()
    binding.initialize_all_asmprinters()
    try:
        target = binding.Target.from_triple("aarch64-unknown-linux-gnu")
    except RuntimeError:
        return "no such target"
    scope = {**vars(simd.vectors(dtype, width))}
    exec(ARM, scope)
    (text,) = compiled(scope["kernel"]).inspect_llvm().values()
    module = binding.parse_assembly(re.sub(r'"target-(cpu|features)"="[^"]*"', "", text))
    writer = target.create_target_machine(cpu="cortex-a72", opt=2)
    module.triple, module.data_layout = target.triple, str(writer.target_data)
    return writer.emit_assembly(module)


@pytest.mark.parametrize(("dtype", "width", "lanes"), [("float32", 4, "4s"), ("float64", 2, "2d")])
def test_the_same_text_becomes_neon_instructions(dtype, width, lanes):
    # unoptimised: else it holds instructions of the CPU at hand, in the parts that are not ours
    assembly = run_here(f"print(t.arm_assembly({dtype!r}, {width}))", NUMBA_OPT="0")
    if "no such target" in assembly:
        pytest.skip("this LLVM writes code for its own machine only")
    assert re.search(rf"fmla\tv\d+\.{lanes}", assembly)
    assert not re.search(r"\bbl\t(tanh|exp|fma)", assembly)
