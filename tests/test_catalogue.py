"""Every cell of the catalogue, and every awkward one, computes what its equations say, however it is run."""

import numpy as np
import pytest
from cells_for_tests import CASES, MASKED
from runs import (
    DTYPES,
    PLACE,
    alone,
    each_way,
    equal,
    feeds_of,
    form_of,
    in_turn,
    is_compiled,
    per_row,
    program_of,
    slow_unless,
)

import lstmgraph as lg
from lstmgraph.graph import keys_of, node_of, operands
from lstmgraph.testing import by_name, random_feeds, results

SIZES = {  # H -> T, B, of each second cell: tiles of every height, registers that are full and that are not
    "float32": ({1: (2, 3), 37: (2, 2)}, {16: (1, 7), 37: (2, 2)}),
    "float64": ({15: (2, 3), 37: (2, 2)}, {17: (3, 5), 37: (2, 2)}),
}
TWICE_COMPILED = ("gru", "row_numbers")  # a level above another, totals and maxima of rows


def hides_a_gradient(cell):
    """Whether its gradient is not the derivative on purpose: stop_gradient of more than the maximum in a softmax."""
    stopped = [operands(cell.graph, key)[0] for key in keys_of(cell.graph, "stop_gradient")]
    return any(node_of(cell.graph, key).op != "row_max" for key in stopped)


KINKS = {"absolute", "floor", "maximum", "minimum", "relu", "row_max", "select"}
POLES = {"ltc"}  # cells that divide by 0 at some times before now
SMOOTH = [name for name, case in CASES.items() if not hides_a_gradient(case.cell)]


