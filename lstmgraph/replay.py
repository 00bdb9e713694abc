"""A call like one before it: arguments of the same forms are taken as they are, and all else has been decided.

On the usual way values go from hand to hand by name: arguments become leaves, leaves buffers, buffers results. For
batches that share a recording that way is the same, and is written down as addresses.
"""

from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from lstmgraph.border import Arrays, check_index_range
from lstmgraph.forms import fits
from lstmgraph.jit.arena import address
from lstmgraph.jit.executor import Context
from lstmgraph.jit.fit import Fit
from lstmgraph.jit.rows import Rows
from lstmgraph.jit.tape import Tape
from lstmgraph.line import Line

if TYPE_CHECKING:
    from lstmgraph.call import Call
    from lstmgraph.program import Program

Group = Mapping[str, Any]  # arguments by name
Keys = Mapping[str, str | None]  # nodes by name; None for an argument that nothing reads, a result nothing leads to
Argument = tuple[str, tuple[int, ...], Any, int]  # name, shape, element type, which address it is
Result = tuple[str, int, slice, tuple[int, ...]]  # name, which memory it is in, where, shape
REPLAYS = 64  # forms of calls that are remembered
SMALL_RESULTS = 1  # the memory of small results, after that of what lives within a call
LARGE_RESULTS = 2  # the memory of the first large result; each has one, and after these come zeros


@dataclass(frozen=True)
class Groups:
    """A call's arguments and results, in groups.

    Parameters
    ----------
    arguments : sequence of pairs
        The arguments as they were given, the inputs first, and their nodes, by name.
    results : sequence of pairs
        The nodes of the results, outputs first, and arrays of their shapes where these are not the nodes', by name.
    kept : tuple of keys
        Nodes of values for a later pass: a group of results more, where outputs, which are read-only then, may lie too.
    """

    arguments: Sequence[tuple[Group, Keys]]
    results: Sequence[tuple[Keys, Mapping[str, Any]]]
    kept: tuple[str, ...] | None = None


class Replay:
    """What a call does, from the addresses of its arguments to its results.

    Parameters
    ----------
    program : Program
        Whose call it is.
    line, tape : Line, Tape
        What ran.
    fixed : mapping
        What is the same in each call, by slot.
    arguments, results : sequence of sequences
        In groups, each a dictionary of arrays by name.
    shared : sequence of pairs
        Group and name of results that must be copies, as they lie where others do.
    """

    def __init__(
        self,
        program: "Program",
        line: Line,
        tape: Tape,
        fixed: Mapping[int, Any],
        arguments: Sequence[Sequence[Argument]],
        results: Sequence[Sequence[Result]],
        shared: Sequence[tuple[int, str]],
    ) -> None:
        self.traced, self.limits, self.dtype = program.traced, program.index_limits, program.dtype
        self.line, self.tape, self.fixed, self.arguments = line, tape, fixed, arguments
        self.results, self.shared = results, shared
        self.slots = np.array(list(fixed), np.intp)
        self.addresses = np.array([address(array) for array in fixed.values()], np.int64)
        ends = [elements.stop for group in results for _, which, elements, _ in group if which == _zeros(tape)]
        self.zeros = max(ends, default=0)

    def __call__(self, groups: Iterable[Group], rows: Rows) -> list[Arrays] | None:
        """Run, and return the groups of results; None if arguments do not fit, and the usual way must look at them."""
        fit, taken = self.line.fit(self.tape, rows), []
        addresses = fit.addresses.copy()
        addresses[self.slots] = self.addresses
        for values, arguments in zip(groups, self.arguments, strict=True):
            if type(values) is not dict or len(values) != len(arguments):
                return None
            group = {}  # another thread may put something else into the caller's dictionary
            for name, shape, dtype, slot in arguments:
                group[name] = value = values.get(name)
                if not fits(value, shape, dtype):
                    return None
                addresses[slot] = address(value)
            taken.append(group)
        if self.limits:
            check_index_range(self.traced, taken[0], self.limits)
        memories = [*self.tape.lease(addresses), np.zeros(self.zeros, self.dtype)]
        # the results' arrays come first: after the kernels all that Python needs has left the caches
        found = [
            {name: memories[which][elements].reshape(shape) for name, which, elements, shape in group}
            for group in self.results
        ]
        for part in fit.played:
            part.play(addresses)
        for number, name in self.shared:
            found[number][name] = found[number][name].copy()
        return found


