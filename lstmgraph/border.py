"""The border between a user's arrays and a graph: every wrong call gets one clear error here, before any kernel."""

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import numpy as np

from lstmgraph.dims import symbols_in
from lstmgraph.errors import CompileError, DTypeError, ParameterError, ShapeError, nearest
from lstmgraph.graph import Dim, Node, features, is_row, node_of, operands, resize
from lstmgraph.sizes import missing_sizes, spoken
from lstmgraph.traced import Traced

Arrays = dict[str, np.ndarray[Any, Any]]
FLOATS = ("float32", "float64")


def input_shape(node: Node, sizes: Mapping[Dim, Dim]) -> str:
    """Return the shape of an input for a message, as ``[T, B, 3]``."""
    dims = [str(resize(dim, sizes)) for dim in features(node.shape)]
    return "[" + ", ".join(["T", "B", *dims]) + "]"


def as_array(where: str, value: Any, expected: str) -> Any:
    """Return a value as an array.

    Raises
    ------
    ShapeError
        For ragged lists and what else makes no array.
    """
    try:
        return np.asarray(value)
    except (ValueError, TypeError) as error:
        raise ShapeError(f"{where}: got a ragged or unreadable {type(value).__name__}, expected {expected}") from error


def as_inputs(traced: Traced, sizes: Mapping[Dim, Dim], x: Any, dtype: Any) -> tuple[Arrays, int, int]:
    """Return the inputs by name as arrays of the program's dtype, with T and B.

    Raises
    ------
    ShapeError, DTypeError
        For a missing or unknown input, a wrong rank or size, or an element type that is no number.
    """
    given = dict(x) if isinstance(x, Mapping) else {traced.inputs[0]: x}
    for name in given:
        if name not in traced.inputs:
            raise ShapeError(
                f"{traced.name}: unknown input {name!r}, expected {', '.join(traced.inputs)}"
                + nearest(str(name), list(traced.inputs))
            )
    missing = [name for name in traced.inputs if name not in given]
    if missing:
        raise ShapeError(
            f"{traced.name}: got inputs {', '.join(given)}, expected also {', '.join(missing)}; "
            "pass a dictionary of arrays by name"
        )
    arrays = {name: _as_input(traced, name, sizes, given[name], dtype) for name in traced.inputs}
    first, *others = arrays
    T, B = arrays[first].shape[:2]
    for name in others:
        if arrays[name].shape[:2] != (T, B):
            raise ShapeError(
                f"{traced.name}: got input {name} with T, B = {arrays[name].shape[:2]}, expected {(T, B)} as "
                f"{first} has"
            )
    return arrays, T, B


def take_masks(traced: Traced, sizes: Mapping[Dim, Dim], x: Any, dtype: Any) -> tuple[Any, Arrays]:
    """Return the inputs without the masks among them, and the masks by name: all of them or none.

    Raises
    ------
    ShapeError
        If some are missing, or one has another shape.
    """
    if not isinstance(x, Mapping) or not any(name in x for name in traced.masks):
        return x, {}
    missing = [name for name in traced.masks if name not in x]
    if missing:
        raise ShapeError(
            f"{traced.name}: got no mask {', '.join(missing)}, expected all of {', '.join(traced.masks)} for training, "
            "as program.masks gives, or none for evaluation"
        )
    rest = {name: value for name, value in x.items() if name not in traced.masks}
    first = as_array(f"{traced.name}: inputs", next(iter(rest.values()), ()), "arrays by name").shape
    masks: Arrays = {}
    for name, node in traced.masks.items():
        rows = first[:2] if is_row(node.shape) else ()
        shape = (*rows, *(resize(dim, sizes) for dim in features(node.shape)))
        masks[name] = as_cotangent(f"{traced.name}: mask {name}", x[name], shape, dtype)
    return rest, masks


