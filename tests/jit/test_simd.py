"""SIMD primitives agree with their NumPy twin, exp and its kin to 2 ulp, and touch no memory but theirs."""

import ctypes
import mmap
import os
import platform
import subprocess
import sys
import warnings
from functools import cache
from types import SimpleNamespace

import numpy as np
import pytest
from numba import config, njit

from lstmgraph.jit import shim, simd

DTYPES = ("float32", "float64")
WIDTHS = (1, 4, 8, 16)
SETTINGS = {"nogil": True, "error_model": "numpy"}

# a, b, c are vectors, s is a number, n counts lanes (1 to W).
EXACT = """
a + b; a - b; a * b; a / b; -a; a + 1; 2.5 * a; a / 3; 1 / b; s * a; a - s; b * c + a; in_place(a, b)
fill(s); fill(2); zeros(); lanes(); splat(x, 0); fill(element(x, 0)); load_part(x, 0, n); sqrt(a); absolute(a)
floor(a); floor(c)
less(a, b); less_equal(a, b); greater(a, b); greater_equal(a, b); equal(a, b); not_equal(a, b); less(a, 0)
select(less(a, b), a, b); select(b, a, c); select(greater(a, 0), a, 0.0); maximum(a, b); minimum(a, b)
keep(a, n, s); keep(a, 0, 0); fill(total(c)); fill(largest(a)); fill(largest(c)); fill(lane(a, n - 1))
running_total(c); running_total_reverse(c)"""
EXACT = EXACT.strip().replace("\n", "; ").split("; ")
NEAR = ["fma(a, b, c)", "fma(a, s, 1)", "exp(c)", "log(absolute(c))", "tanh(c)", "sigmoid(c)", "sin(c)"]

ORACLES = {"exp": np.exp, "log": np.log, "tanh": np.tanh, "sigmoid": lambda x: 1 / (1 + np.exp(-x))}
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
COPY_PART = """
def kernel(buffers, i, n):
    store_part(floats(buffers, 1), i, load_part(floats(buffers, 0), i, n), n)
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


IN_PLACE = """
def kernel(a, b):
    result = a
    result += b
    result *= a
    result -= b
    result /= a
    return result
"""


def table_source(expressions):
    """Return a kernel that stores every expression's value, for each row of W numbers."""
    rows = [f"store(y, (row * {len(expressions)} + {k}) * W, {e})" for k, e in enumerate(expressions)]
    head = """
def kernel(buffers, rows):
    first = floats(buffers, 0)
    x = floats(buffers, 1)
    y = floats(buffers, 2)
    counts = integers(buffers, 3)
    for row in range(rows):
        a = load(x, 3 * row * W)
        b = load(x, (3 * row + 1) * W)
        c = load(first, row * W)
        s = element(first, row * W)
        n = index(counts, row)
        """
    return head + "\n        ".join(rows)


@cache
def awkward(dtype, count):
    """Return numbers that include every special value, in random order."""
    rng = np.random.default_rng(7)
    info = np.finfo(dtype)
    special = [0.0, -0.0, np.nan, np.inf, -np.inf, 1.0, -1.0, info.max, info.tiny, info.smallest_subnormal]
    return np.where(rng.random(count) < 0.4, rng.choice(special, count), rng.normal(size=count)).astype(dtype)


@cache
def table(dtype, width):
    """Return the values of all expressions, compiled and in the twin: two arrays [rows, expressions, W]."""
    expressions, rows = EXACT + NEAR, 40
    rng = np.random.default_rng(3)
    first = rng.normal(0, 3, rows * width).astype(dtype)
    x = awkward(dtype, 3 * rows * width)
    counts = rng.integers(1, width + 1, rows)
    results = []
    for names, compiled in (
        (simd.vectors(dtype, width), njit(**SETTINGS)),
        (shim.vectors(dtype, width), None),
    ):
        y = np.full(rows * len(expressions) * width, 99, dtype)
        buffers = [first, x, y, counts]
        if compiled:
            in_place = compiled(defined(IN_PLACE, names))
            compiled(defined(table_source(expressions), names, in_place=in_place))(addresses(*buffers), rows)
        else:
            in_place = defined(IN_PLACE, names)
            defined(table_source(expressions), names, in_place=in_place)(buffers, rows)
        results.append(y.reshape(rows, len(expressions), width))
    return results


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_primitives_have_the_bits_of_their_twin(dtype, width):
    compiled, twin = table(dtype, width)
    for k, expression in enumerate(EXACT):
        np.testing.assert_array_equal(compiled[:, k], twin[:, k], err_msg=expression)


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_rounded_primitives_are_near_their_twin(dtype, width):
    compiled, twin = table(dtype, width)
    tolerance = 8 * np.finfo(dtype).eps
    for k, expression in enumerate(NEAR, len(EXACT)):
        np.testing.assert_allclose(compiled[:, k], twin[:, k], tolerance, tolerance, err_msg=expression)


