"""Which rows count, and how much: weights of a user's own, and targets that belong to whole sequences."""

from typing import Any

import numpy as np

from lstmgraph.border import as_array
from lstmgraph.errors import DataError, ShapeError
from lstmgraph.graph import Node, features


def spread_target(y: Any, node: Node, T: int, B: int, lengths: Any, where: str) -> tuple[Any, Any]:
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
    where : str
        The network, for errors.

    Raises
    ------
    ShapeError
        If it is neither; a feature too many or too few is left to the check of the inputs.
    """
    array = as_array(f"{where}: target", y, "an array")
    size = features(node.shape)
    if array.shape[:2] == (T, B) and array.ndim == 2 + len(size):
        return array, None
    fits = all(dim == got or isinstance(dim, str) for dim, got in zip(size, array.shape[1:], strict=False))
    if array.ndim != 1 + len(size) or len(array) != B or not fits:
        more = "".join(f", {dim}" for dim in size)
        if size and array.shape in ((T, B), (B,)) and (size[0] == 1 or isinstance(size[0], str)):
            remedy = "for one feature add the last axis: y[..., None]"
        else:
            remedy = "a label that every step shall predict is given at each step"
        raise ShapeError(
            f"{where}: target: got shape {list(array.shape)}, expected [T, B{more}] = [{T}, {B}{more}], or [B{more}] = "
            f"[{B}{more}] for one target a sequence, which counts at its last valid step; {remedy}"
        )
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
