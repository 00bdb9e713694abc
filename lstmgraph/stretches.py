"""Long sequences in little memory: states are kept at the ends of stretches of steps, and the way back replays each.

After Chen et al. 2016 (training deep nets with sublinear memory cost), along time. Results and gradients are those of
the whole bit for bit: the plan is that of the whole; every row is computed as there; sums over rows, which run from the
last row to the first, go on from stretch to stretch; and what follows from them runs once, when they are finished.
"""

from typing import TYPE_CHECKING, Any

import numpy as np

from lstmgraph.border import Arrays, check_index_range
from lstmgraph.call import Call, Gradients
from lstmgraph.errors import GraphError
from lstmgraph.graph import keys_of, node_of
from lstmgraph.jit.executor import Context
from lstmgraph.jit.frame import Binding
from lstmgraph.jit.rows import stretch_of
from lstmgraph.line import Choice
from lstmgraph.stretch_memory import longest_stretch
from lstmgraph.stretch_plan import State, StretchPlan
from lstmgraph.traced import Traced

if TYPE_CHECKING:
    from lstmgraph.bound import Bound

Values = dict[str, Any]


class Stretches:
    """A call that is run in stretches of some steps.

    Parameters
    ----------
    plan : StretchPlan
        What is run.
    binding : Binding
        The parameters.
    every : int
        Steps of a stretch; the last one may have fewer.
    """

    def __init__(self, plan: StretchPlan, binding: Binding, every: int) -> None:
        self.plan, self.binding = plan, binding
        rows = plan.call.rows
        self.edges = np.array([*range(0, rows.T, every), rows.T])
        self.count = len(self.edges) - 1
        call, line = plan.call, plan.line
        self.leaves: Values = line.context(binding, rows, call.feeds(), padded=False).values
        widths = {state.start: rows.B * plan.form(state.start)[1] for state in plan.states}
        # read again on the way back, when the caller may have changed them; a learned start is no leaf
        self.leaves |= {start: self.leaves[start].copy() for start in widths if start in self.leaves}
        dtype = plan.call.program.dtype
        self.kept = {start: np.empty((self.count, width), dtype) for start, width in widths.items()}
        self._last: object = None

    def forward(self) -> tuple[Any, Arrays]:
        """Run all stretches; return outputs and final states. The states between are kept."""
        plan, whole = self.plan, self._whole()
        for number in range(self.count):
            context = self._run(self._cut(self.leaves, number), number, plan.ahead[number > 0])
            self._gather(whole, context, plan.results, number)
            if number + 1 < self.count:
                for state in plan.states:
                    self.kept[state.start][number + 1] = context.values[state.end].reshape(-1)
            del context  # its memory serves the next one
        return plan.call.results(plan.line, whole)

    def backward(self, dy: Any, dstate: Any = None) -> Gradients:
        """Run all stretches back, the last one first."""
        plan, call, whole = self.plan, self.plan.call, self._whole()
        program = call.program
        check_index_range(program.traced, call.inputs, program.index_limits)  # the caller may have changed them since
        plan.line.feed(whole, call.cotangents(dy, dstate))
        leaves = dict(whole.values)
        leaves |= {key: np.zeros(plan.shape(key), program.dtype) for key in plan.sums}
        whole.values |= {key: leaves[key] for key in plan.sums}
        for number in reversed(range(self.count)):
            context = self._run(self._cut(leaves, number), number, plan.back[number > 0])
            self._gather(whole, context, plan.gradients, number)
            leaves |= {state.d_end: self._seed(context, state) for state in plan.states if state.d_end is not None}
            del context
        plan.line.run(whole, plan.end)
        return call.collect(plan.line, whole, self.plan.wanted)

    def _whole(self) -> Context:
        """Return a context over all steps with the arguments, packed."""
        return Context(self.plan.call.rows, dict(self.leaves), self.binding, set(self.leaves))

    def _run(self, values: Values, number: int, choice: Choice) -> Context:
        """Run a stretch; memory of stretches of another form goes back to the system first."""
        line, (begin, end) = self.plan.line, self.edges[number : number + 2].tolist()
        rows = stretch_of(self.plan.call.rows, begin, end)
        if (choice, rows.key) != self._last:
            line.executor.arena.clear()
            self._last = (choice, rows.key)
        context = Context(rows, values, self.binding)
        line.run(context, choice)
        return context

    def _cut(self, values: Values, number: int) -> Values:
        """Return a stretch's part of values over all rows, and the states that it begins with."""
        part = {
            key: value.reshape(-1)[self._part(key, number)] if self.plan.form(key)[0] == 2 else value
            for key, value in values.items()
        }
        return part | {key: rows[number] for key, rows in self.kept.items()} if number else part

    def _gather(self, whole: Context, context: Context, keys: list[str], number: int) -> None:
        """Put a stretch's results where those of the whole lie; an argument that is a result lies there."""
        for key in keys:
            if key in whole.lent or key not in context.values:
                continue
            value, ahead = context.values[key], self.plan.form(key)[0]
            if ahead < 2:  # rows of a stretch may all be in their places where those of the whole are not
                whole.values[key] = (value.reshape(-1) if ahead else value).copy()
                continue
            if key not in whole.values:
                count = self.plan.call.rows.count * self.plan.form(key)[1]
                whole.values[key] = self.plan.line.executor.take(count)
            whole.values[key][self._part(key, number)] = value.reshape(-1)

    def _seed(self, context: Context, state: State) -> Any:
        """Return the cotangent of a state at a stretch's start; zero where nothing reads it."""
        if state.d_start is not None:
            return context.values[state.d_start].copy()
        return np.zeros(context.rows.B * self.plan.form(state.start)[1], self.plan.call.program.dtype)

    def _part(self, key: str, number: int) -> slice:
        """Return where a stretch's rows of a value lie among all."""
        rows, width = self.plan.call.rows, self.plan.form(key)[1]
        first, last = ((rows.starts[1 + self.edges[number : number + 2]] - rows.B) * width).tolist()
        return slice(first, last)


