"""Every cell of the catalogue, and every awkward one, computes what its equations say, however it is run."""

import importlib.util
import sys
from functools import cache
from itertools import pairwise, permutations
from pathlib import Path

import numpy as np
import pytest

import lstmgraph as lg
from lstmgraph.graph import keys_of, node_of, operands
from lstmgraph.jit import executor
from lstmgraph.testing import meaning, random_feeds, results


def _beside(name):
    """Return a module of this folder; tests are imported one by one, not as a package."""
    spec = importlib.util.spec_from_file_location(name, Path(__file__).with_name(f"{name}.py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


cells = _beside("cells_for_tests")
CASES, THOROUGH = cells.CASES, cells.THOROUGH
SIZES = {1: (3, 5), 15: (2, 3), 16: (1, 7), 17: (3, 5), 37: (2, 2)}  # H -> T, B: tiles of every height
ALWAYS_COMPILED = ("lstm", "gru_reset_before")  # the others' machine code is tested by the slow tests


def slow_unless(wanted):
    return () if wanted else pytest.mark.slow


def hides_a_gradient(cell):
    """Whether its gradient is not the derivative on purpose: stop_gradient of more than the maximum in a softmax."""
    stopped = [operands(cell.graph, key)[0] for key in keys_of(cell.graph, "stop_gradient")]
    return any(node_of(cell.graph, key).op != "row_max" for key in stopped)


def thorough():
    """Every cell; those that are like others only if slow tests run."""
    return [pytest.param(name, marks=slow_unless(name in THOROUGH)) for name in CASES]


def each_way():
    """Every cell in NumPy; some compiled, all of them if slow tests run."""
    return [pytest.param("numpy", name, id=f"numpy-{name}", marks=slow_unless(name in THOROUGH)) for name in CASES] + [
        pytest.param("compiled", name, id=f"compiled-{name}", marks=slow_unless(name in ALWAYS_COMPILED))
        for name in CASES
    ]


@cache
def program_of(name, way, dtype="float64", threads=1):
    """Return a small program of a cell: odd sizes, more than one register of them where it is compiled."""
    bound = CASES[name].bound(5 if way == "numpy" else 37, 3 if way == "numpy" else 11)
    from lstmgraph.border import symbols_of

    words = {"hidden_size": "H", "input_size": "I"}
    known = symbols_of(CASES[name].cell)
    sizes = {word: size for word, size in bound.items() if words.get(word, word) in known}
    return lg.compile(CASES[name].cell, dtype=dtype, threads=threads, **sizes)


def equal(first, second):
    """Whether two dictionaries of arrays are equal bit for bit."""
    return first.keys() == second.keys() and all(np.array_equal(first[key], second[key]) for key in first)


def outputs_of(program, y):
    return dict(y) if isinstance(y, dict) else {program.traced.outputs[0]: y}


def steps_of(values, begin, end):
    return {name: value[begin:end] for name, value in values.items()}


# ---- the same by every way


@pytest.mark.parametrize(
    ("name", "hidden_size"),
    [pytest.param(name, size, marks=slow_unless(size == 17 or name in THOROUGH)) for name in CASES for size in SIZES],
)
def test_kernels_mean_the_equations_at_any_size(name, hidden_size):
    steps, batch = SIZES[hidden_size]
    sizes = {"steps": steps, "batch": batch, **CASES[name].bound(hidden_size)}
    form = "reset" if steps == 3 else "plain"
    lg.assert_same(CASES[name].cell, compiled=False, forms=(form,), **sizes)
    if hidden_size == 1 or name in THOROUGH:
        lg.assert_same(CASES[name].cell, compiled=False, forms=("lengths",), dtype="float32", **sizes)


@pytest.mark.parametrize(
    ("name", "dtype"),
    [
        pytest.param(name, dtype, marks=slow_unless(name in ALWAYS_COMPILED))
        for name in CASES
        for dtype in ("float32", "float64")
    ],
)
def test_machine_code_means_the_equations(name, dtype, run_as):
    run_as("compiled")
    for hidden_size, batch in ((16, 7), (37, 3)):
        lg.assert_same(CASES[name].cell, steps=3, batch=batch, dtype=dtype, **CASES[name].bound(hidden_size, 7))


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


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name, case in CASES.items() if not hides_a_gradient(case.cell)])
def test_machine_code_of_the_second_order_is_right(name):
    lg.check_gradients(CASES[name].cell, compiled=True, **CASES[name].bound(17, 5))


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if not hides_a_gradient(case.cell)])
def test_gradients_are_derivatives(name):
    cell, twice = CASES[name].cell, name in THOROUGH
    errors = lg.check_gradients(cell, steps=3, batch=2, second_order=twice, **CASES[name].bound(5))
    orders = ("", "second ") if twice else ("",)
    assert {f"{order}parameter:{leaf}" for leaf in cell.parameters for order in orders} <= errors.keys()


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


