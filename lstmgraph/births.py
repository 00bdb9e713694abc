"""Where values and cotangents stop being finite, in a run of a graph in NumPy.

A birth is a NaN from operands without one, or an infinity from finite operands. The way back is walked op by op, each
pullback evaluated by itself, so that a birth there has the op, the layer and the line of the way forward.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import networkx as nx
import numpy as np

from lstmgraph.autodiff import is_constant
from lstmgraph.graph import LEAVES, SINKS, Builder, Dim, Node, Shape, is_row, named, node_of, operands
from lstmgraph.interpreter import concrete, evaluate, run_cell
from lstmgraph.plugins import op
from lstmgraph.traced import Cell

Values = dict[str, Any]
Bundle = dict[tuple[str, str], Any]


@dataclass(frozen=True, eq=False)
class Birth:
    """Where something stops being finite: at a node of a graph, at a step of a row (or neither), at an index.

    `operand` is the place of the operand whose cotangent it is, None on the way forward; `order` sorts births.
    """

    graph: nx.MultiDiGraph
    key: str
    order: tuple[float, int]
    t: int | None
    b: int | None
    index: tuple[int, ...]
    value: float
    operand: int | None = None
    recur: str = ""


def forward_births(graph: nx.MultiDiGraph, values: Values, sizes: Mapping[Dim, Dim]) -> list[Birth]:
    """Return births among the values of a graph over sequences, in the order of time: for each node, its first."""
    births = []
    for place, (key, node) in enumerate(graph.nodes(data="node")):
        if node.op in LEAVES and graph.succ[key]:
            births += _births(graph, key, values[key], ~np.isfinite(values[key]), place)
        elif node.op not in (*LEAVES, *SINKS):
            kind, given = op(node.op).kind, [values[source] for source in operands(graph, key)]
            if kind == "recur":
                births += _births_in_time(node, given, dict(concrete(node.attrs, sizes)["sizes"]), place)
            elif kind != "item":
                births += _births(graph, key, values[key], _born(graph, key, values[key], values), place)
    return sorted(births, key=lambda birth: birth.order)


def _births_in_time(node: Node, given: list[Any], sizes: Mapping[Dim, Dim], place: int) -> list[Birth]:
    """Return the births at the first step that has some, in the order of the cell's equations."""
    cell: Cell = node.attr("cell")
    births: list[Birth] = []

    def watch(t: int, values: Values) -> None:
        for key, inner in cell.graph.nodes(data="node"):
            if not births and inner.op not in (*LEAVES, *SINKS):
                born = _born(cell.graph, key, values[key], values)
                births.extend(
                    _births(cell.graph, key, values[key], born, place, (t, float(t)), recur=node.attr("name"))
                )

    run_cell(cell, given, sizes, node.attr("reverse", False), watch)
    return births


def backward_births(
    graph: nx.MultiDiGraph, values: Values, seeds: Values, sizes: Mapping[Dim, Dim], dtype: Any
) -> tuple[list[Birth], Values]:
    """Walk a graph over sequences back; return births among the cotangents, and the cotangents of the leaves.

    Parameters
    ----------
    graph, values, sizes, dtype
        As `lstmgraph.interpreter.evaluate` took and gave them.
    seeds : dict
        Key -> cotangent where the walk begins.

    Returns
    -------
    births, cotangents
        The births in the order of the walk, which goes from the last step to the first; leaf key -> cotangent.
    """
    births: list[Birth] = []
    cotangents = _pulled_back(graph, values, seeds, sizes, dtype, births)
    return sorted(births, key=lambda birth: birth.order), cotangents


