"""One call of a program: its arguments checked, its results as the user sees them."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np

from lstmgraph.border import (
    Arrays,
    as_cotangent,
    as_inputs,
    as_lengths,
    as_named_rows,
    as_params,
    as_reset,
    as_state,
    check_index_range,
    in_returned_form,
    learned_starts,
    take_masks,
)
from lstmgraph.errors import GraphError, ParameterError, ShapeError, nearest
from lstmgraph.forms import fits
from lstmgraph.graph import is_row, keys_of, node_of
from lstmgraph.jit.executor import Context
from lstmgraph.jit.rows import Rows, full_rows
from lstmgraph.line import Choice, Line
from lstmgraph.resets import RESET
from lstmgraph.sequences import COTANGENT, DIRECTION
from lstmgraph.traced import Traced, find

if TYPE_CHECKING:
    from lstmgraph.program import Program

KINDS = {"params": "parameter", "x": "input", "state": "state"}  # of leaves, by what a caller names
WRT = tuple(KINDS)
_INTEGERS = np.dtype(np.int64)
Sink = tuple[str, str]


@dataclass(frozen=True)
class Gradients:
    """Cotangents of what a program was called with.

    Attributes
    ----------
    params : dict
        By parameter name, in the parameters' shapes.
    x : array or dict
        [T, B, I]; a dictionary by name if the program has several inputs of numbers; zero in padding.
    state : dict
        Of the initial states, [B, H].
    """

    params: Arrays
    x: Any
    state: Arrays


class Call:
    """One call's arguments, checked, and its results."""

    def __init__(self, program: "Program", params: Arrays, x: Any, state: Any, lengths: Any, reset: Any) -> None:
        self.program = program
        self.params = params
        traced, sizes, dtype = program.traced, program.sizes, program.dtype
        self.masks: Arrays = {}
        fitting = program.forms.as_inputs(x)
        if fitting is None:
            x, self.masks = take_masks(traced, sizes, x, dtype)
            fitting = as_inputs(traced, sizes, x, dtype)
        self.inputs, T, B = fitting
        check_index_range(traced, self.inputs, program.index_limits)
        fitting_state = program.forms.as_states(state, B)
        self.state = as_state(traced, sizes, state, B, dtype) if fitting_state is None else fitting_state
        self.rows = rows_of(T, B, lengths)
        flags = as_reset(reset, T, B)
        learned = program.learned if state is None else learned_starts(traced, state)
        self.engine = program.engine_for(bool(self.masks), flags is not None, learned)
        self.flags = None if flags is None else flags[..., None].astype(dtype)

    def feeds(self) -> dict[str, Any]:
        """Return the leaves by ``kind:name``."""
        feeds = {f"input:{name}": value for name, value in self.inputs.items()}
        feeds |= {f"state:{name}": value for name, value in self.state.items()}
        for name, value in self.masks.items():
            kind = "input" if is_row(self.program.traced.masks[name].shape) else "parameter"
            feeds[f"{kind}:{name}"] = value
        return feeds if self.flags is None else feeds | {f"input:{RESET}": self.flags}

    def nodes(self, line: Line, kind: str) -> dict[str, str | None]:
        """Return the nodes of leaves by name: "input", "parameter", "state"; "output", "next" of their cotangents."""
        if kind == "output":
            return {name: line.leaf(leaf) for name, (leaf, _, _) in self.engine.cotangents.items()}
        names = {"input": self.inputs, "parameter": self.params}.get(kind, self.state)
        prefix = f"input:{COTANGENT}next" if kind == "next" else kind
        return {name: line.leaf(f"{prefix}:{name}") for name in names}

    def result_nodes(self, line: Line) -> list[tuple[dict[str, str | None], Arrays]]:
        """Return the nodes of outputs and final states by name."""
        outputs = {name: line.source(("output", name)) for name in self.engine.sequence.outputs}
        return [(outputs, {}), ({name: line.source(("next", name)) for name in self.program.traced.states}, {})]

    def cotangent_nodes(self, line: Line, wanted: frozenset[str]) -> list[tuple[dict[str, str | None], Arrays]]:
        """Return the nodes of cotangents as `cotangent_sinks` does their sinks."""
        return [
            ({name: None if sink is None else line.source(sink) for name, sink in sinks.items()}, likes)
            for sinks, likes in self.cotangent_sinks(line, wanted)
        ]

    def plain_sinks(self) -> list[tuple[str, str]]:
        """Return the results of a plain call."""
        sequence = self.engine.sequence
        return [("output", name) for name in sequence.outputs] + [("next", name) for name in self.program.traced.states]

    def gradient_sinks(self, line: Line, wanted: frozenset[str]) -> list[tuple[str, str]]:
        """Return the cotangents that were asked for and that there are."""
        prefixes = tuple(f"{COTANGENT}{kind}:" for word, kind in KINDS.items() if word in wanted)
        return [sink for sink in line.traced.sinks if sink[1].startswith(prefixes)] if prefixes else []

    def choice(self, line: Line, wanted: frozenset[str], phases: tuple[int, ...]) -> Choice:
        """Return the stages of some phases that give the results of a plain call, and the cotangents wanted."""
        return line.choose(self.plain_sinks() + self.gradient_sinks(line, wanted), phases)

    def results(self, line: Line, context: Context) -> tuple[Any, Arrays]:
        """Return outputs and final states."""
        sequence = self.engine.sequence
        outputs = {name: line.result(context, ("output", name)) for name in sequence.outputs}
        for one, other in combinations(outputs, 2):  # a state before its step and after it are one history
            if np.may_share_memory(outputs[one], outputs[other]):
                outputs[other] = outputs[other].copy()
        states = {name: line.result(context, ("next", name)) for name in self.program.traced.states}
        return in_returned_form(outputs), states

    def cotangents(self, dy: Any, dstate: Any) -> dict[str, Any]:
        """Return the cotangent leaves; what is not given is zero."""
        program, outputs = self.program, self.engine.sequence.outputs
        given = dict(dy) if isinstance(dy, Mapping) else {} if dy is None else {outputs[0]: dy}
        unknown = [name for name in given if name not in outputs]
        if unknown or (len(outputs) > 1 and dy is not None and not isinstance(dy, Mapping)):
            raise ShapeError(
                f"{program.traced.name}: got dy for {', '.join(map(str, unknown)) or 'one output'}, expected a "
                "dictionary with "
                f"any of {', '.join(outputs)}"
            )
        feeds: dict[str, Any] = {}
        rows, B, dtype = (self.rows.T, self.rows.B), self.rows.B, program.dtype
        for name, (leaf, ahead, size) in self.engine.cotangents.items():
            shape, value = rows[2 - ahead :] + size, given.get(name)
            if value is None:
                feeds[leaf] = np.zeros(shape, dtype)
            elif fits(value, shape, dtype):
                feeds[leaf] = value
            else:
                feeds[leaf] = as_cotangent(f"{program.traced.name}: dy of {name}", value, shape, dtype)
        states = program.forms.as_states(dstate, B)
        if states is None:
            states = as_named_rows(program.traced, program.sizes, dstate, B, dtype, "dstate")
        for name, value in states.items():
            feeds[f"input:{COTANGENT}next:{name}"] = value
        return feeds

    def directions(self, direction: Any, dx: Any, dstate: Any) -> tuple[frozenset[str], dict[str, Any]]:
        """Return the leaves that move, all of a kind or none, and their directions as leaves by ``kind:name``."""
        program, traced = self.program, self.program.traced
        found: dict[str, Any] = {}
        if direction is not None and as_direction(traced, direction):
            zeros = {name: np.zeros_like(value) for name, value in self.params.items()}
            along = as_params(traced, program.sizes, {**zeros, **direction}, program.dtype)
            found |= {f"parameter:{name}": value for name, value in along.items()}
        if dx is not None:
            given = dict(dx) if isinstance(dx, Mapping) else {traced.inputs[0]: dx}
            floats = [name for name in traced.inputs if not traced.leaves[f"input:{name}"].attr("integer")]
            for name in given:
                find(floats, name, "input of numbers", f"{traced.name}: dx")
            for name in floats if given else ():
                like = self.inputs[name]
                where = f"{traced.name}: dx of {name}"
                value = np.zeros_like(like) if given.get(name) is None else given[name]
                found[f"input:{name}"] = as_cotangent(where, value, like.shape, program.dtype)
        if dstate is not None:
            along = as_named_rows(traced, program.sizes, dstate, self.rows.B, program.dtype, "dstate")
            for name in dstate:
                if f"state:{name}" not in self.engine.sequence.leaves:
                    raise GraphError(
                        f"{traced.name}: dstate {name}: got the tangent of a state that starts at its learned value, "
                        "expected none; pass the state too, or the direction of its parameter"
                    )
            found |= {f"state:{name}": value for name, value in along.items()} if dstate else {}
        moving = frozenset(found) & frozenset(self.engine.sequence.leaves)
        roles = {leaf: "parameter" if leaf.startswith("parameter:") else "input" for leaf in moving}
        return moving, {f"{role}:{DIRECTION}{leaf}": found[leaf] for leaf, role in roles.items()}

    def tangents(self, line: Line, context: Context, y: Any, final: Arrays) -> tuple[Any, Arrays]:
        """Return the tangents of the results given; zeros where nothing moves them."""

        def of(kind: str, name: str, like: Any) -> Any:
            sink = ("output", f"{DIRECTION}{kind}:{name}")
            return line.result(context, sink) if sink in line.traced.sinks else np.zeros_like(like)

        outputs = y if isinstance(y, dict) else {self.engine.sequence.outputs[0]: y}
        moved = {name: of("output", name, value) for name, value in outputs.items()}
        return in_returned_form(moved), {name: of("next", name, value) for name, value in final.items()}

    def collect(self, line: Line, context: Context, wanted: frozenset[str], prefix: str = COTANGENT) -> Gradients:
        """Return the cotangents, or what else has this prefix, as the user sees them; zeros for what nothing reads."""

        def result(sink: Sink | None, like: Any) -> Any:
            value = np.zeros(like.shape, self.program.dtype) if sink is None else line.result(context, sink)
            return value if value.shape == like.shape else value.reshape(like.shape)

        groups = self.cotangent_sinks(line, wanted, prefix)
        found = [{name: result(sink, likes[name]) for name, sink in sinks.items()} for sinks, likes in groups]
        return as_gradients(self.program.traced, *found)

    def cotangent_sinks(
        self, line: Line, wanted: frozenset[str], prefix: str = COTANGENT
    ) -> list[tuple[dict[str, Sink | None], Arrays]]:
        """Return of params, x and state the results with this prefix, and arrays that they are like, by name."""
        leaves, known = self.engine.sequence.leaves, line.cotangent_sinks(prefix)
        x = {name: value for name, value in self.inputs.items() if not leaves[f"input:{name}"].attr("integer")}
        given = {"params": self.params, "x": x, "state": self.state}
        return [
            ({name: known[KINDS[word]].get(name) for name in likes} if word in wanted else {}, likes)
            for word, likes in given.items()
        ]


