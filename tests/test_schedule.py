"""The scheduler: each pass keeps its law on every kind of cell, and its decisions for the LSTM are the ones we want.

Golden texts are in ``tests/golden``; LSTMGRAPH_GOLDEN=write renews them, for a person to read the difference.
"""

import os
import re
from pathlib import Path

import networkx as nx
import numpy as np
import pytest

import lstmgraph as lg
from lstmgraph.errors import ShapeError
from lstmgraph.graph import (
    LEAVES,
    SINKS,
    ancestors,
    descendants,
    features,
    is_row,
    keys_of,
    node_of,
    operands,
)
from lstmgraph.interpreter import evaluate
from lstmgraph.plugins import op
from lstmgraph.schedule.levels import blocks, width
from lstmgraph.schedule.products import find_products
from lstmgraph.schedule.resolve import resolve
from lstmgraph.schedule.save import cut, save
from lstmgraph.schedule.split import parts, split
from lstmgraph.sequences import over_sequences, with_gradient

GOLDEN = Path(__file__).parent / "golden"
SIZES = {"I": 3, "H": 5, "P": 2}
CELLS = ("lstm", "gru", "gru_reset_before", "layer_norm_lstm", "projected_lstm", "antisymmetric", "highway")


def sizes_of(name):
    return {"P": 2} if name == "projected_lstm" else {}


def compiled(name, **sizes):
    sizes = {"input_size": 3, "hidden_size": 5, **sizes_of(name), **sizes}
    return lg.compile(lg.cells.catalogue[name], dtype="float64", threads=1, **sizes)


def resolved(name):
    bound = tuple((symbol, size) for symbol, size in SIZES.items() if symbol != "P" or name == "projected_lstm")
    return resolve(over_sequences(lg.cells.catalogue[name]), bound)


def cells_in(traced):
    """Return the cells of a graph's recurs by their recur's name."""
    nodes = [node_of(traced.graph, key) for key in keys_of(traced.graph, "recur")]
    return {node.attr("name"): node.attr("cell") for node in nodes}


def values_of(traced, seed=0):
    """Return every output of a graph over sequences, by the NumPy meaning, of random leaves."""
    rng = np.random.default_rng(seed)
    sizes = {**SIZES, "T": 3, "B": 2}
    leaves = {}
    for leaf, node in sorted(traced.leaves.items()):
        leaves[leaf] = rng.uniform(-1, 1, tuple(sizes.get(dim, dim) for dim in node.shape))
    values = evaluate(traced.graph, leaves, sizes, np.dtype("float64"))
    return {sink: values[operands(traced.graph, key)[0]] for sink, key in traced.sinks.items()}


def assert_same_values(first, second):
    expected, found = values_of(first), values_of(second)
    assert expected.keys() == found.keys()
    for sink, value in expected.items():
        np.testing.assert_allclose(found[sink], value, rtol=1e-12, atol=1e-12, err_msg=str(sink))


# ---- resolve


def test_equal_sizes_of_one_op_are_one_symbol():
    @lg.cell
    def beside(x, h):
        return lg.sigmoid_layer(h, name="keep") * x

    inner = cells_in(resolve(over_sequences(beside), (("H", 4), ("I", 4))))["beside"]
    assert {features(node.shape) for node in inner.leaves.values()} <= {("H",), ("H", "H")}
    with pytest.raises(ShapeError, match="expected equal sizes or 1"):
        resolve(over_sequences(beside), (("H", 4), ("I", 3)))


def test_a_size_of_one_beside_another_is_a_spread_value_and_alone_is_like_any():
    @lg.cell
    def leaky(x, dt, /, h):
        return {"y": h, "h": lg.tanh_layer(h=lg.exp(-dt) * h, x=x, name="mix")}

    inner = cells_in(resolve(over_sequences(leaky), (("H", 4), ("I", 1), ("dt", 1))))["leaky"]
    assert inner.leaves["input:dt"].shape == ("B", 1) and inner.leaves["input:x"].shape == ("B", "I")


# ---- save


def saved(name):
    """Return the forward and the backward cell after `save`."""
    forward, backward = cells_in(save(with_gradient(resolved(name)))).values()
    return forward, backward


@pytest.mark.parametrize("name", CELLS)
def test_save_changes_no_value(name):
    graph = with_gradient(resolved(name))
    assert_same_values(graph, save(graph))


@pytest.mark.parametrize("name", CELLS)
def test_the_backward_loop_computes_no_product_of_the_forward_loop_again(name):
    forward, backward = saved(name)
    products = [op for op in keys_of(forward.graph, "matmul") if is_row(node_of(forward.graph, op).shape)]
    assert products
    weights = {
        node_of(backward.graph, source).op
        for key in keys_of(backward.graph, "matmul")
        if is_row(node_of(backward.graph, key).shape)
        for source in operands(backward.graph, key)[1:]
    }
    assert weights <= {"transpose"}  # products with W.T are the gradient's own


