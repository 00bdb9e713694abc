"""How names are written: letters for layers, tildes for candidates, subscripts for time, ∂ for cotangents.

* A layer is written as the first letter of its name, ``forget`` as f, as long as no other layer, state or input
  begins with that letter; otherwise with its full name. Figures and equations follow this one rule.
* A layer called ``candidate`` is that of the state which it reaches and is written with a tilde: c̃.
* A cotangent ``d_h`` is written ∂h. An adjoint runs backwards in time, so its states go from t to t-1.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

CANDIDATE, TILDE = "candidate", "\u0303"
COTANGENT, ERROR = "∂", "δ"  # the cotangent of a named value; of the sum inside a layer
GREEK = {
    "alpha": "α", "beta": "β", "gamma": "γ", "delta": "δ", "epsilon": "ε", "zeta": "ζ", "eta": "η", "theta": "θ",
    "kappa": "κ", "lambda": "λ", "mu": "μ", "nu": "ν", "xi": "ξ", "rho": "ρ", "tau": "τ", "phi": "φ", "chi": "χ",
    "psi": "ψ", "omega": "ω",
}  # fmt: skip
_GREEK_WORDS = {letter: word for word, letter in GREEK.items()}


@dataclass(frozen=True, slots=True)
class Name:
    """A name as mathematics writes it.

    Parameters
    ----------
    base : str
        The letter or word, with its marks: ``c̃``, ``∂h``.
    subs, sups : tuple of str
        What stands below and above.
    time : int, optional
        Steps from t; None for what does not change with time.
    """

    base: str
    subs: tuple[str, ...] = ()
    sups: tuple[str, ...] = ()
    time: int | None = None

    @property
    def text(self) -> str:
        """The name in one line of text, as ``h_{t-1}`` or ``W_h^f``."""
        return self.base + _script("_", self._below(), str) + _script("^", self.sups, str)

    @property
    def latex(self) -> str:
        """The name in LaTeX."""
        return in_latex(self.base) + _script("_", self._below(), in_latex) + _script("^", self.sups, in_latex)

    def _below(self) -> tuple[str, ...]:
        if self.time is None:
            return self.subs
        return (*self.subs, "t" + (f"{self.time:+d}" if self.time else ""))


def _script(sign: str, words: Iterable[str], written: Callable[[str], str]) -> str:
    text = ",".join(written(word) for word in words)
    if not text:
        return ""
    plain = text.replace(TILDE, "").isalnum() if written is str else len(text) == 1
    return sign + (text if plain else "{" + text + "}")


def in_latex(word: str) -> str:
    """Return a word in LaTeX: letters stand for themselves, words are upright."""
    if word[:1] == COTANGENT:
        return r"\partial " + in_latex(word[1:])
    if word[:1] == ERROR and len(word) > 1:
        return r"\delta " + in_latex(word[1:])
    if word.endswith(TILDE):
        return rf"\tilde{{{in_latex(word[: -len(TILDE)])}}}"
    if word in _GREEK_WORDS:
        return "\\" + _GREEK_WORDS[word]
    if len(word) == 1 or word.isdigit() or word.startswith(("t+", "t-")):
        return word
    return rf"\mathrm{{{escaped(word)}}}"


def escaped(word: str) -> str:
    """Return a word as LaTeX reads it."""
    return word.replace("_", r"\_")


def letter(word: str) -> str:
    """Return a word as it is written alone: the names of Greek letters as letters."""
    return GREEK.get(word, word)


def split_cotangent(name: str) -> tuple[int, str]:
    """Return how many times a name is that of a cotangent, and of what: ``d_d_h`` is (2, "h")."""
    times = 0
    while name.startswith("d_") and len(name) > 2:
        times, name = times + 1, name[2:]
    return times, name


def layer_words(labels: Iterable[str], taken: Iterable[str], reached: Mapping[str, str]) -> dict[str, str]:
    """Return label -> the word that a layer is written as.

    Parameters
    ----------
    labels : iterable of str
        The labels of all layers.
    taken : iterable of str
        The names of states and inputs, whose letters a layer may not take.
    reached : mapping
        Label -> the written name of the state that the layer reaches.

    Examples
    --------
    >>> layer_words(["forget", "input", "candidate"], ["x", "h", "c"], {"candidate": "c"})
    {'forget': 'f', 'input': 'i', 'candidate': 'c̃'}
    """
    labels = list(labels)
    candidates = {label: reached[label] for label in labels if label.split(".")[-1] == CANDIDATE and label in reached}
    alone = Counter(candidates.values())
    tildes = {label: state + TILDE for label, state in candidates.items() if alone[state] == 1 and len(state) == 1}
    letters = Counter(label[0].lower() for label in labels if label not in tildes)
    letters.update(name.lower() for name in {*taken, *reached.values()} if len(name) == 1)
    return {
        label: tildes.get(label) or (label[0] if letters[label[0].lower()] == 1 and label[0].isalpha() else label)
        for label in labels
    }
