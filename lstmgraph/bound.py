"""A program with its parameters packed: for many calls, for pullbacks, for streaming."""

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from lstmgraph.border import Arrays, as_array
from lstmgraph.call import WRT, Gradients, checked_wrt
from lstmgraph.errors import ShapeError
from lstmgraph.graph import features, resize
from lstmgraph.jit.frame import Binding
from lstmgraph.line import Line
from lstmgraph.pullback import Pullback
from lstmgraph.replay import Replays
from lstmgraph.running import forward_pass
from lstmgraph.stepping import Stepper, of_one_step

if TYPE_CHECKING:
    from lstmgraph.program import Program


STEPPERS = 16  # numbers of rows for which memory is kept


class Bound:
    """A program with its parameters packed."""

    def __init__(self, program: "Program", params: Arrays, brief: bool = False) -> None:
        self.program = program
        self.brief = brief  # for one call alone
        self.params = params
        self._bindings: dict[Line, Binding] = {}
        self._first = program.traced.inputs[0]
        shape = features(program.traced.leaves[f"input:{self._first}"].shape)
        self._row = tuple(int(resize(dim, program.sizes)) for dim in shape)
        self._dtype = program.forms.inputs[0][2]
        self._learned = program.learned
        self.replays = Replays()
        self._idle: dict[tuple[int, ...], list[Stepper]] = {}  # by shape of x; one that a thread uses is in no list

    def binding(self, line: Line) -> Binding:
        """Return the parameters as a plan wants them."""
        if line not in self._bindings:
            self._bindings[line] = line.bind(self.params, self.brief)
        return self._bindings[line]

    def __call__(self, x: Any, state: Any = None, lengths: Any = None, reset: Any = None) -> tuple[Any, Arrays]:
        """Run over sequences: as `Program.__call__` without the parameters."""
        return forward_pass(self.program, self.params, x, state, (lengths, reset), bound=self)

    def step(self, x: Any, state: Any = None) -> tuple[Any, Arrays]:
        """Run one step: x [B, I] -> y [B, H] and the next states.

        Arrays of the program's dtype are the fast way: of those nothing but their shapes is looked at.
        """
        given = x if type(x) is dict else {self._first: x}
        first: Any = given.get(self._first)
        idle = None
        if type(first) is np.ndarray and first.dtype is self._dtype:
            idle = self._idle.get(first.shape)
            if idle is None:
                idle = self._idle_steppers(first)
        if idle is not None and (state is not None or not self._learned):
            try:
                stepper = idle.pop()
            except IndexError:  # other threads use them all
                stepper = Stepper(self, len(first))
            try:
                found = stepper.step(given, stepper.zeros if state is None else state)
            finally:
                idle.append(stepper)
            if found is not None:
                return found
        return checked_step(self.program, self, x, state)

    def _idle_steppers(self, first: Any) -> list[Stepper] | None:
        """Return the steppers for as many rows as an input has, none yet; None if it is of another shape."""
        if not first.size or first.ndim == 0 or first.shape[1:] != self._row:
            return None
        if len(self._idle) >= STEPPERS:
            self._idle.clear()
        return self._idle.setdefault(first.shape, [])

    def vjp(
        self, x: Any, state: Any = None, lengths: Any = None, reset: Any = None, wrt: Iterable[str] = WRT
    ) -> tuple[Any, Arrays, Callable[..., Gradients]]:
        """Run and return the pullback: as `Program.vjp` without the parameters."""
        pullback = Pullback(self, x, state, (lengths, reset), checked_wrt(wrt))
        return *pullback.forward(), pullback


def checked_step(program: "Program", run: Callable[..., Any], x: Any, state: Any) -> tuple[Any, Arrays]:
    """Return outputs and next states of a step, as `run` finds them for a sequence of one; raise for what is none."""
    traced, sizes = program.traced, program.sizes
    given = dict(x) if isinstance(x, Mapping) else {traced.inputs[0]: x}
    sequences = {}
    for name, value in given.items():
        node = traced.leaves.get(f"input:{name}")
        dims = () if node is None else features(node.shape)
        expected = ", ".join(["B", *(str(resize(dim, sizes)) for dim in dims)])
        array = as_array(f"{traced.name}: input {name}", value, f"an array [{expected}]")
        if node is not None and array.ndim != 1 + len(dims):
            raise ShapeError(
                f"{traced.name}: input {name}: got shape {list(array.shape)} for one step, expected "
                f"[{expected}]; call the program for a sequence"
            )
        sequences[name] = array if f"parameter:{name}" in traced.leaves else array[None]  # a mask of weights
    y, state = run(sequences, state=state)
    if not isinstance(y, dict):
        return y[0], state
    sequence = program.engine.sequence
    return {name: of_one_step(sequence, name, value) for name, value in y.items()}, state
