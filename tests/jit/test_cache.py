"""Kernels are compiled once, kept on disk, and never stale, whatever happens to the folder."""

import concurrent.futures
import inspect
import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import lstmgraph
from lstmgraph import settings
from lstmgraph.errors import CompileError
from lstmgraph.jit import cache, loader, store

KIND = {"dtype": "float32", "width": 16}
HELPER = "def area(steps, rows):\n    return steps * rows\n"


def kernel(factor: int) -> str:
    return (
        "def kernel(addresses, sizes, t0, t1, row0, row1, number):\n"
        f"    sizes[number] = area(t1 - t0, row1 - row0) * {factor}\n"
    )


def compiled(factor: int) -> cache.Module:
    helper = cache.compile_module(HELPER, (), **KIND)
    return cache.compile_module(kernel(factor), ("kernel",), uses=(helper,), title=f"times {factor}", **KIND)


def value(module: cache.Module) -> int:
    sizes = np.zeros(3, np.int64)
    module.functions["kernel"](np.zeros(1, np.int64), sizes, 1, 4, 0, 5, 2)
    return int(sizes[2])


PROGRAM = f"""
import json, os, sys
sys.path[:0] = [{str(Path(__file__).parent)!r}]
import test_cache
said = []
test_cache.cache.on_compile = said.append
values, hits = [], []
for factor in map(int, sys.argv[1:]):
    module = test_cache.compiled(factor)
    values.append(test_cache.value(module))
    hits.append(sum(module.functions["kernel"].stats.cache_hits.values()))
helper = test_cache.cache.compile_module(test_cache.HELPER, (), **test_cache.KIND)
helpers = len(helper.functions["area"].overloads)
print(json.dumps({{"values": values, "hits": hits, "said": said, "helpers": helpers}}))
"""


