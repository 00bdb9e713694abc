"""check_gradients(): a cell's gradients beside differences, in one line and as a table."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice, product
from typing import Any

import numpy as np

from lstmgraph.border import infer_sizes, symbols_of
from lstmgraph.errors import CompileError, GraphError, LstmGraphError
from lstmgraph.interpreter import interpret
from lstmgraph.program import Program
from lstmgraph.program import compile as compile_program
from lstmgraph.schedule.resolve import resolve
from lstmgraph.sequences import over_sequences
from lstmgraph.testing import Feeds, by_leaf, by_name, fed, random_feeds, run_source
from lstmgraph.traced import Traced

STEP = 1e-4  # of differences of the fourth order in float64: rounding and the fifth derivative weigh about the same
SECOND = "second "
_TRIES = 2000  # of sizes


@dataclass(frozen=True, repr=False)
class GradientErrors(Mapping[str, float]):
    """Errors of a cell's gradients; printed, they are a table. A mapping from ``kind:name`` to the error.

    Attributes
    ----------
    name : str
        Of the cell or network.
    tolerance : float
        The greatest error allowed.
    errors : dict
        The error of each ``parameter:name``, ``input:name`` and ``state:name``; for the second order ``second ...``.
    """

    name: str
    tolerance: float
    errors: dict[str, float]

    def __getitem__(self, leaf: str) -> float:
        return self.errors[leaf]

    def __iter__(self) -> Iterator[str]:
        return iter(self.errors)

    def __len__(self) -> int:
        return len(self.errors)

    @property
    def worst(self) -> str:
        """The leaf with the greatest error, NaN before all; an empty string if there are none."""
        return max(self.errors, key=lambda leaf: (np.isnan(self[leaf]), self[leaf]), default="")

    def __repr__(self) -> str:
        leaves = [leaf for leaf in self if not leaf.startswith(SECOND)]
        width = max(map(len, leaves), default=0)
        orders = ("", SECOND) if any(leaf.startswith(SECOND) for leaf in self) else ("",)
        title = f"{self.name}: gradients beside differences, relative errors (at most {self.tolerance:.0e} allowed)"
        heads = "".join(f"{head:>14s}" for head in ("first order", "second order")[: len(orders)])
        rows = [f"  {leaf:{width}s}{''.join(self._cell(order + leaf) for order in orders)}" for leaf in leaves]
        return "\n".join(line.rstrip() for line in (title, f"  {'':{width}s}{heads}", *rows))

    def _cell(self, leaf: str) -> str:
        if leaf not in self:
            return " " * 14
        return f"{self[leaf]:12.1e} {' ' if self[leaf] <= self.tolerance else '!'}"


def check_gradients(
    traced: Traced,
    feeds: Mapping[str, Any] | None = None,
    *,
    input_size: int | None = None,
    hidden_size: int | None = None,
    steps: int = 4,
    batch: int = 3,
    seed: int = 0,
    tolerance: float = 1e-8,
    second_order: bool = True,
    compiled: bool = False,
    **sizes: int,
) -> GradientErrors:
    """Compare a cell's gradients with differences, in float64.

    First order: the derivative of a random functional of the outputs and final states along a random direction of
    each parameter, input and initial state, against differences of the NumPy meaning. Second order:
    ``program.hvp`` along a random direction of all parameters, against differences of the pullback. Random masks are
    drawn and held, as in a step of training; a state that starts at a learned value starts there, unless it is fed.

    Parameters
    ----------
    traced : Cell or Network
        What is tested; where it has no derivative (``relu`` at 0) or hides it (``stop_gradient``), it fails.
    feeds : mapping, optional
        Any of ``params``, ``x``, ``state``, ``dy``, ``dstate``, ``lengths``, ``reset``, arrays by name; what is
        missing is random, weights and biases too.
    input_size, hidden_size : int, optional
        I and H; by default the sizes of the feeds, else small odd numbers that fit the equations.
    steps, batch, seed : int
        T and B; the seed of the random feeds and directions.
    tolerance : float
        The greatest error allowed, relative to the derivative (or to 1 if that is more).
    second_order : bool
        Whether the second order is tested too.
    compiled : bool
        Whether the gradients are those of machine code; else of the source run in NumPy, which is quicker here.
    **sizes : int
        Other symbols of size, found as the input size is.

    Returns
    -------
    GradientErrors
        A mapping from ``parameter:name``, ``input:name`` and ``state:name`` to the error; for the second order from
        ``second ...``. Printed, it is a table.

    Raises
    ------
    AssertionError
        If an error is above the tolerance: names the worst, with the table.
    CompileError
        If no small sizes fit.

    Examples
    --------
    >>> import lstmgraph as lg
    >>> @lg.cell
    ... def leak(x, h):
    ...     return lg.sigmoid(lg.parameter("rate")) * h + lg.linear(x, name="input")
    >>> sorted(lg.check_gradients(leak, second_order=False))
    ['input:x', 'parameter:input.W_x', 'parameter:input.b', 'parameter:rate', 'state:h']
    """
    if not isinstance(traced, Traced):
        raise GraphError(f"lg.check_gradients: got {type(traced).__name__}, expected a cell or a network")
    wanted = {"I": input_size, "H": hidden_size, **sizes}
    with run_source(compiled):
        program = _program(traced, feeds or {}, {name: size for name, size in wanted.items() if size is not None})
        given = random_feeds(program, steps, batch, seed, "plain", feeds)
        errors = _first_order_errors(program, given, seed)
        if second_order and given.params:
            errors |= _second_order_errors(program, given, seed)
    report = GradientErrors(traced.name, tolerance, errors)
    if errors and not report[report.worst] <= tolerance:
        order, leaf = (
            ("second", report.worst[len(SECOND) :]) if report.worst.startswith(SECOND) else ("first", report.worst)
        )
        raise AssertionError(
            f"{traced.name}: got an error of {report[report.worst]:.1e} in the {order} derivative by "
            f"{leaf.replace(':', ' ')}, expected at most {tolerance:.0e}\n{report}"
        )
    return report


# ---- sizes


def _program(traced: Traced, feeds: Mapping[str, Any], sizes: Mapping[Any, int]) -> Program:
    """Return a program in float64; sizes that neither the call nor the feeds settle are small ones that fit."""
    x = feeds.get("x", {})
    known: dict[Any, Any] = {**infer_sizes(traced, feeds.get("params") or {}, x, feeds.get("state")), **sizes}
    words = {"I": "input_size", "H": "hidden_size"}
    named: dict[str, Any] = {words.get(name, name): size for name, size in fitting_sizes(traced, known).items()}
    return compile_program(traced, dtype="float64", **named)


def fitting_sizes(traced: Traced, known: Mapping[str, int]) -> dict[str, int]:
    """Return symbol -> size: those known, and the first that fit of different odd numbers, 1, and another's size.

    Raises
    ------
    CompileError
        If none fit.
    """
    symbols = sorted(symbols_of(traced), key=lambda symbol: {"I": 0, "H": 1}.get(symbol, 2))
    free = [symbol for symbol in symbols if symbol not in known]
    choices = [_choices(symbol, 3 + 2 * place, symbols) for place, symbol in enumerate(free)]
    refused: LstmGraphError | None = None
    for chosen in islice(product(*choices), _TRIES):
        sizes: dict[Any, Any] = {**known, **dict(zip(free, chosen, strict=True))}
        found = {symbol: sizes.get(sizes[symbol], sizes[symbol]) for symbol in symbols}
        if all(isinstance(size, int) for size in found.values()):
            try:
                resolve(over_sequences(traced), tuple(found.items()))
            except LstmGraphError as error:
                refused = refused or error
            else:
                return found
    raise CompileError(
        f"lg.check_gradients: got no sizes of {', '.join(free) or 'the feeds'} that fit {traced.name}, expected them "
        f"as to lg.compile ({refused})"
    )


def _choices(symbol: str, odd: int, symbols: list[str]) -> list[Any]:
    """Return what a size may be, best first: of the input and the state rather another's size than 1."""
    others = [other for other in symbols[::-1] if other != symbol]
    return [odd, *others, 1] if symbol in ("I", "H") else [odd, 1, *others]


