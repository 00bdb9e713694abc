"""Every example runs, and says what its name promises; so does the code in the README."""

import re
import runpy
from importlib.util import find_spec
from pathlib import Path

import pytest

import lstmgraph as lg

ROOT = Path(__file__).resolve().parents[2]
EXPECTED = {
    "adding_problem": "chrono start",
    "copy_memory": "shuffling_rnn after",
    "mnist1d_digits": "of the test set",
    "own_cell": "greatest difference from NumPy",
    "own_loss": "after",
    "streaming": "equal bit for bit",
}
NEEDS = {"mnist1d_digits": "mnist1d"}
REDUCED = {"adding_problem": {"steps": 1}, "copy_memory": {"steps": 1}, "mnist1d_digits": {"epochs": 1, "rows": 100}}
# the last error, cross entropy or share printed, and what it must be beyond: far from the floor printed before it
PROMISES = {
    "adding_problem": (r"steps: ([\d.]+)", "below", 0.02),
    "copy_memory": (r"entropy ([\d.]+)", "below", 0.02),
    "mnist1d_digits": (r"([\d.]+)%", "above", 90),
}


def main_of(name):
    """Return the function of an example that a script runs; without one, the example has run."""
    if name in NEEDS and find_spec(NEEDS[name]) is None:
        pytest.skip(f'examples/{name}.py needs {NEEDS[name]}: pip install ".[examples]"')
    return runpy.run_path(str(ROOT / "examples" / f"{name}.py")).get("main", lambda: None)


def test_every_example_is_known():
    assert sorted(path.stem for path in (ROOT / "examples").glob("*.py")) == sorted(EXPECTED)


@pytest.mark.parametrize("name", EXPECTED)
def test_an_example_runs(name, capsys):
    main_of(name)(**REDUCED.get(name, {}))
    assert EXPECTED[name] in capsys.readouterr().out


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize("name", PROMISES)
def test_an_example_learns_what_it_says(name, seed, capsys):
    main_of(name)(seed=seed)
    pattern, side, limit = PROMISES[name]
    reached = float(re.findall(pattern, capsys.readouterr().out)[-1])
    assert reached < limit if side == "below" else reached > limit


def test_the_code_in_the_readme_runs(tmp_path, monkeypatch, capsys):
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.S)
    monkeypatch.chdir(tmp_path)
    exec("\n".join(blocks), {"__name__": "readme"})
    assert len(blocks) == 4 and "def " in capsys.readouterr().out
    assert lg.load("run").steps == 20 and (tmp_path / "update_gate.svg").exists()


def test_the_readme_names_every_command_and_its_files_exist():
    from lstmgraph import cli

    text = (ROOT / "README.md").read_text(encoding="utf-8")
    for name in ("train", "sample", "draw", "cells", "bench", "cache", "doctor"):
        assert name in cli.commands() and f"`lstmgraph {name}" in text
    for target in re.findall(r"\]\((?!http)([^)]+)\)", text):
        assert (ROOT / target).exists(), target
