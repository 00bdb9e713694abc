"""Proof for a cell of one's own: its kernels mean what its equations mean; and random feeds for such proofs."""

import os
from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, fields, replace
from itertools import product
from typing import Any
from unittest import mock

import numpy as np

from lstmgraph import settings
from lstmgraph.autodiff import is_constant
from lstmgraph.border import Arrays, learned_starts, symbols_of
from lstmgraph.errors import GraphError, nearest
from lstmgraph.graph import features, operands, resize
from lstmgraph.interpreter import evaluate, interpret
from lstmgraph.masks import with_masks, without_masks
from lstmgraph.program import Program
from lstmgraph.program import compile as compile_program
from lstmgraph.resets import RESET, with_learned_starts, with_reset
from lstmgraph.schedule.resolve import resolve
from lstmgraph.sequences import COTANGENT, over_sequences, with_gradient
from lstmgraph.traced import Traced

FORMS = ("plain", "lengths", "reset")
TOLERANCE = {"float32": 2e-4, "float64": 1e-10}
OWN_ERRORS = 8  # how many times the error that NumPy itself makes in float32 others may make


@dataclass(frozen=True)
class Feeds:
    """What a program is called with, and cotangents of what it returns: arrays by name, as `Program.vjp` takes them.

    Random masks stand in `x`; a state that is not in `state` starts at its learned value.
    """

    params: Arrays
    x: Arrays
    state: Arrays
    dy: Arrays
    dstate: Arrays
    lengths: Any = None
    reset: Any = None

    @property
    def keywords(self) -> dict[str, Any]:
        """The keywords of a call."""
        return {"state": self.state, "lengths": self.lengths, "reset": self.reset}


def assert_same(
    traced: Traced,
    feeds: Mapping[str, Any] | None = None,
    *,
    input_size: int = 3,
    hidden_size: int = 5,
    steps: int = 4,
    batch: int = 3,
    dtype: str = "float64",
    rtol: float | None = None,
    seed: int = 0,
    forms: Iterable[str] = FORMS,
    compiled: bool | None = None,
    **sizes: int,
) -> None:
    """Assert that a cell or network computes the same by every way there is.

    The ways are the NumPy meaning of its graph and of its gradient's graph, the generated source run in NumPy with
    bounds checks, and the generated source compiled. They must agree on outputs, final states and all gradients;
    what stands in padding (NaN here) must reach none of them. A cell with random masks or learned starts is tested as
    it is trained, with masks drawn and no such state given, and as evaluated, without masks and from given states.

    Parameters
    ----------
    traced : Cell or Network
        What is tested.
    feeds : mapping, optional
        Any of the fields of `Feeds`; what is missing is random, weights and biases too.
    input_size, hidden_size, steps, batch, seed : int
        I, H, T and B; the seed of the random feeds.
    dtype : "float32" or "float64"
        The element type.
    rtol : float, optional
        The greatest difference allowed, relative to the greatest value of an array (or to 1 if that is more); by
        default 1e-10 in float64; in float32 2e-4, and for what is ill-conditioned eight times the error that NumPy
        itself makes in float32.
    forms : sequence of str
        "plain", "lengths" (rows of different lengths), "reset" (lengths, and states set back on the way).
    compiled : bool, optional
        Whether machine code is made and tested; by default as LSTMGRAPH_JIT says.
    **sizes : int
        Other symbols of size; 2 where not given.

    Raises
    ------
    AssertionError
        With a table of what differs.

    Examples
    --------
    >>> import lstmgraph as lg
    >>> @lg.cell
    ... def elman(x, h):
    ...     return lg.tanh_layer(h, x, name="hidden")
    >>> lg.assert_same(elman, compiled=False)
    """
    allowed = TOLERANCE[dtype] if rtol is None else rtol
    compiled = settings.jit_enabled() if compiled is None else compiled
    for way in (False, True) if compiled else (False,):
        with run_source(way):
            program = small_program(traced, input_size, hidden_size, sizes, dtype)
            several = bool(traced.masks or learned_starts(traced, None))
            for form, training in product(forms, (True, False) if several else (True,)):
                given = random_feeds(program, steps, batch, seed, form, feeds, training=training)
                role = f"{form}{', in training' if training and several else ''}"
                where = f"{program}, {role}: {'compiled source' if way else 'generated source in NumPy'}"
                expected, got = meaning(program, given), results(program, given)
                lines = _differences(expected, got, dict.fromkeys(expected, allowed))
                if lines and rtol is None and dtype == "float32":
                    wide = small_program(traced, input_size, hidden_size, sizes, "float64")
                    lines = _differences(expected, got, _own_errors(expected, meaning(wide, _widened(given)), allowed))
                if lines:
                    raise AssertionError(f"{where} differs from the NumPy meaning:\n" + "\n".join(lines))


