"""One DOT text is drawn alike by every engine that is there: each node stands where it stands elsewhere."""

import re
import shutil

import pytest

import lstmgraph as lg

NEAR = 5.0  # points


@lg.network
def tagger(tokens):
    words = lg.dropout(lg.embedding(tokens, 20, 4, name="word_embedding"), 0.1, name="words")
    ahead = lg.recur(lg.cells.lstm, words, size=5, name="ahead")
    back = lg.recur(lg.cells.gru, words, size=3, name="backwards_memory", reverse=True)
    return lg.linear(ahead=ahead, back=back, size=7, name="head")


FIGURES = {
    "cell": lambda **options: lg.draw(lg.cells.lstm, **options),
    "chain": lambda **options: lg.draw(lg.cells.gru, figure="chain", **options),
    "legend": lambda **options: lg.draw(None, figure="legend", **options),
    "graph": lambda **options: lg.draw(lg.cells.lstm, figure="graph", **options),
    "large": lambda **options: lg.draw(lg.cells.catalogue["hyper_lstm"], **options),
    "network": lambda **options: lg.draw(tagger, **options),
    "plan": lambda **options: lg.draw(lg.compile(lg.cells.gru, input_size=3, hidden_size=5), **options),
    "equations": lambda **options: lg.draw(lg.cells.lstm, equations="beside", **options),
    "placed by Graphviz": lambda **options: lg.draw(lg.gradient(lg.cells.lstm), **options),
}


def places(svg):
    """Return id -> the middle of the node's shape, its texts apart."""
    found = {}
    for name, body in re.findall(r'<g id="([^"]*)" class="node[^"]*">(.*?)(?=<g id="[^"]*" class=|\Z)', svg, re.S):
        shape = re.search(r'<ellipse[^>]* cx="([-\d.]+)" cy="([-\d.]+)"', body)
        corners = re.findall(r"(-?[\d.]+),(-?[\d.]+)", " ".join(re.findall(r' (?:points|d)="([^"]*)"', body)))
        if shape:
            found[name] = float(shape[1]), float(shape[2])
        elif corners:
            xs, ys = ([float(pair[at]) for pair in corners] for at in (0, 1))
            found[name] = (min(xs) + max(xs)) / 2, (min(ys) + max(ys)) / 2
    return found


@pytest.mark.parametrize("figure", FIGURES)
@pytest.mark.parametrize("engine", ["dot", "pygraphviz"])
def test_every_engine_places_nodes_alike(engine, figure):
    if engine == "dot" and shutil.which("dot") is None:
        pytest.skip("Graphviz's own program `dot` is not installed")
    if engine == "pygraphviz":
        pytest.importorskip("pygraphviz")
    drawn = [FIGURES[figure](engine=name).svg for name in ("graphviz-pure", engine)]
    here, there = map(places, drawn)
    assert here.keys() == there.keys() and len(here) >= 4
    first = next(iter(here))  # where a picture as a whole begins is the engine's own
    shift = [a - b for a, b in zip(here[first], there[first], strict=True)]
    for name, (x, y) in here.items():
        assert abs(x - there[name][0] - shift[0]) <= NEAR and abs(y - there[name][1] - shift[1]) <= NEAR, name


def test_pygraphviz_draws_every_format(tmp_path):
    pytest.importorskip("pygraphviz")
    figure = lg.draw(lg.cells.gru, engine="pygraphviz", scale=2)
    for suffix, start in ((".svg", b"<?xml"), (".png", b"\x89PNG"), (".pdf", b"%PDF-")):
        assert figure.save(tmp_path / f"gru{suffix}").read_bytes().startswith(start)
