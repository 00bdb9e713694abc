"""The progress bar of training, drawn by tqdm."""

import sys
from collections.abc import Callable
from typing import Any

from lstmgraph.train.history import Step

_TICKS = 1000


class Progress:
    """A bar on stderr, or nothing.

    Parameters
    ----------
    show : bool or None
        None shows it if stderr is a terminal.
    say : callable
        The loss -> the text for it.
    """

    def __init__(self, show: bool | None, say: Callable[[float], str]) -> None:
        self._say = say
        self._bar: Any = None
        self._mean: float | None = None
        if show or (show is None and sys.stderr is not None and sys.stderr.isatty()):
            from tqdm import tqdm

            self._bar = tqdm(total=_TICKS, bar_format="{percentage:3.0f}% |{bar}| {elapsed}<{remaining}{postfix}")

    def __enter__(self) -> "Progress":
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.close()

    def update(self, step: Step, progress: float, rows: int) -> None:
        """Show where training is: the running mean of the loss, and the rows seen a second."""
        if self._bar is None:
            return
        self._mean = step.loss if self._mean is None else 0.98 * self._mean + 0.02 * step.loss
        speed = rows / max(step.seconds, 1e-9)
        text = f"{self._say(self._mean)}, {speed:,.0f} rows/s"
        self._bar.set_postfix_str(text, refresh=False)
        self._bar.update(round(progress * _TICKS) - self._bar.n)
