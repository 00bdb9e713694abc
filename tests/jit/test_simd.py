"""SIMD primitives agree with their NumPy twin and touch no memory but theirs."""

import ctypes
import mmap
import os
import sys
import warnings
from functools import cache

import numpy as np
import pytest
from numba import njit
from simd_kernels import SETTINGS, addresses, compiled, defined, run_python

from lstmgraph.jit import shim, simd
from lstmgraph.jit.processor import host_width

pytestmark = pytest.mark.usefixtures("quiet")
DTYPES = ("float32", "float64")
WIDTHS = (1, 4, 8, 16)

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

COPY_PART = """
def kernel(buffers, i, n):
    store_part(floats(buffers, 1), i, load_part(floats(buffers, 0), i, n), n)
"""


IN_PLACE = """
def kernel(a, b):
    result = a
    result += b
    result *= a
    result -= b
    result /= a
    return result
"""


@pytest.fixture
def quiet():
    """Tell NumPy to warn of nothing, as who runs generated source does."""
    with np.errstate(all="ignore"):
        yield


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
    for names in (simd.vectors(dtype, width), shim.vectors(dtype, width)):
        y = np.full(rows * len(expressions) * width, 99, dtype)
        buffers = [first, x, y, counts]
        if len(results) == 0:
            in_place = njit(**SETTINGS)(defined(IN_PLACE, names))
            compiled(defined(table_source(expressions), names, in_place=in_place))(addresses(*buffers), rows)
        else:
            in_place = defined(IN_PLACE, names)
            defined(table_source(expressions), names, in_place=in_place)(buffers, rows)
        results.append(y.reshape(rows, len(expressions), width))
    return results


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_primitives_have_the_bits_of_their_twin(dtype, width):
    made, twin = table(dtype, width)
    for k, expression in enumerate(EXACT):
        np.testing.assert_array_equal(made[:, k], twin[:, k], err_msg=expression)


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_rounded_primitives_are_near_their_twin(dtype, width):
    made, twin = table(dtype, width)
    tolerance = 8 * np.finfo(dtype).eps
    for k, expression in enumerate(NEAR, len(EXACT)):
        np.testing.assert_allclose(made[:, k], twin[:, k], tolerance, tolerance, err_msg=expression)


def test_both_sets_have_the_same_names():
    assert vars(simd.vectors("float32", 4)).keys() == vars(shim.vectors("float32", 4)).keys()


@pytest.mark.parametrize("vectors", [simd.vectors, shim.vectors])
@pytest.mark.parametrize(("dtype", "width"), [("float16", 4), ("float32", 3), ("float32", 0)])
def test_other_formats_are_refused(vectors, dtype, width):
    with pytest.raises(ValueError, match="expected"):
        vectors(dtype, width)


@cache
def copy_part(dtype, width):
    return compiled(defined(COPY_PART, simd.vectors(dtype, width)))


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
    width = host_width(dtype)
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
