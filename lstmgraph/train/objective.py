"""A network and a loss make one graph: one more input, the target, and the loss as the output."""

from collections.abc import Mapping
from typing import Any

from lstmgraph.errors import GraphError
from lstmgraph.graph import (
    Builder,
    Dim,
    Shape,
    Symbol,
    features,
    named,
    operands,
    rebuild,
    resize,
)
from lstmgraph.trace import IntegerInput, tracing
from lstmgraph.traced import Cell, Traced
from lstmgraph.train.losses import Body, Loss

TARGET = "target"
LOSS = "loss"


def objective(network: Traced, loss: Loss) -> Any:
    """Return the network whose one output is the loss of each row: what training differentiates.

    Parameters
    ----------
    network : Network or Cell
        What is trained.
    loss : Loss
        What is made small.

    Returns
    -------
    Network or Cell
        With the inputs of `network` and ``target``, its states, and the output ``loss`` of size 1.

    Raises
    ------
    GraphError
        If the loss is not one value of size 1 a row.
    """
    return _with_outputs(network, loss, {LOSS: loss.body})


def measures(network: Traced, loss: Loss) -> Any:
    """Return the network whose outputs are the loss and what is measured beside it, of each row."""
    return _with_outputs(network, loss, {LOSS: loss.body, **loss.measures})


def _with_outputs(network: Traced, loss: Loss, bodies: Mapping[str, Body]) -> Any:
    if loss.graph is not None:
        return loss.graph
    try:
        return _build(network, loss, bodies, integer=False)
    except IntegerInput as found:
        if found.name != target_name(network):
            raise
        return _build(network, loss, bodies, integer=True)


def target_name(network: Traced) -> str:
    """Return the name of the target's input: no input of the network has it."""
    name = TARGET
    while name in network.inputs:
        name += "_"
    return name


def _build(network: Traced, loss: Loss, bodies: Mapping[str, Body], integer: bool) -> Any:
    builder = Builder()
    outputs = named(network.graph, "output")
    keep = [key for key in network.graph if key not in outputs.values()]
    made = rebuild(network.graph, builder, keep=keep)
    values = {name: made[operands(network.graph, key)[0]] for name, key in outputs.items()}
    rows: Shape = ("B",) if isinstance(network, Cell) else ("T", "B")
    shape = rows if integer else (*rows, _target_size(values))
    attrs: dict[str, Any] = {"name": target_name(network)} | ({"integer": True} if integer else {})
    target = builder.leaf("input", shape, **attrs)
    prediction: Any = next(iter(values.values())) if len(values) == 1 else values
    builder.graph.graph["names"] = dict.fromkeys(network.graph.graph["labels"])
    with tracing(builder):
        for name, body in bodies.items():
            result = body(prediction, target)
            _check(result, rows, f"loss {loss.name!r} of {network.name}: {name}")
            builder.sink("output", result, name)
    builder.graph.graph["labels"] = {
        label: made[key].key for label, key in network.graph.graph["labels"].items() if key in made
    }
    returns = "single" if len(bodies) == 1 else tuple(bodies)
    return type(network)(builder.freeze(network.name), returns)  # errors name what the user wrote


def _target_size(values: Mapping[str, Symbol]) -> Any:
    """Return the size of a target of numbers: that of the (first) prediction."""
    return next(iter(values.values())).shape[-1]


def check_size(whole: Traced, sizes: Mapping[Dim, Dim]) -> None:
    """Raise if the loss of a row, now that all sizes are known, is no single value.

    Raises
    ------
    GraphError
        If so.
    """
    size = resize(whole.result_shape("output", LOSS)[-1], sizes) if LOSS in whole.outputs else 1
    if size != 1:
        raise GraphError(
            f"loss of {whole.name}: got {size} values a row, expected one; sum over the features with lg.row_sum"
        )


def _check(result: Any, rows: Shape, where: str) -> None:
    if not isinstance(result, Symbol):
        raise GraphError(f"{where}: got {type(result).__name__}, expected a value of the network")
    dims = features(result.shape)
    # a size that only the data settle is looked at when they are there
    fits = len(dims) == 1 and (dims[0] == 1 or isinstance(dims[0], str))
    if result.shape[: len(rows)] != rows or not fits:
        raise GraphError(
            f"{where}: got shape {result.shape}, expected one value a row, {(*rows, 1)}; "
            "sum over the features with lg.row_sum"
        )
