"""Fixtures for every test: how generated source is run."""

import pytest


@pytest.fixture
def in_numpy(monkeypatch):
    """Run generated source in NumPy, with bounds checks."""
    monkeypatch.setenv("LSTMGRAPH_JIT", "0")


@pytest.fixture
def run_as(monkeypatch):
    """Return a function that chooses how generated source is run: "numpy" (bounds-checked) or "compiled"."""

    def choose(way):
        monkeypatch.setenv("LSTMGRAPH_JIT", {"numpy": "0", "compiled": "1"}[way])

    return choose
