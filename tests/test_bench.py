"""`lstmgraph bench`: contenders compute the same, missing peers are said, tables hold together. No times are judged."""

import importlib
import json
import re
import subprocess
import sys

import numpy as np
import pytest

import lstmgraph as lg
from lstmgraph import bench, cli
from lstmgraph.bench import measure, ours, peak, peer_onnxruntime, picture, records, show, table_memory
from lstmgraph.bench.equations import EQUATIONS, Words
from lstmgraph.bench.measure import Contender, compare, repeated
from lstmgraph.bench.records import Figure, Request, Row, Size

PEERS = ("torch", "jax", "onnxruntime", "matplotlib")
SMALL = Size(3, 2, 3, 5)


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """Blocks follow each other at once."""
    monkeypatch.setattr(measure, "PAUSE", 1e-4)


@pytest.fixture
def alone(monkeypatch):
    """No peer can be imported."""
    real = importlib.import_module

    def absent(name, *rest):
        if name.split(".")[0] in PEERS:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        return real(name, *rest)

    for module in ("peer_torch", "peer_jax", "peer_onnxruntime", "picture"):
        monkeypatch.setattr(f"lstmgraph.bench.{module}.import_module", absent)


@pytest.fixture
def call(capsys):
    """Return a function that runs the command line and returns status, stdout and stderr."""

    def run(*arguments):
        status = cli.main(["bench", *map(str, arguments)])
        return (status, *capsys.readouterr())

    return run


def random_params(cell):
    params = lg.compile(cell, input_size=SMALL.I, hidden_size=SMALL.H, dtype="float64").init(seed=0)
    rng = np.random.default_rng(1)
    return {name: value + 0.5 * rng.standard_normal(value.shape) for name, value in params.items()}


def cell_of(name):
    return ours.highway_2 if name == "highway_2" else lg.cells.catalogue[name]


# ---- the contenders compute the same


def norm(value):
    return (value - value.mean(-1, keepdims=True)) / np.sqrt(value.var(-1, keepdims=True) + 1e-5)


NUMPY = Words(lambda z: 1 / (1 + np.exp(-z)), np.tanh, lambda value, parts: np.split(value, parts, -1), norm)


