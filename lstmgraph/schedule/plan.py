"""plan: a graph over sequences as stages in order. Law: a stage reads only what earlier stages hold.

Five kinds of stages: ``once`` (NumPy, on parameters), ``fill`` (what is the same in all rows), ``rows`` (a stateless
cell over all rows), ``recur`` (a cell over time), ``reduce`` (a sum over all rows).
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import networkx as nx

from lstmgraph.graph import (
    LEAVES,
    SINKS,
    Builder,
    Dim,
    Shape,
    Symbol,
    ancestors,
    descendants,
    features,
    is_row,
    lead,
    named,
    node_of,
    operands,
    rebuild,
)
from lstmgraph.jit.emit import emit
from lstmgraph.jit.layout import Kernel
from lstmgraph.jit.machine import Machine
from lstmgraph.plugins import op
from lstmgraph.schedule.save import value_name
from lstmgraph.traced import Cell, Traced

Form = Literal["once", "fill", "rows", "recur", "reduce"]


@dataclass(frozen=True)
class Stage:
    """One step of a plan.

    Parameters
    ----------
    form : str
        "once", "fill" (a constant over rows), "rows", "recur" or "reduce".
    phase : int
        0 if it can run before the cotangents are known, else 1; 2 if it reads finished sums of gradients.
    key : str
        The node it computes, the first of several, or the recur.
    sources : tuple of (name, key)
        What it reads, by leaf of its cell or by position.
    results : tuple of (name, key)
        What it writes, by result of its cell.
    cell, kernel : optional
        Of "rows" and "recur".
    sizes : tuple of (symbol, dimension)
        Of "recur": symbol of the cell -> dimension of the graph.
    rows : shape
        ("T", "B") or ("B",).
    reverse : bool
        Whether time runs backwards.
    """

    form: Form
    phase: int
    key: str
    sources: tuple[tuple[str, str], ...]
    results: tuple[tuple[str, str], ...]
    cell: Cell | None = None
    kernel: Kernel | None = None
    sizes: tuple[tuple[Dim, Dim], ...] = ()
    rows: Shape = ()
    reverse: bool = False


@dataclass(frozen=True)
class Plan:
    """Stages in order, over a frozen graph."""

    traced: Traced
    target: Machine
    stages: tuple[Stage, ...]

    def __str__(self) -> str:
        from lstmgraph.schedule.describe import describe

        return describe(self)


def make_plan(traced: Traced, target: Machine, late: Iterable[str] = ()) -> Plan:
    """Return the plan of a graph that went through the other passes.

    Parameters
    ----------
    traced : Traced
        The graph over sequences.
    target : Machine
        What kernels are generated for.
    late : iterable of str
        Names of the inputs and parameters that are known only in the second phase (cotangents).
    """
    return _Planner(traced, target, set(late)).plan()


class _Planner:
    def __init__(self, traced: Traced, target: Machine, late: set[str]) -> None:
        self.traced = traced
        self.target = target
        self.graph: nx.MultiDiGraph = traced.graph
        leaves = {**named(self.graph, "input"), **named(self.graph, "parameter")}
        self.late = descendants(self.graph, [key for name, key in leaves.items() if name in late])
        self.below_rows = descendants(self.graph, [key for key in self.graph if is_row(node_of(self.graph, key).shape)])
        self.finish = self._finish() if self.late else set()
        self.spread = {key for key in self.graph if self._is_spread(key)}
        self.again = self._made_again()
        self.depth = self._depths()

    def _finish(self) -> set[str]:
        """Return what follows from sums over rows of the second phase, and from those that it alone reads."""
        sinks = [key for key, node in self.graph.nodes(data="node") if node.op in SINKS and key not in self.late]
        early = ancestors(self.graph, sinks)
        sums = [key for key in self.graph if key not in early and self._sums_rows(key)]
        return descendants(self.graph, [user for key in sums for user in self.graph.succ[key]])

    def _sums_rows(self, key: str) -> bool:
        node = node_of(self.graph, key)
        return node.op not in (*LEAVES, *SINKS) and op(node.op).kind == "over_rows" and key in self.below_rows

    def _is_spread(self, key: str) -> bool:
        """Whether a value is a constant or a parameter spread over rows: stages make it where they need it."""
        node, sources = node_of(self.graph, key), operands(self.graph, key)
        computed = node.op not in (*LEAVES, *SINKS, "item") and is_row(node.shape)
        return computed and not any(is_row(node_of(self.graph, source).shape) for source in sources)

    def _made_again(self) -> set[str]:
        """Return what follows from leaves by cheap ops and rows alone read: their stages make it where they need it.

        So no stage holds the one-hot rows of a cross entropy, as many as there are classes.
        """
        light: set[str] = set()
        for key in self.graph:
            if self._form(key) == "rows" and op(node_of(self.graph, key).op).cheap:
                sources = operands(self.graph, key)
                if all(s in light or s in self.spread or node_of(self.graph, s).op in LEAVES for s in sources):
                    light.add(key)
        return {key for key in light if all(self._form(user) == "rows" for user in self.graph.succ[key])}

    def _form(self, key: str) -> Form | None:
        node = node_of(self.graph, key)
        if node.op in (*LEAVES, *SINKS, "item"):
            return None
        if key in self.spread:
            return "fill"
        if op(node.op).kind == "recur":
            return "recur"
        if is_row(node.shape):
            return "rows"
        return "reduce" if self._sums_rows(key) else "once"

    def _depths(self) -> dict[str, tuple[int, int]]:
        """Return (phase, depth) of each node; the row values of one depth are one stage."""
        depth: dict[str, tuple[int, int]] = {}
        for key in self.graph:
            phase = 2 if key in self.finish else 1 if key in self.late else 0
            below = [depth[s][1] for s in operands(self.graph, key) if depth[s][0] == phase]
            own = max(below, default=0)
            depth[key] = (phase, own + (1 if self._form(key) in ("recur", "reduce") else 0))
        return depth

    def plan(self) -> Plan:
        order: dict[tuple[int, int, int, int], list[str]] = {}
        place = {key: i for i, key in enumerate(self.graph)}
        for key in self.graph:
            form = self._form(key)
            if form is None or key in self.again or (form == "fill" and not self._fill_needed(key)):
                continue
            phase, depth = self.depth[key]
            if form == "rows":
                order.setdefault((phase, depth, 1, len(lead(node_of(self.graph, key).shape))), []).append(key)
            elif form == "reduce":
                order.setdefault((phase, depth, 0, -1), []).append(key)
            else:
                order[phase, depth, 0, place[key]] = [key]
        stages = [self._stage(keys) for _, keys in sorted(order.items())]
        return Plan(self.traced, self.target, tuple(stages))

    def _fill_needed(self, key: str) -> bool:
        return any(self._form(user) in ("recur", "reduce", None) for user in self.graph.succ[key])

    def _stage(self, keys: list[str]) -> Stage:
        key = keys[0]
        form, phase = self._form(key), self.depth[key][0]
        if form == "rows":
            return self._rows(keys, phase)
        if form == "reduce":
            read = dict.fromkeys(source for k in keys for source in operands(self.graph, k))
            return Stage(form, phase, key, tuple((s, s) for s in read), tuple(("", k) for k in keys))
        sources = tuple((str(i), source) for i, source in enumerate(operands(self.graph, key)))
        if form != "recur":
            assert form is not None
            return Stage(form, phase, key, sources, (("", key),), rows=lead(node_of(self.graph, key).shape))
        node = node_of(self.graph, key)
        cell: Cell = node.attr("cell")
        reverse = bool(node.attr("reverse"))
        kernel = emit(cell, self.target, loop=True, reverse=reverse, name=_function_name(cell.name))
        items = tuple(
            (f"{node_of(self.graph, user).attr('kind')}:{node_of(self.graph, user).attr('name')}", user)
            for user in self.graph.succ[key]
        )
        named_sources = tuple(zip(cell.leaves, (source for _, source in sources), strict=True))
        return Stage("recur", phase, key, named_sources, items, cell, kernel, node.attr("sizes"), ("T", "B"), reverse)

    def _rows(self, keys: list[str], phase: int) -> Stage:
        """Return a stage of row values as a stateless cell."""
        inside = Builder(simplify=True)
        group = set(keys)
        replace: dict[str, Symbol] = {}
        sources: list[tuple[str, str]] = []
        taken: list[str] = []
        made_here = list(keys)
        for key in made_here:  # it grows as it is read
            for source in operands(self.graph, key):
                node = node_of(self.graph, source)
                if source in self.spread or source in self.again:
                    made_here += [source] if source not in made_here else []
                    continue
                if source in replace or source in group or node.op == "constant":
                    continue
                role = "input" if is_row(node.shape) else "parameter"
                name = node.name if node.op in LEAVES else self._name(source, taken)
                while name in taken:
                    name += "_"
                taken.append(name)
                shape = ("B", *features(node.shape)) if role == "input" else node.shape
                integer = {"integer": True} if node.attr("integer") else {}
                replace[source] = inside.leaf(role, shape, name=name, **integer)
                sources.append((f"{role}:{name}", source))
        outputs = [key for key in keys if any(user not in group for user in self.graph.succ[key])]
        made = rebuild(self.graph, inside, keep=outputs, replace=replace, rows=("B",))
        results = []
        labels = {key: label for label, key in self.graph.graph["labels"].items()}
        for key in outputs:
            name = self._name(key, taken)
            taken.append(name)
            inside.sink("output", made[key], name)
            results.append((f"output:{name}", key))
        inside.graph.graph["labels"] = {labels[key]: made[key].key for key in keys if key in labels and key in made}
        cell = Cell(inside.freeze(f"{self.traced.name} rows"))
        kernel = emit(cell, self.target, loop=False, name=_function_name(f"{self.traced.name}_rows"))
        rows = lead(node_of(self.graph, keys[0]).shape)
        return Stage("rows", phase, keys[0], tuple(sources), tuple(results), cell, kernel, rows=rows)

    def _name(self, key: str, taken: list[str]) -> str:
        sinks = [
            node_of(self.graph, user).name for user in self.graph.succ[key] if node_of(self.graph, user).op == "output"
        ]
        node = node_of(self.graph, key)
        wanted = node.attr("name") if node.op == "item" else sinks[0] if sinks else value_name(self.traced, key, ())
        name = str(wanted)
        while name in taken:
            name += "_"
        return name


def _function_name(name: str) -> str:
    return "run_" + "".join(letter if letter.isalnum() else "_" for letter in name)