# ---- what is fed


def random_feeds(
    program: Program,
    steps: int,
    batch: int,
    seed: int,
    form: str = "plain",
    given: Mapping[str, Any] | None = None,
    *,
    training: bool = True,
) -> Feeds:
    """Return feeds that are random where not given; NaN stands in the padding of random sequences.

    In training masks are drawn, and states that start at learned values are left out.
    """
    traced, sizes, dtype = program.traced, program.sizes, program.dtype
    rng = np.random.default_rng(seed)
    given = dict(given or {})
    if "x" in given:
        given["x"] = given["x"] if isinstance(given["x"], Mapping) else {traced.inputs[0]: given["x"]}
        steps, batch = np.shape(given["x"][traced.inputs[0]])[:2]

    def shape(dims: Any) -> tuple[int, ...]:
        return tuple(int(resize(dim, {**sizes, "T": steps, "B": batch})) for dim in dims)

    def array(dims: Any) -> Any:
        return rng.standard_normal(shape(dims)).astype(dtype)

    if form not in FORMS:
        raise GraphError(f"form: got {form!r}, expected one of {', '.join(FORMS)}{nearest(form, FORMS)}")
    lengths = None if form == "plain" else rng.integers(0, steps + 1, batch)
    if lengths is not None and batch > 1:
        lengths[:2] = (0, steps)  # not sorted, one empty row, one full row
    lengths = given.get("lengths", lengths)
    sequence = over_sequences(traced)
    shapes = {name: sequence.result_shape("output", name) for name in sequence.outputs}
    made: dict[str, Any] = {
        "params": {name: random_parameter(rng, shape(node.shape), dtype) for name, node in traced.parameters.items()},
        "x": {name: _random_input(program, rng, name, steps, batch) for name in traced.inputs},
        "state": {name: array(("B", *features(traced.leaves[f"state:{name}"].shape))) for name in traced.states},
        "dy": {name: array(dims) for name, dims in shapes.items()},
        "dstate": {name: array(("B", *features(traced.leaves[f"state:{name}"].shape))) for name in traced.states},
        "lengths": lengths,
        "reset": rng.random((steps, batch)) < 0.4 if form == "reset" else None,
    }
    if lengths is not None:
        padding = np.arange(steps)[:, None] >= lengths
        for values in (*made["x"].values(), *(made["dy"][name] for name, dims in shapes.items() if dims[:1] == ("T",))):
            if values.dtype.kind == "f":
                values[padding] = np.nan
    unknown = sorted(set(given) - set(made))
    if unknown:
        raise GraphError(f"feeds: got {unknown}, expected any of {', '.join(made)}{nearest(unknown[0], list(made))}")
    feeds = Feeds(**{**made, **given})
    return _as_trained(feeds, traced, program.masks(steps, batch, seed=seed), given) if training else feeds


def _as_trained(feeds: Feeds, traced: Traced, masks: Arrays, given: Mapping[str, Any]) -> Feeds:
    """Return feeds with masks, if none are given, and without states that start at learned values, if not given."""
    learned = learned_starts(traced, given.get("state"))
    state = {name: value for name, value in feeds.state.items() if name not in learned}
    return replace(feeds, x={**feeds.x, **{name: masks[name] for name in masks if name not in feeds.x}}, state=state)


def random_parameter(rng: np.random.Generator, shape: tuple[int, ...], dtype: Any) -> Any:
    """Return uniform random numbers, none of them near 0 in a vector: constant or zero weights hide mistakes."""
    low, high = (0.0, 1.5 / np.sqrt(shape[0])) if len(shape) == 2 else (0.1, 1.0)
    return (rng.uniform(low, high, shape) * rng.choice([-1.0, 1.0], shape)).astype(dtype)