# ---- sequences of different lengths


def alone(program, feeds):
    """Return what `results` must return, from each row and each piece between resets run by itself, unpadded."""
    batch = next(iter(feeds.x.values())).shape[1]
    full = meaning(program, feeds)
    found = {key: np.zeros_like(value) for key, value in full.items()}
    for b in range(batch):
        row, length = slice(b, b + 1), int(feeds.lengths[b])
        edges = [0, *(t for t in range(1, length) if feeds.reset[t, b]), length]
        state = {name: value[row] for name, value in feeds.state.items()}
        cotangents = []
        for piece, (begin, end) in enumerate(pairwise(edges)):
            back = piece > 0 or (length > 0 and feeds.reset[0, b])
            x = {name: value[begin:end, row] for name, value in feeds.x.items()}
            y, state, pullback = program.vjp(feeds.params, x, state=None if back else state)
            for name, value in outputs_of(program, y).items():
                found[f"output:{name}"][begin:end, row] = value
            last = {name: value[row] for name, value in feeds.dstate.items()} if end == length else None
            gradients = pullback({name: value[begin:end, row] for name, value in feeds.dy.items()}, last)
            cotangents.append((begin, end, back, gradients))
        for name, value in state.items():
            found[f"final:{name}"][row] = value
        _add(program, found, row, cotangents)
    return found


def _add(program, found, row, cotangents):
    for begin, end, back, gradients in cotangents:
        x = gradients.x if isinstance(gradients.x, dict) else {program.traced.inputs[0]: gradients.x}
        for name, value in x.items():
            if value is not None:
                found[f"d input:{name}"][begin:end, row] = value
        for name, value in gradients.params.items():
            found[f"d parameter:{name}"] += value
        for name, value in gradients.state.items():
            found[f"d state:{name}"][row] += 0 * value if back else value


@pytest.mark.parametrize(("way", "name"), each_way())
def test_rows_and_pieces_run_as_if_alone(way, name, run_as):
    run_as(way)
    program = program_of(name, way)
    feeds = random_feeds(program, 6, 4, 3, "reset")
    together, apart = results(program, feeds), alone(program, feeds)
    for key, value in apart.items():
        np.testing.assert_allclose(together[key], value, rtol=1e-12, atol=1e-12, err_msg=key)


@pytest.mark.parametrize(("way", "name"), each_way())
def test_padding_is_never_read(way, name, run_as):
    run_as(way)
    program = program_of(name, way)
    feeds = random_feeds(program, 4, 5, 1, "lengths")
    outside = np.arange(4)[:, None] >= feeds.lengths
    with_nan = results(program, feeds)
    for value in (*feeds.x.values(), *feeds.dy.values()):
        value[outside] = 3 if value.dtype.kind == "f" else 0
    assert equal(with_nan, results(program, feeds))
    for key, value in with_nan.items():
        assert np.isfinite(value).all(), key
        if key.startswith(("output:", "d input:")):
            assert not value[outside].any(), key


@pytest.mark.parametrize("name", [n for n in CASES if n in THOROUGH and CASES[n].cell.states and n != "tokens"])
def test_nothing_crosses_a_reset_not_even_nan(name, in_numpy):
    program = program_of(name, "numpy")
    feeds = random_feeds(program, 4, 3, 6)
    reset = np.zeros((4, 3), bool)
    reset[2, 1] = True
    clean, final = program(feeds.params, feeds.x, feeds.state, reset=reset)
    for values in (*feeds.x.values(), *feeds.state.values()):
        values[(1, 1) if values.ndim == 3 else 1] = np.nan
    y, state, pullback = program.vjp(feeds.params, feeds.x, feeds.state, reset=reset)
    for key, value in outputs_of(program, y).items():
        assert np.array_equal(value[2:], outputs_of(program, clean)[key][2:]), key
    assert equal(state, final)
    late = {key: np.where(np.arange(4)[:, None, None] < 2, 0, value) for key, value in feeds.dy.items()}
    gradients = pullback(late, feeds.dstate)
    for key, value in gradients.state.items():
        assert not np.nan_to_num(value[1]).any(), key


