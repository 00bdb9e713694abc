"""How names are written in a figure: one rule each for states, inputs and layers.

* A state named ``c`` that is a conveyor is the memory of the well-known figure and is written as there: C.
  Every other state, input and output keeps its own name. A cotangent ``d_h`` is written ∂h; an adjoint
  runs backwards in time, so its states go from t to t−1.
* A layer called ``candidate`` is that of the conveyor which it reaches and is written with a tilde: C̃.
* Any other layer is written as the first letter of its name, ``forget`` as f, as long as no other layer,
  state or input of the cell begins with that letter; otherwise with its full name.
"""

from collections import Counter
from collections.abc import Iterable, Mapping

from lstmgraph.visual.records import Name

NOW, BEFORE = "t", "t−1"
CANDIDATE, TILDE = "candidate", "\u0303"


def shown(name: str, conveyors: Iterable[str] = ()) -> str:
    """Return a state's, input's or output's name as it is drawn."""
    if name.startswith("d_") and len(name) > 2:
        return "∂" + shown(name[2:])
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
    labels = list(labels)
    letters = Counter(label[0].lower() for label in labels if not _is_candidate(label, reached))
    letters.update(name.lower() for name in {*taken, *reached.values()} if len(name) == 1)
    candidates = Counter(reached[label] for label in labels if _is_candidate(label, reached))
    found = {}
    for label in labels:
        if _is_candidate(label, reached) and candidates[reached[label]] == 1 and len(reached[label]) == 1:
            found[label] = Name(reached[label] + TILDE, NOW)
        else:
            found[label] = Name(label[0] if letters[label[0].lower()] == 1 and label[0].isalpha() else label, NOW)
    return found


def _is_candidate(label: str, reached: Mapping[str, str]) -> bool:
    return label.rpartition(".")[2] == CANDIDATE and label in reached


def number(value: float) -> str:
    """Return a number as short as it can be written, with a true minus sign."""
    return f"{value:.4g}".replace("-", "−")
