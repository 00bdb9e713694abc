"""check_gradients: a right gradient passes with a table, a wrong one is named."""

import dataclasses

import numpy as np
import pytest

import lstmgraph as lg
from lstmgraph.errors import CompileError, GraphError
from lstmgraph.gradient_check import GradientErrors, fitting_sizes
from lstmgraph.plugins import ops
from lstmgraph.testing import random_feeds


@lg.cell
def leaky(x, dt, /, h):
    """Its two inputs have sizes that the equations tie to that of the state."""
    return lg.tanh_layer(h=lg.exp(-lg.abs(dt)) * h, x=x, name="mix") + 0.1 * x


def test_one_line_is_enough_and_gives_a_table():
    report = lg.check_gradients(leaky)
    leaves = ["parameter:mix.W_h", "parameter:mix.W_x", "parameter:mix.b", "input:x", "input:dt", "state:h"]
    assert list(report) == [*leaves, *(f"second {leaf}" for leaf in leaves)] and len(report) == 12
    assert all(0 <= error <= 1e-9 for error in report.values())
    title, head, *rows = str(report).split("\n")
    assert title.startswith("leaky: ") and head.split() == ["first", "order", "second", "order"]
    assert [row.split()[0] for row in rows] == leaves and "!" not in str(report)
    assert all(
        row.split()[1:] == [f"{report[leaf]:.1e}", f"{report['second ' + leaf]:.1e}"]
        for leaf, row in zip(leaves, rows, strict=True)
    )
    assert repr(report) == str(report) and report.worst in report


def test_a_network_and_a_cell_without_parameters():
    @lg.network
    def tagger(tokens):
        x = lg.embedding(tokens, 5, 4, name="embed")
        return lg.linear(lg.recur(lg.cells.catalogue["mgu"], x, name="mgu"), size=2, name="head")

    assert {"parameter:embed.W", "parameter:head.W", "second state:mgu.h"} <= set(lg.check_gradients(tagger))

    @lg.cell
    def total(x, h):
        return h + x * x

    assert list(lg.check_gradients(total)) == ["input:x", "state:h"]


def wrong(name, monkeypatch, factor):
    """Let an op have a pullback that is wrong by a factor."""
    right = ops()[name]

    def pullback(result, operands, cotangent):
        return tuple(None if each is None else each * factor for each in right.pullback(result, operands, cotangent))

    monkeypatch.setitem(ops(), name, dataclasses.replace(right, pullback=pullback))


@pytest.mark.parametrize(("factor", "shown"), [(1.001, r"\de-0[234]"), (np.nan, "nan")])
def test_a_wrong_gradient_is_an_error_that_names_the_worst(monkeypatch, factor, shown):
    @lg.cell
    def bent(x, h):
        return lg.sigmoid(lg.linear(x, name="inner")) + 0.5 * h + lg.parameter("b")

    wrong("sigmoid", monkeypatch, factor)
    with pytest.raises(AssertionError, match=rf"bent: got an error of .*{shown} in the first derivative by") as caught:
        lg.check_gradients(bent, second_order=False)
    first, *table = str(caught.value).split("\n")
    marked = {row.split()[0] for row in table if row.endswith("!")}
    assert "parameter:inner.W_x" in marked and not {"parameter:b", "state:h"} & marked
    assert first.split(" by ")[1].split(",")[0].replace(" ", ":") in marked


def test_the_second_order_is_named_as_such():
    report = GradientErrors("cell", 1e-8, {"input:x": 1e-12, "second input:x": 0.5, "state:h": np.nan})
    assert report.worst == "state:h"
    *_, x, h = str(report).split("\n")
    assert x.split() == ["input:x", "1.0e-12", "5.0e-01", "!"] and h.split() == ["state:h", "nan", "!"]


def test_an_error_within_the_tolerance_passes(monkeypatch):
    wrong("tanh", monkeypatch, 1.001)
    assert lg.check_gradients(leaky, tolerance=0.1, second_order=False).tolerance == 0.1


# ---- sizes


def test_sizes_are_odd_and_different_where_the_equations_let_them():
    assert fitting_sizes(lg.cells.catalogue["lstm"], {}) == {"I": 3, "H": 5}
    assert fitting_sizes(lg.cells.catalogue["lstm"], {"H": 4}) == {"I": 3, "H": 4}
    assert fitting_sizes(leaky, {}) == {"I": 3, "H": 3, "dt": 1}


