"""``lstmgraph draw``: one figure, the gallery, and what it says when it cannot."""

import re

import numpy as np
import pytest

import lstmgraph as lg
from lstmgraph.cli import _gallery, main
from lstmgraph.visual import engine


@pytest.fixture
def small(monkeypatch):
    """Keep the catalogue to three cells, and the recording to what needs no machine code."""
    names = ("rnn", "gru", "lstm")
    monkeypatch.setattr("lstmgraph.cells.catalogue", {name: lg.cells.catalogue[name] for name in names})
    monkeypatch.setattr(_gallery, "recording", lambda program, steps: {"forget": np.full((4, 1, 3), 0.5)})


def test_a_cell_is_drawn_as_asked(tmp_path, capsys):
    path = tmp_path / "gate.dot"
    assert main(["draw", "gru", "--figure", "gate", "--theme", "print", "-o", str(path)]) == 0
    assert capsys.readouterr().out == f"{path}\n"
    assert path.read_text(encoding="utf-8") == lg.draw(lg.cells.gru, figure="gate", theme="print").dot


def test_the_gallery_shows_every_cell_and_kind_in_light_and_dark(tmp_path, capsys, small):
    folder = tmp_path / "new" / "gallery"
    assert main(["draw", "--all", str(folder)]) == 0
    page = (folder / "index.html").read_text(encoding="utf-8")
    assert capsys.readouterr().out == f"{folder / 'index.html'}\n"
    pictures = {path.name for path in folder.glob("*.svg")}
    shown = set(re.findall(r'(?:src|srcset)="([^"]+\.svg)"', page))
    assert shown == pictures and {"lstm.svg", "lstm-dark.svg", "figure-plan.svg", "figure-film-dark.svg"} <= shown
    texts = re.findall(r'alt="([^"]*)"', page)
    assert len(texts) == len(pictures) / 2 and all(len(text) > 40 for text in texts)
    targets, places = (set(re.findall(f' {word}="#?([^"]+)"', page)) for word in ("href", "id"))
    assert targets - pictures <= places and {"lstm.svg", "figure-film.svg", "kinds", "figure-gate"} <= targets
    assert "prefers-color-scheme: dark" in page and 'lang="en"' in page and "http" not in page
    dark = lg.draw(lg.cells.lstm, theme="dark").svg
    assert (folder / "lstm-dark.svg").read_text(encoding="utf-8") == dark


def test_every_kind_has_an_example_in_the_gallery(small):
    from lstmgraph.visual.drawing import figure_kinds

    assert set(figure_kinds()) <= {name for name, _, _ in _gallery._kinds()}


