"""What shortcuts begin with: an output, and the input at its size."""

from lstmgraph.errors import GraphError
from lstmgraph.graph import Symbol, features
from lstmgraph.layers import linear
from lstmgraph.transforms._rewrite import Rewrite, only

UNFIT = "give the modifier project=True, so that a matrix brings the input to the size of the output"


def shortcut(rewrite: Rewrite, output: str | None, project: bool) -> tuple[str, Symbol, Symbol]:
    """Return the name of the one output, its value, and the first input, through a matrix if it is projected."""
    cell = rewrite.cell
    if output is None:
        output = only(rewrite, "an output", cell.outputs, none="the cell has none", several="name it with output=")
    value = rewrite.output(rewrite.find("output", output, cell.outputs))
    x = rewrite.build(rewrite.leaf("input", cell.inputs[0]))
    if not features(x.shape):
        raise GraphError(
            f"{rewrite.where}: got an index as input {cell.inputs[0]!r}, expected numbers; embed it before"
        )
    if not project:
        return output, value, x
    with rewrite.writing():
        return output, value, linear(x, name=rewrite.layer_name("shortcut"), size=value.shape[-1], bias=False)
