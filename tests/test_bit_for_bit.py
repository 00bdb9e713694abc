"""What must be equal bit for bit: runs cut in pieces, rows in any batch, any number of threads, states left alone."""

import sys
from itertools import permutations, product

import numpy as np
import pytest
from cells_for_tests import CASES, MASKED, THOROUGH
from runs import DTYPES, each_way, equal, feeds_of, form_of, is_compiled, per_row, program_of, slow_unless

import lstmgraph as lg
from lstmgraph.jit import executor, player, run_recur
from lstmgraph.testing import by_leaf, by_name, random_feeds, results

SOME = [*THOROUGH, *MASKED]
DTYPE = {name: next((each for each in DTYPES if is_compiled(name, each)), None) for name in CASES}
TOGETHER = ("delayed", "joined", "plain_outputs", "projected_lstm", "two_deep", "masked_lstm")  # compiled for it alone


def cut(program, values, steps=slice(None), rows=slice(None)):
    """Return some steps of some rows of the inputs; masks of weights as they are."""
    return {name: value[steps, rows] if per_row(program, name) else value for name, value in values.items()}


# ---- nothing to run


@pytest.mark.parametrize("form", ["plain", "lengths", "reset"])
@pytest.mark.parametrize("name", [pytest.param(name, marks=slow_unless(name in THOROUGH)) for name in CASES])
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


# ---- pieces, batches, threads, pullbacks


@pytest.mark.parametrize(("way", "name"), each_way(SOME))
def test_steps_and_pieces_are_the_whole_run_bit_for_bit(way, name, run_as):
    run_as(way)
    program = program_of(name, way, "float32")
    feeds = feeds_of(program, 5, 7, 2)
    whole, final = program(feeds.params, feeds.x, feeds.state)
    for sizes in ((2, 3), (1, 1, 1, 1, 1)):
        state, begin, pieces = feeds.state, 0, []
        for size in sizes:
            y, state = program(feeds.params, cut(program, feeds.x, slice(begin, begin + size)), state)
            pieces.append(by_name(program, y))
            begin += size
        joined = {key: np.concatenate([piece[key] for piece in pieces]) for key in pieces[0]}
        assert equal(joined, by_name(program, whole)) and equal(state, final)
    if name in MASKED:
        return  # a bound program takes single steps of evaluation
    bound, state = program.bind(feeds.params), feeds.state
    for t in range(5):
        y, state = bound.step({key: value[t] for key, value in feeds.x.items()}, state)
        assert equal(by_name(program, y), {key: value[t] for key, value in by_name(program, whole).items()})
    assert equal(state, final)


@pytest.mark.parametrize(("way", "name"), each_way(SOME))
def test_a_row_is_the_same_in_whatever_batch_it_sits(way, name, run_as):
    run_as(way)
    program = program_of(name, way, "float32")
    feeds = feeds_of(program, 3, 13, 4)
    whole, final = program(feeds.params, feeds.x, feeds.state)
    lengths = np.where(np.arange(13) % 2, 3, 1)
    ragged, _ = program(feeds.params, feeds.x, feeds.state, lengths=lengths)
    for key, value in by_name(program, ragged).items():
        assert np.array_equal(value[:, 1::2], by_name(program, whole)[key][:, 1::2])
    for rows in (slice(0, 1), slice(3, 8), slice(6, 13), slice(12, None, -3)):
        x = cut(program, feeds.x, rows=rows)
        y, state = program(feeds.params, x, {key: value[rows] for key, value in feeds.state.items()})
        for key, value in by_name(program, y).items():
            assert np.array_equal(value, by_name(program, whole)[key][:, rows]), key
        assert equal(state, {key: value[rows] for key, value in final.items()})


@pytest.mark.parametrize(("way", "name"), each_way(SOME))
def test_results_do_not_depend_on_the_number_of_threads(way, name, run_as, monkeypatch):
    run_as(way)
    monkeypatch.setattr(executor, "SLICE_WORK", 1)
    monkeypatch.setattr(player, "HELPED", 1)
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)  # threads in NumPy take turns often, so that slots which overlap are seen
    steps, batch = (3, 7) if way == "numpy" else (60, 40)  # machine code is quick: threads must meet
    found = []
    try:
        for threads in (1, 2, 3):
            program = program_of(name, way, "float32", threads)
            found.append(results(program, feeds_of(program, steps, batch, 5, "reset")))
            assert equal(found[0], found[-1]), f"{threads} threads"
    finally:
        sys.setswitchinterval(interval)


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=slow_unless(DTYPE.get(name) or name in TOGETHER)) for name in sorted(SOME)]
)
def test_threads_that_share_the_units_of_a_row_change_no_bit(name, monkeypatch):
    for place, limit in ((run_recur, "SHARED_BYTES"), (run_recur, "SHARED_WORK"), (player, "HELPED")):
        monkeypatch.setattr(place, limit, 1)
    dtype = DTYPE.get(name) or "float32"
    forms = ("reset",) if name in CASES and form_of(name, dtype) == "reset" else ("plain", "lengths")
    programs = [program_of(name, "compiled", dtype, threads) for threads in (1, 3)]
    for form, steps in product(forms, (40, 9)):  # machine code that other tests need too
        assert equal(*(results(program, feeds_of(program, steps, 2, 6, form)) for program in programs))


@pytest.mark.parametrize(("way", "name"), each_way(SOME))
def test_pullbacks_do_not_meet(way, name, run_as):
    run_as(way)
    program = program_of(name, way, "float32")
    first, second = (feeds_of(program, 3, 4, seed) for seed in (0, 1))
    expected = results(program, first)
    y, _, pullback = program.vjp(first.params, first.x, **first.keywords)
    other, _, second_pullback = program.vjp(second.params, second.x, **second.keywords)
    kept = {key: value.copy() for key, value in by_name(program, y).items()}
    for _ in range(2):
        second_pullback(second.dy, second.dstate)
        again = pullback(first.dy, first.dstate)
        for leaf, value in by_leaf(program, again).items():
            assert np.array_equal(value, expected[f"d {leaf}"]), leaf
    assert equal(by_name(program, y), kept)
    for value in (*by_name(program, y).values(), *by_name(program, other).values()):
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
