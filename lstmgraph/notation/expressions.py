"""Expressions: a tree of names, numbers and ops, and how it is written as text or in LaTeX."""

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from lstmgraph.dims import joined
from lstmgraph.notation.names import Name, in_latex
from lstmgraph.ops.contract import Binding, Form, Notation

Language = Literal["text", "latex"]
_LEVELS: dict[str, int] = {binds: level for level, binds in enumerate(get_args(Binding))}
_KNOWN: dict[float, tuple[str, str, Binding]] = {
    math.e: ("e", "e", "atom"),
    math.pi: ("π", r"\pi", "atom"),
    math.pi / 2: ("π / 2", r"\frac{\pi}{2}", "quotient"),
}
_TALL = (r"\frac", r"\begin", r"\sqrt")  # what ordinary parentheses are too low for


@dataclass(frozen=True)
class Number:
    """A number of the cell's equations."""

    value: float


@dataclass(frozen=True)
class Applied:
    """An op on expressions, with the op's attributes; whether its first operand is a number put before the second."""

    notation: Notation
    operands: "tuple[Expression, ...]"
    attrs: Mapping[str, Any] = field(default_factory=dict)
    by_number: bool = False


Expression = Name | Number | Applied


def names_in(expression: Expression) -> Iterator[Name]:
    """Yield the names that an expression reads, from left to right."""
    if isinstance(expression, Name):
        yield expression
    elif isinstance(expression, Applied):
        for operand in expression.operands:
            yield from names_in(operand)


def write(expression: Expression, language: Language) -> str:
    """Return an expression as text or in LaTeX, with no more parentheses than it needs."""
    return _write(expression, language).written


@dataclass(frozen=True)
class _Written:
    """A written operand; formatted with the name of a binding it takes the parentheses that it needs there."""

    written: str
    binds: Binding
    parentheses: Callable[[str], str]
    first: bool = True

    def __format__(self, least: str) -> str:
        if not least:
            return self.written
        loose = _LEVELS[self.binds] < _LEVELS[least]
        signed = not self.first and self.written.startswith("-")  # a + (-b)
        return self.parentheses(self.written) if loose or signed else self.written


def _write(expression: Expression, language: Language, first: bool = True) -> _Written:
    parentheses = _high if language == "latex" else _plain
    if isinstance(expression, Name):
        return _Written(getattr(expression, language), "atom", parentheses, first)
    if isinstance(expression, Number):
        return _Written(*_number(expression.value, language), parentheses, first)
    operands = [_write(operand, language, place == 0) for place, operand in enumerate(expression.operands)]
    notation = expression.notation
    if expression.by_number and notation.by_number and not operands[1].written[0].isdigit():  # 2 3 looks like 23
        notation = notation.by_number
    form: Form = getattr(notation, language)
    pattern = form.pattern if isinstance(form.pattern, str) else form.pattern(expression.attrs)
    attrs = {name: _attribute(value, language) for name, value in expression.attrs.items()}
    listed = ", ".join([operand.written for operand in operands])
    with_attrs = ", ".join([listed] * bool(listed) + [f"{name}={value}" for name, value in attrs.items()])
    written = pattern.format(*operands, all=listed, args=parentheses(with_attrs), **attrs)
    return _Written(" ".join(written.split()), form.binds, parentheses, first)


def _plain(text: str) -> str:
    return f"({text})"


def _high(text: str) -> str:
    return rf"\left({text}\right)" if any(word in text for word in _TALL) else f"({text})"


def _number(value: float, language: Language) -> tuple[str, Binding]:
    """Return a number as short as it can be written without loss."""
    if value in _KNOWN:
        text, latex, known = _KNOWN[value]
        return latex if language == "latex" else text, known
    binds: Binding = "minus" if value < 0 else "atom"
    if not math.isfinite(value):
        return str(value).replace("inf", r"\infty" if language == "latex" else "∞"), binds
    text = repr(int(value)) if value.is_integer() and abs(value) < 1e15 else repr(value)
    mantissa, _, exponent = text.partition("e")
    if language == "latex" and exponent:
        return rf"{mantissa} \cdot 10^{{{int(exponent)}}}", "product" if value >= 0 else "minus"
    return text, binds


def _attribute(value: Any, language: Language) -> str:
    if isinstance(value, tuple):
        return "[" + ", ".join(_attribute(dim, language) for dim in value) + "]"
    if isinstance(value, str) and "|" in value:
        sizes = ", ".join(_attribute(each, language) for each in joined(value))
        return rf"\max({sizes})" if language == "latex" else f"max({sizes})"
    parts = [in_latex(part) if language == "latex" else part for part in str(value).split("+")]
    return f"({' + '.join(parts)})" if len(parts) > 1 else parts[0]