class Replays:
    """The forms of calls that were run, and how each runs again."""

    def __init__(self) -> None:
        self._known: dict[Hashable, Replay | None] = {}

    def again(self, form: Hashable, groups: Iterable[Group], rows: Rows) -> list[Arrays] | None:
        """Return the results of a call of a form that is known, its inputs the first group; else None."""
        replay = self._known.get(form)
        return None if replay is None else replay(groups, rows)

    def learn(self, form: Hashable, call: "Call", line: Line, context: Context, fit: Fit, groups: Groups) -> None:
        """Remember how calls of a form run, if the arguments of one that was run were taken as they are."""
        if form in self._known or not _as_they_are(context, groups.arguments):
            return
        for oldest in list(self._known)[: max(len(self._known) - REPLAYS + 1, 0)]:
            self._known.pop(oldest, None)
        self._known[form] = _replay(call, line, context, fit, groups)


def _as_they_are(context: Context, arguments: Sequence[tuple[Group, Keys]]) -> bool:
    """Whether groups are complete, and their arrays those that ran: neither cast nor copied."""
    taken = context.values | context.binding.values
    for group, keys in arguments:
        if type(group) is not dict or group.keys() != keys.keys():
            return False
        for name, value in group.items():
            key = keys[name]
            if type(value) is not np.ndarray or (key is not None and taken.get(key, value) is not value):
                return False
    return True


def _replay(call: "Call", line: Line, context: Context, fit: Fit, groups: Groups) -> Replay | None:
    """Return how a call that was run may be run again; None if it is more than kernels over its arguments' memory."""
    tape, binding = fit.tape, context.binding
    read = {key for _, keys in groups.arguments for key in keys.values() if key is not None}
    results = _results(line, fit, groups)
    others = tape.leaves.keys() - read
    if results is None or len(fit.played) < len(fit.parts) or any(not line.is_leaf(key) for key in others):
        return None
    if binding.brief and (tape.packs or not tape.bound.keys() <= read | line.constants):
        return None
    slots, nowhere = {**tape.leaves, **tape.bound}, len(tape.counts)
    arguments = [
        [
            (name, group[name].shape, group[name].dtype, nowhere if key is None else slots.get(key, nowhere))
            for name, key in keys.items()
        ]
        for group, keys in groups.arguments
    ]
    _, arrays = fit.prepare(binding)
    bound = [slot for key, slot in tape.bound.items() if key not in read] + [slot for _, slot in tape.packs.values()]
    fixed = {slot: arrays[slot] for slot in bound}
    fixed |= {tape.leaves[key]: context.values[key] for key in others}  # of states and cotangents that are not given
    kept = [] if groups.kept is None else results[-1]
    shared = _shared(results[: len(groups.results)], kept)
    return Replay(call.program, line, tape, fixed, arguments, results, shared)


def _results(line: Line, fit: Fit, groups: Groups) -> list[list[Result]] | None:
    """Return where results lie; None if one is not the tape's, but an argument, say."""
    tape, own = fit.tape, fit.tape.own
    handed = {
        key: (SMALL_RESULTS if slot < 0 else LARGE_RESULTS + own.index(slot), elements, shape)
        for key, slot, elements, shape in fit.handed
    }
    found: list[list[Result]] = []
    zeros = 0
    asked: list[tuple[Keys, Mapping[str, Any]]] = [*groups.results]
    if groups.kept is not None:
        asked.append(({key: key for key in groups.kept}, {}))
    for keys, likes in asked:
        found.append([])
        for name, key in keys.items():
            if key is None:
                which, elements, shape = _zeros(tape), slice(zeros, zeros + likes[name].size), None
                zeros = elements.stop
            elif (shown := line.shown(key, tape)) in handed:
                which, elements, shape = handed[shown]
            else:
                return None
            shape = likes[name].shape if name in likes else shape
            found[-1].append((name, which, elements, (elements.stop - elements.start,) if shape is None else shape))
    return found


def _zeros(tape: Tape) -> int:
    """Return the memory of results that nothing leads to."""
    return LARGE_RESULTS + len(tape.own)


def _shared(results: Sequence[Sequence[Result]], kept: Sequence[Result]) -> list[tuple[int, str]]:
    """Return the group and name of results that lie, in part even, where others do; outputs may where kept ones are."""
    found: list[tuple[int, str]] = []
    taken: list[Result] = []
    for number, group in enumerate(results):
        for result in group:
            name, which, elements, _ = result
            others = [other for _, memory, other, _ in (*taken, *(kept if number else ())) if memory == which]
            if any(elements.start < other.stop and other.start < elements.stop for other in others):
                found.append((number, name))
            taken.append(result)
    return found
