"""The steps of a tape: kernels, a step in Python, and kernels that follow each other as one call of the player.

Which rows a thread computes depends on the lengths of a batch; a tape, which does not, holds how they are dealt out.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from itertools import zip_longest

from lstmgraph.jit.frame import Array, Entry, Frame
from lstmgraph.jit.player import Call, Player, Rounds, Segment, Step, play, play_in_python, playing_alone
from lstmgraph.jit.rows import Rows

Share = Callable[[Rows], Rounds]


@dataclass(frozen=True, eq=False)
class Launch:
    """Kernels of a tape, how their work is dealt out in rounds, and its most floating-point operations.

    The rounds may depend on the rows of a batch. If the tasks of a round wait for each other, `alone` says for each
    round what one thread does in their place. `places` is where each kernel's buffers stand among all of the tape.
    """

    entries: tuple[Entry, ...]
    places: tuple[int, ...]
    rounds: Rounds | Share
    work: float
    alone: Sequence[Sequence[Call]]

    def of(self, rows: Rows) -> list[Step]:
        """Return its rounds for the rows of a batch."""
        if callable(self.rounds):
            return self._steps(self.rounds(rows), rows.count)
        return self._steps(self.rounds, rows.count) if self._counted else self._always

    @cached_property
    def _counted(self) -> bool:
        return any(entry.counted for entry in self.entries)

    @cached_property
    def _always(self) -> list[Step]:
        """The rounds, if they are the same for all batches."""
        assert not callable(self.rounds)
        return self._steps(self.rounds, 0)

    def _steps(self, rounds: Rounds, count: int) -> list[Step]:
        kernels = tuple(
            [
                (entry.function, place, entry.sizes_for(count))
                for entry, place in zip(self.entries, self.places, strict=True)
            ]
        )
        work = self.work / len(rounds)
        return [Step(kernels, tasks, instead, work) for tasks, instead in zip_longest(rounds, self.alone, fillvalue=())]


@dataclass(frozen=True, eq=False)
class Kernels:
    """Kernels that are plain Python."""

    entries: tuple[Entry, ...]
    step: Step

    def on(self, frame: Frame) -> Callable[[], object]:
        """Return how they run on a frame's memory."""
        bound = [
            (function, [frame.array(ref) for ref in entry.refs], sizes)
            for entry, (function, _, sizes) in zip(self.entries, self.step.kernels, strict=True)
        ]
        return partial(play_in_python, bound, self.step.tasks)


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

    player: Player
    segment: Segment
    slots: Array  # of the kernels' buffers
    blank: Array  # the bytes from a slot's memory to the buffer; then the shared words, all zero

    def on(self, frame: Frame) -> Callable[[], object]:
        """Return how it runs on a frame's memory; words that threads share must be new each time."""
        if self.segment.helpers:
            return partial(self.play, frame.addresses)
        return playing_alone(self.player, self.segment, self.memory(frame.addresses))

    def play(self, addresses: Array) -> None:
        """Run them on the memory at these addresses, by slot."""
        play(self.player, self.segment, self.memory(addresses))

    def memory(self, addresses: Array) -> Array:
        """Return the words that a playing needs: where the buffers lie, then what threads share, all zero."""
        memory = self.blank.copy()
        memory[: len(self.slots)] += addresses.take(self.slots)
        return memory
