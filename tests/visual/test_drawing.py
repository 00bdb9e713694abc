"""What a user holds: DOT text with its marks, pictures, files, and errors that say what to do."""

import os
import re
import stat
import subprocess
import sys
from pathlib import Path
from urllib.parse import unquote, urlparse

import pytest

import lstmgraph as lg
from lstmgraph.visual import engine
from lstmgraph.visual.arranged import fits
from lstmgraph.visual.dot import write_dot
from lstmgraph.visual.drawing import Figure, figure_kinds
from lstmgraph.visual.layout import place
from lstmgraph.visual.records import Picture
from lstmgraph.visual.routing import route
from lstmgraph.visual.scene import read_scene

LSTM = lg.cells.catalogue["lstm"]


def quick_dot(cell):
    """Return the DOT text of a cell without trying other rows."""
    scene = read_scene(cell)
    placement = place(scene)
    return write_dot(Picture(scene, placement, route(scene, placement)))


def nodes(dot):
    return dict(re.findall(r'^  ("[^"]+") \[(.*)\];$', dot, flags=re.M))


def edges(dot):
    return {(a, b): rest for a, b, rest in re.findall(r'^  "([^"]+)" -> "([^"]+)" \[(.*)\];$', dot, flags=re.M)}


def words(text):
    return re.search(r'class="?([\w ]+)', text)[1].split()


def test_conveyors_ops_and_layers_are_marked():
    dot = lg.draw(LSTM).dot
    by_class = {}
    for key, text in nodes(dot).items():
        for word in words(text):
            by_class.setdefault(word, []).append(key)
    assert len(by_class["layer"]) == 4 and len(by_class["op"]) == 5 <= 15
    assert {'"old:c"', '"new:c"'} < set(by_class["conveyor"]) and len(by_class["conveyor"]) == 4
    assert sum("conveyor" in words(text) for text in edges(dot).values()) == 3


def test_corners_and_junctions_are_no_nodes_and_every_wire_is_an_edge(known):
    scene, dot = read_scene(known), quick_dot(known)
    others = {key for key in nodes(dot) if "frame" in key or key.startswith('"name of ')}
    assert {key.strip('"') for key in nodes(dot).keys() - others} == set(scene.items)
    assert set(edges(dot)) == set(scene.wires)


def test_a_bundle_is_drawn_once():
    drawn = edges(lg.draw(LSTM).dot)
    from_x = [text for (source, _), text in drawn.items() if source == "input:x"]
    assert len(from_x) == 4 and sum("style=invis" in text for text in from_x) == 3
    assert all("style=invis" not in text for (source, _), text in drawn.items() if source == "old:h")


def test_curves_are_whole_cubics(known):
    for text in edges(quick_dot(known)).values():
        points = re.search(r'pos="(?:e,\S+ )?([^"]*)"', text)[1].split()
        assert len(points) % 3 == 1 and len(points) >= 4


@pytest.mark.parametrize("figure", ["cell", "graph"])
def test_the_same_text_in_every_process(figure):
    code = (
        "import lstmgraph as lg\n"
        "for name in ('lstm', 'highway'):\n"
        f"    print(lg.draw(lg.cells.catalogue[name], figure={figure!r}).dot)"
    )
    texts = set()
    for seed in ("0", "1", "77"):
        environment = os.environ | {"PYTHONHASHSEED": seed}
        run = subprocess.run([sys.executable, "-c", code], capture_output=True, env=environment, check=True)
        texts.add(run.stdout)
    assert len(texts) == 1
    here = lg.draw(LSTM, figure=figure).dot
    assert here == lg.draw(LSTM, figure=figure).dot
    assert here.encode() in next(iter(texts)).replace(os.linesep.encode(), b"\n")


def test_pictures_have_ids_tooltips_and_shapes():
    svg = lg.draw(LSTM).svg
    assert svg.startswith(("<?xml", "<svg")) and 'id="lstm.forget"' in svg
    assert 'class="node conveyor op"' in svg and 'class="edge conveyor"' in svg
    assert "forget.W_h" in svg and "[B, H]" in svg
    assert lg.draw(LSTM).png.startswith(b"\x89PNG")