def _random_input(program: Program, rng: np.random.Generator, name: str, steps: int, batch: int) -> Any:
    node = program.traced.leaves[f"input:{name}"]
    if node.attr("integer"):
        return rng.integers(0, program.index_limits[name], (steps, batch))
    size = tuple(int(resize(dim, program.sizes)) for dim in features(node.shape))
    return rng.standard_normal((steps, batch, *size)).astype(program.dtype)


def small_program(traced: Traced, input_size: int, hidden_size: int, sizes: Mapping[str, int], dtype: str) -> Program:
    """Return a program; a symbol without a size is 2."""
    known = {"I": ("input_size", input_size), "H": ("hidden_size", hidden_size)}
    named: dict[str, Any] = dict(known.get(symbol, (symbol, 2)) for symbol in symbols_of(traced))
    return compile_program(traced, dtype=dtype, **{**named, **sizes})


def run_source(compiled: bool) -> AbstractContextManager[Any]:
    """Let programs compile their source, or run it in NumPy."""
    return mock.patch.dict(os.environ, LSTMGRAPH_JIT="1" if compiled else "0")


# ---- what comes out
def results(program: Program, feeds: Feeds) -> Arrays:
    """Return outputs, final states and gradients of a program by ``kind:name``."""
    plain, last = program(feeds.params, feeds.x, **feeds.keywords)
    y, state, pullback = program.vjp(feeds.params, feeds.x, **feeds.keywords)
    found, first = _results(program, y, state), _results(program, plain, last)
    for name, value in found.items():
        if not np.array_equal(value, first[name], equal_nan=True):
            raise AssertionError(f"{program}: vjp returns another {name} than the call")
    gradients = fed(by_leaf(program, pullback(feeds.dy, feeds.dstate)), feeds)
    return found | {f"d {leaf}": value for leaf, value in gradients.items()}


def _results(program: Program, y: Any, state: Arrays) -> Arrays:
    outputs = {f"output:{name}": np.array(value) for name, value in by_name(program, y).items()}
    return outputs | {f"final:{name}": value for name, value in state.items()}


def by_name(program: Program, y: Any) -> Arrays:
    """Return outputs by name."""
    return dict(y) if isinstance(y, Mapping) else {over_sequences(program.traced).outputs[0]: y}


def by_leaf(program: Program, gradients: Any) -> Arrays:
    """Return gradients by leaf."""
    x = gradients.x if isinstance(gradients.x, Mapping) else {program.traced.inputs[0]: gradients.x}
    found = {f"parameter:{name}": value for name, value in gradients.params.items()}
    found |= {f"input:{name}": value for name, value in x.items() if value is not None}
    return found | {f"state:{name}": value for name, value in gradients.state.items()}


def fed(found: Arrays, feeds: Feeds) -> Arrays:
    """Return gradients by leaf without those of states that were not given."""
    return {leaf: value for leaf, value in found.items() if not leaf.startswith("state:") or leaf[6:] in feeds.state}


def meaning(program: Program, feeds: Feeds) -> Arrays:
    """Return what `results` must return, by the NumPy meaning of the graph and of its gradient's graph."""
    y, state = interpret(program.traced, feeds.params, feeds.x, **feeds.keywords)
    found, graph = _results(program, y, state), _gradient_graph(program, feeds)
    if feeds.lengths is None:
        return found | _gradient_meaning(program, graph, feeds, slice(None), None)
    rows = [_gradient_meaning(program, graph, feeds, slice(b, b + 1), int(n)) for b, n in enumerate(feeds.lengths)]
    for leaf, nothing in _gradient_meaning(program, graph, feeds, slice(0, 0), 0).items():
        parts = [nothing, *(row[leaf] for row in rows)]
        axis = 1 if leaf.startswith("d input:") else 0
        found[leaf] = np.sum(parts, axis=0) if leaf.startswith("d parameter:") else np.concatenate(parts, axis=axis)
    return found


def _fed_cell(program: Program, feeds: Feeds) -> Traced:
    """Return the cell or network that such feeds go into: with masks or without, with resets or without."""
    masks = program.traced.masks.keys() & feeds.x.keys()
    traced: Traced = with_masks(program.traced) if masks else without_masks(program.traced)
    return traced if feeds.reset is None else with_reset(traced)


def _gradient_graph(program: Program, feeds: Feeds) -> Traced:
    traced = _fed_cell(program, feeds)
    sequence = with_learned_starts(over_sequences(traced), learned_starts(traced, feeds.state))
    graph: Traced = with_gradient(resolve(sequence, tuple(program.sizes.items())))
    return graph


