"""The NumPy meaning of a graph: the oracle that everything compiled is tested against."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import networkx as nx
import numpy as np

from lstmgraph.border import (
    Arrays,
    as_inputs,
    as_lengths,
    as_params,
    as_reset,
    as_state,
    check_index_range,
    float_dtype,
    in_returned_form,
    infer_sizes,
    learned_starts,
    symbols_of,
    table_limits,
    take_masks,
)
from lstmgraph.errors import GraphError, ParameterError
from lstmgraph.graph import LEAVES, SINKS, Attrs, Dim, operands, resize
from lstmgraph.masks import with_masks, without_masks
from lstmgraph.plugins import op
from lstmgraph.resets import with_reset
from lstmgraph.schedule.resolve import resolve
from lstmgraph.sizes import missing_sizes
from lstmgraph.traced import Cell, Traced


def evaluate(graph: nx.MultiDiGraph, leaves: Mapping[str, Any], sizes: Mapping[Dim, Dim], dtype: Any) -> dict[str, Any]:
    """Return the value of every node, given leaves by ``kind:name`` and the sizes of symbols (B and T too)."""
    values: dict[str, Any] = {}
    for key, node in graph.nodes(data="node"):
        if node.op == "constant":
            values[key] = np.asarray(node.attr("value"), dtype)
        elif node.op in LEAVES:
            values[key] = leaves[f"{node.op}:{node.name}"]
        elif node.op in SINKS:
            values[key] = values[operands(graph, key)[0]]
        else:
            attrs = concrete(node.attrs, sizes)
            value = op(node.op).meaning(*(values[source] for source in operands(graph, key)), **attrs)
            values[key] = value if isinstance(value, dict) else np.asarray(value).astype(dtype, copy=False)
    return values


def concrete(attrs: Attrs, sizes: Mapping[Dim, Dim]) -> dict[str, Any]:
    """Return an op's attributes with symbols of size exchanged for integers."""
    found = dict(attrs)
    if "size" in found:
        found["size"] = resize(found["size"], sizes)
    for name in ("target", "parts"):
        if name in found:
            found[name] = tuple(resize(dim, sizes) for dim in found[name])
    if "sizes" in found:
        found["sizes"] = tuple((symbol, resize(dim, sizes)) for symbol, dim in found["sizes"])
    return found


def run_cell(
    cell: Traced,
    values: Sequence[Any],
    sizes: Mapping[Dim, Dim],
    reverse: bool = False,
    watch: Callable[[int, dict[str, Any]], None] | None = None,
) -> dict[tuple[str, str], Any]:
    """Run a cell over sequences, step by step, and return its results by (kind, name).

    Parameters
    ----------
    cell : Cell
        What is run.
    values : sequence of arrays
        Its leaves in the order of ``cell.leaves``: inputs [T, B, n], states [B, n], parameters.
    sizes : mapping
        Symbol -> size.
    reverse : bool
        Run from the last step to the first.
    watch : callable, optional
        Shown each step t and the values of all nodes at it.
    """
    leaves = dict(zip(cell.leaves, values, strict=True))
    first = leaves[f"input:{cell.inputs[0]}"]
    T, B = first.shape[:2]
    dtype = np.result_type(*(v for k, v in leaves.items() if not cell.leaves[k].attr("integer")))
    sizes = {**sizes, "T": T, "B": B}
    state = {name: np.asarray(leaves[f"state:{name}"], dtype) for name in cell.states}
    shapes = {(kind, name): cell.result_shape(kind, name) for kind, name in _results(cell)}
    results = {result: np.zeros(_run_shape(result[0], shape, sizes), dtype) for result, shape in shapes.items()}
    for t in range(T - 1, -1, -1) if reverse else range(T):
        step = {k: v[t] if k.startswith("input:") else v for k, v in leaves.items()}
        step |= {f"state:{name}": value for name, value in state.items()}
        for name, value in state.items():
            results["previous", name][t] = value
        found = evaluate(cell.graph, step, sizes, dtype)
        if watch is not None:
            watch(t, found)
        for name in cell.outputs:
            results["output", name][t] = found[cell.sinks["output", name]]
        for name in cell.sums:
            results["sum", name] = results["sum", name] + found[cell.sinks["sum", name]]
        state = {
            name: np.broadcast_to(found[cell.sinks["next", name]], value.shape).copy() for name, value in state.items()
        }
    return results | {("final", name): value for name, value in state.items()}


def _results(cell: Traced) -> list[tuple[str, str]]:
    return (
        [("output", name) for name in cell.outputs]
        + [("previous", name) for name in cell.states]
        + [("sum", name) for name in cell.sums]
    )


def _run_shape(kind: str, shape: Any, sizes: Mapping[Dim, Dim]) -> tuple[int, ...]:
    dims = tuple(int(resize(dim, sizes)) for dim in shape)
    return dims if kind == "sum" else (int(sizes["T"]), *dims)


