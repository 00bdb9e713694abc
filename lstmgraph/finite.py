"""check_finite(): where the first NaN or infinity of a run is born, said in one sentence."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import networkx as nx
import numpy as np

from lstmgraph.autodiff import Result
from lstmgraph.births import Birth, Values, backward_births, forward_births, place_of
from lstmgraph.border import as_lengths, as_params, float_dtype, infer_sizes
from lstmgraph.call import Call
from lstmgraph.errors import GraphError
from lstmgraph.graph import LEAVES, Dim, Shape, is_row, keys_of, lead, node_of, operands
from lstmgraph.interpreter import evaluate
from lstmgraph.lines import Line, say_line
from lstmgraph.program import Program
from lstmgraph.program import compile as compile_program
from lstmgraph.traced import Traced


@dataclass(frozen=True)
class NotFinite:
    """Where the first NaN or infinity is born; printed, it is one sentence.

    Attributes
    ----------
    where : str
        The cell or network, and the recur in it.
    what : str
        "array" (it was given), "value" (an op made it), "cotangent" (a pullback made it) or "result" (it came from
        an infinity that the cell writes itself, or from adding up finite parts).
    name : str
        Of the array or the result, as ``parameter forget.W_h``, or of the op.
    layer : str
        The name of the layer that the op belongs to, or an empty string.
    line : tuple of str and int, optional
        File and line of the cell where the op was written.
    t, b : int, optional
        The step and the row.
    index : tuple of int
        The place in the row, or in an array without rows.
    value : float
        NaN or an infinity.
    operand : int, optional
        Of a cotangent: which operand's it is, from 0.
    """

    where: str
    what: str
    name: str
    layer: str
    line: Line | None
    t: int | None
    b: int | None
    index: tuple[int, ...]
    value: float
    operand: int | None = None

    def __str__(self) -> str:
        place = [f"step {self.t}"] if self.t is not None else []
        place += [f"row {self.b}"] if self.b is not None else []
        if self.index:
            place.append(f"feature {self.index[0]}" if place and len(self.index) == 1 else f"index {list(self.index)}")
        at = f" at {', '.join(place)}" if place else ""
        if self.what == "array":
            return f"{self.where}: {self.name} holds {self.value}{at}"
        if self.what == "result":
            return f"{self.where}: {self.name} is {self.value}{at}, and no op made it from finite operands"
        op = f"{self.name}{f' of layer {self.layer}' if self.layer else ''}{say_line(self.line)}"
        operands = "operands without NaN" if np.isnan(self.value) else "finite operands"
        if self.what == "value":
            return f"{self.where}: {op} made {self.value}{at}, from {operands}"
        return (
            f"{self.where}: on the way back {op} made {self.value}{at}, for its operand {self.operand}, from "
            f"a cotangent and {operands}"
        )


def check_finite(
    program: Program | Traced,
    params: Mapping[str, Any],
    x: Any,
    state: Any = None,
    lengths: Any = None,
    reset: Any = None,
    *,
    dy: Any = None,
    dstate: Any = None,
) -> NotFinite | None:
    """Find where the first NaN or infinity of a run is born.

    The run is replayed by the NumPy meaning of each op. Where all results are finite there is nothing to find: an
    infinity on the way that no result shows may be meant. Else only rows with such a result are looked at, for the
    first step (in the order in which the cell runs) at which an array given holds NaN or an infinity, or an op makes
    a NaN of operands without one or an infinity of finite ones; an infinity before it that is meant is taken for it.
    Padding is not looked at. With cotangents, and results that are finite, the way back is looked at in the same way,
    from the last step to the first.

    Parameters
    ----------
    program : Program, Cell or Network
        What was run; a program's element type is kept, as an infinity in float32 need not be one in float64.
    params, x, state, lengths, reset
        As in a call.
    dy, dstate : optional
        Cotangents, as for the pullback of ``program.vjp``.

    Returns
    -------
    NotFinite or None
        What was found; ``str`` of it is one sentence. None if outputs and states (and gradients) are finite.

    Raises
    ------
    GraphError
        If what is given is neither a program, nor a cell or network.

    Examples
    --------
    >>> import numpy as np, lstmgraph as lg
    >>> @lg.cell
    ... def total(x, h):
    ...     return h + lg.log(x)
    >>> x = np.ones((3, 2, 1)); x[1, 0] = -1
    >>> found = lg.check_finite(total, {}, x)
    >>> found.name, found.t, found.b
    ('log', 1, 0)
    """
    if isinstance(program, Traced):
        words: dict[Any, str] = {"I": "input_size", "H": "hidden_size"}
        sizes = infer_sizes(program, params, x, state).items()
        named: dict[str, Any] = {words.get(symbol, str(symbol)): size for symbol, size in sizes}
        program = compile_program(program, dtype=float_dtype(params, x).name, **named)
    if not isinstance(program, Program):
        raise GraphError(
            f"lg.check_finite: got {type(program).__name__}, expected a program of lg.compile, a cell or a network"
        )
    call = Call(program, as_params(program.traced, program.sizes, params, program.dtype), x, state, lengths, reset)
    leaves = call.feeds() | {f"parameter:{name}": value for name, value in call.params.items()}
    given = {} if dy is None and dstate is None else call.cotangents(dy, dstate)
    back = {(kind, name): value for leaf, value in given.items() for _, _, kind, name in [leaf.split(":", 3)]}
    T, B = call.rows.T, call.rows.B
    valid = np.full(B, T) if lengths is None else as_lengths(lengths, T, B)
    run = _Run(call.engine.sequence, program.sizes, program.dtype, leaves, back)
    with np.errstate(all="ignore"):
        found = [_search(run, int(steps), np.flatnonzero(valid == steps)) for steps in np.unique(valid)]
    first = min((each for each in found if each is not None), key=lambda each: each[0], default=None)
    return None if first is None else first[1]


@dataclass(frozen=True, eq=False)
class _Run:
    """What is replayed: a graph over sequences, its leaves by ``kind:name``, cotangents of its results if any."""

    sequence: Traced
    sizes: Mapping[Dim, Dim]
    dtype: Any
    leaves: Values
    back: Mapping[Result, Any]


Finding = tuple[tuple[bool, float, int], NotFinite]  # findings are sorted by the way, the time and the place
Arrays = dict[str, tuple[Shape, Any]]  # what it is called -> its shape in symbols, and the array


def _search(run: _Run, steps: int, rows: Any) -> Finding | None:
    """Return what is found in some rows, all `steps` long."""
    graph, sizes = run.sequence.graph, {**run.sizes, "T": steps, "B": len(rows)}
    leaves = {
        leaf: _cut(value, run.sequence.leaves[leaf].shape, steps, rows)
        for leaf, value in run.leaves.items()
        if leaf in run.sequence.leaves
    }
    values = evaluate(graph, leaves, sizes, run.dtype)
    sources = {sink: operands(graph, key)[0] for sink, key in run.sequence.sinks.items()}
    shapes = {sink: node_of(graph, key).shape for sink, key in sources.items()}
    wrong = _wrong({_spoken(*sink): (shapes[sink], values[key]) for sink, key in sources.items()})
    if wrong:
        narrow = _rows_of(wrong, rows)
        if len(narrow) < len(rows):
            return _search(run, steps, narrow)
        return _finding(run, forward_births(graph, values, sizes), wrong, "result", rows)
    if not run.back:
        return None
    given = {sink: _cut(value, shapes[sink], steps, rows) for sink, value in run.back.items()}
    wrong = _wrong({f"the cotangent of {_spoken(*sink)}": (shapes[sink], value) for sink, value in given.items()})
    if wrong:
        return _finding(run, [], wrong, "array", rows)
    seeds: Values = {}
    for sink, value in given.items():
        seeds[sources[sink]] = seeds[sources[sink]] + value if sources[sink] in seeds else value
    births, cotangents = backward_births(graph, values, seeds, sizes, run.dtype)
    nodes = {key: node_of(graph, key) for key in keys_of(graph, *LEAVES[:-1]) if key in cotangents}
    wrong = _wrong({f"the gradient of {n.op} {n.name}": (n.shape, cotangents[key]) for key, n in nodes.items()})
    if not wrong:
        return None
    narrow = _rows_of(wrong, rows)
    if len(narrow) < len(rows):
        return _search(run, steps, narrow)
    return _finding(run, births or forward_births(graph, values, sizes), wrong, "result", rows)


def _cut(value: Any, shape: Shape, steps: int, rows: Any) -> Any:
    return value[:steps, rows] if shape[:1] == ("T",) else value[rows] if shape[:1] == ("B",) else value


def _spoken(kind: str, name: str) -> str:
    return f"{'state' if kind == 'next' else kind} {name}"


def _wrong(arrays: Arrays) -> Arrays:
    return {name: (shape, value) for name, (shape, value) in arrays.items() if not np.isfinite(value).all()}


def _rows_of(wrong: Arrays, rows: Any) -> Any:
    """Return the rows in which an array is not finite; all of them if only arrays without rows are not."""
    marks = np.zeros(len(rows), bool)
    for shape, value in wrong.values():
        if is_row(shape):
            at = np.moveaxis(~np.isfinite(value), len(lead(shape)) - 1, 0)
            marks |= at.reshape(len(rows), -1).any(axis=1)
    return rows[marks] if marks.any() else rows


def _finding(run: _Run, births: list[Birth], wrong: Arrays, what: str, rows: Any) -> Finding:
    """Return the first birth as it is told; without one, the first of the arrays that are not finite."""
    if births:
        first = births[0]
        return (first.operand is not None, *first.order), _told(run.sequence, first, rows)
    name, (shape, value) = next(iter(wrong.items()))
    t, b, index = place_of(shape, ~np.isfinite(value))
    row = None if b is None else int(rows[b])
    number = float(value[np.isfinite(value) == 0][0])
    return (True, math.inf, 0), NotFinite(run.sequence.name, what, name, "", None, t, row, index, number)


def _told(sequence: Traced, birth: Birth, rows: Any) -> NotFinite:
    node = node_of(birth.graph, birth.key)
    row = None if birth.b is None else int(rows[birth.b])
    where = sequence.name if birth.recur in ("", sequence.name) else f"{sequence.name}: recur {birth.recur}"
    place = (birth.t, row, birth.index, birth.value)
    if node.op in LEAVES:
        return NotFinite(where, "array", f"{node.op} {node.name}", "", None, *place)
    line = birth.graph.graph["lines"].get(birth.key)
    what = "value" if birth.operand is None else "cotangent"
    return NotFinite(where, what, node.op, layer_of(birth.graph, birth.key), line, *place, birth.operand)


def layer_of(graph: nx.MultiDiGraph, key: str) -> str:
    """Return the name of the layer that a node belongs to: its own label, or the prefix of the parameters it reads."""
    labels = {labelled: label for label, labelled in graph.graph["labels"].items()}

    def inside(key: str) -> set[str]:
        node = node_of(graph, key)
        if node.op == "parameter":
            return {node.name.rpartition(".")[0]} - {""}
        return set() if key in labels else {name for source in operands(graph, key) for name in inside(source)}

    found = {labels[key]} if key in labels else inside(key)
    return found.pop() if len(found) == 1 else ""
