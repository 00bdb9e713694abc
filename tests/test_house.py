"""The house is in order: who imports whom, what is packaged, sizes of files, docstrings and their examples."""

import ast
import doctest
import importlib
import inspect
import subprocess
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path

import networkx
import pytest

import lstmgraph as lg

ROOT = Path(__file__).parents[1]
FOLDERS = ("lstmgraph", "ops", "visual")  # the last two are imported as lstmgraph.ops and lstmgraph.visual


@dataclass(frozen=True)
class Import:
    """One name that a module imports when it runs (not for type checkers alone)."""

    place: str
    module: str
    name: str
    level: int


def files(*folders):
    """Return the Python files of the folders; links to folders are left out."""
    found = []
    for folder in filter(lambda name: (ROOT / name).is_dir(), folders):
        linked = [path for path in (ROOT / folder).iterdir() if path.is_symlink()]
        for path in sorted((ROOT / folder).rglob("*.py")):
            if not any(path.is_relative_to(link) for link in linked) and "__pycache__" not in path.parts:
                found.append(path)
    return found


def dotted(path):
    """Return a file's module, as ops/add.py is lstmgraph.ops.add."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    parts = ("lstmgraph", *parts) if parts[0] in ("ops", "visual") else parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports(path):
    """Return what a file imports anywhere, in functions too; not what only a type checker sees."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    typing = [node for node in ast.walk(tree) if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)]
    skipped = {id(inner) for node in typing for child in node.body for inner in ast.walk(child)}
    for node in ast.walk(tree):
        if id(node) in skipped:
            continue
        place = f"{path.relative_to(ROOT)}:{getattr(node, 'lineno', 0)}"
        if isinstance(node, ast.Import):
            yield from (Import(place, alias.name, "", 0) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (Import(place, node.module or "", alias.name, node.level) for alias in node.names)


def ours(*folders):
    """Return every import of lstmgraph by a file of the folders, with that file's module."""
    return [
        (dotted(path), found)
        for path in files(*folders)
        for found in imports(path)
        if found.module.split(".")[0] == "lstmgraph"
    ]


def within(module, *packages):
    return any(module == package or module.startswith(package + ".") for package in packages)


def full(found):
    """Return the module that `from a import b` needs: a.b where that is a module, else a."""
    inner = f"{found.module}.{found.name}"
    return inner if inner in MODULES else found.module


MODULES = {dotted(path): path for path in files(*FOLDERS)}
CORE = tuple(
    f"lstmgraph.{name}" for name in ("autodiff", "schedule", "interpreter", "jit", "engine", "program", "call")
)
CONTRACT = {  # what the core may know of the ops; never an op by name
    "lstmgraph.ops.contract": None,  # anything
    "lstmgraph.ops.recur": {"make", "result"},  # the recur, by which it makes and reads sequences
    "lstmgraph.ops.item": {"Bundle"},
}


def test_ops_know_the_graph_and_nothing_else():
    allowed = ("lstmgraph.graph", "lstmgraph.errors", "lstmgraph.ops", "lstmgraph.plugins")
    assert not [found for _, found in ours("ops") if not within(full(found), *allowed)]


def test_the_core_knows_the_ops_contract_and_no_op_by_name():
    wrong = []
    for module, found in ours("lstmgraph"):
        if within(module, *CORE) and within(full(found), "lstmgraph.ops"):
            names = CONTRACT.get(full(found), set())
            if names is not None and found.name not in names:
                wrong.append(found)
    assert not wrong


def test_figures_know_nothing_of_machine_code():
    machine = ("lstmgraph.jit", "lstmgraph.train", "lstmgraph.cli")
    assert not [found for _, found in ours("visual") if within(full(found), *machine)]
    code = "import sys, lstmgraph as lg; lg.draw(lg.cells.lstm).dot; print([m for m in sys.modules if '.jit' in m])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.stdout == "[]\n", done.stderr


def test_nothing_below_knows_figures():
    below = [
        found for module, found in ours("lstmgraph", "ops") if not within(module, "lstmgraph.cli", "lstmgraph.visual")
    ]
    assert not [found for found in below if within(full(found), "lstmgraph.visual")]


def test_training_stands_on_programs():
    lower = ("lstmgraph.jit", "lstmgraph.schedule", "lstmgraph.engine", "lstmgraph.line", "lstmgraph.visual")
    found = [(module, found) for module, found in ours("lstmgraph") if within(module, "lstmgraph.train")]
    assert found and not [line for _, line in found if within(full(line), *lower)]


def test_nothing_below_training_knows_it():
    for module, found in ours(*FOLDERS):
        if not within(module, "lstmgraph.train", "lstmgraph.cli"):
            assert not within(full(found), "lstmgraph.train"), found


def test_nothing_imports_the_command_line():
    for module, found in ours(*FOLDERS):
        if not within(module, "lstmgraph.cli", "lstmgraph.__main__"):
            assert not within(full(found), "lstmgraph.cli"), found


def test_ops_and_visual_are_never_imported_by_their_bare_names():
    for path in files(*FOLDERS, "tests", "examples"):
        for found in imports(path):
            assert found.module.split(".")[0] not in ("ops", "visual"), found


def test_imports_are_absolute():
    assert not [found for path in files(*FOLDERS) for found in imports(path) if found.level]


def test_the_arrows_are_looked_at():
    """The tests above see imports in functions and of modules by `from`, and leave out those for type checkers."""
    assert len(MODULES) > 60 and "lstmgraph.ops.matmul" in MODULES
    found = {full(line) for module, line in ours("lstmgraph") if module == "lstmgraph.line"}
    assert {"lstmgraph.sequences", "lstmgraph.jit.executor"} <= found
    recur = {full(line) for module, line in ours("ops") if module == "lstmgraph.ops.recur"}
    assert "lstmgraph.ops.item" in recur and "lstmgraph.traced" not in recur


def test_the_packages_listed_are_the_folders():
    with open(ROOT / "pyproject.toml", "rb") as text:
        listed = tomllib.load(text)["tool"]["setuptools"]
    folders = {dotted(path) for path in files(*FOLDERS) if path.name == "__init__.py"}
    assert sorted(listed["packages"]) == sorted(folders)
    assert {dotted(path).rpartition(".")[0] for path in MODULES.values() if path.name != "__init__.py"} <= folders
    assert listed["package-dir"] == {"lstmgraph": "lstmgraph", "lstmgraph.ops": "ops", "lstmgraph.visual": "visual"}
    assert (ROOT / "lstmgraph" / "py.typed").exists()


@pytest.mark.parametrize("path", files(*FOLDERS, "tests"), ids=lambda path: str(path.relative_to(ROOT)))
def test_a_file_begins_with_its_duty(path):
    first = ast.parse(path.read_text(encoding="utf-8")).body[0]
    assert isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and isinstance(first.value.value, str)
    assert first.lineno == 1 and first.value.value.split("\n")[0].strip()


def test_files_and_functions_are_short():
    long = []
    for path in files(*FOLDERS):
        text = path.read_text(encoding="utf-8")
        if text.count("\n") > 400:
            long.append(f"{path.relative_to(ROOT)}: {text.count(chr(10))} lines")
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef) and code_lines(node) > 50:
                long.append(f"{path.relative_to(ROOT)}:{node.lineno} {node.name}: {code_lines(node)} lines")
    assert not long, "\n".join(long)


