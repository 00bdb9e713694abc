"""What modifiers refuse, in one sentence that names the modifier and the cell and says what there is."""

import numpy as np
import pytest

import lstmgraph as lg

t, cells = lg.transforms, lg.cells
lstm, gru = cells.lstm, cells.gru


@lg.cell
def indexed(token, h):
    """A cell that reads an index."""
    x = lg.embedding(token, 5, 4, name="embed")
    return lg.tanh_layer(h, x=x, name="hidden")


@lg.cell
def narrow(x, h, c):
    """A gate of size 1."""
    c = lg.gate(c, h, x, name="forget", size=1) + lg.gate(x, h, x, name="input")
    return lg.tanh_layer(h, x, name="hidden") * c, c


@lg.cell
def chained(x, h):
    """A gate that another one reads."""
    first = lg.sigmoid_layer(h, x, name="first")
    return lg.gate(h, first=first, name="second") * first


@lg.cell
def split_sum(x, h):
    """A layer whose products are not added to each other."""
    w, v = (lg.parameter(f"mix.W_{name}", shape=(size, "H")) for name, size in (("h", "H"), ("x", "I")))
    return lg.tanh(h @ w) + x @ v


CASES = [
    (lambda: t.zoneout("lstm", h=0.1), r"zoneout: got str, expected a cell made by @lg\.cell"),
    (lambda: t.zoneout(lstm, hh=0.1), r"zoneout of lstm: unknown state 'hh', expected one of h, c"),
    (lambda: t.zoneout(lstm, h=1), r"zoneout of lstm: h: got rate 1, expected a number from 0 to less than 1"),
    (lambda: t.zoneout(t.zoneout(lstm, h=0.5), h=0.5), r"zoneout of zoneout_lstm: the cell has 'h\.update' already"),
    (lambda: t.recurrent_dropout(lstm, "x"), r"recurrent_dropout of lstm: got rate 'x'"),
    (lambda: t.recurrent_dropout(lstm, 0.5, per="day"), r"got per='day', expected 'step' or 'sequence'"),
    (lambda: t.recurrent_dropout(lstm, 0.5, states="c"), r"got no matrix that reads c, expected one of h$"),
    (lambda: t.recurrent_dropout(lstm, 0.5, states=["k"]), r"unknown state 'k', expected one of h, c"),
    (lambda: t.recurrent_dropout(cells.min_lstm, 0.5), r"no matrix that reads a state, expected a layer with a state"),
    (lambda: t.input_dropout(lstm, 0.5, inputs="y"), r"input_dropout of lstm: unknown input 'y', expected one of x"),
    (lambda: t.input_dropout(indexed, 0.5), r"input_dropout of indexed: got no matrix that reads an input"),
    (lambda: t.drop_connect(cells.min_lstm, 0.5), r"drop_connect of min_lstm: got no matrix that reads a state"),
    (lambda: t.drop_connect(lstm, -1), r"drop_connect of lstm: got rate -1"),
    (lambda: t.layer_norm(lstm, "forgot"), r"layer_norm of lstm: unknown layer 'forgot', .*nearest: forget"),
    (lambda: t.layer_norm(lstm, each="gate"), r"layer_norm of lstm: got each='gate', expected 'sum' or 'product'"),
    (lambda: t.layer_norm(split_sum), r"layer_norm of split_sum: got products of layer 'mix' that are not summed"),
    (lambda: t.layer_norm(gru, states="h"), r"layer_norm of gru: got state 'h', whose new value nothing reads"),
    (lambda: t.peephole(gru), r"peephole of gru: got a cell without a cell state, .* name one of its states, h, with"),
    (lambda: t.peephole(cells.slstm), r"peephole of slstm: .* each of c, n, m is a cell state, .* name it with state="),
    (lambda: t.peephole(lstm, "k"), r"peephole of lstm: unknown state 'k', expected one of h, c"),
    (lambda: t.peephole(lstm, layers="gate"), r"peephole of lstm: unknown layer 'gate', expected one of forget"),
    (lambda: t.peephole(narrow), r"peephole of narrow: got layer 'forget' of size 1, expected \S+ as state 'c' has"),
    (lambda: t.couple(lstm, candidate="forget"), r"couple of lstm: unknown gate 'candidate', expected one of forget"),
    (lambda: t.couple(lstm, input="forge"), r"couple of lstm: unknown gate 'forge', .*nearest: forget"),
    (lambda: t.couple(lstm, input="input"), r"couple of lstm: got input='input', which is computed from 'input'"),
    (lambda: t.couple(chained, first="second"), r"couple of chained: got first='second', which is computed from"),
    (lambda: t.couple(narrow, input="forget"), r"couple of narrow: got input='forget' of size 1, expected H"),
    (lambda: t.without_gate(gru, "rest"), r"without_gate of gru: unknown gate 'rest', .*nearest: reset"),
    (
        lambda: t.without_activation(gru, "candidate_h"),
        r"got 'candidate_h', which goes through no activation of its own",
    ),
    (lambda: t.without_activation(lstm, "h"), r"without_activation of lstm: got 'h', which goes through no activation"),
    (lambda: t.without_activation(lstm, "d"), r"unknown layer or state 'd', expected one of forget"),
    (lambda: t.projection(gru), r"projection of gru: got a cell without a state that only matrices read"),
    (lambda: t.projection(gru, "h"), r"projection of gru: got state 'h', which is read pointwise too \(mul\)"),
    (
        lambda: t.projection(t.projection(lstm)),
        r"projection of projected_lstm: the cell has a layer 'projection' already",
    ),
    (lambda: t.multiplicative(cells.cornn), r"multiplicative of cornn: .* each of h, z is a state that matrices read"),
    (
        lambda: t.multiplicative(lstm, "c"),
        r"multiplicative of lstm: got state 'c', which no matrix reads, expected one",
    ),
    (lambda: t.multiplicative(indexed), r"multiplicative of indexed: got an index as input 'token'"),
    (lambda: t.residual(indexed), r"residual of indexed: got an index as input 'token', expected numbers"),
    (lambda: t.residual(cells.highway_lstm), r"each of y, c_above is an output, expected one; name it with output="),
    (lambda: t.highway(lstm, "z"), r"highway of lstm: unknown output 'z', expected one of y"),
    (lambda: t.low_rank(lstm, 0), r"low_rank of lstm: got rank 0, expected a positive integer or the name of a size"),
    (lambda: t.low_rank(t.weight_norm(gru), 2), r"low_rank of weight_norm_gru: got the matrix reset\.W_h as an expr"),
    (
        lambda: t.diagonal(t.projection(lstm)),
        r"diagonal of projected_lstm: .* of shape \(P, H\), expected a square one",
    ),
    (lambda: t.weight_norm(t.weight_norm(gru)), r"weight_norm of .*: the cell has 'reset\.W_h\.gain' already"),
    (lambda: t.weight_norm(gru, "x"), r"weight_norm of gru: unknown layer 'x', expected one of reset"),
    (lambda: t.clip_states(lstm, 0), r"clip_states of lstm: got limits 0 and None, expected a number above 0"),
    (lambda: t.clip_states(lstm, 2, 1), r"clip_states of lstm: got limits 2 and 1"),
    (lambda: t.clip_states(lstm, "low"), r"clip_states of lstm: got limits 'low' and None"),
    (lambda: t.clip_states(lstm, 1, states="k"), r"clip_states of lstm: unknown state 'k'"),
    (lambda: t.clip_gradients(lstm, 0), r"clip_gradients of lstm: got limit 0, expected a number above 0"),
    (lambda: t.clip_gradients(lstm, float("nan")), r"clip_gradients of lstm: got limit nan"),
    (lambda: t.clip_gradients(lstm, 1, "gate"), r"clip_gradients of lstm: unknown layer 'gate'"),
    (lambda: t.outputs(lstm), r"outputs of lstm: got no names, expected any of h, c, y, forget"),
    (lambda: t.outputs(lstm, "forge"), r"outputs of lstm: unknown state, output or layer 'forge', .*nearest: forget"),
]


