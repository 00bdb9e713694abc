"""Every example runs, and says what its name promises; so does the code in the README."""

import re
import runpy
from pathlib import Path

import pytest

import lstmgraph as lg

ROOT = Path(__file__).resolve().parents[2]
EXPECTED = {
    "adding_problem": "mean error of the sum",
    "own_cell": "greatest difference from NumPy",
    "own_loss": "after",
    "streaming": "equal bit for bit",
}


def test_every_example_is_known():
    assert sorted(path.stem for path in (ROOT / "examples").glob("*.py")) == sorted(EXPECTED)


@pytest.mark.parametrize("name", EXPECTED)
def test_an_example_runs(name, capsys):
    runpy.run_path(str(ROOT / "examples" / f"{name}.py"))
    assert EXPECTED[name] in capsys.readouterr().out


def test_the_code_in_the_readme_runs(tmp_path, monkeypatch, capsys):
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.S)
    monkeypatch.chdir(tmp_path)
    exec("\n".join(blocks), {"__name__": "readme"})
    assert len(blocks) == 3 and "def " in capsys.readouterr().out
    assert lg.load("run").steps == 20 and (tmp_path / "update_gate.svg").exists()


def test_the_readme_names_every_command_and_its_files_exist():
    from lstmgraph import cli

    text = (ROOT / "README.md").read_text(encoding="utf-8")
    for name in ("train", "sample", "draw", "cells", "doctor"):
        assert name in cli.commands() and f"`lstmgraph {name}" in text
    for target in re.findall(r"\]\((?!http)([^)]+)\)", text):
        assert (ROOT / target).exists(), target