def as_gradients(traced: Traced, params: Arrays, x: Arrays, state: Arrays) -> Gradients:
    """Return cotangents by name as the user sees them."""
    return Gradients(params, x if len(traced.inputs) > 1 else x.get(traced.inputs[0]), state)


def rows_of(T: int, B: int, lengths: Any) -> Rows:
    """Return the rows of a batch, or raise for lengths that are none."""
    if lengths is None:
        return full_rows(T, B)
    if type(lengths) is not np.ndarray or lengths.dtype is not _INTEGERS:
        lengths = as_lengths(lengths, T, B)
    return _ragged_rows(T, B, lengths.shape, lengths.tobytes())


@lru_cache(maxsize=16)
def _ragged_rows(T: int, B: int, shape: tuple[int, ...], lengths: bytes) -> Rows:
    """Return the rows of a batch with valid steps of each row; those that came before are not looked at again."""
    return Rows(T, B, as_lengths(np.frombuffer(lengths, _INTEGERS).reshape(shape), T, B))


def make_read_only(y: Any) -> None:
    """Let outputs that a pullback reads be read-only."""
    for value in y.values() if isinstance(y, dict) else [y]:
        value.flags.writeable = False


def as_direction(traced: Traced, direction: Any) -> Mapping[str, Any]:
    """Return the direction of the parameters, or raise if it is no dictionary."""
    if not isinstance(direction, Mapping):
        raise ParameterError(
            f"{traced.name}: got a direction of type {type(direction).__name__}, expected a dictionary like params"
        )
    return direction


