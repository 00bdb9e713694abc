"""The command line: what it prints, writes and refuses."""

import argparse
import json
import os
import re
import signal
import subprocess
import sys
import time

import pytest

import lstmgraph as lg
from lstmgraph import cli

TEXT = "the cat sat on the mat and the dog sat on the log; " * 30
SMALL = ["--size", "6", "--batch-size", "4", "--window", "8"]


@pytest.fixture
def call(capsys):
    """Return a function that runs the command line and returns status, stdout and stderr."""

    def run(*arguments):
        status = cli.main([str(argument) for argument in arguments])
        return (status, *capsys.readouterr())

    return run


@pytest.fixture
def text(tmp_path):
    path = tmp_path / "text.txt"
    path.write_text(TEXT)
    return path


@pytest.fixture
def trained(call, text, tmp_path):
    folder = tmp_path / "run"
    status, out, err = call("train", "--text", text, *SMALL, "--cell", "mgu", "--steps", 12, "--out", folder)
    assert (status, err) == (0, "")
    return folder, out


def one_line(err):
    return err.startswith("lstmgraph: ") and err.count("\n") == 1


def test_training_prints_floors_speed_and_a_sample_and_fills_the_folder(trained):
    folder, out = trained
    assert re.search(r"floors +\d\.\d{3} bits per character: entropy", out) and "Witten-Bell" in out
    assert re.search(r"held out +\d\.\d{3} bits per character", out) and "characters/s" in out
    names = {path.name for path in folder.iterdir()}
    assert names >= {"model.json", "text.json", "loss.csv", "loss.svg", "cell.svg", "sample.txt"}
    assert (folder / "sample.txt").read_text().strip() in out
    assert len((folder / "loss.csv").read_text().splitlines()) == 13


def test_sampling_is_repeatable_and_begins_with_the_prime(trained, call):
    folder, _ = trained
    texts = [call("sample", folder, "--length", 40, "--prime", "the ", "--seed", seed)[1] for seed in (1, 1, 2)]
    assert texts[0] == texts[1] != texts[2] and texts[0].startswith("the ") and len(texts[0]) == 45


def test_resuming_goes_on_in_the_same_folder(trained, call):
    folder, _ = trained
    for way in (["--resume", folder], ["--out", folder, "--resume"]):
        before = lg.load(folder).steps
        status, _, err = call("train", *way, "--batch-size", 4, "--window", 8, "--steps", 3)
        assert (status, err) == (0, "") and lg.load(folder).steps == before + 3
    assert len((folder / "loss.csv").read_text().splitlines()) == 19


def test_resuming_on_another_text_keeps_the_models_characters(trained, call, tmp_path):
    folder, _ = trained
    characters = json.loads((folder / "text.json").read_text())["characters"]
    (tmp_path / "other.txt").write_text("Éa zebra! " * 60)
    status, _, err = call("train", "--resume", folder, "--text", tmp_path / "other.txt", "--steps", 1)
    assert (status, err) == (0, "")
    record = json.loads((folder / "text.json").read_text())
    assert record["characters"] == characters and record["source"] == str(tmp_path / "other.txt")


def test_a_model_is_never_written_over(trained, call, text):
    folder, _ = trained
    before = (folder / "model.json").read_bytes()
    status, _, err = call("train", "--text", text, *SMALL, "--steps", 1, "--out", folder)
    assert status == 1 and one_line(err) and str(folder) in err and "--resume" in err
    assert (folder / "model.json").read_bytes() == before


def test_a_failed_resume_keeps_what_was_saved(trained, call, monkeypatch):
    folder, _ = trained
    before = {path.name: path.read_bytes() for path in folder.iterdir() if path.name != "loss.svg"}
    monkeypatch.setattr(lg.Model, "fit", lambda *a, **k: (_ for _ in ()).throw(lg.LstmGraphError("it failed")))
    status, _, err = call("train", "--resume", folder, "--steps", 1)
    assert status == 1 and err == "lstmgraph: it failed\n"
    assert {name: (folder / name).read_bytes() for name in before} == before


def test_a_run_that_fails_at_once_leaves_no_folder(call, text, tmp_path, monkeypatch):
    monkeypatch.setattr(lg.Model, "fit", lambda *a, **k: (_ for _ in ()).throw(lg.LstmGraphError("it failed")))
    assert call("train", "--text", text, *SMALL, "--out", tmp_path / "new")[0] == 1
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", "empty"),
        (b"caf\xe9 " * 99, "byte 0xe9 at position 3"),
        (b"short", "5 characters"),
        (None, "no such file"),
    ],
)
def test_a_bad_text_is_one_line_that_names_it(call, tmp_path, content, expected):
    path = tmp_path / "bad.txt"
    if content is not None:
        path.write_bytes(content)
    status, _, err = call("train", "--text", path, "--out", tmp_path / "run")
    assert status == 1 and one_line(err) and expected in err
    assert not (tmp_path / "run").exists()


def test_a_folder_that_cannot_be_written_is_found_before_training(call, text, tmp_path, monkeypatch):
    monkeypatch.setattr(lg.Model, "fit", lambda *a, **k: pytest.fail("trained"))
    (tmp_path / "file").write_text("")
    status, _, err = call("train", "--text", text, *SMALL, "--out", tmp_path / "file" / "run")
    assert status == 1 and one_line(err) and "cannot be written" in err and "file/run" in err


