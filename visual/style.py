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
PLAIN_SIGNS = {"⊗": "outer", "⊙": "×", "∘": "×", "⊕": "+", "ᵀ": "T", "⌊·⌋": "floor", "⌊": "floor(", "⌋": ")"}

# What the bundled engine measures too wide: names with these get a fixed width.
MISMEASURED = "\u0303∂"

_EMS = {0.32: "iljtf.,:;|!'()[] ", 0.5: "cksvxyz∂", 0.86: "mwMWΣ%"}


def text_width(text: str, size: float) -> float:
    """Return about how wide a text is drawn, in points: we place by it, the engine draws the true one."""
    return sum(_ems(sign) for sign in text) * size


def _ems(sign: str) -> float:
    if sign == "\u0303":  # a tilde stands above what is before it
        return 0.0
    usual = 0.7 if sign.isupper() else 0.56
    return next((ems for ems, signs in _EMS.items() if sign in signs), usual)
