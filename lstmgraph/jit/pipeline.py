"""Which of Numba's passes a kernel needs: generated text is plain, and most others look for what it lacks."""

from numba.core.compiler import CompilerBase
from numba.core.compiler_machinery import PassManager
from numba.core.typed_passes import (
    AnnotateTypes,
    IRLegalization,
    NativeLowering,
    NoPythonBackend,
    NopythonTypeInference,
)
from numba.core.untyped_passes import FixupArgs, GenericRewrites, IRProcessing, TranslateByteCode

PASSES = (
    TranslateByteCode,
    FixupArgs,
    IRProcessing,
    GenericRewrites,  # constant indices of tuples
    NopythonTypeInference,
    IRLegalization,  # where values die
    AnnotateTypes,
    NativeLowering,
    NoPythonBackend,
)


class KernelCompiler(CompilerBase):
    """Compiles functions without closures, contexts, comprehensions and array expressions.

    There is no static single assignment either: a name has one type, and LLVM makes registers of it by itself.
    """

    def define_pipelines(self) -> list[PassManager]:
        """Return the one pipeline."""
        manager = PassManager("kernel")  # type: ignore[no-untyped-call]
        for each in PASSES:
            manager.add_pass(each, each.__name__)  # type: ignore[no-untyped-call]
        manager.finalize()  # type: ignore[no-untyped-call]
        return [manager]
