"""Stochastic gradient descent with momentum."""

from dataclasses import dataclass, field
from typing import ClassVar

from lstmgraph.graph import Symbol
from lstmgraph.layers import parameter
from lstmgraph.trace import cell
from lstmgraph.train.optimizer import Optimizer


@cell
def _rule(p: Symbol, g: Symbol, m: Symbol, /) -> dict[str, Symbol]:
    m = parameter("momentum", shape=()) * m + parameter("scale", shape=()) * g
    return {"p": p - parameter("rate", shape=()) * m, "m": m}


@dataclass(frozen=True)
class SGD(Optimizer):
    """Gradient descent with momentum, as torch.optim.SGD.

    ``m = momentum * m + g; p = p - learning_rate * m`` (Polyak 1964).

    Parameters
    ----------
    learning_rate, clip_norm : float
        See `Optimizer`.
    momentum : float
        0 (none) to less than 1.

    Examples
    --------
    >>> SGD(0.1, momentum=0.9)
    SGD(learning_rate=0.1, clip_norm=None, momentum=0.9)
    """

    learning_rate: float = 0.1
    momentum: float = field(default=0.0, kw_only=True)

    rule: ClassVar = _rule
    moments: ClassVar = ("m",)

    def __post_init__(self) -> None:
        """Check the numbers."""
        super().__post_init__()
        self.check("momentum", self.momentum, below=1)

    def numbers(self, step: int, rate: float) -> dict[str, float]:
        """Return the momentum and the rate."""
        return {"momentum": self.momentum, "rate": rate}
