"""How names are written in a figure: one rule each for states, inputs and layers.

* A state named ``c`` that is a conveyor is the memory of the well-known figure and is written as there: C.
  Every other state, input and output has the name that it has in equations: h_re is an h with re below it,
  slow_h one with slow above it. A cotangent ``d_h`` is written ∂h; an adjoint runs backwards in time, so its
  states go from t to t−1. What a delay keeps is the value that it is of, some steps ago.
* Layers have the names that they have in equations: see `lstmgraph.notation.names`. The cell that a layer is
  of, as slow in slow.forget, stands above its letter.

All this where a figure is asked for symbols; asked for names it writes every name as the cell does.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace

from lstmgraph.errors import DrawingError, nearest
from lstmgraph.notation.names import ERROR, layer_words, letter, split_cotangent
from lstmgraph.notation.naming import value_name
from lstmgraph.visual.records import Name

NOW, BEFORE = "t", "t−1"
SYMBOLS, NAMES = "symbols", "names"


def leaf_name(name: str, time: str = NOW, conveyors: Collection[str] = ()) -> Name:
    """Return a state's, input's or output's name as it is drawn."""
    leaf = value_name(name)
    base = "C" if leaf.base == "c" and name in conveyors else leaf.base
    return Name(base, time, ",".join(leaf.subs), ",".join(leaf.sups))


def state_times(state: str) -> tuple[str, str]:
    """Return the times of a state's old and next value."""
    return (NOW, BEFORE) if state.startswith("d_") else (BEFORE, NOW)


def delayed_name(of: Name, lag: int, is_input: bool) -> tuple[Name, Name]:
    """Return the names of the old and the next value of what a delay keeps.

    Parameters
    ----------
    of : Name
        The input or the state that is delayed.
    lag : int
        How many delays it has gone through.
    is_input : bool
        Whether it is an input.
    """
    steps = lag if is_input else lag + 1
    old = replace(of, time=f"{NOW}−{steps}", lag=lag - is_input)
    return old, replace(old, time=f"{NOW}−{steps - 1}" if steps > 1 else NOW, lag=lag - is_input)


def layer_names(labels: Iterable[str], taken: Iterable[str], reached: Mapping[str, str]) -> dict[str, Name]:
    """Return label -> name beside the layer.

    Parameters
    ----------
    labels : iterable of str
        The labels of all layers.
    taken : iterable of str
        The names of states and inputs, whose letters a layer may not take.
    reached : mapping
        Label -> the shown letter of the conveyor that the layer reaches.
    """
    found: dict[str, Name] = {}
    labels, taken = list(labels), list(taken)
    for path in dict.fromkeys(label.rpartition(".")[0] for label in labels):
        own = [label for label in labels if label.rpartition(".")[0] == path]
        inside = {label: split_cotangent(label.rpartition(".")[2]) for label in own}
        states = {layer: reached[label] for label, (_, layer) in inside.items() if label in reached}
        letters = layer_words([layer for _, layer in inside.values()], taken, states)
        for label, (times, layer) in inside.items():
            word = letters[layer]
            base, *words = (word,) if word != layer else [letter(part) for part in layer.split("_") if part] or [layer]
            above = path.replace("_", " ").replace(".", ",")
            found[label] = Name(ERROR * times + base, NOW, ",".join(words), above)
    return found


def check_labels(labels: str) -> None:
    """Raise a DrawingError unless this is a way of writing names."""
    if labels not in (SYMBOLS, NAMES):
        raise DrawingError(
            f"draw: got labels {labels!r}, expected {SYMBOLS!r} (f with its subscript t) or {NAMES!r} (forget)"
            f"{nearest(str(labels), [SYMBOLS, NAMES])}"
        )


def number(value: float) -> str:
    """Return a number as short as it can be written, with a true minus sign."""
    return f"{value:.4g}".replace("-", "−")
