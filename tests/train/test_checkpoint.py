"""Saving and loading: training goes on bit for bit, and no save loses the last one."""

import json
import os

import numpy as np
import pytest

import lstmgraph as lg
from lstmgraph.train import files
from lstmgraph.train.checkpoint import MODEL

CUT = {"window": 5, "batch_size": 4}


@pytest.mark.parametrize("stop", [1, 2, 4, 6, 7])
def test_training_goes_on_as_if_it_had_never_stopped(tiny, make_model, equal_params, tmp_path, stop):
    whole, part = make_model(), make_model()
    expected = whole.fit(tiny.x, tiny.y, steps=9, **CUT)
    first = part.fit(tiny.x, tiny.y, steps=stop, **CUT)
    part.save(tmp_path / "run")
    again = lg.load(tmp_path / "run")
    assert equal_params(again.params, part.params) and again.steps == stop
    second = again.fit(tiny.x, tiny.y, steps=9 - stop, **CUT)
    assert [s.loss for s in first + second] == expected.loss.tolist()
    assert [(s.step, s.epoch, s.norm) for s in first + second] == [(s.step, s.epoch, s.norm) for s in expected]
    assert equal_params(again.params, whole.params)
    for one, other in zip(again.standing.weights.moments, whole.standing.weights.moments, strict=True):
        assert np.array_equal(one, other)


def test_other_data_begin_a_new_epoch(tiny, make_model, tmp_path):
    model = make_model()
    model.fit(tiny.x, tiny.y, steps=1, **CUT)
    model.save(tmp_path)
    again = lg.load(tmp_path)
    assert again.standing.place.state
    history = again.fit(tiny.y, tiny.x, steps=1, **CUT)
    assert history[0].epoch == 1 and again.standing.place.index == 1


def test_what_is_loaded_predicts_the_same(tiny, make_model, tmp_path):
    model = make_model(optimizer=lg.SGD(0.1, momentum=0.5), dtype="float64", seed=9)
    model.fit(tiny.x, tiny.y)
    model.save(tmp_path)
    again = lg.load(tmp_path)
    assert np.array_equal(again.predict(tiny.x), model.predict(tiny.x))
    assert (again.optimizer, again.seed, again.dtype, again.network.digest) == (
        model.optimizer, model.seed, model.dtype, model.network.digest,
    )  # fmt: skip
    assert again.evaluate(tiny.x, tiny.y) == model.evaluate(tiny.x, tiny.y)


def test_a_loss_and_an_optimiser_of_ones_own(tiny, make_model, tmp_path):
    def softened(prediction, target):
        from lstmgraph.train.losses import cross_entropy

        return cross_entropy(prediction, target) + 0.01 * lg.row_sum(prediction * prediction)

    model = make_model(loss=softened)
    model.fit(tiny.x, tiny.y)
    model.save(tmp_path)
    again = lg.load(tmp_path)
    assert again.loss.name == "softened" and again.objective.digest == model.objective.digest
    assert again.fit(tiny.x, tiny.y).loss.tolist() == model.fit(tiny.x, tiny.y).loss.tolist()
    assert again.evaluate(tiny.x, tiny.y) == model.evaluate(tiny.x, tiny.y)
    again.save(tmp_path)  # and once more
    other = lg.load(tmp_path, loss="cross_entropy", optimizer=lg.SGD(0.5))
    assert other.loss.name == "cross_entropy" and other.optimizer == lg.SGD(0.5)
    assert not any(moment.any() for moment in other.standing.weights.moments)


def test_a_folder_holds_one_model_in_safetensors_and_json(tiny, make_model, tmp_path):
    model = make_model()
    (tmp_path / "weights-of-mine.safetensors").write_text("kept")
    for _ in range(3):
        model.fit(tiny.x, tiny.y)
        model.save(str(tmp_path))
    names = sorted(path.name for path in tmp_path.iterdir())
    assert len(names) == 3 and names[0] == MODEL and "weights-of-mine.safetensors" in names
    assert json.loads((tmp_path / MODEL).read_text())["arrays"]["file"] in names


@pytest.mark.parametrize("number", range(2))
@pytest.mark.parametrize("call", ["replace", "fsync"])
@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_a_save_that_fails_loses_nothing(tiny, make_model, equal_params, tmp_path, monkeypatch, number, call, error):
    model = make_model()
    model.save(tmp_path)
    before = {name: value.copy() for name, value in model.params.items()}
    model.fit(tiny.x, tiny.y)
    original, calls = getattr(os, call), []

    def failing(*arguments):
        calls.append(arguments)
        if len(calls) == 1 + number * (2 if call == "fsync" else 1):  # a file and its folder are flushed
            raise error
        return original(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(files.os, call, failing)
        with pytest.raises(lg.CheckpointError if isinstance(error, OSError) else KeyboardInterrupt) as caught:
            model.save(tmp_path)
    if isinstance(error, OSError):
        assert str(tmp_path) in str(caught.value) and "no space left" in str(caught.value)
    assert equal_params(lg.load(tmp_path).params, before)
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]
    model.save(tmp_path)
    assert equal_params(lg.load(tmp_path).params, model.params)


def damage_text(path, change):
    record = json.loads(path.read_text())
    change(record)
    path.write_text(json.dumps(record))


def weights_of(folder):
    return next(folder.glob("weights-*.safetensors"))


DAMAGES = {
    "no such folder": lambda folder: [path.unlink() for path in folder.iterdir()] and folder.rmdir(),
    "holds no model.json": lambda folder: (folder / MODEL).unlink(),
    "model.json is damaged": lambda folder: (folder / MODEL).write_text("{"),
    "none of lstmgraph's": lambda folder: (folder / MODEL).write_text("[1]"),
    "has version 2, expected 1": lambda folder: damage_text(folder / MODEL, lambda r: r.update(version=2)),
    "safetensors is missing": lambda folder: weights_of(folder).unlink(),
    "safetensors is damaged": lambda folder: weights_of(folder).write_bytes(
        weights_of(folder).read_bytes()[:-1] + b"!"
    ),
    "got digest": lambda folder: damage_text(folder / MODEL, lambda r: r["network"].update(digest="0")),
    "expected weights-": lambda folder: damage_text(folder / MODEL, lambda r: r["arrays"].update(file="/etc/hosts")),
    "'Adagrad'": lambda folder: damage_text(folder / MODEL, lambda r: r["optimizer"].update(name="Adagrad")),
    "'step'": lambda folder: damage_text(folder / MODEL, lambda r: r.pop("step")),
    "got float32 of shape": lambda folder: damage_text(folder / MODEL, lambda r: r.update(dtype="float64")),
}


@pytest.mark.parametrize("expected", DAMAGES)
def test_a_folder_that_is_no_model_is_one_error_that_names_it(make_model, tmp_path, expected):
    folder = tmp_path / "run"
    make_model().save(folder)
    DAMAGES[expected](folder)
    with pytest.raises(lg.CheckpointError, match=expected) as caught:
        lg.load(folder)
    assert str(folder) in str(caught.value) and "\n" not in str(caught.value)


def test_a_folder_that_cannot_be_written_is_one_error(make_model, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(lg.CheckpointError, match="cannot be written") as caught:
        make_model().save(tmp_path / "file" / "run")
    assert str(tmp_path / "file" / "run") in str(caught.value)
    with pytest.raises(lg.CheckpointError, match="cannot be written"):
        files.writable(tmp_path / "file")