def _pulled_back(
    graph: nx.MultiDiGraph,
    values: Values,
    seeds: Values,
    sizes: Mapping[Dim, Dim],
    dtype: Any,
    births: list[Birth],
    step: tuple[int, float] | None = None,
    recur: str = "",
) -> Values:
    """As `backward_births`, entering births; `step`, in a cell, is t and what sorts it."""
    cotangents, keys = dict(seeds), list(graph)
    for place in range(len(keys) - 1, -1, -1):
        key, node = keys[place], node_of(graph, keys[place])
        if key not in cotangents or node.op in (*LEAVES, *SINKS):
            continue
        kind, sources = op(node.op).kind, operands(graph, key)
        if kind == "item":
            pulled: list[Any] = [{(node.attr("kind"), node.attr("name")): cotangents[key]}]
        elif kind == "recur":
            pulled = _recur_pulled_back(graph, key, values, cotangents[key], sizes, dtype, births)
        else:
            pulled = _pulled(graph, key, values, cotangents[key], sizes, dtype)
            like = Node("input", (), node.shape)
            for number, found in enumerate(pulled):
                if found is not None:
                    born = _born(graph, key, found, values, [(node, values[key]), (like, cotangents[key])])
                    births += _births(graph, key, found, born, -place, step, number, recur)
        for source, found in zip(sources, pulled, strict=True):
            if found is not None:
                cotangents[source] = _added(cotangents[source], found) if source in cotangents else found
    return cotangents


def _added(first: Any, second: Any) -> Any:
    """Return the sum of two cotangents, of which those of a recur are dictionaries of its results'."""
    if not isinstance(first, dict):
        return first + second
    return first | {key: first[key] + value if key in first else value for key, value in second.items()}


def _recur_pulled_back(
    graph: nx.MultiDiGraph,
    key: str,
    values: Values,
    bundle: Bundle,
    sizes: Mapping[Dim, Dim],
    dtype: Any,
    births: list[Birth],
) -> list[Any]:
    """Return the cotangents of a recur's operands, walking its cell back step by step."""
    node, results = node_of(graph, key), values[key]
    cell: Cell = node.attr("cell")
    leaves = dict(zip(cell.leaves, (values[source] for source in operands(graph, key)), strict=True))
    keys = {leaf: named(cell.graph, each.op)[each.name] for leaf, each in cell.leaves.items()}
    found = {leaf: np.zeros_like(value, dtype) for leaf, value in leaves.items() if not is_constant(cell.leaves[leaf])}
    T, B = leaves[f"input:{cell.inputs[0]}"].shape[:2]
    inside = dict(concrete(node.attrs, sizes)["sizes"]) | {"T": T, "B": B}
    flowing = {name: bundle.get(("final", name), found[f"state:{name}"]) for name in cell.states}
    for t in range(T) if node.attr("reverse", False) else range(T - 1, -1, -1):
        at = (t, float(t - T + 1 if node.attr("reverse", False) else -t))
        step = {leaf: value[t] if leaf.startswith("input:") else value for leaf, value in leaves.items()}
        step |= {f"state:{name}": results["previous", name][t] for name in cell.states}
        seeds: Values = {}
        for (kind, name), sink in cell.sinks.items():
            cotangent = flowing[name] if kind == "next" else bundle.get((kind, name))
            if cotangent is not None:
                source = operands(cell.graph, sink)[0]
                cotangent = cotangent[t] if kind == "output" else cotangent
                seeds[source] = seeds[source] + cotangent if source in seeds else cotangent
        inner = evaluate(cell.graph, step, inside, dtype)
        pulled = _pulled_back(cell.graph, inner, seeds, inside, dtype, births, at, node.attr("name"))
        for leaf in found:
            cotangent = pulled.get(keys[leaf], np.zeros_like(step[leaf], dtype))
            kind, _, name = leaf.partition(":")
            if kind == "input":
                found[leaf][t] = cotangent
            elif kind == "parameter":
                found[leaf] = found[leaf] + cotangent
            else:
                before = bundle.get(("previous", name))
                flowing[name] = cotangent if before is None else cotangent + before[t]
    found |= {f"state:{name}": value for name, value in flowing.items()}
    return [found.get(leaf) for leaf in cell.leaves]


