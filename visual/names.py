"""How names are written in a figure: one rule each for states, inputs and layers.

* A state named ``c`` that is a conveyor is the memory of the well-known figure and is written as there: C.
  Every other state, input and output keeps its own name. A cotangent ``d_h`` is written ∂h; an adjoint
  runs backwards in time, so its states go from t to t−1.
* Layers have the names that they have in equations: see `lstmgraph.notation.names`.

All this where a figure is asked for symbols; asked for names it writes every name as the cell does.
"""

from collections.abc import Iterable, Mapping

from lstmgraph.errors import DrawingError, nearest
from lstmgraph.notation.names import COTANGENT, layer_words
from lstmgraph.visual.records import Name

NOW, BEFORE = "t", "t−1"
SYMBOLS, NAMES = "symbols", "names"


def shown(name: str, conveyors: Iterable[str] = ()) -> str:
    """Return a state's, input's or output's name as it is drawn."""
    if name.startswith("d_") and len(name) > 2:
        return COTANGENT + shown(name[2:])
    return "C" if name == "c" and "c" in conveyors else name


def old_name(state: str, conveyors: Iterable[str]) -> Name:
    """Return the name of a state's old value."""
    return Name(shown(state, conveyors), NOW if state.startswith("d_") else BEFORE)


def new_name(state: str, conveyors: Iterable[str]) -> Name:
    """Return the name of a state's next value."""
    return Name(shown(state, conveyors), BEFORE if state.startswith("d_") else NOW)


def layer_names(labels: Iterable[str], taken: Iterable[str], reached: Mapping[str, str]) -> dict[str, Name]:
    """Return label -> name beside the layer.

    Parameters
    ----------
    labels : iterable of str
        The labels of all layers.
    taken : iterable of str
        The names of states and inputs, whose letters a layer may not take.
    reached : mapping
        Label -> the shown name of the conveyor that the layer reaches.
    """
    return {label: Name(word, NOW) for label, word in layer_words(labels, taken, reached).items()}


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