@pytest.mark.parametrize("form", ["plain", "lengths", "reset"])
@pytest.mark.parametrize("name", thorough())
def test_nothing_to_run_leaves_the_state_as_it_is(name, form, in_numpy):
    program = program_of(name, "numpy")
    for steps, batch in [(0, 3), (4, 0), (0, 0)] + ([(4, 3)] if form != "plain" else []):
        assert_nothing_happens(program, steps, batch, form)


def assert_nothing_happens(program, steps, batch, form):
    given = {"lengths": None if form == "plain" else np.zeros(batch, int)}
    feeds = random_feeds(program, steps, batch, 0, form, given)
    found = results(program, feeds)
    for name, value in feeds.state.items():
        assert np.array_equal(found[f"final:{name}"], value) and value.shape[0] == batch
        assert np.array_equal(found[f"d state:{name}"], feeds.dstate[name])
    for key, value in found.items():
        if not key.startswith(("final:", "d state:")):
            assert not value.any(), key
            assert key.startswith("d parameter:") or value.shape[:2] == (steps, batch)


# ---- equal bit for bit


@pytest.mark.parametrize(("way", "name"), each_way())
def test_steps_and_pieces_are_the_whole_run_bit_for_bit(way, name, run_as):
    run_as(way)
    program = program_of(name, way, "float32")
    feeds = random_feeds(program, 5, 7, 2)
    whole, final = program(feeds.params, feeds.x, feeds.state)
    for sizes in ((2, 3), (1, 1, 1, 1, 1)):
        state, begin, pieces = feeds.state, 0, []
        for size in sizes:
            y, state = program(feeds.params, steps_of(feeds.x, begin, begin + size), state)
            pieces.append(outputs_of(program, y))
            begin += size
        joined = {key: np.concatenate([piece[key] for piece in pieces]) for key in pieces[0]}
        assert equal(joined, outputs_of(program, whole)) and equal(state, final)
    bound, state = program.bind(feeds.params), feeds.state
    for t in range(5):
        y, state = bound.step({key: value[t] for key, value in feeds.x.items()}, state)
        assert equal(outputs_of(program, y), {key: value[t] for key, value in outputs_of(program, whole).items()})
    assert equal(state, final)


@pytest.mark.parametrize(("way", "name"), each_way())
def test_a_row_is_the_same_in_whatever_batch_it_sits(way, name, run_as):
    run_as(way)
    program = program_of(name, way, "float32")
    feeds = random_feeds(program, 3, 13, 4)
    whole, final = program(feeds.params, feeds.x, feeds.state)
    lengths = np.where(np.arange(13) % 2, 3, 1)
    ragged, _ = program(feeds.params, feeds.x, feeds.state, lengths=lengths)
    for key, value in outputs_of(program, ragged).items():
        assert np.array_equal(value[:, 1::2], outputs_of(program, whole)[key][:, 1::2])
    for rows in (slice(0, 1), slice(3, 8), slice(6, 13), slice(12, None, -3)):
        x = {key: value[:, rows] for key, value in feeds.x.items()}
        y, state = program(feeds.params, x, {key: value[rows] for key, value in feeds.state.items()})
        for key, value in outputs_of(program, y).items():
            assert np.array_equal(value, outputs_of(program, whole)[key][:, rows]), key
        assert equal(state, {key: value[rows] for key, value in final.items()})


