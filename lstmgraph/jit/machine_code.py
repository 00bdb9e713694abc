"""Machine code that was compiled before, as functions: loaded by LLVM alone, called by address or from Python."""

import ctypes
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

_FASTCALL = 0x80  # of Python's C API: a function of (self, arguments, their number)


class Code(NamedTuple):
    """An object file, and what the function in it is called there."""

    symbol: str
    content: bytes


@dataclass(frozen=True, eq=False)
class CFunction:
    """A function that machine code calls, at an address."""

    address: int


class _Method(ctypes.Structure):
    """Python's own description of a function in C (PyMethodDef)."""

    _fields_ = (
        ("name", ctypes.c_char_p),
        ("function", ctypes.c_void_p),
        ("flags", ctypes.c_int),
        ("text", ctypes.c_char_p),
    )


# prototypes of our own: those of `ctypes.pythonapi` belong to everybody
_make = ctypes.PYFUNCTYPE(ctypes.py_object, *[ctypes.c_void_p] * 3)(("PyCFunction_NewEx", ctypes.pythonapi))
_keep = ctypes.PYFUNCTYPE(None, ctypes.py_object)(("Py_IncRef", ctypes.pythonapi))


def c_function(code: Code) -> CFunction:
    """Return a C function.

    Raises
    ------
    RuntimeError
        If it cannot be loaded.
    """
    return CFunction(_load(code))


def builtin(name: str, code: Code) -> Callable[..., int]:
    """Return a function that Python calls as one of its own: in a fifth of the time that `ctypes` takes.

    Raises
    ------
    RuntimeError
        If it cannot be loaded.
    """
    method = _Method(name.encode(), _load(code), _FASTCALL, b"Machine code of lstmgraph.")
    _keep(method)  # for ever: whoever holds the function when Python ends may call it still
    made: Callable[..., int] = _make(ctypes.addressof(method), None, None)
    return made


def _load(code: Code) -> int:
    """Return the address of the function; each has an engine of its own, for names in two files may be the same."""
    from llvmlite import binding  # takes a while; plain Python does without

    binding.initialize_native_target()
    binding.initialize_native_asmprinter()
    target = binding.Target.from_triple(binding.get_process_triple()).create_target_machine(jit=True)
    engine = binding.create_mcjit_compiler(binding.parse_assembly(""), target)
    engine.add_object_file(binding.ObjectFileRef.from_data(code.content))
    engine.finalize_object()
    address = int(engine.get_function_address(code.symbol))
    if not address:
        raise RuntimeError(f"machine code: got no function {code.symbol!r}")
    _keep(engine)  # for ever: who calls it last is not known
    return address
