"""Train a character model: on English text that CPython carries, or on a text file.

The last tenth of the text is held out. Beside the held-out bits per character stand two floors: the order-0
entropy and an order-5 n-gram model. The model, its loss curve, its cell's figure and a sample go into a run
folder.
"""

import argparse
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lstmgraph.cli._find import find_cell
from lstmgraph.cli._folder import RunFolder

if TYPE_CHECKING:
    from lstmgraph.train.history import Step
    from lstmgraph.train.model import Model
    from lstmgraph.train.text import Split

_SECONDS = 90.0
_LEARNING_RATE = 8e-3
_DROPOUT = 0.4
_WEIGHT_DECAY = 0.1
_SAVE_EVERY = 60.0  # seconds of training
_SAMPLE = 600
_FLOOR_CHARACTERS = 5_000_000  # of the training text that the n-gram model counts


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    add = parser.add_argument
    add("--text", type=Path, metavar="FILE", help="a UTF-8 text (default: the topics of Python's help)")
    add("--cell", metavar="CELL", help="a cell of the catalogue, or module:name (default: lstm)")
    add("--size", type=_positive, metavar="H", help="hidden size (default: 256)")
    add("--layers", type=_positive, metavar="N", help="cells on top of each other (default: 1)")
    add(
        "--seconds",
        type=_number,
        metavar="S",
        help=f"time to train for (default: {_SECONDS:.0f}, or until --steps)",
    )
    add("--steps", type=_positive, metavar="N", help="steps to train for")
    add("--out", type=Path, metavar="DIR", help="run folder (default: runs/<cell>-<size>-<n>, a new one)")
    add("--seed", type=_whole, metavar="N", help="decides the first parameters (default: 0)")
    add(
        "--resume",
        nargs="?",
        type=Path,
        const=Path(),
        metavar="DIR",
        help="train the model in DIR, or in --out, further",
    )
    add("--learning-rate", type=_number, metavar="R", help=f"greatest learning rate (default: {_LEARNING_RATE})")
    add("--dropout", type=_rate, metavar="P", help=f"rate of dropout after each layer (default: {_DROPOUT})")
    add(
        "--batch-size",
        type=_positive,
        default=32,
        metavar="B",
        help="streams read side by side (default: %(default)s)",
    )
    add(
        "--window",
        type=_positive,
        default=64,
        metavar="T",
        help="characters a step sees (default: %(default)s)",
    )


def run(arguments: argparse.Namespace) -> int:
    """Train, measure, sample, and write the run folder."""
    _check_usage(arguments)
    from lstmgraph.train.text import Vocabulary, built_in_text, read_text, split

    record, model = _resumed(arguments)
    source = arguments.text or (Path(record.source) if record is not None and record.source else None)
    text = read_text(source) if source is not None else built_in_text()
    data = split(text, Vocabulary(record.characters) if record is not None else None)
    if model is None:
        model = _new_model(arguments, data)
    cell = record.cell if record is not None else arguments.cell or "lstm"
    with RunFolder(_folder(arguments, cell), resumed=record is not None) as folder:
        sizes = f"{len(data.training):,} characters to train on, {len(data.held_out):,} held out"
        _say("text", f"{source or 'the topics of Python'}: {sizes}, {len(data.vocabulary) - 1} different")
        floors = _floors(data)
        _say_model(model, cell, folder.path)
        folder.describe(data.vocabulary, source, cell)
        history = _fit(arguments, model, data, folder)
        _report(model, data, history, floors, folder, arguments)
    return 130 if history.interrupted else 0


def _check_usage(arguments: argparse.Namespace) -> None:
    """End with a usage error where arguments contradict each other."""
    if arguments.resume is None:
        return
    for name in ("cell", "size", "layers", "seed", "learning_rate", "dropout"):
        if getattr(arguments, name) is not None:
            arguments.parser.error(
                f"argument --{name.replace('_', '-')}: not allowed with --resume, the saved model has its own"
            )
    if arguments.resume == Path() and arguments.out is None:
        arguments.parser.error("argument --resume: expected a folder, or --out")
    if arguments.resume != Path() and arguments.out not in (None, arguments.resume):
        arguments.parser.error("argument --resume: not allowed with another --out, the run goes on in its folder")


def _folder(arguments: argparse.Namespace, cell: str) -> Path:
    """Return the run folder that is asked for, or the next free name."""
    if arguments.resume not in (None, Path()):
        return Path(arguments.resume)
    if arguments.out is not None:
        return Path(arguments.out)
    name = f"{cell.rpartition(':')[2]}-{arguments.size or 256}"
    number = 1
    while (Path("runs") / f"{name}-{number}").exists():
        number += 1
    return Path("runs") / f"{name}-{number}"


