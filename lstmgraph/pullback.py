"""A forward pass whose backward pass comes later, and may come again."""

from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any

from lstmgraph.border import Arrays, check_index_range, in_returned_form
from lstmgraph.call import Call, Gradients, as_gradients, make_read_only
from lstmgraph.line import Line
from lstmgraph.replay import Groups
from lstmgraph.running import Ends, arguments, form_of, with_nodes

if TYPE_CHECKING:
    from lstmgraph.bound import Bound

Usual = tuple[Call, Line, Mapping[str, Any]]  # a call, its plan, and what the backward pass reads, by node


class Pullback:
    """The backward pass of one call: ``pullback(dy, dstate=None) -> Gradients``.

    Parameters
    ----------
    bound : Bound
        The program and its parameters.
    x, state, ends
        The call's arguments; lengths and reset.
    wanted : set of str
        Which cotangents.
    """

    def __init__(self, bound: "Bound", x: Any, state: Any, ends: Ends, wanted: frozenset[str]) -> None:
        # what the caller puts into dictionaries from now on is not the call's
        x, state = (dict(each) if isinstance(each, Mapping) else each for each in (x, state))
        program, self.bound, self.wanted = bound.program, bound, wanted
        self.given = arguments(program, x, bound.params if bound.brief else None, state)
        self.replays = program.replays if bound.brief else bound.replays
        rows, self.form = form_of(program, self.given, ends, wanted, "apart")
        self.rows = None if rows is None or rows.order is not None else rows  # what is kept of ragged ones is packed
        self.arguments = (x, state, *(ends if self.rows is None else (None, None)))
        self.kept: Arrays = {}  # by node, what the forward pass computes for the backward pass

    def forward(self) -> tuple[Any, Arrays]:
        """Run the forward pass; return outputs, which are read-only from now on, and final states."""
        found = None if self.rows is None else self.replays.again(self.form, self.given.values(), self.rows)
        if found is None:
            y, final = self._forward()
        else:
            outputs, final, self.kept = found
            y = in_returned_form(outputs)
        make_read_only(y)
        return y, final

    def _forward(self) -> tuple[Any, Arrays]:
        call, line = self._call()
        context = line.context(self.bound.binding(line), call.rows, call.feeds())
        sinks = call.gradient_sinks(line, self.wanted)
        later = line.choose(sinks, (1, 2)).wanted
        fit = line.run(context, line.choose([*call.plain_sinks(), *sinks], (0,)), later)
        self.usual = call, line, {key: value for key, value in context.values.items() if key in later}
        if self.rows is not None:
            fed = {line.leaf(leaf) for leaf in call.feeds()}
            self.kept = {key: value for key, value in self.usual[2].items() if key not in fed}
            groups = Groups(with_nodes(call, line, self.given), call.result_nodes(line), tuple(self.kept))
            self.replays.learn(self.form, call, line, context, fit, groups)
        return call.results(line, context)

    def __call__(self, dy: Any, dstate: Any = None) -> Gradients:
        """Return the cotangents of the arguments; `dy` and `dstate` are those of the results."""
        program = self.bound.program
        cotangents = {"output": dy if type(dy) is dict else {program.engine.sequence.outputs[0]: dy}}
        if dstate is not None:
            cotangents["next"] = dstate
        given, form = [*self.given.values(), *cotangents.values(), self.kept], (self.form, *cotangents)
        if self.rows is not None and (found := self.replays.again(form, given, self.rows)) is not None:
            return as_gradients(program.traced, *found)
        call, line, kept = self.usual
        check_index_range(program.traced, call.inputs, program.index_limits)  # the caller may have changed them since
        context = line.context(self.bound.binding(line), call.rows, call.cotangents(dy, dstate), kept=kept)
        fit = line.run(context, line.choose(call.gradient_sinks(line, self.wanted), (1, 2)))
        if self.rows is not None:
            nodes = [*with_nodes(call, line, self.given | cotangents), (self.kept, {key: key for key in self.kept})]
            groups = Groups(nodes, call.cotangent_nodes(line, self.wanted))
            self.replays.learn(form, call, line, context, fit, groups)
        return call.collect(line, context, self.wanted)

    @cached_property
    def usual(self) -> Usual:
        """The call, its plan and what the backward pass reads; made here if the forward pass was replayed."""
        call, line = self._call()
        return call, line, line.context(self.bound.binding(line), call.rows, call.feeds()).values | self.kept

    def _call(self) -> tuple[Call, Line]:
        call = Call(self.bound.program, self.bound.params, *self.arguments)
        return call, call.engine.passes(call.rows.count, apart=True)