def test_both_sets_have_the_same_names():
    assert vars(simd.vectors("float32", 4)).keys() == vars(shim.vectors("float32", 4)).keys()


@pytest.mark.parametrize("vectors", [simd.vectors, shim.vectors])
@pytest.mark.parametrize(("dtype", "width"), [("float16", 4), ("float32", 3), ("float32", 0)])
def test_other_formats_are_refused(vectors, dtype, width):
    with pytest.raises(ValueError, match="expected"):
        vectors(dtype, width)


@cache
def compiled_map(name, dtype):
    names = simd.vectors(dtype, simd.host_width(dtype))
    kernel = njit("(int64[::1], int64)", **SETTINGS)(defined(MAP, names, function=getattr(names, name)))

    def apply(values):
        values = np.ascontiguousarray(values, dtype)
        result = np.empty_like(values)
        kernel(addresses(values, result), len(values))
        return result

    return apply


def neighbours(dtype, *points):
    """Return the 200 numbers of the format on each side of each point."""
    kind = np.dtype(dtype.replace("float", "int"))
    bits = np.array(points, dtype).view(kind)[:, None] + np.arange(-200, 201, dtype=kind)
    return np.concatenate([bits.view(dtype).ravel(), -bits.view(dtype).ravel()])


def whole_range(dtype):
    """Return telling arguments: random bits, near 0, at the borders of saturation and overflow."""
    rng = np.random.default_rng(11)
    unsigned = np.dtype(dtype.replace("float", "uint"))
    info = np.finfo(dtype)
    count = 60_000
    top = np.log(info.max)
    halves = np.arange(1, int(top * 2.9)) * np.log(2) / 2
    parts = [rng.integers(0, np.iinfo(unsigned).max, count, unsigned, endpoint=True).view(dtype)]
    parts += [rng.uniform(-bound, bound, count) for bound in (1e-3, 0.5, 2, 20, 1.02 * top)]
    parts += [rng.choice([-1, 1], count) * np.exp(rng.uniform(-30, 3, count)), rng.uniform(0.5, 2, count)]
    points = [1e-3, 0.1, 0.5, 1, 2, 9, 19, top, -np.log(info.tiny), np.sqrt(0.5)]
    parts += [neighbours(dtype, *points, *halves)]
    parts += [neighbours(dtype, info.tiny, 300 * info.smallest_subnormal)]
    parts += [[0.0, -0.0, np.inf, -np.inf, np.nan, info.max, -info.max]]
    return np.concatenate([np.asarray(part, dtype) for part in parts])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", ORACLES)
def test_elementary_functions_are_accurate_to_two_ulp(name, dtype):
    x = whole_range(dtype)
    got = compiled_map(name, dtype)(x)
    wide = np.float64 if dtype == "float32" else np.longdouble
    with np.errstate(all="ignore"):
        expected = ORACLES[name](x.astype(wide))
        rounded = expected.astype(dtype)
    special = ~np.isfinite(rounded)
    np.testing.assert_array_equal(got[special], rounded[special])
    tiny = ~special & (abs(expected) < np.finfo(dtype).tiny)
    flushed = name in ("exp", "sigmoid")
    assert (abs(got[tiny] - rounded[tiny]) <= (np.finfo(dtype).tiny if flushed else 0)).all()
    normal = ~special & ~tiny
    distance = abs(got[normal] - expected[normal]) / np.spacing(abs(rounded[normal])).astype(wide)
    worst = int(np.argmax(distance))
    assert distance[worst] <= 2, f"{name}({x[normal][worst]!r}) is {float(distance[worst]):.2f} ulp off"


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_sine_is_accurate_to_two_epsilon_as_far_as_it_says(dtype):
    bound, rng = {"float32": 5e4, "float64": 3e6}[dtype], np.random.default_rng(5)
    parts = [rng.uniform(-top, top, 60_000) for top in (1e-3, 2, 7, 100, bound)]
    turns = rng.integers(-int(bound / np.pi), int(bound / np.pi), 60_000)
    x = np.concatenate([*parts, np.pi * turns, np.pi * (turns + 0.5), [0.0, -0.0]]).astype(dtype)
    x = x[abs(x) <= bound]
    got, expected = compiled_map("sin", dtype)(x), np.sin(x.astype(np.float64 if dtype == "float32" else np.longdouble))
    assert abs(got - expected).max() <= 2 * np.finfo(dtype).eps
    near = abs(x) < 3
    np.testing.assert_allclose(got[near], expected[near].astype(dtype), rtol=2 * np.finfo(dtype).eps)
    assert np.array_equal(np.signbit(got[-2:]), [False, True])
    far = compiled_map("sin", dtype)(np.array([1e9, -1e25, np.finfo(dtype).max, np.inf, -np.inf, np.nan], dtype))
    assert (abs(far[:3]) <= 1).all() and np.isnan(far[3:]).all()


