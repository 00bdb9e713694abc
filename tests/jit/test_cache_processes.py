"""Processes that share a cache folder are right and never stale, whatever happens to the folder."""

import json
import os
import stat
import subprocess
from pathlib import Path

import numpy as np
import pytest
from cached_kernels import PROGRAM, compiled, entries, result, start, value

from lstmgraph.jit import cache, store
from lstmgraph.jit.machine_code import Code

pytestmark = pytest.mark.usefixtures("folder")


def test_a_new_process_loads_and_compiles_nothing(folder):
    cold = result(start(folder, 2, 3))
    warm = result(start(folder, 2, 3))
    assert cold["values"] == warm["values"] == [30, 45]
    assert (len(cold["said"]), cold["numba"]) == (2, True)
    assert (warm["said"], warm["numba"]) == ([], False)  # its import alone takes longer than all of this
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


READ_ONLY = ("unshare", "-rm", "sh", "-c", 'mount --bind "$0" "$0" && mount -o remount,ro,bind "$0" && exec "$@"')


def mounts_read_only(folder: Path) -> bool:
    """Whether this user may see a folder as a read-only file system, and no file can be made in it."""
    folder.mkdir(exist_ok=True)
    try:
        done = subprocess.run([*READ_ONLY, folder, "touch", folder / "file"], capture_output=True, check=False)
    except OSError:
        return False
    return b"Read-only" in done.stderr


def test_a_read_only_file_system(folder):
    if not mounts_read_only(folder):
        pytest.skip("this user may not mount")
    under = [*READ_ONLY, str(folder)]
    cold = result(start(folder, 2, under=under))
    assert cold["values"] == [30] and not list(folder.iterdir())
    assert [str(folder) in line and "cannot be written" in line for line in cold["said"]] == [True]
    result(start(folder, 2))
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    warm = result(start(folder, 2, 3, under=under))
    assert (warm["values"], len(warm["said"])) == ([30, 45], 1)
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == before


EDITED = """
import dataclasses, json, sys
import numpy as np
import lstmgraph as lg
from lstmgraph.jit import cache
from lstmgraph.plugins import ops
said = []
cache.on_compile = said.append
ops()["tanh"] = dataclasses.replace(ops()["tanh"], kernel=sys.argv[1])
program = lg.compile(lg.network(lambda x: lg.tanh(x)), input_size=3, dtype="float64")
y, _ = program({}, np.full((1, 1, 3), 0.5))
print(json.dumps([float(y[0, 0, 2]), len(said)]))
"""


def test_a_changed_op_is_compiled_anew(folder):
    found = [result(start(folder, text, program=EDITED)) for text in ("tanh({0})", "exp({0}) * 2", "tanh({0})")]
    assert np.allclose([value for value, _ in found], [np.tanh(0.5), 2 * np.exp(0.5), np.tanh(0.5)], rtol=1e-14)
    assert found[1][1] and not found[2][1]


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
    content["text"] = store._sum(path.read_bytes())
    manifest.write_text(json.dumps(content))


def swap(path: Path) -> None:
    """The whole manifest and text of an entry of another hash."""
    content = json.loads(path.read_text())
    content["digest"] = "0" * 32
    path.write_text(json.dumps(content))


def rename(path: Path) -> None:
    """Another name for the function in the object file."""
    path.write_text(path.read_text().replace("cfunc.", "c."))


DAMAGES = [
    (forge, "kernels.py"),
    (swap, "manifest.json"),
    (truncate, "kernel.o"),
    (flip, "kernel.o"),
    (Path.unlink, "kernel.o"),
    (rename, "manifest.json"),
    (edit, "kernels.py"),
    (truncate, "kernels.py"),
    (Path.unlink, "kernels.py"),
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


SETTLED = (
    PROGRAM.split("values =")[0]
    + """
cached_kernels.compiled(2)
CHANGE
cached_kernels.compiled(3)
print(json.dumps(said))
"""
)


@pytest.mark.parametrize(
    "change",
    [
        "",
        "os.environ['NUMBA_OPT'] = '0'",
        "os.environ.update(NUMBA_CPU_NAME='generic', NUMBA_CPU_FEATURES='')",
        "import numba; numba.config.LOOP_VECTORIZE = 1 - numba.config.LOOP_VECTORIZE",
    ],
    ids=["no change", "in the environment", "another processor", "in Numba"],
)
def test_what_is_compiled_under_settings_that_the_hash_has_not_seen_is_not_kept(folder, change):
    result(start(folder, 2))
    said = result(start(folder, program=SETTLED.replace("CHANGE", change)))
    assert len(said) == 1
    assert ("settings were changed" in said[0]) == bool(change)
    assert len(entries(folder)) == (1 if change else 2)


def test_an_entry_that_is_whole_and_cannot_be_loaded_is_replaced(folder):
    digest = compiled(2).digest
    manifest = json.loads((folder / digest / "manifest.json").read_text())
    code = Code("another", (folder / digest / "kernel.o").read_bytes())
    manifest["entries"]["kernel"] = [code.symbol, store._sum_of(code)]
    (folder / digest / "manifest.json").write_text(json.dumps(manifest))
    assert [len(result(start(folder, 2))["said"]) for _ in range(2)] == [1, 0]


FORKS = (
    PROGRAM.split("said =")[0]
    + """
import threading, time
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
    module = cached_kernels.compiled(factor)
    assert cached_kernels.value(module) == factor * 15
check(2)
before = child(lambda: check(2)), child(lambda: check(3))
entered = threading.Event()
cached_kernels.cache.on_compile = lambda message: entered.set()
compiling = threading.Thread(target=check, args=(4,))
compiling.start()
entered.wait()
during = child(lambda: check(5)), child(lambda: check(4))
compiling.join()
import numba
text = "def long(x):\\n" + "".join(f"    x = x * {n} + x ** 2\\n" for n in range(40)) + "    return x\\n"
exec(text, names := {})
others = threading.Thread(target=lambda: [numba.njit(names["long"])(x) for x in (1, 1.0, 1j)])
others.start()
beside = [child(lambda: check(6))]  # kernels that lie on the disk
while others.is_alive():
    beside.append(child(lambda: check(6)))
print(json.dumps([before, during, [*set(beside)]]))
"""
)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
def test_forked_children_run_and_compile_even_while_a_thread_compiles(folder):
    process = start(folder, program=FORKS, PYTHONWARNINGS="")
    assert result(process) == [[0, 0], [0, 0], [0]]


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
