"""Reading text, the vocabulary, streams."""

import numpy as np
import pytest

from lstmgraph import DataError
from lstmgraph.train.text import UNKNOWN, Vocabulary, built_in_text, read_text, split, streams


def test_the_vocabulary_is_sorted_and_comes_back():
    vocabulary = Vocabulary.of("hello…\n")
    assert vocabulary.characters == UNKNOWN + "\nehlo…"
    assert vocabulary.decode(vocabulary.encode("hole…")) == "hole…"


def test_unknown_characters_are_entry_0_also_between_and_beyond_the_known():
    vocabulary = Vocabulary.of("bd")
    assert vocabulary.encode("abcde" + UNKNOWN + "\U0001f600").tolist() == [0, 1, 0, 2, 0, 0, 0]
    assert Vocabulary.of("").encode("ab").tolist() == [0, 0] and vocabulary.encode("").shape == (0,)


def test_the_last_tenth_is_held_out_and_does_not_enter_the_vocabulary():
    data = split("a" * 90 + "ab" * 5)
    assert (len(data.training), len(data.held_out)) == (90, 10)
    assert data.held_out.tolist() == [1, 0] * 5
    with pytest.raises(DataError, match="got 19 characters"):
        split("a" * 19)


def test_streams_are_contiguous_and_targets_are_the_next_tokens():
    tokens = np.arange(23)
    x, y = streams(tokens, 4)
    assert x.shape == y.shape == (5, 4)
    assert x[:, 1].tolist() == [5, 6, 7, 8, 9] and np.array_equal(y, x + 1)
    with pytest.raises(DataError, match="got 4 characters for 4 streams"):
        streams(tokens[:4], 4)


def test_the_built_in_text_is_english_and_long():
    text = built_in_text()
    assert 300_000 < len(text) < 700_000 and " the " in text and len(set(text)) < 200


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", "empty"),
        (b"abc\xe9d", "byte 0xe9 at position 3"),
        (None, "no such file"),
        ("folder", "directory"),
    ],
)
def test_bad_files_are_one_clear_error_that_names_them(tmp_path, content, expected):
    path = tmp_path / "some.txt"
    if content == "folder":
        path.mkdir()
    elif content is not None:
        path.write_bytes(content)
    with pytest.raises(DataError, match=expected) as caught:
        read_text(path)
    assert str(path) in str(caught.value)


def test_line_ends_and_the_byte_order_mark_are_made_plain(tmp_path):
    path = tmp_path / "some.txt"
    path.write_bytes("\ufeffäb\r\nc".encode())
    assert read_text(path) == "äb\nc"