def test_the_engine_draws_the_wires_where_we_put_them():
    figure = lg.draw(LSTM)
    ours = re.search(r'pos="e,\S+ ([^"]*)"', edges(figure.dot)["old:h", "output"])[1].split()
    drawn = re.search(r'id="lstm.old:h_to_output".*?<path[^>]* d="([^"]*)"', figure.svg, flags=re.S)[1]
    assert len(re.findall(r"-?[\d.]+,-?[\d.]+", drawn)) == len(ours) > 4


def test_every_primitive_op_is_in_the_graph_figure():
    dot = lg.draw(LSTM, figure="graph").dot
    assert len(edges(dot)) == LSTM.graph.number_of_edges()
    assert dot.count('class="parameter"') == 12 and ">B×H</TD>" in dot
    assert "<svg" in lg.draw(LSTM, figure="graph", direction="right").svg


@pytest.mark.parametrize("name", ["layer_norm_lstm", "lstm"])
def test_large_and_tangled_adjoints_are_placed_by_the_engine(name):
    cell = lg.gradient(lg.cells.catalogue[name])
    assert not fits(read_scene(cell)) and fits(read_scene(lg.cells.catalogue[name]))
    figure = lg.draw(cell)
    assert "pos=" not in figure.dot and 'class="conveyor"' in figure.dot.replace("class=conveyor", 'class="conveyor"')
    assert "<svg" in figure.svg


@pytest.mark.parametrize("name", ["lstm", "gru", "peephole_lstm", "rnn"])
def test_adjoints_are_cells_to_draw(name):
    adjoint = lg.gradient(lg.cells.catalogue[name])
    assert {f'"old:d_{state}"' for state in lg.cells.catalogue[name].states} <= nodes(lg.draw(adjoint).dot).keys()


def test_a_name_may_hold_any_sign():
    from lstmgraph.visual.dot import name_label, quote
    from lstmgraph.visual.records import Name

    assert quote('a"b\\c') == '"a\\"b\\\\c"'
    assert "&lt;&amp;" in name_label(Name("<&", "t"), 12)


@pytest.mark.parametrize("suffix", [".svg", ".png", ".dot", ".gv"])
def test_a_figure_is_saved_by_its_suffix(tmp_path, suffix):
    figure = lg.draw(LSTM)
    path = figure.save(tmp_path / f"cell{suffix}")
    expected = {".svg": figure.svg.encode(), ".png": figure.png}.get(suffix, figure.dot.encode())
    assert path.read_bytes() == expected
    assert list(tmp_path.iterdir()) == [path]


def test_what_cannot_be_written_leaves_nothing(tmp_path):
    figure = Figure("digraph { a }")
    with pytest.raises(lg.DrawingError, match="cannot be written"):
        figure.save(tmp_path / "nowhere" / "cell.dot")
    (tmp_path / "cell.dot").mkdir()
    with pytest.raises(lg.DrawingError, match="cannot be written"):
        figure.save(tmp_path / "cell.dot")
    assert [path.name for path in tmp_path.iterdir()] == ["cell.dot"]


