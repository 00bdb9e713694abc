"""AdamW: Adam with weight decay apart from the gradient."""

from dataclasses import dataclass, field
from typing import ClassVar

from lstmgraph.graph import Symbol
from lstmgraph.layers import parameter
from lstmgraph.trace import cell
from lstmgraph.train.adam import Adam, adam_step


@cell
def _rule(p: Symbol, g: Symbol, m: Symbol, v: Symbol, /) -> dict[str, Symbol]:
    step, m, v = adam_step(g, m, v)
    return {"p": p - parameter("decay", shape=()) * p - step, "m": m, "v": v}


@dataclass(frozen=True)
class AdamW(Adam):
    """Adam with decoupled weight decay (Loshchilov & Hutter 2019, algorithm 2), as torch.optim.AdamW.

    Parameters
    ----------
    learning_rate, clip_norm, betas, epsilon
        See `Adam`.
    weight_decay : float
        Each step takes ``learning_rate * weight_decay`` of every parameter away.

    Examples
    --------
    >>> AdamW(1e-3, weight_decay=0.1).weight_decay
    0.1
    """

    weight_decay: float = field(default=0.01, kw_only=True)

    rule: ClassVar = _rule

    def __post_init__(self) -> None:
        """Check the numbers."""
        super().__post_init__()
        self.check("weight_decay", self.weight_decay)

    def numbers(self, step: int, rate: float) -> dict[str, float]:
        """Return Adam's numbers and the share of the parameters that is taken away."""
        return super().numbers(step, rate) | {"decay": rate * self.weight_decay}
