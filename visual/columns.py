"""Which column each item stands in: the order of the layers, and the column of every op."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import networkx as nx

from lstmgraph.visual.records import LAYERS, TERMINALS, Scene

HIGH = 3  # an op on a conveyor brings what it needs to a column where no more than so many are stacked then
WAITING = 3  # so many ops that hang on conveyors alone are stacked over the op that needs them


@dataclass
class Columns:
    """Item -> column, and column -> its ops between layers and conveyors in the order of the flow."""

    of: dict[str, int] = field(default_factory=dict)
    stacks: dict[int, list[str]] = field(default_factory=dict)
    count: int = 0

    def open(self) -> int:
        """Add a column at the right."""
        self.count += 1
        return self.count - 1


def assign_columns(scene: Scene, layers: tuple[str, ...] = ()) -> Columns:
    """Return the columns of a scene's layers and ops.

    Parameters
    ----------
    scene : Scene
        What is to be placed.
    layers : tuple of str, optional
        The order of the layers, as far as they do not read one another; else the usual one.
    """
    return _Assigner(scene, layers).assign()


def rearranged(columns: Columns, wanted: Mapping[str, float]) -> Columns:
    """Return columns with items in the columns wanted, those between two others new, and none left empty."""
    where = {key: wanted.get(key, float(column)) for key, column in columns.of.items()}
    numbers = {column: number for number, column in enumerate(sorted(set(where.values())))}
    found = Columns({key: numbers[column] for key, column in where.items()}, {}, len(numbers))
    for stack in columns.stacks.values():
        for key in stack:
            found.stacks.setdefault(found.of[key], []).append(key)
    return found


@dataclass
class _Assigner:
    """Places layers one by one, and after each every op whose operands are placed."""

    scene: Scene
    wanted: tuple[str, ...] = ()
    columns: Columns = field(default_factory=Columns)
    graph: nx.DiGraph = field(init=False)
    order: list[str] = field(init=False)  # of all items, sources first
    line: dict[str, int] = field(init=False)  # op on a conveyor -> number of the conveyor
    step: dict[str, int] = field(init=False)  # op on a conveyor -> its place on it
    reached: dict[int, int] = field(default_factory=dict)  # conveyor -> its last column so far
    waiting: set[str] = field(default_factory=set)  # ops that stand with their consumer
    pending: list[str] = field(default_factory=list)

    def assign(self) -> Columns:
        items, conveyors = self.scene.items, self.scene.conveyors
        self.graph = nx.DiGraph()
        self.graph.add_nodes_from(items)
        self.graph.add_edges_from(self.scene.wires)
        self.order = topological(self.graph)
        self.line = {key: number for number, path in enumerate(conveyors.values()) for key in path}
        self.step = {key: place for path in conveyors.values() for place, key in enumerate(path)}
        self.pending = [key for key in self.order if items[key].kind == "op"]
        self._find_waiting()
        layers = self._layer_order()
        needed = {layer: nx.ancestors(self.graph, layer) for layer in layers}
        for place, layer in enumerate(layers):
            self._place_ready(self._later(needed[other] for other in layers[place:]) - needed[layer])
            self.columns.of[layer] = self.columns.open()
            self._place_ready(self._later(needed[other] for other in layers[place + 1 :]))
        self.waiting -= set(self.columns.of)
        while self.pending:
            self.waiting.clear()
            before = len(self.pending)
            self._place_ready()
            if len(self.pending) == before:  # an op behind a layer that is behind it cannot be; stay safe
                self._put(self.pending.pop(0), self.columns.open())
        return self.columns

    def _later(self, needed: Iterable[set[str]]) -> set[str]:
        """Return the ops over terminals alone that stand left of a layer that is still to come."""
        coming: set[str] = set().union(*needed)
        placed = self.columns.of
        return {
            key
            for key in self.pending
            if key in coming and not any(source in placed for source in self.graph.predecessors(key))
        }

    def _find_waiting(self) -> None:
        """Find the ops that depend on conveyors and terminals alone and are read by another op."""
        kinds = {key: item.kind for key, item in self.scene.items.items()}
        depth: dict[str, int] = {}
        for key in self.pending:
            sources = list(self.graph.predecessors(key))
            near = all(s in self.line or kinds[s] in TERMINALS or s in self.waiting for s in sources)
            read = any(kinds[target] == "op" for target in self.graph.successors(key))
            depth[key] = 1 + max((depth.get(s, 0) for s in sources if s in self.waiting), default=0)
            if key not in self.line and near and read and sources and depth[key] <= WAITING:
                self.waiting.add(key)

    def _layer_order(self) -> list[str]:
        """Return the layers from left to right.

        A layer stands right of the layers that it reads, left of those with fewer layers behind them, and
        then in the order in which the results reach the conveyors. What meets in one op keeps the op's order:
        in a gate, the sigmoid layer and then the value that it lets through.
        """
        layers = [key for key in self.scene.items if self.scene.items[key].kind in LAYERS]
        read = {source: place for place, (source, _) in reversed(list(enumerate(self.scene.wires)))}
        behind: dict[str, set[str]] = {}
        for key in reversed(self.order):
            behind[key] = set().union(
                *(
                    behind[t] | ({t} if self.scene.items[t].kind in LAYERS else set())
                    for t in self.graph.successors(key)
                )
            )
        graph = nx.DiGraph([(key, other) for key in layers for other in layers if other in behind[key]])
        graph.add_nodes_from(layers)
        if self.wanted:
            places = {key: place for place, key in enumerate(self.wanted)}
            return list(nx.lexicographical_topological_sort(graph, key=places.__getitem__))
        depth: dict[str, int] = {}
        for key in reversed(self.order):
            depth[key] = max(
                (depth[t] + (self.scene.items[t].kind in LAYERS) for t in self.graph.successors(key)),
                default=0,
            )
        rank = {key: (-depth[key], self._meeting(key), read.get(key, len(read))) for key in layers}
        return list(nx.lexicographical_topological_sort(graph, key=rank.__getitem__))

    def _meeting(self, layer: str) -> int:
        """Return where a layer's result meets a conveyor first, the upper conveyors counting first."""
        best, stack, seen = 10**6, list(self.graph.successors(layer)), set()
        while stack:
            key = stack.pop()
            if key in seen:
                continue
            seen.add(key)
            if key in self.line:
                best = min(best, 100 * self.line[key] + self.step[key])
            elif self.scene.items[key].kind == "op":
                stack.extend(self.graph.successors(key))
        return best

    def _place_ready(self, later: Iterable[str] = ()) -> None:
        """Place every op whose operands have their places, but for those to be placed later."""
        again = True
        while again:
            again = False
            for key in list(self.pending):
                sources = list(self.graph.predecessors(key))
                if key not in self.pending or key in self.waiting or key in later or not self._is_ready(key):
                    continue
                self._place(key, sources)
                again = True

    def _has_place(self, key: str) -> bool:
        return key in self.columns.of or key in self.waiting or self.scene.items[key].kind in TERMINALS

    def _is_ready(self, key: str) -> bool:
        """Whether all that an op needs has its place, also what the waiting ops need that it brings with it."""
        return all(self._has_place(s) for k in (key, *self._brought(key)) for s in self.graph.predecessors(k))

    def _place(self, key: str, sources: list[str]) -> None:
        columns = self.columns.of
        own = [s for s in sources if s in columns and s not in self.line]
        column = max((columns[s] for s in own), default=-1)
        if key in self.line:
            number = self.line[key]
            column = max(column, self.reached.get(number, -1) + 1, self._behind(key), 0)
            brought, stacks = len(self._brought(key)), self.columns.stacks
            while brought and column in stacks and len(stacks[column]) + brought > HIGH:
                column += 1
            if column >= self.columns.count:
                column = self.columns.open()
            self.reached[number] = column
            self._release(key, column)
            columns[key] = column
            self.pending.remove(key)
            return
        last = bool(self._brought(key)) and self._is_last(key)
        if column < 0 or last or self._behind(key) > column or not self._is_free(column, own):
            column = self.columns.open()
        self._release(key, column)
        self._put(key, column)

    def _behind(self, key: str) -> int:
        """Return the first column behind all ops on conveyors that an op needs, itself or by what it brings with it."""
        needed = (s for k in (key, *self._brought(key)) for s in self.graph.predecessors(k))
        return max((self.columns.of[s] + 1 for s in needed if s in self.line and s in self.columns.of), default=0)

    def _brought(self, key: str) -> list[str]:
        """Return the waiting ops that an op needs and that have no place yet, in the order of the flow."""
        found: list[str] = []
        stack = [key]
        while stack:
            for source in self.graph.predecessors(stack.pop()):
                if source in self.waiting and source not in self.columns.of and source not in found:
                    found.append(source)
                    stack.append(source)
        return sorted(found, key=self.order.index)

    def _release(self, key: str, column: int) -> None:
        """Give the waiting ops that an op needs their places, stacked in its column."""
        for waiting in self._brought(key):
            self._put(waiting, column)

    def _put(self, key: str, column: int) -> None:
        self.columns.of[key] = column
        self.columns.stacks.setdefault(column, []).append(key)
        if key in self.pending:
            self.pending.remove(key)

    def _is_last(self, key: str) -> bool:
        """Whether an op feeds terminals alone."""
        return all(self.scene.items[target].kind in TERMINALS for target in self.graph.successors(key))

    def _is_free(self, column: int, own: Iterable[str]) -> bool:
        """Whether an op may stand over its operands: no wire goes up there, and nothing else stands there."""
        own = [key for key in own if self.columns.of[key] == column]
        if any(target in self.line for key in own for target in self.graph.successors(key)):
            return False
        stack = self.columns.stacks.get(column, [])
        return not stack or stack[-1] in own


def topological(graph: nx.DiGraph) -> list[str]:
    """Return the nodes sources first, in the order in which they were added as far as that allows."""
    order = {key: place for place, key in enumerate(graph)}
    return list(nx.lexicographical_topological_sort(graph, key=order.__getitem__))
