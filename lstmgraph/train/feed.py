"""Data in the order of training: batches of sequences, windows of time, and where training stands."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from lstmgraph.border import Arrays
from lstmgraph.errors import DataError
from lstmgraph.train.optimizer import Weights


@dataclass(frozen=True)
class Place:
    """Where training stands in its data, all of it: with the weights it is what a checkpoint keeps.

    Parameters
    ----------
    epoch : int
        Epochs begun before this one.
    index : int
        The next item of the epoch.
    state : dict
        Recurrent states to carry into it; empty at the start of a sequence.
    data : str
        Fingerprint of the data: other data start a new epoch.
    """

    epoch: int = 0
    index: int = 0
    state: Arrays = field(default_factory=dict)
    data: str = ""


@dataclass(frozen=True)
class Standing:
    """All that training changes; replaced as one, so that an interrupt cannot leave half a step."""

    weights: Weights
    place: Place = field(default_factory=Place)


@dataclass(frozen=True)
class Item:
    """What one training step sees: a window of a batch of sequences.

    Parameters
    ----------
    inputs : dict
        Arrays [T, B, ...] by name, the target among them.
    lengths : integers [B] or None
        Valid steps of each row.
    rows : int
        How many rows are valid.
    weights : array [T, B] or None
        How much each row counts; all alike if None.
    total : float
        The sum of the weights of the valid rows.
    first : bool
        Whether the window is the first one of its sequences.
    """

    inputs: Arrays
    lengths: Any
    rows: int
    weights: Any
    total: float
    first: bool


@dataclass(frozen=True)
class Feed:
    """Sequences, cut into windows of time and batches of rows.

    Parameters
    ----------
    arrays : dict
        Inputs and target by name, [T, B, ...].
    lengths : integers [B] or None
        Valid steps of each sequence.
    weights : array [T, B] or None
        How much each row counts.
    window : int or None
        Steps of a window; the state is carried from one to the next. The whole sequence if None.
    batch_size : int or None
        Sequences of a batch, dealt out anew in each epoch; all of them if None.
    seed : int
        Decides, with the number of the epoch, the order of the sequences.
    """

    arrays: Arrays
    lengths: Any = None
    weights: Any = None
    window: int | None = None
    batch_size: int | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        """Check the sizes."""
        for name, value in (("window", self.window), ("batch_size", self.batch_size)):
            if value is not None and (isinstance(value, bool) or not isinstance(value, int | np.integer) or value < 1):
                raise DataError(f"{name}: got {value!r}, expected a whole number of at least 1, or None")
        if not self._shape[0] or not self._shape[1] or (self.lengths is not None and not self.lengths.any()):
            raise DataError(f"data: got T, B = {self._shape} and nothing valid in it, expected a step of a row")
        if self.weights is not None and not self._valid_weights.any():
            raise DataError("weights: got zeros for every valid row, expected one that counts")

    @property
    def _valid_weights(self) -> Any:
        """The weights, 0 in padding."""
        if self.lengths is None:
            return self.weights
        return np.where(np.arange(self._shape[0])[:, None] < self.lengths, self.weights, 0.0)

    @property
    def _shape(self) -> tuple[int, int]:
        T, B = next(iter(self.arrays.values())).shape[:2]
        return T, B

    @property
    def windows(self) -> int:
        """Windows of a sequence."""
        return -(-self._shape[0] // self.window) if self.window else 1

    @property
    def items(self) -> int:
        """Items of an epoch."""
        return self.windows * (-(-self._shape[1] // self.batch_size) if self.batch_size else 1)

    @property
    def fingerprint(self) -> str:
        """A hash of the data and of how they are cut."""
        found = hashlib.blake2b(repr((self.window, self.batch_size, self.seed)).encode(), digest_size=16)
        for name, array in {**self.arrays, "lengths": self.lengths, "weights": self.weights}.items():
            if array is not None:
                found.update(repr((name, array.dtype.str, array.shape)).encode())
                found.update(np.ascontiguousarray(array).data)
        return found.hexdigest()

    def item(self, place: Place) -> Item:
        """Return the item at a place."""
        T, B = self._shape
        batch, window = divmod(place.index, self.windows)
        start = window * (self.window or T)
        stop = min(start + (self.window or T), T)
        columns = self._columns(place.epoch, batch)
        arrays = {name: self._cut(array, start, stop, columns) for name, array in self.arrays.items()}
        lengths, rows = None, (stop - start) * (B if columns is None else len(columns))
        if self.lengths is not None:
            lengths = self.lengths if columns is None else self.lengths[columns]
            lengths = np.clip(lengths - start, 0, stop - start)
            rows = int(lengths.sum())
        if self.weights is None:
            return Item(arrays, lengths, rows, None, rows, window == 0)
        weights = self._cut(self._valid_weights, start, stop, columns)
        return Item(arrays, lengths, rows, weights, float(weights.sum()), window == 0)

    def after(self, place: Place, state: Mapping[str, Any]) -> Place:
        """Return the place after the item at `place`, given the states at its end."""
        index = place.index + 1
        if index == self.items:
            return Place(place.epoch + 1, 0, {}, place.data)
        carried = {} if index % self.windows == 0 else {name: np.array(value) for name, value in state.items()}
        return Place(place.epoch, index, carried, place.data)

    def _columns(self, epoch: int, batch: int) -> Any:
        """Return the rows of a batch; the order comes from the seed and the epoch alone."""
        if self.batch_size is None:
            return None
        order = np.random.default_rng([self.seed, epoch]).permutation(self._shape[1])
        return order[batch * self.batch_size : (batch + 1) * self.batch_size]

    @staticmethod
    def _cut(array: Any, start: int, stop: int, columns: Any) -> Any:
        return array[start:stop] if columns is None else np.ascontiguousarray(array[start:stop, columns])


def weighted_sum(values: Any, item: Item) -> float:
    """Return the sum of a value [T, B, 1] of each row times how much the row counts."""
    if item.weights is None:
        return float(values.sum(dtype=np.float64))
    return float(np.where(item.weights > 0, values[..., 0] * item.weights, 0.0).sum())
