"""The names that users choose are free: none meets a name of the kernel's own, whatever layers, states and sizes."""

import types

import numpy as np
import pytest
from cells_for_tests import CASES
from runs import program_of

import lstmgraph as lg
from lstmgraph.jit.writer import reserved_names

AWKWARD = "min range np W stop share tile_rows product_1 tile_1x1 part buffers lanes meet run_c None __class__".split()
AWKWARD += ["x²", "½", "__debug__", "a b", "1", "_", "été", "nai\u0308ve"]  # in the last one a mark follows its letter


def equals_its_meaning(cell, **sizes):
    """Whether a cell with random parameters does what its equations say."""
    rng = np.random.default_rng(1)
    program = lg.compile(cell, input_size=3, hidden_size=5, dtype="float64", **sizes)
    params = {name: rng.standard_normal(value.shape) for name, value in program.init(seed=0).items()}
    x = rng.standard_normal((4, 2, 3))
    y, state = program(params, x)
    want, final = lg.interpret(cell, params, x)
    return np.allclose(y, want, atol=1e-12) and all(np.allclose(state[name], final[name]) for name in final)


@pytest.mark.parametrize("name", AWKWARD)
def test_any_name_of_a_layer(name, in_numpy):
    @lg.cell
    def one(x, h):
        return lg.tanh_layer(h, x, name=name) * lg.sigmoid_layer(h, x, name=f"{name}_2")

    assert equals_its_meaning(one)


def test_names_that_python_takes_for_one(in_numpy):
    @lg.cell
    def two(x, h):  # the micro sign and the Greek letter
        return lg.tanh_layer(h, x, name="\u00b5") * lg.sigmoid_layer(h, x, name="\u03bc")

    assert equals_its_meaning(two)


@pytest.mark.parametrize("name", ["min", "range", "t", "tile_rows"])
def test_any_name_of_a_state(name, in_numpy):
    names: dict = {"lg": lg}
    exec(f"def one(x, {name}):\n    return lg.tanh_layer({name}, x, name='hidden')", names)
    assert equals_its_meaning(lg.cell(names["one"]))


@pytest.mark.parametrize("symbol", ["parts", "keep:h", "ahead:0", "steps", "min", "b0", "n0", "part", "K"])
def test_any_symbol_of_a_size(symbol, in_numpy):
    @lg.cell
    def wide(x, h):
        return lg.tanh_layer(h, up=lg.tanh_layer(h, x, name="up", size=symbol), name="down", size="H")

    assert equals_its_meaning(wide, **{symbol: 7})


@pytest.mark.parametrize("name", CASES)
def test_what_a_kernel_takes_from_outside_is_reserved(name, in_numpy):
    program = program_of(name, "numpy")
    for line in (program.engine.main, program.engine.whole):
        for stage in line.plan.stages:
            if stage.kernel is not None:
                parts = compile(stage.kernel.source, "", "exec").co_consts
                (code,) = [part for part in parts if isinstance(part, types.CodeType)]
                reserved = reserved_names(program.executor.target)
                assert set(code.co_names) <= reserved | {"int64", "nan", "inf"}
