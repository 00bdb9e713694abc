"""What is highlighted stands out in every kind of figure, the rest fades, and unknown names are errors."""

import re

import pytest

import lstmgraph as lg
from lstmgraph.visual.themes import CLASSIC

LSTM, GRU = lg.cells.lstm, lg.cells.gru


def nodes(dot):
    return dict(re.findall(r'^ +"([^"]+)" \[(.*)\];$', dot, flags=re.M))


def edges(dot):
    return [(a, b, rest) for a, b, rest in re.findall(r'^ +"([^"]+)" -> "([^"]+)" \[(.*)\];$', dot, flags=re.M)]


def bright(dot):
    """Return the wires that do not fade."""
    return {(a, b) for a, b, rest in edges(dot) if CLASSIC.faded_wire not in rest and "invis" not in rest}


def test_the_core_idea_may_be_any_node():
    dot = lg.draw(LSTM, "core-idea", highlight="input").dot
    bold = {(a, b) for a, b, rest in edges(dot) if "penwidth=3.2" in rest}
    assert bold == {("old:h", "input"), ("input:x", "input"), ("input", "mul.2")} == bright(dot)
    both = lg.draw(LSTM, "core-idea", highlight="forget", state="c")
    bold = {(a, b) for a, b, rest in edges(both.dot) if "penwidth=3.2" in rest}
    assert {("forget", "mul.1"), ("old:c", "mul.1"), ("mul.1", "add.1"), ("add.1", "new:c")} <= bold
    assert "forget with what it reads and feeds" in both.description and "C_t−1 becomes C_t" in both.description
    assert lg.draw(LSTM, "core-idea", highlight=[]).dot != lg.draw(LSTM, "core-idea").dot  # nothing is nothing


def test_a_state_runs_through_every_step():
    dot = lg.draw(LSTM, "unrolled", steps=3, highlight="c").dot
    shown = [(a, b) for a, b, rest in edges(dot) if CLASSIC.faded_wire not in rest]
    assert shown == [("old:c", "step 1"), ("step 3", "new:c"), ("step 1", "step 2"), ("step 2", "step 3")]
    assert CLASSIC.faded_text in nodes(dot)["old:h"] and CLASSIC.faded_text not in nodes(dot)["old:c"]
    assert CLASSIC.faded_text in nodes(dot)["name of step 1"]


def test_an_input_enters_at_every_step():
    dot = lg.draw(LSTM, "unrolled", steps=2, highlight=["x"]).dot
    assert bright(dot) == {(f"step {step}.input:x", f"step {step}") for step in (1, 2)}
    large = lg.draw(lg.gradient(lg.cells.catalogue["layer_norm_lstm"]), "chain", highlight="x").dot
    assert bright(large) and "step 1.input:x" in nodes(large)  # too large for a chain: three boxes


def test_parts_of_a_gate_stand_out():
    dot = lg.draw(lg.cells.peephole_lstm, "gate", name="forget", highlight="c").dot
    assert bright(dot) == {("value:old:c", "mul.1"), ("source:old:c", "forget")}
    assert CLASSIC.faded[0] not in nodes(dot)["forget"] and CLASSIC.faded_text in nodes(dot)["source:input:x"]
    assert bright(lg.draw(LSTM, "gate", name="forget", highlight="mul.1").dot) == {
        ("forget", "mul.1"), ("value:old:c", "mul.1"), ("mul.1", "gated")
    }  # fmt: skip


def test_what_a_gate_lets_through_is_shown_with_what_it_is_made_of():
    figure = lg.draw(LSTM, "gate", name="output")
    wires = {(a, b) for a, b, _ in edges(figure.dot)}
    assert {("operand:add.1", "value:tanh.1"), ("value:tanh.1", "mul.3"), ("output", "mul.3")} <= wires
    assert "<I>C</I>" in nodes(figure.dot)["operand:add.1"] and "applies them to tanh of" in figure.description
    dot = lg.draw(LSTM, "gate", name="output", highlight="tanh.1").dot
    assert bright(dot) == {("operand:add.1", "value:tanh.1"), ("value:tanh.1", "mul.3")}


def test_a_comparison_shows_one_part_in_both_cells():
    dot = lg.draw(LSTM, "diff", other=lg.cells.coupled_lstm, highlight=["input", "forget"]).dot
    assert ("first.input", "first.mul.2") in bright(dot) and ("second.forget", "second.mul.1") in bright(dot)
    assert CLASSIC.removed in nodes(dot)["first.input"] and CLASSIC.faded[0] in nodes(dot)["second.output"]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: lg.draw(LSTM, "core-idea", highlight="forgt"), "nearest: forget"),
        (lambda: lg.draw(LSTM, "unrolled", highlight="forget"), "expected a state, an input or an output: h, c, x, y"),
        (lambda: lg.draw(LSTM, "gate", highlight="output"), "gate forget of lstm has nothing named 'output', expected"),
        (lambda: lg.draw(LSTM, "gate", highlight="forgte"), "nearest: forget"),
        (lambda: lg.draw(LSTM, "diff", other=GRU, highlight="foget"), "neither lstm nor gru has anything named 'fo"),
    ],
)  # fmt: skip
def test_unknown_names_are_errors(call, message):
    with pytest.raises(lg.DrawingError, match=re.escape(message)):
        call()
