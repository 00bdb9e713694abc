"""`lstmgraph cache` and `doctor`: what is kept is shown and deleted, what is not ours is left alone; warming up."""

import json
import os
import re
import time

import numpy as np
import pytest

import lstmgraph as lg
from lstmgraph import cli, settings
from lstmgraph.jit import cache, executor, store


@pytest.fixture
def call(capsys):
    """Return a function that runs the command line and returns status, stdout and stderr."""

    def run(*arguments):
        status = cli.main(list(arguments))
        return (status, *capsys.readouterr())

    return run


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A cache folder with three entries of ours, one of them damaged, beside what is not ours."""
    monkeypatch.setenv("LSTMGRAPH_CACHE_DIR", str(tmp_path))
    for digit, title in (("a", "lstm"), ("b", "lstm"), ("c", "")):
        entry = tmp_path / (digit * 32)
        (entry / "__pycache__").mkdir(parents=True)
        (entry / store.TEXT).write_bytes(b"x" * 1_000_000)
        if title:
            (entry / "manifest.json").write_text(json.dumps({"title": title}))
    (tmp_path / ("d" * 32)).mkdir()  # a folder of such a name that is no entry
    (tmp_path / ("d" * 32) / "thesis.txt").write_text("mine")
    (tmp_path / "notes.txt").write_text("mine")
    (tmp_path / ("e" * 32)).write_text("a file")
    return tmp_path


def theirs(folder):
    return sorted(path.name[0] for path in folder.iterdir() if not path.name.startswith("."))


def test_the_cache_is_shown_by_title(call, folder):
    manifest = folder / ("a" * 32) / "manifest.json"
    old = time.time() - 5.2 * 24 * 3600
    os.utime(manifest, (old, old))
    os.utime(folder / ("b" * 32) / "manifest.json", (old, old))
    status, out, err = call("cache")
    assert (status, err) == (0, "") and out.startswith(f"{folder}: 3 entries, 3.0 MB\n")
    assert re.search(r"^ +2 +2\.00 MB +5 days ago +lstm$", out, re.M)
    assert re.search(r"^ +1 +1\.00 MB +used today +damaged$", out, re.M)


def test_clearing_deletes_our_entries_and_nothing_else(call, folder):
    building = folder / ".lstmgraph-building-1"
    building.mkdir()
    left = folder / ".lstmgraph-discarded-2"
    left.mkdir()
    old = time.time() - 3 * 24 * 3600
    os.utime(left, (old, old))
    status, out, err = call("cache", "clear")
    assert (status, err) == (0, "") and "3 entries deleted, 3.0 MB" in out
    assert theirs(folder) == ["d", "e", "n"] and (folder / ("d" * 32) / "thesis.txt").read_text() == "mine"
    assert building.exists() and not left.exists()  # another process may be at work in the first one
    assert call("cache") == (0, f"{folder}: 0 entries, 0.0 MB\n", "")
    assert "0 entries deleted" in call("cache", "clear")[1]


def test_entries_that_cannot_be_deleted_are_a_failure(call, folder, monkeypatch):
    monkeypatch.setattr(store, "remove", lambda path: None)
    status, out, err = call("cache", "clear")
    assert status == 1 and "0 entries deleted" in out and "3 entries cannot be deleted" in err and err.count("\n") == 1


def test_a_folder_that_is_not_there_is_empty(call, tmp_path, monkeypatch):
    monkeypatch.setenv("LSTMGRAPH_CACHE_DIR", str(tmp_path / "none"))
    assert call("cache")[:2] == (0, f"{tmp_path / 'none'}: 0 entries, 0.0 MB\n")
    assert call("cache", "clear")[0] == 0 and not (tmp_path / "none").exists()
    status, _, err = call("cache", "purge")
    assert status == 2 and "clear" in err


def test_the_doctor_says_what_is_cached_and_what_limits_the_threads(call, folder, monkeypatch):
    monkeypatch.setattr(settings, "_processors", lambda: 8)
    monkeypatch.setattr(settings, "_quotas", lambda: iter([7, 6]))
    monkeypatch.setenv("LSTMGRAPH_THREADS", "5")
    monkeypatch.setenv("OMP_NUM_THREADS", "4,2")
    status, out, err = call("doctor")
    assert (status, err) == (0, "")
    limits = "4, the least of: processors 8, container's share 6, LSTMGRAPH_THREADS 5, OMP_NUM_THREADS 4"
    assert re.search(rf"^threads +{limits}$", out, re.M)
    assert re.search(r"^cached +2 lstm, 1 damaged$", out, re.M)
    assert re.search(r"^drawing engine +\S.*graphviz-pure", out, re.M)


def test_the_doctor_cuts_a_long_list_of_titles(call, tmp_path, monkeypatch):
    monkeypatch.setenv("LSTMGRAPH_CACHE_DIR", str(tmp_path))
    for place in range(11):
        entry = tmp_path / f"{place:032x}"
        entry.mkdir()
        (entry / "manifest.json").write_text(json.dumps({"title": f"cell_{place}"}))
    assert re.search(r"^cached +1 cell_0, .* and 3 other titles; see `lstmgraph cache`$", call("doctor")[1], re.M)


# ---- warming up


@pytest.fixture
def requests(monkeypatch):
    """The titles of what is compiled, one for each new kernel."""
    found, real = [], executor.compile_module

    def noted(source, *arguments, **keywords):
        found.append(source)
        return real(source, *arguments, **keywords)

    monkeypatch.setattr(executor, "compile_module", noted)
    return found


def test_a_warm_program_compiles_no_more(in_numpy, requests):
    cell = lg.transforms.zoneout(lg.transforms.learned_initial_state(lg.cells.mgu), h=0.5)
    program = lg.compile(cell, input_size=3, hidden_size=5)
    assert program.warm_up() is None
    warm = len(requests)
    assert warm
    params, x = program.init(seed=0), np.ones((4, 3, 3), "float32")
    masked = {"x": x} | program.masks(4, 3)
    y, state = program(params, x, lengths=[4, 0, 2])
    program.bind(params).step(x[0], state)
    program.step(params, x[0])
    program.vjp(params, masked)[2](y, state)
    program.value_and_gradients(params, masked, y)
    assert len(requests) == warm


def test_only_what_is_asked_for_is_warmed_up(in_numpy, requests):
    counts = []
    for wanted in ("forward", "step", "training"):
        program = lg.compile(lg.cells.gru_reset_before, input_size=3, hidden_size=5)
        requests.clear()
        program.warm_up(**{word: word == wanted for word in ("forward", "step", "training")})
        counts.append(len(requests))
    assert counts[0] and counts[0] == counts[1] < counts[2]
    requests.clear()
    lg.compile(lg.cells.lstm, input_size=3, hidden_size=5).warm_up(forward=False, step=False, training=False)
    assert not requests


def test_networks_and_indices_are_warmed_up_too(in_numpy, requests):
    @lg.network
    def tagger(tokens):
        y = lg.recur(lg.cells.gru, lg.embedding(tokens, 7, 16, name="embed"), size=4, name="gru")
        return {"y": lg.linear(y, size=2, name="head"), "h": y}

    program = lg.compile(tagger, dtype="float64")
    program.warm_up()
    warm, tokens = len(requests), np.arange(120).reshape(40, 3) % 7  # each entry of the table comes many times
    y, _, pullback = program.vjp(program.init(seed=0), tokens)
    pullback(y)
    assert len(requests) == warm
    program = lg.compile(lg.cells.highway_lstm, input_size=3, hidden_size=4, c_below=4, dtype="float64")
    program.warm_up()


def test_zeros_outside_an_ops_domain_give_no_warning(in_numpy):
    @lg.cell
    def logarithm(x, h):
        return lg.log(lg.linear(h, x, name="mix")) / h

    lg.compile(logarithm, input_size=3, hidden_size=4).warm_up()


def test_the_entries_of_a_real_cache_have_titles(tmp_path, monkeypatch):
    monkeypatch.setenv("LSTMGRAPH_CACHE_DIR", str(tmp_path))
    monkeypatch.setattr(cache, "_modules", {})
    source = "def kernel(addresses, sizes, t0, t1, row0, row1, number):\n    sizes[0] = t1\n"
    cache.compile_module(source, ("kernel",), dtype="float32", width=4, title="a kernel")
    (entry,) = cache.cache_entries()
    assert entry.title == "a kernel" and entry.bytes > len(source) and time.time() - entry.used < 100
    assert cache.clear_cache().entries == 1 and cache.cache_entries() == []
