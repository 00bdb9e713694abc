"""The errors that a user sees: one family, each message says what, where, got, expected and what to do."""


class LstmGraphError(Exception):
    """Base of every error that lstmgraph raises on purpose."""


class GraphError(LstmGraphError, ValueError):
    """A cell or network whose equations do not make a valid graph."""


class ShapeError(LstmGraphError, ValueError):
    """An array or a node of the wrong rank or size."""


class DTypeError(LstmGraphError, TypeError):
    """An array of the wrong element type."""


class ParameterError(LstmGraphError, KeyError):
    """A parameter that is missing or unknown."""

    def __str__(self) -> str:  # KeyError would print the message in quotes
        return str(self.args[0]) if self.args else ""


class UnknownCellError(GraphError, KeyError, AttributeError):
    """A name that no cell of the catalogue has: what a dictionary and a module raise, and a `GraphError`."""

    def __str__(self) -> str:  # KeyError would print the message in quotes
        return str(self.args[0]) if self.args else ""


class CompileError(LstmGraphError, RuntimeError):
    """A graph that cannot be compiled as asked: sizes, threads, dtype."""


class CheckpointError(LstmGraphError, OSError):
    """A run folder that cannot be read or written."""


class DataError(LstmGraphError, ValueError):
    """A text or data set that cannot be used."""


class DrawingError(LstmGraphError, RuntimeError):
    """A figure that cannot be made: unknown kind, engine or file format."""


def nearest(name: str, known: "list[str] | tuple[str, ...]") -> str:
    """Return `` (nearest: a, b)`` with the valid names most like `name`, or an empty string."""
    from difflib import get_close_matches

    close = get_close_matches(str(name), [str(k) for k in known], n=3, cutoff=0.4)
    return f" (nearest: {', '.join(close)})" if close else ""
