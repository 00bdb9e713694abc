"""For every test: how generated source is run, how often garbage is collected, and that Ctrl-C acts."""

import gc
import signal

import pytest


def pytest_configure():
    """Let Ctrl-C act in tests that press it, and in their processes: a shell's background jobs begin without it."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


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
