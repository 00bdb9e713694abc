"""Row loops: what is read along one walk is in no memory, and rows are the same however they are shared out."""

import re
from itertools import pairwise

import numpy as np
import pytest

import lstmgraph as lg
from lstmgraph.graph import LEAVES, SINKS, keys_of, node_of, operands
from lstmgraph.jit import player, run_recur
from lstmgraph.plugins import op
from lstmgraph.schedule.levels import Block, blocks, width
from lstmgraph.schedule.row_loops import RowLoop, read_along_the_row, read_elsewhere, row_loops, values_of


@lg.cell
def along(x, dt, /, h, s):
    """Everything that goes along a row, of several features and of one, and what is a part of it."""
    place = lg.cumax(lg.linear(h, x, name="place"))
    running = s.builder.add("cumulative_sum", 2 * s, reverse=True)  # of one number
    joined = lg.concat(lg.row_sum(place * h), running, lg.row_max(x), place)
    weights = lg.softmax(joined)
    first, rest = lg.split(weights, 1, 2, "H")[:2]
    number = lg.row_max(lg.row_sum(first)) + lg.row_max(dt) * lg.row_sum(rest * rest)  # of parts, of one number
    h = lg.tanh(place * number + lg.layer_norm(h - first, name="norm"))
    return {"y": rest, "z": number, "x": x, "h": h, "s": lg.tanh(number)}


@lg.cell
def squares(x, h):
    """A value that a reduction alone reads, of a value that is read later."""
    shifted = lg.linear(h, x, name="sum") - lg.row_sum(h)
    return lg.tanh(shifted / lg.sqrt(1 + lg.row_sum(shifted * shifted)))


CELLS = {
    "along": along,
    "squares": squares,
    **{name: lg.cells.catalogue[name] for name in ("layer_norm_lstm", "on_lstm", "attention_lstm", "lstm")},
}


def steps_of(name):
    """Return the graphs of the forward and the backward loops and row stages of a cell, with their units."""
    program = lg.compile(CELLS[name], input_size=3, hidden_size=5, threads=1, **({"dt": 1} if name == "along" else {}))
    cells = [stage.cell for stage in program.engine.whole.plan.stages if stage.kernel is not None and stage.cell]
    return [(cell.graph, row_loops(cell.graph, blocks(cell.graph))) for cell in cells]


def whole(graph, key):
    while node_of(graph, key).op not in (*LEAVES, *SINKS) and op(node_of(graph, key).op).kind == "view":
        (key,) = operands(graph, key)
    return key


# ---- the schedule


@pytest.mark.parametrize("name", CELLS)
def test_a_walk_reads_only_what_is_held_before_it(name, in_numpy):
    for graph, units in steps_of(name):
        leaves, computed = set(keys_of(graph, *LEAVES)), []
        for unit in units:
            before = [] if isinstance(unit, RowLoop) else values_of(unit)
            computed += before
            for walk in unit.walks if isinstance(unit, RowLoop) else ():
                for key in (*walk.values, *walk.folds):
                    for source in operands(graph, key):
                        assert whole(graph, source) in leaves or whole(graph, source) in computed, node_of(graph, key)
                        on_the_way = walk.kind == "pointwise" and source in walk.values and source not in walk.folds
                        assert on_the_way or source not in (*walk.values, *walk.folds), node_of(graph, key)
                    computed.append(key)
        assert sorted(computed) == sorted(key for block in blocks(graph) for key in values_of(block))


def test_blocks_without_a_reduction_stay_as_they_are(in_numpy):
    for _, units in steps_of("lstm"):
        assert not any(isinstance(unit, RowLoop) for unit in units)


@pytest.mark.parametrize("name", ["along", "squares", "layer_norm_lstm"])
def test_blocks_without_products_between_two_of_products_are_one_loop(name, in_numpy):
    kinds = [["row loop" if isinstance(unit, RowLoop) else unit.kind for unit in units] for _, units in steps_of(name)]
    assert any("row loop" in found for found in kinds)
    for found in kinds:
        assert ("row loop", "row loop") not in pairwise(found), found


def test_what_a_reduction_alone_reads_is_not_in_memory(in_numpy):
    graph, (products, loop) = steps_of("squares")[0]
    squared = next(key for key in keys_of(graph, "mul") if len(set(operands(graph, key))) == 1)
    (shifted,) = set(operands(graph, squared))
    (walk,) = [walk for walk in loop.walks if squared in walk.values]
    (total,) = graph.succ[squared]
    assert isinstance(products, Block) and total in walk.folds and walk.size == "H"
    assert squared not in read_elsewhere(graph, loop) and total not in read_elsewhere(graph, loop)
    assert shifted in read_elsewhere(graph, loop)


