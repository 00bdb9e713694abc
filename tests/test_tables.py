"""Products that follow an embedding, taken over the entries of its table: the same results, whoever reads it."""

import numpy as np
import pytest

import lstmgraph as lg
from lstmgraph.graph import SINKS, is_row, keys_of, node_of, operands
from lstmgraph.interpreter import evaluate
from lstmgraph.schedule import tables
from lstmgraph.schedule.resolve import resolve
from lstmgraph.schedule.save import save
from lstmgraph.schedule.split import split
from lstmgraph.sequences import with_gradient

V, E, H, T, B = 7, 3, 5, 6, 4
UNNAMED = 2  # an entry that no row names


@lg.network
def single(tokens):
    x = lg.embedding(tokens, V, E, name="embed")
    return lg.linear(lg.recur(lg.cells.lstm, x, size=H, name="lstm"), size=2, name="head")


@lg.network
def shared(tokens):
    """Two recurs, a layer and a product element by element read one embedding."""
    x = lg.embedding(tokens, V, E, name="embed")
    y = lg.recur(lg.cells.gru, x, size=H, name="first")
    z = lg.recur(lg.cells.mgu, x, size=E, name="second", reverse=True)
    return lg.linear(y=y, z=z * x, x=x, size=2, name="head")


@lg.network
def two_tables(tokens, other):
    x = lg.embedding(tokens, V, E, name="embed")
    u = lg.embedding(other, V + 4, E + 1, name="more")
    y = lg.recur(lg.cells.lstm, x, size=H, name="lstm")
    return lg.linear(y=y, u=u, size=2, name="head")


@lg.network
def spread(tokens):
    """What comes back to the embedding is a sum of a product and one number a row."""
    x = lg.embedding(tokens, V, E, name="embed")
    return lg.linear(x, size=2, name="head") + lg.row_sum(x)


FORMS = ({}, {"lengths": [2, 6, 0, 5]}, {"reset": np.arange(T * B).reshape(T, B) % 5 == 0})
NETWORKS = {"single": single, "shared": shared, "two_tables": two_tables, "spread": spread}


@pytest.fixture
def always(monkeypatch):
    """Take every such product over the entries, however few rows there are."""
    for name, value in (("WIDE", 1), ("MANY", 0.01), ("WORK", 0)):
        monkeypatch.setattr(tables, name, value)
    monkeypatch.setattr("lstmgraph.jit.run_recur.WIDE", 1)


def tokens_of(network, seed=0):
    found = np.random.default_rng(seed).integers(0, V - 1, (len(network.inputs), T, B))
    return dict(zip(network.inputs, found + (found >= UNNAMED), strict=True))


def random_params(program, seed=1):
    rng = np.random.default_rng(seed)
    return {name: rng.normal(0, 0.5, value.shape).astype(value.dtype) for name, value in program.init().items()}


def gradients(network, params=None, **keywords):
    """Return y and gradients, the cotangents known before the forward pass or, `apart`, after it."""
    program = lg.compile(network, dtype="float64", threads=keywords.pop("threads", 1))
    params = random_params(program) if params is None else params
    dy = np.random.default_rng(2).standard_normal((T, B, 2))
    feeds = keywords.pop("tokens", None) or tokens_of(network)
    if not keywords.pop("apart", False):
        y, _, found = program.value_and_gradients(params, feeds, dy, **keywords)
        return {"y": y, **found.params}
    y, _, pullback = program.vjp(params, feeds, **keywords)
    first, second = pullback(dy).params, pullback(dy).params
    assert all(np.array_equal(first[name], value) for name, value in second.items())
    return {"y": y, **first}


def by_rows(network, monkeypatch, *arguments, **keywords):
    """Return the same, every product taken over all rows."""
    with monkeypatch.context() as patch:
        patch.setattr(tables, "MANY", 10**9)
        return gradients(network, *arguments, **keywords)


def assert_close(found, expected):
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        np.testing.assert_allclose(found[name], value, rtol=1e-10, atol=1e-12, err_msg=name)