SPECIAL = {
    "exp": [(0.0, 1.0), (-0.0, 1.0), (np.inf, np.inf), (-np.inf, 0.0), (800.0, np.inf), (-800.0, 0.0)],
    "log": [(1.0, 0.0), (0.0, -np.inf), (-0.0, -np.inf), (-1.0, np.nan), (np.inf, np.inf), (-np.inf, np.nan)],
    "tanh": [(0.0, 0.0), (-0.0, -0.0), (30.0, 1.0), (-30.0, -1.0), (np.inf, 1.0), (-np.inf, -1.0)],
    "sigmoid": [(0.0, 0.5), (-0.0, 0.5), (40.0, 1.0), (-800.0, 0.0), (np.inf, 1.0), (-np.inf, 0.0)],
}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", ORACLES)
def test_special_values_are_exact(name, dtype):
    arguments, expected = np.array(SPECIAL[name]).T
    got = compiled_map(name, dtype)(arguments)
    np.testing.assert_array_equal(got, expected)
    zero = expected == 0
    np.testing.assert_array_equal(np.signbit(got[zero]), np.signbit(expected[zero]))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", ORACLES)
def test_every_nan_stays_nan(name, dtype):
    rng = np.random.default_rng(2)
    unsigned = np.dtype(dtype.replace("float", "uint"))
    quiet = np.array(np.nan, dtype).view(unsigned)
    payload = rng.integers(0, int(quiet) & -int(quiet), 1000, unsigned)
    values = (payload | quiet).view(dtype)
    assert np.isnan(compiled_map(name, dtype)(np.concatenate([values, -values]))).all()


@pytest.mark.skipif(platform.machine() != "x86_64", reason="the features are those of x86")
def test_accuracy_does_not_need_fused_multiplication():
    wanted = "two_epsilon or two_ulp or special_values or every_nan"
    arguments = ["-m", "pytest", "-q", "-p", "no:cacheprovider", __file__, "-k", wanted]
    run = run_python(*arguments, NUMBA_CPU_NAME="x86-64", NUMBA_CPU_FEATURES="+sse2")
    assert run.returncode == 0, run.stdout


@cache
def copy_part(dtype, width):
    return njit("(int64[::1], int64, int64)", **SETTINGS)(defined(COPY_PART, simd.vectors(dtype, width)))


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_a_part_stores_its_lanes_only(dtype, width):
    kernel, twin = copy_part(dtype, width), defined(COPY_PART, shim.vectors(dtype, width))
    x = np.arange(1, 3 * width + 1).astype(dtype)
    for n in range(1, width + 1):
        got, expected = np.full((2, 3 * width), -7, dtype)
        kernel(addresses(x, got), width, n)
        twin([x, expected], width, n)
        np.testing.assert_array_equal(got, expected)
        np.testing.assert_array_equal(got[width : width + n], x[width : width + n])
        assert (np.delete(got, np.s_[width : width + n]) == -7).all()


