"""How compiled functions are entered from outside: kernels as C functions, others as functions of Python's C API.

Numba's own way in needs Numba at run time, to report errors; the text of a module raises none.
"""
# mypy: disable-error-code="no-untyped-call"

from typing import Any

from llvmlite import ir
from numba import types
from numba.core.lowering import Lower

from lstmgraph.jit.native import ADDRESS, DIMENSIONS, ITEM, LETTER, SHAPE, STRIDES, WORD

INT, BYTE = ir.IntType(32), ir.IntType(8)
POINTER, OBJECT = WORD.as_pointer(), BYTE.as_pointer()
# Py_buffer: memory, owner, bytes, of an item; read only, dimensions; format; shape, strides; offsets, internal
BUFFER = ir.LiteralStructType([OBJECT, OBJECT, WORD, WORD, INT, INT, OBJECT, POINTER, POINTER, POINTER, OBJECT])
STRIDES_AND_FORMAT = 0x18 | 0x04  # what is asked of an array: PyBUF_STRIDES | PyBUF_FORMAT


class KernelLower(Lower):
    """Writes a function, and a C function of the same arguments around it."""

    def create_cfunc_wrapper(self) -> None:
        """Write the outer function."""
        inner = _Inner(self)
        outer = inner.outer(ir.VoidType(), inner.given)
        builder = ir.IRBuilder(outer.append_basic_block())
        inner.call(builder, outer.args)
        builder.ret_void()
        self.library.add_ir_module(inner.module)


class BuiltinLower(Lower):
    """Writes a function, and around it what Python calls: it takes numbers and arrays, and lets other threads run.

    A pointer among the arguments is to the words of a view, in place of which Python gives an array, or whatever
    else has a buffer. The result is a number.
    """

    def create_cfunc_wrapper(self) -> None:
        """Write the outer function."""
        inner = _Inner(self)
        _Entrance(inner).write()
        self.library.add_ir_module(inner.module)


class _Inner:
    """The function that is wrapped, and the module in which that happens."""

    def __init__(self, lower: Lower) -> None:
        self.described, self.how = lower.fndesc, lower.context.call_conv
        self.module = lower.context.create_module("entrance")
        kind = self.how.get_function_type(self.described.restype, self.described.argtypes)
        self.function = ir.Function(self.module, kind, self.described.llvm_func_name)
        self.given = [POINTER if isinstance(each, types.CPointer) else WORD for each in self.described.argtypes]

    def outer(self, result: Any, arguments: Any) -> Any:
        """Return the function around it, empty."""
        kind = ir.FunctionType(result, arguments)
        return ir.Function(self.module, kind, self.described.llvm_cfunc_wrapper_name)

    def call(self, builder: Any, arguments: Any) -> Any:
        """Call it and return its result."""
        _, result = self.how.call_function(
            builder, self.function, self.described.restype, self.described.argtypes, arguments
        )
        return result


class _Entrance:
    """A function of Python's C API that is being written: (self, arguments, number) -> object."""

    def __init__(self, inner: _Inner) -> None:
        self.inner = inner
        self.function = inner.outer(OBJECT, [OBJECT, OBJECT.as_pointer(), WORD])
        self.builder = ir.IRBuilder(self.function.append_basic_block("entry"))

    def write(self) -> None:
        """Write all of it; whatever fails on the way in leaves its exception and gives back what was taken."""
        builder, given, (_, objects, number) = self.builder, self.inner.given, self.function.args
        result, end = builder.alloca(OBJECT), self.function.append_basic_block("end")
        builder.store(OBJECT(None), result)
        rooms = [(builder.alloca(BUFFER), builder.alloca(WORD, 1 + STRIDES)) for kind in given if kind == POINTER]
        for buffer, _ in rooms:
            builder.store(BUFFER(None), buffer)  # to be given back even if it was never filled
        with builder.if_then(builder.icmp_signed("!=", number, WORD(len(given)))):
            self._python(INT, "PyErr_BadArgument")
            builder.branch(end)
        free_rooms, arguments = iter(rooms), []
        for place, kind in enumerate(given):
            each = builder.load(builder.gep(objects, [WORD(place)]))
            arguments.append(self._view(each, *next(free_rooms), end) if kind == POINTER else self._number(each, end))
        state = self._python(OBJECT, "PyEval_SaveThread")
        found = self.inner.call(builder, arguments)
        self._python(ir.VoidType(), "PyEval_RestoreThread", state)
        builder.store(self._python(OBJECT, "PyLong_FromLongLong", found), result)
        builder.branch(end)
        builder.position_at_end(end)
        for buffer, _ in rooms:
            self._python(ir.VoidType(), "PyBuffer_Release", builder.bitcast(buffer, OBJECT))
        builder.ret(builder.load(result))

    def _number(self, given: Any, end: Any) -> Any:
        value = self._python(WORD, "PyLong_AsLongLong", given)
        error = self._python(OBJECT, "PyErr_Occurred")
        self._leave_if(self.builder.icmp_unsigned("!=", error, OBJECT(None)), end)
        return value

    def _view(self, given: Any, buffer: Any, view: Any, end: Any) -> Any:
        """Return the words that say what is in the buffer of an object."""
        builder = self.builder
        failed = self._python(
            INT, "PyObject_GetBuffer", given, builder.bitcast(buffer, OBJECT), INT(STRIDES_AND_FORMAT)
        )
        self._leave_if(builder.icmp_signed("!=", failed, INT(0)), end)
        field = [builder.load(builder.gep(buffer, [INT(0), INT(place)])) for place in range(len(BUFFER.elements))]
        builder.store(WORD(0), view)
        unknown = builder.icmp_unsigned("==", field[6], OBJECT(None))
        letters = builder.select(unknown, builder.bitcast(view, OBJECT), field[6])
        letter, more = [builder.load(builder.gep(letters, [WORD(place)])) for place in range(2)]
        alone = builder.icmp_signed("==", more, BYTE(0))  # "<f", say, is none that we know
        words = {
            ADDRESS: builder.ptrtoint(field[0], WORD),
            ITEM: field[3],
            DIMENSIONS: builder.sext(field[5], WORD),
            LETTER: builder.select(alone, builder.zext(letter, WORD), WORD(0)),
            SHAPE: builder.ptrtoint(field[7], WORD),
            STRIDES: builder.ptrtoint(field[8], WORD),
        }
        for place, word in words.items():
            builder.store(word, builder.gep(view, [WORD(place)]))
        return view

    def _leave_if(self, failed: Any, end: Any) -> None:
        onward = self.function.append_basic_block("onward")
        self.builder.cbranch(failed, end, onward)
        self.builder.position_at_end(onward)

    def _python(self, result: Any, name: str, *arguments: Any) -> Any:
        """Call a function of Python's C API."""
        known = self.inner.module.globals.get(name)
        kind = ir.FunctionType(result, [argument.type for argument in arguments])
        return self.builder.call(known or ir.Function(self.inner.module, kind, name), arguments)