def start(folder: Path, *arguments: object, program: str = PROGRAM, **variables: str) -> "subprocess.Popen[str]":
    environment = os.environ | {"LSTMGRAPH_CACHE_DIR": str(folder), "PYTHONWARNINGS": "error"} | variables
    environment["PYTHONPATH"] = str(Path(lstmgraph.__file__).parents[1])
    command = [sys.executable, "-c", program, *map(str, arguments)]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def result(process: "subprocess.Popen[str]") -> dict:
    output, errors = process.communicate(timeout=100)
    assert process.returncode == 0, errors
    assert errors == ""  # no terminal: nothing is said there
    return json.loads(output)


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """An empty cache folder, and no memory of modules."""
    monkeypatch.setenv("LSTMGRAPH_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setattr(cache, "_modules", {})
    monkeypatch.setattr(store, "_looked_through", set())
    return tmp_path / "cache"


@pytest.fixture
def said(monkeypatch):
    messages: list[str] = []
    monkeypatch.setattr(cache, "on_compile", messages.append)
    return messages


def entries(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if len(path.name) == 32)


# ---- one process


def test_the_same_request_is_the_same_module(said):
    assert compiled(2) is compiled(2)
    assert value(compiled(2)) == 30
    assert compiled(2) is not compiled(3)
    helper = cache.compile_module(HELPER, (), **KIND)
    renamed = cache.compile_module(kernel(2), ("kernel",), uses=(helper,), title="another title", **KIND)
    assert renamed is compiled(2)
    assert len(said) == 2


def test_kernels_release_the_interpreter_and_check_no_bounds():
    options = compiled(2).functions["kernel"].targetoptions
    assert (options["nogil"], options["error_model"], options["boundscheck"]) == (True, "numpy", False)
    assert "fastmath" not in options


def test_kernels_take_one_signature():
    with pytest.raises(TypeError):
        compiled(2).functions["kernel"](np.zeros(1), np.zeros(1), 0, 0, 0, 0, 0)


def test_names_hold_the_hash(folder):
    module = compiled(2)
    (entry,) = entries(folder)
    assert entry.name == module.digest
    for function in module.functions.values():
        assert module.digest in function.py_func.__module__
    (description,) = [result.fndesc for result in module.functions["kernel"].overloads.values()]
    assert module.digest in description.mangled_name


def test_text_can_be_read_where_it_lies(folder):
    module = compiled(2)
    function = module.functions["kernel"].py_func
    assert Path(inspect.getfile(function)) == entries(folder)[0] / "kernels.py"
    assert inspect.getsource(function) == kernel(2) == module.source
    helper = cache.compile_module(HELPER, (), **KIND).functions["area"].py_func
    assert inspect.getsource(helper) == HELPER


def test_a_first_compile_says_so_once_and_where_it_is_kept(folder, said):
    compiled(2)
    assert len(said) == 1
    assert "compiling times 2" in said[0]
    assert str(folder) in said[0]


def test_it_is_said_on_a_terminal_or_on_the_logger(monkeypatch, capsys, caplog):
    cache.announce("compiling a")
    assert capsys.readouterr().err == ""
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    with caplog.at_level("INFO", "lstmgraph"):
        cache.announce("compiling b")
    assert capsys.readouterr().err == ""
    assert [record.getMessage() for record in caplog.records] == ["compiling b"]
    cache.announce("compiling c")
    assert capsys.readouterr().err == "lstmgraph: compiling c\n"


def test_threads_share_one_compile(said):
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        modules = list(pool.map(compiled, [4] * 8))
    assert len({id(module) for module in modules}) == 1
    assert len(said) == 1


def test_a_helper_of_the_module_itself(said):
    source = HELPER + kernel(7)
    assert value(cache.compile_module(source, ("kernel",), **KIND)) == 105


@pytest.mark.parametrize("source", ["def kernel(:\n", "def kernel(a, s, t, u, r, q, n):\n    return nothing(a)\n"])
@pytest.mark.parametrize("jit", ["0", "1"])
def test_a_source_that_does_not_compile(source, jit, monkeypatch, folder):
    monkeypatch.setenv("LSTMGRAPH_JIT", jit)
    if jit == "0" and "nothing" in source:
        pytest.skip("plain Python finds that when it runs")
    with pytest.raises(CompileError, match="strange"):
        cache.compile_module(source, ("kernel",), title="strange", **KIND)
    assert not folder.exists() or not entries(folder)


def test_an_entry_that_is_not_there():
    with pytest.raises(CompileError, match=r"'other'.*kernel"):
        cache.compile_module(HELPER + kernel(2), ("other",), **KIND)


@pytest.mark.parametrize("step", ["publish", "begin"])
def test_a_disk_that_fails_leaves_working_kernels(step, monkeypatch, folder, said):
    def fail(*arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(store, step, (lambda folder: None) if step == "begin" else fail)
    assert value(compiled(11)) == 165
    assert not folder.exists() or not list(folder.glob(".lstmgraph-building*"))


def test_a_folder_that_cannot_be_written(tmp_path, monkeypatch, said):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("LSTMGRAPH_CACHE_DIR", str(tmp_path / "file"))
    assert value(compiled(12)) == 180
    assert "cannot be written" in said[0]
    assert cache.cache_report().entries == 0


def test_a_folder_that_can_only_be_read(folder, monkeypatch, said):
    compiled(13)
    cache._modules.clear()
    monkeypatch.setattr(store.os, "access", lambda path, mode: False)
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    module = compiled(13)
    assert value(module) == 195
    assert sum(module.functions["kernel"].stats.cache_hits.values()) == 1
    assert len(said) == 1
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.name != store._LOOKED} == {
        path: time for path, time in before.items() if path.name != store._LOOKED
    }


@pytest.mark.parametrize("writable", [False, True])
def test_numba_is_given_a_folder_that_it_can_write(writable, folder, monkeypatch):
    entry = folder / compiled(13).digest
    monkeypatch.setattr(store.os, "access", lambda path, mode: writable)
    with store.loadable(entry) as place:
        assert (place == entry) is writable
        assert {path.name for path in place.rglob("*")} == {path.name for path in entry.rglob("*")}
    assert place.exists() is writable


# ---- what is in the hash


def test_the_hash_sees_every_part_of_a_request():
    helper = cache.compile_module(HELPER, (), **KIND)
    other = cache.compile_module(HELPER + "\n", (), **KIND)
    base = {"source": kernel(2), "entries": ("kernel",), "uses": (helper,), **KIND, "title": "", "jit": True}
    changes = [
        {"source": kernel(3)},
        {"entries": ()},
        {"uses": (other,)},
        {"dtype": "float64"},
        {"width": 8},
        {"jit": False},
    ]
    digests = [cache._digest(cache._Request(**(base | change))) for change in [{}, *changes]]
    assert len(set(digests)) == len(digests)
    assert cache._digest(cache._Request(**base | {"title": "another"})) == digests[0]


def test_the_hash_sees_an_edited_file_of_the_package(tmp_path, monkeypatch):
    monkeypatch.setattr(loader, "__file__", str(tmp_path / "loader.py"))
    found = []
    for text in ("a = 1", "a = 2", "a = 2"):
        (tmp_path / "simd.py").write_text(text)
        found.append(loader.environment.__wrapped__())
    assert found[0] != found[1] == found[2]


@pytest.mark.parametrize(
    ("owner", "name"), [("numba", "__version__"), ("llvmlite", "__version__"), ("numpy", "__version__")]
)
def test_the_hash_sees_versions(owner, name, monkeypatch):
    import importlib

    before = loader.environment.__wrapped__()
    monkeypatch.setattr(importlib.import_module(owner), name, "0.0.1")
    assert loader.environment.__wrapped__() != before


def test_the_hash_sees_the_processor_and_numbas_settings(monkeypatch):
    import numba
    from numba.core.codegen import JITCPUCodegen

    found = {loader.environment.__wrapped__()}
    monkeypatch.setattr(numba.config, "LOOP_VECTORIZE", 1 - numba.config.LOOP_VECTORIZE)
    found.add(loader.environment.__wrapped__())
    monkeypatch.setattr(JITCPUCodegen, "magic_tuple", lambda self: ("triple", "another", ""))
    found.add(loader.environment.__wrapped__())
    assert len(found) == 3


# ---- several processes


def test_a_new_process_loads_and_compiles_nothing(folder):
    cold = result(start(folder, 2, 3))
    warm = result(start(folder, 2, 3, NUMBA_CACHE_DIR=str(folder / "elsewhere")))
    assert cold["values"] == warm["values"] == [30, 45]
    assert (cold["hits"], len(cold["said"]), cold["helpers"]) == ([0, 0], 2, 1)
    assert (warm["hits"], warm["said"], warm["helpers"]) == ([1, 1], [], 0)
    for path in (folder, *entries(folder)):
        assert stat.S_IMODE(path.stat().st_mode) == 0o700
    report = store.report(folder)
    assert (report.folder, report.entries) == (folder, 2)
    assert report.bytes == sum(path.stat().st_size for entry in entries(folder) for path in entry.rglob("*.*"))


def test_eight_processes_at_once(folder):
    processes = [start(folder, 5) for _ in range(8)]
    assert [result(process)["values"] for process in processes] == [[75]] * 8
    assert len(entries(folder)) == 1
    assert not list(folder.glob(".lstmgraph-[bd]*"))
    assert result(start(folder, 5))["said"] == []


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 4
    path.write_bytes(content)


def edit(path: Path) -> None:
    path.write_text(path.read_text().replace(") * ", ") + "))


def forge(path: Path) -> None:
    """Other text with a manifest to match."""
    edit(path)
    manifest = path.with_name("manifest.json")
    content = json.loads(manifest.read_text())
    content["files"][path.name] = store._sum(path.read_bytes())
    manifest.write_text(json.dumps(content))


def swap(path: Path) -> None:
    """The whole manifest and text of an entry of another hash."""
    content = json.loads(path.read_text())
    content["digest"] = "0" * 32
    path.write_text(json.dumps(content))


DAMAGES = [
    (forge, "kernels.py"),
    (swap, "manifest.json"),
    (truncate, "**/*.nbi"),
    (truncate, "**/*.nbc"),
    (flip, "**/*.nbi"),
    (flip, "**/*.nbc"),
    (Path.unlink, "**/*.nbc"),
    (Path.unlink, "**/*.nbi"),
    (edit, "kernels.py"),
    (truncate, "kernels.py"),
    (truncate, "manifest.json"),
    (flip, "manifest.json"),
    (Path.unlink, "manifest.json"),
    (lambda path: path.write_text("[]"), "manifest.json"),
    (lambda path: path.chmod(0o777), "."),
]


def test_damage_is_seen_and_mended(folder):
    factors = range(20, 20 + len(DAMAGES))
    first = result(start(folder, *factors))
    values = [factor * 15 for factor in factors]
    assert first["values"] == values
    for entry in entries(folder):
        factor = int(json.loads((entry / "manifest.json").read_text())["title"].split()[1])
        damage, pattern = DAMAGES[factor - 20]
        (victim,) = [entry] if pattern == "." else entry.glob(pattern)
        damage(victim)
    second = result(start(folder, *factors))
    assert second["values"] == values
    assert len(second["said"]) == len(DAMAGES)  # nothing of a damaged entry was used
    third = result(start(folder, *factors))
    assert third["values"] == values
    assert third["said"] == []
    assert len(entries(folder)) == len(DAMAGES)
    assert not list(folder.glob(".lstmgraph-[bd]*"))


def test_something_else_in_the_place_of_an_entry(folder, said):
    digest = compiled(14).digest
    store.remove(folder / digest)
    (folder / digest).write_text("a file")
    cache._modules.clear()
    assert value(compiled(14)) == 210
    assert (folder / digest / "manifest.json").is_file()


FORKS = (
    PROGRAM.split("said =")[0]
    + """
import threading, time
from lstmgraph.jit import threads
def child(work):
    process = os.fork()
    if not process:
        try:
            work()
            os._exit(0)
        finally:
            os._exit(1)
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
def check(factor):
    module = test_cache.compiled(factor)
    results = []
    threads.run([lambda: results.append(test_cache.value(module))] * 4)
    assert results == [factor * 15] * 4
check(2)
before = child(lambda: check(2)), child(lambda: check(3))
entered = threading.Event()
test_cache.cache.on_compile = lambda message: entered.set()
compiling = threading.Thread(target=check, args=(4,))
compiling.start()
entered.wait()
during = child(lambda: check(5)), child(lambda: check(4))
compiling.join()
print(json.dumps([before, during]))
"""
)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
def test_forked_children_run_and_compile_even_while_a_thread_compiles(folder):
    process = start(folder, program=FORKS, PYTHONWARNINGS="")
    assert result(process) == [[0, 0], [0, 0]]


PLAIN = f"""
import json, sys
sys.path[:0] = [{str(Path(__file__).parent)!r}]
import numpy as np
from lstmgraph.jit import cache
kind = dict(dtype="float32", width=16, compiled=False)
helper = cache.compile_module("def double(x):\\n    return 2 * x\\n", (), **kind)
source = "def kernel(buffers, sizes, t0, t1, row0, row1, number):\\n"
source += "    buffers[0][number] = double(np.int64(W))\\n"
module = cache.compile_module(source, ("kernel",), uses=(helper,), **kind)
buffers = [np.zeros(3)]
module.functions["kernel"](buffers, np.array([3]), 0, 0, 0, 0, 1)
print(json.dumps([buffers[0].tolist(), "numba" in sys.modules]))
"""


def test_without_compiling_nothing_of_numba_is_imported(folder):
    assert result(start(folder, program=PLAIN)) == [[0, 32, 0], False]
    assert not folder.exists()


# ---- pruning


def age(path: Path, days: float) -> None:
    time = path.stat().st_mtime - days * 24 * 3600
    os.utime(path, (time, time))


def test_entries_not_used_for_ninety_days_go(folder):
    names = {
        "new": "a" * 32,
        "old": "b" * 32,
        "broken": "c" * 32,
        "mine": "my notes",
        "temp": ".lstmgraph-building-x",
    }
    for name in names.values():
        (folder / name).mkdir(parents=True)
        (folder / name / "manifest.json").write_text("{}")
    (folder / names["broken"] / "manifest.json").unlink()
    age(folder / names["new"] / "manifest.json", 89)
    for name in ("old", "mine", "temp"):
        age(folder / names[name] / "manifest.json", 91)
    age(folder / names["broken"], 91)
    assert store.prune(folder) == 3
    assert {path.name for path in folder.iterdir()} == {names["new"], names["mine"], store._LOOKED}


def test_the_folder_is_looked_through_once_a_day(folder):
    folder.mkdir()
    store.prune(folder)
    (folder / ("b" * 32)).mkdir()
    age(folder / ("b" * 32), 100)
    assert store.prune(folder) == 0
    age(folder / store._LOOKED, 1.1)
    assert store.prune(folder) == 1


def test_use_keeps_an_entry(folder, said):
    module = compiled(15)
    manifest = folder / module.digest / "manifest.json"
    age(manifest, 89)
    old = manifest.stat().st_mtime
    cache._modules.clear()
    compiled(15)
    assert manifest.stat().st_mtime > old + 88 * 24 * 3600
    assert len(said) == 1


def test_compiling_prunes(folder):
    (folder / ("b" * 32)).mkdir(parents=True)
    age(folder / ("b" * 32), 100)
    module = compiled(16)
    assert [entry.name for entry in entries(folder)] == [module.digest]


# ---- settings


def test_the_cache_folder_follows_the_system(monkeypatch, tmp_path):
    monkeypatch.setenv("LSTMGRAPH_CACHE_DIR", str(tmp_path / "named"))
    assert settings.cache_folder() == tmp_path / "named"
    monkeypatch.setenv("LSTMGRAPH_CACHE_DIR", "relative")
    assert settings.cache_folder() == Path.cwd() / "relative"
    monkeypatch.delenv("LSTMGRAPH_CACHE_DIR")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    monkeypatch.setattr(sys, "platform", "linux")
    assert settings.cache_folder() == tmp_path / "xdg" / "lstmgraph"
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    assert settings.cache_folder() == tmp_path / ".cache" / "lstmgraph"
    monkeypatch.setattr(sys, "platform", "darwin")
    assert settings.cache_folder() == tmp_path / "Library" / "Caches" / "lstmgraph"
    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.setenv("LOCALAPPDATA", str(tmp_path / "local"))
    assert settings.cache_folder() == tmp_path / "local" / "lstmgraph"


def test_an_unknown_user_in_the_cache_folder(monkeypatch):
    monkeypatch.setenv("LSTMGRAPH_CACHE_DIR", "~nobody-of-that-name/cache")
    with pytest.raises(CompileError, match=r"LSTMGRAPH_CACHE_DIR: got '~nobody"):
        settings.cache_folder()


def test_whether_to_compile(monkeypatch):
    monkeypatch.delenv("NUMBA_DISABLE_JIT", raising=False)
    for text, expected in {"": True, "1": True, "0": False, " 0 ": False}.items():
        monkeypatch.setenv("LSTMGRAPH_JIT", text)
        assert settings.jit_enabled() is expected
    monkeypatch.setenv("LSTMGRAPH_JIT", "off")
    with pytest.raises(CompileError, match="LSTMGRAPH_JIT: got 'off', expected 0"):
        settings.jit_enabled()
