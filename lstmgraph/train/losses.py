"""The losses by name: each a body of known ops that returns one value a row."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from lstmgraph.errors import GraphError, nearest
from lstmgraph.graph import Symbol, exact_shape

Body = Callable[[Symbol, Symbol], Symbol]


@dataclass(frozen=True)
class Loss:
    """A loss, what is measured beside it, and what follows from its mean.

    Parameters
    ----------
    name : str
        Its name.
    body : callable
        ``body(prediction, target) -> value of size 1 a row``, on symbols.
    measures : mapping
        Name -> body of further values of size 1 a row, reported as means.
    derived : mapping
        Name -> function of the mean loss.
    graph : Network or Cell, optional
        The network with the loss, read from a checkpoint: it stands in for a body that is gone.
    """

    name: str
    body: Body
    measures: Mapping[str, Body] = field(default_factory=dict)
    derived: Mapping[str, Callable[[float], float]] = field(default_factory=dict)
    graph: Any = None


def _chosen(prediction: Symbol, target: Symbol, value: Symbol) -> Symbol:
    """Return the feature of `value` that the target names."""
    from lstmgraph.layers import one_hot

    mark = one_hot(target, exact_shape(prediction)[-1])
    return value.builder.add("row_sum", value.builder.add("select", mark, value, 0.0))


def cross_entropy(prediction: Symbol, target: Symbol) -> Symbol:
    """Return -log softmax(prediction)[target], in nats; the target is an integer a row."""
    add = prediction.builder.add
    shifted = prediction - add("stop_gradient", add("row_max", prediction))
    return add("log", add("row_sum", add("exp", shifted))) - _chosen(prediction, target, shifted)


def accuracy(prediction: Symbol, target: Symbol) -> Symbol:
    """Return 1 where the greatest logit is the target's; where several are the greatest they share it."""
    add = prediction.builder.add
    greatest = add("equal", prediction, add("row_max", prediction))
    return _chosen(prediction, target, greatest) / add("row_sum", greatest)


def mean_squared_error(prediction: Symbol, target: Symbol) -> Symbol:
    """Return the mean over the features of (prediction - target)^2."""
    add = prediction.builder.add
    difference = prediction - target
    return add("row_sum", difference * difference) / add("size_of", size=exact_shape(difference)[-1])


LOSSES = {
    loss.name: loss
    for loss in (
        Loss(
            "cross_entropy",
            cross_entropy,
            {"accuracy": accuracy},
            {"bits_per_character": lambda nats: nats / math.log(2)},
        ),
        Loss("mean_squared_error", mean_squared_error),
    )
}


def as_loss(loss: "str | Body | Loss") -> Loss:
    """Return a loss by its name, or one made of a function of symbols.

    Raises
    ------
    GraphError
        If no loss has this name.
    """
    if isinstance(loss, Loss):
        return loss
    if callable(loss):
        return Loss(getattr(loss, "__name__", "loss"), loss)
    if loss not in LOSSES:
        raise GraphError(
            f"loss: got {loss!r}, expected {', '.join(LOSSES)} or a function (prediction, target) of symbols"
            + nearest(str(loss), list(LOSSES))
        )
    return LOSSES[loss]
