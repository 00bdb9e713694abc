"""Our own SVG writer: what it draws where no engine is there, and the DOT text that it reads."""

import re
import warnings
from itertools import combinations
from xml.etree import ElementTree

import numpy as np
import pytest

import lstmgraph as lg
from lstmgraph.visual import engine
from lstmgraph.visual.dot_text import read_dot
from lstmgraph.visual.drawing import Figure
from lstmgraph.visual.labels import Type, lay_out
from lstmgraph.visual.placed import with_places
from lstmgraph.visual.ranks import rank
from lstmgraph.visual.writer import extent_of, write_svg

LSTM, GRU = lg.cells.lstm, lg.cells.gru
SVG = "{http://www.w3.org/2000/svg}"
NEAR = 5.0  # points between our places and those of an engine: the newer ones pull arrowheads back
PINNED = {
    "cell": lambda **options: lg.draw(LSTM, **options),
    "names": lambda **options: lg.draw(GRU, labels="names", theme="dark", **options),
    "core-idea": lambda **options: lg.draw(LSTM, "core-idea", **options),
    "gate": lambda **options: lg.draw(LSTM, "gate", **options),
    "chain": lambda **options: lg.draw(GRU, "chain", **options),
    "unrolled": lambda **options: lg.draw(LSTM, "unrolled", **options),
    "overlay": lambda **options: lg.draw(LSTM, "gradient", overlay=True, **options),
    "diff": lambda **options: lg.draw(LSTM, "diff", other=GRU, **options),
    "legend": lambda **options: lg.draw(None, "legend", **options),
    "film": lambda **options: lg.draw({"forget": np.linspace(-1, 1, 24).reshape(4, 1, 6)}, **options),
    "equations": lambda **options: lg.draw(LSTM, equations="beside", **options),
}


@pytest.fixture
def bare(monkeypatch):
    """Hide every engine."""
    monkeypatch.setattr(engine, "bundled", lambda: None)
    monkeypatch.setattr(engine.shutil, "which", lambda name: None)
    monkeypatch.setitem(__import__("sys").modules, "pygraphviz", None)
    engine._say_once.cache_clear()
    yield
    engine._say_once.cache_clear()


def marks(svg):
    """Return id -> title and how many shapes, of each node and wire that can be seen and has an id of ours."""
    found = {}
    for group in ElementTree.fromstring(svg.encode()).iter(f"{SVG}g"):
        if re.match("(node|edge) ", group.get("class", "")):
            shapes = [
                part for part in group.iter() if part.tag.removeprefix(SVG) in ("path", "polygon", "ellipse", "rect")
            ]
            found[group.get("id")] = group.find(f"{SVG}title").text, len(shapes)
    return {key: value for key, value in found.items() if not re.fullmatch(r"(node|edge)\d+", key)}


@pytest.mark.parametrize("name", PINNED)
def test_what_the_writer_draws_is_what_an_engine_draws(name):
    figure = PINNED[name](engine="graphviz-pure")
    ours, theirs = marks(write_svg(figure.dot)), marks(figure.svg)
    seen = {key for key, (_, shapes) in theirs.items() if shapes or "old" in key or "new" in key}
    assert seen <= ours.keys() and len(seen) >= 3
    for key in seen:
        assert ours[key][0] == theirs[key][0], key
        assert "_to_" not in key or ours[key][1] == theirs[key][1], key  # the line, and an arrowhead or none
    sizes = [
        [float(number) for number in re.search(r'viewBox="[\d.]+ [\d.]+ ([\d.]+) ([\d.]+)"', svg).groups()]
        for svg in (write_svg(figure.dot), figure.svg)
    ]
    assert np.abs(np.subtract(*sizes)).max() <= 2 * NEAR


def test_every_text_of_the_figure_is_written():
    texts = re.sub(
        r"<[^>]*>", " ", write_svg(lg.draw(LSTM).dot).partition("</desc>")[2] or write_svg(lg.draw(LSTM).dot)
    )
    for word in ("σ", "tanh", "×", "+", "C", "h", "t−1", "f", "i", "o"):
        assert word in texts.split(), word


def test_without_an_engine_a_figure_is_drawn_and_one_message_says_what_to_install(bare, tmp_path):
    with pytest.warns(UserWarning, match="pip install graphviz-pure"):
        path = lg.draw(LSTM).save(tmp_path / "lstm.svg")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        again = lg.draw(GRU, "chain")
        assert "<svg" in again.svg and "image/svg+xml" in again._repr_mimebundle_()
    tree = ElementTree.parse(path).getroot()
    assert tree.find(f"{SVG}title").text == "lstm" and len(tree.find(f"{SVG}desc").text) > 40
    assert lg.draw(LSTM).save(tmp_path / "lstm.dot").read_text(encoding="utf-8") == lg.draw(LSTM).dot


def test_what_needs_an_engine_says_so(bare):
    with pytest.raises(lg.DrawingError, match="no engine found that draws png; `pip install graphviz-pure`"):
        _ = lg.draw(LSTM).png
    with pytest.raises(lg.DrawingError, match="engine graphviz-pure is not installed"):
        _ = lg.draw(LSTM, engine="graphviz-pure").svg
    with pytest.raises(lg.DrawingError, match="cannot read this DOT text"):
        _ = Figure("digraph { a -> ").svg


# ---- what Graphviz would place


