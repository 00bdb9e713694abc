"""All parameters side by side in one array, seen as rows: what an optimiser runs over."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

ROW = 512  # elements of a row
_ALIGN = 16  # a parameter starts at a multiple of this many elements: 64 bytes in float32


@dataclass(frozen=True)
class Layout:
    """Where each parameter stands in the flat array.

    Parameters
    ----------
    shapes : tuple of (name, shape)
        The parameters in their order.
    """

    shapes: tuple[tuple[str, tuple[int, ...]], ...]

    @classmethod
    def of(cls, arrays: Mapping[str, Any]) -> "Layout":
        """Return the layout of a dictionary of arrays."""
        return cls(tuple((name, np.shape(array)) for name, array in arrays.items()))

    @cached_property
    def places(self) -> tuple[tuple[str, slice, tuple[int, ...]], ...]:
        """Name, elements and shape of each parameter."""
        found, start = [], 0
        for name, shape in self.shapes:
            count = math.prod(shape)
            found.append((name, slice(start, start + count), shape))
            start += -(-count // _ALIGN) * _ALIGN
        return tuple(found)

    @cached_property
    def rows(self) -> int:
        """The number of rows; the last one is filled up with zeros."""
        end = sum(-(-math.prod(shape) // _ALIGN) * _ALIGN for _, shape in self.shapes)
        return max(-(-end // ROW), 1)

    def zeros(self, dtype: Any) -> Any:
        """Return a flat array of zeros, [1, rows, ROW]."""
        return np.zeros((1, self.rows, ROW), dtype)

    def views(self, flat: Any) -> dict[str, Any]:
        """Return the parameters as views of the flat array."""
        line = flat.reshape(-1)
        return {name: line[elements].reshape(shape) for name, elements, shape in self.places}

    def fill(self, flat: Any, arrays: Mapping[str, Any]) -> Any:
        """Copy arrays into the flat array and return it; a parameter without an array is zero."""
        for name, view in self.views(flat).items():
            view[...] = arrays[name] if arrays.get(name) is not None else 0
        return flat
