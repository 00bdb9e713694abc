"""The gradient of a cell is a cell: compiled, interpreted, drawn and differentiated like any other."""

import networkx as nx
import numpy as np
import pytest

import lstmgraph as lg
from lstmgraph.errors import GraphError
from lstmgraph.testing import by_leaf, random_feeds, results

CELLS = ["lstm", "gru_reset_before", "layer_norm_lstm", "antisymmetric"]


def small(name, cell=None):
    return lg.compile(cell or lg.cells.catalogue[name], input_size=3, hidden_size=5, dtype="float64", threads=1)


@pytest.mark.parametrize("name", CELLS)
def test_the_gradient_is_a_cell_named_after_what_it_is_the_gradient_of(name):
    cell = lg.cells.catalogue[name]
    adjoint = lg.gradient(cell)
    assert type(adjoint) is lg.Cell and adjoint.name == f"d_{name}"
    assert adjoint.reverse and not cell.reverse and not lg.gradient(adjoint).reverse
    assert adjoint.states == tuple(f"d_{state}" for state in cell.states)
    assert adjoint.outputs == ("d_x",)
    assert adjoint.inputs[: 1 + len(cell.states)] == ("x", *cell.states) and "d_y" in adjoint.inputs
    assert set(adjoint.sums) == {f"d_{parameter}" for parameter in cell.parameters}
    assert set(adjoint.parameters) <= set(cell.parameters)
    assert nx.is_frozen(adjoint.graph) and nx.is_directed_acyclic_graph(adjoint.graph)


def previous(program, feeds):
    """Return the states before each step, by running step by step."""
    state, before = feeds.state, {name: [] for name in feeds.state}
    for t in range(len(feeds.x["x"])):
        for name, value in state.items():
            before[name].append(value)
        _, state = program.step(feeds.params, feeds.x["x"][t], state)
    return {name: np.stack(values) for name, values in before.items()}


def fed(program, adjoint, feeds):
    """Return what the adjoint is called with; it runs from the last step to the first by itself."""
    inputs = {"x": feeds.x["x"], **previous(program, feeds), "d_y": feeds.dy["y"]}
    state = {f"d_{name}": value for name, value in feeds.dstate.items()}
    params = {name: feeds.params[name] for name in adjoint.parameters}
    return params, inputs, state


