"""`lg.report`: its numbers are counted by hand, and what it says of states is what differences show."""

import json

import numpy as np
import pytest
from cells_for_tests import CATALOGUE

import lstmgraph as lg
from lstmgraph.mixing import mixing
from lstmgraph.reporting import Work

NAMES = """lstm gru gru_reset_before mgu peephole_lstm layer_norm_lstm min_gru lru s4d_real indrnn rnn scrn indy_lstm
rg_lru janet minimal_rnn on_lstm""".split()


def numbers(cell, name, B=1):
    """Return random float64 parameters, an input of one step and a function that gives a new random state."""
    sizes = CATALOGUE[name].bound(4)
    program = lg.compile(cell, dtype="float64", **sizes)
    rng = np.random.default_rng(3)
    params = {key: value + 0.3 * rng.standard_normal(value.shape) for key, value in program.init(seed=0).items()}
    shapes = {key: (1, B, program.sizes.get(node.shape[-1], node.shape[-1])) for key, node in cell.leaves.items()}
    x = {key: rng.standard_normal(shapes[f"input:{key}"]) for key in cell.inputs}
    return sizes, params, x, lambda: {key: rng.standard_normal(shapes[f"state:{key}"][1:]) for key in cell.states}


def test_the_numbers_of_an_lstm_are_those_counted_by_hand(in_numpy):
    I, H = 3, 8  # noqa: E741
    found = lg.report(lg.cells.lstm, input_size=I, hidden_size=H)
    assert (found.parameters, found.parameter_bytes) == (4 * H * (I + H + 1), 16 * H * (I + H + 1))
    products = 2 * 4 * H * (I + H)
    # four sums of two products, four biases, four activations; tanh of c, three products and a sum
    assert found.forward == Work(products, H * (4 + 4 + 4 + 1 + 3 + 1))
    # the gradient of a product is two products
    assert found.gradient.products == 2 * products
    assert (found.read_bytes, found.written_bytes) == (4 * (I + 2 * H), 4 * 2 * H)
    assert set(found.saved) == {"forget", "input", "candidate", "output"} and found.histories == ("h", "c")
    assert found.saved_bytes == 4 * 6 * H
    assert set(found.recomputed) == {"mul(forget, c)", "mul(input, candidate)", "next c", "tanh(next c)"}
    assert len(found.levels) == 1 and found.before == found.after == () and not found.linear
    assert lg.report(lg.cells.lstm, I, H, dtype="float64").saved_bytes == 2 * found.saved_bytes


def test_what_is_counted_is_what_the_kernels_do(in_numpy):
    """The products of the report are those of the plan's kernels, whatever the cell."""
    for name in ("gru", "mgu", "lru", "layer_norm_lstm"):
        sizes = CATALOGUE[name].bound(4)
        program = lg.compile(lg.cells.catalogue[name], **sizes)
        kernels = [stage.kernel for stage in program.plan.stages if stage.kernel is not None and stage.phase == 0]
        bound = program.sizes
        planned = sum(2 * bound[K] * bound[N] for kernel in kernels for K, N in kernel.flops)
        assert lg.report(lg.cells.catalogue[name], **sizes).forward.products == planned


def test_a_report_is_text_and_plain_data():
    found = lg.report(lg.cells.gru, input_size=3, hidden_size=5)
    text = str(found)
    for part in ("gru: I = 3, H = 5, float32", "before loop  candidate_x", "state h      from h (dense)", "not linear"):
        assert part in text
    assert json.loads(json.dumps(found.data))["forward"]["products"] == found.forward.products
    assert found.data["mixing"] == {"h": {"h": "dense"}}
    assert "recurrence   linear in the states" in str(lg.report(lg.cells.min_gru, 3, 5))