def _as_input(traced: Traced, name: str, sizes: Mapping[Dim, Dim], value: Any, dtype: Any) -> Any:
    node = traced.leaves[f"input:{name}"]
    where = f"{traced.name}: input {name}"
    expected = input_shape(node, sizes)
    array = as_array(where, value, f"an array {expected}")
    if array.ndim != 2 + len(features(node.shape)):
        remedy = _missing_axis(name, array, [resize(dim, sizes) for dim in features(node.shape)])
        raise ShapeError(f"{where}: got shape {list(array.shape)}, expected {expected}; {remedy}")
    for got, want in zip(array.shape[2:], features(node.shape), strict=True):
        if got != resize(want, sizes):
            raise ShapeError(f"{where}: got shape {list(array.shape)}, expected {expected}")
    if node.attr("integer"):
        if array.dtype.kind not in "iu":
            raise DTypeError(f"{where}: got {array.dtype}, expected integers; it is used as an index")
        return np.ascontiguousarray(array, dtype=np.int64)
    if array.dtype.kind not in "fiub":
        raise DTypeError(f"{where}: got {array.dtype}, expected real numbers, cast once to {np.dtype(dtype)}")
    return _cast(array, dtype)


def _cast(array: Any, dtype: Any) -> Any:
    """Return numbers in the program's dtype; beyond float32 is infinity, which is legal."""
    with np.errstate(over="ignore"):
        return np.ascontiguousarray(array, dtype=dtype)


def _missing_axis(name: str, array: Any, size: list[Dim]) -> str:
    """Return what to do about an input of the wrong rank, features of `size`."""
    if array.ndim == 1 + len(size):
        if size and (size[0] == 1 or isinstance(size[0], str)):
            return f"for one feature add the last axis: {name}[..., None]"
        if not size or size[0] == array.shape[-1]:
            return f"for one sequence add the axis of rows: {name}[:, None]"
    return "sequences are time-major"


def table_limits(traced: Traced, sizes: Mapping[Dim, Dim]) -> dict[str, int]:
    """Return, for each index input, the number of entries of the smallest table that it reads, in cells too."""
    limits: dict[str, int] = {}

    def limit(name: str, entries: int) -> None:
        limits[name] = min(limits.get(name, entries), entries)

    graph = traced.graph
    for key in graph:
        node, sources = node_of(graph, key), [node_of(graph, source) for source in operands(graph, key)]
        if node.op == "recur":
            inside = {symbol: resize(dim, sizes) for symbol, dim in node.attr("sizes")}
            found = table_limits(node.attr("cell"), inside)
            for leaf, source in zip(node.attr("cell").leaves, sources, strict=True):
                if leaf.startswith("input:") and leaf[6:] in found:
                    limit(source.name, found[leaf[6:]])
        elif sources and sources[-1].attr("integer"):
            limit(sources[-1].name, int(resize(node.attr("size") or sources[0].shape[0], sizes)))
    return limits


def check_index_range(traced: Traced, arrays: Mapping[str, Any], limits: Mapping[str, int]) -> None:
    """Raise if an index input holds an entry that its table does not have."""
    for name, limit in limits.items():
        array = arrays[name]
        if array.size and (array.min() < 0 or array.max() >= limit):
            wrong = int(array.min()) if array.min() < 0 else int(array.max())
            raise ShapeError(f"{traced.name}: input {name}: got index {wrong}, expected 0 to {limit - 1}")


def as_state(traced: Traced, sizes: Mapping[Dim, Dim], state: Any, B: int, dtype: Any) -> Arrays:
    """Return every state [B, n]; those not given are zeros."""
    return as_named_rows(traced, sizes, state, B, dtype, "state")