def code_lines(function):
    """Return a function's lines without those of its docstring."""
    lines = function.end_lineno - function.lineno + 1
    if ast.get_docstring(function) is not None:
        lines -= function.body[0].end_lineno - function.body[0].lineno + 1
    return lines


@pytest.mark.parametrize("name", lg.__all__)
def test_a_public_name_is_there_and_says_what_it_is(name):
    value = getattr(lg, name)
    assert inspect.getdoc(value), name
    if inspect.isclass(value):
        for method, function in vars(value).items():
            if not method.startswith("_") and inspect.isroutine(function):
                assert inspect.getdoc(function), f"{name}.{method}"


def test_the_public_names_are_listed():
    assert set(lg.__all__) <= set(dir(lg)) and len(set(lg.__all__)) == len(lg.__all__)
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        lg.nonsense  # noqa: B018


def test_the_names_of_the_guide_are_public():
    words = """cell network linear sigmoid_layer tanh_layer gate parameter embedding recur interpret compile gradient
    draw Model Adam load exp log sqrt abs sigmoid tanh relu softplus maximum minimum select concat row_sum row_max
    softmax cumax layer_norm stop_gradient delay cells transforms LstmGraphError GraphError ShapeError DTypeError
    CompileError CheckpointError"""
    assert not [word for word in words.split() if not hasattr(lg, word)]


def with_examples():
    return [name for name, path in MODULES.items() if ">>> " in path.read_text(encoding="utf-8")]


@pytest.mark.parametrize("name", with_examples())
def test_the_examples_in_docstrings_run(name):
    outcome = doctest.testmod(importlib.import_module(name), optionflags=doctest.NORMALIZE_WHITESPACE)
    assert outcome.attempted and not outcome.failed


def test_every_module_can_be_the_first_one_imported():
    """No circle of imports, of modules and the packages that they are in, waits for another to have been imported."""
    order = networkx.DiGraph()
    for module, path in MODULES.items():
        needed = [name for other in at_once(path) for name in (other, *packages(other)) if name in MODULES]
        order.add_edges_from((module, name) for name in needed if name not in packages(module))
    assert order.number_of_edges() > len(MODULES)
    circles = [sorted(circle) for circle in networkx.strongly_connected_components(order) if len(circle) > 1]
    assert not circles


def packages(module):
    return [module.rsplit(".", count)[0] for count in range(1, module.count(".") + 1)]


def at_once(path):
    """Return the modules that a file imports when it is imported: not in its functions, nor for type checkers."""
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        for inner in ast.walk(node) if isinstance(node, ast.Try) else [node]:
            if isinstance(inner, ast.Import):
                yield from (alias.name for alias in inner.names)
            elif isinstance(inner, ast.ImportFrom):
                yield from (full(Import("", inner.module or "", alias.name, inner.level)) for alias in inner.names)