def test_levels_and_what_leaves_the_loop():
    @lg.cell
    def around(x, h):
        h = lg.tanh_layer(h, z=lg.tanh_layer(x, name="early"), name="mix")
        return {"y": lg.tanh_layer(late=h * h, name="late"), "h": h}

    found = lg.report(around, 3, 5)
    assert found.before == ("early",) and len(found.levels) == 1 and len(found.after) == 1
    assert found.forward.products == 2 * (3 * 5 + 2 * 5 * 5 + 5 * 5)
    assert len(lg.report(lg.cells.gru_reset_before, 3, 5).levels) == 2

    @lg.cell
    def free(x):
        return {"y": lg.tanh_layer(x, name="only")}

    alone = lg.report(free, 3, 5)
    assert alone.levels == () and alone.mixing == {} and alone.histories == ()


@pytest.mark.parametrize("name", NAMES)
def test_linear_and_dense_are_what_differences_show(name, in_numpy):
    cell = lg.cells.catalogue[name]
    _, params, x, draw = numbers(cell, name)
    linear, mixed = mixing(cell)

    def after(state):
        return lg.interpret(cell, params, x, state=state)[1]

    a, b = draw(), draw()
    zero = {key: np.zeros_like(value) for key, value in a.items()}
    both = {key: a[key] + b[key] for key in a}
    first, second, start, together = after(a), after(b), after(zero), after(both)
    adds = all(np.allclose(first[key] + second[key] - start[key], together[key], atol=1e-9) for key in a)
    assert linear == adds
    for source in cell.states:
        for unit in range(a[source].shape[1]):
            moved = {key: value.copy() for key, value in a.items()}
            moved[source][0, unit] += 1e-4
            for state, value in after(moved).items():
                touched = np.flatnonzero(np.abs(value - first[state])[0] > 1e-10)
                how = mixed[state].get(source)
                assert how is not None or not touched.size
                assert how != "diagonal" or set(touched) <= {unit}
                if how == "dense" and name in ("lstm", "gru", "mgu", "rnn"):
                    assert len(touched) == a[state].shape[1]


def test_what_an_op_hides_from_the_gradient_is_not_called_linear():
    @lg.cell
    def hidden(x, h):
        return lg.stop_gradient(h) + x

    @lg.cell
    def chosen(x, h):
        return lg.select(x, h, 2 * h)

    @lg.cell
    def squared(x, h):
        return h * h + x

    @lg.cell
    def summed(x, h, k):
        return x + lg.row_sum(h), k + h

    assert not mixing(hidden)[0] and not mixing(squared)[0]
    assert mixing(chosen) == (True, {"h": {"h": "diagonal"}})
    assert mixing(summed) == (True, {"h": {"h": "dense"}, "k": {"h": "diagonal", "k": "diagonal"}})


def test_outputs_do_not_make_a_recurrence_nonlinear():
    @lg.cell
    def bent(x, h):
        h = 0.5 * h + x
        return {"y": lg.tanh(h), "h": h}

    assert mixing(bent)[0]


def test_masks_stand_for_their_means():
    cell = lg.transforms.zoneout(lg.cells.mgu, h=0.1)
    assert lg.report(cell, 3, 5).forward.products == lg.report(lg.cells.mgu, 3, 5).forward.products


def test_impossible_reports_are_refused():
    with pytest.raises(lg.GraphError, match=r"got function, expected a cell"):
        lg.report(lambda x: x, 3, 5)
    with pytest.raises(lg.CompileError, match="float16"):
        lg.report(lg.cells.lstm, 3, 5, dtype="float16")
    with pytest.raises(lg.CompileError, match=r"no size for hidden_size.*to lg\.report"):
        lg.report(lg.cells.lstm, 3)
    with pytest.raises(lg.CompileError, match="unknown size 'K'"):
        lg.report(lg.cells.lstm, 3, 5, K=2)


def test_a_report_compiles_nothing(monkeypatch):
    monkeypatch.setattr("lstmgraph.jit.cache.compile_module", lambda *a, **k: pytest.fail("compiled"))
    lg.report(lg.cells.janet, 3, 5)
