"""compile(): the callable that a user holds."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from lstmgraph import settings
from lstmgraph.border import (
    FLOATS,
    Arrays,
    as_cotangent,
    as_inputs,
    as_lengths,
    as_named_rows,
    as_params,
    as_reset,
    as_state,
    bind_sizes,
    check_index_range,
    in_returned_form,
)
from lstmgraph.engine import COTANGENT, DIRECTION, Binding, Engine, Line
from lstmgraph.errors import CompileError, GraphError, ShapeError, nearest
from lstmgraph.graph import Dim, keys_of, node_of, operands, resize
from lstmgraph.initializers import initialize
from lstmgraph.jit.executor import Context, Executor
from lstmgraph.jit.machine import Machine, machine
from lstmgraph.jit.rows import Rows
from lstmgraph.traced import Traced
from lstmgraph.transform import RESET, with_reset

WRT = ("params", "x", "state")


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


def compile(
    traced: Traced,
    *,
    input_size: int | None = None,
    hidden_size: int | None = None,
    dtype: str = "float32",
    threads: int | None = None,
    **sizes: int,
) -> "Program":
    """Compile a cell or a network.

    Parameters
    ----------
    traced : Cell or Network
        What is compiled.
    input_size, hidden_size : int, optional
        The symbols I and H.
    dtype : "float32" or "float64"
        The element type of parameters and results.
    threads : int, optional
        The most threads that a call uses; by default what the machine and LSTMGRAPH_THREADS allow.
    **sizes : int
        Other symbols of size.

    Returns
    -------
    Program
        Machine code is made on the first call and kept on disk; any T and B run on the same code.

    Raises
    ------
    CompileError
        For a missing or unknown size, dtype or number of threads.

    Examples
    --------
    >>> import numpy as np, lstmgraph as lg
    >>> program = lg.compile(lg.cells.lstm, input_size=3, hidden_size=5)
    >>> y, state = program(program.init(seed=0), np.ones((7, 2, 3)))
    >>> y.shape, sorted(state)
    ((7, 2, 5), ['c', 'h'])
    """
    if not isinstance(traced, Traced):
        raise CompileError(
            f"lg.compile: got {type(traced).__name__}, expected a cell or a network; decorate the function with @lg.cell"
        )
    if str(dtype) not in FLOATS and np.dtype(dtype).name not in FLOATS:
        raise CompileError(f"lg.compile: got dtype {dtype!r}, expected float32 or float64")
    named = {"I": input_size, "H": hidden_size, **sizes}
    bound = bind_sizes(traced, {name: size for name, size in named.items() if size is not None})
    return Program(traced, bound, np.dtype(dtype).name, settings.thread_count(threads))


def _target(dtype: str) -> Machine:
    if settings.jit_enabled():
        from lstmgraph.jit.simd import host_width

        return machine(dtype, host_width(dtype))
    return machine(dtype, 4)


class Program:
    """A compiled cell or network: call it, bind it, step it, differentiate it."""

    def __init__(self, traced: Traced, sizes: dict[Dim, Dim], dtype: str, threads: int) -> None:
        self.traced = traced
        self.sizes = sizes
        self.dtype = np.dtype(dtype)
        self.threads = threads
        self._executor = Executor(_target(dtype), threads)
        self._engine = Engine(traced, self._executor, sizes)
        self._tables = _table_limits(self._engine.sequence, sizes)

    def __repr__(self) -> str:
        sizes = ", ".join(f"{name}={size}" for name, size in self.sizes.items())
        return f"<program {self.traced.name} {sizes} {self.dtype}>"

    @cached_property
    def _reset_engine(self) -> Engine:
        return Engine(with_reset(self.traced), self._executor, self.sizes)

    @property
    def plan(self) -> Any:
        """What the scheduler decided; print it."""
        return self._engine.main.plan

    @property
    def source(self) -> str:
        """The generated source of every kernel of the forward and the backward pass."""
        kernels = [stage.kernel for stage in self.plan.stages if stage.kernel is not None]
        return "\n\n".join(dict.fromkeys(kernel.source for kernel in kernels))

    def init(self, seed: int = 0) -> Arrays:
        """Return parameters as their initialisers say; the same seed gives the same numbers."""
        shapes = {
            name: tuple(int(resize(dim, self.sizes)) for dim in node.shape)
            for name, node in self.traced.parameters.items()
        }
        return initialize(self.traced.parameters, shapes, seed, self.dtype.name)

    def bind(self, params: Mapping[str, Any]) -> "Bound":
        """Return the program with its parameters packed once: for many calls and for streaming."""
        return Bound(self, as_params(self.traced, self.sizes, params, self.dtype))

    def __call__(
        self, params: Mapping[str, Any], x: Any, state: Any = None, lengths: Any = None, reset: Any = None
    ) -> tuple[Any, Arrays]:
        """Run over sequences.

        Parameters
        ----------
        params : dict
            Arrays by name, as `init` gives.
        x : array or dict
            The input [T, B, I], or inputs by name; floats of another type are cast.
        state : dict, optional
            Initial states [B, H]; zeros where missing.
        lengths : integers [B], optional
            Valid steps of each row; y is 0 beyond, and the final state is the one at the row's own end.
        reset : booleans [T, B], optional
            Puts a row back to the initial state before the step.

        Returns
        -------
        y, state
            Outputs [T, B, H] (a dictionary if several) and the final states by name.
        """
        return self.bind(params)(x, state=state, lengths=lengths, reset=reset)

    def step(self, params: Mapping[str, Any], x: Any, state: Any = None) -> tuple[Any, Arrays]:
        """Run one step, x [B, I] -> y [B, H]; `bind` first where speed matters."""
        return self.bind(params).step(x, state)

    def vjp(
        self,
        params: Mapping[str, Any],
        x: Any,
        state: Any = None,
        lengths: Any = None,
        reset: Any = None,
        wrt: Iterable[str] = WRT,
    ) -> tuple[Any, Arrays, Callable[..., Gradients]]:
        """Run, and return also the pullback from cotangents of the results to cotangents of the arguments.

        Parameters
        ----------
        params, x, state, lengths, reset
            As in a call.
        wrt : sequence of str
            Which cotangents are wanted: "params", "x", "state".

        Returns
        -------
        y, state, pullback
            ``pullback(dy, dstate=None) -> Gradients``; `dy` is an array (a dictionary if there are several outputs;
            partial ones are legal), `dstate` a dictionary. It may be called again. `y` is read-only.
        """
        return self.bind(params).vjp(x, state=state, lengths=lengths, reset=reset, wrt=wrt)

    def hvp(
        self,
        params: Mapping[str, Any],
        x: Any,
        direction: Mapping[str, Any],
        dy: Any,
        dstate: Any = None,
        state: Any = None,
        lengths: Any = None,
        reset: Any = None,
    ) -> Gradients:
        """Return the derivative of ``pullback(dy, dstate)`` along a direction of the parameters.

        Parameters
        ----------
        params, x, state, lengths, reset
            As in a call.
        direction : dict
            Like params.
        dy, dstate
            As in the pullback.
        """
        call = _Call(self, as_params(self.traced, self.sizes, params, self.dtype), x, state, lengths, reset)
        along = as_params(self.traced, self.sizes, direction, self.dtype)
        line = call.engine.second
        feeds = {f"parameter:{DIRECTION}parameter:{name}": value for name, value in along.items()}
        feeds |= call.feeds() | call.cotangents(dy, dstate)
        context = line.context(line.bind(call.params), call.rows, feeds)
        return call.gradients(line, context, set(WRT), (0, 1))

    def record(
        self,
        params: Mapping[str, Any],
        x: Any,
        names: Iterable[str],
        state: Any = None,
        lengths: Any = None,
        reset: Any = None,
    ) -> Arrays:
        """Return the results of layers by name, each [T, B, n]: the activity of gates over time."""
        call = _Call(self, as_params(self.traced, self.sizes, params, self.dtype), x, state, lengths, reset)
        wanted = _find_labels(call.engine.sequence, list(names))
        line = call.engine.records(wanted)
        context = line.context(line.bind(call.params), call.rows, call.feeds())
        sinks = [("output", COTANGENT + name) for name in wanted]
        line.run(context, line.choose(sinks, (0, 1)))
        return {name: line.result(context, sink) for name, sink in zip(wanted, sinks, strict=True)}

    def value_and_gradients(
        self,
        params: Mapping[str, Any],
        x: Any,
        dy: Any,
        state: Any = None,
        lengths: Any = None,
        reset: Any = None,
        wrt: Iterable[str] = ("params",),
    ) -> tuple[Any, Arrays, Gradients]:
        """Run forward and backward as one plan, for cotangents known before: a training step.

        Parameters
        ----------
        params, x, state, lengths, reset, wrt
            As in `vjp`.
        dy : array or dict
            Cotangents of the outputs; for a mean loss, one over the number of valid rows.

        Returns
        -------
        y, state, gradients
        """
        call = _Call(self, as_params(self.traced, self.sizes, params, self.dtype), x, state, lengths, reset)
        line = call.engine.whole
        context = line.context(line.bind(call.params), call.rows, call.feeds() | call.cotangents(dy, None))
        sinks = call.plain_sinks() + call.gradient_sinks(line, set(wrt))
        line.run(context, line.choose(sinks, (0, 1)))
        y, final = call.results(line, context)
        return y, final, call.collect(line, context, set(wrt))


class Bound:
    """A program with its parameters packed."""

    def __init__(self, program: Program, params: Arrays) -> None:
        self.program = program
        self.params = params
        self._bindings: dict[int, Binding] = {}

    def binding(self, line: Line) -> Binding:
        """Return the parameters as a plan wants them."""
        if id(line) not in self._bindings:
            self._bindings[id(line)] = line.bind(self.params)
        return self._bindings[id(line)]

    def __call__(self, x: Any, state: Any = None, lengths: Any = None, reset: Any = None) -> tuple[Any, Arrays]:
        """Run over sequences: as `Program.__call__` without the parameters."""
        call = _Call(self.program, self.params, x, state, lengths, reset)
        line = call.engine.main
        context = line.context(self.binding(line), call.rows, call.feeds())
        line.run(context, line.choose(call.plain_sinks(), (0,)))
        return call.results(line, context)

    def step(self, x: Any, state: Any = None) -> tuple[Any, Arrays]:
        """Run one step: x [B, I] -> y [B, H] and the next states."""
        traced = self.program.traced
        if isinstance(x, Mapping):
            x = {name: np.asarray(value)[None] for name, value in x.items()}
        else:
            x = np.asarray(x)[None]
        y, state = self(x, state=state)
        if len(traced.outputs) == 1 and not isinstance(y, dict):
            return y[0], state
        return {name: value[0] for name, value in y.items()}, state

    def vjp(
        self, x: Any, state: Any = None, lengths: Any = None, reset: Any = None, wrt: Iterable[str] = WRT
    ) -> tuple[Any, Arrays, Callable[..., Gradients]]:
        """Run and return the pullback: as `Program.vjp` without the parameters."""
        wanted = _checked_wrt(wrt)
        call = _Call(self.program, self.params, x, state, lengths, reset)
        line = call.engine.main
        context = line.context(self.binding(line), call.rows, call.feeds())
        sinks = call.gradient_sinks(line, wanted)
        later = line.choose(sinks, (1,)).wanted
        line.run(context, line.choose([*call.plain_sinks(), *sinks], (0,)), later)
        y, final = call.results(line, context)
        for value in y.values() if isinstance(y, dict) else [y]:
            value.flags.writeable = False
        kept = {key: value for key, value in context.values.items() if key in later}

        def pullback(dy: Any, dstate: Any = None) -> Gradients:
            back = Context(call.rows, context.sizes, dict(kept), context.packs)
            line.feed(back, call.cotangents(dy, dstate))
            return call.gradients(line, back, wanted, (1,))

        return y, final, pullback


class _Call:
    """One call's arguments, checked, and its results."""

    def __init__(self, program: Program, params: Arrays, x: Any, state: Any, lengths: Any, reset: Any) -> None:
        self.program = program
        self.params = params
        traced, sizes, dtype = program.traced, program.sizes, program.dtype
        self.inputs, T, B = as_inputs(traced, sizes, x, dtype)
        check_index_range(traced, self.inputs, program._tables)
        self.state = as_state(traced, sizes, state, B, dtype)
        self.rows = Rows(T, B, as_lengths(lengths, T, B))
        flags = as_reset(reset, T, B)
        self.engine = program._engine if flags is None else program._reset_engine
        self.flags = None if flags is None else flags[..., None].astype(dtype)

    def feeds(self) -> dict[str, Any]:
        """Return the leaves by ``kind:name``."""
        feeds = {f"input:{name}": value for name, value in self.inputs.items()}
        feeds |= {f"state:{name}": value for name, value in self.state.items()}
        return feeds if self.flags is None else feeds | {f"input:{RESET}": self.flags}

    def plain_sinks(self) -> list[tuple[str, str]]:
        """Return the results of a plain call."""
        sequence = self.engine.sequence
        return [("output", name) for name in sequence.outputs] + [("next", name) for name in sequence.states]

    def gradient_sinks(self, line: Line, wanted: set[str]) -> list[tuple[str, str]]:
        """Return the cotangents that were asked for and that there are."""
        kinds = {"params": "parameter", "x": "input", "state": "state"}
        prefixes = tuple(f"{COTANGENT}{kinds[word]}:" for word in WRT if word in wanted)
        return [sink for sink in line.traced.sinks if sink[1].startswith(prefixes)] if prefixes else []

    def results(self, line: Line, context: Context) -> tuple[Any, Arrays]:
        """Return outputs and final states."""
        sequence = self.engine.sequence
        outputs = {name: line.result(context, ("output", name)) for name in sequence.outputs}
        states = {name: line.result(context, ("next", name)) for name in sequence.states}
        return in_returned_form(sequence, outputs), states

    def cotangents(self, dy: Any, dstate: Any) -> dict[str, Any]:
        """Return the cotangent leaves; what is not given is zero."""
        program, sequence = self.program, self.engine.sequence
        outputs = list(sequence.outputs)
        given = dict(dy) if isinstance(dy, Mapping) else {} if dy is None else {outputs[0]: dy}
        unknown = [name for name in given if name not in outputs]
        if unknown or (len(outputs) > 1 and dy is not None and not isinstance(dy, Mapping)):
            raise ShapeError(
                f"{program.traced.name}: got dy for {', '.join(map(str, unknown)) or 'one output'}, expected a dictionary with "
                f"any of {', '.join(outputs)}"
            )
        feeds: dict[str, Any] = {}
        for name in outputs:
            feeds |= self._output_cotangent(name, given.get(name))
        states = as_named_rows(program.traced, program.sizes, dstate or {}, self.rows.B, program.dtype, "dstate")
        return feeds | {f"input:{COTANGENT}next:{name}": value for name, value in states.items()}

    def _output_cotangent(self, name: str, value: Any) -> dict[str, Any]:
        program, sequence = self.program, self.engine.sequence
        lookup = {**program.sizes, "T": self.rows.T, "B": self.rows.B}
        node = sequence.result_shape("output", name)
        shape = tuple(int(resize(dim, lookup)) for dim in node)
        array = (
            np.zeros(shape, program.dtype)
            if value is None
            else as_cotangent(f"{program.traced.name}: dy of {name}", value, shape, program.dtype)
        )
        role = "input" if node[:1] == ("T",) else "parameter"
        return {f"{role}:{COTANGENT}output:{name}": array}

    def gradients(self, line: Line, context: Context, wanted: set[str], phases: tuple[int, ...]) -> Gradients:
        """Run the backward part and return its results."""
        line.run(context, line.choose(self.gradient_sinks(line, wanted), phases))
        return self.collect(line, context, wanted)

    def collect(self, line: Line, context: Context, wanted: set[str]) -> Gradients:
        """Return the cotangents as the user sees them; zeros for what nothing reads."""
        program, sequence = self.program, self.engine.sequence

        def of(kind: str, name: str, like: Any) -> Any:
            sink = ("output", f"{COTANGENT}{kind}:{name}")
            if sink not in line.traced.sinks:
                return np.zeros(np.shape(like), program.dtype)
            return np.asarray(line.result(context, sink)).reshape(np.shape(like))

        params = (
            {name: of("parameter", name, value) for name, value in self.params.items()} if "params" in wanted else {}
        )
        state = {name: of("state", name, value) for name, value in self.state.items()} if "state" in wanted else {}
        floats = [name for name in program.traced.inputs if not sequence.leaves[f"input:{name}"].attr("integer")]
        x: Any = {name: of("input", name, self.inputs[name]) for name in floats} if "x" in wanted else {}
        if len(program.traced.inputs) == 1:
            x = x.get(program.traced.inputs[0])
        return Gradients(params, x, state)


