"""A traced graph as JSON and back: nodes, edges, labels, and the cells inside recurs; never code."""

from typing import Any

from lstmgraph.errors import CheckpointError, LstmGraphError
from lstmgraph.graph import LEAVES, SINKS, Builder, Symbol, operands
from lstmgraph.traced import Cell, Network, Traced

_KINDS: dict[str, type[Traced]] = {"cell": Cell, "network": Network}


def to_json(traced: Traced) -> dict[str, Any]:
    """Return a cell or network as lists, strings and numbers.

    Its nodes stand in their order; an edge is the place of an operand among them.
    """
    places = {key: place for place, key in enumerate(traced.graph)}
    nodes = [
        [
            node.op,
            {name: _pack(value) for name, value in node.attrs},
            list(node.shape),
            [places[source] for source in operands(traced.graph, key)],
        ]
        for key, node in traced.graph.nodes(data="node")
    ]
    labels = {label: places[key] for label, key in traced.graph.graph["labels"].items()}
    return {
        "kind": "cell" if isinstance(traced, Cell) else "network",
        "name": traced.name,
        "doc": traced.__doc__ or "",
        "returns": _pack(traced.returns),
        "digest": traced.digest,
        "nodes": nodes,
        "labels": labels,
    }


def from_json(record: Any) -> Any:
    """Return the cell or network of a record.

    Raises
    ------
    CheckpointError
        If the record is no graph, names an op that is not there, or does not have the digest it states.
    """
    try:
        traced = _build(record)
    except LstmGraphError as error:
        raise CheckpointError(f"the graph cannot be built: {error}") from error
    except (KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
        raise CheckpointError(f"the graph is damaged ({type(error).__name__}: {error})") from error
    if traced.digest != record["digest"]:
        raise CheckpointError(
            f"the graph of {traced.name}: got digest {traced.digest}, expected {record['digest']}; "
            "it was changed, or saved by a version of lstmgraph whose ops differ"
        )
    return traced


def _build(record: Any) -> Traced:
    builder = Builder()
    made: list[Symbol] = []
    for op, packed, shape, sources in record["nodes"]:
        attrs = {str(name): _unpack(value) for name, value in packed.items()}
        if op in LEAVES:
            made.append(builder.leaf(op, tuple(shape), **attrs))
        elif op in SINKS:
            made.append(builder.sink(op, made[sources[0]], attrs["name"]))
        else:
            made.append(builder.add(op, *(made[source] for source in sources), **attrs))
    for label, place in record["labels"].items():
        builder.label(label, made[place])
    kind = _KINDS[record["kind"]]
    return kind(builder.freeze(str(record["name"])), _unpack(record["returns"]), str(record["doc"]))


def _pack(value: Any) -> Any:
    """Return an attribute in JSON: what JSON has no word for is a dictionary that says what it is."""
    if isinstance(value, Traced):
        return {"cell": to_json(value)}
    if isinstance(value, tuple):
        return {"tuple": [_pack(part) for part in value]}
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise CheckpointError(
        f"an attribute of type {type(value).__name__} cannot be saved; expected numbers, names, cells"
    )


def _unpack(value: Any) -> Any:
    if isinstance(value, dict):
        if "cell" in value:
            return from_json(value["cell"])
        return tuple(_unpack(part) for part in value["tuple"])
    return value
