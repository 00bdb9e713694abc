"""recur: a cell run over time; its pullback is the recur of the adjoint cell, the other way round in time; its
pushforward is the recur of the tangent cell.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from lstmgraph.errors import ShapeError
from lstmgraph.graph import Builder, Dim, Shape, Symbol, features, lead, resize
from lstmgraph.ops.contract import Glyph, Op, Shapes
from lstmgraph.ops.item import Bundle, take

if TYPE_CHECKING:
    from lstmgraph.traced import Cell

Sizes = tuple[tuple[Dim, Dim], ...]


def _shape(shapes: Shapes, attrs: Mapping[str, Any]) -> Shape:
    cell, sizes = attrs["cell"], dict(attrs["sizes"])
    leaves = list(cell.leaves)
    if len(leaves) != len(shapes):
        raise ShapeError(
            f"recur of {cell.name}: got {len(shapes)} operands, expected {len(leaves)}: {', '.join(leaves)}"
        )
    for name, shape in zip(leaves, shapes, strict=True):
        expected = tuple(resize(dim, sizes) for dim in features(cell.leaves[name].shape))
        got = features(shape)
        for have, want in zip(got, expected, strict=False):
            if isinstance(have, int) and isinstance(want, int) and have != want:
                raise ShapeError(
                    f"recur of {cell.name}: got {name} of shape {got}, expected {expected}; check the sizes"
                )
    return ()


def _meaning(*values: Any, cell: "Cell", sizes: Sizes, reverse: bool = False, name: str = "") -> Any:
    return cell.run(values, dict(sizes), reverse)


def make(
    builder: Builder, cell: "Cell", values: Mapping[str, Symbol | float], sizes: Sizes, reverse: bool, name: str
) -> Symbol:
    """Return the recur of a cell, given the operand of each of its leaves by ``kind:name``."""
    operands = [values[leaf] for leaf in cell.leaves]
    return builder.add("recur", *operands, cell=cell, sizes=sizes, reverse=reverse or None, name=name)


def result(recur: Symbol, kind: str, name: str, rows: Shape) -> Symbol:
    """Return one result of a recur over sequences of leading shape `rows`."""
    cell, sizes = recur.node.attr("cell"), dict(recur.node.attr("sizes"))
    shape = tuple(resize(dim, sizes) for dim in features(cell.result_shape(kind, name)))
    ahead = {"output": rows, "previous": rows, "final": rows[-1:], "sum": ()}[kind]
    return take(recur.builder, recur, kind, name, (*ahead, *shape))


def _pullback(recur: Symbol, operands: tuple[Symbol, ...], bundle: Bundle) -> tuple[Any, ...]:
    builder, node = recur.builder, recur.node
    cell, sizes = node.attr("cell"), node.attr("sizes")
    adjoint = cell.adjoint(frozenset(bundle))
    given = dict(zip(cell.leaves, operands, strict=True))
    rows = next(lead(symbol.shape) for leaf, symbol in given.items() if leaf.startswith("input:"))
    lookup = dict(sizes)
    values: dict[str, Symbol | float] = {}
    for leaf, (kind, name) in adjoint.origins.items():
        if kind == "previous":
            values[leaf] = result(recur, kind, name, rows)
        elif kind in ("input", "parameter"):
            values[leaf] = given[f"{kind}:{name}"]
        else:
            values[leaf] = bundle[kind.removeprefix("d_"), name]
    for state, owner in adjoint.states.items():
        zero = builder.add("broadcast", 0.0, target=(rows[-1], *_dims(cell, owner, lookup)))
        values[f"state:{state}"] = bundle.get(("final", owner), zero)
    back = make(builder, adjoint.cell, values, sizes, not node.attr("reverse", False), f"d_{node.attr('name')}")
    found = {leaf: result(back, kind, name, rows) for leaf, (kind, name) in adjoint.results.items()}
    return tuple(found.get(leaf) for leaf in cell.leaves)


def _pushforward(recur: Symbol, operands: tuple[Symbol, ...], tangents: tuple[Any, ...]) -> tuple[Symbol, Bundle]:
    """Return the recur of the tangent cell, which computes the results too, and the tangents that it has."""
    builder, node = recur.builder, recur.node
    cell, sizes = node.attr("cell"), node.attr("sizes")
    values: dict[str, Symbol | float] = dict(zip(cell.leaves, operands, strict=True))
    given = {leaf: symbol for leaf, symbol in zip(cell.leaves, tangents, strict=True) if symbol is not None}
    rows = next(lead(symbol.shape) for leaf, symbol in zip(cell.leaves, operands, strict=True) if leaf[:6] == "input:")
    tangent = cell.tangent(frozenset(given))
    for leaf, origin in tangent.origins.items():
        if origin in given:
            values[leaf] = given[origin]
        else:  # a state that starts at rest and is set in motion
            dims = _dims(cell, origin.removeprefix("state:"), dict(sizes))
            values[leaf] = builder.add("broadcast", 0.0, target=(rows[-1], *dims))
    run = make(builder, tangent.cell, values, sizes, node.attr("reverse", False), node.attr("name"))
    found = {
        owner: result(run, kind, name, rows) for owner, (kind, name) in tangent.results.items() if owner[0] != "next"
    }
    return run, Bundle(found)


def _dims(cell: "Cell", state: str, sizes: Mapping[Dim, Dim]) -> Shape:
    return tuple(resize(dim, sizes) for dim in features(cell.leaves[f"state:{state}"].shape))


op = Op(
    "recur",
    "recur",
    _shape,
    _meaning,
    _pullback,
    Glyph("box", "recur"),
    cheap=False,
    doc="A cell run over time.",
    pushforward=_pushforward,
)
