"""Training: models, optimisers, data, checkpoints; each name is imported on first use.

An optimiser is found in the module of its name in small letters: adding one is adding a file.
"""

from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

_HOME = {
    "Model": "model",
    "load": "checkpoint",
    "Optimizer": "optimizer",
    "History": "history",
    "Loss": "losses",
}

__all__ = ["SGD", "Adam", "AdamW", "History", "Loss", "Model", "Optimizer", "load"]


def __getattr__(name: str) -> Any:
    """Import on first use."""
    home = _HOME.get(name, name.lower())
    if home == name or find_spec(f"lstmgraph.train.{home}") is None:
        raise AttributeError(f"module 'lstmgraph.train' has no attribute {name!r}")
    value = getattr(import_module(f"lstmgraph.train.{home}"), name)
    globals()[name] = value
    return value


if TYPE_CHECKING:
    from lstmgraph.train.adam import Adam as Adam
    from lstmgraph.train.adamw import AdamW as AdamW
    from lstmgraph.train.checkpoint import load as load
    from lstmgraph.train.history import History as History
    from lstmgraph.train.losses import Loss as Loss
    from lstmgraph.train.model import Model as Model
    from lstmgraph.train.optimizer import Optimizer as Optimizer
    from lstmgraph.train.sgd import SGD as SGD
