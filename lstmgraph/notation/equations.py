"""A cell's equations, read back from its graph."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from lstmgraph.errors import GraphError
from lstmgraph.graph import LEAVES, SINKS, is_row, named, operands
from lstmgraph.notation.expressions import Applied, Expression, Number, write
from lstmgraph.notation.layers import Layers, find_layers
from lstmgraph.notation.names import Name
from lstmgraph.notation.naming import Naming, state_name, value_name
from lstmgraph.notation.reading import Reading
from lstmgraph.ops.contract import Form, Notation
from lstmgraph.traced import Cell

DEFAULT_OUTPUT = "y"  # what the first state is called as the output of a cell that returns states alone
SMALL = 2  # ops in a value that is written again where it is read a second time; of one op, wherever it is read
_OVER_TIME = Notation(Form("∑_t {0:quotient}", "comparison"), Form(r"\sum_t {0:quotient}", "comparison"))


@dataclass(frozen=True)
class Equation:
    """One line: a name and what it stands for."""

    name: Name
    value: Expression

    @property
    def text(self) -> str:
        """The equation in one line of text."""
        return f"{self.name.text} = {write(self.value, 'text')}"

    @property
    def latex(self) -> str:
        """The equation in LaTeX, to be aligned at its first equals sign."""
        return f"{self.name.latex} &= {write(self.value, 'latex')}"


@dataclass(frozen=True)
class Equations:
    """The equations of a cell; a notebook shows them typeset.

    Parameters
    ----------
    cell : str
        The cell's name.
    lines : tuple of Equation
        In the order in which the cell computes them.
    names : mapping
        Each written name -> what it is, as ``parameter:forget.W_h``. Kinds are input, state (before the step),
        next (after it), parameter, layer (what ``program.record`` returns), output, sum.
    """

    cell: str
    lines: tuple[Equation, ...]
    names: Mapping[str, str]

    @property
    def text(self) -> str:
        """The equations as text, a line each."""
        return "\n".join(line.text for line in self.lines)

    @property
    def latex(self) -> str:
        """The equations in LaTeX: an ``aligned`` environment, to stand in display mathematics."""
        lines = " \\\\\n".join(line.latex for line in self.lines)
        return f"\\begin{{aligned}}\n{lines}\n\\end{{aligned}}"

    def __str__(self) -> str:
        return self.text

    def _repr_latex_(self) -> str:
        return f"$$\n{self.latex}\n$$"


def equations(cell: Cell) -> Equations:
    """Return the equations of a cell, read back from its graph, in the notation of the field.

    A layer ``forget`` is a line f_t, and its weights ``forget.W_h`` are W_h^f; a state is h_{t-1} before the step and
    h_t after it. Weights are [inputs, outputs] and stand right of what they multiply, as in ``x @ W``; ⊙ is the
    product unit by unit. Whatever else is read more than once has a letter. An adjoint's sums run over time, ∑_t, and
    over the rows of the batch, ∑_b; the error of a layer's sum is δf_t.

    Parameters
    ----------
    cell : Cell
        Any cell, an adjoint too.

    Returns
    -------
    Equations
        With ``.text``, ``.latex`` and ``.names``; printed it is the text.

    Raises
    ------
    GraphError
        If it is no cell.

    Examples
    --------
    >>> import lstmgraph as lg
    >>> print(lg.equations(lg.cells.mgu))
    f_t = σ(h_{t-1} W_h^f + x_t W_x^f + b^f)
    h̃_t = tanh((f_t ⊙ h_{t-1}) W_h^h̃ + x_t W_x^h̃ + b^h̃)
    h_t = (1 - f_t) ⊙ h_{t-1} + f_t ⊙ h̃_t
    """
    if not isinstance(cell, Cell):
        raise GraphError(
            f"lg.equations: got {type(cell).__name__}, expected a cell made by @lg.cell; of a network, pass its cells"
        )
    return _Writer(cell).write()


@dataclass
class _Writer:
    cell: Cell
    reading: Reading = field(init=False)
    naming: Naming = field(init=False)
    names: dict[str, Name] = field(init=False)  # node -> name
    aliases: list[tuple[Name, str]] = field(default_factory=list)  # names for what has one already

    def write(self) -> Equations:
        """Name what needs a name, then write a line for each name that is no leaf's."""
        graph = self.cell.graph
        self.reading = Reading(graph)
        self.naming = Naming(self.reading, graph.graph.get("hidden", ()))
        self.names = self.naming.leaves()
        leaves = set(self.names)
        self._name_results()
        layers = find_layers(self.reading, self.names)
        words = self.naming.layers(layers)
        parameters = self.naming.parameters(layers, words)
        self.names |= parameters
        leaves |= set(parameters)
        self._name_layers(layers, words)
        self._name_shared()
        lines = [Equation(self.names[key], self._value(key)) for key in self._computed() if key in self.names]
        lines += [Equation(name, self._expression(key)) for name, key in self.aliases]
        for name, sink in named(graph, "sum").items():
            total = Applied(_OVER_TIME, (self._expression(operands(graph, sink)[0]),))
            lines.append(Equation(self.naming.gradient(name, layers, words), total))
        return Equations(self.cell.name, tuple(lines), dict(self.naming.names))

    def _computed(self) -> list[str]:
        """Return the nodes that are neither leaf nor sink, in order."""
        return [key for key in self.reading.order if self.reading.node(key).op not in (*LEAVES, *SINKS)]

    def _name_results(self) -> None:
        """Name the next states, and the outputs but for the one that a tuple of states has by default."""
        graph, results = self.cell.graph, []
        for state, sink in named(graph, "next").items():
            key = operands(graph, sink)[0]
            if state not in self.naming.hidden or self.reading.node(key).op not in LEAVES:
                results.append((state_name(state, new=True), "next", state, key))
        kept = {key for *_, key in results}
        for output, sink in named(graph, "output").items():
            key = operands(graph, sink)[0]
            if isinstance(self.cell.returns, tuple) or output != DEFAULT_OUTPUT or key not in kept:
                results.append((value_name(output), "output", output, key))
        for name, kind, full, key in results:
            if self.names.get(key) == name:
                continue  # an output that is called as the state that it is
            name = self.naming.entitle(name, kind, full)
            if key in self.names or self.reading.node(key).op in LEAVES:
                self.aliases.append((name, key))
            else:
                self.names[key] = name

    def _name_layers(self, layers: Layers, words: dict[str, tuple[str, ...]]) -> None:
        labels, times = self.cell.graph.graph["labels"], Counter(layers.results.values())
        numbers: Counter[str] = Counter()
        for key, label in layers.results.items():
            numbers[label] += 1
            if key not in self.names:
                number = (str(numbers[label]),) if times[label] > 1 else ()
                self.names[key] = self.naming.result(label, words, number)
                if labels.get(label) == key:
                    self.naming.names[self.names[key].text] = f"layer:{label}"

    def _name_shared(self) -> None:
        """Name what is read more than once and is too large to be written again."""
        sizes: dict[str, int] = {}
        found = []
        for key in self._computed():
            if key in self.names:
                continue
            size = 1 + sum(sizes.get(source, 0) for source in self.reading.sources(key))
            users = len(self.reading.users[key])
            if users > 1 and (size > SMALL or (size == SMALL and users > 2)):
                found.append(key)
            else:
                sizes[key] = size
        names = self.naming.shared([is_row(self.reading.node(key).shape) for key in found])
        self.names |= dict(zip(found, names, strict=True))

    def _expression(self, key: str) -> Expression:
        """Return a node as it is written where it is read."""
        if key in self.names:
            return self.names[key]
        node = self.reading.node(key)
        return Number(node.attr("value")) if node.op == "constant" else self._value(key)

    def _value(self, key: str) -> Expression:
        """Return what a node computes."""
        notation, sources = self.reading.notation(key), list(self.reading.sources(key))
        by_number = False
        if notation.by_number is not None:
            sources.sort(key=lambda source: self.reading.node(source).shape != ())  # numbers first
            by_number = self.reading.node(sources[0]).shape == ()
        attrs = {} if key in self.reading.words else dict(self.reading.node(key).attrs)
        return Applied(notation, tuple(self._expression(source) for source in sources), attrs, by_number)