def test_a_failed_save_keeps_the_old_file(tmp_path, monkeypatch):
    path = Figure("digraph { old }").save(tmp_path / "cell.dot")

    def full(*arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(lg.DrawingError, match="No space left"):
        Figure("digraph { new }").save(path)
    assert path.read_text() == "digraph { old }" and list(tmp_path.iterdir()) == [path]


@pytest.mark.skipif(os.name == "nt", reason="modes of POSIX")
def test_a_saved_file_has_the_usual_mode(tmp_path):
    plain = tmp_path / "plain"
    plain.write_text("")
    saved = Figure("digraph { a }").save(tmp_path / "cell.dot")
    assert stat.S_IMODE(saved.stat().st_mode) == stat.S_IMODE(plain.stat().st_mode)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: lg.draw(LSTM, figure="cel"), "nearest: cell"),
        (lambda: lg.draw(LSTM, direction="up"), "unknown option 'direction'"),
        (lambda: lg.draw(LSTM, theem="dark"), "nearest: theme"),
        (lambda: lg.draw(LSTM, theme="drak"), "nearest: dark"),
        (lambda: lg.draw(LSTM, labels="name"), "nearest: names"),
        (lambda: lg.draw(LSTM, highlight="forgt"), "nearest: forget"),
        (lambda: lg.draw(LSTM, highlight=["c", "hh"]), "lstm has nothing named 'hh'"),
        (lambda: lg.draw(LSTM, engine="doot"), "nearest: dot"),
        (lambda: lg.draw(LSTM, engine=["dot"]), "unknown engine ['dot']"),
        (lambda: lg.draw(LSTM, figure=["cell"]), "unknown figure ['cell']"),
        (lambda: lg.draw(LSTM, theme=["dark"]), "got theme ['dark'], expected a word"),
        (lambda: lg.draw(LSTM, theme=None), "unknown theme None"),
        (lambda: lg.draw(LSTM, highlight=3), "got highlight 3, expected the name"),
        (lambda: lg.draw(LSTM, "graph", highlight=["h", 3]), "got highlight ['h', 3]"),
        (lambda: lg.draw(LSTM, scale=0), "expected a number above 0"),
        (lambda: lg.draw(LSTM, scale="big"), "got scale 'big'"),
        (lambda: lg.draw(LSTM, figure="graph", direction="sideways"), "expected up, down, right or left"),
        (lambda: lg.draw(3), "got int, expected a cell"),
        (lambda: lg.draw(lg, figure="graph"), "expected a cell"),
        (lambda: lg.draw(LSTM).save("cell.svgg"), "nearest: .svg"),
        (lambda: lg.draw(LSTM).save("cell"), "ending in nothing, expected one of .svg"),
        (lambda: lg.draw(LSTM).save("cell\0.svg"), "cannot be written: embedded null byte"),
    ],
)
def test_errors_say_what_is_wanted(call, message):
    with pytest.raises(lg.DrawingError, match=re.escape(message)):
        call()


def test_no_system_program_is_needed(tmp_path):
    code = "import lstmgraph as lg; lg.draw(lg.cells.catalogue['rnn']).save('cell.svg')"
    run = subprocess.run([sys.executable, "-c", code], env=os.environ | {"PATH": ""}, cwd=tmp_path, check=True)
    assert run.returncode == 0 and "<svg" in (tmp_path / "cell.svg").read_text(encoding="utf-8")


def test_without_an_engine_the_error_names_one(monkeypatch):
    monkeypatch.setattr(engine, "bundled", lambda: None)
    monkeypatch.setattr(engine.shutil, "which", lambda name: None)
    monkeypatch.setitem(sys.modules, "pygraphviz", None)
    with pytest.raises(lg.DrawingError, match="pip install graphviz-pure"):
        _ = Figure("digraph { a }").png
    with pytest.raises(lg.DrawingError, match="pygraphviz"):
        engine.render("digraph { a }", "pdf", engine.PINNED)


def test_an_engine_that_fails_is_reported():
    with pytest.raises(lg.DrawingError, match="failed to draw svg"):
        _ = Figure("digraph { this is no DOT ").svg


@pytest.mark.parametrize("there", [True, False])
def test_a_figure_is_shown_in_the_browser_or_its_file_is_named(monkeypatch, capsys, there):
    opened = []
    monkeypatch.setattr("webbrowser.open", lambda address: opened.append(address) or there)
    monkeypatch.setitem(sys.modules, "IPython", None)
    lg.draw(LSTM).show()
    path = Path(unquote(urlparse(opened[0]).path))
    assert "<svg" in path.read_text(encoding="utf-8") and (str(path) in capsys.readouterr().out) is not there


def test_a_picture_is_made_once(monkeypatch):
    figure = lg.draw(LSTM)
    first = figure.svg
    monkeypatch.setattr("lstmgraph.visual.drawing.render", None)
    assert figure.svg is first and figure._repr_svg_() == first
    assert figure._repr_mimebundle_()["image/svg+xml"] == first


def test_importing_figures_imports_no_engine():
    code = "import sys, lstmgraph.visual; from lstmgraph.visual import draw; print('graphviz' in sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "False"


def test_a_figure_kind_is_a_file():
    assert {"cell", "graph"} <= set(figure_kinds())