def _gradient_meaning(program: Program, graph: Traced, feeds: Feeds, rows: slice, length: int | None) -> Arrays:
    """Return the cotangents of some rows alone, each as long as it is; zeros in padding."""
    traced = _fed_cell(program, feeds)
    cut: dict[str, Any] = {
        leaf: feeds.x[node.name][:length, rows] if leaf.startswith("input:") else feeds.x[node.name]
        for leaf, node in traced.leaves.items()
        if node.name in feeds.x and not leaf.startswith("state:")
    }
    steps, batch = next(iter(cut.values())).shape[:2]
    if feeds.reset is not None:
        cut[f"input:{RESET}"] = feeds.reset[:length, rows, None].astype(program.dtype)
    cut |= {f"state:{name}": value[rows] for name, value in feeds.state.items()}
    cut |= {f"parameter:{name}": value for name, value in feeds.params.items()}
    for name, value in feeds.dy.items():
        leaf = f"{COTANGENT}output:{name}"
        sequence = f"input:{leaf}" in graph.leaves
        cut[f"input:{leaf}" if sequence else f"parameter:{leaf}"] = value[:length, rows] if sequence else value
    cut |= {f"input:{COTANGENT}next:{name}": value[rows] for name, value in feeds.dstate.items()}
    with np.errstate(all="ignore"):
        values = evaluate(graph.graph, cut, {**program.sizes, "T": steps, "B": batch}, program.dtype)
    found: Arrays = {}
    for leaf, node in traced.leaves.items():
        if leaf == f"input:{RESET}" or is_constant(node) or leaf not in cut:
            continue
        sink = graph.sinks.get(("output", COTANGENT + leaf))
        value = np.zeros_like(cut[leaf]) if sink is None else values[operands(graph.graph, sink)[0]]
        if leaf.startswith("input:"):
            value = np.concatenate([value, np.zeros((len(feeds.x[node.name]) - steps, *value.shape[1:]), value.dtype)])
        found[f"d {leaf}"] = value
    return found


def _widened(feeds: Feeds) -> Feeds:
    """Return the same numbers in float64."""

    def wide(value: Any) -> Any:
        if isinstance(value, dict):
            return {name: wide(each) for name, each in value.items()}
        return value.astype(np.float64) if getattr(value, "dtype", None) == np.float32 else value

    return Feeds(**{each.name: wide(getattr(feeds, each.name)) for each in fields(feeds)})


def _own_errors(expected: Arrays, exact: Arrays, least: float) -> dict[str, float]:
    """Return what difference is allowed to arrays whose own error is that to exact ones."""
    return {name: max(least, OWN_ERRORS * _error(exact[name], value)) for name, value in expected.items()}


def _error(expected: Any, got: Any) -> float:
    """Return the greatest difference of finite values, relative to the greatest of them (or to 1 if that is more)."""
    finite = np.isfinite(expected) & np.isfinite(got)
    scale = max(1.0, float(np.max(np.abs(expected[finite]), initial=0.0)))
    return float(np.max(np.abs(expected[finite] - got[finite]), initial=0.0)) / scale


def _differences(expected: Arrays, got: Arrays, allowed: Mapping[str, float]) -> list[str]:
    """Return a line for each array that differs by more than is allowed."""
    found = {name: _difference(value, got.get(name), allowed[name]) for name, value in expected.items()}
    return [f"  {name:40s} {what}" for name, what in found.items() if what]


def _difference(expected: Any, got: Any, rtol: float) -> str:
    """Return what is wrong with an array, or an empty string."""
    if got is None or np.shape(got) != np.shape(expected):
        return f"got shape {np.shape(got)}, expected {np.shape(expected)}"
    if got.dtype != expected.dtype:
        return f"got {got.dtype}, expected {expected.dtype}"
    finite = np.isfinite(expected)
    if not np.array_equal(expected[~finite], got[~finite], equal_nan=True) or not np.isfinite(got[finite]).all():
        return (
            f"has {int((~np.isfinite(got)).sum())} NaN or infinite values, expected {int((~finite).sum())}, elsewhere"
        )
    error = _error(expected, got)
    return f"differs by {error:.1e}, expected at most {rtol:.0e}" if error > rtol else ""
