"""What `lstmgraph cells` prints: the catalogue as a table or as JSON, and one cell with all there is to know of it."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import lstmgraph as lg
from lstmgraph import cli
from lstmgraph.cli import cells


@pytest.fixture
def call(capsys, monkeypatch, tmp_path):
    """Return a function that runs the command and returns status, stdout and stderr; figures go to a folder of ours."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))

    def run(*arguments):
        status = cli.main(["cells", *map(str, arguments)])
        return (status, *capsys.readouterr())

    return run


def test_the_table_has_a_line_for_each_cell_with_its_states_parameters_and_equations(call):
    status, out, err = call()
    head, *lines = out.splitlines()
    assert (status, err) == (0, "") and head.split() == ["name", "states", "parameters", "equations"]
    assert [line.split()[0] for line in lines] == sorted(lg.cells.catalogue)
    assert re.search(r"^lstm +h c +4HH \+ 4IH \+ 4H +6  Long .* \(Hochreiter & Schmidhuber 1997\)\.$", out, re.M)
    assert re.search(r"^mgu +h +2HH \+ 2IH \+ 2H +3  .*2016", out, re.M)


def test_with_sizes_parameters_are_counted(call):
    for name, sizes in {"lstm": {}, "lmu": {"M": 4}, "group_lstm": {"x_2": 6}, "fast_rnn": {}}.items():
        cell = lg.cells.catalogue[name]
        said = cells.count(cell, {"I": 7, "H": 5, **sizes}).replace(",", "")
        program = lg.compile(cell, input_size=7, hidden_size=5, **sizes)
        assert int(said) == sum(value.size for value in program.init().values()), name
    assert re.search(r"^lstm +h c +67,584 ", call("--input-size", 3, "--hidden-size", 128)[1], re.M)
    assert re.search(r"^lstm +h c +512I \+ 66,048 ", call("--hidden-size", 128)[1], re.M)


def test_sizes_side_by_side_and_in_any_order_are_one_term():
    @lg.cell
    def odd(x, h):
        both = lg.tanh_layer(both=lg.concat(h, x), name="both")
        return lg.linear(both, name="back", size="H") + lg.linear(h, name="turn", bias=False)

    assert cells.count(odd) == "3HH + IH + 2H"
    assert cells.count(odd, {"H": 2, "I": 3}) == "22"


def test_a_cell_is_described_and_drawn(call):
    status, out, err = call("peephole_lstm")
    assert (status, err) == (0, "")
    cell = lg.cells.catalogue["peephole_lstm"]
    assert all(line.strip() in out for line in cell.__doc__.splitlines())
    assert all(f"\n  {line}\n" in out for line in str(lg.equations(cell)).splitlines())
    assert re.search(r"^  forget\.W_x +\[I, H\] +W_x\^f +glorot$", out, re.M)
    assert re.search(r"^  c +\[B, H\] +c_\{t-1\}$", out, re.M)
    path = Path(re.search(r"^figure +(.*)$", out, re.M)[1])
    assert "<svg" in path.read_text(encoding="utf-8")
    assert re.search(r"^  forget\.b +\[H\] .*constant\(1\)$", call("lstm")[1], re.M)
    assert re.search(r"^  forget\.W_x +\[3, 5\] ", call("lstm", "--input-size", 3, "--hidden-size", 5)[1], re.M)


def test_a_figure_that_cannot_be_drawn_leaves_the_rest(call, monkeypatch):
    monkeypatch.setattr(lg, "draw", lambda cell: (_ for _ in ()).throw(lg.DrawingError("no engine")))
    status, out, err = call("gru")
    assert (status, err) == (0, "") and out.endswith("figure      none (no engine)\n")


def test_a_name_that_does_not_exist_is_a_usage_error_of_one_line(call):
    for arguments in (["lstn"], ["lstn", "--json"]):
        status, out, err = call(*arguments)
        assert (status, out) == (2, "") and err.count("\n") == 1 and err.startswith("lstmgraph: ")
        assert "'lstn'" in err and "nearest: lstm" in err
    for arguments in (["--input-size", "0"], ["--hidden-size", "many"], ["a", "b"]):
        assert call(*arguments)[0] == 2


def test_json_holds_what_the_text_says(call):
    listed = {entry["name"]: entry for entry in json.loads(call("--json")[1])}
    assert listed.keys() == lg.cells.catalogue.keys()
    entry = json.loads(call("lstm", "--json")[1])
    assert entry == listed["lstm"] and entry["paper"] == "Hochreiter & Schmidhuber 1997"
    assert entry["states"] == {"h": ["B", "H"], "c": ["B", "H"]} and entry["outputs"] == ["y"]
    assert entry["parameters"]["forget.b"] == {"shape": ["H"], "init": ["constant", 1.0]}
    assert "\n".join(entry["equations"]) == lg.equations(lg.cells.lstm).text
    sized = json.loads(call("lstm", "--json", "--hidden-size", "8")[1])
    assert sized["parameters"]["forget.W_x"]["shape"] == ["I", 8] and sized["parameter_count"] == "32I + 288"


def test_lines_fit_into_a_terminal_and_are_whole_elsewhere(call, monkeypatch):
    whole = call("time_frequency_lstm")[1]
    assert max(map(len, whole.splitlines())) > 70
    for width in (60, 100):
        monkeypatch.setattr(cells, "_width", lambda width=width: width)
        lines = call()[1].splitlines()
        assert max(map(len, lines)) == width and all(line.endswith("…") for line in lines[1:])
        found = call("time_frequency_lstm")[1]
        equations = found[found.index("equations") : found.index("inputs")].splitlines()
        assert max(map(len, equations)) <= width
        joined = " ".join(" ".join(equations).split())
        assert all(line in joined for line in lg.equations(lg.cells.time_frequency_lstm).text.splitlines())


def test_a_reader_that_goes_away_and_an_old_terminal_are_no_crash():
    command = [sys.executable, "-m", "lstmgraph", "cells"]
    environment = os.environ | {"PYTHONIOENCODING": "ascii"}
    done = subprocess.run([*command, "janet", "--json"], capture_output=True, env=environment, timeout=60)
    assert done.returncode == 0 and json.loads(done.stdout)["equations"][0].startswith("f_t = h_{t-1} W_h^f")
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment)
    process.stdout.close()
    assert process.stderr.read() == b"" and process.wait(timeout=60) == 1
    process.stderr.close()
    out = subprocess.run([*command, "--hidden-size", "3"], capture_output=True, env=environment, timeout=60)
    assert out.returncode == 0 and b"\x1b" not in out.stdout