def as_named_rows(traced: Traced, sizes: Mapping[Dim, Dim], given: Any, B: int, dtype: Any, what: str) -> Arrays:
    """Return [B, n] arrays by state name, zeros where none is given."""
    given = {} if given is None else given
    if not isinstance(given, Mapping):
        names = ", ".join(traced.states)
        raise ShapeError(f"{traced.name}: {what}: got {type(given).__name__}, expected a dictionary with {names}")
    for name in given:
        if name not in traced.states:
            raise ShapeError(
                f"{traced.name}: unknown {what} {name!r}, expected one of {', '.join(traced.states)}"
                + nearest(str(name), list(traced.states))
            )
    arrays: Arrays = {}
    for name in traced.states:
        shape = (B, int(resize(traced.leaves[f"state:{name}"].shape[-1], sizes)))
        if given.get(name) is None:
            arrays[name] = np.zeros(shape, dtype)
            continue
        array = as_array(f"{traced.name}: {what} {name}", given[name], f"numbers of shape {list(shape)}")
        if array.shape != shape or array.dtype.kind not in "fiub":
            raise ShapeError(
                f"{traced.name}: {what} {name}: got {array.dtype} of shape {list(array.shape)}, expected numbers of "
                f"shape {list(shape)}"
            )
        arrays[name] = _cast(array, dtype)
    return arrays


def as_params(traced: Traced, sizes: Mapping[Dim, Dim], params: Any, dtype: Any) -> Arrays:
    """Return the parameters, checked: names, shapes, element type."""
    known = traced.parameters
    if not isinstance(params, Mapping):
        raise ParameterError(
            f"{traced.name}: got params of type {type(params).__name__}, expected a dictionary as program.init gives"
        )
    for name in params:
        if name not in known:
            raise ParameterError(
                f"{traced.name}: unknown parameter {name!r}, expected those of program.init"
                + nearest(str(name), list(known))
            )
    missing = [name for name in known if name not in params]
    if missing:
        raise ParameterError(
            f"{traced.name}: got no parameter {', '.join(missing)}, expected {len(known)}; see program.init"
        )
    arrays: Arrays = {}
    for name, node in known.items():
        shape = tuple(resize(dim, sizes) for dim in node.shape)
        array = as_array(f"{traced.name}: parameter {name}", params[name], f"an array of shape {list(shape)}")
        if array.shape != shape:
            raise ShapeError(
                f"{traced.name}: parameter {name}: got shape {list(array.shape)}, expected {list(shape)} = "
                f"{list(node.shape)}"
            )
        if array.dtype != dtype:
            raise DTypeError(
                f"{traced.name}: parameter {name}: got {array.dtype}, expected {np.dtype(dtype)}; cast it with "
                ".astype, or compile with its dtype"
            )
        arrays[name] = array if array.flags.c_contiguous else np.ascontiguousarray(array)
    return arrays


def as_lengths(lengths: Any, T: int, B: int) -> Any:
    """Return valid steps [B] as integers, or None."""
    if lengths is None:
        return None
    array = as_array("lengths", lengths, f"{B} integers")
    if array.shape != (B,) or (array.dtype.kind not in "iu" and array.size):
        raise ShapeError(f"lengths: got {array.dtype} of shape {list(array.shape)}, expected {B} integers")
    if array.size and (array.min() < 0 or array.max() > T):
        wrong = array.min() if array.min() < 0 else array.max()
        raise ShapeError(f"lengths: got {int(wrong)}, expected 0 to T = {T}")
    return array.astype(np.int64)


def as_reset(reset: Any, T: int, B: int) -> Any:
    """Return reset flags [T, B] as booleans, or None."""
    if reset is None:
        return None
    array = as_array("reset", reset, f"booleans [T, B] = {[T, B]}")
    if array.shape != (T, B) or array.dtype.kind not in "biu":
        raise ShapeError(f"reset: got {array.dtype} of shape {list(array.shape)}, expected booleans [T, B] = {[T, B]}")
    return array.astype(bool)


def learned_starts(traced: Traced, state: Any) -> frozenset[str]:
    """Return the states that a call does not give and that start at a learned value."""
    given = state if isinstance(state, Mapping) else {}
    return frozenset(
        name for name in traced.states if traced.leaves[f"state:{name}"].attr("initial") and given.get(name) is None
    )


