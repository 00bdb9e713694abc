"""compile(): the callable that a user holds."""

from collections.abc import Callable, Iterable, Mapping
from functools import cached_property, partial
from typing import Any

import numpy as np

from lstmgraph import settings
from lstmgraph.border import FLOATS, Arrays, as_params, bind_sizes, learned_starts, table_limits
from lstmgraph.bound import Bound, checked_step
from lstmgraph.call import WRT, Call, Gradients, as_direction, checked_wrt, find_labels, make_read_only
from lstmgraph.engine import SECOND, Engine
from lstmgraph.errors import CompileError
from lstmgraph.forms import Forms
from lstmgraph.graph import Dim
from lstmgraph.initializers import initialize
from lstmgraph.jit.executor import Executor
from lstmgraph.jit.machine import host
from lstmgraph.masks import draw, with_masks, without_masks
from lstmgraph.replay import Replays
from lstmgraph.resets import with_reset
from lstmgraph.running import both_passes, forward_pass
from lstmgraph.sequences import COTANGENT, DIRECTION
from lstmgraph.sizes import spoken
from lstmgraph.stretches import in_stretches
from lstmgraph.traced import Traced
from lstmgraph.warming import warm_up

__all__ = ["Bound", "Gradients", "Program", "compile"]


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
        For a missing or unknown size or one given twice, another dtype, an impossible number of threads.

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
            f"lg.compile: got {type(traced).__name__}, expected a cell or a network; decorate the function "
            "with @lg.cell"
        )
    name = _dtype_name(dtype)
    named = {name: size for name, size in (("I", input_size), ("H", hidden_size)) if size is not None}
    if twice := named.keys() & sizes.keys():
        raise CompileError(f"lg.compile: got {spoken(min(twice))} and {min(twice)}, expected one of them")
    bound = bind_sizes(traced, {**named, **sizes})
    return Program(traced, bound, name, settings.thread_count(threads))


def _dtype_name(dtype: Any) -> str:
    try:
        name = np.dtype(dtype).name if dtype is not None else "None"
    except (TypeError, ValueError):
        name = str(dtype)
    if name not in FLOATS:
        raise CompileError(f"lg.compile: got dtype {dtype!r}, expected float32 or float64")
    return name


