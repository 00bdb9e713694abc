"""Products with inputs computed for all steps at once: bit for bit what the loop computes step by step."""

import numpy as np
import pytest

import lstmgraph as lg
from lstmgraph.jit import player


@lg.cell
def two_inputs(x, u, /, h):
    """Products of two inputs and a state, at two levels, wider than a tile."""
    r = lg.sigmoid_layer(h, x, u, name="reset")
    n = lg.tanh_layer(h=r * h, x=x, name="candidate")
    return n + 0.5 * lg.gate(h, h, x, u, name="keep") + lg.linear(h, u, name="more") * lg.linear(h, u, name="other")


CELLS = {
    "two_inputs": two_inputs,
    "lstm": lg.cells.lstm,
    "gru_reset_before": lg.cells.gru_reset_before,
    "nas": lg.cells.nas,  # eight sums of one source
}
FORMS = ({}, {"lengths": [3, 5, 1, 0, 4]}, {"reset": np.arange(25).reshape(5, 5) % 7 == 0})


def run(cell, ahead, monkeypatch, T=5, B=5, size=6, **keywords):
    monkeypatch.setattr("lstmgraph.jit.run_recur.AHEAD_ROWS", 99 if ahead else -1)
    monkeypatch.setattr("lstmgraph.jit.run_recur.AHEAD_BYTES", 0)
    sizes = dict.fromkeys(cell.inputs[1:], 3)
    program = lg.compile(cell, input_size=7, hidden_size=size, threads=2, **sizes)
    rng = np.random.default_rng(0)
    params = {key: rng.normal(0, 0.5, value.shape).astype("float32") for key, value in program.init().items()}
    x = {name: rng.standard_normal((T, B, sizes.get(name, 7))) for name in cell.inputs}
    y, state, pullback = program.vjp(params, x, **keywords)
    gradients = pullback(rng.standard_normal(y.shape))
    return [y, *state.values(), *gradients.params.values()], program


@pytest.mark.parametrize("form", FORMS, ids=["plain", "lengths", "reset"])
@pytest.mark.parametrize("cell", CELLS.values(), ids=CELLS)
def test_ahead_or_step_by_step_is_equal_bit_for_bit(cell, form, monkeypatch):
    monkeypatch.setenv("LSTMGRAPH_JIT", "0")
    one, other = (run(cell, ahead, monkeypatch, **form)[0] for ahead in (True, False))
    assert all(np.array_equal(first, second) for first, second in zip(one, other, strict=True))


@pytest.mark.parametrize(("T", "B", "size"), [(1, 1, 5), (6, 1, 33), (4, 13, 16), (0, 3, 4), (3, 0, 4)])
def test_compiled_at_odd_sizes(T, B, size, monkeypatch):
    one, other = (run(lg.cells.lstm, ahead, monkeypatch, T, B, size)[0] for ahead in (True, False))
    assert all(np.array_equal(first, second) for first, second in zip(one, other, strict=True))


def test_it_is_done_where_weights_are_walked_through_for_few_rows(monkeypatch):
    """What is recorded says so, and need not be run: the sums of the inputs are one more kernel."""
    monkeypatch.setenv("LSTMGRAPH_JIT", "0")
    monkeypatch.setattr(player, "in_order", lambda tasks: None)

    def kernels(T, B, size):
        program = lg.compile(lg.cells.lstm, input_size=size, hidden_size=size)
        program(program.init(), np.zeros((T, B, size)))
        (tape,) = program.engine.main._tapes.values()
        return len(tape.steps)

    few, many = kernels(2, 1, 96), kernels(2, 17, 96)
    assert few == many + 1
    assert kernels(1, 1, 96) == kernels(2, 1, 20) == many