def as_cotangent(where: str, value: Any, shape: tuple[int, ...], dtype: Any) -> Any:
    """Return a cotangent as an array of the program's dtype; its shape must be that of the result."""
    array = as_array(where, value, f"numbers of shape {list(shape)}")
    if array.shape != shape or array.dtype.kind not in "fiub":
        raise ShapeError(
            f"{where}: got {array.dtype} of shape {list(array.shape)}, expected numbers of shape {list(shape)}"
        )
    return _cast(array, dtype)


def bind_sizes(traced: Traced, sizes: Mapping[str, Any]) -> dict[Dim, Dim]:
    """Return symbol -> size for every symbol of the graph.

    Raises
    ------
    CompileError
        For a symbol without a size, a size of no symbol, or one that is no positive integer.
    """
    bound = checked_sizes(traced, sizes)
    if missing := [symbol for symbol in symbols_of(traced) if symbol not in bound]:
        raise missing_sizes(traced, missing, "pass {keywords} to lg.compile")
    return bound


def checked_sizes(traced: Traced, sizes: Mapping[str, Any]) -> dict[Dim, Dim]:
    """Return symbol -> size for the sizes given; raises as `bind_sizes` does, but for none that is missing."""
    symbols = symbols_of(traced)
    for name, value in sizes.items():
        if name not in symbols:
            raise CompileError(
                f"{traced.name}: unknown size {spoken(name)!r}, expected {', '.join(map(spoken, symbols)) or 'none'}"
                + nearest(spoken(name), [spoken(s) for s in symbols])
            )
        if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < 1:
            raise CompileError(f"{traced.name}: got {spoken(name)}={value!r}, expected a positive integer")
    return {name: int(value) for name, value in sizes.items()}


@lru_cache(maxsize=256)
def symbols_of(traced: Traced) -> tuple[str, ...]:
    """Return the symbols of size in a graph's leaves and layers, in order."""
    found: dict[str, None] = {}
    for _, node in traced.graph.nodes(data="node"):
        for dim in features(node.shape):
            found |= dict.fromkeys(symbols_in(dim))
    return tuple(found)


def infer_sizes(traced: Traced, params: Mapping[str, Any], x: Any, state: Mapping[str, Any] | None) -> dict[Dim, Dim]:
    """Return symbol -> size as the shapes of the arrays say; one of the wrong rank says nothing."""
    given: dict[str, Any] = {f"parameter:{name}": value for name, value in dict(params).items()}
    inputs = dict(x) if isinstance(x, Mapping) else {traced.inputs[0]: x}
    given |= {f"input:{name}": value for name, value in inputs.items()}
    given |= {f"state:{name}": value for name, value in (state or {}).items()}
    sizes: dict[Dim, Dim] = {}
    for leaf, node in traced.leaves.items():
        if leaf in given:
            dims, shape = features(node.shape), np.shape(given[leaf])
            rows = {"input": 2, "state": 1, "parameter": 0}[leaf.partition(":")[0]]
            for dim, size in zip(dims, shape[rows:] if len(shape) == rows + len(dims) else (), strict=False):
                if symbols_in(dim) == [dim]:
                    sizes.setdefault(dim, size)
    return sizes


def float_dtype(params: Mapping[str, Any], x: Any) -> Any:
    """Return the element type of the parameters, else of the input, float32 or float64."""
    given = {f"parameter {name}": value for name, value in dict(params).items()}
    given |= {f"input {name}": value for name, value in x.items()} if isinstance(x, Mapping) else {"input": x}
    for where, value in given.items():
        dtype = as_array(where, value, "an array of numbers").dtype
        if dtype.name in FLOATS:
            return dtype
    return np.dtype("float64")


def in_returned_form(outputs: Mapping[str, Any]) -> Any:
    """Return the one output as an array, several as a dictionary."""
    return next(iter(outputs.values())) if len(outputs) == 1 else dict(outputs)
