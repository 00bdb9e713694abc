"""Which rows count, and how much: weights of a user's own, and targets that belong to whole sequences."""

from typing import Any

import numpy as np

from lstmgraph.border import as_array
from lstmgraph.errors import DataError
from lstmgraph.graph import Node, features


def spread_target(y: Any, node: Node, T: int, B: int, lengths: Any) -> tuple[Any, Any]:
    """Return a target for each step, and the weights of the rows; None where all count alike.

    A target without steps, [B] or [B, features], belongs to the last valid step of its sequence: no other row counts.

    Parameters
    ----------
    y : array
        Targets [T, B, ...] or [B, ...].
    node : Node
        The target's input.
    T, B : int
        Steps and sequences.
    lengths : integers [B] or None
        Valid steps of each sequence.
    """
    array = as_array("target", y, "an array")
    if array.ndim != 1 + len(features(node.shape)) or len(array) != B:
        return array, None
    ends = np.full(B, T) if lengths is None else np.asarray(lengths)
    weights = (np.arange(T)[:, None] == ends - 1).astype(np.float64)
    return np.broadcast_to(array, (T, *array.shape)), weights


def as_weights(weights: Any, T: int, B: int) -> Any:
    """Return weights [T, B] as numbers.

    Raises
    ------
    DataError
        If the shape is another one, or a weight is negative or not finite.
    """
    array = as_array("weights", weights, f"numbers [T, B] = {[T, B]}")
    if array.shape != (T, B) or array.dtype.kind not in "fiub":
        raise DataError(f"weights: got {array.dtype} of shape {list(array.shape)}, expected numbers [T, B] = {[T, B]}")
    if not (np.isfinite(array).all() and (array >= 0).all()):
        raise DataError(f"weights: got {array[~(np.isfinite(array) & (array >= 0))][0]}, expected finite numbers >= 0")
    return array.astype(np.float64)