@pytest.mark.parametrize("name", CELLS)
def test_the_gradient_compiled_gives_what_vjp_gives(name, in_numpy):
    program = small(name)
    feeds = random_feeds(program, 4, 3, 0)
    expected = results(program, feeds)
    adjoint = lg.gradient(program.traced)
    params, inputs, state = fed(program, adjoint, feeds)
    found, final = small(name, adjoint)(params, inputs, state=state)
    np.testing.assert_allclose(found["d_x"], expected["d input:x"], rtol=1e-12, atol=1e-12)
    for parameter in feeds.params:
        np.testing.assert_allclose(
            found[f"d_{parameter}"], expected[f"d parameter:{parameter}"], rtol=1e-12, atol=1e-12
        )
    for state_name, value in final.items():
        np.testing.assert_allclose(value, expected[f"d state:{state_name[2:]}"], rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", CELLS)
def test_the_gradient_is_interpreted_like_any_cell(name, in_numpy):
    program = small(name)
    feeds = random_feeds(program, 4, 3, 1)
    adjoint = lg.gradient(program.traced)
    params, inputs, state = fed(program, adjoint, feeds)
    meant, last = lg.interpret(adjoint, params, inputs, state=state)
    found, final = small(name, adjoint)(params, inputs, state=state)
    assert meant.keys() == found.keys()
    for key, value in meant.items():
        np.testing.assert_allclose(found[key], value, rtol=1e-12, atol=1e-12, err_msg=key)
    for key, value in last.items():
        np.testing.assert_allclose(final[key], value, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", CELLS)
def test_the_gradient_of_the_gradient_is_a_cell_and_is_right(name):
    adjoint = lg.gradient(lg.cells.catalogue[name])
    twice = lg.gradient(adjoint)
    assert type(twice) is lg.Cell and twice.name == f"d_d_{name}" and len(twice.graph) > len(adjoint.graph)
    lg.assert_same(adjoint, compiled=False, forms=("plain", "lengths"))
    lg.check_gradients(adjoint, steps=3, batch=2, second_order=False)


@pytest.mark.parametrize("name", lg.cells.catalogue)
def test_each_order_is_a_bounded_number_of_times_larger(name):
    cell = lg.cells.catalogue[name]
    sizes = [len(cell.graph)]
    for _ in range(2):
        cell = lg.gradient(cell)
        sizes.append(len(cell.graph))
    assert sizes[1] <= 5 * sizes[0] and sizes[2] <= 5 * sizes[1], sizes


def test_the_gradient_shares_the_nodes_of_the_cell():
    cell = lg.cells.catalogue["lstm"]
    adjoint = lg.gradient(cell)
    ops = [node.op for _, node in adjoint.graph.nodes(data="node")]
    assert ops.count("sigmoid") == 3 and ops.count("tanh") == 2  # each computed once, for all that reads it
    assert ops.count("outer") == 8 and ops.count("batch_sum") == 4


def test_the_same_gradient_comes_from_the_same_equations():
    @lg.cell
    def first(x, h):
        return lg.tanh_layer(h, x, name="hidden")

    @lg.cell
    def second(x, h):
        return lg.tanh_layer(h, x, name="hidden")

    assert first.digest == second.digest
    assert lg.gradient(first).digest == lg.gradient(second).digest
    assert list(lg.gradient(first).graph) == list(lg.gradient(second).graph)


def test_what_nothing_reads_has_the_gradient_zero(in_numpy):
    @lg.cell
    def forgetful(x, k, /, h, u):
        lg.parameter("spare")
        return lg.tanh_layer(x, name="hidden"), 0.5 * h

    program = lg.compile(forgetful, input_size=3, hidden_size=5, k=2, dtype="float64")
    feeds = random_feeds(program, 3, 2, 0)
    found = results(program, feeds)
    for leaf in ("input:k", "parameter:spare", "state:u"):
        assert found[f"d {leaf}"].shape and not found[f"d {leaf}"].any(), leaf


def test_no_gradient_passes_stop_gradient(in_numpy):
    @lg.cell
    def stopped(x, h):
        return lg.tanh_layer(x, name="hidden") + lg.stop_gradient(h) * lg.parameter("scale")

    program = lg.compile(stopped, input_size=3, hidden_size=5, dtype="float64")
    found = results(program, random_feeds(program, 3, 2, 0))
    assert not found["d state:h"].any() and found["d parameter:scale"].all()


def test_transposed_gradients_lie_where_no_later_sum_is_written():
    """A transpose in NumPy is a view: machine code shares the memory of what is read no more."""

    @lg.cell
    def twisted(x, h):
        first, second = (lg.parameter(name, shape=("H", "H")) for name in "AB")
        seen = x @ lg.parameter("C", shape=("H", "I")).T
        return lg.tanh(h @ (first.T + first @ second.T) + seen)

    lg.assert_same(twisted, input_size=7, hidden_size=19, forms=("plain",), compiled=True)


# ---- second order


def assert_hvp(program, feeds, dy=None, dstate=None, **keywords):
    """Assert that hvp is the derivative of the pullback along a direction of the parameters, by differences."""
    rng = np.random.default_rng(9)
    direction = {name: rng.standard_normal(value.shape) for name, value in feeds.params.items()}
    exact = program.hvp(feeds.params, feeds.x, direction, dy, dstate, **keywords)

    def gradient(step):
        moved = {name: value + step * direction[name] for name, value in feeds.params.items()}
        return by_leaf(program, program.vjp(moved, feeds.x, **keywords)[2](dy, dstate))

    ahead, behind = gradient(1e-5), gradient(-1e-5)
    for leaf, value in by_leaf(program, exact).items():
        np.testing.assert_allclose((ahead[leaf] - behind[leaf]) / 2e-5, value, rtol=1e-6, atol=1e-8, err_msg=leaf)
    return exact


@pytest.mark.parametrize("form", ["lengths", "reset"])
def test_hvp_follows_lengths_and_resets(form, in_numpy):
    program = small("gru_reset_before")
    feeds = random_feeds(program, 4, 3, 2, form)
    assert_hvp(program, feeds, feeds.dy, feeds.dstate, **feeds.keywords)


@pytest.mark.parametrize("form", ["lengths", "reset"])
def test_hvp_of_a_network(form, in_numpy):
    """Tokens, a table, recurs both ways, two results of which one has a cotangent, and one state of three."""

    @lg.network
    def both(tokens):
        x = lg.embedding(tokens, 6, 4, name="embed")
        ahead = lg.recur(lg.cells.lstm, x, size="H", name="ahead")
        back = lg.recur(lg.cells.mgu, ahead, size=3, name="back", reverse=True)
        return {"head": lg.linear(ahead=ahead, back=back, name="head", size=2), "back": back}

    program = lg.compile(both, hidden_size=5, dtype="float64", threads=1)
    feeds = random_feeds(program, 4, 3, 2, form)
    dstate = {"ahead.c": feeds.dstate["ahead.c"]}
    found = assert_hvp(program, feeds, {"head": feeds.dy["head"]}, dstate, **feeds.keywords)
    assert all(value.any() for name, value in found.params.items() if name != "head.b")
    assert not found.params["head.b"].any()
    for T, B in [(0, 3), (4, 0)]:
        empty = program.hvp(feeds.params, np.zeros((T, B), int), feeds.params, None)
        assert not any(value.any() for value in empty.params.values())


def test_hvp_moves_a_learned_start(in_numpy):
    program = small("", lg.transforms.learned_initial_state(lg.cells.catalogue["mgu"]))
    feeds = random_feeds(program, 4, 3, 2, "reset")
    found = assert_hvp(program, feeds, feeds.dy, lengths=feeds.lengths, reset=feeds.reset)
    assert found.params["h.initial"].all()


def test_hvp_of_clipped_gradients_is_still_the_derivative_of_the_pullback(in_numpy):
    """Such a pullback is no gradient, so that its derivative is not symmetric: no reverse mode gives it."""
    program = small("", lg.transforms.clip_gradients(lg.cells.catalogue["gru"], 0.3))
    feeds = random_feeds(program, 4, 3, 2)
    found = assert_hvp(program, feeds, feeds.dy, feeds.dstate, state=feeds.state)
    free = small("gru").hvp(feeds.params, feeds.x, feeds.params, feeds.dy, feeds.dstate, state=feeds.state)
    assert not np.allclose(found.x, free.x)


def test_what_stop_gradient_holds_does_not_move_in_hvp(in_numpy):
    @lg.cell
    def stopped(x, h):
        return lg.tanh(lg.linear(h, x, name="free") * lg.stop_gradient(lg.linear(h, x, name="held")))

    @lg.cell
    def given(x, held, /, h):
        return lg.tanh(lg.linear(h, x, name="free") * held)

    program, twin = small("", stopped), lg.compile(given, input_size=3, hidden_size=5, held=5, dtype="float64")
    feeds = random_feeds(program, 4, 3, 2)
    direction = {name: np.full_like(value, 0.3) for name, value in feeds.params.items()}
    found = program.hvp(feeds.params, feeds.x, direction, feeds.dy, state=feeds.state)
    held = program.record(feeds.params, feeds.x, ["held"], feeds.state)["held"]
    free = {name: feeds.params[name] for name in twin.traced.parameters}
    along = {name: direction[name] for name in free}
    expected = twin.hvp(free, {"x": feeds.x["x"], "held": held}, along, feeds.dy, state=feeds.state)
    np.testing.assert_allclose(found.x, expected.x["x"], rtol=1e-12, atol=1e-12)
    for name, value in found.params.items():
        np.testing.assert_allclose(value, expected.params.get(name, 0), rtol=1e-12, atol=1e-12, err_msg=name)


@pytest.mark.parametrize("wrong", [None, 3, lambda x: x])
def test_only_a_cell_has_a_gradient_cell(wrong):
    with pytest.raises(GraphError, match=r"lg\.gradient: got \w+, expected a cell"):
        lg.gradient(wrong)


def test_a_network_has_its_gradient_from_vjp():
    @lg.network
    def head(x):
        return lg.linear(x, size=2, name="head")

    with pytest.raises(GraphError, match="vjp"):
        lg.gradient(head)