def interpret(
    traced: Traced,
    params: Mapping[str, Any],
    x: Any,
    state: Mapping[str, Any] | None = None,
    lengths: Any = None,
    reset: Any = None,
) -> tuple[Any, Arrays]:
    """Return what ``lg.compile(traced, ...)(params, x, ...)`` returns, by the NumPy meaning of each op.

    Parameters
    ----------
    traced : Cell or Network
        What is run.
    params : dict
        Arrays by full parameter name.
    x : array or dict
        The input [T, B, I], or inputs by name.
    state : dict, optional
        Initial states [B, H]; zeros where missing.
    lengths : integers [B], optional
        Valid steps of each row.
    reset : booleans [T, B], optional
        Where a row is put back to the initial state before the step.

    Returns
    -------
    y, state
        Outputs [T, B, H] (a dictionary if there are several) and final states.

    Examples
    --------
    >>> import numpy as np, lstmgraph as lg
    >>> @lg.cell
    ... def total(x, h):
    ...     return h + x
    >>> lg.interpret(total, {}, np.ones((3, 1, 2)))[0][:, 0, 0]
    array([1., 2., 3.])
    """
    if not isinstance(traced, Traced):
        raise GraphError(f"lg.interpret: got {type(traced).__name__}, expected a cell or a network made by a decorator")
    if not isinstance(params, Mapping):
        raise ParameterError(
            f"{traced.name}: got params of type {type(params).__name__}, expected a dictionary of arrays"
        )
    dtype = float_dtype(params, x)
    sizes = infer_sizes(traced, params, x, state)
    values = as_params(traced, sizes, params, dtype)
    x, masks = take_masks(traced, sizes, x, dtype)
    inputs, T, B = as_inputs(traced, sizes, x, dtype)
    _check_sizes(traced, sizes)
    check_index_range(traced, inputs, table_limits(traced, sizes))
    states = as_state(traced, sizes, state, B, dtype)
    for name in learned_starts(traced, state):
        states[name] = np.broadcast_to(values[traced.leaves[f"state:{name}"].attr("initial")], states[name].shape)
    valid = as_lengths(lengths, T, B)
    flags = as_reset(reset, T, B)
    graph = with_masks(traced) if masks else without_masks(traced)
    inputs |= {name: value for name, value in masks.items() if name in graph.inputs}
    values |= {name: value for name, value in masks.items() if name in graph.parameters}
    if flags is not None:
        graph = with_reset(graph)
        inputs["@reset"] = flags[..., None].astype(dtype)
    if valid is None:
        outputs, final = _run(graph, sizes, inputs, states, values, dtype)
        return in_returned_form(outputs), final
    rows = []
    for b, length in enumerate(valid):
        row_inputs = {k: v[:length, b : b + 1] for k, v in inputs.items()}
        row_state = {k: v[b : b + 1] for k, v in states.items()}
        rows.append(_run(graph, sizes, row_inputs, row_state, values, dtype))
    outputs = {
        name: np.zeros((T, B, int(resize(traced.result_shape("output", name)[-1], sizes))), dtype)
        for name in traced.outputs
    }
    for b, (row, _) in enumerate(rows):
        for name in traced.outputs:
            outputs[name][: valid[b], b] = row[name][:, 0]
    outputs |= {name: np.sum([row[name] for row, _ in rows], axis=0) for name in traced.sums}
    final = {name: np.concatenate([s[name] for _, s in rows]) if rows else states[name] for name in traced.states}
    return in_returned_form(outputs), final


def _check_sizes(traced: Traced, sizes: Mapping[Dim, Dim]) -> None:
    """Raise if a size is missing, or if the sizes do not fit."""
    if missing := [symbol for symbol in symbols_of(traced) if symbol not in sizes]:
        raise missing_sizes(traced, missing, "pass arrays of that size, as in state={{'h': np.zeros((B, H))}}")
    resolve(traced, tuple(sorted(sizes.items(), key=str)))


def _run(
    traced: Traced, sizes: Mapping[Dim, Dim], inputs: Arrays, states: Arrays, params: Arrays, dtype: Any
) -> tuple[Arrays, Arrays]:
    leaves = {
        **{f"input:{k}": v for k, v in inputs.items()},
        **{f"state:{k}": v for k, v in states.items()},
        **{f"parameter:{k}": v for k, v in params.items()},
    }
    with np.errstate(all="ignore"):
        if isinstance(traced, Cell):
            results = run_cell(traced, [leaves[leaf] for leaf in traced.leaves], sizes, traced.reverse)
            return (
                {name: results["output", name] for name in traced.outputs}
                | {name: results["sum", name] for name in traced.sums},
                {name: results["final", name] for name in traced.states},
            )
        T, B = next(iter(inputs.values())).shape[:2]
        found = evaluate(traced.graph, leaves, {**sizes, "T": T, "B": B}, dtype)
    return (
        {name: found[traced.sinks["output", name]] for name in traced.outputs},
        {name: found[traced.sinks["next", name]] for name in traced.states},
    )
