"""For every test: how generated source is run, and how often garbage is collected."""

import gc

import pytest


def pytest_collection_finish():
    """Look for garbage seldom, and never among thousands of tests: compiling makes many objects and little garbage."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)


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