def in_stretches(
    bound: "Bound",
    arguments: tuple[Any, Any, Any, Any],
    wanted: frozenset[str],
    every: int | None,
    budget: int | None,
    apart: bool,
) -> Stretches | None:
    """Return a call cut into stretches of `every` steps, or of as many as a budget allows; None if it need not be cut.

    Parameters
    ----------
    bound : Bound
        The program with its parameters.
    arguments : tuple
        x, state, lengths, reset.
    wanted : set of str
        Which cotangents.
    every : int, optional
        Steps.
    budget : int, optional
        Bytes.
    apart : bool
        Whether the cotangents are known only after the forward pass.

    Raises
    ------
    GraphError
        If numbers make no sense, something runs back in time, something reads a sum over all rows, or no stretch is
        short enough for the budget.
    """
    if every is None and budget is None:
        return None
    check_stretches(bound.program.traced, every, budget)
    plan = StretchPlan(Call(bound.program, bound.params, *arguments), wanted)
    binding, T = bound.binding(plan.line), plan.call.rows.T
    if every is None:
        assert budget is not None
        every = longest_stretch(plan, bound, int(budget), apart)
    if every >= T:
        return None
    plan.check()
    return Stretches(plan, binding, int(every))


def check_stretches(traced: Traced, every: Any, budget: Any) -> None:
    """Raise if a graph cannot be run in stretches of so many steps, or within so many bytes."""
    what = f"checkpoint_every={every!r}" if budget is None else f"memory_budget={budget!r}"
    if every is not None and budget is not None:
        raise GraphError(f"{traced.name}: got checkpoint_every={every!r} and {what}, expected one of them")
    number = budget if every is None else every
    if isinstance(number, bool) or not isinstance(number, int | np.integer) or number < 1:
        unit = "steps" if budget is None else "bytes"
        raise GraphError(f"{traced.name}: got {what}, expected a whole number of {unit} from 1 on")
    backward = [node_of(traced.graph, key) for key in keys_of(traced.graph, "recur")]
    if getattr(traced, "reverse", False) or any(node.attr("reverse") for node in backward):
        raise GraphError(
            f"{traced.name}: got {what} for what runs back in time, expected recurs that run forward; leave it out"
        )
