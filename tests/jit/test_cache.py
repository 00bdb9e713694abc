"""Kernels are compiled once in a process, kept on disk, and their hash sees all that decides the machine code."""

import concurrent.futures
import importlib.metadata
import sys

import pytest
from cached_kernels import HELPER, KIND, compiled, entries, kernel, value

from lstmgraph.errors import CompileError
from lstmgraph.jit import cache, loader, processor, store

pytestmark = pytest.mark.usefixtures("folder")


# ---- one process


def test_the_same_request_is_the_same_module(said):
    assert compiled(2) is compiled(2)
    assert value(compiled(2)) == 30
    assert compiled(2) is not compiled(3)
    helper = cache.compile_module(HELPER, (), **KIND)
    renamed = cache.compile_module(kernel(2), ("kernel",), uses=(helper,), title="another title", **KIND)
    assert renamed is compiled(2)
    assert len(said) == 2


def test_the_text_lies_beside_the_machine_code_and_is_whole(folder):
    module = compiled(2)
    (entry,) = entries(folder)
    assert entry.name == module.digest
    assert {path.name for path in entry.iterdir()} == {"kernels.py", "kernel.o", "manifest.json"}
    text = (entry / "kernels.py").read_text()
    assert text.endswith(module.source) and f"from lstmgraph_kernels_{module.uses[0].digest} import area" in text


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


# ---- what is in the hash


def test_the_hash_sees_every_part_of_a_request():
    helper = cache.compile_module(HELPER, (), **KIND)
    other = cache.compile_module(HELPER + "\n", (), **KIND)
    base = {
        "source": kernel(2),
        "entries": ("kernel",),
        "uses": (helper,),
        **KIND,
        "title": "",
        "compiled": True,
        "takes": None,
    }
    changes = [
        {"source": kernel(3)},
        {"entries": ()},
        {"uses": (other,)},
        {"dtype": "float64"},
        {"width": 8},
        {"compiled": False},
        {"takes": "number"},
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


@pytest.mark.parametrize("name", ["lstmgraph", "numba", "llvmlite", "numpy"])
def test_the_hash_sees_versions(name, monkeypatch):
    before, real = loader.environment.__wrapped__(), importlib.metadata.version
    monkeypatch.setattr(importlib.metadata, "version", lambda other: "0.0.1" if other == name else real(other))
    assert loader.environment.__wrapped__() != before


def test_the_hash_sees_the_processor_and_numbas_settings(monkeypatch, tmp_path):
    found = {loader.environment.__wrapped__()}
    monkeypatch.setenv("NUMBA_LOOP_VECTORIZE", "0")
    found.add(loader.environment.__wrapped__())
    for what in ("cpu_name", "features"):
        monkeypatch.setattr(processor, what, lambda: "another")
        found.add(loader.environment.__wrapped__())
    monkeypatch.chdir(tmp_path)
    processor.NUMBAS_FILE.write_text("opt: 1\n")
    found.add(loader.environment.__wrapped__())
    assert len(found) == 5
