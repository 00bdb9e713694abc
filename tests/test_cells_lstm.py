"""The LSTM family, linear recurrences and time-aware cells: each against its equations in plain NumPy, and derived."""

import numpy as np
import numpy_lstm
import pytest

import lstmgraph as lg
from lstmgraph.cells import (
    complex_states,
    linear_recurrence,
    lstm_classic,
    lstm_gated,
    lstm_grouped,
    lstm_nested,
    memory,
    time_aware,
)
from lstmgraph.graph import resize

LSTMS = (memory, lstm_classic, lstm_gated, lstm_grouped, lstm_nested)
FAMILIES = (*LSTMS, linear_recurrence, complex_states, time_aware)
NAMES = [name for family in FAMILIES for name, value in vars(family).items() if isinstance(value, lg.Cell)]


STEPS = {name: getattr(numpy_lstm, name) for name in NAMES}
SQUARE = ("rg_lru", "selective_ssm")  # cells that need I == H
POSITIVE = ("state:n", "state:wait", "input:dt", "input:time", "parameter:open_ratio")
SYMBOLS = ("dt", "time", "middle", "high", "M", "K", "Z", "U", "c_below", "P", "x_2")
HIDDEN = {"lmu": ("parameter:memory.A", "parameter:memory.B")}  # what stop_gradient hides from the gradient


def random_feeds(name, hidden=5, inputs=3, steps=4, batch=3):
    """Return parameters, inputs and states of a cell at random."""
    cell = lg.cells.catalogue[name]
    sizes = {"H": hidden, "I": hidden if name in SQUARE else inputs, "dt": 1, "time": 1, "M": 3}
    sizes |= {
        "K": 2,
        "Z": 4,
        "U": 7,
        "P": 4,
        "x_2": 2,
        "middle": inputs,
        "high": inputs,
        "c_below": inputs if name == "grid_lstm" else hidden,
    }
    rng = np.random.default_rng([3, *name.encode()])
    feeds = {"parameter": {}, "input": {}, "state": {}}
    for leaf, node in cell.leaves.items():
        kind, _, key = leaf.partition(":")
        rows = {"parameter": (), "input": (steps, batch), "state": (batch,)}[kind]
        shape = rows + tuple(resize(dim, sizes) for dim in node.shape if dim != "B")
        value = rng.uniform(0.2, 0.9, shape)
        feeds[kind][key] = value if leaf in POSITIVE else value * rng.choice([-1.0, 1.0], shape)
        if key == "time":
            feeds[kind][key] = 3.7 * np.cumsum(value, axis=0)
    return cell, feeds, sizes


@pytest.mark.parametrize("name", NAMES)
def test_a_cell_computes_its_equations(name):
    cell, feeds, _ = random_feeds(name)
    y, final = lg.interpret(cell, feeds["parameter"], feeds["input"], state=feeds["state"])
    outputs, state = y if isinstance(y, dict) else {cell.outputs[0]: y}, feeds["state"]
    for step in range(4):
        found = STEPS[name](feeds["parameter"], *(x[step] for x in feeds["input"].values()), **state)
        for output, value in outputs.items():
            expected = found[output] if output in found else found[cell.states[0]]
            np.testing.assert_allclose(value[step], expected, rtol=0, atol=1e-12)
        state = {key: found[key] for key in cell.states}
    for key, value in final.items():
        np.testing.assert_allclose(value, state[key], rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", NAMES)
def test_a_gradient_is_the_derivative(name):
    cell, feeds, sizes = random_feeds(name, hidden=3, inputs=2, steps=2, batch=2)
    assert lg.gradient(cell).sums
    if name == "skip_lstm":  # straight through: the gradient is meant to be another than the derivative
        return
    extra = {str(dim): sizes[dim] for node in cell.leaves.values() for dim in node.shape if dim in SYMBOLS}
    given = {"params": feeds["parameter"], "x": feeds["input"], "state": feeds["state"]}
    extra |= {"input_size": sizes["I"], "hidden_size": 3}
    errors = lg.check_gradients(cell, given, second_order=False, tolerance=np.inf, **extra)
    assert set(cell.leaves) == set(errors)
    assert not {leaf: error for leaf, error in errors.items() if error > 1e-8 and leaf not in HIDDEN.get(name, ())}
