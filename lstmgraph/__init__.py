"""lstmgraph: gated recurrent cells as graphs of primitive operations; run, trained and drawn from one graph."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

_WORDS = {
    "lstmgraph.trace": "cell network",
    "lstmgraph.layers": "linear sigmoid_layer tanh_layer gate parameter embedding one_hot recur softplus mean softmax "
    "cumax layer_norm",
    "lstmgraph.traced": "Cell Network",
    "lstmgraph.autodiff": "gradient",
    "lstmgraph.interpreter": "interpret",
    "lstmgraph.program": "compile Program Gradients",
    "lstmgraph.train": "Model load SGD Adam AdamW",
    "lstmgraph.visual": "draw Figure",
    "lstmgraph.testing": "assert_same check_gradients",
    "lstmgraph.errors": "LstmGraphError GraphError ShapeError DTypeError ParameterError CompileError CheckpointError "
    "DataError DrawingError",
}
_OPS = "exp log sqrt sigmoid tanh relu maximum minimum select equal concat row_sum row_max stop_gradient cumulative_sum"
_HOME = {word: module for module, words in _WORDS.items() for word in words.split()}
_MODULES = ("cells", "transforms", "ops", "visual", "train", "plugins")

__all__ = sorted([*_HOME, *_OPS.split(), "abs", "cells"])


def __getattr__(name: str) -> Any:
    """Import on first use (PEP 562): importing lstmgraph loads neither Numba nor Graphviz."""
    if name in _HOME:
        value = getattr(import_module(_HOME[name]), name)
    elif name in _OPS.split() or name == "abs":
        from lstmgraph.plugins import op

        value = op("absolute" if name == "abs" else name)
    elif name == "__version__":
        from importlib.metadata import version

        value = version("lstmgraph")
    elif name in _MODULES:
        value = import_module(f"lstmgraph.{name}")
    else:
        raise AttributeError(f"module 'lstmgraph' has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return [*__all__, "__version__"]


if TYPE_CHECKING:
    from lstmgraph.autodiff import gradient as gradient
