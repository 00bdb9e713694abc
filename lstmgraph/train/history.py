"""What training did, step by step."""

from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True, slots=True)
class Step:
    """One training step.

    Parameters
    ----------
    step : int
        Its number since the model was made.
    epoch : int
        The epoch it belongs to, from 0.
    loss : float
        The mean loss of its rows, before the step.
    rows : int
        How many rows it saw.
    norm : float
        The norm of all gradients together, before clipping.
    learning_rate : float
        As the schedule had it.
    seconds : float
        Since this run of training began; compiling and validation do not count.
    """

    step: int
    epoch: int
    loss: float
    rows: int
    norm: float
    learning_rate: float
    seconds: float


class History(list[Step]):
    """The steps of one call of ``fit``, in order.

    Attributes
    ----------
    validation : list of (step, dict)
        What ``evaluate`` gave, with the number of the step after which it was called.
    interrupted : bool
        Whether Ctrl-C ended training.
    """

    def __init__(self) -> None:
        super().__init__()
        self.validation: list[tuple[int, dict[str, float]]] = []
        self.interrupted = False

    @property
    def loss(self) -> Any:
        """The loss of each step, as an array."""
        return np.array([step.loss for step in self])

    @property
    def rows_per_second(self) -> float:
        """Rows seen a second of training."""
        return sum(step.rows for step in self) / max(self[-1].seconds, 1e-9) if self else 0.0

    def __repr__(self) -> str:
        if not self:
            return "<history of no steps>"
        return f"<history of {len(self)} steps, loss {self[0].loss:.4g} to {self[-1].loss:.4g}>"