def _resumed(arguments: argparse.Namespace) -> tuple[Any, Any]:
    if arguments.resume is None:
        return None, None
    from lstmgraph.train import load
    from lstmgraph.train.characters import TextRecord

    folder = _folder(arguments, "")
    model = load(folder)
    return TextRecord.load(folder), model


def _new_model(arguments: argparse.Namespace, data: "Split") -> "Model":
    from lstmgraph.train import AdamW, Model
    from lstmgraph.train.characters import character_network

    network = character_network(
        find_cell(arguments.cell or "lstm"),
        len(data.vocabulary),
        size=arguments.size or 256,
        layers=arguments.layers or 1,
        dropout=_DROPOUT if arguments.dropout is None else arguments.dropout,
    )
    rate = _LEARNING_RATE if arguments.learning_rate is None else arguments.learning_rate
    optimizer = AdamW(rate, clip_norm=1.0, weight_decay=_WEIGHT_DECAY)
    return Model(network, "cross_entropy", optimizer, seed=arguments.seed or 0)


def _say(subject: str, text: str) -> None:
    print(f"{subject:<12}{text}", flush=True)


def _say_model(model: "Model", cell: str, folder: Path) -> None:
    _say("run folder", str(folder))
    parameters = sum(value.size for value in model.params.values())
    _say("model", f"{cell}, {parameters:,} parameters, {model.steps} steps so far")


def _floors(data: "Split") -> dict[str, float]:
    """Print and return what a model that knows nothing, and one that counts, would need."""
    from lstmgraph.train.ngram import NGram, entropy, highest_order

    order = highest_order(len(data.vocabulary))
    counted = NGram(data.training[-_FLOOR_CHARACTERS:], len(data.vocabulary), order)
    floors = {"order 0": entropy(data.held_out), f"{order}-gram": counted.bits_per_character(data.held_out)}
    zero, grams = floors.values()
    _say("floors", f"{zero:.3f} bits per character: entropy of single characters")
    _say("", f"{grams:.3f} bits per character: order-{order} n-gram model, Witten-Bell")
    return floors


def _fit(arguments: argparse.Namespace, model: "Model", data: "Split", folder: RunFolder) -> Any:
    from lstmgraph.train.text import streams

    window = min(arguments.window, max(len(data.training) - 1, 1))
    x, y = streams(data.training, max(min(arguments.batch_size, len(data.training) // (window + 1)), 1))
    seconds = arguments.seconds
    if seconds is None and arguments.steps is None:
        seconds = _SECONDS
    saved = 0.0

    def keep(step: "Step") -> None:
        nonlocal saved
        if step.seconds - saved >= _SAVE_EVERY:
            saved = step.seconds
            model.save(folder.path)

    return model.fit(
        x,
        y,
        window=window,
        seconds=seconds,
        steps=arguments.steps,
        schedule="cosine",
        validation=_held_out(data),
        callback=keep,
    )


def _held_out(data: "Split") -> tuple[Any, Any]:
    from lstmgraph.train.text import streams

    return streams(data.held_out, max(min(8, len(data.held_out) // 512), 1))


def _report(
    model: "Model",
    data: "Split",
    history: Any,
    floors: dict[str, float],
    folder: RunFolder,
    arguments: argparse.Namespace,
) -> None:
    """Save everything, then print what came out."""
    from lstmgraph.train.characters import sample

    model.save(folder.path)
    if not history.validation or history.validation[-1][0] != model.steps:
        history.validation.append((model.steps, model.evaluate(*_held_out(data))))
    measured = history.validation[-1][1]
    folder.draw_curve(history, floors)
    text = "".join(sample(model, data.vocabulary, length=_SAMPLE, seed=arguments.seed or 0))
    folder.write("sample.txt", text + "\n")
    folder.draw_cell(model)
    bits, right = measured["bits_per_character"], measured["accuracy"]
    name, floor = list(floors.items())[-1]
    verdict = "below" if bits < floor else "NOT below"
    print(f"sample\n{text}\n")
    _say(
        "held out",
        f"{bits:.3f} bits per character, {verdict} the {name}'s {floor:.3f}; {right:.1%} guessed right",
    )
    if history:
        taken = f"{len(history):,} steps in {history[-1].seconds:.0f} s"
        _say("speed", f"{history.rows_per_second:,.0f} characters/s, {taken}")
    _say("run folder", f"{folder.path}; more text: lstmgraph sample {folder.path}")


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"got {text}, expected at least 1")
    return value


def _whole(text: str) -> int:
    value = int(text)
    if value < 0:
        raise argparse.ArgumentTypeError(f"got {text}, expected 0 or more")
    return value


def _rate(text: str) -> float:
    value = float(text)
    if not 0 <= value < 1:
        raise argparse.ArgumentTypeError(f"got {text}, expected 0 to less than 1")
    return value


def _number(text: str) -> float:
    value = float(text)
    if not 0 < value < math.inf:
        raise argparse.ArgumentTypeError(f"got {text}, expected a finite number above 0")
    return value