# ---- differences


def _derivative(function: Callable[[float], Any]) -> Any:
    """Return the derivative at 0 by differences of the fourth order."""
    points = ((1, 8), (-1, -8), (2, -1), (-2, 1))
    return sum(weight * function(place * STEP) for place, weight in points) / (12 * STEP)


def _first_order_errors(program: Program, feeds: Feeds, seed: int) -> dict[str, float]:
    _, _, pullback = program.vjp(feeds.params, feeds.x, **feeds.keywords)
    rng = np.random.default_rng([seed, 1])

    def error(leaf: str, gradient: Any) -> float:
        along = rng.standard_normal(np.shape(gradient))
        numbers = _derivative(lambda step: _functional(program, feeds, leaf, step * along))
        return _error(numbers, np.sum(along * gradient))

    gradients = fed(by_leaf(program, pullback(feeds.dy, feeds.dstate)), feeds)
    return {leaf: error(leaf, gradient) for leaf, gradient in gradients.items()}


def _functional(program: Program, feeds: Feeds, leaf: str, change: Any) -> float:
    """Return the sum of outputs and final states times their cotangents, by the NumPy meaning, of a changed leaf."""
    kind, _, name = leaf.partition(":")
    given = {"parameter": dict(feeds.params), "input": dict(feeds.x), "state": dict(feeds.state)}
    given[kind][name] = given[kind][name] + change
    keywords = feeds.keywords | {"state": given["state"]}
    y, state = interpret(program.traced, given["parameter"], given["input"], **keywords)
    terms = [np.sum(value * feeds.dy[name]) for name, value in by_name(program, y).items()]
    return float(sum(terms + [np.sum(value * feeds.dstate[name]) for name, value in state.items()]))


def _second_order_errors(program: Program, feeds: Feeds, seed: int) -> dict[str, float]:
    rng = np.random.default_rng([seed, 2])
    direction = {name: rng.standard_normal(np.shape(value)) for name, value in feeds.params.items()}
    exact = program.hvp(feeds.params, feeds.x, direction, feeds.dy, feeds.dstate, **feeds.keywords)
    leaves = fed(by_leaf(program, exact), feeds)

    def gradients(step: float) -> Any:
        moved = {name: value + step * direction[name] for name, value in feeds.params.items()}
        _, _, pullback = program.vjp(moved, feeds.x, **feeds.keywords)
        found = by_leaf(program, pullback(feeds.dy, feeds.dstate))
        return np.concatenate([np.ravel(found[leaf]) for leaf in leaves])

    numbers = np.split(_derivative(gradients), np.cumsum([np.size(value) for value in leaves.values()]))
    return {f"second {leaf}": _error(part, np.ravel(leaves[leaf])) for leaf, part in zip(leaves, numbers, strict=False)}


def _error(differences: Any, exact: Any) -> float:
    scale = max(1.0, float(np.max(np.abs(exact), initial=0.0)))
    return float(np.max(np.abs(differences - exact), initial=0.0)) / scale
