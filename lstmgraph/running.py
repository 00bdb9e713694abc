"""The forward pass, and the forward and the backward pass as one plan; a call like one before it is replayed."""

from collections.abc import Hashable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from lstmgraph.border import Arrays, in_returned_form
from lstmgraph.call import Call, Gradients, as_gradients, rows_of
from lstmgraph.jit.rows import Rows
from lstmgraph.line import Line
from lstmgraph.replay import Group, Groups, Keys

if TYPE_CHECKING:
    from lstmgraph.bound import Bound
    from lstmgraph.program import Program

Ends = tuple[Any, Any]  # lengths and reset


def forward_pass(
    program: "Program", params: Any, x: Any, state: Any, ends: Ends, bound: "Bound | None" = None
) -> tuple[Any, Arrays]:
    """Return outputs and final states, of parameters or of a program that has them."""
    given = arguments(program, x, params if bound is None else None, state)
    rows, form = form_of(program, given, ends)
    replays = program.replays if bound is None else bound.replays
    if rows is not None and (found := replays.again(form, given.values(), rows)) is not None:
        return in_returned_form(found[0]), found[1]
    call = Call(program, program.checked(params) if bound is None else params, x, state, *ends)
    line = call.engine.main
    binding = line.bind(call.params, brief=True) if bound is None else bound.binding(line)
    context = line.context(binding, call.rows, call.feeds())
    fit = line.run(context, call.choice(line, frozenset(), (0,)))
    if rows is not None:
        groups = Groups(with_nodes(call, line, given), call.result_nodes(line))
        replays.learn(form, call, line, context, fit, groups)
    return call.results(line, context)


def both_passes(
    program: "Program", params: Mapping[str, Any], x: Any, dy: Any, state: Any, ends: Ends, wanted: frozenset[str]
) -> tuple[Any, Arrays, Gradients]:
    """Return outputs, final states and cotangents, for cotangents of the outputs that are known before."""
    given = arguments(program, x, params, state)
    given["output"] = dy if type(dy) is dict else {program.engine.sequence.outputs[0]: dy}
    rows, form = form_of(program, given, ends, wanted)
    if rows is not None and (found := program.replays.again(form, given.values(), rows)) is not None:
        return in_returned_form(found[0]), found[1], as_gradients(program.traced, *found[2:])
    call = Call(program, program.checked(params), x, state, *ends)
    line = call.engine.passes(call.rows.count, apart=False)
    context = line.context(line.bind(call.params, brief=True), call.rows, call.feeds() | call.cotangents(dy, None))
    fit = line.run(context, call.choice(line, wanted, (0, 1)))
    if rows is not None:
        results = [*call.result_nodes(line), *call.cotangent_nodes(line, wanted)]
        groups = Groups(with_nodes(call, line, given), results)
        program.replays.learn(form, call, line, context, fit, groups)
    y, final = call.results(line, context)
    return y, final, call.collect(line, context, wanted)


def arguments(program: "Program", x: Any, params: Any, state: Any) -> dict[str, Group]:
    """Return the arguments of a call by kind, the inputs first; what is None, and so none of them, is left out."""
    inputs = x if type(x) is dict else {program.forms.first: x}
    kinds = {"input": inputs, "parameter": params, "state": state}
    return {kind: group for kind, group in kinds.items() if group is not None}


def with_nodes(call: Call, line: Line, given: Mapping[str, Group]) -> list[tuple[Group, Keys]]:
    """Return arguments of some kinds, each with its nodes."""
    return [(group, call.nodes(line, kind)) for kind, group in given.items()]


def form_of(
    program: "Program", given: Mapping[str, Group], ends: Ends, *wanted: Hashable
) -> tuple[Rows | None, Hashable]:
    """Return a batch's rows, and what decides how it runs if its arguments have the forms of those before.

    No rows for calls that are not replayed. Lengths that are none raise a ShapeError.
    """
    name, features, _ = program.forms.inputs[0]
    first: Any = given["input"].get(name)
    if type(first) is not np.ndarray or first.ndim < 2 or first.shape[2:] != features or ends[1] is not None:
        return None, None
    T, B = first.shape[:2]
    rows = rows_of(T, B, ends[0])
    return rows, (rows.extent, first.shape, *given, *wanted)
