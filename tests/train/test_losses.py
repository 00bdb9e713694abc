"""The losses as graphs against their formulas, and the objective that they make with a network."""

import numpy as np
import pytest

import lstmgraph as lg
from lstmgraph.graph import node_of
from lstmgraph.train.losses import LOSSES, Loss, as_loss
from lstmgraph.train.objective import measures, objective, target_name


@lg.network
def same_as_input(x):
    return x * 1


def rows_of(loss, x, y):
    return lg.interpret(measures(same_as_input, LOSSES[loss]), {}, {"x": x, "target": y})[0]


def test_cross_entropy_and_accuracy_are_their_formulas_also_for_great_logits():
    rng = np.random.default_rng(0)
    logits, target = rng.standard_normal((4, 3, 5)) * 3000, rng.integers(0, 5, (4, 3))
    logits[0, 0] = 0
    found = rows_of("cross_entropy", logits, target)
    shifted = logits - logits.max(-1, keepdims=True)
    expected = np.log(np.exp(shifted).sum(-1)) - np.take_along_axis(shifted, target[..., None], -1)[..., 0]
    assert np.allclose(found["loss"][..., 0], expected, rtol=1e-12)
    right = (logits.argmax(-1) == target).astype(float)
    right[0, 0] = 1 / 5  # five share the first place
    assert np.allclose(found["accuracy"][..., 0], right)


def test_mean_squared_error_is_its_formula():
    rng = np.random.default_rng(1)
    x, y = rng.standard_normal((2, 4, 3, 5))
    assert np.allclose(rows_of("mean_squared_error", x, y)[..., 0], ((x - y) ** 2).mean(-1))


def test_a_function_of_symbols_is_a_loss():
    def absolute(prediction, target):
        return lg.row_sum(lg.abs(prediction - target))

    rng = np.random.default_rng(2)
    x, y = rng.standard_normal((2, 4, 3, 5))
    got, _ = lg.interpret(objective(same_as_input, as_loss(absolute)), {}, {"x": x, "target": y})
    assert np.allclose(got[..., 0], np.abs(x - y).sum(-1))


def test_the_objective_keeps_states_labels_and_parameters(tiny):
    whole = objective(tiny.network, LOSSES["cross_entropy"])
    assert whole.inputs == ("tokens", "target") and whole.outputs == ("loss",)
    assert whole.states == tiny.network.states and list(whole.parameters) == list(tiny.network.parameters)
    assert set(whole.graph.graph["labels"]) == set(tiny.network.graph.graph["labels"])


def test_an_input_called_target_does_not_clash():
    @lg.network
    def shifted(x, target):
        return x + target

    assert target_name(shifted) == "target_"
    assert objective(shifted, LOSSES["mean_squared_error"]).inputs == ("x", "target", "target_")


def test_a_cell_can_be_trained_as_well():
    whole = objective(lg.cells.catalogue["rnn"], LOSSES["mean_squared_error"])
    assert isinstance(whole, lg.Cell) and whole.states == ("h",) and whole.outputs == ("loss",)


def test_losses_that_make_no_sense_are_errors(tiny):
    with pytest.raises(lg.GraphError, match=r"got 'crossentropy'.*nearest: cross_entropy"):
        as_loss("crossentropy")
    wide = Loss("wide", lambda prediction, target: prediction - target)
    with pytest.raises(lg.GraphError, match="expected one value a row"):
        objective(tiny.network, wide)
    with pytest.raises(lg.GraphError, match="got 3 values a row"):  # found when the data say so
        lg.Model(same_as_input, wide).evaluate(np.ones((2, 2, 3)), np.ones((2, 2, 3)))
    with pytest.raises(lg.GraphError, match="got float"):
        objective(same_as_input, Loss("number", lambda prediction, target: 1.0))


@pytest.mark.parametrize("apart", [False, True])
def test_a_step_with_cross_entropy_holds_what_the_gradient_needs_of_each_class_alone(apart):
    classes = 11

    @lg.network
    def classified(tokens):
        y = lg.recur(lg.cells.lstm, lg.embedding(tokens, 7, 3, name="embed"), size=5, name="lstm")
        return lg.linear(y, size=classes, name="head")

    program = lg.compile(objective(classified, LOSSES["cross_entropy"]))
    plan = program.engine.passes(1, apart=apart).plan
    held = [
        key
        for stage in plan.stages
        for _, key in stage.results
        if node_of(plan.traced.graph, key).shape == ("T", "B", classes)
    ]
    # cotangents of the logits; and, where backward is another call, the exponentials from which they follow
    assert len(held) == (2 if apart else 1)
