"""One step after the other: a program over memory that every step uses again, for streaming."""

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from lstmgraph.border import Arrays
from lstmgraph.graph import features, resize
from lstmgraph.jit.intake import NOTHING, intake
from lstmgraph.jit.player import Segment
from lstmgraph.jit.rows import full_rows
from lstmgraph.jit.steps import Played
from lstmgraph.traced import Traced

if TYPE_CHECKING:
    from lstmgraph.bound import Bound

Step = Callable[[dict[str, Any], Any], tuple[Any, Arrays] | None]
STEP = """
def step(x, state):
    if len(x) != {inputs} or type(state) is not dict or len(state) != {states}:
        return None
    try:
        taken = take({given}){checked}
    except Exception:  # another name, another type: the careful way says what is wrong, if anything is
        return None
    if not taken:
        return None
    for thunk in thunks:
        thunk()
    return {results}
"""


class Stepper:
    """Steps of B rows; everything but the numbers is decided once.

    Parameters
    ----------
    bound : Bound
        A program with its parameters.
    B : int
        Rows.

    Attributes
    ----------
    step : callable
        ``step(x, state)`` with arrays by name runs one step and returns copies of its results; None if the arrays must
        be looked at, and cast.
    zeros : dict
        What the states are where none are given.
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
        limits = [(inputs[name], limit) for name, limit in program.index_limits.items()]
        self.inputs = tuple(inputs)
        self.zeros = {name: np.zeros_like(own) for name, own in states.items()}
        feeds = {f"input:{name}": value[None] for name, value in inputs.items()}
        feeds |= {f"state:{name}": value for name, value in states.items()}
        context = line.context(bound.binding(line), full_rows(1, B), feeds)
        sinks = [("output", name) for name in sequence.outputs] + [("next", name) for name in traced.states]
        self.frame = line.open(context, line.choose(sinks, (0,)))
        self.thunks = self.frame.thunks()
        begun = NOTHING if limits else self._begun()
        self.take = intake(program.executor, [*inputs.values(), *states.values()], *begun)
        self.outputs = {
            name: of_one_step(sequence, name, line.view(context, ("output", name))) for name in sequence.outputs
        }
        self.finals = {name: line.view(context, ("next", name)) for name in traced.states}
        names: dict[str, Any] = {"take": self.take, "thunks": self.thunks, "in_range": partial(_in_range, limits)}
        names |= {f"output{place}": value for place, value in enumerate(self.outputs.values())}
        names |= {f"state{place}": value for place, value in enumerate(self.finals.values())}
        exec(self._source(checked=bool(limits)), names)
        self.step: Step = names.pop("step")  # its globals are the names: no ring that only the collector would find

    def _begun(self) -> tuple[Segment, Any]:
        """Take the first part away, if one thread plays it, and return it: the intake goes on with it."""
        first = self.frame.fit.parts[0] if self.thunks else None
        if not isinstance(first, Played) or first.segment.helpers:
            return NOTHING
        del self.thunks[0]
        return first.segment, first.memory(self.frame.addresses)

    def _source(self, checked: bool) -> str:
        """Return the text of what runs a step: with all names in place it takes two thirds of the time of loops."""
        given = [f"x[{name!r}]" for name in self.inputs] + [f"state[{name!r}]" for name in self.finals]
        outputs = {name: f"output{place}.copy()" for place, name in enumerate(self.outputs)}
        finals = {name: f"state{place}.copy()" for place, name in enumerate(self.finals)}
        y = next(iter(outputs.values())) if len(outputs) == 1 else _dictionary(outputs)
        return STEP.format(
            inputs=len(self.inputs),
            states=len(self.finals),
            given=", ".join(given),
            checked=" and in_range()" * checked,
            results=f"{y}, {_dictionary(finals)}",
        )


def _in_range(limits: list[tuple[Any, int]]) -> bool:
    return all(index.min() >= 0 and index.max() < limit for index, limit in limits)


def _dictionary(values: dict[str, str]) -> str:
    return f"{{{', '.join(f'{name!r}: {value}' for name, value in values.items())}}}"


def of_one_step(sequence: Traced, name: str, value: Any) -> Any:
    """Return an output of a sequence of one step as that step's; a sum over rows is what it is."""
    return value[0] if sequence.result_shape("output", name)[:1] == ("T",) else value
