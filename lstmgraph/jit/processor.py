"""The processor that kernels are compiled for, as Numba takes it: told without Numba, whose import takes a while."""

import importlib
import os
import platform
import sys
from pathlib import Path
from typing import Any

import numpy as np
from llvmlite import binding

REGISTERS = {"avx512f": 64, "avx": 32, "sse2": 16, "neon": 16}  # bytes that a feature of a CPU lets a register hold
NUMBAS_FILE = Path(".numba_config.yaml")  # settings that Numba reads from the folder where a process begins
SETTINGS = ("NUMBA_CPU_NAME", "NUMBA_CPU_FEATURES", "NUMBA_ENABLE_AVX")
# by default Numba uses no AVX on these: LLVM made slow code of it, or a virtual machine gives the name to other CPUs
WITHOUT_AVX = ("corei7-avx", "core-avx-i", "sandybridge", "ivybridge", "nocona")


def cpu_name() -> str:
    """Return the name of the CPU that Numba compiles for; "generic" is one that it does not know."""
    numbas = _numbas_own()
    return str((numbas.config.CPU_NAME if numbas else None) or binding.get_host_cpu_name())


def features() -> str:
    """Return what that CPU can do, as LLVM writes it: "+avx2,-avx512f,..."; empty where LLVM does not know."""
    numbas = _numbas_own()
    if numbas:
        told = numbas.config.CPU_FEATURES
        return str(numbas.get_host_cpu_features() if told is None else told)
    try:
        found = binding.get_host_cpu_features()
    except RuntimeError:
        return ""
    if cpu_name() in WITHOUT_AVX:
        found.update({feature: False for feature in found if feature.startswith("avx")})
    return str(found.flatten())


def host_width(dtype: str) -> int:
    """Return how many elements of `dtype` a register of this CPU holds, as Numba compiles for it.

    NUMBA_CPU_FEATURES and NUMBA_ENABLE_AVX are honoured. Beside NUMBA_CPU_NAME alone (other than "generic")
    Numba takes the features of the host, and so does this. It is 1 for a CPU of which Numba knows no features.

    Parameters
    ----------
    dtype : {"float32", "float64"}
        The element type.

    Examples
    --------
    >>> host_width("float32") >= host_width("float64")
    True
    """
    known = features().split(",")
    sizes = [size for feature, size in REGISTERS.items() if f"+{feature}" in known]
    if platform.machine() in ("arm64", "aarch64") and cpu_name() != "generic":
        sizes.append(16)  # every CPU of this kind has them; on macOS LLVM lists no features
    return max(sizes, default=0) // np.dtype(dtype).itemsize or 1


def _numbas_own() -> Any:
    """Return Numba's module of CPUs if it is there, or if Numba was told something about them; else None."""
    name = "numba.core.codegen"
    if NUMBAS_FILE.is_file() or any(setting in os.environ for setting in SETTINGS):
        return importlib.import_module(name)
    return sys.modules.get(name)