def _pulled(
    graph: nx.MultiDiGraph, key: str, values: Values, cotangent: Any, sizes: Mapping[Dim, Dim], dtype: Any
) -> list[Any]:
    """Return the cotangents of a node's operands, None for zero."""
    node, sources = node_of(graph, key), operands(graph, key)
    pullback, results = _pullback(node, tuple(node_of(graph, source) for source in sources))
    leaves = {
        f"{kind}:{place}": values[source] for place, source in enumerate(sources) for kind in ("input", "parameter")
    }
    leaves |= {f"{kind}:cotangent": cotangent for kind in ("input", "parameter")}
    found = evaluate(pullback, leaves, sizes, dtype)
    return [None if result is None else found[result] for result in results]


@lru_cache(maxsize=4096)
def _pullback(node: Node, sources: tuple[Node, ...]) -> tuple[nx.MultiDiGraph, tuple[str | None, ...]]:
    """Return the pullback of one node as a graph, and the keys of the cotangents of its operands."""
    builder = Builder()

    def leaf(shape: Any, name: str, **attrs: Any) -> Any:
        return builder.leaf("input" if is_row(shape) else "parameter", shape, name=name, **attrs)

    given = tuple(
        builder.constant(each.attr("value")) if each.op == "constant" else leaf(each.shape, str(place))
        for place, each in enumerate(sources)
    )
    result = builder.add(node.op, *given, **dict(node.attrs))
    pulled = op(node.op).pullback(result, given, leaf(node.shape, "cotangent"))
    return builder.graph, tuple(None if each is None else each.key for each in pulled)


def _born(graph: nx.MultiDiGraph, key: str, value: Any, values: Values, more: Iterable[tuple[Node, Any]] = ()) -> Any:
    """Return where an array computed from a node's operands (and more) stops being finite."""
    bad = ~np.isfinite(value)
    if not bad.any():
        return bad
    node = node_of(graph, key)
    given = [(node_of(graph, source), values[source]) for source in operands(graph, key)] + list(more)
    given = [(each, array) for each, array in given if np.asarray(array).dtype.kind == "f"]
    nan, infinite = np.zeros_like(bad), np.zeros_like(bad)
    for each, array in given:
        nan |= _seen(op(node.op).kind, each, np.isnan(array), value)
        infinite |= _seen(op(node.op).kind, each, np.isinf(array), value)
    return np.where(np.isnan(value), ~nan, bad & ~nan & ~infinite)


def _seen(kind: str, node: Node, marks: Any, value: Any) -> Any:
    """Return, for each element of a value, whether an operand is marked where the element may come from."""
    if not marks.any():
        return np.False_
    rows = is_row(node.shape) and marks.ndim == np.ndim(value) and marks.shape[:-1] == np.shape(value)[:-1]
    if kind == "pointwise":
        try:
            return np.broadcast_to(marks, np.shape(value))
        except ValueError:  # the cotangent of a narrower operand
            pass
    return marks.any(axis=-1, keepdims=True) if rows else np.True_


def _births(
    graph: nx.MultiDiGraph,
    key: str,
    value: Any,
    born: Any,
    place: int,
    step: tuple[int, float] | None = None,
    operand: int | None = None,
    recur: str = "",
) -> list[Birth]:
    """Return the first place where a value or, with `operand`, a cotangent is born, on its way, as a list."""
    if not born.any():
        return []
    back = operand is not None
    shape = node_of(graph, key if operand is None else operands(graph, key)[operand]).shape
    t, b, index = place_of(shape, born, last=back)
    number = float(value[tuple(np.argwhere(born)[-1 if back else 0])])
    if step is not None:
        t, time = step
    elif t is not None:
        time = float(-t if back else t)
    else:  # what has no step comes before all steps, and on the way back after them
        time = math.inf if back else -1.0
    return [Birth(graph, key, (time, place), t, b, index, number, operand, recur)]


def place_of(shape: Shape, marks: Any, last: bool = False) -> tuple[int | None, int | None, tuple[int, ...]]:
    """Return step, row and the place in it of the first (or last) mark in an array of a shape in symbols."""
    index = tuple(int(i) for i in np.argwhere(marks)[-1 if last else 0])
    if shape[:1] == ("T",):
        return index[0], index[1], index[2:]
    return (None, index[0], index[1:]) if shape[:1] == ("B",) else (None, None, index)