def _checked_wrt(wrt: Iterable[str]) -> set[str]:
    wanted = {wrt} if isinstance(wrt, str) else set(wrt)
    unknown = wanted - set(WRT)
    if unknown:
        raise GraphError(
            f"wrt: got {sorted(unknown)}, expected any of {', '.join(WRT)}{nearest(str(min(unknown)), WRT)}"
        )
    return wanted


def _table_limits(sequence: Traced, sizes: Mapping[Dim, Dim]) -> dict[str, int]:
    """Return the number of entries of the tables that each index input reads."""
    limits: dict[str, int] = {}
    graph = sequence.graph
    for key in keys_of(graph, "gather", "one_hot"):
        node = node_of(graph, key)
        sources = operands(graph, key)
        index = node_of(graph, sources[-1]).name
        entries = node.attr("size") if node.op == "one_hot" else node_of(graph, sources[0]).shape[0]
        limits[index] = min(limits.get(index, int(resize(entries, sizes))), int(resize(entries, sizes)))
    return limits


def _find_labels(sequence: Traced, names: list[str]) -> dict[str, tuple[str, str]]:
    """Return name -> (recur, label) of layers asked for by name; a network's are prefixed with the recur's name."""
    known: dict[str, tuple[str, str]] = {}
    recurs = [node_of(sequence.graph, key) for key in keys_of(sequence.graph, "recur")]
    for node in recurs:
        for label in node.attr("cell").graph.graph["labels"]:
            known[
                label if len(recurs) == 1 and node.attr("name") == sequence.name else f"{node.attr('name')}.{label}"
            ] = (
                node.attr("name"),
                label,
            )
    for name in names:
        if name not in known:
            raise GraphError(
                f"{sequence.name}: unknown layer {name!r}, expected one of {', '.join(known)}{nearest(name, list(known))}"
            )
    return {name: known[name] for name in names}
