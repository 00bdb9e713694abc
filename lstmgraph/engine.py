"""The engine behind a program: graphs of the forward pass, its gradient and second order, their plans, and runs."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import count
from typing import Any

import numpy as np

from lstmgraph.border import Arrays
from lstmgraph.forward_mode import moving_leaves, with_tangent
from lstmgraph.graph import (
    LEAVES,
    SINKS,
    Dim,
    ancestors,
    features,
    is_row,
    keys_of,
    lead,
    named,
    node_of,
    operands,
    resize,
)
from lstmgraph.jit.executor import Context, Executor, in_memory
from lstmgraph.jit.frame import Binding, Frame, address
from lstmgraph.jit.operands import record_packings
from lstmgraph.jit.rows import NO_ROWS, Rows
from lstmgraph.jit.run_once import Fill, Once
from lstmgraph.jit.run_recur import RunRecur
from lstmgraph.jit.run_reduce import RunReduce
from lstmgraph.jit.run_rows import RunRows
from lstmgraph.jit.tape import Tape
from lstmgraph.resets import with_learned_starts
from lstmgraph.schedule.plan import Plan, make_plan
from lstmgraph.schedule.resolve import resolve
from lstmgraph.schedule.save import save
from lstmgraph.schedule.split import split
from lstmgraph.schedule.tables import by_entry, entries, few
from lstmgraph.sequences import COTANGENT, over_sequences, with_gradient, with_records, with_results
from lstmgraph.traced import Traced

DIRECTION = "v:"
SECOND = f"{DIRECTION}output:{COTANGENT}"  # prefix of the tangents of cotangents
TAPES = 16  # shapes of batches whose recordings are kept
_moments = count(1)


RUNNERS: dict[str, Callable[..., Any]] = {
    "once": Once,
    "fill": Fill,
    "rows": RunRows,
    "recur": RunRecur,
    "reduce": RunReduce,
}
Request = tuple[tuple[tuple[str, str], ...], tuple[int, ...]]


@dataclass(frozen=True, eq=False)
class Choice:
    """The stages that a request needs, all keys that are read, and those of its results."""

    stages: tuple[Any, ...]
    wanted: frozenset[str]
    results: tuple[str, ...]
    last: Mapping[str, Any]  # node -> the stage that reads it last


class Line:
    """One plan and how to run it: a graph over sequences, from arrays to arrays."""

    def __init__(self, traced: Traced, executor: Executor, sizes: Mapping[Dim, Dim], late: Iterable[str] = ()) -> None:
        self.traced = traced
        self.executor = executor
        self.sizes = dict(sizes)
        self.plan: Plan = make_plan(traced, executor.target, late)
        graph = self.graph = traced.graph
        self.fixed = self._constant_keys()
        self._runners = {
            stage: RUNNERS[stage.form](stage, self.plan, executor, self.sizes, self.fixed) for stage in self.plan.stages
        }
        self._lies: dict[str, str | None] = {}  # matrix -> the parameter in whose memory it lies
        self._ways: dict[str, tuple[tuple[str, Once], ...]] = {}
        self._parameters = named(graph, "parameter")
        self._constants = {
            key: np.asarray(node_of(graph, key).attr("value"), executor.dtype) for key in keys_of(graph, "constant")
        }
        self._forms: dict[str, tuple[int, int]] = {}  # result -> its leading dimensions, and features of a row
        self._leaves = {
            f"{node.op}:{node.name}": (key, lead(node.shape))
            for key, node in graph.nodes(data="node")
            if node.op in LEAVES[:-1]
        }
        self._sources = {sink: operands(graph, key)[0] for sink, key in traced.sinks.items()}
        self._choices: dict[Request, Choice] = {}
        self._packings: dict[tuple[str, ...], Tape] = {}
        self._tapes: dict[tuple[Choice, frozenset[str], Any], Tape] = {}

    def _constant_keys(self) -> frozenset[str]:
        """Return the parameters and invariants that follow from them (cotangents, directions and masks are none)."""
        graph, fixed = self.graph, set()
        for key, node in graph.nodes(data="node"):
            invariant = node.op not in (*LEAVES, *SINKS) and not is_row(node.shape)
            if (
                (node.op == "parameter" and not node.name.startswith((COTANGENT, DIRECTION)) and not node.attr("fixed"))
                or node.op == "constant"
                or (invariant and all(s in fixed for s in operands(graph, key)))
            ):
                fixed.add(key)
        return frozenset(fixed)

    def bind(self, params: Arrays) -> Binding:
        """Return parameters; what follows from them alone is computed when it is first read."""
        given = {key: params[name] for name, key in self._parameters.items() if name in params}
        return Binding(self._constants | given)

    def _follow(self, binding: Binding, key: str) -> Any:
        """Return a parameter, or a value that follows from parameters alone."""
        values = binding.values
        if key not in values:
            with np.errstate(all="ignore"):
                for each, once in self._steps_to(key):
                    if each not in values:
                        values[each] = once.compute(values)
        return values[key]

    def _steps_to(self, key: str) -> tuple[tuple[str, Once], ...]:
        """Return the computations of parameters alone that lead to a value, in order."""
        if key not in self._ways:
            needed = ancestors(self.graph, [key])
            once = [stage for stage in self.plan.stages if stage.form == "once" and stage.key in needed]
            self._ways[key] = tuple((stage.key, self._runners[stage]) for stage in once)
        return self._ways[key]

    def choose(self, sinks: Iterable[tuple[str, str]], phases: tuple[int, ...]) -> Choice:
        """Return the stages of some phases that the given results need."""
        request = (tuple(sinks), phases)
        if request not in self._choices:
            wanted = {self._sources[sink] for sink in request[0]}
            stages = []
            last: dict[str, Any] = {}
            for stage in reversed(self.plan.stages):
                if any(key in wanted for _, key in stage.results):
                    wanted |= {key for _, key in stage.sources}
                    if stage.phase in phases and not (stage.form == "once" and stage.key in self.fixed):
                        stages.append(self._runners[stage])
                        last |= {key: self._runners[stage] for _, key in stage.sources if key not in last}
            results = tuple(dict.fromkeys(self._sources[sink] for sink in request[0]))
            self._choices[request] = Choice(tuple(reversed(stages)), frozenset(wanted), results, last)
        return self._choices[request]

    def context(self, binding: Binding, rows: Rows, feeds: Mapping[str, Any]) -> Context:
        """Return a context with the leaves in place; feeds by ``kind:name``, padded and in the user's order."""
        context = Context(rows, {**self.sizes, "T": rows.T, "B": rows.B}, {}, binding)
        self.feed(context, feeds)
        return context

    def feed(self, context: Context, feeds: Mapping[str, Any]) -> None:
        """Put leaves into a context, packed."""
        rows = context.rows
        for name, value in feeds.items():
            if name not in self._leaves:  # nothing in this graph reads it
                continue
            key, ahead = self._leaves[name]
            if len(ahead) == 2:
                value = rows.pack(value)
            elif ahead:
                value = np.ascontiguousarray(rows.sort(value)).reshape(-1)
            context.values[key] = value
            context.lent.add(key)

    def run(self, context: Context, choice: Choice, keep: frozenset[str] = frozenset()) -> None:
        """Run what was chosen; its results, and what `keep` names, are in the context afterwards."""
        key = (choice, keep, context.rows.key)
        tape = self._tapes.get(key)
        if tape is None:
            tape = self._tapes.setdefault(key, self._record(choice, keep, context))
            self._forget()
        tape.used = next(_moments)
        if tape not in context.binding.prepared:
            self._complete(context.binding, tape)
        tape.play(context)

    def _forget(self) -> None:
        """Drop the recordings that lay unused longest; other threads may come and go meanwhile."""
        known = sorted(self._tapes.copy().items(), key=lambda pair: pair[1].used)
        for key, _ in known[: max(len(known) - TAPES, 0)]:
            self._tapes.pop(key, None)

    def open(self, context: Context, choice: Choice) -> Frame:
        """Return what was chosen ready to run, again and again over the same memory; its results are in the context."""
        tape = self._record(choice, frozenset(), context)
        self._complete(context.binding, tape)
        frame = tape.open(context)
        frame.give(context.values)
        return frame

    def _complete(self, binding: Binding, tape: Tape) -> None:
        """Compute and pack what a tape reads of the parameters, once a bind."""
        for key in tape.bound:
            if key not in binding.values:
                self._follow(binding, key)
        missing = [packing for name, (packing, _) in tape.packs.items() if name not in binding.packs]
        if missing:
            names = tuple([packing.name for packing in missing])
            flat = {key: self._memory(binding, key) for packing in missing for key in packing.keys}
            if names not in self._packings:
                matrices = {key: self._follow(binding, key) for key in flat}
                self._packings[names] = record_packings(self.executor, missing, matrices)
            self._packings[names].play(Context(NO_ROWS, {}, flat, Binding({})), binding.packs)

    def _memory(self, binding: Binding, key: str) -> Any:
        """Return a matrix as it lies; for the transpose of a parameter that is the parameter, in every bind."""
        if key not in self._lies:
            memory = in_memory(self._follow(binding, key))
            given = [leaf for leaf in self._parameters.values() if leaf in binding.values]
            owners = (leaf for leaf in given if address(binding.values[leaf]) == address(memory))
            self._lies[key] = next(owners, None)
        leaf = self._lies[key]
        return in_memory(self._follow(binding, key)) if leaf is None else binding.values[leaf]

    def _record(self, choice: Choice, keep: frozenset[str], context: Context) -> Tape:
        results = [*choice.results, *sorted(keep)]
        last = {key: runner for key, runner in choice.last.items() if key not in results}
        tape = Tape(self.executor, context.rows, self.sizes, choice.wanted, self.fixed, last)
        for runner in choice.stages:
            runner.record(tape)
        tape.finish(results)
        tape.used = next(_moments)
        return tape

    def result(self, context: Context, sink: tuple[str, str]) -> Any:
        """Return a result as the user sees it, and the user's own: no argument, nor what another result is."""
        value = self.view(context, sink)
        key = self._sources[sink]
        if key not in context.values or key in context.lent:
            return value.copy()
        context.lent.add(key)
        return value

    def view(self, context: Context, sink: tuple[str, str]) -> Any:
        """Return a result where it lies, padded, in the user's order."""
        key = self._sources[sink]
        value = context.values[key] if key in context.values else self._follow(context.binding, key)
        if key not in self._forms:
            shape = node_of(self.graph, key).shape
            ahead = len(lead(shape))
            self._forms[key] = (ahead, int(resize(features(shape)[-1], context.sizes)) if ahead else 0)
        form, width = self._forms[key]
        if form == 0:
            return value
        rows = context.rows
        return rows.unpack(value, width) if form == 2 else rows.unsort(value.reshape(rows.B, width))


