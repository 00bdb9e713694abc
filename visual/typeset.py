"""Equations typeset for a figure: names in italics with their scripts, lined up at the equals sign."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from lstmgraph.notation.naming import value_name
from lstmgraph.visual.dot import plain_text
from lstmgraph.visual.records import Scene
from lstmgraph.visual.style import SUBSCRIPT

TILDE = "\u0303"
BELOW, ABOVE = -0.22, 0.4  # from the line to where scripts stand, in sizes of its letters
LEANING = 0.05  # how far a letter in italics leans over to what stands above it
LEADING = 1.6  # from one line to the next
EQUALS = " = "
_SCRIPT = rf"(?:\{{([^{{}}]*)\}}|([^\W_]+{TILDE}?))"
_NAME = re.compile(
    rf"(?:(∑|(?:[∂δ]*[^\W\d_]{TILDE}?)+)(?:_{_SCRIPT})?(?:\^{_SCRIPT})?|\^{_SCRIPT})(\(?)"  # or what stands above ")"
)
# How far signs of Helvetica advance, in sizes: pieces touch, so room as `style.text_width` gives it would gape.
_ADVANCES = {
    0.0: TILDE, 0.222: "ijl", 0.26: "|", 0.278: " !,./:;I[]ft", 0.333: "()-r", 0.5: "Jcksvxyz", 0.549: "σ",
    0.584: "+<=>×÷−", 0.611: "FTZ", 0.667: "ABEKPSVXY", 0.722: "CDHNRUw∑", 0.778: "GOQ", 0.833: "Mm", 0.944: "W",
}  # fmt: skip
_ADVANCE = {sign: advance for advance, signs in _ADVANCES.items() for sign in signs}
_USUAL = 0.556

Key = tuple[str, str, str]  # base, what stands below it but for the time, what stands above it


@dataclass(frozen=True)
class Piece:
    """A text of a line: where it begins and how high it stands, in points from the line's beginning."""

    x: float
    y: float
    text: str
    size: float
    italic: bool = False

    @property
    def width(self) -> float:
        """How far it reaches, in points."""
        return advance(self.text, self.size)


@dataclass(frozen=True)
class Line:
    """An equation as it is written, and its pieces."""

    text: str
    pieces: tuple[Piece, ...]


def advance(text: str, size: float) -> float:
    """Return how far a text in Helvetica advances, in points."""
    return sum(_ADVANCE.get(sign, _USUAL) for sign in text) * size


def typeset(equations: str, size: float, renamed: Mapping[Key, str] | None = None) -> list[Line]:
    """Return equations as lines of pieces, their equals signs one below the other.

    Parameters
    ----------
    equations : str
        As `lstmgraph.equations` writes them, a line each.
    size : float
        Of the letters, in points.
    renamed : mapping, optional
        Names that the figure writes otherwise -> how.

    Examples
    --------
    >>> (line,) = typeset("c_t = f_t ⊙ c_{t-1}", 12, {("c", "", ""): "C"})
    >>> [piece.text for piece in line.pieces]
    ['C', 't', ' = ', 'f', 't', ' × ', 'C', 't−1']
    """
    sides = []
    for text in equations.splitlines():
        left, _, right = plain_text(text.replace("-", "−").replace("ᵀ", "^T")).partition(EQUALS)
        sides.append((text, _set(left, size, renamed or {}), _set(right, size, renamed or {})))
    middle = max((_end(before) for _, before, _ in sides), default=0.0)
    behind = middle + advance(EQUALS, size)
    lines = []
    for text, before, after in sides:
        pieces = [*_moved(before, middle - _end(before)), Piece(middle, 0.0, EQUALS, size), *_moved(after, behind)]
        lines.append(Line(text, tuple(pieces)))
    return lines


def names_drawn(scene: Scene) -> dict[Key, str]:
    """Return the names that a figure writes otherwise than the equations: a conveyor c as C, and its candidate."""
    found: dict[Key, str] = {}
    for state in scene.states:
        written, drawn = value_name(state.name), scene.items[state.old].name
        if drawn is not None and drawn.base != written.base and len(drawn.base) == 1:
            scripts = ",".join(written.subs), ",".join(written.sups)
            found[written.base, *scripts] = drawn.base
            found[written.base + TILDE, *scripts] = drawn.base + TILDE
    return found


def _set(text: str, size: float, renamed: Mapping[Key, str]) -> list[Piece]:
    """Return the pieces of one side of an equation."""
    pieces: list[Piece] = []
    small = size * SUBSCRIPT
    x = 0.0
    for base, below, above, italic in _parts(text, renamed):
        pieces += [Piece(x, 0.0, base, size, italic)] * bool(base)
        x += advance(base, size)
        pieces += [Piece(x, BELOW * size, below, small, True)] * bool(below)
        pieces += [Piece(x + LEANING * size, ABOVE * size, above, small, True)] * bool(above)
        x += max(advance(below, small), advance(above, small) + LEANING * size * bool(above))
    return pieces


def _end(pieces: list[Piece]) -> float:
    return max((piece.x + piece.width for piece in pieces), default=0.0)


def _moved(pieces: list[Piece], by: float) -> list[Piece]:
    return [replace(piece, x=piece.x + by) for piece in pieces]


def _parts(text: str, renamed: Mapping[Key, str]) -> Iterator[tuple[str, str, str, bool]]:
    """Yield what stands on the line, below and above it, and whether it is in italics: names are, functions not."""
    at, plain = 0, ""
    for found in _NAME.finditer(text):
        plain += text[at : found.start()]
        at = found.end()
        below, above = found[2] or found[3] or "", found[4] or found[5] or found[6] or found[7] or ""
        if found[8] and not below and not above:
            plain += found[0]
            continue
        if plain:
            yield plain, "", "", False
        words = ",".join(word for word in below.split(",") if not re.fullmatch(r"t([+−]\d+)?", word))
        base = found[1] or ""
        over = ",".join(renamed.get((word, "", ""), word) for word in above.split(","))
        yield renamed.get((base, words, above), base), below, over, base != "∑"
        plain = found[8]
    plain += text[at:]
    if plain:
        yield plain, "", "", False