def graph_of(network):
    return split(save(with_gradient(resolve(network, ()))))


@pytest.mark.parametrize("name", NETWORKS)
def test_the_pass_changes_no_value_and_no_order(name, always):
    graph = graph_of(NETWORKS[name])
    rewritten = tables.by_entry(graph, {}, max(tables.entries(graph, {})))
    assert list(rewritten.leaves) == list(graph.leaves) and list(rewritten.sinks) == list(graph.sinks)
    rng, leaves = np.random.default_rng(0), {f"input:{k}": v for k, v in tokens_of(NETWORKS[name]).items()}
    for leaf, node in graph.leaves.items():
        leaves.setdefault(leaf, rng.uniform(-1, 1, tuple({"T": T, "B": B}.get(dim, dim) for dim in node.shape)))
    one, other = (evaluate(each.graph, leaves, {"T": T, "B": B}, np.dtype("float64")) for each in (graph, rewritten))
    for sink, key in graph.sinks.items():
        np.testing.assert_allclose(other[rewritten.sinks[sink]], one[key], rtol=1e-10, atol=1e-12, err_msg=str(sink))


@pytest.mark.parametrize("name", NETWORKS)
def test_no_product_of_all_rows_follows_a_table(name, always):
    before = graph_of(NETWORKS[name])
    graph = tables.by_entry(before, {}, max(tables.entries(before, {}))).graph
    scattered = [node_of(graph, operands(graph, key)[0]).op for key in keys_of(graph, "scatter")]
    assert scattered and not {"matmul", "add"} & set(scattered)
    factors = [node_of(graph, operands(graph, key)[0]).op for key in keys_of(graph, "outer")]
    assert "gather" not in factors and "select" in factors
    assert all(graph.out_degree(key) or key in before.graph or node_of(graph, key).op in SINKS for key in graph)


def test_only_tables_up_to_the_size_that_is_given_are_taken_so(always):
    graph = graph_of(two_tables)
    assert set(tables.entries(graph, {})) == {V, V + 4}
    small = tables.by_entry(graph, {}, V).graph
    sums = [key for key in keys_of(small, "scatter") if is_row(node_of(small, operands(small, key)[0]).shape)]
    products = {node_of(small, key).shape[0] for key in sums if node_of(small, operands(small, key)[0]).op == "matmul"}
    assert products == {V + 4}


@pytest.mark.parametrize("apart", [False, True])
@pytest.mark.parametrize("form", FORMS, ids=["plain", "lengths", "reset"])
@pytest.mark.parametrize("name", NETWORKS)
def test_gradients_are_those_of_all_rows(name, form, apart, always, monkeypatch, in_numpy):
    network, keywords = NETWORKS[name], {"apart": apart, **form}
    assert_close(gradients(network, **keywords), by_rows(network, monkeypatch, **keywords))


@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("name", ["embed.W", "lstm.input.W_x"])
def test_an_entry_that_no_row_names_has_no_part(name, bad, always, monkeypatch, in_numpy):
    params = random_params(lg.compile(single, dtype="float64", threads=1))
    params[name][UNNAMED] = bad
    with np.errstate(invalid="ignore"):
        found, expected = gradients(single, params), by_rows(single, monkeypatch, params)
    assert not found["embed.W"][UNNAMED].any()
    for key, value in expected.items():
        assert np.array_equal(np.isfinite(found[key]), np.isfinite(value)), key
    assert np.isfinite(found["embed.W"]).all() == (name == "embed.W")  # the named ones read all of the matrix


def test_a_bad_row_of_cotangents_reaches_its_own_entry_alone(always, monkeypatch, in_numpy):
    tokens = tokens_of(single)
    tokens["tokens"][-1, 1] = UNNAMED
    program = lg.compile(single, dtype="float64", threads=1)
    params, dy = random_params(program), np.ones((T, B, 2))
    dy[-1, 1, 0] = np.nan
    entry = program.value_and_gradients(params, tokens, dy)[2].params["embed.W"]
    before = np.unique(tokens["tokens"][:, 1])
    assert np.isnan(entry[UNNAMED]).all() and np.isfinite(np.delete(entry, before, 0)).all()