@pytest.mark.parametrize("name", EQUATIONS)
def test_the_peers_equations_are_the_cells_equations(name, in_numpy):
    cell, equations = cell_of(name), EQUATIONS[name]
    params, x = random_params(cell), np.random.default_rng(2).standard_normal((SMALL.T, SMALL.B, SMALL.I))
    expected, _ = lg.interpret(cell, params, x)
    weights = equations.weights(params)
    states = (np.zeros((SMALL.B, SMALL.H)),) * equations.states
    assert equations.states == len(cell.states)
    for step, taken in enumerate(equations.before(NUMPY, weights, x)):
        states = equations.step(NUMPY, weights, taken, states)
        np.testing.assert_allclose(states[0], expected[step], rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("name", EQUATIONS)
def test_the_loop_in_torch_gives_the_same(name, in_numpy):
    torch = pytest.importorskip("torch")
    from lstmgraph.bench.peer_torch import _words, over_time

    cell = cell_of(name)
    params = {key: value.astype("float32") for key, value in random_params(cell).items()}
    x = np.random.default_rng(2).standard_normal((SMALL.T, SMALL.B, SMALL.I)).astype("float32")
    weights = {key: torch.tensor(value) for key, value in EQUATIONS[name].weights(params).items()}
    found = over_time(torch, _words(torch), EQUATIONS[name], weights, torch.tensor(x))
    np.testing.assert_allclose(found.numpy(), lg.interpret(cell, params, x)[0], atol=1e-5)


def test_the_scan_in_jax_gives_the_same(in_numpy):
    jax = pytest.importorskip("jax")
    from lstmgraph.bench.peer_jax import _parts

    params = {key: value.astype("float32") for key, value in random_params(lg.cells.layer_norm_lstm).items()}
    run, weights, x, _ = _parts(jax, "layer_norm_lstm", params, SMALL)
    expected, _ = lg.interpret(lg.cells.layer_norm_lstm, params, np.asarray(x))
    np.testing.assert_allclose(np.asarray(run(weights, x)), expected, atol=1e-5)


def test_the_model_for_onnxruntime_is_an_lstm():
    runtime = pytest.importorskip("onnxruntime")
    session = runtime.InferenceSession(peer_onnxruntime.lstm_model(SMALL), providers=["CPUExecutionProvider"])
    assert [(value.name, value.shape) for value in session.get_inputs()] == [("X", [3, 2, 3])]
    y, h, c = session.run(None, {"X": np.ones((3, 2, 3), "float32")})
    assert (y.shape, h.shape, c.shape) == ((3, 1, 2, 5), (1, 2, 5), (1, 2, 5))
    np.testing.assert_array_equal(y[-1, 0], h[0])
    assert np.abs(y).min() > 0


def test_a_number_of_many_bytes_is_written_in_parts_of_seven_bits():
    assert peer_onnxruntime._varint(300) == b"\xac\x02" and peer_onnxruntime._varint(127) == b"\x7f"


# ---- the method


def test_contenders_run_in_turn_and_the_first_block_does_not_count():
    order = []
    contenders = [Contender(name, lambda name=name: repeated(lambda: order.append(name))) for name in "ab"]
    found = compare(contenders, 1e-9)
    assert [figure.name for figure in found] == ["a", "b"]
    # each block: a run that does not count, then one; the first blocks do not count at all
    assert order == ["a", "a", "b", "b"] + ["a", "a", "b", "b"] * 2
    assert [len(figure.values) for figure in found] == [2, 2]


def test_a_peer_that_fails_is_said_and_ours_that_fails_is_an_error():
    def broken():
        raise ValueError("two\nlines")

    def missing():
        raise ModuleNotFoundError("No module named 'jax'", name="jax")

    fine = Contender("ours", lambda: repeated(lambda: None))
    found = compare([fine, Contender("b", broken, "torch"), Contender("c", missing, "jax")], 1e-9)
    assert found[0].values and not found[1].values and not found[2].values
    assert found[1].why == "failed: ValueError: two lines"
    assert found[2].why == "not installed; `pip install jax` to compare with it"
    with pytest.raises(ValueError, match="two"):
        compare([Contender("ours", broken)], 1e-9)


def test_rows_are_read_as_medians_and_ratios():
    row = Row("x", (Figure("a", (2.0, 1.0, 9.0)), Figure("b", (4.0,)), Figure("c", (), "why")), SMALL, flops=4e9)
    assert [row.ratio(figure) for figure in row.figures] == [None, 2.0, None]
    assert row.least_ratio(row.figures[1]) == 4.0 and row.figures[0].quartiles == (1.5, 5.5)
    first, second, third = row.data(peak=4e9)["figures"]
    assert (first["gflops"], first["share_of_peak"], second["gflops"]) == (2.0, 0.5, 1.0)
    assert third == {"name": "c", "why_not": "why"}
    other = Row("y", (Figure("a", (1.0,)), Figure("b", (8.0,))))
    assert records.means([row, other]) == {"b": pytest.approx(4.0)} and records.means([row]) == {}
    lines = "\n".join(show.row_lines(row, 4e9))
    assert re.search(r"a +2\.000 s +1\.500 to 5\.500 +1\.000 +2\.0 +50%", lines) and "c" + " " * 20 + "why" in lines
    assert re.search(r"b +4\.000 s +4\.000 +2\.00 +4\.00 +1\.0 +25%", lines)


def test_operations_are_those_of_the_products():
    assert ours.flops(ours.lstm, Size(7, 3, 5, 11)) == 2 * 7 * 3 * 4 * 11 * (5 + 11)
    assert ours.flops(ours.highway_2, Size(1, 1, 5, 11)) == 2 * 2 * 11 * (5 + 11 + 11)


def test_the_peak_is_not_measured_where_nothing_is_compiled(in_numpy):
    assert peak.peak_flops(1) is None


# ---- the command


def test_tables_come_with_the_peers_or_without(call, alone, in_numpy):
    size = "2,1,2,3"
    names = ("training", "forward", "step", "cells", "own", "ragged", "threads", "single", "characters")
    status, out, err = call("--tables", *names, "--sizes", size, "--seconds", "0.001", "--json", "--threads", 1)
    assert (status, err) == (0, "")
    found = json.loads(out)
    assert set(found["tables"]) == set(names) and found["machine"]["peak_gflops"] is None
    for name, table in found["tables"].items():
        assert table["rows"], name
        for row in table["rows"]:
            first, *others = row["figures"]
            assert first["runs"] >= 1 and first["median"] > 0, name
            peers = [figure for figure in others if "why_not" in figure]
            assert all("not installed" in figure["why_not"] or name == "threads" for figure in peers)
    by_name = {name: len(table["rows"]) for name, table in found["tables"].items()}
    assert by_name["cells"] == 5 and by_name["characters"] == 2
    (ragged,) = found["tables"]["ragged"]["rows"]
    assert 0 < ragged["extra"]["share of the steps"] <= 1


def test_text_says_versions_figures_and_what_is_missing(call, alone, in_numpy):
    status, out, err = call("--tables", "step", "--sizes", "1,1,2,3", "--seconds", "0.001", "--plot", "x.svg")
    assert status == 0 and "matplotlib is not installed" in err and err.count("\n") == 1
    for pattern in (
        r"numba \d",
        r"^step: One time step",
        r"lstmgraph +\d+\.\d+ [mu]?s",
        r"LSTMCell +not installed; `pip",
    ):
        assert re.search(pattern, out, re.M), pattern


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--tables", "trainin"], "nearest: training"),
        (["--tables", "step", "all"], "expected any of training, forward, step"),
        (["--sizes", "smal"], "nearest: small"),
        (["--sizes", "100,0,1,1"], "at least 1 each"),
        (["--sizes", "1,1,1"], "T,B,I,H"),
        (["--threads", "0"], "expected 1 to"),
        (["--threads", "100000"], "expected 1 to"),
        (["--threads", "two"], "expected 1 to"),
        (["--seconds", "0"], "above 0"),
        (["--seconds", "nan"], "above 0"),
        (["--plot", "a.pdf"], ".svg or .png"),
        (["--plot", "nowhere/a.svg"], "a folder that is there"),
    ],
)
def test_impossible_wishes_are_refused_before_anything_runs(call, monkeypatch, arguments, said):
    monkeypatch.setattr("lstmgraph.bench.run.facts", lambda request: pytest.fail("it ran"))
    status, out, err = call(*arguments)
    assert status == 2 and out == "" and said in err and err.count("error:") == 1


