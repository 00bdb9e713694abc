"""The loss curve of a run: a table as CSV, and a small picture as SVG."""

import csv
import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from lstmgraph.train.files import write, writing
from lstmgraph.train.history import History

CSV, SVG = "loss.csv", "loss.svg"
_COLUMNS = ("step", "characters", "seconds", "learning_rate", "training_bits", "held_out_bits")
_WIDTH, _HEIGHT, _LEFT, _TOP, _RIGHT, _BOTTOM = 640, 320, 48, 16, 150, 36


@dataclass(frozen=True)
class Point:
    """A step of the curve: bits per character, held out where it was measured."""

    step: int
    characters: int
    seconds: float
    learning_rate: float
    training_bits: float
    held_out_bits: float | None = None


def points(history: History, before: Sequence[Point] = ()) -> list[Point]:
    """Return the points of a run of training, after those of earlier runs."""
    characters, seconds = (before[-1].characters, before[-1].seconds) if before else (0, 0.0)
    measured = {step: found["bits_per_character"] for step, found in history.validation}
    found = list(before)
    for step in history:
        characters += step.rows
        bits = step.loss / math.log(2)
        found.append(
            Point(
                step.step,
                characters,
                seconds + step.seconds,
                step.learning_rate,
                bits,
                measured.get(step.step),
            )
        )
    return found


def save(folder: Path, curve: Sequence[Point], floors: dict[str, float]) -> None:
    """Write the table and the picture into a run folder."""
    table = io.StringIO()
    writer = csv.writer(table, lineterminator="\n")
    writer.writerow(_COLUMNS)
    for p in curve:
        held_out = "" if p.held_out_bits is None else f"{p.held_out_bits:.6f}"
        writer.writerow(
            (
                p.step,
                p.characters,
                f"{p.seconds:.3f}",
                f"{p.learning_rate:.6g}",
                f"{p.training_bits:.6f}",
                held_out,
            )
        )
    with writing(folder):
        write(folder / CSV, table.getvalue())
        write(folder / SVG, picture(curve, floors))


def load(folder: Path) -> list[Point]:
    """Return the points of a run folder; none if it has no table or an unreadable one."""
    try:
        with open(folder / CSV, encoding="utf-8", newline="") as file:
            return [
                Point(
                    int(row["step"]),
                    int(row["characters"]),
                    float(row["seconds"]),
                    float(row["learning_rate"]),
                    float(row["training_bits"]),
                    float(row["held_out_bits"]) if row["held_out_bits"] else None,
                )
                for row in csv.DictReader(file)
            ]
    except (OSError, ValueError, KeyError, TypeError):
        return []


def picture(curve: Sequence[Point], floors: dict[str, float]) -> str:
    """Return an SVG: the training loss as a line, held-out losses as dots, floors as dashed lines."""
    smooth = _smoothed(curve)
    held_out = [(p.seconds, p.held_out_bits) for p in curve if p.held_out_bits is not None]
    values = [bits for _, bits in smooth + held_out] + list(floors.values()) or [1.0]
    top, bottom = math.ceil(max(values)), min(math.floor(min(values)), math.ceil(max(values)) - 1)
    end = max([seconds for seconds, _ in smooth] or [0.0]) or 1.0

    def at(seconds: float, bits: float) -> tuple[float, float]:
        x = _LEFT + (_WIDTH - _LEFT - _RIGHT) * seconds / end
        y = _TOP + (_HEIGHT - _TOP - _BOTTOM) * (top - bits) / (top - bottom)
        return round(x, 1), round(y, 1)

    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" height="{_HEIGHT}" '
        f'viewBox="0 0 {_WIDTH} {_HEIGHT}" font-family="sans-serif" font-size="12">',
        f'<rect width="{_WIDTH}" height="{_HEIGHT}" fill="white"/>',
    ]
    for whole in range(bottom, top + 1):
        (x0, y), (x1, _) = at(0, whole), at(end, whole)
        lines.append(f'<line x1="{x0}" y1="{y}" x2="{x1}" y2="{y}" stroke="#e0e0e0"/>')
        lines.append(f'<text x="{x0 - 8}" y="{y + 4}" text-anchor="end">{whole}</text>')
    for name, bits in floors.items():
        (x0, y), (x1, _) = at(0, bits), at(end, bits)
        lines.append(f'<line x1="{x0}" y1="{y}" x2="{x1}" y2="{y}" stroke="#888" stroke-dasharray="4 3"/>')
        lines.append(f'<text x="{x1 + 6}" y="{y + 4}" fill="#555">{name} {bits:.2f}</text>')
    path = " ".join(f"{x},{y}" for x, y in (at(*point) for point in smooth))
    lines.append(f'<polyline points="{path}" fill="none" stroke="#1f77b4" stroke-width="1.5"/>')
    for seconds, bits in held_out:
        x, y = at(seconds, bits)
        lines.append(f'<circle cx="{x}" cy="{y}" r="3" fill="#d62728"/>')
    if held_out:
        x, y = at(*held_out[-1])
        lines.append(f'<text x="{x + 6}" y="{y + 4}" fill="#d62728">held out {held_out[-1][1]:.2f}</text>')
    middle = (_LEFT + _WIDTH - _RIGHT) / 2
    under = f"bits per character over {end:.0f} seconds of training"
    lines.append(f'<text x="{middle}" y="{_HEIGHT - 10}" text-anchor="middle">{under}</text>')
    return "\n".join([*lines, "</svg>", ""])


def _smoothed(curve: Sequence[Point], most: int = 300) -> list[tuple[float, float]]:
    """Return (seconds, mean bits) of at most `most` stretches of the curve."""
    length = max(-(-len(curve) // most), 1)
    parts = [curve[start : start + length] for start in range(0, len(curve), length)]
    return [(part[-1].seconds, sum(p.training_bits for p in part) / len(part)) for part in parts]