@pytest.mark.parametrize("name", ["along", "layer_norm_lstm", "on_lstm"])
def test_numbers_that_their_loop_alone_reads_are_not_in_memory(name, in_numpy):
    for graph, units in steps_of(name):
        for loop in (unit for unit in units if isinstance(unit, RowLoop)):
            own = {key for walk in loop.walks if walk.kind != "running" for key in (*walk.values, *walk.folds)}
            for walk in (walk for walk in loop.walks if walk.kind == "pointwise"):
                for key in (*walk.values, *walk.folds):
                    if width(graph, key) == 1 and set(graph.succ[key]) <= own:
                        assert key not in read_elsewhere(graph, loop)
            assert set(read_along_the_row(graph, loop)) <= set(read_elsewhere(graph, loop))


# ---- the text


def test_a_row_loop_is_one_loop_over_rows(in_numpy):
    program = lg.compile(squares, input_size=3, hidden_size=5, threads=1)
    (source,) = [stage.kernel.source for stage in program.plan.stages if stage.form == "recur" and not stage.phase]
    assert len(re.findall(r"for i in", source)) == 1
    assert "share(stop - b0" in source  # whole rows, when threads share a row's units
    squared, _ = re.findall(r"(\w+) = (\w+) \* \2\n", source)[0]
    assert f", {squared})" not in source and f"{squared}_kept" not in source
    assert "row_sum_value_kept" not in source  # nor are the sums


def test_threads_that_share_the_units_of_a_row_have_rows_and_memory_of_their_own(in_numpy):
    program = lg.compile(along, input_size=3, hidden_size=5, dt=1, threads=1)
    loops = [stage.kernel.source for stage in program.plan.stages if stage.form == "recur"]
    assert len(loops) == 2
    for source in loops:
        first, end = (f"b0 + share(stop - b0, 1, {part}, parts)" for part in ("part", "part + 1"))
        assert f"for i in range({first}, {end}):" in source and f"row_first = ({first}) * (" in source


# ---- the values


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("size", [1, 4, 15, 16, 17, 37])
def test_the_source_in_numpy_computes_what_the_equations_say(size, dtype):
    for steps, batch in ((2, 3), (1, 1), (0, 2)):
        sizes = {"hidden_size": size, "steps": steps, "batch": batch, "dtype": dtype}
        lg.assert_same(along, dt=1, forms=("reset",), compiled=False, **sizes)


def test_machine_code_computes_what_the_equations_say():
    for size, batch in ((16, 2), (37, 3)):
        sizes = {"hidden_size": size, "steps": 3, "batch": batch, "dtype": "float32"}
        lg.assert_same(along, dt=1, forms=("lengths",), compiled=True, **sizes)


@pytest.mark.parametrize("batch", [1, 2, 5])
def test_rows_are_the_same_on_threads_that_share_the_units_of_a_row(batch, monkeypatch):
    for place, limit in ((run_recur, "SHARED_BYTES"), (run_recur, "SHARED_WORK"), (player, "HELPED")):
        monkeypatch.setattr(place, limit, 1)
    monkeypatch.setattr(run_recur, "LARGE_BYTES", 1)
    rng = np.random.default_rng(0)
    x = {"x": rng.standard_normal((40, batch, 3)), "dt": rng.standard_normal((40, batch, 1))}
    found = []
    for threads in (1, 3):
        program = lg.compile(along, input_size=3, hidden_size=37, dt=1, threads=threads, dtype="float32")
        params = program.init(0)
        y, state, pullback = program.vjp(params, x)
        gradients = pullback({name: np.cos(np.arange(value.size)).reshape(value.shape) for name, value in y.items()})
        found.append([*y.values(), *state.values(), *gradients.params.values()])
    for first, second in zip(*found, strict=True):
        np.testing.assert_array_equal(first, second)


@pytest.mark.parametrize("way", ["numpy", "compiled"])
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_nan_and_infinity_spread_as_the_equations_say(bad, way, run_as):
    run_as(way)
    program = lg.compile(along, input_size=3, hidden_size=37, dt=1, threads=1, dtype="float32")
    params, rng = program.init(0), np.random.default_rng(1)
    x = {"x": rng.standard_normal((3, 4, 3)), "dt": rng.standard_normal((3, 4, 1))}
    x = {name: value.astype("float32") for name, value in x.items()}
    x["x"][1, 2, 0] = bad
    with np.errstate(all="ignore"):
        expected, _ = lg.interpret(program.traced, params, x)
    found, _ = program(params, x)
    for name, value in expected.items():
        np.testing.assert_allclose(found[name], value, rtol=2e-4, atol=2e-4, err_msg=name)
    assert np.isfinite(found["z"][:, [0, 1, 3]]).all() and not np.isfinite(found["x"][:, 2]).all()
