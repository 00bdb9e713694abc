"""One step after the other: a program over memory that every step uses again, for streaming."""

from typing import TYPE_CHECKING, Any

import numpy as np

from lstmgraph.border import Arrays
from lstmgraph.graph import features, resize
from lstmgraph.jit.rows import full_rows
from lstmgraph.traced import Traced

if TYPE_CHECKING:
    from lstmgraph.bound import Bound


class Stepper:
    """Steps of B rows; everything but the numbers is decided once.

    Parameters
    ----------
    bound : Bound
        A program with its parameters.
    B : int
        Rows.
    """

    def __init__(self, bound: "Bound", B: int) -> None:
        program = bound.program
        traced, sizes = program.traced, {**program.sizes, "B": B}
        engine = program.engine_for(False, False, frozenset())
        line, sequence = engine.main, engine.sequence

        def zeros(leaf: str) -> Any:
            node = traced.leaves[leaf]
            shape = [B, *(int(resize(dim, sizes)) for dim in features(node.shape))]
            return np.zeros(shape, np.int64 if node.attr("integer") else program.dtype)

        inputs: Arrays = {name: zeros(f"input:{name}") for name in traced.inputs}
        states: Arrays = {name: zeros(f"state:{name}") for name in traced.states}
        self.inputs = [(name, own, own.shape, own.dtype) for name, own in inputs.items()]
        self.states = [(name, own, own.shape, own.dtype) for name, own in states.items()]
        self.limits = [(inputs[name], limit) for name, limit in program.index_limits.items()]
        feeds = {f"input:{name}": value[None] for name, value in inputs.items()}
        feeds |= {f"state:{name}": value for name, value in states.items()}
        context = line.context(bound.binding(line), full_rows(1, B), feeds)
        sinks = [("output", name) for name in sequence.outputs] + [("next", name) for name in traced.states]
        self.frame = line.open(context, line.choose(sinks, (0,)))
        self.thunks = self.frame.thunks()
        self.outputs = {
            name: of_one_step(sequence, name, line.view(context, ("output", name))) for name in sequence.outputs
        }
        self.output = next(iter(self.outputs.values())) if len(self.outputs) == 1 else None
        self.finals = [(name, line.view(context, ("next", name))) for name in traced.states]

    def take(self, x: dict[str, Any], state: Any) -> bool:
        """Copy arrays in if they can be taken as they are; all others go the way that checks and casts."""
        if not _taken(x, self.inputs):
            return False
        if state is None:
            for _, own, _, _ in self.states:
                own.fill(0)
        elif not _taken(state, self.states):
            return False
        return not self.limits or all(index.min() >= 0 and index.max() < limit for index, limit in self.limits)

    def step(self) -> tuple[Any, Arrays]:
        """Run one step, and return copies of its results."""
        for thunk in self.thunks:
            thunk()
        state = {name: value.copy() for name, value in self.finals}
        if self.output is not None:
            return self.output.copy(), state
        return {name: value.copy() for name, value in self.outputs.items()}, state


def of_one_step(sequence: Traced, name: str, value: Any) -> Any:
    """Return an output of a sequence of one step as that step's; a sum over rows is what it is."""
    return value[0] if sequence.result_shape("output", name)[:1] == ("T",) else value


def _taken(given: Any, owns: list[tuple[str, Any, Any, Any]]) -> bool:
    """Copy arrays into our own, or say that one of them is of another kind, shape or type."""
    if type(given) is not dict or len(given) != len(owns):
        return False
    for name, own, shape, dtype in owns:
        value = given.get(name)
        if type(value) is not np.ndarray or value.shape != shape or value.dtype is not dtype:
            return False
        own[...] = value
    return True
