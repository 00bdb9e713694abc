"""@cell and @network: run a Python function on symbolic values and get a graph."""

import inspect
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from lstmgraph.errors import GraphError
from lstmgraph.graph import Builder, Dim, Shape, Symbol, features, is_row, node_of
from lstmgraph.lines import Line, say_line
from lstmgraph.traced import Cell, Network

_active: ContextVar[Builder | None] = ContextVar("lstmgraph_builder", default=None)


class IntegerInput(Exception):
    """Raised while tracing when an input turns out to be an index; the function is traced again."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name


def active(word: str) -> Builder:
    """Return the builder of the function being traced.

    Raises
    ------
    GraphError
        Outside a function under ``@lg.cell`` or ``@lg.network``.
    """
    builder = _active.get()
    if builder is None:
        raise GraphError(f"lg.{word}: called outside a cell; use it inside a function under @lg.cell or @lg.network")
    return builder


@contextmanager
def tracing(builder: Builder) -> Iterator[None]:
    """Let layers build into `builder` for a while."""
    token = _active.set(builder)
    try:
        yield
    finally:
        _active.reset(token)


def as_index(value: Symbol, word: str) -> Symbol:
    """Return a value as an index (one integer a row); it must be an input."""
    if features(value.shape):
        if value.node.op != "input":
            raise GraphError(f"lg.{word}: got a computed value as the index, expected an input of integers")
        raise IntegerInput(value.node.name)
    return value


def cell(function: Callable[..., Any]) -> Cell:
    """Make a cell of a function of inputs and previous states that returns the next states.

    Parameters
    ----------
    function : callable
        Its arguments before ``/`` are the inputs (without ``/`` the first one), the others the states. It returns
        the next states in the order of the arguments (the first is the cell's output ``y``), or a dictionary whose
        keys that are states are next states and whose other keys are outputs.

    Returns
    -------
    Cell
        With ``.graph``, ``.inputs``, ``.states``, ``.outputs``, ``.parameters``.

    Raises
    ------
    GraphError
        If the function returns something else, or a layer's name is used twice.

    Examples
    --------
    >>> import lstmgraph as lg
    >>> @lg.cell
    ... def elman(x, h):
    ...     return lg.tanh_layer(h, x, name="hidden")
    >>> elman.states, list(elman.parameters)
    (('h',), ['hidden.W_h', 'hidden.W_x', 'hidden.b'])
    """
    if not callable(function) or isinstance(function, type):
        raise GraphError(f"lg.cell: got {type(function).__name__}, expected a function of an input and states")
    inputs, states = _arguments(function)
    name, line = function.__name__, _line_of(function)
    integers: set[str] = set()
    dims: dict[str, Dim] = {state: f"?{state}" for state in states}
    for _ in range(2 * len(states) + len(inputs) + 3):
        builder = Builder(trace=True)
        symbols = _input_leaves(builder, inputs, ("B",), integers)
        symbols += [builder.leaf("state", ("B", dims[state]), name=state) for state in states]
        with tracing(builder):
            try:
                returned = function(*symbols)
            except IntegerInput as found:
                integers.add(found.name)
                continue
        returns, nexts, outputs = _cell_results(builder, returned, states, dims, f"cell {name}{say_line(line)}")
        settled = _settle(dims, {state: value.shape[-1] for state, value in nexts.items()})
        if settled == dims:
            for state in states:
                builder.sink("next", nexts[state], state)
            hidden = builder.graph.graph.pop("nexts", {})
            for state, value in hidden.items():
                builder.sink("next", value, state)
            for output, value in outputs.items():
                builder.sink("output", value, output)
            builder.graph.graph["hidden"] = tuple(hidden)
            return Cell(builder.freeze(name), returns, inspect.getdoc(function) or "")
        dims = settled
    raise GraphError(
        f"cell {name}{say_line(line)}: the sizes of its states {dims} do not settle; give `size=` to its layers"
    )


def network(function: Callable[..., Any]) -> Network:
    """Make a network of a function of whole sequences: embeddings, recurs and layers.

    Parameters
    ----------
    function : callable
        Its arguments are the inputs; it returns one value (the output ``y``) or a dictionary of outputs.

    Examples
    --------
    >>> import lstmgraph as lg
    >>> @lg.network
    ... def tagger(tokens):
    ...     x = lg.embedding(tokens, 50, 8, name="embed")
    ...     return lg.linear(lg.recur(lg.cells.lstm, x, size=16, name="lstm"), size=5, name="head")
    >>> tagger.states
    ('lstm.h', 'lstm.c')
    """
    if not callable(function) or isinstance(function, type):
        raise GraphError(f"lg.network: got {type(function).__name__}, expected a function of sequences")
    names = list(inspect.signature(function).parameters)
    line = _line_of(function)
    if not names:
        raise GraphError(f"network {function.__name__}{say_line(line)}: got no arguments, expected at least one input")
    integers: set[str] = set()
    while True:
        builder = Builder(trace=True)
        symbols = _input_leaves(builder, names, ("T", "B"), integers)
        with tracing(builder):
            try:
                returned = function(*symbols)
            except IntegerInput as found:
                integers.add(found.name)
                continue
        break
    where = f"network {function.__name__}{say_line(line)}"
    outputs = returned if isinstance(returned, Mapping) else {"y": returned}
    for name, value in outputs.items():
        builder.sink("output", _as_row(builder, value, ("T", "B"), f"{where}: output {name!r}"), str(name))
    for state, value in builder.graph.graph.pop("nexts", {}).items():
        builder.sink("next", value, state)
    returns = tuple(outputs) if isinstance(returned, Mapping) else "single"
    return Network(builder.freeze(function.__name__), returns, inspect.getdoc(function) or "")


def _line_of(function: Callable[..., Any]) -> Line | None:
    code = getattr(function, "__code__", None)
    return (code.co_filename, code.co_firstlineno) if code else None


def _arguments(function: Callable[..., Any]) -> tuple[list[str], list[str]]:
    parameters = inspect.signature(function).parameters.values()
    where = f"cell {function.__name__}{say_line(_line_of(function))}"
    for parameter in parameters:
        if parameter.kind not in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD):
            raise GraphError(f"{where}: got argument {str(parameter)!r}, expected plain arguments: inputs, then states")
    inputs = [p.name for p in parameters if p.kind is p.POSITIONAL_ONLY]
    states = [p.name for p in parameters if p.kind is not p.POSITIONAL_ONLY]
    if not inputs:
        inputs, states = states[:1], states[1:]
    if not inputs:
        raise GraphError(f"{where}: got no arguments, expected an input and states, as in `def cell(x, h)`")
    return inputs, states


def _input_leaves(builder: Builder, names: list[str], rows: Shape, integers: set[str]) -> list[Symbol]:
    leaves = []
    for place, name in enumerate(names):
        if name in integers:
            leaves.append(builder.leaf("input", rows, name=name, integer=True))
        else:
            leaves.append(builder.leaf("input", (*rows, "I" if place == 0 else name), name=name))
    return leaves


def _cell_results(
    builder: Builder, returned: Any, states: list[str], dims: Mapping[str, Dim], where: str
) -> tuple[str | tuple[str, ...], dict[str, Symbol], dict[str, Symbol]]:
    """Return the form of what was returned, the next states and the outputs."""
    if isinstance(returned, Mapping):
        missing = [state for state in states if state not in returned]
        if missing:
            raise GraphError(
                f"{where}: got keys {list(returned)}, expected every state; return also {', '.join(missing)}"
            )
        values = {
            str(key): _as_row(builder, value, ("B", dims.get(key, "H")), f"{where}: {key!r}")
            for key, value in returned.items()
        }
        nexts = {state: values[state] for state in states}
        outputs = {key: value for key, value in values.items() if key not in states}
        returns: str | tuple[str, ...] = tuple(values)
    else:
        several = isinstance(returned, tuple | list)
        items = list(returned) if several else [returned]
        if len(items) != max(len(states), 1):
            raise GraphError(
                f"{where}: got {len(items)} returned values, expected {max(len(states), 1)}: the next "
                f"{', '.join(states) or 'output'}; return a dictionary for outputs that are no states"
            )
        rows = [
            _as_row(builder, value, ("B", dims[state]), f"{where}: next {state!r}")
            for state, value in zip(states, items, strict=False)
        ]
        nexts = dict(zip(states, rows, strict=True))
        outputs = {} if states else {"y": _as_row(builder, items[0], ("B", "H"), f"{where}: output")}
        returns = "tuple" if several else "single"
    if not outputs:
        outputs = {"y": nexts[states[0]]}
    return returns, nexts, outputs


def _as_row(builder: Builder, value: Any, shape: Shape, where: str) -> Symbol:
    """Return a returned value as a row of the graph; numbers and vectors are spread over the rows."""
    try:
        symbol = builder.lift(value, where)
    except GraphError:
        raise GraphError(
            f"{where}: got {type(value).__name__} {value!r}, expected a value of the cell or a number; "
            "return what lg's layers and arithmetic give"
        ) from None
    rows = tuple(dim for dim in shape if dim in ("T", "B"))
    if is_row(symbol.shape):
        if not features(symbol.shape):
            raise GraphError(f"{where}: got an index, expected a value; use lg.embedding first")
        return symbol
    if len(symbol.shape) > 1:
        raise GraphError(f"{where}: got a matrix of shape {symbol.shape}, expected a row; multiply a row with it")
    dim = symbol.shape[0] if symbol.shape else features(shape)[0] if features(shape) else 1
    return builder.add("broadcast", symbol, target=(*rows, dim))


def _settle(dims: Mapping[str, Dim], found: Mapping[str, Dim]) -> dict[str, Dim]:
    """Return the state sizes after one more look at the next values; unknown ones become H at last."""
    unknown = {state for state, dim in dims.items() if str(dim).startswith("?")}
    news = {state: dim for state, dim in found.items() if state in unknown and not str(dim).startswith("?")}
    if unknown and not news:
        news = {min(unknown, key=list(dims).index): "H"}
        return {state: _linked(state, dim, found, news) for state, dim in dims.items()}
    return {state: news.get(state, dim) for state, dim in dims.items()}


def _linked(state: str, dim: Dim, found: Mapping[str, Dim], news: Mapping[str, Dim]) -> Dim:
    return "H" if state in news or str(dim).startswith("?") else dim


def layer_line(builder: Builder, key: str) -> str:
    """Return where a node was written, for an error message."""
    return f"{node_of(builder.graph, key).op}{say_line(builder.graph.graph['lines'].get(key))}"
