"""Every kind of figure, on known and odd cells: what it shows, marks and says; themes; one text in every process."""

import os
import re
import subprocess
import sys
from itertools import combinations, pairwise
from xml.etree import ElementTree

import numpy as np
import pytest

import lstmgraph as lg
from lstmgraph.visual import arranged, engine
from lstmgraph.visual.drawing import figure_kinds
from lstmgraph.visual.layered import write_layered
from lstmgraph.visual.look import Look
from lstmgraph.visual.scene import read_scene
from lstmgraph.visual.style import text_width
from lstmgraph.visual.themes import CLASSIC, DARK, THEMES

LSTM, GRU, RNN = (lg.cells.catalogue[name] for name in ("lstm", "gru", "rnn"))
INSIDE = ("cell", "core-idea", "chain", "unrolled", "graph", "gradient")  # kinds that show any cell with a state
SVG = "{http://www.w3.org/2000/svg}"


@lg.network
def tagger(tokens):
    words = lg.embedding(tokens, 20, 4, name="embed")
    below = lg.recur(LSTM, words, size=5, name="below")
    ahead = lg.recur(GRU, below, size=3, name="ahead")
    back = lg.recur(GRU, below, size=3, name="back", reverse=True)
    return lg.linear(ahead=ahead, back=back, size=7, name="head")


def nodes(dot):
    return dict(re.findall(r'^ +"([^"]+)" \[(.*)\];$', dot, flags=re.M))


def edges(dot):
    return {(a, b): rest for a, b, rest in re.findall(r'^ +"([^"]+)" -> "([^"]+)" \[(.*)\];$', dot, flags=re.M)}


def pen(text):
    found = re.search(r"penwidth=([\d.]+)", text)
    return float(found[1]) if found else 1.3


def recorded(values, rows=2):
    """Return a recording of one gate: [T, B, n] from [T, n]."""
    return {"forget": np.repeat(np.asarray(values, float)[:, None], rows, axis=1)}


# ---- all kinds


def test_every_kind_is_known():
    assert set(figure_kinds()) == {*INSIDE, "gate", "legend", "diff", "network", "plan", "film"}


@pytest.mark.parametrize("kind", INSIDE)
@pytest.mark.parametrize("name", ["two_by_two", "nested", "swapped", "passed_through", "unused_state", "many_sources"])
def test_odd_cells_are_drawn_in_every_kind(odd, name, kind):
    figure = lg.draw(odd[name], figure=kind)
    tree = ElementTree.fromstring(figure.svg.encode())
    assert tree.tag == f"{SVG}svg" and tree.get("role") == "img"
    title, description = tree.find(f"{SVG}title"), tree.find(f"{SVG}desc")
    assert tree.get("aria-labelledby") == f"{title.get('id')} {description.get('id')}"
    assert name in title.text and len(description.text) > 40


@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize("kind", [*INSIDE, "gate", "legend", "diff"])
def test_every_kind_has_every_theme(kind, theme):
    options = {"other": GRU} if kind == "diff" else {}
    dot = lg.draw(LSTM, figure=kind, theme=theme, **options).dot
    assert f'bgcolor="{THEMES[theme].background}"' in dot
    if theme == "dark":
        light = {colour for pair in CLASSIC.items.values() for colour in pair} - {"#FFFFFF"}
        assert not [colour for colour in (*light, CLASSIC.wire, CLASSIC.text) if colour in dot]


def test_the_same_text_in_every_process():
    code = (
        "import numpy as np, lstmgraph as lg\n"
        "c = lg.cells.catalogue\n"
        "for kind in ('core-idea', 'gate', 'chain', 'unrolled', 'gradient', 'legend'):\n"
        "    print(lg.draw(c['lstm'], figure=kind).dot)\n"
        "print(lg.draw(c['lstm'], figure='diff', other=c['gru'], theme='print').dot)\n"
        "print(lg.draw(c['lstm'], highlight=['forget', 'c']).dot, lg.draw(c['gru'], 'graph', highlight='reset').dot)\n"
        "print(lg.draw({'forget': np.linspace(0, 1, 30).reshape(5, 2, 3)}).dot)"
    )
    texts = set()
    for seed in ("0", "77"):
        environment = os.environ | {"PYTHONHASHSEED": seed}
        run = subprocess.run([sys.executable, "-c", code], capture_output=True, env=environment, check=True)
        texts.add(run.stdout)
    assert len(texts) == 1 and lg.draw(LSTM, "gate").dot.encode() in next(iter(texts)).replace(b"\r\n", b"\n")


