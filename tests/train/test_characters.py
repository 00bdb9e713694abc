"""Character models, their samples, and the loss curve."""

import xml.etree.ElementTree as xml

import numpy as np
import pytest

import lstmgraph as lg
from lstmgraph.train import curve
from lstmgraph.train.characters import TextRecord, character_network, sample
from lstmgraph.train.history import History, Step
from lstmgraph.train.text import Vocabulary, streams


@pytest.fixture(scope="module")
def trained():
    """A model that has learned ``abcabcabc...``."""
    vocabulary = Vocabulary.of("abc\n")
    tokens = vocabulary.encode("abc" * 40)
    network = character_network(lg.cells.catalogue["mgu"], len(vocabulary), embedding=4, size=8)
    model = lg.Model(network, optimizer=lg.Adam(0.05))
    model.fit(*streams(tokens, 4), epochs=60)
    return model, vocabulary


def test_a_sample_goes_on_as_the_text_does(trained):
    text = "".join(sample(*trained, length=9, temperature=0, prime="ab"))
    assert text == "cabcabcab"


def test_samples_come_from_their_seed_and_never_show_the_unknown(trained):
    texts = ["".join(sample(*trained, length=200, temperature=50.0, prime="a", seed=seed)) for seed in (1, 1, 2)]
    assert texts[0] == texts[1] != texts[2] and len(texts[0]) == 200
    assert set(texts[0]) == set("abc\n")


def test_temperature_1_draws_from_the_models_probabilities():
    from lstmgraph.train.characters import _choose

    logits, stream = np.log([0.1, 0.6, 0.3]), np.random.default_rng(0)
    drawn = np.bincount([_choose(logits, 1.0, stream) for _ in range(20_000)]) / 20_000
    assert np.allclose(drawn, [0.1, 0.6, 0.3], atol=0.015)
    colder = np.bincount([_choose(logits, 0.5, stream) for _ in range(20_000)]) / 20_000
    assert np.allclose(colder, np.array([0.01, 0.36, 0.09]) / 0.46, atol=0.015)


def test_bad_requests_are_errors_before_anything_is_drawn(trained):
    for options, expected in (
        ({"temperature": -1}, "temperature: got -1"),
        ({"temperature": float("nan")}, "temperature: got nan"),
        ({"length": -1}, "length: got -1"),
        ({"prime": "abé"}, "prime: got 'é'"),
    ):
        with pytest.raises(lg.DataError, match=expected):
            sample(*trained, **({"length": 3} | options))


@pytest.mark.parametrize("name", lg.cells.catalogue)
def test_every_cell_of_the_catalogue_with_one_input_makes_a_network(name):
    cell = lg.cells.catalogue[name]
    if len(cell.inputs) > 1:
        with pytest.raises(lg.GraphError, match="expected one"):
            character_network(cell, 10)
        return
    network = character_network(cell, 10, embedding=4, size=6, layers=2)
    assert len(network.states) == 2 * len(cell.states) and network.parameters["head.W"].shape[1] == 10


def test_the_text_record_comes_back_and_a_bad_one_is_one_error(tmp_path):
    record = TextRecord("\ufffdab…", None, "lstm")
    with pytest.raises(lg.CheckpointError, match=r"holds no text\.json"):
        TextRecord.load(tmp_path)
    record.save(tmp_path)
    assert TextRecord.load(tmp_path) == record
    (tmp_path / "text.json").write_text("{}")
    with pytest.raises(lg.CheckpointError, match="damaged"):
        TextRecord.load(tmp_path)


def history(steps, start=0):
    found = History()
    found += [Step(start + n + 1, 0, 3.0 - n / steps, 10, 1.0, 0.1, (n + 1) / 10) for n in range(steps)]
    found.validation.append((start + steps, {"bits_per_character": 3.25}))
    return found


def test_the_curve_goes_on_after_an_earlier_run_and_comes_back(tmp_path):
    first = curve.points(history(4))
    both = curve.points(history(3, start=4), first)
    assert [p.step for p in both] == [1, 2, 3, 4, 5, 6, 7] and both[-1].characters == 70
    assert both[-1].seconds == pytest.approx(0.7) and both[0].training_bits == pytest.approx(3 / np.log(2))
    curve.save(tmp_path, both, {"order 0": 4.5})
    again = curve.load(tmp_path)
    assert [(p.step, p.held_out_bits) for p in again] == [(p.step, p.held_out_bits) for p in both]
    (tmp_path / "loss.csv").write_text("step\nx\n")
    assert curve.load(tmp_path) == [] == curve.load(tmp_path / "none")


@pytest.mark.parametrize("steps", [0, 1, 2, 1000])
def test_the_picture_is_svg_of_bounded_size(steps):
    points = curve.points(history(steps)) if steps else []
    text = curve.picture(points, {"order 0": 4.5, "5-gram": 1.9})
    root = xml.fromstring(text)
    line = root.find("{http://www.w3.org/2000/svg}polyline")
    pairs = [tuple(map(float, pair.split(","))) for pair in line.get("points").split()]
    assert len(pairs) <= 300 and all(0 <= x <= 640 and 0 <= y <= 320 for x, y in pairs)
    assert pairs == sorted(pairs) and len(text) < 20_000
    assert ("held out 3.25" in text) == (steps > 0) and "5-gram 1.90" in text