@pytest.mark.skipif(not hasattr(os, "fork") or sys.platform != "linux", reason="uses mprotect and fork")
@pytest.mark.parametrize("dtype", DTYPES)
def test_a_part_at_the_end_of_a_page_touches_no_other(dtype):
    width = simd.host_width(dtype)
    kernel = copy_part(dtype, width)
    pages = [mmap.mmap(-1, 2 * mmap.PAGESIZE) for _ in range(2)]
    arrays = [np.frombuffer(page, np.uint8) for page in pages]
    libc = ctypes.CDLL(None)
    for array in arrays:
        address = ctypes.c_void_p(array.ctypes.data + mmap.PAGESIZE)
        assert libc.mprotect(address, ctypes.c_size_t(mmap.PAGESIZE), 0) == 0
    ends = [array.ctypes.data + mmap.PAGESIZE for array in arrays]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # a fork of a process with threads
        child = os.fork()
    if child == 0:  # a fault must not end the tests
        for n in range(1, width + 1):
            kernel(np.array(ends, np.int64), -n, n)
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0


@pytest.mark.parametrize(
    ("access", "message"),
    [
        (lambda v, p: v.load(p, 3), "indices 3 to 6 of a buffer of length 6"),
        (lambda v, p: v.load(p, -1), "indices -1 to 2"),
        (lambda v, p: v.store(p, 3, v.zeros()), "indices 3 to 6"),
        (lambda v, p: v.load_part(p, 4, 3), "indices 4 to 6"),
        (lambda v, p: v.store_part(p, 5, v.zeros(), 2), "indices 5 to 6"),
        (lambda v, p: v.load_part(p, 0, 0), "0 lanes of a vector of 4"),
        (lambda v, p: v.store_part(p, 0, v.zeros(), 5), "5 lanes of a vector of 4"),
        (lambda v, p: v.splat(p, 6), "index 6 of a buffer of length 6"),
        (lambda v, p: v.element(p, -1), "index -1"),
        (lambda v, p: v.put_element(p, 6, 1.0), "index 6"),
        (lambda v, p: v.lane(v.zeros(), 4), "lane 4 of a vector of 4"),
        (lambda v, p: v.floats([p], 1), "buffer 1 of 1"),
    ],
)
def test_the_twin_reports_every_access_out_of_bounds(access, message):
    v = shim.vectors("float64", 4)
    with pytest.raises(IndexError, match=message):
        access(v, v.floats([np.zeros(6)], 0))


def test_the_twin_reports_a_buffer_of_another_type():
    with pytest.raises(TypeError, match="buffer 0: got int64"):
        shim.vectors("float64", 4).floats([np.zeros(6, np.int64)], 0)


@pytest.mark.parametrize("other", [2, 2.0, np.float64(2), np.float32(2), np.int64(2), True])
def test_the_twin_keeps_its_dtype(other):
    v = shim.vectors("float32", 4)
    for result in (v.lanes() * other, other * v.lanes(), v.lanes() - other, other / v.lanes(), -v.lanes()):
        assert result.dtype == np.float32
        assert type(result) is shim.Vector


def test_the_twin_needs_no_numba():
    code = "import sys, lstmgraph.jit.shim; sys.exit('numba' in sys.modules)"
    assert run_python("-c", code).returncode == 0


@pytest.mark.parametrize(
    ("features", "name", "size"),
    [("+avx512f,+avx", None, 64), ("+avx,-avx512f", "x", 32), ("+sse2", None, 16), ("", "generic", 16)],
)
def test_the_width_follows_the_features_numba_compiles_for(monkeypatch, features, name, size):
    monkeypatch.setattr(config, "CPU_FEATURES", features)
    monkeypatch.setattr(config, "CPU_NAME", name)
    assert (simd.host_width("float32"), simd.host_width("float64")) == (size // 4, size // 8)


def test_a_cached_kernel_is_loaded_by_another_process(tmp_path):
    path = tmp_path / "generated.py"
    text = f"""
import numpy as np
from numba import njit
from lstmgraph.jit import simd
globals().update(vars(simd.vectors("float32", 8)), function=simd.vectors("float32", 8).tanh)
@njit("(int64[::1], int64)", cache=True, nogil=True, error_model="numpy")
{MAP.strip()}
x, y = np.ones(11, "float32"), np.zeros(11, "float32")
kernel(np.array([x.ctypes.data, y.ctypes.data]), 11)
hits = sum(kernel.stats.cache_hits.values())
"""
    path.write_text(text)
    code = "import generated; print(generated.hits, *generated.y)"
    runs = [run_python("-c", code, cwd=tmp_path) for _ in range(2)]
    assert [run.returncode for run in runs] == [0, 0], runs[1].stderr
    (compiled, *first), (loaded, *second) = (run.stdout.split() for run in runs)
    assert (compiled, loaded) == ("0", "1")
    assert first == second