class Program:
    """A compiled cell or network: call it, bind it, step it, differentiate it."""

    def __init__(self, traced: Traced, sizes: dict[Dim, Dim], dtype: str, threads: int) -> None:
        self.traced = traced
        self.sizes = sizes
        self.dtype = np.dtype(dtype)
        self.threads = threads
        self.executor = Executor(host(dtype), threads)
        self.replays = Replays()
        self._engines: dict[tuple[bool, bool, frozenset[str]], Engine] = {}
        self.engine_for(False, False, self.learned)  # raises if the sizes do not fit

    def __repr__(self) -> str:
        sizes = ", ".join(f"{name}={size}" for name, size in self.sizes.items())
        return f"<program {self.traced.name} {sizes} {self.dtype}>"

    @cached_property
    def index_limits(self) -> dict[str, int]:
        """Entries of the tables that index inputs read."""
        return table_limits(self.engine.sequence, self.sizes)

    @property
    def engine(self) -> Engine:
        """The engine of a plain call."""
        return self.engine_for(False, False, self.learned)

    @cached_property
    def forms(self) -> Forms:
        """What arguments look like that can be taken as they are."""
        return Forms(self.traced, self.sizes, self.dtype)

    @cached_property
    def learned(self) -> frozenset[str]:
        """The states that start at learned values if a call does not give them."""
        return learned_starts(self.traced, None)

    def engine_for(self, masked: bool, reset: bool, learned: frozenset[str]) -> Engine:
        """Return the engine of calls with masks, with resets, or with states that start at learned values."""
        form = (masked, reset, learned)
        if form not in self._engines:
            graph = with_masks(self.traced) if masked else without_masks(self.traced)
            graph = with_reset(graph) if reset else graph
            self._engines[form] = Engine(graph, self.executor, self.sizes, learned)
        return self._engines[form]

    @property
    def plan(self) -> Any:
        """What the scheduler decided; print it."""
        return self.engine.main.plan

    @property
    def source(self) -> str:
        """The generated source of every kernel of the forward and the backward pass."""
        kernels = [stage.kernel for stage in self.plan.stages if stage.kernel is not None]
        return "\n\n".join(dict.fromkeys(kernel.source for kernel in kernels))

    def init(self, seed: int = 0) -> Arrays:
        """Return parameters as their initialisers say; the same seed, an integer from 0 on, gives the same numbers."""
        if isinstance(seed, bool) or not isinstance(seed, int | np.integer) or seed < 0:
            raise CompileError(f"{self.traced.name}: init: got seed {seed!r}, expected an integer from 0 on")
        return initialize(self.traced.parameters, self.forms.params, seed, self.dtype.name)

    def masks(self, T: int, B: int, *, seed: int = 0, step: int = 0) -> Arrays:
        """Return random masks for a call over T steps of B rows: for training, beside the inputs.

        Parameters
        ----------
        T, B : int
            Steps and rows.
        seed, step : int
            The same ones give the same masks.

        Returns
        -------
        dict
            By name, [T, B, n], or a parameter's shape where weights are dropped; pass them with the inputs, as in
            ``program.vjp(params, {"x": x} | program.masks(T, B))``. Without masks each stands for its mean.

        Raises
        ------
        CompileError
            For numbers that are no integers from 0 on.
        """
        return draw(self.traced, self.sizes, (T, B), seed, step, self.dtype.name)

    def warm_up(self, *, forward: bool = True, step: bool = True, training: bool = True) -> None:
        """Compile ahead of the first call, or load what has been compiled before.

        Parameters
        ----------
        forward, step, training : bool
            What for: calls; single steps; pullbacks and `value_and_gradients`, with random masks if there are any.
            Calls with resets, `record`, `jvp` and `hvp` compile when they are first used.
        """
        warm_up(self, forward, step, training)

    def bind(self, params: Mapping[str, Any]) -> "Bound":
        """Return the program with a copy of the parameters, packed once: for many calls and for streaming."""
        return Bound(self, {name: value.copy() for name, value in self.checked(params).items()})

    def checked(self, params: Mapping[str, Any]) -> Arrays:
        """Return parameters as arrays of this program's shapes and dtype, or raise."""
        fitting = self.forms.as_params(params)
        return as_params(self.traced, self.sizes, params, self.dtype) if fitting is None else fitting

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
        return forward_pass(self, params, x, state, (lengths, reset))

    def step(self, params: Mapping[str, Any], x: Any, state: Any = None) -> tuple[Any, Arrays]:
        """Run one step, x [B, I] -> y [B, H]; `bind` first where speed matters."""
        return checked_step(self, partial(self, params), x, state)

    def vjp(
        self,
        params: Mapping[str, Any],
        x: Any,
        state: Any = None,
        lengths: Any = None,
        reset: Any = None,
        wrt: Iterable[str] = WRT,
        *,
        checkpoint_every: int | None = None,
        memory_budget: int | None = None,
    ) -> tuple[Any, Arrays, Callable[..., Gradients]]:
        """Run, and return also the pullback from cotangents of the results to cotangents of the arguments.

        Parameters
        ----------
        params, x, state, lengths, reset
            As in a call.
        wrt : sequence of str
            Which cotangents are wanted: "params", "x", "state".
        checkpoint_every : int, optional
            Keep the states of every so many steps alone, and replay the steps between on the way back: a third more
            work, and memory for that many steps in place of all. Results and gradients are equal bit for bit.
        memory_budget : int, optional
            Bytes, in place of `checkpoint_every`: the most steps are taken whose working memory is no more than that,
            all of them if they may be run at once. It counts what is kept for the way back, the states between, what a
            stretch of steps works with, and, where lengths differ, the packed sequences; not arguments, cotangents,
            results, nor what is of the parameters' size.

        Returns
        -------
        y, state, pullback
            ``pullback(dy, dstate=None) -> Gradients``; `dy` is an array (a dictionary if there are several outputs;
            partial ones are legal), `dstate` a dictionary. It may be called again. `y` is read-only, and `x` must not
            be changed, while the pullback lives.

        Raises
        ------
        GraphError
            For a budget that is too small, and what cannot be cut: it runs back in time, or reads a sum over all rows.
        """
        wanted = checked_wrt(wrt)
        checked = {name: value.copy() for name, value in self.checked(params).items()}
        bound = Bound(self, checked, brief=checkpoint_every is None and memory_budget is None)
        if cut := in_stretches(bound, (x, state, lengths, reset), wanted, checkpoint_every, memory_budget, apart=True):
            y, final = cut.forward()
            make_read_only(y)
            return y, final, cut.backward
        return bound.vjp(x, state=state, lengths=lengths, reset=reset, wrt=wanted)

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

        By forward mode along the loops of the gradient (Pearlmutter 1994): as in `jvp`, what ``lg.stop_gradient``
        holds does not move.

        Parameters
        ----------
        params, x, state, lengths, reset
            As in a call.
        direction : dict
            Like params.
        dy, dstate
            As in the pullback.
        """
        call = Call(self, self.checked(params), x, state, lengths, reset)
        along = self.checked(as_direction(self.traced, direction))
        line = call.engine.second
        feeds = {f"parameter:{DIRECTION}parameter:{name}": value for name, value in along.items()}
        feeds |= call.feeds() | call.cotangents(dy, dstate)
        context = line.context(line.bind(call.params, brief=True), call.rows, feeds)
        line.run(context, line.choose(line.traced.sinks, (0, 1)))
        return call.collect(line, context, frozenset(WRT), SECOND)

    def jvp(
        self,
        params: Mapping[str, Any],
        x: Any,
        direction: Mapping[str, Any] | None = None,
        state: Any = None,
        lengths: Any = None,
        reset: Any = None,
        *,
        dx: Any = None,
        dstate: Any = None,
    ) -> tuple[Any, Arrays, Any, Arrays]:
        """Run, and return also the derivatives of the results along a direction: forward mode, in the same loop.

        Parameters
        ----------
        params, x, state, lengths, reset
            As in a call.
        direction, dx, dstate : optional
            The direction of the parameters, inputs and initial states, each like these; what is missing does not move.

        Returns
        -------
        y, state, dy, dstate
            Outputs and final states as of a call, and the derivative of each; 0 in padding.
        """
        call = Call(self, self.checked(params), x, state, lengths, reset)
        moving, along = call.directions(direction, dx, dstate)
        line = call.engine.tangents(moving)
        context = line.context(line.bind(call.params, brief=True), call.rows, call.feeds() | along)
        line.run(context, line.choose(line.traced.sinks, (0, 1)))
        y, final = call.results(line, context)
        return y, final, *call.tangents(line, context, y, final)

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
        call = Call(self, self.checked(params), x, state, lengths, reset)
        wanted = find_labels(call.engine.sequence, names)
        line = call.engine.records(wanted)
        context = line.context(line.bind(call.params, brief=True), call.rows, call.feeds())
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
        *,
        checkpoint_every: int | None = None,
        memory_budget: int | None = None,
    ) -> tuple[Any, Arrays, Gradients]:
        """Run forward and backward as one plan, for cotangents known before: a training step.

        Parameters
        ----------
        params, x, state, lengths, reset, wrt, checkpoint_every, memory_budget
            As in `vjp`.
        dy : array or dict
            Cotangents of the outputs; for a mean loss, one over the number of valid rows.

        Returns
        -------
        y, state, gradients
        """
        wanted = checked_wrt(wrt)
        if checkpoint_every is not None or memory_budget is not None:
            bound, given = Bound(self, self.checked(params)), (x, state, lengths, reset)
            if cut := in_stretches(bound, given, wanted, checkpoint_every, memory_budget, apart=False):
                return *cut.forward(), cut.backward(dy)
        return both_passes(self, params, x, dy, state, (lengths, reset), wanted)
