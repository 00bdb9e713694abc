"""The catalogue of cells: a file a family; every cell of a family file is in ``catalogue`` by its name.

Each docstring names the paper, the variant and what other libraries call it; equation numbers stand where they were
checked. Where one name means two things, both are here: `gru` and `gru_reset_before`, `mgu` and `mgu_flax`,
`multiplicative_lstm` and `multiplicative_lstm_inside`, `layer_norm_lstm`, `layer_norm_joint_lstm` and
`layer_norm_basic_lstm`, `t_lstm` and `time_aware_lstm`, `lstm` and `original_lstm`.

Not here, because a state is a row of features and not a matrix, a map or a tree: mLSTM, fast weights, delta rules,
retention and RWKV; convolutional LSTM and GRU; tree LSTM. Nor what attends to a whole sequence (SRU++). Layers that are
the same for any cell, such as zoneout or dropout, are in `lstmgraph.transforms`.
"""

import importlib
import pkgutil
from typing import Any, NoReturn

from lstmgraph.errors import UnknownCellError, nearest
from lstmgraph.plugins import plugged, register
from lstmgraph.traced import Cell


class Catalogue(dict[str, Cell]):
    """Cells by name; an unknown name is an `UnknownCellError` with the nearest names."""

    def __missing__(self, name: str) -> NoReturn:
        raise UnknownCellError(
            f"lg.cells: got {name!r}, expected the name of a cell{nearest(str(name), list(self))}; "
            "lg.cells.catalogue has them all"
        )


def _collect() -> Catalogue:
    found = Catalogue()
    for module in pkgutil.iter_modules(__path__):
        family = importlib.import_module(f"{__name__}.{module.name}")
        for name, value in vars(family).items():
            if isinstance(value, Cell) and value.name == name:
                register(found, name, value, family.__name__)
    for name, value, owner in plugged("lstmgraph.cells"):
        register(found, name, value, owner)
    return found


catalogue = _collect()
globals().update(catalogue)


def __getattr__(name: str) -> Any:
    """Return a cell of the catalogue."""
    return catalogue[name]
