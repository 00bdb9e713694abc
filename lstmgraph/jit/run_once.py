"""Stages in NumPy: expressions of parameters, and constants over rows."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from lstmgraph.graph import Dim, features, node_of, resize
from lstmgraph.interpreter import concrete
from lstmgraph.jit.executor import Array, Executor
from lstmgraph.jit.frame import Frame
from lstmgraph.jit.rows import Rows
from lstmgraph.jit.tape import Tape
from lstmgraph.plugins import op
from lstmgraph.schedule.plan import Plan, Stage


class Once:
    """An op on parameters, by its NumPy meaning."""

    def __init__(
        self, stage: Stage, plan: Plan, executor: Executor, sizes: Mapping[Dim, Dim], fixed: frozenset[str]
    ) -> None:
        graph = plan.traced.graph
        node = node_of(graph, stage.key)
        self.key, self.dtype = stage.key, executor.dtype
        self.meaning = op(node.op).meaning
        self.attrs = concrete(node.attrs, sizes)
        self.sources = [key for _, key in stage.sources]
        self.shapes = {key: node_of(graph, key).shape for key in self.sources}
        self.constants = {
            key: np.asarray(node_of(graph, key).attr("value"), executor.dtype)
            for key in self.sources
            if node_of(graph, key).op == "constant"
        }

    def compute(self, values: Mapping[str, Any]) -> Any:
        """Return the value."""
        operands = [self.constants[key] if key in self.constants else values[key] for key in self.sources]
        return np.asarray(self.meaning(*operands, **self.attrs), self.dtype)

    def record(self, tape: Tape) -> None:
        """Add the computation to a tape."""
        read = [key for key in self.sources if key not in self.constants]
        touched = [tape.read(key, self.shapes[key]) for key in read if key not in tape.once]
        made = tape.made(self.key)

        def compute(frame: Frame) -> None:
            with np.errstate(all="ignore"):
                value = self.compute({key: frame.value(key) for key in read})
            if not value.flags.owndata:  # a view, whose memory later steps may use for something else
                value = value.copy()
            frame.context.values[self.key] = value
            if made.slot in tape.direct:
                frame.hold(made.slot, value)

        tape.python(compute, touched)


class Fill:
    """A constant or a parameter over all rows."""

    def __init__(
        self, stage: Stage, plan: Plan, executor: Executor, sizes: Mapping[Dim, Dim], fixed: frozenset[str]
    ) -> None:
        node = node_of(plan.traced.graph, stage.key)
        source = node_of(plan.traced.graph, stage.sources[0][1])
        self.key, self.source, self.shape = stage.key, stage.sources[0][1], source.shape
        self.constant = source.attr("value") if source.op == "constant" else None
        self.width = int(resize(features(node.shape)[-1], sizes)) if features(node.shape) else 1
        self.sequence, self.dtype = len(stage.rows) == 2, executor.dtype

    def record(self, tape: Tape) -> None:
        """Add the writing of the rows to a tape."""
        count = (tape.extent.room if self.sequence else tape.extent.B) * self.width
        made = tape.take(count)
        tape.give(self.key, made)
        if self.constant is None:
            source = tape.read(self.source, self.shape)
        else:
            source = tape.constant(np.full(self.width, self.constant, self.dtype))
        each = self.width // max(source.count, 1)  # one number stands for all features of a row

        def places(rows: Rows) -> Array:
            return np.zeros((rows.count if self.sequence else rows.B) * each, np.int64)

        tape.take_rows(made, source, places, source.count)
