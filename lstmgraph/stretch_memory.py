"""How long stretches may be: what they need in memory, and the longest that a budget allows."""

from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from lstmgraph.errors import GraphError
from lstmgraph.graph import keys_of, node_of
from lstmgraph.jit.rows import Rows, stretch_of
from lstmgraph.line import TAPES
from lstmgraph.stretch_plan import StretchPlan

if TYPE_CHECKING:
    from lstmgraph.bound import Bound

FINE = 8  # numbers of stretches that are tried between one and its double, for the least budget


def longest_stretch(plan: StretchPlan, bound: "Bound", budget: int, apart: bool) -> int:
    """Return the most steps of a stretch that need no more bytes than a budget: all of them if they may be run as one.

    Raises
    ------
    GraphError
        If no stretch is short enough.
    """
    rows, known = plan.call.rows, plan.line.stretches
    key = (rows.key, frozenset(plan.wanted), budget, apart)
    if key not in known:
        if len(known) >= TAPES:
            known.clear()
        known[key] = rows.T if whole_bytes(plan, bound, apart) <= budget else _longest(plan, bound, budget)
    return known[key]


def _longest(plan: StretchPlan, bound: "Bound", budget: int) -> int:
    """Return the most steps, less than all, that fit."""
    T = plan.call.rows.T
    plan.check()
    states, always = _state_bytes(plan), _row_bytes(plan)

    @cache
    def need(every: int) -> int:
        return always + stretch_bytes(plan, bound, every)

    every, before = T, 0
    while every != before:  # beside the states of so many stretches there is room for fewer steps, in more stretches
        before = every
        every = _largest(need, budget - states * -(-T // every), every)
        if not every:
            break
    if every:
        return every
    least = _least(lambda every: need(every) + states * -(-T // every), T)
    raise GraphError(
        f"{plan.call.program.traced.name}: got memory_budget={budget} for {T} steps of {plan.call.rows.B} rows, "
        f"expected at least {least} bytes"
    )


def _largest(need: Callable[[int], int], room: int, most: int) -> int:
    """Return the largest number up to `most` whose need there is room for, or 0; a smaller number needs less."""
    if need(most) <= room:
        return most
    low, high, straight = 0, most, True
    while high - low > 1:
        middle = (low + high) // 2
        if straight and low:  # the need is about a straight line; every second time the middle, for it is none
            middle = low + (high - low) * (room - need(low)) // (need(high) - need(low))
        middle, straight = min(max(middle, low + 1), high - 1), not straight
        low, high = (middle, high) if need(middle) <= room else (low, middle)
    return low


def _least(need: Callable[[int], int], T: int) -> int:
    """Return the least that stretches of 1 to T steps need, of lengths that are close to each other."""
    count, found = 1.0, []
    while count <= T:
        found.append(need(-(-T // int(count))))
        count = max(count * 2 ** (1 / FINE), count + 1)
    return min(found)


def _state_bytes(plan: StretchPlan) -> int:
    """Return the bytes of the states that are kept for a stretch."""
    width = sum(plan.form(state.start)[1] for state in plan.states)
    return plan.call.rows.B * width * plan.call.program.dtype.itemsize


def _row_bytes(plan: StretchPlan) -> int:
    """Return the bytes of what is held for all rows: where steps begin; where lengths differ, all sequences packed."""
    rows, graph = plan.call.rows, plan.line.graph
    if rows.order is None:
        return 16 * rows.T
    leaves = [key for key in keys_of(graph, "input") if plan.form(key)[0] == 2]
    results = [key for key in (*plan.results, *plan.gradients) if plan.form(key)[0] == 2]
    item = plan.call.program.dtype.itemsize
    sizes = [8 if node_of(graph, key).attr("integer") else item * plan.form(key)[1] for key in (*leaves, *results)]
    return 16 * rows.T + (16 + sum(sizes)) * rows.count


def stretch_bytes(plan: StretchPlan, bound: "Bound", every: int) -> int:
    """Return the bytes that a stretch of so many steps needs, there or back."""
    whole, binding = plan.call.rows, bound.binding(plan.line)
    rows, forms = Rows(every, whole.B), 4  # there and back, and the last one
    if whole.order is not None:
        forms = TAPES  # each stretch has lengths of its own, and a later one may be ragged where the first is full
        first = stretch_of(whole, 0, every)
        rows = _nearly_full(every, whole.B) if first.order is None else first
    found = [plan.line.memory(binding, rows, choice) for choice in dict.fromkeys((*plan.ahead, *plan.back))]
    return max(within + results for within, results, _ in found) + forms * max(tables for _, _, tables in found)


def _nearly_full(every: int, B: int) -> Rows:
    """Return rows of so many steps, and one more where they may have it, so that not all are full."""
    lengths = np.full(B, every + 1)
    lengths[-1:] = every
    return Rows(every + 1, B, lengths)


def whole_bytes(plan: StretchPlan, bound: "Bound", apart: bool) -> int:
    """Return the bytes that the call needs if it is run as one, its cotangents known `apart` or before."""
    call = plan.call
    line = call.engine.passes(call.rows.count, apart=apart)
    plain, wanted = call.plain_sinks(), call.gradient_sinks(line, plan.wanted)
    results = [key for sink in (*plain, *wanted) if (key := line.source(sink)) is not None]
    back, none = line.choose(wanted, (1, 2)), frozenset[str]()
    if not apart:
        runs = [(line.choose([*plain, *wanted], (0, 1)), none)]
    else:
        runs = [(line.choose([*plain, *wanted], (0,)), back.wanted), (back, none)]
    return sum(
        sum(line.memory(bound.binding(line), call.rows, choice, keep, results, padded=True)) for choice, keep in runs
    )
