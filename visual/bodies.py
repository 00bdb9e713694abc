"""Bodies of several ops that a figure shows as one word: what they are made of, and where they begin."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Union

from lstmgraph.graph import operands
from lstmgraph.visual.names import number

if TYPE_CHECKING:
    from lstmgraph.visual.layers import Reading

# an op's glyph and its operands, a number, or the one value that enters, wherever it is read
Pattern = Union[str, "tuple[str | Pattern, ...]"]
VALUE = "value"


def _softplus(value: Pattern) -> Pattern:
    return "+", ("max", value, "0"), ("log", ("+", "1", ("exp", ("−", ("|·|", value)))))


# word -> what it stands for; of two that fit, the larger one comes first
BODIES: dict[str, Pattern] = {"log σ": ("−", _softplus(("−", VALUE))), "softplus": _softplus(VALUE)}


@dataclass(frozen=True)
class Body:
    """A word, the value that enters and all nodes that the word stands for."""

    text: str
    entry: str
    members: frozenset[str]


def body_at(reading: "Reading", root: str) -> Body | None:
    """Return the body whose result a node is, if it is one and nobody else reads what is inside."""
    for text, pattern in BODIES.items():
        members: dict[str, None] = {}
        entries: set[str] = set()
        if _fits(reading, root, pattern, members, entries) and len(entries) == 1:
            inside = members.keys() - {root}
            if all(set(reading.users(key)) <= members.keys() for key in inside):
                return Body(text, entries.pop(), frozenset(members))
    return None


def _fits(reading: "Reading", key: str, pattern: Pattern, members: dict[str, None], entries: set[str]) -> bool:
    """Whether a node is as a pattern says; collects the nodes of the body and what enters it."""
    if pattern == VALUE:
        entries.add(key)
        return True
    if isinstance(pattern, str):
        node = reading.node(key)
        return node.op == "constant" and number(node.attr("value")) == pattern
    glyph, *parts = pattern
    sources = operands(reading.graph, key)
    if reading.glyph(key).text != glyph or len(sources) != len(parts):
        return False
    members[key] = None
    return all(_fits(reading, source, part, members, entries) for source, part in zip(sources, parts, strict=True))