@lg.network
def tagger(tokens):
    words = lg.embedding(tokens, 20, 4, name="embed")
    ahead = lg.recur(LSTM, words, size=5, name="ahead")
    back = lg.recur(GRU, words, size=3, name="back", reverse=True)
    return lg.linear(ahead=ahead, back=back, words=words, size=7, name="head")


LAYERED = {
    "graph": lambda direction: lg.draw(GRU, "graph", direction=direction),
    "network": lambda direction: lg.draw(tagger, direction=direction),
    "plan": lambda direction: lg.draw(lg.compile(GRU, input_size=3, hidden_size=5), direction=direction),
    "adjoint": lambda direction: lg.draw(lg.gradient(LSTM)),
}


@pytest.mark.parametrize("direction", ["up", "right"])
@pytest.mark.parametrize("name", LAYERED)
def test_what_has_no_places_gets_some(name, direction):
    figure = LAYERED[name](direction)
    text = with_places(read_dot(figure.dot))
    boxes = []
    for node in text.nodes.values():
        x, y = (float(part) for part in node.attributes["pos"].strip("!").split(","))
        boxes.append((x, y, 36 * float(node.attributes["width"]), 36 * float(node.attributes["height"])))
    for one, other in combinations(boxes, 2):
        apart = abs(one[0] - other[0]) >= one[2] + other[2] or abs(one[1] - other[1]) >= one[3] + other[3]
        assert apart, (one, other)
    assert all(len(re.findall(r"[-\d.]+,[-\d.]+", edge.attributes["pos"])) % 3 == 2 for edge in text.edges)
    ours, theirs = marks(write_svg(figure.dot)), marks(figure.svg)
    assert {key for key, (_, shapes) in theirs.items() if shapes} <= ours.keys()


def test_ranks_follow_the_wires_and_a_circle_is_broken():
    sizes = dict.fromkeys("abcdef", (20.0, 10.0))
    found = rank(sizes, [("a", "b"), ("b", "c"), ("a", "c"), ("c", "a"), ("d", "c"), ("e", "e")])
    along = {key: place[1] for key, place in found.places.items()}
    assert along["a"] < along["b"] == along["d"] < along["c"]  # d stands just before what reads it
    assert len(found.ways["a", "c"]) == 2 and found.ways["a", "b"] == ()  # past one rank: straight along it
    assert found.places.keys() == sizes.keys() and rank({}, []).places == {}


# ---- DOT text


def test_dot_text_is_read_back():
    text = read_dot(
        'digraph "a b" { graph [pad=0.1 bgcolor="#FFFFFF"]; node [shape=box, color=red]; edge [color=blue];\n'
        'x [label="say \\"yes\\"\\nno"]; subgraph cluster_1 { graph [label="inner"]; y; z [shape=circle] }\n'
        '"x" -> y -> z [style=dashed]; y:e -> x:w; rankdir=LR; q [label=<<I>a&lt;b</I>>] }'
    )
    assert text.name == "a b" and text.graph == {"pad": "0.1", "bgcolor": "#FFFFFF", "rankdir": "LR"}
    assert text.nodes["x"].attributes == {"shape": "box", "color": "red", "label": 'say "yes"\\nno'}
    assert (text.nodes["z"].cluster, text.nodes["z"].attributes["shape"]) == ("cluster_1", "circle")
    assert (
        text.clusters == {"cluster_1": {"label": "inner"}} and text.nodes["q"].attributes["label"] == "<<I>a&lt;b</I>>"
    )
    assert [(edge.source, edge.target) for edge in text.edges] == [("x", "y"), ("y", "z"), ("y", "x")]
    assert text.edges[0].attributes == {"color": "blue", "style": "dashed"} and text.edges[2].attributes == {
        "color": "blue"
    }


@pytest.mark.parametrize("dot", ["graph { a }", "digraph { a [label=", "digraph { a [label] }", "digraph { a", ""])
def test_what_is_no_dot_text_is_refused(dot):
    with pytest.raises((ValueError, IndexError)):
        read_dot(dot)
    with pytest.raises(lg.DrawingError, match="own writer"):
        write_svg(dot)


def test_labels_are_laid_out():
    plain = lay_out(r"one\ntwo words", Type(10, "#000000"))
    assert [run.text for run in plain.runs] == ["one", "two words"] and plain.height == 24
    assert plain.runs[0].x == pytest.approx(plain.runs[1].x)  # both in the middle
    table = lay_out(
        '<<TABLE BORDER="0" CELLPADDING="0" CELLSPACING="0"><TR><TD ROWSPAN="2">h</TD><TD HEIGHT="5"></TD></TR>'
        '<TR><TD HEIGHT="20" ALIGN="LEFT" VALIGN="BOTTOM">'
        '<FONT POINT-SIZE="6" COLOR="#FF0000"><I>t</I></FONT></TD></TR>'
        "</TABLE>>",
        Type(10, "#000000"),
    )
    letter, time = table.runs
    assert (time.type.size, time.type.italic, time.type.colour) == (6, True, "#FF0000")
    lower = table.height - 1.2 * 6 + 0.92 * 6  # the baseline of a line at the very bottom
    assert time.y == pytest.approx(lower) and letter.y < time.y
    assert time.x > letter.x and table.width == pytest.approx(letter.width + time.width)


def test_the_extent_is_that_of_all_nodes_and_wires():
    nodes = 'a [pos="0,0!" width=1 height=0.5]; b [pos="200,50!" width=1 height=1]'
    assert extent_of(f'digraph {{ {nodes}; a -> b [pos="0,0 0,90 0,90 9,9"] }}') == (-36, 236, -18, 90)
