"""Graph to graph: what turns a traced cell or network into another one."""

from functools import cache
from typing import Any

from lstmgraph.graph import Builder, Node, Symbol, named, operands, rebuild
from lstmgraph.traced import Cell, Traced

RESET = "@reset"  # no Python argument can have this name


@cache
def with_reset(traced: Any) -> Any:
    """Return the cell or network with one more input, 1 where the states are set back before the step.

    The states come through ``select``, never through a product, so that no NaN of a finished sequence and no
    gradient crosses the border.
    """
    builder = Builder()
    rows = ("B",) if isinstance(traced, Cell) else ("T", "B")
    if isinstance(traced, Cell):
        return _reset_cell(traced, builder)
    flag: Symbol | None = None
    made: dict[str, Symbol] = {}
    for key, node in traced.graph.nodes(data="node"):
        if node.op == "recur":
            if flag is None:
                flag = builder.leaf("input", (*rows, 1), name=RESET)
            made[key] = _reset_recur(builder, node, [made[s] for s in operands(traced.graph, key)], flag)
        else:
            made |= {key: rebuild(traced.graph, builder, keep=[key], replace=made)[key]}
    return type(traced)(_finish(traced, builder), traced.returns)


def _finish(traced: Traced, builder: Builder) -> Any:
    builder.graph.graph["labels"] = dict(traced.graph.graph["labels"])
    return builder.freeze(traced.name)


def _reset_cell(cell: Cell, builder: Builder) -> Cell:
    made: dict[str, Symbol] = {}
    for key in named(cell.graph, "input").values():
        made[key] = rebuild(cell.graph, builder, keep=[key])[key]
    flag = builder.leaf("input", ("B", 1), name=RESET)
    for name, key in named(cell.graph, "state").items():
        state = builder.leaf("state", cell.leaves[f"state:{name}"].shape, name=name)
        made[key] = builder.add("select", flag, 0.0, state)
    rebuild(cell.graph, builder, replace=made)
    return Cell(builder.freeze(cell.name), cell.returns, reverse=cell.reverse)


def _reset_recur(builder: Builder, node: Node, sources: list[Symbol], flag: Symbol) -> Symbol:
    attrs = dict(node.attrs)
    cell = attrs["cell"]
    inner = with_reset(cell)
    given = dict(zip(cell.leaves, sources, strict=True)) | {f"input:{RESET}": flag}
    attrs["cell"] = inner
    return builder.add("recur", *(given[leaf] for leaf in inner.leaves), **attrs)
