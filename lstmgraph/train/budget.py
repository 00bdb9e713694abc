"""How long training goes on, and the learning rate on the way: limits, a clock that can pause, schedules."""

import math
import numbers
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from lstmgraph.errors import GraphError, nearest

Schedule = Callable[[int, float], float]

SCHEDULES: dict[str, Schedule] = {
    "constant": lambda step, progress: 1.0,
    "linear": lambda step, progress: 1 - progress,
    "cosine": lambda step, progress: (1 + math.cos(math.pi * progress)) / 2,
}


def as_schedule(schedule: str | Schedule) -> Schedule:
    """Return a schedule by its name, or the function given.

    Raises
    ------
    GraphError
        If no schedule has this name.
    """
    if callable(schedule):
        return schedule
    if schedule not in SCHEDULES:
        raise GraphError(
            f"schedule: got {schedule!r}, expected {', '.join(SCHEDULES)} or a function of step and progress"
            + nearest(str(schedule), list(SCHEDULES))
        )
    return SCHEDULES[schedule]


@dataclass
class Budget:
    """Limits of one run of training; the first one reached ends it.

    Parameters
    ----------
    steps : int, optional
        Steps to take.
    seconds : float, optional
        Time to train for; compiling and validation do not count.
    """

    steps: int | None
    seconds: float | None
    taken: int = 0
    _begun: float = field(default_factory=time.perf_counter)
    _paused: float = 0.0

    def __post_init__(self) -> None:
        """Check the limits."""
        for name, value in (("steps", self.steps), ("seconds", self.seconds)):
            real = isinstance(value, numbers.Real) and not isinstance(value, bool)
            if value is not None and not (real and 0 <= float(value) < math.inf):
                raise GraphError(f"{name}: got {value!r}, expected a finite number, 0 or more")

    @property
    def elapsed(self) -> float:
        """Seconds trained."""
        return time.perf_counter() - self._begun - self._paused

    @property
    def progress(self) -> float:
        """How much is used up, 0 to 1."""
        shares = [0.0]
        if self.steps is not None:
            shares.append(self.taken / self.steps if self.steps else 1.0)
        if self.seconds is not None:
            shares.append(self.elapsed / self.seconds if self.seconds else 1.0)
        return min(max(shares), 1.0)

    def restart(self) -> None:
        """Start the clock anew."""
        self._begun, self._paused = time.perf_counter(), 0.0

    def pause(self) -> "Pause":
        """Return a context in which the clock stands."""
        return Pause(self)


class Pause:
    """A context in which a budget's clock stands."""

    def __init__(self, budget: Budget) -> None:
        self._budget = budget

    def __enter__(self) -> None:
        self._since = time.perf_counter()

    def __exit__(self, *_: object) -> None:
        self._budget._paused += time.perf_counter() - self._since