def test_the_entry_that_padding_names_is_not_read(always, monkeypatch, in_numpy):
    tokens, lengths = tokens_of(single), np.array([2, 6, 0, 5])
    tokens["tokens"][np.arange(T)[:, None] >= lengths] = UNNAMED
    params = random_params(lg.compile(single, dtype="float64", threads=1))
    params["embed.W"][UNNAMED] = np.nan
    found = gradients(single, params, tokens=tokens, lengths=lengths)
    assert all(np.isfinite(value).all() for value in found.values()) and not found["embed.W"][UNNAMED].any()


@pytest.mark.parametrize("form", FORMS, ids=["plain", "lengths", "reset"])
@pytest.mark.parametrize("name", NETWORKS)
def test_products_of_a_table_are_those_of_its_rows_bit_for_bit(name, form, always, monkeypatch, in_numpy):
    program = lg.compile(NETWORKS[name], threads=2)
    params, tokens = random_params(program), tokens_of(NETWORKS[name])
    params["embed.W"][UNNAMED] = np.nan
    y, state = program(params, tokens, **form)
    monkeypatch.setattr(tables, "MANY", 10**9)
    program.engine_for(False, "reset" in form, frozenset()).main._tapes.clear()
    expected, last = program(params, tokens, **form)
    assert np.isfinite(y).all() and np.array_equal(y, expected)
    assert all(np.array_equal(state[key], value) for key, value in last.items())


def test_the_loop_reads_products_of_a_table_where_its_entries_are_few(in_numpy):
    @lg.network
    def characters(tokens):
        return lg.recur(lg.cells.lstm, lg.embedding(tokens, 9, 16, name="embed"), size=3, name="lstm")

    program = lg.compile(characters)
    params = program.init()

    def kernels(steps):
        program(params, np.zeros((steps, 17), int))
        return len(list(program.engine.main._tapes.values())[-1].steps)

    few, many = kernels(2), kernels(3)  # 34 rows of 9 entries, and 51
    assert many == few + 1


@pytest.mark.parametrize("steps", [0, T])
def test_no_rows_at_all(steps, always, in_numpy):
    program = lg.compile(single, dtype="float64", threads=1)
    tokens = np.zeros((steps, 0), int)
    found = program.value_and_gradients(random_params(program), tokens, np.zeros((steps, 0, 2)))[2]
    assert all(not value.any() for value in found.params.values())


def test_results_are_equal_bit_for_bit_on_any_number_of_threads(always, monkeypatch):
    monkeypatch.setattr("lstmgraph.jit.executor.SLICE_WORK", 1)
    one, two, four = (gradients(single, threads=threads) for threads in (1, 2, 4))
    assert_close(one, by_rows(single, monkeypatch))
    for name, value in one.items():
        assert np.array_equal(two[name], value) and np.array_equal(four[name], value), name


def sources_of(line):
    return {stage.kernel.source for stage in line.plan.stages if stage.kernel is not None}


def test_it_is_done_where_rows_are_many_beside_the_entries(monkeypatch):
    @lg.network
    def characters(tokens):
        return lg.recur(lg.cells.lstm, lg.embedding(tokens, 50, 32, name="embed"), size=64, name="lstm")

    engine = lg.compile(characters).engine
    row = 2 * 8 * 32 * 64  # four gates, the table and the matrix
    assert tables.entries(engine.whole.traced, {}) == {50: row}
    assert engine.passes(199, apart=False) is engine.whole  # fewer than four rows of an entry
    rows, few = engine.whole, engine.passes(768, apart=False)
    assert few is not rows and sources_of(few) < sources_of(rows)  # a product less, no machine code of its own
    assert tables.few({50: row, 5000: row}, 5000) == 50 and tables.few({50: 10}, 5000) == 0