def test_what_the_lstm_saves_is_its_four_gates():
    forward, backward = saved("lstm")
    assert set(forward.outputs) - {"y"} == {"forget", "candidate", "input", "output"}
    assert {name for name in backward.inputs if name.startswith("saved_")} == {
        f"saved_{name}" for name in ("forget", "candidate", "input", "output")
    }
    assert "sigmoid" not in {node.op for _, node in backward.graph.nodes(data="node")}


def test_the_cut_is_the_least_that_can_be_kept():
    @lg.cell
    def narrow(x, h):
        wide = lg.tanh(lg.exp(lg.linear(h, x, name="sum")))
        return wide * lg.sqrt(1 + wide * wide)

    graph = narrow.graph
    inner = {key for key in graph if node_of(graph, key).op not in (*LEAVES, *SINKS)}
    (exponential,), (product,) = keys_of(graph, "exp"), [key for key in inner if key in keys_of(graph, "tanh")]
    chosen = cut(narrow, inner, {exponential, product})
    assert len(chosen) == 1  # one value from which both follow by cheap ops
    kept = next(iter(chosen))
    assert kept in ancestors(graph, [exponential]) and node_of(graph, kept).op in ("add", "exp")


# ---- split


@pytest.mark.parametrize("name", CELLS)
def test_split_changes_no_value(name):
    graph = save(with_gradient(resolved(name)))
    assert_same_values(graph, split(graph))


@pytest.mark.parametrize("name", CELLS)
@pytest.mark.parametrize("backward", [False, True])
def test_what_leaves_the_loop_depends_on_no_state_or_feeds_none(name, backward):
    cell = saved(name)[backward]
    graph, found = cell.graph, parts(cell)
    below = descendants(graph, keys_of(graph, "state"))
    above = ancestors(graph, keys_of(graph, "next"))
    rows = descendants(graph, keys_of(graph, "input", "state"))
    assert not found.before & below and not found.after & above and not found.once & rows
    groups = [found.once, found.before, found.after, found.finish]
    assert sum(map(len, groups)) == len(frozenset().union(*groups))


@pytest.mark.parametrize("name", CELLS)
def test_the_gradients_of_input_and_weights_leave_the_loop(name):
    outer = split(save(with_gradient(resolved(name))))
    for cell in cells_in(outer).values():
        assert not keys_of(cell.graph, "outer", "batch_sum", "sum", "transpose"), cell.name
    assert keys_of(outer.graph, "outer") and keys_of(outer.graph, "batch_sum")
    source = operands(outer.graph, outer.sinks["output", "d:input:x"])[0]
    assert node_of(outer.graph, source).op != "item"  # computed outside, all rows at once


def test_a_loop_reads_no_expression_of_parameters_that_it_could_be_given():
    backward = cells_in(split(save(with_gradient(resolved("antisymmetric")))))
    for cell in backward.values():
        invariant = [node for _, node in cell.graph.nodes(data="node") if node.op not in (*LEAVES, *SINKS)]
        assert all(is_row(node.shape) for node in invariant), cell.name


# ---- levels


@pytest.mark.parametrize("name", CELLS)
def test_a_block_reads_only_leaves_and_earlier_blocks(name):
    for cell in cells_in(split(save(with_gradient(resolved(name))))).values():
        graph = cell.graph
        done = set(keys_of(graph, *LEAVES))
        products = find_products(graph)
        computed = []
        for block in blocks(graph):
            own = [product.key for product in block.products] + list(block.values)
            for product in block.products:
                assert {source for source, _ in product.terms} <= done
            for key in block.values:
                before = set(own[: own.index(key)]) if block.kind in ("tile", "pointwise") else set()
                assert set(_through_views(graph, operands(graph, key))) <= done | before, node_of(graph, key)
                assert width(graph, key) in (block.size, 1) or block.kind in ("reduction", "running")
            done |= set(own)
            computed += own
        assert len(computed) == len(set(computed))
        ends = {operands(graph, key)[0] for key in keys_of(graph, *SINKS)}
        assert set(_through_views(graph, ends)) <= done and set(products) <= done


def _through_views(graph, keys):
    for key in keys:
        if node_of(graph, key).op not in (*LEAVES, *SINKS) and op(node_of(graph, key).op).kind == "view":
            yield from _through_views(graph, operands(graph, key))
        else:
            yield key


@pytest.mark.parametrize(
    ("name", "count"),
    [("rnn", 1), ("lstm", 1), ("peephole_lstm", 1), ("gru", 1), ("gru_reset_before", 2), ("highway", 3)],
)
def test_a_cell_has_as_many_levels_as_products_in_a_row(name, count):
    cell = cells_in(split(resolved(name)))[name]
    assert len({block.level for block in blocks(cell.graph)}) == count


