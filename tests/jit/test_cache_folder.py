"""The cache folder: where it is, and what leaves it with time."""

import os
import sys
from pathlib import Path

import pytest
from cached_kernels import compiled, entries

from lstmgraph import settings
from lstmgraph.errors import CompileError
from lstmgraph.jit import cache, store

pytestmark = pytest.mark.usefixtures("folder")


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
