"""Fixtures for the tests of the cache."""

import pytest

from lstmgraph.jit import cache, store


@pytest.fixture
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
