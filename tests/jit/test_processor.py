"""The processor as we tell it is the one that Numba compiles for, whether Numba has been imported or not."""

import json
import platform

import pytest
from numba import config
from simd_kernels import run_python

from lstmgraph.jit.processor import host_width


@pytest.mark.parametrize(
    ("features", "name", "size"),
    [
        ("+avx512f,+avx", None, 64),
        ("+avx,-avx512f", "x", 32),
        ("+avx2,+avx", None, 32),
        ("+sse2", None, 16),
        ("+neon", None, 16),
        ("", "generic", 0),
        ("-sse2,+64bit", "generic", 0),
    ],
)
def test_the_width_follows_the_features_numba_compiles_for(monkeypatch, features, name, size):
    monkeypatch.setattr(config, "CPU_FEATURES", features)
    monkeypatch.setattr(config, "CPU_NAME", name)
    assert (host_width("float32"), host_width("float64")) == (size // 4 or 1, size // 8 or 1)


@pytest.mark.parametrize(("name", "lanes"), [("apple-m1", 4), ("generic", 1)])
def test_a_64_bit_arm_has_vectors_even_where_no_features_are_listed(monkeypatch, name, lanes):
    monkeypatch.setattr(platform, "machine", lambda: "arm64")
    monkeypatch.setattr(config, "CPU_FEATURES", "")
    monkeypatch.setattr(config, "CPU_NAME", name)
    assert host_width("float32") == lanes


TOLD = """
import json, sys
from llvmlite import binding
binding.get_host_cpu_name = NAME or binding.get_host_cpu_name
from lstmgraph.jit import processor
found = [processor.cpu_name(), processor.features()]
alone = "numba" not in sys.modules
from numba.core.registry import cpu_target
numbas = cpu_target.target_context.codegen().magic_tuple()[1:]
print(json.dumps([alone, found, [processor.cpu_name(), processor.features()], list(numbas)]))
"""


@pytest.mark.parametrize(
    ("name", "told", "alone"),
    [
        (None, {}, True),
        ("ivybridge", {}, True),
        ("nocona", {}, True),
        (None, {"NUMBA_CPU_NAME": "generic"}, False),
        (None, {"NUMBA_CPU_NAME": "x86-64", "NUMBA_CPU_FEATURES": "+sse2"}, False),
        (None, {"NUMBA_ENABLE_AVX": "0"}, False),
        (None, {"NUMBA_NUM_THREADS": "1"}, True),
    ],
)
def test_numba_says_the_same(name, told, alone):
    code = TOLD.replace("NAME", f"(lambda: {name!r})" if name else "None")
    done = run_python("-c", code, **told)
    assert done.returncode == 0, done.stderr
    was_alone, before, after, numbas = json.loads(done.stdout)
    assert before == after == numbas
    assert was_alone is alone