# ---- themes


def contrast(first, second):
    """Return the contrast of two colours (WCAG 2.2, 1.4.3)."""

    def luminance(colour):
        parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
        linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        return sum(weight * part for weight, part in zip((0.2126, 0.7152, 0.0722), linear, strict=True))

    high, low = sorted((luminance(first), luminance(second)), reverse=True)
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("theme", THEMES.values(), ids=list(THEMES))
def test_text_and_wires_can_be_read(theme):
    for fill, _ in theme.items.values():
        assert contrast(theme.text, fill) >= 4.5
    for ground in (theme.background, theme.items["frame"][0]):
        assert contrast(theme.label, ground) >= 4.5 and contrast(theme.wire, ground) >= 4.5
        assert contrast(theme.quiet, ground) >= 4.5
        assert contrast(theme.gradient, ground) >= 3 and contrast(theme.added, ground) >= 3


def test_colour_blind_readers_tell_the_kinds_apart():
    # full dichromacy, Machado, Oliveira & Fernandes (2009), severity 1: protanopia, deuteranopia, tritanopia
    losses = np.array(
        [
            [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
            [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
            [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
        ]
    )
    colours = [THEMES["colour-blind"].items[kind][1] for kind in ("layer", "op", "input", "output")]
    seen = np.array([[int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)] for colour in colours])
    for loss in losses:
        for one, other in combinations(seen @ loss.T, 2):
            assert np.abs(one - other).max() > 0.15


def test_prints_are_grey():
    for colour in re.findall(r"#[0-9A-F]{6}", lg.draw(LSTM, theme="print").dot):
        assert colour[1:3] == colour[3:5] == colour[5:7]


def test_themes_and_marks_share_one_layout(monkeypatch):
    first = lg.draw(LSTM)
    monkeypatch.setattr(arranged, "arrange", None)
    places = re.findall(r'pos="[^"]*!"', first.dot)
    for options in ({"theme": "dark"}, {"highlight": "c"}, {"figure": "core-idea"}):
        assert sorted(re.findall(r'pos="[^"]*!"', lg.draw(LSTM, **options).dot)) == sorted(places)


# ---- names and what stands out


def test_names_are_written_out():
    symbols, names = lg.draw(LSTM).dot, lg.draw(LSTM, labels="names").dot
    assert "<I>f</I>" in symbols and "<I>C</I>" in symbols
    assert "<I>forget</I>" in names and "<I>c</I>" in names and "<I>C</I>" not in names


def test_a_highlighted_gate_shows_what_it_reads_and_feeds():
    dot = lg.draw(LSTM, highlight="input").dot
    bright = {key for key, text in nodes(dot).items() if "fillcolor" in text and CLASSIC.faded[0] not in text}
    assert bright - {"frame"} == {"input", "mul.2", "input:x"}  # and old:h, which has no fill
    bold = {pair for pair, text in edges(dot).items() if pen(text) > 1.3}
    assert bold == {("old:h", "input"), ("input:x", "input"), ("input", "mul.2")}
    assert all(CLASSIC.faded_wire in text for pair, text in edges(dot).items() if pair not in bold)
    whole = re.search(r'pos="e,\S+ ([\d.-]+),', edges(dot)["input:x", "input"])[1]
    assert float(whole) == float(re.search(r'pos="([\d.-]+),', nodes(dot)["input:x"])[1])  # from x itself, not a fork


@pytest.mark.parametrize(
    ("name", "kept"),
    [("c", {"old:c", "mul.1", "add.1", "new:c"}), ("h", {"old:h", "new:h"}), ("mul.3", {"mul.3", "output", "tanh.1"})],
)
def test_states_and_ops_can_be_highlighted(name, kept):
    text = nodes(lg.draw(LSTM, highlight=name).dot)
    assert all(CLASSIC.faded[0] not in text[key] and CLASSIC.faded_text not in text[key] for key in kept)
    assert CLASSIC.faded[0] in text["mul.2"]


def test_what_stands_out_is_painted_last():
    dot = lg.draw(LSTM, figure="core-idea").dot
    lines = dot.splitlines()
    faded = [place for place, line in enumerate(lines) if " -> " in line and CLASSIC.faded_wire in line]
    bold = [place for place, line in enumerate(lines) if " -> " in line and "penwidth=3.2" in line]
    assert len(bold) == 3 and min(bold) > max(faded)
    order = list(nodes(dot))
    assert order.index("old:c") > order.index("old:h") and order[0] == "frame"


def test_tooltips_say_equations_and_wires_say_what_they_carry():
    dot = lg.draw(LSTM).dot
    assert r"forget: layer σ [B, H]\nf_t = σ(h_t−1 @ forget.W_h + x_t @ forget.W_x + forget.b)" in nodes(dot)["forget"]
    assert r"mul.1: mul [B, H]\nmul.1 = f_t × C_t−1" in nodes(dot)["mul.1"]
    assert 'tooltip="f_t [B, H] to mul.1"' in edges(dot)["forget", "mul.1"]
    svg = lg.draw(LSTM).svg
    assert "<title>f_t [B, H] to mul.1</title>" in svg and 'id="lstm.forget_to_mul.1"' in svg


def test_an_equation_has_the_brackets_it_needs():
    @lg.cell
    def brackets(x, h):
        inner = lg.linear(h, name="b", bias=False) - lg.linear(x, name="c", bias=False)
        return h / lg.sigmoid(lg.linear(x, name="a", bias=False) - inner) * (1 - h)

    scene = read_scene(brackets)
    texts = {item.text: item.tooltip.partition(" = ")[2] for item in scene.items.values()}
    assert texts["σ"] == "σ(x_t @ a.W_x - (h_t @ b.W_h - x_t @ c.W_x))".replace("-", "−").replace("h_t", "h_t−1")
    assert texts["1−"] == "1 − h_t−1" and texts["×"] == "div.1 × sub.1"


# ---- one kind after the other


@pytest.mark.parametrize("name", ["lstm", "gru", "two_memories", "rnn", "swapped"])
def test_the_core_idea_is_one_way_from_the_old_to_the_next_state(odd, name):
    cell = odd.get(name) or lg.cells.catalogue[name]
    for state in cell.states:
        dot = lg.draw(cell, figure="core-idea", state=state).dot
        bold = {pair for pair, text in edges(dot).items() if "penwidth=3.2" in text}
        assert f"new:{state}" in {target for _, target in bold}
        ends = {source for source, _ in bold} - {target for _, target in bold}
        assert len(ends) == 1 and len(bold) == len({source for source, _ in bold})


def test_a_gate_is_a_layer_and_a_multiplication():
    for gate in ("forget", "input", "output"):
        dot = lg.draw(LSTM, figure="gate", name=gate).dot
        (times,) = [key for key in nodes(dot) if key.startswith("mul.")]
        assert (gate, times) in edges(dot) and (times, "gated") in edges(dot)
        assert {source for source, target in edges(dot) if target == gate} == {"source:old:h", "source:input:x"}
    assert "old:c" in " ".join(nodes(lg.draw(LSTM, figure="gate", name="forget").dot))


def test_a_chain_has_the_cell_between_its_neighbours():
    dot = lg.draw(LSTM, figure="chain").dot
    assert {"previous", "next", "frame", "forget", "add.1"} <= nodes(dot).keys()
    assert {("previous", "old:c"), ("old:c", "mul.1"), ("add.1", "new:c"), ("new:c", "next")} <= edges(dot).keys()
    assert 'class="conveyor"' in edges(dot)["previous", "old:c"] and "<I>t−1</I>" in nodes(dot)["previous.input:x"]
    line = re.findall(r"[\d.-]+,([\d.-]+)", edges(dot)["previous", "old:c"] + edges(dot)["old:c", "mul.1"])
    assert len(set(line)) == 1  # straight from box to box


@pytest.mark.parametrize("steps", [1, 3, 7])
def test_an_unrolled_cell_hands_its_states_on(steps):
    dot = lg.draw(LSTM, figure="unrolled", steps=steps).dot
    boxes = [key for key in nodes(dot) if re.fullmatch(r"step \d+", key)]
    assert boxes == [f"step {at}" for at in range(1, steps + 1)]
    between = re.findall(r'"(step \d+)" -> "(step \d+)"', dot)
    assert len(between) == 2 * (steps - 1) and ("old:c", "step 1") in edges(dot)


def test_an_unrolled_adjoint_begins_at_the_last_step():
    dot = lg.draw(lg.gradient(RNN), figure="unrolled", steps=3).dot
    assert re.findall(r'"(step \d)" -> "(step \d)"', dot) == [("step 3", "step 2"), ("step 2", "step 1")]


def test_the_gradient_is_the_adjoint_cell():
    assert nodes(lg.draw(RNN, figure="gradient").dot) == nodes(lg.draw(lg.gradient(RNN)).dot)


def test_the_overlay_runs_back_along_the_wires_but_not_through_a_stop():
    dot = lg.draw(LSTM, figure="gradient", overlay=True).dot
    back = {pair for pair, text in edges(dot).items() if 'class="gradient"' in text}
    assert {("new:c", "add.1"), ("add.1", "mul.1"), ("mul.1", "old:c"), ("mul.1", "forget")} <= back
    assert {(b, a) for a, b in back} <= set(read_scene(LSTM).wires)
    bold = {pair for pair in back if pen(edges(dot)[pair]) == 3.0}
    assert bold == {("new:c", "add.1"), ("add.1", "mul.1"), ("mul.1", "old:c")}

    @lg.cell
    def stopped(x, h):
        return h * lg.stop_gradient(lg.sigmoid(x)) + x

    drawn = edges(lg.draw(stopped, "gradient", overlay=True).dot)
    back = [pair for pair, text in drawn.items() if 'class="gradient"' in text]
    assert ("add.1", "mul.1") in back and not [pair for pair in back if "stop_gradient.1" in pair]


def test_a_diff_shows_what_goes_and_what_comes():
    dot = lg.draw(LSTM, figure="diff", other=lg.cells.catalogue["coupled_lstm"]).dot
    red = {key for key, text in nodes(dot).items() if CLASSIC.removed in text and "caption" not in key}
    green = {key for key, text in nodes(dot).items() if CLASSIC.added in text and "caption" not in key}
    assert red == {"first.input"} and len(green) == 1 and "second.sub" in next(iter(green))
    gone = {pair for pair, text in edges(dot).items() if CLASSIC.removed in text}
    assert {target for _, target in gone} == {"first.input", "first.mul.2"}


def test_a_cell_does_not_differ_from_itself():
    figure = lg.draw(LSTM, figure="diff", other=LSTM)
    assert CLASSIC.removed not in re.sub(r'"first.caption".*', "", figure.dot)
    assert "they are one cell" in figure.description and "0 wires go, 0 come" in figure.description


def test_a_network_shows_its_cells_and_which_way_they_run():
    dot = lg.draw(tagger).dot
    assert 'class="cell"' in nodes(dot)["below"] and "lstm →" in nodes(dot)["below"] and "gru ←" in nodes(dot)["back"]
    assert {("below", "ahead"), ("below", "back"), ("ahead", "head"), ("back", "head")} <= edges(dot).keys()
    assert "[T, B, 5]" in edges(dot)["below", "ahead"] and ">h, c<" in edges(dot)["below", "below"]
    assert "embed" in nodes(dot)["gather.1"] and "rankdir=BT" in dot
    assert "rankdir=LR" in lg.draw(tagger, direction="right").dot
    assert CLASSIC.faded[0] in nodes(lg.draw(tagger, highlight="ahead").dot)["back"]


def test_a_plan_shows_stages_levels_and_what_they_cost():
    program = lg.compile(LSTM, input_size=3, hidden_size=5)
    figure = lg.draw(program)
    clusters = re.findall(r">(\d+\. [^<]+)<", figure.dot)
    assert clusters[0] == "1. once" and "lstm, step by step" in clusters[1]
    assert "d_lstm, from the last step to the first (backward)" in " ".join(clusters)
    forward = 4 * 5 * (3 + 5)
    assert (
        f"{forward} multiply-adds + {13 * 5} values a row" in figure.dot
    )  # 3 sigmoids, 2 tanh, 3 products, 5 sums and "8 products with I×H, H×H" in figure.dot
    assert lg.draw(program, figure="cell").dot == lg.draw(LSTM).dot


def test_a_film_is_white_where_nothing_passes_and_full_where_everything_does():
    dot = lg.draw(recorded([[0.0, 1.0], [0.0, 0.0], [1.0, 0.5], [1.0, -1.0]])).dot
    rows = re.findall(r'"forget \d" \[.*fillcolor="([^"]*)"\]', dot)
    full, half, none = CLASSIC.everything.upper(), "#96D0AF", "#FFFFFF"
    assert rows[0] == f"{none};0.500000:{full}"
    assert rows[1].split(":") == [f"{full};0.250000", f"{none};0.250000", f"{half};0.250000", CLASSIC.negative.upper()]
    assert DARK.everything.upper() in lg.draw(recorded([[1.0]]), theme="dark").dot


def test_a_film_of_many_steps_and_units_stays_readable():
    values = np.linspace(0, 1, 1000 * 100).reshape(1000, 100)
    dot = lg.draw(recorded(values), units=10).dot
    assert len(re.findall(r'class="unit"', dot)) == 10 and "forget\\n10 of 100" in dot
    assert len(dot) < 60_000
    assert len(re.findall(r'class="unit"', lg.draw(recorded(np.zeros((0, 3)))).dot)) == 3


def test_a_film_numbers_its_units_and_shows_its_colours():
    dot = lg.draw(recorded(np.linspace(0, 1, 700).reshape(7, 100)), units=10).dot
    assert 'label="unit 0"' in dot and 'label="unit 90"' in dot and 'tooltip="forget, unit 90"' in dot
    assert 'label="0, nothing passes"' in dot and 'label="1, everything passes"' in dot
    assert 'label="−1"' in lg.draw(recorded([[-0.5]])).dot


def test_a_print_of_a_film_hatches_what_is_negative():
    rows = [
        re.findall(r'"forget 0" \[.*fillcolor="([^"]*)"\]', lg.draw(recorded([[value]] * 2), theme="print").dot)[0]
        for value in (0.5, -0.5)
    ]
    assert ";" not in rows[0] and rows[1].split(":")[0] == f"{rows[0]};0.250000" and len(rows[1].split(":")) == 4


@pytest.mark.parametrize(("steps", "numbered"), [(0, []), (1, [0]), (7, [0, 2, 4, 6]), (40, [0, 10, 20, 30])])
def test_a_film_numbers_round_steps(steps, numbered):
    dot = lg.draw(recorded(np.zeros((steps, 2)))).dot
    assert [int(step) for step in re.findall(r'^ +"step (\d+)" ', dot, flags=re.M)] == numbered


def test_two_cells_side_by_side_have_their_upper_sides_level():
    dot = lg.draw(lg.cells.gru, figure="diff", other=lg.cells.rnn).dot
    frames = re.findall(r'"\w+\.frame" .*? pos="[-\d.]+,([-\d.]+)!" width=[\d.]+ height=([\d.]+)', dot)
    tops = [float(y) + 72 * float(height) / 2 for y, height in frames]
    assert len(tops) == 2 and abs(tops[0] - tops[1]) < 0.1 and frames[0][1] != frames[1][1]


def test_a_film_shows_the_row_and_steps_asked_for():
    values = {"gate": np.stack([np.zeros((6, 2)), np.ones((6, 2))], axis=1)}

    def units(**options):
        return " ".join(re.findall(r'class="unit".*', lg.draw(values, **options).dot))

    assert CLASSIC.everything.upper() not in units(row=0)
    assert CLASSIC.everything.upper() in units(row=1, steps=3)
    assert "over 3 steps of row 1" in lg.draw(values, row=1, steps=3).description


def test_a_large_scene_is_marked_as_a_small_one():
    scene = read_scene(LSTM)
    dot = write_layered(scene, Look(DARK, {"add.1": "lit"}, "faded"))
    assert DARK.faded[0] in nodes(dot)["mul.1"] and DARK.items["op"][0] in nodes(dot)["add.1"]
    assert edges(dot).keys() == set(scene.wires)


def test_equations_stand_below_the_figure():
    plain, figure = lg.draw(LSTM), lg.draw(LSTM, equations=True)
    kept = {key: text for key, text in nodes(figure.dot).items() if not key.startswith("equation")}
    assert kept == nodes(plain.dot) and edges(figure.dot) == edges(plain.dot)
    for line in str(lg.equations(LSTM)).splitlines():
        assert line.partition(" = ")[0] in figure.description
    heights = [float(re.search(r'height="([\d.]+)pt"', each.svg)[1]) for each in (plain, figure)]
    assert heights[1] > heights[0] + 60


def test_a_primitive_op_says_its_equation():
    found = nodes(lg.draw(LSTM, "graph").dot)
    (forget,) = [text for text in found.values() if "forget" in text and 'class="op"' in text]
    assert re.search(r'tooltip="(sigmoid\.\d+): sigmoid forget \[B×H\]\\n\1 = sigmoid\(add\.\d+\)"', forget)
    assert 'tooltip="input.0: input x [B×I]"' in " ".join(found.values())


def test_a_bare_graph_is_drawn_as_its_cell_or_network():
    assert lg.draw(LSTM.graph).dot == lg.draw(LSTM, "graph").dot and lg.draw(tagger.graph).dot == lg.draw(tagger).dot
    for kind in ("cell", "chain", "gradient"):
        assert lg.draw(LSTM.graph, kind).dot == lg.draw(LSTM, kind).dot


def test_every_id_is_one_word_and_there_once():
    recording = recorded(np.linspace(0, 1, 12).reshape(4, 3))
    figures = [
        *(lg.draw(LSTM, kind) for kind in (*INSIDE, "gate")), lg.draw(LSTM, "gradient", overlay=True),
        lg.draw(LSTM, "diff", other=GRU), lg.draw(tagger), lg.draw(recording), lg.draw(None, "legend"),
        lg.draw(lg.compile(LSTM, input_size=3, hidden_size=5)), lg.draw(LSTM, equations=True),
    ]  # fmt: skip
    for figure in figures:
        named = re.findall(r"\[.*?\bid=\"([^\"]*)\"", figure.dot)
        assert len(named) == len(set(named)) > 3 and not [word for word in named if " " in word], figure.title
        wires = [line for line in figure.dot.splitlines() if " -> " in line]
        assert all(" id=" in line.replace("[id=", "[ id=") and "tooltip=" in line for line in wires), figure.title


@pytest.mark.parametrize("kind", ["network", "plan", "graph"])
def test_boxes_that_graphviz_places_have_room_for_their_texts(kind):
    thing = lg.compile(GRU, input_size=3, hidden_size=5) if kind == "plan" else tagger
    for key, text in nodes(lg.draw(thing, kind).dot).items():
        width = 72 * float(re.search(r" width=([\d.]+)", text)[1])
        label = re.sub(r"<BR/>", r"\\n", re.search(r' label=(?:"([^"]*)"|<(.*?)>(?: |$))', text)[0].partition("=")[2])
        size = min(float(size) for size in re.findall(r'(?:fontsize=|POINT-SIZE=")([\d.]+)', text))
        lines = [re.sub(r"<[^>]*>", "", line).strip('"<>') for line in label.split("\\n")]
        assert "fixedsize=true" in text and width >= max(text_width(line, size) for line in lines) + 6, key


def test_a_dropout_is_one_word_in_a_network():
    @lg.network
    def dropped(x):
        return lg.linear(lg.dropout(lg.recur(GRU, x, size=3, name="memory"), 0.1, name="drop"), size=2, name="head")

    dot = lg.draw(dropped).dot
    assert 'label="dropout"' in nodes(dot)["mul.1"] and "input:drop.keep" not in dot
    assert {("memory", "mul.1"), ("mul.1", "head")} <= edges(dot).keys()


def test_a_layer_that_differs_keeps_its_wires():
    @lg.cell
    def other(x, h):
        return lg.sigmoid_layer(h, x, name="hidden")

    figure = lg.draw(RNN, "diff", other=other)
    changed = {key for key, text in nodes(figure.dot).items() if CLASSIC.removed in text or CLASSIC.added in text}
    assert {"first.hidden", "second.hidden"} == {key for key in changed if "caption" not in key}
    assert "0 wires go, 0 come" in figure.description


def test_the_terminals_of_a_state_that_goes_are_coloured():
    dot = lg.draw(LSTM, "diff", other=GRU).dot
    assert CLASSIC.removed in nodes(dot)["first.old:c"] and CLASSIC.removed not in nodes(dot)["first.old:h"]


def test_inputs_of_neighbours_do_not_meet():
    @lg.cell
    def wide(measured_temperature, seconds_since_then, /, h):
        return lg.tanh_layer(h, measured_temperature, seconds_since_then, name="hidden")

    dot = lg.draw(wide, "chain", labels="names").dot
    spans = sorted(
        (float(x) - 36 * float(width), float(x) + 36 * float(width))
        for x, width in re.findall(r'input:\w+" \[.*? pos="([-\d.]+),[-\d.]+!" width=([\d.]+)', dot)
    )
    assert len(spans) == 6 and all(left[1] < right[0] for left, right in pairwise(spans))


# ---- formats


def test_an_svg_is_scaled_by_its_size_alone():
    plain, large = lg.draw(LSTM).svg, lg.draw(LSTM, scale=2.5).svg
    sizes = [float(re.search(r'<svg width="([\d.]+)pt"', svg)[1]) for svg in (plain, large)]
    assert sizes[1] == 2.5 * sizes[0] and plain.partition("viewBox")[2] == large.partition("viewBox")[2]


def test_a_png_is_scaled_by_its_dots():
    def width(figure):
        return int.from_bytes(figure.png[16:20], "big")

    assert abs(width(lg.draw(LSTM, scale=2)) - 2 * width(lg.draw(LSTM))) <= 2


def test_the_engine_asked_for_draws(monkeypatch):
    asked = []
    monkeypatch.setattr(engine, "_call", lambda program, *rest: asked.append(program) or b"<svg></svg>")
    monkeypatch.setattr(engine.shutil, "which", lambda name: f"/somewhere/{name}")
    assert lg.draw(LSTM, engine="dot").svg.startswith("<svg")
    assert lg.draw(LSTM, engine="dot").pdf == b"<svg></svg>" and asked == ["/somewhere/dot"] * 2


def test_an_engine_that_is_not_there_or_cannot_is_named(monkeypatch):
    monkeypatch.setattr(engine.shutil, "which", lambda name: None)
    with pytest.raises(lg.DrawingError, match="engine dot is not installed; install Graphviz"):
        _ = lg.draw(LSTM, engine="dot").svg
    with pytest.raises(lg.DrawingError, match="graphviz-pure draws no pdf, expected dot or pygraphviz"):
        _ = lg.draw(LSTM, engine="graphviz-pure").pdf


# ---- errors

RECORDED = recorded([[0.5]])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: lg.draw(LSTM, figure="core-idea", state="cc"), "no state 'cc', expected one of h, c (nearest: c)"),
        (lambda: lg.draw(LSTM, figure="gate", name="forgot"), "nearest: forget"),
        (lambda: lg.draw(LSTM, figure="gate", name="candidate"), "expected one of forget, input, output"),
        (lambda: lg.draw(RNN, figure="gate"), "rnn has no gate"),
        (lambda: lg.draw(LSTM, figure="diff"), "pass other=cell"),
        (lambda: lg.draw(LSTM, figure="diff", other=3), "got int, expected a cell"),
        (lambda: lg.draw(LSTM, figure="network"), "take figure='cell'"),
        (lambda: lg.draw(LSTM, figure="plan"), "make one with lg.compile"),
        (lambda: lg.draw(LSTM, figure="film"), "take what program.record returns"),
        (lambda: lg.draw(tagger, figure="cell"), "take figure='network'"),
        (lambda: lg.draw(tagger, direction="upp"), "nearest: up"),
        (lambda: lg.draw(LSTM, figure="unrolled", steps=0), "whole number from 1 to 100"),
        (lambda: lg.draw(LSTM, figure="unrolled", steps=True), "whole number from 1 to 100"),
        (lambda: lg.draw(LSTM, figure="graph", highlight="forgett"), "nearest: forget"),
        (lambda: lg.draw(LSTM, figure="gradient", overlay=True, highlight="c"), "expected one of them"),
        (lambda: lg.draw({}), "expected a dictionary of arrays [T, B, n]"),
        (lambda: lg.draw({"forget": np.zeros((3, 2))}), "forget: got float64 of shape [3, 2]"),
        (lambda: lg.draw(RECORDED, row=2), "whole number from 0 to 1"),
        (lambda: lg.draw(RECORDED, units=0), "got units 0"),
    ],
)  # fmt: skip
def test_errors_say_what_is_wanted(call, message):
    with pytest.raises(lg.DrawingError, match=re.escape(message)):
        call()
