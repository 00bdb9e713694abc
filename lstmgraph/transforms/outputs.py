"""Outputs of one's choice: states and layers."""

from lstmgraph.errors import GraphError
from lstmgraph.graph import is_row, node_of
from lstmgraph.traced import Cell
from lstmgraph.transforms._rewrite import Rewrite


def outputs(cell: Cell, *names: str) -> Cell:
    """Return a cell whose outputs are states' next values, layers' results, or outputs that it has, by name.

    Parameters
    ----------
    cell : Cell
        Any cell.
    *names : str
        States, layers (what ``program.record`` knows) and outputs; at least one.

    Returns
    -------
    Cell
        With these outputs: one is an array ``y``, several a dictionary by name. Inlined, it returns a dictionary of
        outputs and next states.

    Raises
    ------
    GraphError
        For a name that is none of them, or no name.

    Examples
    --------
    >>> import lstmgraph as lg
    >>> lg.transforms.outputs(lg.cells.lstm, "h", "c", "forget").outputs
    ('h', 'c', 'forget')
    """
    rewrite = Rewrite(cell, "outputs")
    labels = {label: key for label, key in cell.graph.graph["labels"].items() if is_row(node_of(cell.graph, key).shape)}
    known = list(dict.fromkeys([*cell.states, *cell.outputs, *labels]))
    if not names:
        raise GraphError(f"{rewrite.where}: got no names, expected any of {', '.join(known)}")
    found = {}
    for name in names:
        rewrite.find("state, output or layer", name, known)
        if name in cell.states:
            found[name] = rewrite.next(name)
        else:
            found[name] = rewrite.output(name) if name in cell.outputs else rewrite.build(labels[name])
    return rewrite.finish(f"with the outputs {', '.join(found)}", outputs=found)
