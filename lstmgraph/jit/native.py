"""What the player does that Python cannot say, as Numba intrinsics: calls by address, memory, words that threads share.

A word is an int64; every access of a shared word is sequentially consistent.
"""
# mypy: disable-error-code="no-untyped-call"

import inspect
import platform
import sys
from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.typing.templates import signature
from numba.extending import intrinsic

WORD = ir.IntType(64)
WORDS = types.CPointer(types.int64)
ORDER = "seq_cst"
LOOKS = 2000  # at a word, some 0.05 ms, before a thread that waits gives way
ADDRESS, ITEM, DIMENSIONS, LETTER, SHAPE, STRIDES = range(6)  # words of a view of an array: ITEM is its bytes
PAUSES = {"x86_64": "llvm.x86.sse2.pause", "AMD64": "llvm.x86.sse2.pause"}  # by the machine's name


def _native(parameters: str, result: Any, write: Callable[..., Any]) -> Any:
    """Return an intrinsic; each parameter is "words" or an integer, `write` gets the builder and the values."""
    expected = parameters.split()
    accepted = [WORDS if parameter == "words" else types.int64 for parameter in expected]

    def typer(context: Any, *arguments: Any) -> Any:
        def generate(context: Any, builder: Any, call: Any, values: Any) -> Any:
            written = write(builder, *values)
            return context.get_dummy_value() if result is types.void else written

        return signature(result, *accepted), generate

    shown = ["context", *expected]  # Numba would pack a star argument into a tuple
    positional = inspect.Parameter.POSITIONAL_OR_KEYWORD
    typer.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
        [inspect.Parameter(f"{name}_{place}", positional) for place, name in enumerate(shown)]
    )
    return intrinsic(typer)


def _words(builder: Any, address: Any) -> Any:
    return builder.inttoptr(address, WORD.as_pointer())


def _peek(builder: Any, words: Any, i: Any) -> Any:
    return builder.load_atomic(builder.gep(words, [i]), ORDER, 8)


def _publish(builder: Any, words: Any, i: Any, value: Any) -> None:
    builder.store_atomic(value, builder.gep(words, [i]), ORDER, 8)


def _claim(builder: Any, words: Any, i: Any) -> Any:
    return builder.atomic_rmw("xchg", builder.gep(words, [i]), ir.Constant(WORD, 1), ORDER)


def _count(builder: Any, words: Any, i: Any) -> Any:
    return builder.atomic_rmw("add", builder.gep(words, [i]), ir.Constant(WORD, 1), ORDER)


def _pause(builder: Any) -> None:
    """Tell the processor that a thread waits; one of which we do not know how just goes on."""
    name = PAUSES.get(platform.machine())
    if name is not None:
        kind = ir.FunctionType(ir.VoidType(), [])
        builder.call(cgutils.get_or_insert_function(builder.module, kind, name), [])


def meet(builder: Any, words: Any, parts: Any) -> None:
    """Wait until all of some threads have come here as often as this one; `words` counts the comings.

    A thread that waits long lets others of this machine run: one that is waited for may be among them.
    """
    came = _count(builder, words, ir.Constant(WORD, 0))
    goal = builder.mul(builder.add(builder.sdiv(came, parts), ir.Constant(WORD, 1)), parts)
    before, look, wait, end = builder.block, *(builder.append_basic_block(name) for name in ("look", "wait", "met"))
    builder.branch(look)
    builder.position_at_end(look)
    looks = builder.phi(WORD)
    looks.add_incoming(ir.Constant(WORD, 0), before)
    seen = _peek(builder, words, ir.Constant(WORD, 0))
    builder.cbranch(builder.icmp_signed(">=", seen, goal), end, wait)
    builder.position_at_end(wait)
    _pause(builder)
    with builder.if_then(builder.icmp_signed(">", looks, ir.Constant(WORD, LOOKS))):
        _give_way(builder)
    looks.add_incoming(builder.add(looks, ir.Constant(WORD, 1)), builder.block)
    builder.branch(look)
    builder.position_at_end(end)


def _give_way(builder: Any) -> None:
    """Let another thread run."""
    name = "SwitchToThread" if sys.platform == "win32" else "sched_yield"
    kind = ir.FunctionType(ir.IntType(32), [])
    builder.call(cgutils.get_or_insert_function(builder.module, kind, name), [])


def _call(builder: Any, function: Any, buffers: Any, sizes: Any, *numbers: Any) -> None:
    pointer = WORD.as_pointer()
    kind = ir.FunctionType(ir.VoidType(), [pointer, pointer, *[WORD] * len(numbers)])
    target = builder.inttoptr(function, kind.as_pointer())
    builder.call(target, [_words(builder, buffers), _words(builder, sizes), *numbers])


def _bytes(builder: Any, address: Any) -> Any:
    return builder.inttoptr(address, ir.IntType(8).as_pointer())


words = _native("address", WORDS, _words)  # the words at an address
peek = _native("words i", types.int64, _peek)
publish = _native("words i value", types.void, _publish)
claim = _native("words i", types.int64, _claim)  # set to 1; what it was
count = _native("words i", types.int64, _count)  # one more; what it was
pause = _native("", types.void, _pause)
give_way = _native("", types.void, _give_way)
call = _native("function buffers sizes t0 t1 b0 b1 slot", types.void, _call)
copy = _native(
    "target source size",
    types.void,
    lambda builder, target, source, size: cgutils.raw_memmove(
        builder, _bytes(builder, target), _bytes(builder, source), size, 1
    ),
)
clear = _native(
    "target size",
    types.void,
    lambda builder, target, size: cgutils.memset(builder, _bytes(builder, target), size, 0),
)
