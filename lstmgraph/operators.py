"""What Python's operators do with a value of a cell beyond arithmetic: powers, and refusals that say what to write."""

import numbers
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NoReturn

from lstmgraph.errors import GraphError
from lstmgraph.lines import say_line, user_line

if TYPE_CHECKING:
    from lstmgraph.graph import Symbol

MOST = 8  # the greatest power that is written out


def power(value: "Symbol", exponent: float) -> "Symbol":
    """Return a whole power as products of squares: ``value ** 2`` is ``value * value``.

    Raises
    ------
    GraphError
        If the exponent is no whole number from 1 to 8.
    """
    whole = isinstance(exponent, numbers.Real) and not isinstance(exponent, bool) and float(exponent).is_integer()
    if not whole or not 1 <= exponent <= MOST:
        got = exponent if isinstance(exponent, numbers.Real) else type(exponent).__name__
        raise GraphError(
            f"power of {_said(value)}{say_line(user_line())}: got exponent {got}, expected a whole number from 1 to "
            f"{MOST}; write lg.sqrt(value), 1 / value, or lg.exp(exponent * lg.log(value)) of a value above 0"
        )
    count = int(exponent)
    if count == 1:
        return value
    root = power(value, count // 2)
    square = root * root
    return square * value if count % 2 else square


def _said(value: "Symbol") -> str:
    return f"{value.node.op} {value.node.name}".rstrip()


def refuse_power(value: "Symbol", base: Any) -> NoReturn:
    """Raise for ``2 ** value``."""
    raise GraphError(
        f"power of {base!r}{say_line(user_line())}: got {_said(value)} as the exponent, expected a number; "
        "write lg.exp(value * math.log(base))"
    )


def refuse_index(value: "Symbol", index: Any) -> NoReturn:
    """Raise for ``value[-1]``: time and rows are no axes while equations are written."""
    raise GraphError(
        f"{_said(value)}{say_line(user_line())}: got an index {index!r}, expected the whole value, of all steps and "
        "rows; lg.split takes features apart, lg.delay gives earlier steps, program.record shows a layer at each step, "
        "and for the last step alone Model.fit takes targets without the axis of time"
    )


def refuse_truth(value: "Symbol") -> bool:
    """Raise for ``if value``."""
    raise GraphError(
        "a value of a cell has no truth value while its equations are written; use lg.select(condition, a, b)"
        + say_line(user_line())
    )


def refuse_iteration(value: "Symbol") -> Iterator["Symbol"]:
    """Raise for ``a, b = value``."""
    raise GraphError(
        "a value of a cell cannot be unpacked or iterated; lg.split takes its features apart" + say_line(user_line())
    )