# ---- the same by every way


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", CASES)
def test_equations_their_source_in_numpy_and_machine_code_agree(name, dtype):
    for hidden_size, (steps, batch) in SIZES[dtype][PLACE[name] // 4 % 2].items():
        sizes = {"steps": steps, "batch": batch, **CASES[name].bound(hidden_size)}
        compiled = is_compiled(name, dtype) and hidden_size == 37  # full registers and a part of one
        lg.assert_same(CASES[name].cell, dtype=dtype, compiled=compiled, forms=(form_of(name, dtype),), **sizes)


@pytest.mark.slow
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", CASES)
def test_machine_code_of_every_form_agrees(name, dtype):
    for hidden_size, batch in ((16, 7), (37, 3)):
        sizes = {"steps": 3, "batch": batch, **CASES[name].bound(hidden_size, 7)}
        lg.assert_same(CASES[name].cell, dtype=dtype, compiled=True, **sizes)


def test_machine_code_of_either_dtype_meets_every_op():
    def ops(names):
        return {node.op for name in names for _, node in CASES[name].cell.graph.nodes(data="node")}

    for dtype in DTYPES:
        assert ops(name for name in CASES if is_compiled(name, dtype)) == ops(CASES), dtype


@pytest.mark.parametrize("where", ["x", "forget.W_h", "candidate.b"])
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_machine_code_spreads_nan_and_infinity_as_the_equations_do(where, bad, run_as):
    run_as("compiled")
    program = program_of("lstm", "compiled", "float32")
    feeds = random_feeds(program, 3, 2, 0)
    if where == "x":
        feeds.x["x"][1, 0, 1] = bad
    else:
        feeds.params[where].flat[7] = bad
    given = {"params": feeds.params, "x": feeds.x}
    lg.assert_same(
        program.traced, given, input_size=11, hidden_size=37, dtype="float32", forms=("plain",), compiled=True
    )


# ---- gradients are derivatives


@pytest.mark.parametrize("name", SMOOTH)
def test_gradients_are_derivatives(name):
    cell = CASES[name].cell
    errors = lg.check_gradients(cell, steps=3, batch=2, **CASES[name].bound(5))
    assert {f"{order}parameter:{leaf}" for leaf in cell.parameters for order in ("", "second ")} <= errors.keys()


@pytest.mark.parametrize("name", [pytest.param(name, marks=slow_unless(name in TWICE_COMPILED)) for name in SMOOTH])
def test_gradients_of_machine_code_are_derivatives(name):
    """At a full register and a part of one; where many numbers meet a kink or a pole, at a part alone."""
    cell = CASES[name].cell
    if name in POLES or KINKS & {node.op for _, node in cell.graph.nodes(data="node")}:
        lg.check_gradients(cell, steps=3, batch=2, compiled=True, **CASES[name].bound(5))
    else:
        lg.check_gradients(cell, compiled=True, **CASES[name].bound(17, 5))


@lg.network
def two_ways(tokens):
    """Two recurs, one reversed, over one embedding; their results are read more than once."""
    x = lg.embedding(tokens, 6, 4, name="embed")
    ahead = lg.recur(lg.cells.catalogue["lstm"], x, size="H", name="ahead")
    back = lg.recur(lg.cells.catalogue["mgu"], ahead, size=3, name="back", reverse=True)
    mixed = lg.sigmoid_layer(ahead=ahead, back=back, name="mixed", size=3) * back
    return {"head": lg.linear(mixed=mixed, ahead=ahead, name="head", size=2), "back": back}


def test_a_network_means_its_equations_and_its_gradients_are_derivatives():
    lg.assert_same(two_ways, compiled=False)
    lg.check_gradients(two_ways, steps=3, batch=2)


# ---- sequences of different lengths, and resets on the way


@pytest.mark.parametrize(("way", "name"), each_way(in_turn(0)))
def test_rows_and_pieces_run_as_if_alone(way, name, run_as):
    run_as(way)
    program = program_of(name, way)
    feeds = feeds_of(program, 5, 4, 3, "reset")
    together = results(program, feeds)
    for key, value in alone(program, feeds, together).items():
        np.testing.assert_allclose(together[key], value, rtol=1e-12, atol=1e-12, err_msg=key)


@pytest.mark.parametrize(("way", "name"), each_way(in_turn(1)))
def test_padding_is_never_read(way, name, run_as):
    run_as(way)
    program = program_of(name, way)
    feeds = feeds_of(program, 4, 5, 1, "lengths")
    outside = np.arange(4)[:, None] >= feeds.lengths
    with_nan = results(program, feeds)
    for key, value in feeds.x.items():
        if per_row(program, key):
            assert value.dtype.kind != "f" or np.isnan(value[outside]).all()
            value[outside] = 3 if value.dtype.kind == "f" else 0
    for value in feeds.dy.values():
        value[outside] = 3
    assert equal(with_nan, results(program, feeds))
    for key, value in with_nan.items():
        assert np.isfinite(value).all(), key
        if key.startswith(("output:", "d input:")):
            assert not value[outside].any(), key


@pytest.mark.parametrize("name", [name for name, case in {**CASES, **MASKED}.items() if case.cell.states])
def test_nothing_crosses_a_reset_not_even_nan(name, in_numpy):
    program = program_of(name, "numpy")
    feeds = feeds_of(program, 4, 3, 6)
    reset = np.zeros((4, 3), bool)
    reset[2, 1] = True
    clean, final = program(feeds.params, feeds.x, feeds.state, reset=reset)
    for key, values in feeds.x.items():
        if values.dtype.kind == "f" and per_row(program, key):
            values[1, 1] = np.nan
    for values in feeds.state.values():
        values[1] = np.nan
    y, state, pullback = program.vjp(feeds.params, feeds.x, feeds.state, reset=reset)
    for key, value in by_name(program, y).items():
        assert np.array_equal(value[2:], by_name(program, clean)[key][2:]), key
    assert equal(state, final)
    late = {key: np.where(np.arange(4)[:, None, None] < 2, 0, value) for key, value in feeds.dy.items()}
    gradients = pullback(late, feeds.dstate)
    for key, value in gradients.state.items():
        assert not np.nan_to_num(value[1]).any(), key
