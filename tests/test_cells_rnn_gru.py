"""The catalogue's RNN and GRU families compute what their equations say: `numpy_rnn` and `numpy_gru`, step by step."""

import importlib

import numpy as np
import numpy_gru
import numpy_rnn
import pytest

import lstmgraph as lg
from lstmgraph.testing import meaning, random_feeds

FAMILIES = ("plain", "gated", "rnn_plain", "rnn_structured", "gru_classic", "gru_minimal", "gru_mutants", "gru_linear")
INPUT, HIDDEN, STEPS, BATCH = 3, 5, 4, 3
SQUARE = {"intersection_rnn", "mut1", "mut2", "sru", "sru_1"}  # x stands beside h
STRAIGHT_THROUGH = {"su_rnn": ("time", "switch", "wave")}  # leaves of a switch: their gradient is another on purpose
SMALL = {"augru": {"attention": 1}, "agru": {"attention": 1}, "gru_ode": {"dt": 1}, "su_rnn": {"time": 1}}
FROZEN = {"echo_state": {"W_h", "W_x", "b"}, "gru_d": {"mean"}, "plrnn": {"diagonal"}}  # no gradient reaches them


def cells_of_the_families():
    modules = [importlib.import_module(f"lstmgraph.cells.{family}") for family in FAMILIES]
    return {name: value for module in modules for name, value in vars(module).items() if isinstance(value, lg.Cell)}


STEPS_OF = vars(numpy_rnn) | vars(numpy_gru)
EQUATIONS = {name: STEPS_OF.get(name) for name in cells_of_the_families()}


class Read(dict):
    """Parameters, and the names of those that were read."""

    def __init__(self, values):
        super().__init__(values)
        self.names = set()

    def __getitem__(self, name):
        self.names.add(name)
        return super().__getitem__(name)


def sizes_of(name, hidden_size=HIDDEN, input_size=INPUT):
    input_size = hidden_size if name in SQUARE else input_size
    extra = {"mask": input_size, "dt": input_size} if name == "gru_d" else SMALL.get(name, {})
    return {"hidden_size": hidden_size, "input_size": input_size, **extra}


def feeds_of(name, steps=STEPS, batch=BATCH, **sizes):
    """Return a cell's program and its random feeds; nothing is zero but masks and clocks, what is missing is NaN."""
    program = lg.compile(lg.cells.catalogue[name], dtype="float64", **sizes_of(name, **sizes))
    feeds = random_feeds(program, steps, batch, 0)
    if "mask" in feeds.x:
        feeds.x["mask"] = (feeds.x["mask"] > 0).astype(float)
        feeds.x["x"] = np.where(feeds.x["mask"] == 1, feeds.x["x"], np.nan)
        feeds.x["dt"] = np.abs(feeds.x["dt"])
    for clock in [key for key in feeds.state if key.startswith("clock_")]:
        feeds.state[clock] = np.resize([0.0, 1.0, int(clock[6:]) - 1.0], (batch, 1))
    return program, feeds


def test_every_cell_of_the_families_has_its_equations():
    assert not [name for name, step in EQUATIONS.items() if step is None]


@pytest.mark.parametrize("name", EQUATIONS)
def test_the_graph_means_the_equations(name, in_numpy):
    cell, (_, feeds) = lg.cells.catalogue[name], feeds_of(name)
    params, x, state = feeds.params, feeds.x, feeds.state
    y, final = lg.interpret(cell, params, x, state)
    read, now = Read(params), state
    for t in range(STEPS):
        expected, now = EQUATIONS[name](read, now, **{key: value[t] for key, value in x.items()})
        assert y[t].shape == expected.shape
        np.testing.assert_allclose(y[t], expected, rtol=1e-12, atol=1e-12, err_msg=f"step {t}")
    assert now.keys() == final.keys()
    for key, value in now.items():
        np.testing.assert_allclose(final[key], value, rtol=1e-12, atol=1e-12, err_msg=key)
    assert read.names == set(cell.parameters)


@pytest.mark.parametrize("name", EQUATIONS)
def test_a_cell_has_an_adjoint(name):
    adjoint = lg.gradient(lg.cells.catalogue[name])
    assert adjoint.reverse and adjoint.states


def functional(program, feeds, kind="", name="", change=0.0):
    """Return the sum of outputs and final states times their cotangents, of a changed leaf."""
    given = {"parameter": dict(feeds.params), "input": dict(feeds.x), "state": dict(feeds.state)}
    if kind:
        given[kind][name] = given[kind][name] + change
    y, final = lg.interpret(program.traced, given["parameter"], given["input"], given["state"])
    total = sum(np.sum(y * dy) for dy in feeds.dy.values())
    return total + sum(np.sum(value * feeds.dstate[state]) for state, value in final.items())


@pytest.mark.parametrize("name", EQUATIONS)
def test_the_adjoint_is_the_derivative(name, in_numpy):
    program, feeds = feeds_of(name, steps=2, batch=2, hidden_size=3, input_size=2)
    gradients, rng = meaning(program, feeds), np.random.default_rng(1)
    for leaf in program.traced.leaves:
        kind, _, part = leaf.partition(":")
        gradient = gradients[f"d {leaf}"]
        if part in FROZEN.get(name, ()):
            assert not gradient.any(), leaf
            continue
        if part.startswith(STRAIGHT_THROUGH.get(name, "/")):
            assert gradient.any(), leaf
            continue
        along = rng.standard_normal(gradient.shape)
        steps = {1: 8, -1: -8, 2: -1, -2: 1}  # differences of the fourth order
        numbers = sum(
            weight * functional(program, feeds, kind, part, place * 1e-4 * along) for place, weight in steps.items()
        )
        np.testing.assert_allclose(numbers / 12e-4, np.sum(along * gradient), rtol=1e-8, atol=1e-8, err_msg=leaf)
