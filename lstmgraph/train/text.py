"""Text as training data: reading it strictly, its vocabulary, and cutting it into streams."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lstmgraph.errors import DataError

UNKNOWN = "\ufffd"  # stands for every character that the training text does not have


@dataclass(frozen=True)
class Vocabulary:
    """The characters a model knows: entry 0 is the unknown one, then those of the training text, sorted.

    Parameters
    ----------
    characters : str
        The entries in their order; the first one is `UNKNOWN`.

    Examples
    --------
    >>> vocabulary = Vocabulary.of("abba")
    >>> vocabulary.encode("abc"), vocabulary.decode([1, 2, 0])
    (array([1, 2, 0]), 'ab�')
    """

    characters: str

    @classmethod
    def of(cls, text: str) -> "Vocabulary":
        """Return the vocabulary of a training text."""
        return cls(UNKNOWN + "".join(sorted(set(text) - {UNKNOWN})))

    def __len__(self) -> int:
        return len(self.characters)

    def encode(self, text: str) -> Any:
        """Return the entry of each character; 0 where the training text did not have it."""
        points = np.frombuffer(text.encode("utf-32-le"), dtype="<u4").astype(np.int64)
        known = np.array([ord(character) for character in self.characters[1:]], dtype=np.int64)
        if not known.size or not points.size:
            return np.zeros(points.shape, np.int64)
        places = np.minimum(np.searchsorted(known, points), known.size - 1)
        return np.where(known[places] == points, places + 1, 0)

    def decode(self, tokens: Iterable[int]) -> str:
        """Return the characters of entries."""
        return "".join(self.characters[int(token)] for token in tokens)


def built_in_text() -> str:
    """Return the English that CPython itself carries: the topics of ``help()``, 465,000 characters."""
    from pydoc_data.topics import topics

    return "\n".join(topics[name] for name in sorted(topics))


def read_text(path: str | Path) -> str:
    """Return the text of a file.

    Raises
    ------
    DataError
        If the file cannot be read, is empty, or is not UTF-8; the message names the byte.
    """
    try:
        content = Path(path).read_bytes()
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise DataError(f"text {path}: {reason.lower()}; pass a file of UTF-8 text") from error
    if not content:
        raise DataError(f"text {path}: got an empty file, expected UTF-8 text")
    try:
        return content.decode("utf-8").removeprefix("\ufeff").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        raise DataError(
            f"text {path}: got byte 0x{content[error.start]:02x} at position {error.start}, expected UTF-8; "
            "convert it, as in `iconv -f latin1 -t utf-8`"
        ) from None


@dataclass(frozen=True)
class Split:
    """A text in two parts, as entries of the vocabulary of the first."""

    vocabulary: Vocabulary
    training: Any
    held_out: Any


def split(text: str, vocabulary: Vocabulary | None = None) -> Split:
    """Return a text with its last tenth held out.

    Parameters
    ----------
    text : str
        The whole text.
    vocabulary : Vocabulary, optional
        The one of a model that is trained further; that of the training part by default.

    Raises
    ------
    DataError
        If the text is too short to hold a tenth out.
    """
    cut = len(text) - len(text) // 10
    if len(text) - cut < 2:
        raise DataError(f"text: got {len(text)} characters, expected at least 20; the last tenth is held out")
    known = vocabulary or Vocabulary.of(text[:cut])
    return Split(known, known.encode(text[:cut]), known.encode(text[cut:]))


def streams(tokens: Any, count: int) -> tuple[Any, Any]:
    """Cut tokens into contiguous streams and return inputs and targets, [T, count] each.

    Stream b is the b-th part of the text; the target of a token is the token that follows it. What does not
    fill the last step, fewer than `count` + 1 tokens, is left out.

    Raises
    ------
    DataError
        If there are too few tokens for one step.

    Examples
    --------
    >>> streams(np.arange(7), 2)
    (array([[0, 3],
           [1, 4],
           [2, 5]]), array([[1, 4],
           [2, 5],
           [3, 6]]))
    """
    steps = (len(tokens) - 1) // count if count > 0 else 0
    if steps < 1:
        raise DataError(f"text: got {len(tokens)} characters for {count} streams, expected at least {count + 1}")

    def cut(part: Any) -> Any:
        return np.ascontiguousarray(part[: steps * count].reshape(count, steps).T)

    return cut(tokens[:-1]), cut(tokens[1:])
