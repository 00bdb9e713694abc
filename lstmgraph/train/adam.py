"""Adam: steps scaled by running means of the gradient and of its square."""

import math
from dataclasses import dataclass, field
from typing import ClassVar

from lstmgraph.errors import GraphError
from lstmgraph.graph import Symbol
from lstmgraph.layers import parameter
from lstmgraph.trace import cell
from lstmgraph.train.optimizer import Optimizer


def adam_step(g: Symbol, m: Symbol, v: Symbol) -> tuple[Symbol, Symbol, Symbol]:
    """Return the step to take and the next moments (Kingma & Ba 2015, algorithm 1).

    The numbers are parameters of the graph, so one machine code serves all their values; 1 - beta comes as a
    number of its own, for the difference would lose digits in float32.
    """

    def number(name: str) -> Symbol:
        return parameter(name, shape=())

    g = number("scale") * g
    m = number("keep_1") * m + number("take_1") * g
    v = number("keep_2") * v + number("take_2") * (g * g)
    return number("rate") * m / (number("root") * v.builder.add("sqrt", v) + number("epsilon")), m, v


@cell
def _rule(p: Symbol, g: Symbol, m: Symbol, v: Symbol, /) -> dict[str, Symbol]:
    step, m, v = adam_step(g, m, v)
    return {"p": p - step, "m": m, "v": v}


@dataclass(frozen=True)
class Adam(Optimizer):
    """Adam (Kingma & Ba 2015, algorithm 1), as torch.optim.Adam.

    Parameters
    ----------
    learning_rate, clip_norm : float
        See `Optimizer`.
    betas : tuple of two floats
        How much of the running means of the gradient and of its square is kept at each step.
    epsilon : float
        Added to the root of the mean square.

    Examples
    --------
    >>> Adam(3e-3, clip_norm=1.0)
    Adam(learning_rate=0.003, clip_norm=1.0, betas=(0.9, 0.999), epsilon=1e-08)
    """

    betas: tuple[float, float] = field(default=(0.9, 0.999), kw_only=True)
    epsilon: float = field(default=1e-8, kw_only=True)

    rule: ClassVar = _rule
    moments: ClassVar = ("m", "v")

    def __post_init__(self) -> None:
        """Check the numbers."""
        super().__post_init__()
        if not isinstance(self.betas, tuple | list) or len(self.betas) != 2:
            raise GraphError(f"{type(self).__name__}: got betas={self.betas!r}, expected two numbers")
        object.__setattr__(self, "betas", tuple(self.betas))
        for beta in self.betas:
            self.check("betas", beta, below=1)
        self.check("epsilon", self.epsilon, zero=False)

    def numbers(self, step: int, rate: float) -> dict[str, float]:
        """Return the numbers of a step, with the correction of the moments' start at zero."""
        first, second = self.betas
        return {
            "keep_1": first,
            "take_1": 1 - first,
            "keep_2": second,
            "take_2": 1 - second,
            "rate": rate / (1 - first**step),
            "root": 1 / math.sqrt(1 - second**step),
            "epsilon": self.epsilon,
        }
