"""The catalogue as a whole: unknown names, how cells start, and lg.split and the starts that its cells brought."""

import re

import numpy as np
import pytest

import lstmgraph as lg
from lstmgraph.initializers import legendre_memory

# ---- names


@pytest.mark.parametrize("ask", [lambda: lg.cells.lsmt, lambda: lg.cells.catalogue["lsmt"]])
@pytest.mark.parametrize("kind", [lg.UnknownCellError, lg.GraphError, KeyError, AttributeError])
def test_an_unknown_name_lists_the_nearest(ask, kind):
    with pytest.raises(kind, match=r"^lg\.cells: got 'lsmt', expected .*nearest: lstm, .*catalogue has them all$"):
        ask()


def test_an_unknown_name_is_absent_as_from_any_module_and_dictionary():
    assert not hasattr(lg.cells, "lsmt") and getattr(lg.cells, "lsmt", None) is None
    assert "lsmt" not in lg.cells.catalogue and lg.cells.catalogue.get("lsmt") is None


def test_every_cell_is_found_by_its_name_and_says_where_it_is_from():
    for name, cell in lg.cells.catalogue.items():
        assert getattr(lg.cells, name) is cell and cell.name == name
        assert re.search(r"\b(19|20)\d\d\b", cell.__doc__), name


# ---- how parameters start, as published


def start(name, parameter, size=200, **sizes):
    """Return a parameter of a cell at the start."""
    given = {symbol: sizes.get(symbol, size) for symbol in ("input_size", "hidden_size")}
    extra = {key: value for key, value in sizes.items() if key not in given}
    return lg.compile(lg.cells.catalogue[name], dtype="float64", **given, **extra).init(seed=0)[parameter]


@pytest.mark.parametrize(
    ("name", "parameter", "value"),
    [
        ("lstm", "forget.b", 1.0),
        ("lstm", "input.b", 0.0),
        ("projected_lstm", "forget.b", 1.0),
        ("coupled_lstm", "forget.b", 1.0),
        ("indy_gru", "reset.b", 1.0),
        ("mgu_flax", "forget.b", 1.0),
        ("ugrnn", "update.b", 1.0),
        ("intersection_rnn", "time_gate.b", 1.0),
        ("highway", "carry_0.b", 2.0),
        ("cfn", "horizontal.b", 1.0),
        ("cfn", "vertical.b", -1.0),
        ("fast_grnn", "nu", -4.0),
        ("fast_rnn", "beta", 3.0),
        ("skip_lstm", "rise.b", 1.0),
        ("mi_rnn", "alpha", 1.0),
        ("irnn", "hidden.W_h", np.eye(7)),
    ],
)
def test_a_start_is_the_published_number(name, parameter, value):
    sizes = {"P": 3} if name == "projected_lstm" else {}
    found = start(name, parameter, size=7, **sizes)
    assert np.array_equal(found, np.broadcast_to(value, found.shape))


@pytest.mark.parametrize(
    ("name", "parameter", "low", "high", "seen"),
    [
        ("janet", "forget.b", 1, 99, np.exp),
        ("sru", "forget.v", -1.225, 1.225, np.array),
        ("indrnn", "recurrent", 0, 1, np.array),
        ("lru", "log_nu", 0.9**2, 0.999**2, lambda nu: np.exp(-np.exp(nu)) ** 2),
        ("lru", "log_theta", 0, 2 * np.pi, np.exp),
    ],
)
def test_a_start_is_spread_evenly_over_the_published_range(name, parameter, low, high, seen):
    values = (np.sort(seen(start(name, parameter, size=400, input_size=1))) - low) / (high - low)
    assert np.abs(values - np.linspace(0, 1, 400)).max() < 0.1


def test_the_decay_of_an_rg_lru_starts_in_the_published_range():
    power = (1 / (1 + np.exp(-start("rg_lru", "decay")))) ** 8
    assert power.min() > 0.895 and power.max() < 0.9991


# ---- the Legendre memory


def test_a_legendre_memory_remembers_a_window():
    a, b = legendre_memory(6, window=50.0)
    memory, ago = np.zeros((1, 6)), np.linspace(0, 50, 11)
    for step in range(200):
        memory = memory @ a + np.sin(step / 40) * b
    remembered = np.polynomial.legendre.legval(2 * ago / 50 - 1, memory[0])
    np.testing.assert_allclose(remembered, np.sin((199.5 - ago) / 40), atol=0.02)


def test_an_lmu_starts_with_the_memory_of_its_window():
    a, b = legendre_memory(4, window=100.0)
    assert np.array_equal(start("lmu", "memory.A", size=3, M=4), a)
    assert np.array_equal(start("lmu", "memory.B", size=3, M=4), b)
    assert start("lmu", "memory.A", size=3, M=1).shape == start("lmu", "memory.B", size=3, M=1).shape == (1, 1)


# ---- lg.split


@lg.cell
def halves(x, h):
    """A state of two parts, and an input of two parts of sizes of their own."""
    first, second = lg.split(h, "H", "H")
    low, high = lg.split(x, "L", 2)
    return lg.concat(lg.tanh_layer(h=first, x=low, name="first"), lg.tanh_layer(h=second, x=high, name="second"))


def test_split_is_the_other_way_round_of_concat():
    sizes = {"input_size": 5, "hidden_size": 7, "L": 3}
    lg.assert_same(halves, compiled=False, **sizes)
    lg.check_gradients(halves, **sizes)
    program = lg.compile(halves, dtype="float64", **sizes)
    params, x = program.init(seed=0), np.random.default_rng(0).standard_normal((1, 2, 5))
    state = {"h": np.random.default_rng(1).standard_normal((2, 14))}
    y, _ = lg.interpret(halves, params, x, state)
    second = state["h"][:, 7:] @ params["second.W_h"] + x[0][:, 3:] @ params["second.W_x"] + params["second.b"]
    np.testing.assert_allclose(y[0, :, 7:], np.tanh(second))


@pytest.mark.parametrize("sizes", [(), (0, 3), (-1, 4), (True,), (1.5, 2.5), ("",), (None,)])
def test_split_refuses_sizes_that_are_none(sizes):
    with pytest.raises(lg.GraphError, match=r"lg\.split.*got sizes .*expected positive integers or symbols"):
        lg.cell(lambda x, h: lg.split(h, *sizes)[0])


def test_split_refuses_parts_that_do_not_add_up(in_numpy):
    with pytest.raises(lg.ShapeError, match=r"part: got parts \(2, 2\) of a value of size 5"):
        lg.cell(lambda x, h: lg.linear(both=lg.split(lg.linear(h, x, name="five", size=5), 2, 2)[0], name="out"))
    with pytest.raises(lg.ShapeError, match=r"got sizes I = 5 and L\+2 = 6"):
        lg.compile(halves, input_size=5, hidden_size=7, L=4)
    fitting = lg.compile(halves, input_size=5, hidden_size=7, L=3, dtype="float64")
    params = fitting.init(seed=0) | {"first.W_x": np.ones((4, 7))}
    with pytest.raises(lg.ShapeError, match=r"got sizes I = 5 and L\+2 = 6"):
        lg.interpret(halves, params, np.ones((1, 1, 5)))
