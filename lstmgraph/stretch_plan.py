"""Stretches of steps in a plan: what is run for each of them, and what once at the end."""

from dataclasses import dataclass
from functools import cached_property
from math import prod

from lstmgraph.call import Call
from lstmgraph.errors import GraphError
from lstmgraph.graph import features, lead, node_of, operands, resize
from lstmgraph.line import Choice, Line
from lstmgraph.resets import learned_nodes
from lstmgraph.sequences import COTANGENT


@dataclass(frozen=True)
class State:
    """Nodes of a state: at the start and the end of a stretch, and their cotangents where there are any."""

    start: str
    end: str
    d_start: str | None
    d_end: str | None


class StretchPlan:
    """What the stretches of a call need of the plan of the whole.

    Parameters
    ----------
    call : Call
        The call as a whole.
    wanted : set of str
        Which cotangents are wanted, as `Program.vjp` takes them.
    """

    def __init__(self, call: Call, wanted: frozenset[str]) -> None:
        self.call, self.wanted = call, wanted
        self.line: Line = call.engine.passes(call.rows.count, apart=True)
        self._forms: dict[str, tuple[int, int]] = {}

    @cached_property
    def states(self) -> list[State]:
        """The states that a stretch begins with; a learned value spread over rows stands for one."""
        line, learned = self.line, self.learned
        found = []
        for name in self.call.program.traced.states:
            start = learned.get(name) or line.leaf(f"state:{name}")
            end = line.source(("next", name))
            if start is not None and end is not None:
                back = ("output", f"{COTANGENT}{'start' if name in learned else 'state'}:{name}")
                found.append(State(start, end, line.source(back), line.leaf(f"input:{COTANGENT}next:{name}")))
        return found

    @cached_property
    def learned(self) -> dict[str, str]:
        """State -> node of the learned value that it starts at."""
        return learned_nodes(self.line.traced, self.call.engine.learned)

    @cached_property
    def results(self) -> list[str]:
        """The nodes of the results of a plain call."""
        return self._sources(self.call.plain_sinks())

    @cached_property
    def gradients(self) -> list[str]:
        """The nodes of the cotangents wanted that have rows."""
        return [key for key in self._sources(self._sinks()) if self.form(key)[0]]

    @cached_property
    def end(self) -> Choice:
        """What follows from the finished sums."""
        invariant = [key for key in self._sources(self._sinks()) if not self.form(key)[0]]
        return self.line.reach(invariant, (0, 2), known=self._all_sums)

    @cached_property
    def sums(self) -> list[str]:
        """The sums over rows that are wanted."""
        return sorted(self._all_sums & self.end.wanted)

    @cached_property
    def _all_sums(self) -> frozenset[str]:
        stages = self.line.plan.stages
        return frozenset(
            key for stage in stages if stage.form == "reduce" and stage.phase < 2 for _, key in stage.results
        )

    def _sinks(self) -> list[tuple[str, str]]:
        return self.call.gradient_sinks(self.line, self.wanted)

    def _sources(self, sinks: list[tuple[str, str]]) -> list[str]:
        return [key for sink in sinks if (key := self.line.source(sink)) is not None]

    @cached_property
    def ahead(self) -> tuple[Choice, Choice]:
        """The forward pass of the first stretch, and of a later one, whose states are given, learned ones too."""
        given = frozenset(self.learned.values())
        return self.line.reach(self.results, (0,)), self.line.reach(self.results, (0,), known=given)

    @cached_property
    def back(self) -> tuple[Choice, Choice]:
        """The replay and the way back of the first stretch, and of a later one; sums over rows go on."""
        starts = [state.d_start for state in self.states if state.d_start is not None]
        keys = [*self.gradients, *starts, *self.sums]
        lone = [key for key in self.gradients if self.form(key)[0] == 1]  # of the rows of a batch, not of steps
        lone += [key for key in self.sums if self.form(operands(self.line.graph, key)[0])[0] == 1]
        later = [key for key in keys if key in starts or key not in lone]
        given = frozenset(self.learned.values())
        return (
            self.line.reach(keys, (0, 1), onward=True),
            self.line.reach(later, (0, 1), known=given, onward=True),
        )

    def check(self) -> None:
        """Raise if a sum over all rows is needed before the last stretch has been run back."""
        stages = self.line.plan.stages
        early = self.line.reach(self.results, (0,)).wanted
        for stage in stages:
            late = stage.phase == 2 and stage.form in ("rows", "recur", "fill")
            if late or (stage.form == "reduce" and any(key in early for _, key in stage.results)):
                raise GraphError(
                    f"{self.call.program.traced.name}: got checkpoint_every or memory_budget for what reads a sum over "
                    "all rows, expected such sums in gradients of parameters alone; leave it out"
                )

    def form(self, key: str) -> tuple[int, int]:
        """Return how many dimensions of a node's value are rows, and the elements of a row."""
        if key not in self._forms:
            self._forms[key] = (len(lead(node_of(self.line.graph, key).shape)), prod(self.shape(key)))
        return self._forms[key]

    def shape(self, key: str) -> tuple[int, ...]:
        """Return the dimensions after the rows."""
        return tuple(int(resize(dim, self.line.sizes)) for dim in features(node_of(self.line.graph, key).shape))
