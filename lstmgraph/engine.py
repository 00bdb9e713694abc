"""The engine behind a program: graphs of the forward pass, its gradient and second order, and their plans."""

from collections.abc import Mapping
from functools import cached_property

from lstmgraph.forms import cotangents
from lstmgraph.forward_mode import moving_leaves, with_tangent
from lstmgraph.graph import Dim
from lstmgraph.jit.executor import Executor
from lstmgraph.line import Line
from lstmgraph.resets import learned_nodes, with_learned_starts
from lstmgraph.schedule.resolve import resolve
from lstmgraph.schedule.save import save
from lstmgraph.schedule.split import split
from lstmgraph.schedule.tables import by_entry, entries, few
from lstmgraph.sequences import (
    COTANGENT,
    DIRECTION,
    over_sequences,
    with_gradient,
    with_records,
    with_results,
)
from lstmgraph.traced import Traced

SECOND = f"{DIRECTION}output:{COTANGENT}"  # prefix of the tangents of cotangents


class Engine:
    """The plans of one traced graph at one set of sizes; each is made when it is first asked for."""

    def __init__(
        self, traced: Traced, executor: Executor, sizes: Mapping[Dim, Dim], learned: frozenset[str] = frozenset()
    ) -> None:
        self.executor = executor
        self.sizes = dict(sizes)
        sequence = with_learned_starts(over_sequences(traced), learned)
        self.learned = {name: str(traced.leaves[f"state:{name}"].attr("initial")) for name in learned}
        self.sequence: Traced = resolve(sequence, tuple(sorted(sizes.items(), key=str)))
        self._records: dict[tuple[str, ...], Line] = {}
        self._tangents: dict[frozenset[str], Line] = {}
        self._passes: dict[tuple[int, bool], Line] = {}  # by the entries of the largest such table, and the form

    @cached_property
    def cotangents(self) -> dict[str, tuple[str, int, tuple[int, ...]]]:
        """Of each output, what `lstmgraph.forms.cotangents` says of its cotangent."""
        return cotangents(self.sequence, self.sizes)

    @cached_property
    def main(self) -> Line:
        """Forward and backward pass, sharing what is saved; a plain call runs its first phase."""
        return self.passes(0, apart=True)

    @cached_property
    def whole(self) -> Line:
        """Forward and backward pass in one, for cotangents that are known before."""
        return self.passes(0, apart=False)

    def passes(self, rows: int, apart: bool) -> Line:
        """`main` or `whole` for so many rows: products that follow a table of few entries are taken over these."""
        graph, sizes = self._both
        most = few(sizes, rows) if sizes else 0
        if (most, apart) not in self._passes:
            graph = by_entry(graph, self.sizes, most) if most else graph
            late = [name for name in (*graph.inputs, *graph.parameters) if apart and name.startswith(COTANGENT)]
            self._passes[most, apart] = Line(graph, self.executor, self.sizes, late)
        return self._passes[most, apart]

    @cached_property
    def _both(self) -> tuple[Traced, dict[int, int]]:
        starts = {f"start:{name}": key for name, key in learned_nodes(self.sequence, self.learned).items()}
        graph = split(save(with_gradient(self.sequence, starts)))
        return graph, entries(graph, self.sizes)

    @cached_property
    def second(self) -> Line:
        """The derivatives of the cotangents along a direction of the parameters: forward mode over reverse mode."""
        moving = frozenset(leaf for leaf in moving_leaves(self.sequence) if leaf.startswith("parameter:"))
        graph = with_results(with_tangent(with_gradient(self.sequence), moving, DIRECTION), SECOND)
        return Line(split(save(graph)), self.executor, self.sizes)

    def records(self, names: Mapping[str, tuple[str, str]]) -> Line:
        """The forward pass with values inside the recurs as outputs."""
        key = tuple(sorted(names))
        if key not in self._records:
            self._records[key] = Line(split(with_records(self.sequence, names)), self.executor, self.sizes)
        return self._records[key]

    def tangents(self, moving: frozenset[str]) -> Line:
        """The forward pass with directions of some leaves, and tangents of the results as outputs."""
        if moving not in self._tangents:
            graph = split(with_tangent(self.sequence, moving, DIRECTION))
            self._tangents[moving] = Line(graph, self.executor, self.sizes)
        return self._tangents[moving]
