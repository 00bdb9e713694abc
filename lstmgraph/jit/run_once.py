"""Stages in NumPy: expressions of parameters, and constants over rows."""

from collections.abc import Mapping

import numpy as np

from lstmgraph.graph import Dim, features, node_of, resize
from lstmgraph.interpreter import concrete
from lstmgraph.jit.executor import Context, Executor
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
        self.constants = {
            key: np.asarray(node_of(graph, key).attr("value"), executor.dtype)
            for key in self.sources
            if node_of(graph, key).op == "constant"
        }

    def run(self, context: Context) -> None:
        """Compute the value."""
        values = [self.constants[key] if key in self.constants else context.values[key] for key in self.sources]
        with np.errstate(all="ignore"):
            context.values[self.key] = np.asarray(self.meaning(*values, **self.attrs), self.dtype)


class Fill:
    """A constant or a parameter over all rows."""

    def __init__(
        self, stage: Stage, plan: Plan, executor: Executor, sizes: Mapping[Dim, Dim], fixed: frozenset[str]
    ) -> None:
        node = node_of(plan.traced.graph, stage.key)
        source = node_of(plan.traced.graph, stage.sources[0][1])
        self.key, self.source, self.executor = stage.key, stage.sources[0][1], executor
        self.constant = source.attr("value") if source.op == "constant" else None
        self.width = int(resize(features(node.shape)[-1], sizes)) if features(node.shape) else 1
        self.sequence = len(stage.rows) == 2

    def run(self, context: Context) -> None:
        """Write the rows."""
        count = context.rows.count if self.sequence else context.rows.B
        made = self.executor.take(count * self.width)
        made.reshape(count, self.width)[:] = context.values[self.source] if self.constant is None else self.constant
        context.values[self.key] = made
