"""The compared cells as one writes them for arrays: the same lines for any library, gates side by side in one product.

All products with the input are taken out of the loop over time, as a careful user does.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

Weights = Mapping[str, Any]
States = tuple[Any, ...]


@dataclass(frozen=True)
class Words:
    """What a library calls these."""

    sigmoid: Callable[[Any], Any]
    tanh: Callable[[Any], Any]
    split: Callable[[Any, int], Any]  # along the features, into equal parts
    norm: Callable[[Any], Any]  # mean 0 and variance 1 along the last axis, 1e-5 added to the variance


@dataclass(frozen=True)
class Equations:
    """A cell for arrays.

    Parameters
    ----------
    weights : callable
        ``weights(params of ours) -> weights``, NumPy arrays.
    before : callable
        ``before(words, weights, x [T, B, I]) -> what each step takes of the input [T, B, n]``.
    step : callable
        ``step(words, weights, taken [B, n], states) -> next states``; the first one is the output.
    states : int
        How many states [B, H] there are.
    """

    weights: Callable[[Mapping[str, Any]], dict[str, Any]]
    before: Callable[[Words, Weights, Any], Any]
    step: Callable[[Words, Weights, Any, States], States]
    states: int


def _beside(params: Mapping[str, Any], names: str, kind: str) -> Any:
    return np.concatenate([params[f"{name}{kind}"] for name in names.split()], axis=-1)


def _lstm_weights(params: Mapping[str, Any]) -> dict[str, Any]:
    names = "forget input output candidate"
    found = {
        "W": _beside(params, names, ".W_x"),
        "U": _beside(params, names, ".W_h"),
        "b": _beside(params, names, ".b"),
    }
    return found | {name: value for name, value in params.items() if name.endswith("peephole")}


def _projected(_: Words, p: Weights, x: Any) -> Any:
    return x @ p["W"] + p["b"]


def _lstm(w: Words, p: Weights, taken: Any, states: States) -> States:
    h, c = states
    f, i, o, n = w.split(taken + h @ p["U"], 4)
    c = w.sigmoid(f) * c + w.sigmoid(i) * w.tanh(n)
    return w.sigmoid(o) * w.tanh(c), c


def _peephole_lstm(w: Words, p: Weights, taken: Any, states: States) -> States:
    h, c = states
    f, i, o, n = w.split(taken + h @ p["U"], 4)
    c = w.sigmoid(f + p["forget.peephole"] * c) * c + w.sigmoid(i + p["input.peephole"] * c) * w.tanh(n)
    return w.sigmoid(o + p["output.peephole"] * c) * w.tanh(c), c


def _mgu_weights(params: Mapping[str, Any]) -> dict[str, Any]:
    names = "forget candidate"
    found = {"W": _beside(params, names, ".W_x"), "b": _beside(params, names, ".b")}
    return found | {"U": params["forget.W_h"], "V": params["candidate.W_h"]}


def _mgu(w: Words, p: Weights, taken: Any, states: States) -> States:
    (h,) = states
    f, n = w.split(taken, 2)
    f = w.sigmoid(f + h @ p["U"])
    return ((1 - f) * h + f * w.tanh(n + (f * h) @ p["V"]),)


def _gru_weights(params: Mapping[str, Any]) -> dict[str, Any]:
    names = "reset update candidate"
    found = {"W": _beside(params, names, ".W_x"), "b": _beside(params, names, ".b")}
    return found | {"U": _beside(params, "reset update", ".W_h"), "V": params["candidate.W_h"]}


def _gru_reset_before(w: Words, p: Weights, taken: Any, states: States) -> States:
    (h,) = states
    seen = h @ p["U"]
    r, z, n = w.split(taken, 3)
    above, below = w.split(seen, 2)
    r, z = w.sigmoid(r + above), w.sigmoid(z + below)
    return (z * h + (1 - z) * w.tanh(n + (r * h) @ p["V"]),)


def _highway_weights(params: Mapping[str, Any]) -> dict[str, Any]:
    first, second = "transform_0 carry_0", "transform_1 carry_1"
    found = {"W": _beside(params, first, ".W_x"), "b": _beside(params, first, ".b")}
    found |= {"U": _beside(params, first, ".W_h"), "V": _beside(params, second, ".W_h")}
    return found | {"b_2": _beside(params, second, ".b")}


def _highway(w: Words, p: Weights, taken: Any, states: States) -> States:
    (h,) = states
    for matrix, seen in (("U", taken), ("V", p["b_2"])):
        new, keep = w.split(seen + h @ p[matrix], 2)
        keep = w.sigmoid(keep)
        h = keep * h + (1 - keep) * w.tanh(new)
    return (h,)


def _normed_weights(params: Mapping[str, Any]) -> dict[str, Any]:
    names = ("forget", "input", "output", "candidate")
    found = {"W": _beside(params, " ".join(names), "_x.W_x"), "U": _beside(params, " ".join(names), "_h.W_h")}
    for side in "xh":
        for kind in ("gain", "b"):
            found[f"{side}.{kind}"] = np.stack([params[f"{name}_{side}_norm.{kind}"] for name in names])
    return found | {"c.gain": params["cell_norm.gain"], "c.b": params["cell_norm.b"]}


def _normed(w: Words, p: Weights, product: Any, side: str) -> Any:
    """Normalise each gate's part of a product by itself."""
    gates = product.reshape(*product.shape[:-1], *p[f"{side}.gain"].shape)
    return (w.norm(gates) * p[f"{side}.gain"] + p[f"{side}.b"]).reshape(product.shape)


def _normed_before(w: Words, p: Weights, x: Any) -> Any:
    return _normed(w, p, x @ p["W"], "x")


def _layer_norm_lstm(w: Words, p: Weights, taken: Any, states: States) -> States:
    h, c = states
    f, i, o, n = w.split(taken + _normed(w, p, h @ p["U"], "h"), 4)
    c = w.sigmoid(f) * c + w.sigmoid(i) * w.tanh(n)
    return w.sigmoid(o) * w.tanh(w.norm(c) * p["c.gain"] + p["c.b"]), c


EQUATIONS = {
    "lstm": Equations(_lstm_weights, _projected, _lstm, 2),
    "mgu": Equations(_mgu_weights, _projected, _mgu, 1),
    "peephole_lstm": Equations(_lstm_weights, _projected, _peephole_lstm, 2),
    "gru_reset_before": Equations(_gru_weights, _projected, _gru_reset_before, 1),
    "highway_2": Equations(_highway_weights, _projected, _highway, 1),
    "layer_norm_lstm": Equations(_normed_weights, _normed_before, _layer_norm_lstm, 2),
}
