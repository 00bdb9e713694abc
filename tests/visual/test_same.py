"""same: two cells are one up to the names of parameters, and nothing else."""

import pytest

import lstmgraph as lg
from lstmgraph.comparison import same

LSTM = lg.cells.catalogue["lstm"]


@lg.cell
def renamed(x, h, c):
    """The LSTM with other layer names, its lines in another order."""
    let, news = lg.sigmoid_layer(h, x, name="let_in"), lg.tanh_layer(h, x, name="news")
    out = lg.sigmoid_layer(h, x, name="let_out")
    c = lg.sigmoid_layer(h, x, name="keep") * c + let * news
    return out * lg.tanh(c), c


@lg.cell
def plain(x, h, c):
    c = lg.gate(c, h, x, name="forget") + lg.gate(lg.tanh_layer(h, x, name="candidate"), h, x, name="input")
    return lg.gate(lg.tanh(c), h, x, name="output"), c


def test_names_of_parameters_and_the_order_of_lines_do_not_count():
    assert same(plain, renamed) and same(renamed, plain) and same(plain, plain)
    assert not same(plain, renamed, parameters=True) and same(plain, plain, parameters=True)


def test_initialisers_count():
    assert not same(LSTM, plain)  # the catalogue's forget bias starts at 1


def test_different_equations_are_different():
    cells = list(lg.cells.catalogue.values())[:30]
    for cell in cells:
        assert [other.name for other in cells if same(cell, other, parameters=True)].count(cell.name) == 1
    assert not same(LSTM, lg.cells.catalogue["gru"])


@pytest.mark.parametrize(
    "other",
    [
        lambda x, h: lg.tanh(x @ lg.parameter("a", ("I", "H")) + h * lg.parameter("u")),  # other order of terms
        lambda x, h: lg.tanh(h * lg.parameter("u") - x @ lg.parameter("a", ("I", "H"))),  # other op
        lambda x, k: lg.tanh(k * lg.parameter("u") + x @ lg.parameter("a", ("I", "H"))),  # other state
        lambda x, h: lg.tanh(h * lg.parameter("u", ()) + x @ lg.parameter("a", ("I", "H"))),  # other shape
    ],
)
def test_what_a_user_can_see_counts(other):
    @lg.cell
    def one(x, h):
        return lg.tanh(h * lg.parameter("v") + x @ lg.parameter("b", ("I", "H")))

    assert not same(one, lg.cell(other))


def test_a_tied_weight_is_not_two():
    @lg.cell
    def tied(x, h):
        return lg.tanh(h * lg.parameter("u") + x * lg.parameter("u"))

    @lg.cell
    def apart(x, h):
        return lg.tanh(h * lg.parameter("u") + x * lg.parameter("v"))

    assert not same(tied, apart) and not same(apart, tied) and same(tied, tied)


def test_networks_are_compared_with_the_cells_in_them():
    def network(cell, name):
        @lg.network
        def whole(x):
            return lg.linear(lg.recur(cell, x, size=4, name=name), size=2, name=f"{name}_head")

        return whole

    assert same(network(plain, "a"), network(plain, "b")) is False  # states are a.h and b.h, which a user sees
    assert same(network(plain, "a"), network(plain, "a")) and not same(network(plain, "a"), network(LSTM, "a"))
    assert not same(plain, network(plain, "a"))


def test_the_public_name_is_the_function_even_after_a_figure_used_it():
    assert lg.draw(LSTM, figure="diff", other=LSTM).dot and lg.same(LSTM, LSTM) and lg.same is same


def test_anything_else_is_refused():
    with pytest.raises(lg.GraphError, match="got int, expected a cell or a network"):
        same(3, LSTM)