def test_the_gates_of_the_lstm_are_one_block_of_four_products_side_by_side():
    (block,) = blocks(cells_in(split(resolved("lstm")))["lstm"].graph)
    assert block.kind == "tile" and len(block.products) == 4
    sources = {tuple(source for source, _ in product.terms) for product in block.products}
    assert len(sources) == 1 and len(next(iter(sources))) == 2  # x and h, in one order


def test_the_terms_of_a_sum_stand_inputs_first():
    @lg.cell
    def swapped(x, h):
        return lg.tanh_layer(h, x, name="hidden")

    (product,) = find_products(swapped.graph).values()
    assert [node_of(swapped.graph, source).op for source, _ in product.terms] == ["input", "state"]


# ---- plan


@pytest.mark.parametrize("name", CELLS)
def test_a_stage_reads_only_what_earlier_stages_hold(name, in_numpy):
    program = compiled(name)
    for line in (program.engine.main, program.engine.whole, program.engine.second):
        graph = line.graph
        held = set(keys_of(graph, "input", "state", "parameter", "constant"))
        for stage in line.plan.stages:
            read = {key for _, key in stage.sources}
            assert read <= held, stage.form
            held |= {key for _, key in stage.results}
        results = {operands(graph, key)[0] for key in keys_of(graph, "output", "next")}
        assert results <= held


@pytest.mark.parametrize("name", CELLS)
def test_the_forward_phase_reads_no_cotangent(name, in_numpy):
    line = compiled(name).engine.main
    late = descendants(line.graph, [key for key in line.graph if node_of(line.graph, key).name.startswith("d:")])
    sums = [key for stage in line.plan.stages if stage.form == "reduce" for _, key in stage.results]
    finished = descendants(line.graph, sums)
    for stage in line.plan.stages:
        below = any(key in late for _, key in (*stage.sources, *stage.results))
        end = any(key in finished for _, key in stage.sources)
        assert stage.phase == (2 if end else 1 if below else 0), stage.form


def test_what_reads_finished_sums_of_gradients_comes_last(in_numpy):
    stages = compiled("antisymmetric").plan.stages
    assert [stage.phase for stage in stages] == sorted(stage.phase for stage in stages)
    assert {stage.form for stage in stages if stage.phase == 2} == {"once"}  # the gradient of U - U'
    assert "(at the end)" in str(compiled("antisymmetric").plan)
    assert {stage.phase for stage in compiled("antisymmetric").engine.whole.plan.stages} == {0}


def test_weight_gradients_and_dx_of_the_lstm_are_stages_after_its_loop(in_numpy):
    forms = [stage.form for stage in compiled("lstm").plan.stages if stage.form != "once"]
    assert forms == ["recur", "recur", "rows", "reduce"]


@pytest.mark.parametrize("name", [*CELLS, "peephole_lstm"])
def test_the_memory_of_one_slot_is_as_wide_in_every_block(name, in_numpy):
    program = compiled(name)
    for line in (program.engine.main, program.engine.second):
        for kernel in (stage.kernel for stage in line.plan.stages if stage.kernel is not None):
            strides = {
                found.strip() for found in re.findall(r"slot \* ([^,+\n]+)", kernel.source.replace("slot * T", ""))
            }
            assert len(strides) <= 1, (kernel.name, strides)  # threads are not in the same block at one time


@pytest.mark.parametrize("name", CELLS)
def test_graphs_of_every_pass_are_acyclic_and_frozen(name):
    graph = resolved(name)
    for step in (with_gradient, save, split):
        graph = step(graph)
        for traced in (graph, *cells_in(graph).values()):
            assert nx.is_directed_acyclic_graph(traced.graph) and nx.is_frozen(traced.graph)


# ---- golden texts


def golden(name, text):
    path = GOLDEN / name
    if os.environ.get("LSTMGRAPH_GOLDEN") == "write":
        path.parent.mkdir(exist_ok=True)
        path.write_text(text + "\n", encoding="utf-8", newline="\n")
    expected = path.read_text(encoding="utf-8")
    assert text + "\n" == expected, f"{name} has changed: LSTMGRAPH_GOLDEN=write renews it, then read the difference"


@pytest.mark.parametrize("name", ["lstm", "gru_reset_before"])
def test_the_plan_is_the_one_we_want(name, in_numpy):
    program = lg.compile(lg.cells.catalogue[name], input_size=3, hidden_size=5)
    golden(f"{name}_plan.txt", str(program.plan))


def test_the_generated_source_of_the_lstm_is_the_one_we_want(in_numpy):
    program = lg.compile(lg.cells.catalogue["lstm"], input_size=3, hidden_size=5)
    golden("lstm_source.txt", program.source)


@pytest.mark.parametrize("size", [2, 7])
def test_plan_and_source_do_not_depend_on_sizes(size, in_numpy):
    first, second = compiled("lstm"), compiled("lstm", hidden_size=size, input_size=size)
    assert str(first.plan) == str(second.plan) and first.source == second.source
