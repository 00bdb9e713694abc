"""Machine code that was compiled before, as functions: loaded by LLVM alone, called by address or from Python."""

import ctypes
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

_FASTCALL = 0x80  # of Python's C API: a function of (self, arguments, their number)


class Code(NamedTuple):
    """An object file, and what the function in it is called there."""

    symbol: str
    content: bytes


@dataclass(frozen=True, eq=False)
class Kernel:
    """A kernel: a C function, at an address."""

    name: str
    address: int


class _Method(ctypes.Structure):
    """Python's own description of a function in C (PyMethodDef)."""

    _fields_ = (
        ("name", ctypes.c_char_p),
        ("function", ctypes.c_void_p),
        ("flags", ctypes.c_int),
        ("text", ctypes.c_char_p),
    )


_kept: list[Any] = []  # machine code lives as long as the process: any array may be the last to need it


def kernel(name: str, code: Code) -> Kernel:
    """Return a kernel.

    Raises
    ------
    RuntimeError
        If it cannot be loaded.
    """
    return Kernel(name, _load(code))


def builtin(name: str, code: Code) -> Callable[..., Any]:
    """Return a function that Python calls as one of its own: in a fifth of the time that `ctypes` takes.

    Raises
    ------
    RuntimeError
        If it cannot be loaded.
    """
    method = _Method(name.encode(), _load(code), _FASTCALL, b"Machine code of a kernel's text.")
    make = ctypes.pythonapi.PyCFunction_NewEx
    make.argtypes, make.restype = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p], ctypes.py_object
    _kept.append(method)
    made: Callable[..., Any] = make(ctypes.addressof(method), None, None)
    return made


def _load(code: Code) -> int:
    """Return the address of the function; each has an engine of its own, for names in two files may be the same."""
    from llvmlite import binding  # takes a while; plain Python does without

    binding.initialize_native_target()
    binding.initialize_native_asmprinter()
    target = binding.Target.from_default_triple().create_target_machine(jit=True)
    engine = binding.create_mcjit_compiler(binding.parse_assembly(""), target)
    engine.add_object_file(binding.ObjectFileRef.from_data(code.content))
    engine.finalize_object()
    address = int(engine.get_function_address(code.symbol))
    if not address:
        raise RuntimeError(f"machine code: got no function {code.symbol!r}")
    _kept.append(engine)
    return address
