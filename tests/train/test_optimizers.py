"""The optimisers against their formulas and against torch's."""

import numpy as np
import pytest

import lstmgraph as lg
from lstmgraph.train.flat import ROW, Layout
from lstmgraph.train.optimizer import Updater, from_json, kinds

SHAPES = {"W": (30, 40), "b": (7,), "n": ()}
RECORDS = {
    "sgd": lg.SGD(0.1),
    "momentum": lg.SGD(0.1, momentum=0.9),
    "adam": lg.Adam(0.01, betas=(0.8, 0.95), epsilon=1e-6),
    "adamw": lg.AdamW(0.01, weight_decay=0.3),
}


def arrays(seed):
    rng = np.random.default_rng(seed)
    return {name: rng.standard_normal(shape) for name, shape in SHAPES.items()}


def run(record, steps=4, dtype="float64"):
    start = {name: value.astype(dtype) for name, value in arrays(0).items()}
    updater = Updater(record, Layout.of(start), dtype, 1)
    weights, norms = updater.start(start), []
    for step in range(steps):
        weights, norm = updater.step(weights, arrays(step + 1), 1 / (step + 1))
        norms.append(norm)
    return updater.layout.views(weights.flat), norms


def formula(record, steps=4):
    """The optimisers in NumPy, for all parameters in one array each."""
    p = arrays(0)
    m, v = ({name: np.zeros_like(value) for name, value in p.items()} for _ in range(2))
    for step in range(steps):
        rate, t = record.learning_rate / (step + 1), step + 1
        for name, g in arrays(step + 1).items():
            if isinstance(record, lg.SGD):
                m[name] = record.momentum * m[name] + g
                p[name] = p[name] - rate * m[name]
                continue
            b1, b2 = record.betas
            p[name] = p[name] - rate * getattr(record, "weight_decay", 0.0) * p[name]
            m[name], v[name] = b1 * m[name] + (1 - b1) * g, b2 * v[name] + (1 - b2) * g * g
            p[name] = p[name] - rate * (m[name] / (1 - b1**t)) / (np.sqrt(v[name] / (1 - b2**t)) + record.epsilon)
    return p


@pytest.mark.parametrize("name", RECORDS)
def test_steps_are_those_of_the_formula(name):
    got, expected = run(RECORDS[name])[0], formula(RECORDS[name])
    assert list(got) == list(expected)
    for key, value in expected.items():
        assert got[key].shape == value.shape
        assert np.allclose(got[key], value, rtol=1e-12, atol=1e-14), key


@pytest.mark.parametrize("name", RECORDS)
def test_steps_are_those_of_torch(name):
    torch = pytest.importorskip("torch")
    record = RECORDS[name]
    parameters = {key: torch.nn.Parameter(torch.tensor(value)) for key, value in arrays(0).items()}
    kind = getattr(torch.optim, type(record).__name__)
    options = {"lr": record.learning_rate}
    if isinstance(record, lg.SGD):
        options |= {"momentum": record.momentum}
    else:
        options |= {"betas": record.betas, "eps": record.epsilon}
    if hasattr(record, "weight_decay"):
        options |= {"weight_decay": record.weight_decay}
    optimizer = kind(parameters.values(), **options)
    for step in range(4):
        for group in optimizer.param_groups:
            group["lr"] = record.learning_rate / (step + 1)
        for key, g in arrays(step + 1).items():
            parameters[key].grad = torch.tensor(g)
        optimizer.step()
    got = run(record)[0]
    assert all(np.allclose(got[key], value.detach().numpy(), rtol=1e-12) for key, value in parameters.items())


def test_the_norm_is_that_of_all_gradients_together_and_clips_them():
    expected = [np.sqrt(sum((g**2).sum() for g in arrays(step + 1).values())) for step in range(2)]
    (got, norms), (plain, _) = run(lg.SGD(1.0, clip_norm=0.5), 1), run(lg.SGD(1.0), 1)
    assert norms == pytest.approx(expected[:1], rel=1e-13)
    start = arrays(0)
    for key in SHAPES:
        assert np.allclose(got[key] - start[key], (plain[key] - start[key]) * 0.5 / norms[0], rtol=1e-12)
    loose, _ = run(lg.SGD(1.0, clip_norm=1e6), 1)
    assert all(np.array_equal(loose[key], plain[key]) for key in SHAPES)


def test_gradients_that_are_not_finite_are_an_error_and_change_nothing():
    updater = Updater(lg.SGD(1.0), Layout.of(arrays(0)), "float64", 1)
    weights = updater.start(arrays(0))
    before = weights.flat.copy()
    with pytest.raises(lg.LstmGraphError, match="norm nan"):
        updater.step(weights, arrays(1) | {"n": np.array(np.nan)})
    assert np.array_equal(weights.flat, before) and weights.step == 0


def test_the_layout_keeps_parameters_apart_and_pads_with_zeros():
    layout = Layout.of(arrays(0))
    flat = layout.fill(layout.zeros("float64"), arrays(0))
    assert flat.shape == (1, layout.rows, ROW) and layout.rows == 3
    for key, view in layout.views(flat).items():
        assert view.base is not None and np.array_equal(view, arrays(0)[key])
    assert np.count_nonzero(flat) == sum(value.size for value in arrays(0).values())


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (lambda: lg.Adam(-1), "Adam: got learning_rate=-1"),
        (lambda: lg.Adam(float("nan")), "learning_rate=nan"),
        (lambda: lg.SGD(float("inf")), "learning_rate=inf"),
        (lambda: lg.SGD("fast"), "learning_rate='fast'"),
        (lambda: lg.SGD(1, clip_norm=0), "clip_norm=0.*more than 0"),
        (lambda: lg.SGD(1, momentum=1.0), "momentum=1.0.*less than 1"),
        (lambda: lg.Adam(betas=(0.9, -0.1)), "betas=-0.1"),
        (lambda: lg.Adam(betas=0.9), "betas=0.9, expected two numbers"),
        (lambda: lg.AdamW(weight_decay=-1), "weight_decay=-1"),
    ],
)
def test_numbers_that_make_no_sense_are_one_error(make, expected):
    with pytest.raises(lg.GraphError, match=expected):
        make()


def test_records_come_back_from_json():
    for record in RECORDS.values():
        assert from_json(record.to_json()) == record
    assert {type(record).__name__ for record in RECORDS.values()} == set(kinds())
    with pytest.raises(lg.GraphError, match="got 'Lion'"):
        from_json({"name": "Lion"})
