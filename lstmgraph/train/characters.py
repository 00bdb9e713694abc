"""Character models: a network made of any cell, samples of it, and what a run folder says of its text."""

import json
import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

import lstmgraph as lg
from lstmgraph.border import symbols_of
from lstmgraph.errors import CheckpointError, DataError, GraphError, ShapeError
from lstmgraph.graph import Symbol
from lstmgraph.masks import dropout as drop
from lstmgraph.train.files import write, writing
from lstmgraph.train.model import Model
from lstmgraph.train.text import Vocabulary

TEXT = "text.json"


def character_network(
    cell: Any, entries: int, *, embedding: int = 64, size: int = 256, layers: int = 1, dropout: float = 0.0
) -> Any:
    """Return a network of an embedding, `layers` recurs of a cell, and a linear head with one logit an entry.

    Parameters
    ----------
    cell : Cell
        Any cell with one input.
    entries : int
        The size of the vocabulary.
    embedding, size : int
        Features of a character, and the cell's hidden size. A cell whose input and state must have one size
        gets an embedding of that size.
    layers : int
        Recurs, one on top of the other.
    dropout : float
        The rate of `lstmgraph.dropout` after each recur.

    Raises
    ------
    GraphError
        If the cell has several inputs, or a number is not positive.
    """
    for name, value in (("embedding", embedding), ("size", size), ("layers", layers)):
        if value < 1:
            raise GraphError(f"{name}: got {value}, expected at least 1")
    if len(cell.inputs) != 1:
        raise GraphError(
            f"cell {cell.name}: got inputs {', '.join(cell.inputs)}, expected one, the character; choose another cell"
        )
    try:
        return _network(cell, entries, embedding, size, layers, dropout)
    except ShapeError:
        return _network(cell, entries, size, size, layers, dropout)


def _network(cell: Any, entries: int, embedding: int, size: int, layers: int, rate: float) -> Any:
    others: Any = {symbol: size for symbol in symbols_of(cell) if symbol not in ("I", "H")}

    def characters(tokens: Symbol) -> Any:
        value = lg.embedding(tokens, entries, embedding, name="embed", init=("normal", 0.3))
        for layer in range(layers):
            name = cell.name if layers == 1 else f"{cell.name}_{layer + 1}"
            found: Any = lg.recur(cell, value, size=size, name=name, **others)
            value = next(iter(found.values())) if isinstance(found, dict) else found
            value = drop(value, rate, name=name)
        return lg.linear(value, size=entries, name="head")

    return lg.network(characters)


def sample(
    model: Model,
    vocabulary: Vocabulary,
    *,
    length: int,
    temperature: float = 0.7,
    prime: str = "",
    seed: int = 0,
) -> Iterator[str]:
    """Yield characters from a trained model, one by one.

    Parameters
    ----------
    model : Model
        Made of `character_network`.
    vocabulary : Vocabulary
        Its characters; the unknown one is never chosen.
    length : int
        How many characters.
    temperature : float
        1 draws from the model's probabilities, less prefers likely characters, 0 takes the likeliest.
    prime : str
        What the model reads first; it is not repeated. A line's end by default.
    seed : int
        Decides the draws.

    Raises
    ------
    DataError
        If a number makes no sense, or the model does not know a character of `prime`.
    """
    if not (0 <= temperature < math.inf):
        raise DataError(f"temperature: got {temperature}, expected a finite number, 0 or more")
    if length < 0:
        raise DataError(f"length: got {length}, expected 0 or more")
    tokens = vocabulary.encode(prime) if prime else np.maximum(vocabulary.encode("\n"), 1)
    if not tokens.all():
        wrong = prime[int(np.argmin(tokens))]
        raise DataError(f"prime: got {wrong!r}, which the training text does not have; expected characters of it")
    return _drawn(model, vocabulary, tokens, length, temperature, np.random.default_rng(seed))


def _drawn(
    model: Model,
    vocabulary: Vocabulary,
    tokens: Any,
    length: int,
    temperature: float,
    stream: np.random.Generator,
) -> Iterator[str]:
    params = {name: value for name, value in model.params.items() if name in model.network.parameters}
    bound = model.program("network").bind(params)
    state: Any = None
    logits: Any = None
    for token in tokens:
        logits, state = bound.step(np.array([token]), state)
    for _ in range(length):
        token = _choose(np.asarray(logits[0], np.float64)[1:], temperature, stream) + 1
        yield vocabulary.characters[token]
        logits, state = bound.step(np.array([token]), state)


def _choose(logits: Any, temperature: float, stream: np.random.Generator) -> int:
    if temperature == 0:
        return int(np.argmax(logits))
    raised = np.exp((logits - logits.max()) / temperature)
    total = np.cumsum(raised)
    return min(int(np.searchsorted(total, stream.random() * total[-1], side="right")), len(logits) - 1)


@dataclass(frozen=True)
class TextRecord:
    """What a run folder says of the text its model was trained on.

    Parameters
    ----------
    characters : str
        The vocabulary, entry by entry.
    source : str or None
        The text's file; None is the built-in text.
    cell : str
        The cell, as the command line names it.
    """

    characters: str
    source: str | None
    cell: str

    def save(self, folder: Path) -> None:
        """Write it into a run folder."""
        with writing(folder):
            write(
                folder / TEXT,
                json.dumps({"format": "lstmgraph text", "version": 1, **asdict(self)}, indent=1) + "\n",
            )

    @classmethod
    def load(cls, folder: Path) -> "TextRecord":
        """Read it from a run folder.

        Raises
        ------
        CheckpointError
            If the folder has none, or a damaged one.
        """
        try:
            record = json.loads((folder / TEXT).read_bytes())
            return cls(*(record[name] for name in ("characters", "source", "cell")))
        except FileNotFoundError:
            raise CheckpointError(
                f"folder {folder}: holds no {TEXT}; expected a folder that `lstmgraph train` wrote"
            ) from None
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise CheckpointError(f"folder {folder}: {TEXT} is damaged ({type(error).__name__}: {error})") from error