@pytest.mark.parametrize(("way", "name"), each_way())
def test_results_do_not_depend_on_the_number_of_threads(way, name, run_as, monkeypatch):
    run_as(way)
    monkeypatch.setattr(executor, "SLICE_WORK", 1)
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)  # threads in NumPy take turns often, so that slots which overlap are seen
    steps, batch = (3, 7) if way == "numpy" else (60, 40)  # machine code is quick: threads must meet
    found = []
    try:
        for threads in (1, 2, 3):
            program = program_of(name, way, "float32", threads)
            found.append(results(program, random_feeds(program, steps, batch, 5, "reset")))
            assert equal(found[0], found[-1]), f"{threads} threads"
    finally:
        sys.setswitchinterval(interval)


@pytest.mark.parametrize(("way", "name"), each_way())
def test_pullbacks_do_not_meet(way, name, run_as):
    run_as(way)
    program = program_of(name, way, "float32")
    first, second = (random_feeds(program, 3, 4, seed) for seed in (0, 1))
    expected = results(program, first)
    y, _, pullback = program.vjp(first.params, first.x, **first.keywords)
    other, _, second_pullback = program.vjp(second.params, second.x, **second.keywords)
    kept = {key: value.copy() for key, value in outputs_of(program, y).items()}
    for _ in range(2):
        second_pullback(second.dy, second.dstate)
        again = pullback(first.dy, first.dstate)
        for key, value in again.params.items():
            assert np.array_equal(value, expected[f"d parameter:{key}"]), key
        for key, value in again.state.items():
            assert np.array_equal(value, expected[f"d state:{key}"]), key
    assert equal(outputs_of(program, y), kept)
    for value in (*outputs_of(program, y).values(), *outputs_of(program, other).values()):
        with pytest.raises(ValueError, match="read-only"):
            value[...] = 0


# ---- what the literature says of gates and cell states


@lg.cell
def valve(x, h):
    """A gate through which the state is seen."""
    return {"y": lg.gate(h, x, name="valve"), "h": h}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("way", ["numpy", pytest.param("compiled", marks=pytest.mark.slow)])
def test_a_gate_lets_nothing_or_everything_or_a_product_through(way, dtype, run_as):
    run_as(way)
    program = lg.compile(valve, input_size=3, hidden_size=6, dtype=dtype, threads=1)
    feeds = random_feeds(program, 4, 3, 0)
    bias = feeds.params["valve.b"]
    bias[:2], bias[2:4] = -1000, 1000
    seen, _ = program(feeds.params, feeds.x, feeds.state)
    everything = np.broadcast_to(feeds.state["h"], seen.shape)
    assert not seen[..., :2].any()
    assert np.array_equal(seen[..., 2:4], everything[..., 2:4])
    between = program.record(feeds.params, feeds.x, ["valve"], feeds.state)["valve"][..., 4:]
    assert ((between > 0) & (between < 1)).all()
    assert np.array_equal(seen[..., 4:], between * everything[..., 4:])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", ["lstm", "peephole_lstm"])
def test_what_is_not_forgotten_is_the_same_after_a_thousand_steps_and_so_is_its_gradient(name, dtype, run_as):
    run_as("compiled" if name == "lstm" else "numpy")
    steps = 1000 if name == "lstm" else 40
    program = program_of(name, "compiled" if name == "lstm" else "numpy", dtype)
    feeds = random_feeds(program, steps, 2, 0)
    feeds.params["forget.b"][:], feeds.params["input.b"][:] = 1000, -1000
    y, final, pullback = program.vjp(feeds.params, feeds.x, feeds.state)
    assert np.array_equal(final["c"], feeds.state["c"])
    gradients = pullback(None, {"c": feeds.dstate["c"]})
    assert np.array_equal(gradients.state["c"], feeds.dstate["c"])
    assert y.any() and not gradients.params["forget.W_h"].any()  # a saturated gate learns nothing


def test_swapped_gates_are_seen(in_numpy):
    program = program_of("lstm", "numpy")
    feeds = random_feeds(program, 3, 2, 0)
    right = results(program, feeds)
    gates = ("forget", "candidate", "input", "output")
    for order in list(permutations(gates))[1:]:
        swapped = {
            f"{other}.{weight}": feeds.params[f"{gate}.{weight}"]
            for gate, other in zip(gates, order, strict=True)
            for weight in ("W_h", "W_x", "b")
        }
        wrong, _ = program(swapped, feeds.x, feeds.state)
        assert np.abs(wrong - right["output:y"]).max() > 1e-2, order