def checked_wrt(wrt: Iterable[str]) -> frozenset[str]:
    """Return the words of `wrt` as a set, or raise for an unknown one."""
    if not isinstance(wrt, Iterable):
        raise GraphError(f"wrt: got {wrt!r}, expected any of {', '.join(WRT)}")
    words = (wrt,) if isinstance(wrt, str) else tuple(wrt)
    unknown = [word for word in words if not isinstance(word, str) or word not in WRT]
    if unknown:
        raise GraphError(f"wrt: got {unknown}, expected any of {', '.join(WRT)}{nearest(str(unknown[0]), WRT)}")
    return frozenset(words)


def find_labels(sequence: Traced, names: Any) -> dict[str, tuple[str, str]]:
    """Return name -> (recur, label) of layers asked for by name; a network's are prefixed with the recur's name.

    Raises
    ------
    GraphError
        If a layer is unknown, or `names` holds no names.
    """
    recurs = [node_of(sequence.graph, key) for key in keys_of(sequence.graph, "recur")]
    known: dict[str, tuple[str, str]] = {label: ("", label) for label in sequence.graph.graph["labels"]}
    for node in recurs:
        prefix = "" if node.attr("name") == sequence.name else f"{node.attr('name')}."
        known |= {prefix + label: (node.attr("name"), label) for label in node.attr("cell").graph.graph["labels"]}
    wanted = [names] if isinstance(names, str) else names
    if not isinstance(wanted, Iterable):
        raise GraphError(f"{sequence.name}: got {names!r}, expected names of layers: {', '.join(known)}")
    chosen = list(wanted)
    for name in chosen:
        if not isinstance(name, str) or name not in known:
            raise GraphError(
                f"{sequence.name}: unknown layer {name!r}, expected one of {', '.join(known)}"
                + nearest(str(name), list(known))
            )
    return {name: known[name] for name in chosen}
