"""lstmgraph: gated recurrent cells as graphs of primitive operations; run, trained and drawn from one graph."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

_WORDS = {
    "lstmgraph.trace": "cell network",
    "lstmgraph.layers": "linear sigmoid_layer tanh_layer gate parameter embedding one_hot recur delay split softplus "
    "mean softmax cumax layer_norm",
    "lstmgraph.directions": "bidirectional",
    "lstmgraph.masks": "dropout",
    "lstmgraph.traced": "Cell Network",
    "lstmgraph.comparison": "same",
    "lstmgraph.autodiff": "gradient",
    "lstmgraph.finite": "check_finite",
    "lstmgraph.forward_mode": "tangent",
    "lstmgraph.interpreter": "interpret",
    "lstmgraph.notation.equations": "equations Equations",
    "lstmgraph.program": "compile Program Gradients",
    "lstmgraph.reporting": "report Report",
    "lstmgraph.train": "Model load SGD Adam AdamW",
    "lstmgraph.visual": "draw Figure",
    "lstmgraph.testing": "assert_same",
    "lstmgraph.gradient_check": "check_gradients",
    "lstmgraph.errors": "LstmGraphError GraphError ShapeError DTypeError ParameterError CompileError CheckpointError "
    "DataError DrawingError UnknownCellError",
}
_OPS = (
    "exp log sqrt sin floor sigmoid tanh relu maximum minimum select equal concat row_sum row_max stop_gradient "
    "cumulative_sum"
)
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
    from lstmgraph import cells as cells
    from lstmgraph.autodiff import gradient as gradient
    from lstmgraph.comparison import same as same
    from lstmgraph.directions import bidirectional as bidirectional
    from lstmgraph.errors import CheckpointError as CheckpointError
    from lstmgraph.errors import CompileError as CompileError
    from lstmgraph.errors import DataError as DataError
    from lstmgraph.errors import DrawingError as DrawingError
    from lstmgraph.errors import DTypeError as DTypeError
    from lstmgraph.errors import GraphError as GraphError
    from lstmgraph.errors import LstmGraphError as LstmGraphError
    from lstmgraph.errors import ParameterError as ParameterError
    from lstmgraph.errors import ShapeError as ShapeError
    from lstmgraph.errors import UnknownCellError as UnknownCellError
    from lstmgraph.finite import check_finite as check_finite
    from lstmgraph.forward_mode import tangent as tangent
    from lstmgraph.gradient_check import check_gradients as check_gradients
    from lstmgraph.interpreter import interpret as interpret
    from lstmgraph.layers import cumax as cumax
    from lstmgraph.layers import delay as delay
    from lstmgraph.layers import embedding as embedding
    from lstmgraph.layers import gate as gate
    from lstmgraph.layers import layer_norm as layer_norm
    from lstmgraph.layers import linear as linear
    from lstmgraph.layers import mean as mean
    from lstmgraph.layers import one_hot as one_hot
    from lstmgraph.layers import parameter as parameter
    from lstmgraph.layers import recur as recur
    from lstmgraph.layers import sigmoid_layer as sigmoid_layer
    from lstmgraph.layers import softmax as softmax
    from lstmgraph.layers import softplus as softplus
    from lstmgraph.layers import split as split
    from lstmgraph.layers import tanh_layer as tanh_layer
    from lstmgraph.masks import dropout as dropout
    from lstmgraph.notation.equations import Equations as Equations
    from lstmgraph.notation.equations import equations as equations
    from lstmgraph.ops.contract import Op
    from lstmgraph.program import Gradients as Gradients
    from lstmgraph.program import Program as Program
    from lstmgraph.program import compile as compile
    from lstmgraph.reporting import Report as Report
    from lstmgraph.reporting import report as report
    from lstmgraph.testing import assert_same as assert_same
    from lstmgraph.trace import cell as cell
    from lstmgraph.trace import network as network
    from lstmgraph.traced import Cell as Cell
    from lstmgraph.traced import Network as Network
    from lstmgraph.train import SGD as SGD
    from lstmgraph.train import Adam as Adam
    from lstmgraph.train import AdamW as AdamW
    from lstmgraph.train import Model as Model
    from lstmgraph.train import load as load
    from lstmgraph.visual import Figure as Figure
    from lstmgraph.visual import draw as draw

    exp: Op
    log: Op
    sqrt: Op
    sin: Op
    floor: Op
    sigmoid: Op
    tanh: Op
    relu: Op
    maximum: Op
    minimum: Op
    select: Op
    equal: Op
    concat: Op
    row_sum: Op
    row_max: Op
    stop_gradient: Op
    cumulative_sum: Op
    abs: Op
