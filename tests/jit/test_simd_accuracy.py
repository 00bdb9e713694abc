"""exp, log, tanh and sigmoid to 2 ulp over the whole range of both formats; special values as NumPy has them."""

import platform

import numpy as np
import pytest
from simd_kernels import compiled_map, run_python

DTYPES = ("float32", "float64")
ORACLES = {"exp": np.exp, "log": np.log, "tanh": np.tanh, "sigmoid": lambda x: 1 / (1 + np.exp(-x))}


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


def every_exponent(dtype):
    """Return numbers of either sign with every exponent there is, subnormal ones too: 4,000 or 200 of each."""
    if dtype == "float32":  # a prime stride, so that the low bits differ
        return np.arange(0, 2**32, 2039).astype("uint32").view(dtype)
    rng = np.random.default_rng(13)
    upper = np.repeat(np.arange(2**12, dtype="uint64") << np.uint64(52), 200)
    return (upper | rng.integers(0, 2**52, upper.size, "uint64")).view(dtype)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", ORACLES)
@pytest.mark.parametrize("arguments", [whole_range, every_exponent])
def test_elementary_functions_are_accurate_to_two_ulp(name, dtype, arguments):
    x = arguments(dtype)
    got = compiled_map(name, dtype)(x)
    wide = np.float64 if dtype == "float32" else np.longdouble
    if np.finfo(wide).nmant < np.finfo(dtype).nmant + 11:
        pytest.skip("no format here is wider than float64")
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
@pytest.mark.parametrize("name", ["floor", "sqrt", "absolute"])
def test_what_has_one_right_answer_has_numpys_bits(name, dtype):
    x = every_exponent(dtype)
    with np.errstate(all="ignore"):
        expected = getattr(np, name)(x)
    got = compiled_map(name, dtype)(x)
    np.testing.assert_array_equal(got, expected)
    number = ~np.isnan(expected)
    np.testing.assert_array_equal(np.signbit(got[number]), np.signbit(expected[number]))  # of zeros too


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
