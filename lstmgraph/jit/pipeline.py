"""How Numba compiles generated text: by few of its passes, for the text is plain and most look for what it lacks."""
# mypy: disable-error-code="no-untyped-call"

from typing import Any

from numba import int64, njit, types
from numba.core.compiler import CompilerBase, Flags, compile_extra
from numba.core.compiler_lock import global_compiler_lock
from numba.core.compiler_machinery import PassManager, register_pass
from numba.core.registry import cpu_target
from numba.core.typed_passes import (
    AnnotateTypes,
    IRLegalization,
    NativeLowering,
    NoPythonBackend,
    NopythonTypeInference,
)
from numba.core.untyped_passes import FixupArgs, GenericRewrites, IRProcessing, TranslateByteCode

from lstmgraph.jit.exports import BuiltinLower, KernelLower
from lstmgraph.jit.machine_code import Code

PASSES = (
    TranslateByteCode,
    FixupArgs,
    IRProcessing,
    GenericRewrites,  # constant indices of tuples
    NopythonTypeInference,
    IRLegalization,  # where values die
    AnnotateTypes,
)
OPTIONS: dict[str, Any] = {"error_model": "numpy", "boundscheck": False, "no_cpython_wrapper": True}
HELPER: dict[str, Any] = {**OPTIONS, "no_cfunc_wrapper": True}  # nobody enters it from outside
KERNEL = (*[types.CPointer(int64)] * 2, *[int64] * 5)  # the arguments of a kernel
ARGUMENTS = {"array": types.CPointer(int64), "number": int64}  # of what Python calls


class HelperCompiler(CompilerBase):
    """Compiles functions without closures, contexts, comprehensions and array expressions.

    There is no static single assignment either: a name has one type, and LLVM makes registers of it by itself.
    """

    lowering: Any = NativeLowering

    def define_pipelines(self) -> list[PassManager]:
        """Return the one pipeline."""
        manager = PassManager("kernel")
        for each in (*PASSES, self.lowering, NoPythonBackend):
            manager.add_pass(each, each.__name__)
        manager.finalize()
        return [manager]


@register_pass(mutates_CFG=True, analysis_only=False)
class KernelLowering(NativeLowering):
    """Writes a kernel's code."""

    _name = "lstmgraph_kernel_lowering"
    lowering_class = KernelLower


@register_pass(mutates_CFG=True, analysis_only=False)
class BuiltinLowering(NativeLowering):
    """Writes the code of what Python calls."""

    _name = "lstmgraph_builtin_lowering"
    lowering_class = BuiltinLower


class KernelCompiler(HelperCompiler):
    """Compiles entries that are called by their addresses."""

    lowering = KernelLowering


class BuiltinCompiler(HelperCompiler):
    """Compiles entries that Python calls."""

    lowering = BuiltinLowering


def helper(function: Any) -> Any:
    """Return a function that compiles with those that call it."""
    return njit(pipeline_class=HelperCompiler, **HELPER)(function)


def compile_entry(function: Any, takes: str | None) -> Code:
    """Return the machine code of a kernel, or of what Python calls with such arguments: "array array number", say."""
    flags: Any = Flags()
    cpu_target.options.parse_as_flags(flags, OPTIONS)
    flags.no_compile = True  # no function of Numba's own: the object file is wanted
    arguments = KERNEL if takes is None else tuple([ARGUMENTS[word] for word in takes.split()])
    with global_compiler_lock:
        made = compile_extra(
            cpu_target.typing_context,
            cpu_target.target_context,
            function,
            args=arguments,
            return_type=types.void if takes is None else int64,
            flags=flags,
            locals={},
            pipeline_class=KernelCompiler if takes is None else BuiltinCompiler,
        )
        _, _, (content, _) = made.library.serialize_using_object_code()
    return Code(made.fndesc.llvm_cfunc_wrapper_name, content)
