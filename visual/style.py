"""How large things are in figures, and in which type: each in one place. Colours stand in themes."""

UNIT = 9.0  # points to one step of the grid
CORNER = 8.0  # radius of a wire's corner, in points
ARROW = 6.5  # length of an arrowhead, in points
FONT = "Helvetica"  # exactly this: a list of fonts makes the bundled engine measure with another one

WIRE, TEXT = "#2B2B2B", "#222222"
FRAME_PEN, PEN = 1.6, 1.3

COLUMN, ROW = 8, 6  # least distance of columns and of rows, in grid units
LAYER_SIZE = (2.5, 1.5)  # half width and half height, in grid units
CIRCLE_SIZE = (1.45, 1.45)
ELLIPSE_SIZE = (2.6, 1.4)
TERMINAL_SIZE = (1.9, 1.9)

# Text that stands in an item: size in points
CAPTION_FONT = 12
LAYER_FONT, SIGN_FONT, WORD_FONT, STATE_FONT, TERMINAL_FONT, LABEL_FONT = 15, 18, 13, 16, 17, 14
SUBSCRIPT = 0.66  # of the size of the base

# The bundled engine's own fonts lack these signs or draw them as empty boxes in PNG.
PLAIN_SIGNS = {"⊗": "outer", "⊙": "×", "∘": "×", "⊕": "+", "ᵀ": "T"}

# What the bundled engine measures too wide: names with these get a fixed width.
MISMEASURED = "\u0303∂"

_NARROW, _WIDE = "iljtf.,:;|!'()[] ", "mwMWΣ%"


def text_width(text: str, size: float) -> float:
    """Return about how wide a text is drawn, in points: we place by it, the engine draws the true one."""
    ems = sum(0.32 if c in _NARROW else 0.86 if c in _WIDE else 0.0 if c == "\u0303" else 0.56 for c in text)
    return ems * size
