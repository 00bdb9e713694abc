"""Optimisers: a frozen record of numbers, and a stateless cell that runs over all parameters as rows."""

import dataclasses
import math
import numbers
import pkgutil
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any, ClassVar

import numpy as np

from lstmgraph.errors import GraphError, LstmGraphError, nearest
from lstmgraph.graph import Symbol
from lstmgraph.trace import cell
from lstmgraph.train.flat import ROW, Layout


@dataclass(frozen=True)
class Optimizer(ABC):
    """Base of the optimisers. One of them is one file: a record, a cell, and its numbers at a step.

    Parameters
    ----------
    learning_rate : float
        The size of a step.
    clip_norm : float, optional
        The greatest norm of all gradients together; greater ones are scaled down to it (Pascanu et al. 2013).
    """

    learning_rate: float = 1e-3
    clip_norm: float | None = None

    rule: ClassVar[Any]
    """The cell: inputs ``p``, ``g``, moments; outputs ``p``, moments; its numbers are parameters."""

    moments: ClassVar[tuple[str, ...]] = ()
    """Names of the arrays that are kept from step to step; they start at zero."""

    def __post_init__(self) -> None:
        """Check the numbers."""
        self.check("learning_rate", self.learning_rate)
        if self.clip_norm is not None:
            self.check("clip_norm", self.clip_norm, zero=False)

    def check(self, name: str, value: Any, *, below: float = math.inf, zero: bool = True) -> None:
        """Raise unless a number is finite, not negative, and below a limit.

        Raises
        ------
        GraphError
            The message names the optimiser and the number.
        """
        real = isinstance(value, numbers.Real) and not isinstance(value, bool)
        if real and (value >= 0 if zero else value > 0) and value < below:
            return
        least = "0 or more" if zero else "more than 0"
        limit = "" if below == math.inf else f" and less than {below:g}"
        raise GraphError(f"{type(self).__name__}: got {name}={value!r}, expected a finite number, {least}{limit}")

    @abstractmethod
    def numbers(self, step: int, rate: float) -> dict[str, float]:
        """Return the rule's parameters, except ``scale``, at a step (1 for the first) and a learning rate."""

    def to_json(self) -> dict[str, Any]:
        """Return the record as JSON."""
        return {"name": type(self).__name__, **dataclasses.asdict(self)}


def kinds() -> dict[str, type[Optimizer]]:
    """Return the optimisers of lstmgraph by name: each in the module of its name in small letters."""
    found: dict[str, type[Optimizer]] = {}
    for module in pkgutil.iter_modules(import_module("lstmgraph.train").__path__):
        for name, value in vars(import_module(f"lstmgraph.train.{module.name}")).items():
            if name.lower() == module.name and isinstance(value, type) and issubclass(value, Optimizer):
                found[name] = value
    del found[Optimizer.__name__]
    return found


def from_json(record: Mapping[str, Any]) -> Optimizer:
    """Return the optimiser of a record.

    Raises
    ------
    GraphError
        If it is none of lstmgraph's.
    """
    fields = dict(record)
    name = fields.pop("name")
    known_kinds = kinds()
    if name not in known_kinds:
        raise GraphError(
            f"optimizer: got {name!r}, expected one of {', '.join(known_kinds)}"
            f"{nearest(str(name), list(known_kinds))}; pass one's own as optimizer= to lg.load"
        )
    kind = known_kinds[name]
    known = {field.name for field in dataclasses.fields(kind)}
    if set(fields) != known:
        raise GraphError(f"optimizer {name}: got {', '.join(sorted(fields))}, expected {', '.join(sorted(known))}")
    values: dict[str, Any] = {key: tuple(v) if isinstance(v, list) else v for key, v in fields.items()}
    return kind(**values)


@cell
def sum_of_squares(g: Symbol) -> Symbol:
    """Sum the squares of each row."""
    return g.builder.add("row_sum", g * g)


@dataclass(frozen=True)
class Weights:
    """What an optimiser changes; replaced as one, so that an interrupt cannot leave half a step."""

    flat: Any
    moments: tuple[Any, ...]
    step: int = 0


class Updater:
    """An optimiser compiled for one layout of parameters."""

    def __init__(self, optimizer: Optimizer, layout: Layout, dtype: str, threads: int | None) -> None:
        from lstmgraph.program import compile as compile_program

        rule = optimizer.rule
        sizes: dict[str, int] = {"input_size": ROW} | dict.fromkeys(rule.inputs[1:], ROW)
        self.optimizer = optimizer
        self.layout = layout
        self.dtype = np.dtype(dtype)
        self._update = compile_program(rule, dtype=dtype, threads=threads, **sizes)
        self._squares = compile_program(sum_of_squares, dtype=dtype, threads=threads, input_size=ROW)
        self._gradient = layout.zeros(dtype)

    def start(self, params: Mapping[str, Any]) -> Weights:
        """Return parameters laid flat, with moments of zero."""
        flat = self.layout.fill(self.layout.zeros(self.dtype), params)
        return Weights(flat, tuple(self.layout.zeros(self.dtype) for _ in self.optimizer.moments))

    def step(self, weights: Weights, gradients: Mapping[str, Any], factor: float = 1.0) -> tuple[Weights, float]:
        """Return the weights after one step, and the norm of the gradients before clipping.

        Parameters
        ----------
        weights : Weights
            They are left as they are.
        gradients : mapping
            Arrays by parameter name; they are copied.
        factor : float
            The schedule: the learning rate is multiplied by it.

        Raises
        ------
        LstmGraphError
            If the norm is not finite.
        """
        optimizer = self.optimizer
        g = self.layout.fill(self._gradient, gradients)
        squares, _ = self._squares({}, g)
        norm = math.sqrt(float(squares.sum(dtype=np.float64)))
        if not math.isfinite(norm):
            raise LstmGraphError(
                f"step {weights.step + 1}: got gradients of norm {norm}, expected a finite one; "
                "use a smaller learning rate or clip_norm"
            )
        clip = optimizer.clip_norm
        scale = clip / norm if clip is not None and norm > clip else 1.0
        step = weights.step + 1
        scalars = optimizer.numbers(step, optimizer.learning_rate * factor) | {"scale": scale}
        params = {name: np.asarray(value, self.dtype) for name, value in scalars.items()}
        inputs = {"p": weights.flat, "g": g, **dict(zip(optimizer.moments, weights.moments, strict=True))}
        found, _ = self._update(params, inputs)
        outputs = found if isinstance(found, Mapping) else {"p": found}
        return Weights(outputs["p"], tuple(outputs[name] for name in optimizer.moments), step), norm
