"""Gates left out: what they multiplied passes whole."""

from functools import partial

from lstmgraph.graph import Symbol, node_of
from lstmgraph.traced import Cell
from lstmgraph.transforms._rewrite import Rewrite


def without_gate(cell: Cell, *names: str) -> Cell:
    """Return a cell without some gates: each is 1 (NIG, NFG and NOG of Greff et al. 2015).

    Parameters
    ----------
    cell : Cell
        Any cell with gates.
    *names : str
        The gates, as "forget".

    Returns
    -------
    Cell
        Without the parameters of the gates named.

    Raises
    ------
    GraphError
        For a name that is no gate of the cell.

    Examples
    --------
    >>> import lstmgraph as lg
    >>> cell = lg.transforms.without_gate(lg.cells.lstm, "forget")
    >>> cell.name, [name for name in cell.parameters if name.endswith("b")]
    ('without_forget_lstm', ['candidate.b', 'input.b', 'output.b'])
    """
    rewrite = Rewrite(cell, "without_gate")
    for name in names:
        value = rewrite.gates[rewrite.find("gate", name, rewrite.gates)].value
        rewrite.instead(value, partial(_ones, rewrite, value))
        for user in cell.graph.succ[value]:
            if node_of(cell.graph, user).op == "mul":
                rewrite.instead(user, partial(_passed, rewrite, user, value))
    said = " and ".join(names)
    return rewrite.finish(f"without the {said} gate (Greff et al. 2015)" if said else "", f"without_{'_'.join(names)}")


def _ones(rewrite: Rewrite, value: str) -> Symbol:
    return rewrite.builder.add("broadcast", 1.0, target=node_of(rewrite.cell.graph, value).shape)


def _passed(rewrite: Rewrite, user: str, value: str) -> Symbol:
    return rewrite.copy(user, {value: rewrite.builder.constant(1.0)}, simplify=True)
