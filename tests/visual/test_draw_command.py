"""``lstmgraph draw``: one figure, the gallery, and what it says when it cannot."""

import re

import numpy as np
import pytest

import lstmgraph as lg
from lstmgraph.cli import _gallery, main


@pytest.fixture
def small(monkeypatch):
    """Keep the catalogue to three cells, and the recording to what needs no machine code."""
    names = ("rnn", "gru", "lstm")
    monkeypatch.setattr("lstmgraph.cells.catalogue", {name: lg.cells.catalogue[name] for name in names})
    monkeypatch.setattr(_gallery, "_recording", lambda program: {"forget": np.full((4, 1, 3), 0.5)})


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
        (["draw", "lstm", "--all", "x"], 2, "give a cell, or --all DIR"),
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
