"""A line: one plan over sequences and how to run it, recorded once for a shape of batch."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import count
from typing import Any

import numpy as np

from lstmgraph.border import Arrays
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
from lstmgraph.jit.arena import address
from lstmgraph.jit.executor import Context, Executor, in_memory
from lstmgraph.jit.fit import Fit
from lstmgraph.jit.frame import Array, Binding, Frame, Packing
from lstmgraph.jit.operands import record_packings
from lstmgraph.jit.rows import NO_ROWS, Rows
from lstmgraph.jit.run_once import Fill, Once
from lstmgraph.jit.run_recur import RunRecur
from lstmgraph.jit.run_reduce import RunReduce
from lstmgraph.jit.run_rows import RunRows
from lstmgraph.jit.tape import Tape
from lstmgraph.schedule.plan import Plan, make_plan
from lstmgraph.sequences import COTANGENT, DIRECTION
from lstmgraph.traced import Traced

PADDED = " padded"  # after a node's name: its value in the user's order, with padding
TAPES = 16  # shapes of batches whose recordings are kept
_moments = count(1)
RUNNERS: dict[str, Callable[..., Any]] = {
    "once": Once,
    "fill": Fill,
    "rows": RunRows,
    "recur": RunRecur,
    "reduce": RunReduce,
}
Request = tuple[tuple[str, ...], tuple[int, ...], frozenset[str], bool]  # values, phases, what is fed, onward


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
        self._ways: dict[str, tuple[tuple[str, Once], ...]] = {}
        self._parameters = named(graph, "parameter")
        self._constants = {
            key: np.asarray(node_of(graph, key).attr("value"), executor.dtype) for key in keys_of(graph, "constant")
        }
        for stage in self.plan.stages:  # what follows from sizes alone
            if stage.form == "once" and self._constants.keys() >= {key for _, key in stage.sources}:
                self._constants[stage.key] = self._runners[stage].compute(self._constants)
        self.constants = frozenset(self._constants)
        self._forms: dict[str, tuple[int, int]] = {}  # result -> its leading dimensions, and features of a row
        self._leaves = {
            f"{node.op}:{node.name}": (key, lead(node.shape))
            for key, node in graph.nodes(data="node")
            if node.op in LEAVES[:-1]
        }
        rows = [key for key, ahead in self._leaves.values() if ahead]
        self._numbers = frozenset(key for key in rows if not node_of(graph, key).attr("integer"))  # leaves of rows
        self._sources = {sink: operands(graph, key)[0] for sink, key in traced.sinks.items()}
        self._choices: dict[Request, Choice] = {}
        self._cotangents: dict[str, dict[str, dict[str, tuple[str, str]]]] = {}
        self._packings: dict[tuple[str, ...], Fit] = {}
        self._packed: dict[Choice, dict[str, Packing]] = {}  # by name, of tapes that serve one call
        self.stretches: dict[Any, int] = {}  # what `lstmgraph.stretch_memory` found for recent calls
        self._tapes: dict[tuple[Any, ...], Tape] = {}  # by the extent of the batch
        self._fits: dict[tuple[Any, ...], Fit] = {}  # by its lengths

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

    def bind(self, params: Arrays, brief: bool) -> Binding:
        """Return parameters, for one call or for many; what follows from them is computed when it is first read."""
        given = {key: params[name] for name, key in self._parameters.items() if name in params}
        return Binding(self._constants | given, brief)

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
        return self.reach([self._sources[sink] for sink in sinks], phases)

    def reach(
        self,
        keys: Iterable[str],
        phases: tuple[int, ...],
        known: frozenset[str] = frozenset(),
        onward: bool = False,
    ) -> Choice:
        """Return the stages of some phases that values need, given those that the caller feeds.

        If `onward`, sums over rows go on from what the caller's arrays hold, in place.
        """
        request = (tuple(dict.fromkeys(keys)), phases, known, onward)
        if request not in self._choices:
            wanted = set(request[0])
            stages = []
            last: dict[str, Any] = {}
            for stage in reversed(self.plan.stages):
                if any(key in wanted and key not in known for _, key in stage.results):
                    wanted |= {key for _, key in stage.sources}
                    if stage.phase in phases and not (stage.form == "once" and stage.key in self.fixed):
                        runner = self._runners[stage]
                        stages.append(runner.onward if onward and stage.form == "reduce" else runner)
                        last |= {key: runner for _, key in stage.sources if key not in last}
            self._choices[request] = Choice(tuple(reversed(stages)), frozenset(wanted), request[0], last)
        return self._choices[request]

    def memory(
        self,
        binding: Binding,
        rows: Rows,
        choice: Choice,
        keep: frozenset[str] = frozenset(),
        besides: Iterable[str] = (),
        padded: bool = False,
    ) -> tuple[int, int, int]:
        """Return what `Tape.memory` says of what was chosen but for some results, and bytes of tables; runs nothing."""
        spared = [name for key in besides for name in (key, key + PADDED)]
        fit = self._fitted(self._record(choice, keep, Context(rows, {}, binding, padded=padded)), rows)
        return *fit.tape.memory(spared), fit.table_bytes

    def source(self, sink: tuple[str, str]) -> str | None:
        """Return the node of a result, if there is such a result."""
        return self._sources.get(sink)

    def is_leaf(self, key: str) -> bool:
        """Whether a node is what a caller feeds."""
        return node_of(self.graph, key).op in LEAVES

    def leaf(self, name: str) -> str | None:
        """Return the node of a leaf by ``kind:name``, if something reads it."""
        return self._leaves.get(name, (None,))[0]

    def context(
        self,
        binding: Binding,
        rows: Rows,
        feeds: Mapping[str, Any],
        padded: bool = True,
        kept: Mapping[str, Any] | None = None,
    ) -> Context:
        """Return a context with the leaves in place; feeds by ``kind:name``, with padding and in the user's order."""
        context = Context(rows, dict(kept or {}), binding, padded=padded)
        self.feed(context, feeds)
        return context

    def feed(self, context: Context, feeds: Mapping[str, Any]) -> None:
        """Put leaves into a context: as they are if they may be padded, else packed."""
        rows = context.rows
        for name, value in feeds.items():
            if name not in self._leaves:  # nothing in this graph reads it
                continue
            key, ahead = self._leaves[name]
            if ahead and rows.order is not None and not (context.padded and key in self._numbers):
                value = rows.pack(value) if len(ahead) == 2 else rows.sort(value)
            context.values[key] = value
            context.lent.add(key)

    def run(self, context: Context, choice: Choice, keep: frozenset[str] = frozenset()) -> Fit:
        """Run what was chosen; its results, and what `keep` names, are in the context afterwards. Return what ran."""
        fit = self._fit(choice, keep, context)
        if fit not in context.binding.prepared:
            self._complete(context.binding, fit.tape)
        fit.play(context)
        return fit

    def open(self, context: Context, choice: Choice) -> Frame:
        """Return what was chosen ready to run, again and again over the same memory; its results are in the context."""
        fit = self._fitted(self._record(choice, frozenset(), context), context.rows)
        self._complete(context.binding, fit.tape)
        frame = fit.open(context)
        frame.give(context.values)
        return frame

    def _fit(self, choice: Choice, keep: frozenset[str], context: Context) -> Fit:
        """Return what runs for a batch: what was recorded for others of its extent, fitted to its lengths."""
        form = (choice, keep, context.rows.extent, context.binding.brief, context.padded)
        tape = self._tapes.get(form)
        if tape is None:
            tape = _remembered(self._tapes, form, self._record(choice, keep, context))
        return self.fit(tape, context.rows)

    def fit(self, tape: Tape, rows: Rows) -> Fit:
        """Return a tape fitted to the lengths of a batch."""
        fit = self._fits.get((tape, rows.key))
        if fit is None:
            fit = _remembered(self._fits, (tape, rows.key), self._fitted(tape, rows))
        fit.used = tape.used = next(_moments)
        return fit

    def _fitted(self, tape: Tape, rows: Rows) -> Fit:
        return Fit(tape, rows, {name: self._form(name.removesuffix(PADDED)) for name in tape.results})

    def _complete(self, binding: Binding, tape: Tape) -> None:
        """Compute and pack what a tape reads of the parameters, once a bind."""
        for key in tape.bound:
            if key not in binding.values:
                self._follow(binding, key)
        missing = [packing for name, (packing, _) in tape.packs.items() if name not in binding.packs]
        if missing:
            names = tuple([packing.name for packing in missing])
            if names not in self._packings:
                tape = Tape(self.executor, NO_ROWS.extent, self.sizes, fixed=self.fixed)
                for name, packed in record_packings(tape, missing, self._memory(binding, missing)).items():
                    tape.give(name, packed)
                tape.finish(names)
                self._packings[names] = Fit(tape, NO_ROWS, {})
            packs = self._packings[names]
            for key in packs.tape.bound:
                self._follow(binding, key)
            packs.play(Context(NO_ROWS, {}, Binding(binding.values, brief=True)), binding.packs)

    def _memory(self, binding: Binding, packings: Iterable[Packing]) -> dict[str, tuple[str, Array]]:
        """Return of each matrix the node in whose memory it lies: of a transposed parameter's that is the parameter."""
        found, parameters = {}, set(self._parameters.values())
        for key in dict.fromkeys(key for packing in packings for key in packing.keys):
            matrix, sources = self._follow(binding, key), operands(self.graph, key)
            below = binding.values[sources[0]] if len(sources) == 1 and sources[0] in parameters else None
            lies = below is not None and address(in_memory(matrix)) == address(below)
            found[key] = (sources[0], matrix) if lies else (key, np.ascontiguousarray(matrix))
        return found

    def _record(self, choice: Choice, keep: frozenset[str], context: Context) -> Tape:
        results, extent = [*choice.results, *sorted(keep)], context.rows.extent
        unpacked = [key for key in choice.results if extent.ragged and self._form(key)[0]]
        last = {key: runner for key, runner in choice.last.items() if key not in results}

        def recorded(packings: list[Packing]) -> Tape:
            padded = self._numbers if context.padded else frozenset()
            tape = Tape(self.executor, extent, self.sizes, choice.wanted, self.fixed, last, padded)
            if packings:
                tape.packed = record_packings(tape, packings, self._memory(context.binding, packings))
            for runner in choice.stages:
                runner.record(tape)
            for key in unpacked if context.padded else ():
                if key in tape.given:
                    tape.unpack(key, key + PADDED, *self._form(key))
            return tape

        packings = self._packed.get(choice, {}) if context.binding.brief else {}
        tape = recorded(list(packings.values()))
        if context.binding.brief and tape.packs:  # batches of another shape pack others
            more = {name: packing for name, (packing, _) in tape.packs.items()}
            packings = self._packed[choice] = packings | more
            tape = recorded(list(packings.values()))
        given = [key for key in unpacked if key + PADDED in tape.given]
        packed = [key for key in results if (key not in given or key in keep) and key not in tape.padded]
        tape.finish([*packed, *(key + PADDED for key in given)])
        return tape

    def cotangent_sinks(self, prefix: str) -> dict[str, dict[str, tuple[str, str]]]:
        """Return the outputs whose names begin so, by kind and then by name of the leaf that they belong to."""
        found = self._cotangents.get(prefix)
        if found is None:
            found = {"parameter": {}, "input": {}, "state": {}}
            for sink in self.traced.sinks:
                if sink[0] == "output" and sink[1].startswith(prefix):
                    kind, _, leaf = sink[1].removeprefix(prefix).partition(":")
                    found.setdefault(kind, {})[leaf] = sink
            self._cotangents[prefix] = found
        return found

    def result(self, context: Context, sink: tuple[str, str]) -> Any:
        """Return a result as the user sees it, and the user's own: no argument, nor what another result is."""
        key, padded, shown = self._shown[sink]
        values = context.values
        if padded in values:
            key = padded
        if key not in values or key in context.lent:
            return self.view(context, sink).copy()
        context.lent.add(key)
        value = values[key]
        return value if value.ndim == shown else self.view(context, sink)

    def view(self, context: Context, sink: tuple[str, str]) -> Any:
        """Return a result where it lies, padded, in the user's order."""
        key, padded, shown = self._shown[sink]
        rows, (ahead, width) = context.rows, self._form(key)
        if padded in context.values:
            return context.values[padded]
        value = context.values[key] if key in context.values else self._follow(context.binding, key)
        if not ahead or (value.ndim == shown and rows.order is None):
            return value
        as_given = context.padded and key in self._numbers
        if ahead == 2:
            return rows.unpack(rows.pack(value) if as_given else value, width)
        value = value.reshape(rows.B, width)
        return value if as_given else rows.unsort(value)

    def shown(self, key: str, tape: Tape) -> str:
        """Return the name under which a tape gives a node's value as the user sees it; none if it does not."""
        if key + PADDED in tape.unpacked:
            return key + PADDED
        return "" if tape.extent.ragged and self._form(key)[0] else key

    @cached_property
    def _shown(self) -> dict[tuple[str, str], tuple[str, str, int]]:
        """Of each result the node, the name of its padded value, and its dimensions as the user sees it."""
        found = {}
        for sink, key in self._sources.items():
            shape = node_of(self.graph, key).shape
            found[sink] = (key, key + PADDED, len(lead(shape)) + len(features(shape)))
        return found

    def _form(self, key: str) -> tuple[int, int]:
        """Return how many dimensions of a node's value are rows, and the features of a row."""
        form = self._forms.get(key)
        if form is None:
            shape = node_of(self.graph, key).shape
            ahead = len(lead(shape))
            form = self._forms[key] = (ahead, int(resize(features(shape)[-1], self.sizes)) if ahead else 0)
        return form


def _remembered(known: dict[tuple[Any, ...], Any], key: tuple[Any, ...], value: Any) -> Any:
    """Return what is known by a key, from now on this value; what lay unused longest is dropped.

    Other threads may come and go meanwhile.
    """
    value.used = next(_moments)
    value = known.setdefault(key, value)
    oldest = sorted(known.copy().items(), key=lambda pair: pair[1].used)
    for each, _ in oldest[: max(len(oldest) - TAPES, 0)]:
        known.pop(each, None)
    return value