@pytest.mark.parametrize(
    ("words", "status", "message"),
    [
        (["draw"], 2, "give a cell, or --all DIR"),
        (["draw", "lstm", "--all", "x"], 2, "give it alone"),
        (["draw", "--figure", "cell"], 2, "give a cell, or --all DIR"),
        (["draw", "lstm", "--size", "3"], 2, "with --figure plan or film"),
        (["draw", "lstm", "--figure", "plan", "--size", "0"], 2, "expected 1 or more"),
        (["draw", "lstm", "--scale", "big"], 2, "invalid float value: 'big'"),
        (["draw", "lstm", "--figure", "diff"], 1, "--with NAME"),
        (["draw", "lstm", "--figure", "diff", "--with", "grv"], 1, "nearest: gru"),
        (["draw", "lstm", "--figure", "gate", "--gate", "forgot"], 1, "nearest: forget"),
        (["draw", "lstm", "--highlight", "forgot"], 1, "nearest: forget"),
        (["draw", "lstm", "--labels", "symbol"], 1, "nearest: symbols"),
        (["draw", "lstm", "--equations", "besides"], 1, "nearest: beside"),
        (["draw", "lstm", "--engine", "doot"], 1, "nearest: dot"),
        (["draw", "lstm", "--overlay"], 1, "unknown option 'overlay' of figure 'cell'"),
        (["draw", "lstm", "--figure", "network"], 1, "take figure='cell'"),
        (["draw", "lstm", "-o", "nowhere/lstm.svg"], 1, "cannot be written: No such file"),
        (["draw", "--all", "x", "--theme", "dark"], 2, "give it alone"),
        (["draw", "lsmt"], 1, "nearest: lstm"),
        (["draw", "lstm", "--theme", "drak"], 1, "nearest: dark"),
        (["draw", "lstm", "--figure", "gat"], 1, "nearest: gate"),
        (["draw", "lstm", "-o", "lstm.svgg"], 1, "nearest: .svg"),
    ],
)
def test_what_is_wrong_is_said_in_a_line(words, status, message, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(words) == status
    assert message in capsys.readouterr().err and not list(tmp_path.iterdir())


def test_a_folder_that_cannot_be_made_is_named(tmp_path, capsys, small):
    (tmp_path / "file").write_text("")
    assert main(["draw", "--all", str(tmp_path / "file" / "gallery")]) == 1
    assert "cannot be made" in capsys.readouterr().err


def test_without_an_engine_a_line_says_what_to_install(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("lstmgraph.visual.engine._engines", lambda: dict.fromkeys(engine.USUAL, lambda: None))
    engine._say_once.cache_clear()
    assert main(["draw", "rnn", "-o", str(tmp_path / "rnn.svg")]) == 0
    assert main(["draw", "rnn", "-o", str(tmp_path / "rnn.svg")]) == 0
    told = capsys.readouterr().err.splitlines()
    assert len(told) == 1 and told[0].startswith("lstmgraph: no engine") and "pip install graphviz-pure" in told[0]
    assert main(["draw", "rnn", "-o", str(tmp_path / "rnn.png")]) == 1 and len(list(tmp_path.iterdir())) == 1
    engine._say_once.cache_clear()


# ---- what is drawn of a name


@pytest.fixture
def interpreted(monkeypatch):
    """Run the generated source in plain Python: nothing is compiled."""
    monkeypatch.setenv("LSTMGRAPH_JIT", "0")


def drawn(capsys, tmp_path, *words):
    """Return the DOT text that a command writes."""
    path = tmp_path / "figure.dot"
    assert main(["draw", *words, "-o", str(path)]) == 0, capsys.readouterr().err
    return path.read_text(encoding="utf-8")


def test_every_option_of_every_kind_has_a_flag():
    import inspect

    from lstmgraph.cli.draw import OPTIONS
    from lstmgraph.visual.drawing import figure_kinds

    taken = {name for kind in figure_kinds().values() for name in list(inspect.signature(kind).parameters)[1:]}
    assert set(OPTIONS) == taken | {"scale", "engine"}


def test_options_reach_the_figure(tmp_path, capsys):
    lstm, gru = lg.cells.lstm, lg.cells.gru
    for words, figure in [
        (["lstm", "--figure", "diff", "--with", "gru"], lg.draw(lstm, "diff", other=gru)),
        (["lstm", "--figure", "gradient", "--overlay"], lg.draw(lstm, "gradient", overlay=True)),
        (["lstm", "--figure", "gate", "--gate", "input"], lg.draw(lstm, "gate", name="input")),
        (["lstm", "--figure", "core-idea", "--state", "h"], lg.draw(lstm, "core-idea", state="h")),
        (["lstm", "--figure", "unrolled", "--steps", "2"], lg.draw(lstm, "unrolled", steps=2)),
        (["lstm", "--highlight", "c", "--highlight", "forget"], lg.draw(lstm, highlight=["c", "forget"])),
        (["lstm", "--labels", "names", "--theme", "dark"], lg.draw(lstm, labels="names", theme="dark")),
        (["lstm", "--equations"], lg.draw(lstm, equations="below")),
        (["gru", "--figure", "graph", "--direction", "right"], lg.draw(gru, "graph", direction="right")),
        (["--figure", "legend"], lg.draw(None, "legend")),
    ]:
        assert drawn(capsys, tmp_path, *words) == figure.dot, words


def test_a_file_is_called_after_the_cell_and_the_kind(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert (
        main(["draw", "rnn"]) == main(["draw", "rnn", "--figure", "chain"]) == main(["draw", "--figure", "legend"]) == 0
    )
    assert {path.name for path in tmp_path.iterdir()} == {"rnn.svg", "rnn-chain.svg", "legend.svg"}
    assert capsys.readouterr().out.split() == ["rnn.svg", "rnn-chain.svg", "legend.svg"]


def test_a_network_of_ones_own_is_drawn(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my_networks.py").write_text(
        "import lstmgraph as lg\n@lg.network\ndef tagger(x):\n"
        "    return lg.linear(lg.recur(lg.cells.rnn, x, size=4, name='memory'), size=2, name='head')\n",
        encoding="utf-8",
    )
    assert '"memory" -> "head"' in drawn(capsys, tmp_path, "my_networks:tagger")
    assert main(["draw", "my_networks:taggr"]) == 1 and "nearest: tagger" in capsys.readouterr().err


def test_a_plan_and_a_film_are_drawn_of_any_cell(tmp_path, capsys, interpreted):
    plan = drawn(capsys, tmp_path, "rnn", "--figure", "plan", "--size", "5")
    assert f"{2 * 5 * 5} multiply-adds" in plan
    film = drawn(capsys, tmp_path, "gru_d", "--figure", "film", "--size", "3", "--steps", "4")
    assert film.count('class="unit"') == 3 * 3 and 'label="reset"' in film  # update, reset and candidate, 3 units each


def test_a_run_folder_shows_its_network_and_what_its_gates_do(tmp_path, capsys, interpreted):
    from lstmgraph.train.characters import TextRecord, character_network
    from lstmgraph.train.text import Vocabulary, built_in_text

    vocabulary = Vocabulary.of(built_in_text()[:2000])
    network = character_network(lg.cells.gru, len(vocabulary), embedding=2, size=3)
    lg.Model(network, loss="cross_entropy", optimizer=lg.Adam(1e-3)).save(tmp_path / "run")
    TextRecord(vocabulary.characters, None, "gru").save(tmp_path / "run")
    run = str(tmp_path / "run")
    assert '"gru" -> "head"' in drawn(capsys, tmp_path, run)
    film = drawn(capsys, tmp_path, run, "--figure", "film", "--steps", "3")
    assert 'tooltip="gru.reset, unit 0"' in film and film.count('class="unit"') == 2 * 3
    assert drawn(capsys, tmp_path, run, "--figure", "chain") == lg.draw(lg.cells.gru, "chain").dot
