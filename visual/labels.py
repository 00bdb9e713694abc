"""Labels laid out without an engine: lines of plain text, and tables and fonts of labels in HTML."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from xml.etree import ElementTree

from lstmgraph.visual.style import text_width

LINE = 1.2  # height of a line, in sizes of its font
BASELINE = 0.92  # from the top of a line down to its baseline, likewise


@dataclass(frozen=True, slots=True)
class Type:
    """How a text is set: size in points, colour, whether in italics."""

    size: float
    colour: str
    italic: bool = False


@dataclass(frozen=True, slots=True)
class Run:
    """A text with its middle at x, on a baseline at y below the upper side of its block, all in points."""

    x: float
    y: float
    text: str
    width: float
    type: Type


@dataclass(frozen=True, slots=True)
class Block:
    """Texts that are laid out, in a rectangle."""

    width: float
    height: float
    runs: tuple[Run, ...] = ()

    def at(self, x: float, y: float) -> list[Run]:
        """Return the texts, the upper left corner moved to here."""
        return [replace(run, x=run.x + x, y=run.y + y) for run in self.runs]


def lay_out(label: str, type: Type) -> Block:
    r"""Return a label laid out: HTML in angle brackets, or text with its line breaks written as ``\n``.

    Examples
    --------
    >>> block = lay_out(r"one\ntwo", Type(10, "#000000"))
    >>> [run.text for run in block.runs], block.height
    (['one', 'two'], 24.0)
    """
    if label.startswith("<"):
        return _inline(ElementTree.fromstring(f"<LABEL>{label[1:-1]}</LABEL>"), type)
    lines = [re.sub(r"\\(.)", r"\1", line) for line in re.split(r"\\[nl]", label)]
    return _stacked([_text(line, type) for line in lines])


def _text(text: str, type: Type) -> Block:
    width = text_width(text, type.size)
    return Block(width, LINE * type.size, (Run(width / 2, BASELINE * type.size, text, width, type),) if text else ())


def _stacked(lines: list[Block]) -> Block:
    """Return lines one below the other, in the middle."""
    width = max((line.width for line in lines), default=0.0)
    runs: list[Run] = []
    y = 0.0
    for line in lines:
        runs += line.at((width - line.width) / 2, y)
        y += line.height
    return Block(width, y, tuple(runs))


def _beside(parts: list[Block]) -> Block:
    """Return parts side by side, in the middle of the line."""
    height = max((part.height for part in parts), default=0.0)
    runs: list[Run] = []
    x = 0.0
    for part in parts:
        runs += part.at(x, (height - part.height) / 2)
        x += part.width
    return Block(x, height, tuple(runs))


def _inline(element: ElementTree.Element, type: Type) -> Block:
    """Return what stands in an element: texts, fonts, breaks, tables."""
    lines: list[list[Block]] = [[]]
    for part in _parts(element, type):
        if part is None:
            lines.append([])
        else:
            lines[-1].append(part)
    return _stacked([_beside(line) for line in lines])


def _parts(element: ElementTree.Element, type: Type) -> Iterator[Block | None]:
    """Yield the blocks of an element one after the other, None for a line break."""
    if element.text:
        yield _text(element.text, type)
    for child in element:
        if child.tag == "BR":
            yield None
        elif child.tag == "TABLE":
            yield _table(child, type)
        else:
            size, colour = float(child.get("POINT-SIZE", type.size)), child.get("COLOR", type.colour)
            yield from _parts(child, Type(size, colour, type.italic or child.tag == "I"))
        if child.tail:
            yield _text(child.tail, type)


@dataclass(frozen=True, slots=True)
class _Cell:
    row: int
    column: int
    rows: int
    content: Block
    width: float
    height: float
    align: str
    valign: str


def _table(table: ElementTree.Element, type: Type) -> Block:
    """Return a table: columns as wide and rows as high as their cells want."""
    gap = float(table.get("CELLSPACING", 2))
    cells = list(_cells(table, type))
    widths = [0.0] * (1 + max((cell.column for cell in cells), default=0))
    heights = [0.0] * (max((cell.row + cell.rows for cell in cells), default=1))
    for cell in cells:
        widths[cell.column] = max(widths[cell.column], cell.width)
        if cell.rows == 1:
            heights[cell.row] = max(heights[cell.row], cell.height)
    for cell in cells:
        span = slice(cell.row, cell.row + cell.rows)
        lacking = cell.height - sum(heights[span]) - gap * (cell.rows - 1)
        if lacking > 0:
            heights[span] = [height + lacking / cell.rows for height in heights[span]]
    runs: list[Run] = []
    for cell in cells:
        x = gap + sum(widths[: cell.column]) + gap * cell.column
        y = gap + sum(heights[: cell.row]) + gap * cell.row
        wide = widths[cell.column] - cell.content.width
        high = sum(heights[cell.row : cell.row + cell.rows]) + gap * (cell.rows - 1) - cell.content.height
        part = {"LEFT": 0.0, "RIGHT": 1.0}.get(cell.align, 0.5)
        runs += cell.content.at(x + wide * part, y + high * {"TOP": 0.0, "BOTTOM": 1.0}.get(cell.valign, 0.5))
    return Block(sum(widths) + gap * (len(widths) + 1), sum(heights) + gap * (len(heights) + 1), tuple(runs))


def _cells(table: ElementTree.Element, type: Type) -> Iterator[_Cell]:
    padding = float(table.get("CELLPADDING", 2))
    taken: set[tuple[int, int]] = set()
    for row, line in enumerate(table.findall("TR")):
        column = 0
        for cell in line.findall("TD"):
            while (row, column) in taken:
                column += 1
            content = _inline(cell, type)
            fixed = cell.get("FIXEDSIZE") == "TRUE"
            wide, high = (float(cell.get(word, 0)) for word in ("WIDTH", "HEIGHT"))
            around = 2 * float(cell.get("CELLPADDING", padding))
            width = wide if fixed else max(wide, content.width + around)
            height = high if fixed else max(high, content.height + around)
            rows = int(cell.get("ROWSPAN", 1))
            taken |= {(row + down, column) for down in range(rows)}
            align, valign = cell.get("ALIGN", "CENTER"), cell.get("VALIGN", "MIDDLE")
            yield _Cell(row, column, rows, content, width, height, align, valign)
            column += 1