def test_folders_that_are_no_model_are_one_line(call, tmp_path):
    for command in (["sample", tmp_path / "nowhere"], ["train", "--resume", tmp_path]):
        status, _, err = call(*command)
        assert status == 1 and one_line(err) and str(tmp_path) in err


@pytest.mark.parametrize(
    "arguments",
    [
        ["nonsense"],
        [],
        ["train", "--seconds", "-1"],
        ["train", "--seconds", "nan"],
        ["train", "--steps", "0"],
        ["train", "--resume"],
        ["train", "--dropout", "1"],
        ["train", "--resume", "a", "--cell", "gru"],
        ["train", "--resume", "a", "--out", "b"],
        ["sample"],
        ["sample", "a", "--seed", "-1"],
        ["draw"],
    ],
)
def test_usage_errors_end_with_2(call, arguments):
    status, out, err = call(*arguments)
    assert status == 2 and out == "" and "error:" in err


def test_unknown_cells_name_the_nearest(call, tmp_path, monkeypatch):
    status, _, err = call("train", "--cell", "lstn", "--out", tmp_path / "run")
    assert status == 1 and one_line(err) and "nearest: lstm" in err
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mycells.py").write_text("import lstmgraph as lg\n@lg.cell\ndef mine(x, h):\n    return h + x\n")
    assert call("cells", "mycells:mine")[0] == 0
    for name, expected in (("mycells:yours", "one of mine"), ("nomodule:a", "cannot be imported")):
        status, _, err = call("cells", name)
        assert status == 1 and one_line(err) and expected in err


def test_cells_lists_the_catalogue_and_describes_one(call):
    status, out, _ = call("cells")
    assert status == 0 and all(re.search(rf"^{name} ", out, re.M) for name in lg.cells.catalogue)
    status, out, _ = call("cells", "lstm")
    assert status == 0 and "4HH + 4IH + 4H" in out and re.search(r"forget\.W_x +\[I, H\]", out)


def test_draw_writes_a_picture(call, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert call("draw", "lstm", "-o", "a.svg")[0] == 0 and "<svg" in (tmp_path / "a.svg").read_text()
    assert call("draw", "mgu")[1] == "mgu.svg\n" and (tmp_path / "mgu.svg").exists()
    status, _, err = call("draw", "lstm", "--figure", "nonsense")
    assert status == 1 and one_line(err)


def test_doctor_says_everything_even_when_a_part_is_broken(call, monkeypatch):
    monkeypatch.setenv("LSTMGRAPH_THREADS", "many")
    status, out, err = call("doctor")
    assert (status, err) == (0, "")
    for word in ("python", "numba", "llvmlite", "networkx", "graphviz", "vector width", "cache", "processor"):
        assert re.search(rf"^{word} +\S", out, re.M), word
    for name in ("LSTMGRAPH_CACHE_DIR", "LSTMGRAPH_THREADS", "LSTMGRAPH_JIT"):
        assert f"{name}  " in out
    assert re.search(r"^threads +broken: CompileError", out, re.M)


def test_interrupts_and_errors_of_the_system_are_one_line(call, monkeypatch):
    from lstmgraph.cli import cells

    for error, status, line in (
        (KeyboardInterrupt(), 130, "lstmgraph: interrupted\n"),
        (PermissionError(13, "Permission denied", "x"), 1, "lstmgraph: [Errno 13] Permission denied: 'x'\n"),
    ):
        monkeypatch.setattr(cells, "run", lambda arguments, error=error: (_ for _ in ()).throw(error))
        assert call("cells") == (status, "", line)


def test_every_command_has_help_and_the_module_runs():
    environment = os.environ | {"PYTHONWARNINGS": "error"}
    found = subprocess.run(
        [sys.executable, "-m", "lstmgraph", "--version"],
        capture_output=True,
        text=True,
        env=environment,
        timeout=60,
    )
    assert found.returncode == 0 and found.stdout.startswith("lstmgraph ")
    for name, module in cli.commands().items():
        parser = argparse.ArgumentParser(prog=name)
        module.add_arguments(parser)
        assert module.__doc__ and parser.format_help()


def test_the_command_line_is_light():
    heavy = "[m for m in ('numpy', 'numba', 'tqdm') if m in sys.modules]"
    code = f"import sys, lstmgraph.cli as c; c.parser(); print({heavy})"
    assert json.loads(subprocess.check_output([sys.executable, "-c", code], timeout=60, text=True)) == []


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
def test_ctrl_c_ends_training_and_keeps_the_model(text, tmp_path):
    folder = tmp_path / "run"
    command = [sys.executable, "-m", "lstmgraph", "train", "--text", text, *SMALL, "--cell", "mgu", "--out", folder]
    process = subprocess.Popen(
        [str(word) for word in command], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        for line in process.stdout:
            if line.startswith("model"):
                break
        time.sleep(1)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    finally:
        process.kill()
        process.communicate()
    assert (process.returncode, err) == (130, "") and "held out" in out
    assert lg.load(folder).steps >= 0