def test_every_table_says_what_it_is():
    assert bench.tables()[:3] == list(bench.USUAL)
    for name in bench.tables():
        module = bench.table(name)
        assert module.__doc__ and set(module.SIZES) <= set(records.SIZES) and callable(module.rows)


def test_ratios_become_a_picture(tmp_path):
    pytest.importorskip("matplotlib")
    row = Row("small", (Figure("lstmgraph", (1.0,)), Figure("torch", (3.0,)), Figure("jax", (), "missing")))
    assert picture.draw([("training", [row]), ("start", [Row("import", (Figure("a", (1.0,)),))])], tmp_path / "a.svg")
    drawn = (tmp_path / "a.svg").read_text()
    assert "training: ratio to lstmgraph" in drawn and "small: torch" in drawn and "3.00" in drawn
    assert "jax" not in drawn and not picture.draw([("start", [])], tmp_path / "b.svg")


def test_memory_is_measured_in_fresh_processes(monkeypatch, in_numpy):
    request = Request(1, 0.001, (("own", SMALL),))
    done = subprocess.CompletedProcess([], 1, "", "ModuleNotFoundError: No module named 'torch'\n")
    real = subprocess.run
    monkeypatch.setattr(
        subprocess, "run", lambda command, **rest: done if "torch.nn.LSTM" in command else real(command, **rest)
    )
    step, process = table_memory.rows(request)
    assert process.figures[0].median > 10e6 and 0 <= step.figures[0].median < process.figures[0].median
    assert "not installed" in process.figures[1].why


def test_the_command_needs_no_peer_to_start():
    code = (
        "import sys, lstmgraph.cli as c; c.parser(); print([m for m in ('torch', 'jax', 'numpy') if m in sys.modules])"
    )
    assert subprocess.check_output([sys.executable, "-c", code], text=True, timeout=60) == "[]\n"