@pytest.mark.parametrize(("call", "message"), CASES, ids=[message[:40] for _, message in CASES])
def test_it_is_one_sentence_that_names_modifier_and_cell(call, message):
    with pytest.raises(lg.GraphError, match=message) as caught:
        call()
    assert "\n" not in str(caught.value)


def test_a_shortcut_whose_sizes_do_not_fit_says_where_it_was_made(in_numpy):
    cell = t.residual(lstm)
    with pytest.raises(
        lg.ShapeError,
        match=r"residual_lstm: add .*test_transform_errors\.py.*: got sizes I = 3 and H = 5, expected .*project=True",
    ):
        lg.compile(cell, input_size=3, hidden_size=5)(
            lg.compile(cell, input_size=3, hidden_size=5).init(), np.ones((2, 1, 3))
        )
    program = lg.compile(t.residual(lstm, project=True), input_size=3, hidden_size=5)
    assert program(program.init(), np.ones((2, 1, 3)))[0].shape == (2, 1, 5)


@pytest.mark.parametrize(
    "cell", [t.highway(lstm), t.zoneout(t.residual(lstm), c=0.5), t.residual(t.outputs(lstm, "h"))], ids=str
)
def test_a_hint_goes_with_the_shortcut_through_what_is_made_of_it(cell):
    @lg.network
    def net(x):
        found = lg.recur(cell, x, size=5, name="shortcut")
        return next(iter(found.values())) if isinstance(found, dict) else found

    with pytest.raises(lg.ShapeError, match=r"got sizes I = 3 and H = 5.*; give the modifier project=True, so that"):
        lg.compile(net, input_size=3)