class Engine:
    """The plans of one traced graph at one set of sizes; each is made when it is first asked for."""

    def __init__(
        self, traced: Traced, executor: Executor, sizes: Mapping[Dim, Dim], learned: frozenset[str] = frozenset()
    ) -> None:
        self.executor = executor
        self.sizes = dict(sizes)
        sequence = with_learned_starts(over_sequences(traced), learned)
        self.sequence: Traced = resolve(sequence, tuple(sorted(sizes.items(), key=str)))
        self._records: dict[tuple[str, ...], Line] = {}
        self._tangents: dict[frozenset[str], Line] = {}
        self._passes: dict[tuple[int, bool], Line] = {}  # by the entries of the largest such table, and the form

    @cached_property
    def main(self) -> Line:
        """Forward and backward pass, sharing what is saved; a plain call runs its first phase."""
        return self.passes(0, apart=True)

    @cached_property
    def whole(self) -> Line:
        """Forward and backward pass in one, for cotangents that are known before."""
        return self.passes(0, apart=False)

    def passes(self, rows: int, apart: bool) -> Line:
        """`main` or `whole` for so many rows: products that follow a table of few entries are taken over these."""
        graph, sizes = self._both
        most = few(sizes, rows)
        if (most, apart) not in self._passes:
            graph = by_entry(graph, self.sizes, most) if most else graph
            late = [name for name in (*graph.inputs, *graph.parameters) if apart and name.startswith(COTANGENT)]
            self._passes[most, apart] = Line(graph, self.executor, self.sizes, late)
        return self._passes[most, apart]

    @cached_property
    def _both(self) -> tuple[Traced, dict[int, int]]:
        graph = split(save(with_gradient(self.sequence)))
        return graph, entries(graph, self.sizes)

    @cached_property
    def second(self) -> Line:
        """The derivatives of the cotangents along a direction of the parameters: forward mode over reverse mode."""
        moving = frozenset(leaf for leaf in moving_leaves(self.sequence) if leaf.startswith("parameter:"))
        graph = with_results(with_tangent(with_gradient(self.sequence), moving, DIRECTION), SECOND)
        return Line(split(save(graph)), self.executor, self.sizes)

    def records(self, names: Mapping[str, tuple[str, str]]) -> Line:
        """The forward pass with values inside the recurs as outputs."""
        key = tuple(sorted(names))
        if key not in self._records:
            self._records[key] = Line(split(with_records(self.sequence, names)), self.executor, self.sizes)
        return self._records[key]

    def tangents(self, moving: frozenset[str]) -> Line:
        """The forward pass with directions of some leaves, and tangents of the results as outputs."""
        if moving not in self._tangents:
            graph = split(with_tangent(self.sequence, moving, DIRECTION))
            self._tangents[moving] = Line(graph, self.executor, self.sizes)
        return self._tangents[moving]
