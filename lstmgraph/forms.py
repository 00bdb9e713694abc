"""What arguments look like that can be taken as they are: the quick way of a call; all others go by the border."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from lstmgraph.border import Arrays
from lstmgraph.graph import Dim, features, is_row, lead, resize
from lstmgraph.sequences import COTANGENT
from lstmgraph.traced import Traced

KNOWN = 16  # numbers of rows for which zeros are kept


def fits(value: Any, shape: tuple[int, ...], dtype: Any) -> bool:
    """Whether a value is a contiguous array of this very shape and element type."""
    return type(value) is np.ndarray and value.shape == shape and value.dtype is dtype and value.flags.c_contiguous


class Forms:
    """The shapes of a program's parameters, inputs and states, at its sizes.

    Parameters
    ----------
    traced : Traced
        The cell or network.
    sizes : mapping
        Symbol -> size.
    dtype : numpy.dtype
        Of numbers; an index is an int64.
    """

    def __init__(self, traced: Traced, sizes: Mapping[Dim, Dim], dtype: Any) -> None:
        def size(dims: Any) -> tuple[int, ...]:
            return tuple(int(resize(dim, sizes)) for dim in dims)

        nodes = {name: traced.leaves[f"input:{name}"] for name in traced.inputs}
        self.dtype = dtype
        self.inputs = tuple(
            (name, size(features(node.shape)), np.dtype(np.int64) if node.attr("integer") else dtype)
            for name, node in nodes.items()
        )
        self.states = tuple((name, size(features(traced.leaves[f"state:{name}"].shape))) for name in traced.states)
        self.params = {name: size(node.shape) for name, node in traced.parameters.items()}
        self.first = self.inputs[0][0]
        self._known: dict[int, Arrays] = {}  # by B: zeros, which are only read

    def as_params(self, params: Any) -> Arrays | None:
        """Return the parameters by name, or None if they must be looked at."""
        if type(params) is not dict or len(params) != len(self.params):
            return None
        for name, shape in self.params.items():
            if not fits(params.get(name), shape, self.dtype):
                return None
        return dict(params)

    def as_inputs(self, x: Any) -> tuple[Arrays, int, int] | None:
        """Return the inputs by name with T and B, or None if they must be looked at."""
        given = x if type(x) is dict else {self.first: x}
        first = given.get(self.first)
        if len(given) != len(self.inputs) or type(first) is not np.ndarray or first.ndim < 2:
            return None
        rows = T, B = first.shape[:2]
        for name, shape, dtype in self.inputs:
            if not fits(given.get(name), rows + shape, dtype):
                return None
        return dict(given), T, B

    def _zeros(self, B: int) -> Arrays:
        """Return states that are zero, the same arrays for every call of so many rows."""
        zeros = self._known.get(B)
        if zeros is None:
            if len(self._known) >= KNOWN:
                self._known.clear()
            zeros = self._known[B] = {name: np.zeros((B, *shape), self.dtype) for name, shape in self.states}
        return zeros

    def as_states(self, state: Any, B: int) -> Arrays | None:
        """Return the states by name, zeros if none are given, or None if they must be looked at."""
        if state is None:
            return self._zeros(B)
        if type(state) is not dict or len(state) != len(self.states):
            return None
        for name, shape in self.states:
            if not fits(state.get(name), (B, *shape), self.dtype):
                return None
        return dict(state)


def cotangents(sequence: Traced, sizes: Mapping[Dim, Dim]) -> dict[str, tuple[str, int, tuple[int, ...]]]:
    """Return of each output the leaf of its cotangent, how many of its dimensions are rows, and the others' sizes."""
    found = {}
    for name in sequence.outputs:
        shape = sequence.result_shape("output", name)
        role = "input" if is_row(shape) else "parameter"
        size = tuple(int(resize(dim, sizes)) for dim in features(shape))
        found[name] = (f"{role}:{COTANGENT}output:{name}", len(lead(shape)), size)
    return found