@pytest.mark.parametrize("name", lg.cells.catalogue)
def test_every_cell_of_the_catalogue_finds_its_sizes(name):
    sizes = fitting_sizes(lg.cells.catalogue[name], {})
    assert sizes.get("H", 3) >= 3 and all(size % 2 for size in sizes.values())


def test_feeds_settle_sizes():
    found = lg.check_gradients(leaky, {"x": {"x": np.ones((2, 2, 4)), "dt": np.ones((2, 2, 1))}}, second_order=False)
    assert "input:dt" in found
    with pytest.raises(CompileError, match=r"got no sizes of dt that fit leaky.*got sizes I = 4 and H = 3"):
        lg.check_gradients(leaky, input_size=4, hidden_size=3)


@pytest.mark.parametrize("thing", [None, len])
def test_only_cells_and_networks_have_gradients(thing):
    with pytest.raises(GraphError, match=r"lg\.check_gradients: got"):
        lg.check_gradients(thing)


# ---- masks and learned starts

t = lg.transforms
MASKED = t.drop_connect(t.zoneout(lg.cells.gru, h=0.5), 0.5)
STARTING = t.learned_initial_state(lg.cells.rnn)
BOTH = t.learned_initial_state(MASKED)


@lg.network
def stacked(x):
    y = lg.recur(MASKED, lg.dropout(x, 0.5, name="x"), size=3, name="low")
    return lg.linear(lg.recur(STARTING, y, size=4, name="high"), size=2, name="head")


@pytest.mark.parametrize("traced", [MASKED, STARTING, BOTH, stacked], ids=["masks", "start", "both", "network"])
def test_the_training_graph_is_tested(traced, in_numpy):
    lg.assert_same(traced, compiled=False)
    errors = lg.check_gradients(traced)
    starts = [name for name in traced.parameters if name.endswith("initial")]
    assert {f"{order}parameter:{name}" for name in starts for order in ("", "second ")} <= set(errors)
    learned = {name.removesuffix(".initial") for name in starts}
    assert {leaf for leaf in errors if leaf.startswith("state:")} == {f"state:{s}" for s in traced.states} - {
        f"state:{state}" for state in learned
    }


def test_masks_are_drawn_and_starts_are_random_unless_given():
    program = lg.compile(BOTH, input_size=3, hidden_size=5, dtype="float64")
    feeds = random_feeds(program, 4, 3, 2)
    assert all(np.array_equal(feeds.x[name], mask) for name, mask in program.masks(4, 3, seed=2).items())
    assert set(feeds.x) == {"x", *BOTH.masks} and not feeds.state and feeds.params["h.initial"].all()
    plain = random_feeds(program, 4, 3, 2, training=False)
    assert set(plain.x) == {"x"} and set(plain.state) == {"h"}
    x, state = np.ones((6, 2, 3)), {"h": np.ones((2, 5))}
    given = random_feeds(program, 4, 3, 2, given={"x": x, "state": state})
    assert given.x["x"] is x and given.x["h.update"].shape == (6, 2, 5) and given.state == state
    assert "state:h" in lg.check_gradients(BOTH, {"state": {"h": np.ones((3, 5))}}, second_order=False)


def test_a_wrong_start_or_a_wrong_mask_is_seen(monkeypatch, in_numpy):
    from lstmgraph import engine, program

    start, masks = engine.with_learned_starts, program.with_masks
    with monkeypatch.context() as patch:  # the learned value is not read
        patch.setattr(engine, "with_learned_starts", lambda sequence, states: start(sequence, frozenset()))
        with pytest.raises(AssertionError, match=r"in training: generated source in NumPy differs"):
            lg.assert_same(STARTING, compiled=False)
        with pytest.raises(AssertionError, match=r"in the first derivative by parameter h\.initial"):
            lg.check_gradients(STARTING, second_order=False)
    with monkeypatch.context() as patch:  # the masks stand for their means
        patch.setattr(program, "with_masks", program.without_masks)
        for check in (lambda: lg.assert_same(MASKED, compiled=False), lambda: lg.check_gradients(MASKED)):
            with pytest.raises((AssertionError, KeyError)):
                check()
    assert program.with_masks is masks
