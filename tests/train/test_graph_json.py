"""Graphs as JSON: every cell and a network come back the same."""

import json

import numpy as np
import pytest

import lstmgraph as lg
from lstmgraph.train.graph_json import from_json, to_json


def through_text(traced):
    return from_json(json.loads(json.dumps(to_json(traced))))


@pytest.mark.parametrize("name", lg.cells.catalogue)
def test_a_cell_comes_back(name):
    cell = lg.cells.catalogue[name]
    back = through_text(cell)
    assert type(back) is lg.Cell and back.digest == cell.digest and back.name == name and back.__doc__ == cell.__doc__
    assert (back.inputs, back.states, back.outputs, back.returns) == (
        cell.inputs,
        cell.states,
        cell.outputs,
        cell.returns,
    )
    assert list(back.parameters.items()) == list(cell.parameters.items())
    assert back.graph.graph["labels"] == cell.graph.graph["labels"]


def test_a_network_comes_back_with_the_cells_in_it(tiny):
    back = through_text(tiny.network)
    assert type(back) is lg.Network and back.digest == tiny.network.digest and back.states == tiny.network.states
    rng = np.random.default_rng(0)
    sizes = {name: tuple(int(d) for d in node.shape) for name, node in back.parameters.items()}
    params = {name: rng.standard_normal(shape) for name, shape in sizes.items()}
    first, second = (lg.interpret(n, params, tiny.x)[0] for n in (back, tiny.network))
    assert np.array_equal(first, second)


@pytest.mark.parametrize("damage", ["op", "source", "digest", "kind", "nodes"])
def test_damage_is_one_error(damage, tiny):
    record = json.loads(json.dumps(to_json(tiny.network)))
    if damage == "op":
        next(node for node in record["nodes"] if node[0] == "matmul")[0] = "matmull"
    elif damage == "source":
        next(node for node in record["nodes"] if node[3])[3][0] = 999
    elif damage == "digest":
        record["nodes"][-1][1]["name"] = "z"
    elif damage == "kind":
        record["kind"] = "tree"
    else:
        record["nodes"] = None
    with pytest.raises(lg.CheckpointError, match="graph"):
        from_json(record)
