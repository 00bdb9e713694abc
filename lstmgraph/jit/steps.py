"""The steps of a tape: kernels, a step in Python, and kernels that follow each other as one call of the player."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from lstmgraph.jit.frame import Array, Entry, Frame
from lstmgraph.jit.player import Call, Function, Segment, Tasks, play, play_in_python, playing_alone


@dataclass(frozen=True, eq=False)
class Kernels:
    """A step of kernels, what one thread does in its place if need be, its cost in floating-point operations."""

    entries: tuple[Entry, ...]
    tasks: Tasks
    alone: Sequence[Call]
    work: float

    def on(self, frame: Frame) -> Callable[[], object]:
        """Return how they run as plain Python on a frame's memory."""
        bound = [(entry.function, [frame.array(ref) for ref in entry.refs], entry.sizes) for entry in self.entries]
        return partial(play_in_python, bound, self.tasks)


@dataclass(frozen=True, eq=False)
class Python:
    """A step in Python."""

    step: Callable[[Frame], None]

    def on(self, frame: Frame) -> Callable[[], object]:
        """Return how it runs on a frame's memory."""
        return partial(self.step, frame)


@dataclass(frozen=True, eq=False)
class Played:
    """Steps of kernels that follow each other, as one call of the player."""

    player: Function
    segment: Segment
    slots: Array  # of each kernel's buffers
    blank: Array  # the bytes from a slot's memory to the buffer; then the shared words, all zero

    def on(self, frame: Frame) -> Callable[[], object]:
        """Return how it runs on a frame's memory; words that threads share must be new each time."""
        if self.segment.helpers:
            return lambda: play(self.player, self.segment, self._memory(frame))
        return playing_alone(self.player, self.segment, self._memory(frame))

    def _memory(self, frame: Frame) -> Array:
        memory = self.blank.copy()
        memory[: len(self.slots)] += frame.addresses.take(self.slots)
        return memory
