"""Equations in a figure: typeset in the figure's names, below it or beside it."""

import re
from itertools import pairwise

import pytest

import lstmgraph as lg
from lstmgraph.visual.scene import read_scene
from lstmgraph.visual.typeset import advance, names_drawn, typeset

LSTM = lg.cells.lstm


def written(line):
    """Return a line's pieces as text: what stands below in brackets, what stands above after a roof."""
    return "".join(
        piece.text if piece.y == 0 else f"[{piece.text}]" if piece.y < 0 else f"^{piece.text}" for piece in line.pieces
    )


def test_names_are_in_italics_and_functions_are_not():
    (line,) = typeset("o_t = σ(h_{t-1} W_h^f + x_t W_x^f + b^f)", 12)
    assert written(line) == "o[t] = σ(h[t−1] W[h]^f + x[t] W[x]^f + b^f)"
    upright = {piece.text.strip() for piece in line.pieces if not piece.italic}
    assert upright == {"=", "σ(", "+", ")", ""}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("h_t = tanh(c̃_t) ⊙ (1 - f_t)", "h[t] = tanh(c̃[t]) × (1 − f[t])"),
        ("∂W_h^f = ∑_t h_{t-1}ᵀ δf_t", "∂W[h]^f = ∑[t] h[t−1]^T δf[t]"),
        ("a_t = (b_t c_t)ᵀ", "a[t] = (b[t] c[t])^T"),
        ("s_{low,t} = max(0, s_{low,t-1}) / 2.5", "s[low,t] = max(0, s[low,t−1]) / 2.5"),
    ],
)
def test_scripts_stand_where_they_belong(text, expected):
    assert written(typeset(text, 12)[0]) == expected


def test_equals_signs_stand_one_below_the_other_and_nothing_overlaps():
    lines = typeset(str(lg.equations(lg.cells.catalogue["nested_lstm"])), 14)
    assert len({next(piece.x for piece in line.pieces if piece.text == " = ") for line in lines}) == 1
    for line in lines:
        level = [piece for piece in line.pieces if piece.y == 0]
        for one, other in pairwise(level):
            assert one.x + one.width <= other.x + 1e-9
    assert advance("Wi", 10) == pytest.approx(9.44 + 2.22)


def test_a_conveyor_is_called_as_in_the_figure():
    names = names_drawn(read_scene(LSTM))
    lines = typeset(str(lg.equations(LSTM)), 12, names)
    assert written(lines[1]) == "C̃[t] = tanh(h[t−1] W[h]^C̃ + x[t] W[x]^C̃ + b^C̃)"
    assert written(lines[3]) == "C[t] = f[t] × C[t−1] + i[t] × C̃[t]"
    assert names_drawn(read_scene(LSTM, "names")) == {} == names_drawn(read_scene(lg.cells.gru))


def pieces(dot):
    return re.findall(r'class="equation" .*? pos="([-\d.]+),([-\d.]+)!" .* label="([^"]*)"', dot)


def test_equations_are_below_or_beside():
    plain, below, beside = (lg.draw(LSTM, equations=place) for place in (False, "below", "beside"))
    assert lg.draw(LSTM, equations=True).dot == below.dot and "equation" not in plain.dot
    frame = [float(x) for x in re.search(r'"frame" .*? pos="([-\d.]+),([-\d.]+)!"', plain.dot).groups()]
    assert all(float(y) < 0 for _, y, _ in pieces(below.dot)) and all(
        float(x) > 2 * frame[0] for x, _, _ in pieces(beside.dot)
    )
    assert len(pieces(below.dot)) == len(pieces(beside.dot)) > 60
    assert "i_t = σ(" in beside.description and 'tooltip="f_t = σ(h_{t-1} W_h^f + x_t W_x^f + b^f)"' in beside.dot


def test_where_graphviz_places_a_cell_its_equations_are_lines_below():
    adjoint = lg.gradient(LSTM)
    dot = lg.draw(adjoint, equations=True).dot
    label = re.search(r'graph \[labelloc=b .* label="([^"]*)"\]', dot)[1]
    assert label.count("\\l") == len(str(lg.equations(adjoint)).splitlines()) and "ᵀ" not in label


@pytest.mark.parametrize("kind", ["core-idea", "chain", "unrolled", "gradient"])
def test_other_kinds_take_equations_too(kind):
    options = {"overlay": True} if kind == "gradient" else {}
    plain, figure = lg.draw(LSTM, kind, **options), lg.draw(LSTM, kind, equations="beside", **options)
    right = max(float(x) for x in re.findall(r' pos="([-\d.]+),[-\d.]+!"', plain.dot))
    assert len(pieces(figure.dot)) > 60 and all(float(x) > right for x, _, _ in pieces(figure.dot))
    assert "Its equations: f_t = " in figure.description


@pytest.mark.parametrize("place", ["besides", 3, None])
def test_other_places_are_refused(place):
    with pytest.raises(lg.DrawingError, match="expected True, False, 'below' or 'beside'"):
        lg.draw(LSTM, equations=place)
