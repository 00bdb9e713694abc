"""The graph is the cell: plain, frozen, the same in every trace and process; and what cannot be a graph says why."""

import copy
import json
import os
import pickle
import subprocess
import sys
import textwrap
from pathlib import Path

import networkx as nx
import numpy as np
import pytest

import lstmgraph as lg
from lstmgraph.errors import CompileError, GraphError, ShapeError
from lstmgraph.graph import Node, keys_of, node_of, operands

TEXT = """
import json
import lstmgraph as lg
def traced():
    @lg.cell
    def gated(x, h, c):
        c = lg.gate(c, h, x, name="forget") + lg.gate(lg.tanh_layer(h, x, name="candidate"), h, x, name="input")
        return lg.gate(lg.tanh(c), h, x, name="output"), c
    return gated
"""


def traced():
    scope = {}
    exec(TEXT, scope)
    return scope["traced"]()


def ops_of(cell):
    return [node.op for _, node in cell.graph.nodes(data="node")]


# ---- the same, wherever it is traced


def test_two_traces_have_the_same_keys_in_the_same_order():
    first, second = traced(), traced()
    assert list(first.graph.nodes(data="node")) == list(second.graph.nodes(data="node"))
    assert list(first.graph.edges(keys=True)) == list(second.graph.edges(keys=True))
    assert first.digest == second.digest


@pytest.mark.parametrize("seed", ["0", "4321"])
def test_keys_and_texts_are_the_same_in_another_process(seed, in_numpy):
    program = TEXT + textwrap.dedent(
        """
        cell = traced()
        program = lg.compile(cell, input_size=3, hidden_size=5)
        print(json.dumps([list(cell.graph), list(lg.gradient(cell).graph), program.source, str(program.plan)]))
        """
    )
    environment = {**os.environ, "PYTHONHASHSEED": seed}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True)
    cell = traced()
    here = lg.compile(cell, input_size=3, hidden_size=5)
    assert json.loads(done.stdout) == [list(cell.graph), list(lg.gradient(cell).graph), here.source, str(here.plan)]


def test_tracing_again_gives_the_same_source_and_plan(in_numpy):
    first, second = (lg.compile(traced(), input_size=3, hidden_size=5) for _ in range(2))
    assert first.source == second.source and str(first.plan) == str(second.plan)


def test_another_name_of_a_variable_changes_nothing():
    @lg.cell
    def one(x, h):
        new = lg.tanh_layer(h, x, name="hidden")
        return 0.5 * new + 0.5 * h

    @lg.cell
    def other(x, h):
        half = 0.5 * lg.tanh_layer(h, x, name="hidden")
        return half + 0.5 * h

    assert one.digest == other.digest


# ---- what it is made of


def test_it_is_a_frozen_acyclic_multigraph_of_records():
    graph = traced().graph
    assert type(graph) is nx.MultiDiGraph and nx.is_directed_acyclic_graph(graph) and nx.is_frozen(graph)
    assert all(list(data) == ["node"] and type(data["node"]) is Node for _, data in graph.nodes(data=True))
    with pytest.raises(nx.NetworkXError, match=r"[Ff]rozen"):
        graph.add_node("more")
    with pytest.raises(AttributeError):
        next(iter(graph.nodes(data="node")))[1].op = "add"


def test_the_order_of_the_nodes_is_topological():
    graph = traced().graph
    place = {key: number for number, key in enumerate(graph)}
    assert all(place[source] < place[target] for source, target in graph.edges())


def test_a_value_used_twice_by_one_op_has_two_edges():
    @lg.cell
    def squared(x, h):
        return h * h + x @ lg.parameter("W", shape=("I", "H"))

    (product,) = keys_of(squared.graph, "mul")
    (state,) = keys_of(squared.graph, "state")
    assert squared.graph.number_of_edges(state, product) == 2
    assert sorted(squared.graph.get_edge_data(state, product)) == [0, 1]
    assert operands(squared.graph, product) == (state, state)


def test_the_order_of_operands_is_kept():
    @lg.cell
    def difference(x, h):
        return h - lg.linear(x, name="input")

    (key,) = keys_of(difference.graph, "sub")
    assert [node_of(difference.graph, source).op for source in operands(difference.graph, key)] == ["state", "add"]


def test_equal_subexpressions_are_one_node():
    @lg.cell
    def doubled(x, h):
        return lg.tanh(h) * lg.tanh(h) + lg.linear(x, name="input")

    assert ops_of(doubled).count("tanh") == 1


def test_leaves_and_sinks_are_nodes():
    cell = traced()
    assert cell.inputs == ("x",) and cell.states == ("h", "c") and cell.outputs == ("y",)
    assert [node_of(cell.graph, key).name for key in keys_of(cell.graph, "next")] == ["h", "c"]
    sources = {node.op for key, node in cell.graph.nodes(data="node") if not cell.graph.pred[key]}
    ends = {node.op for key, node in cell.graph.nodes(data="node") if not cell.graph.succ[key]}
    assert sources == {"input", "state", "parameter"} and ends == {"next", "output"}


def test_labels_and_lines_lie_beside_the_graph():
    graph = traced().graph
    labels = {name: node_of(graph, key).op for name, key in graph.graph["labels"].items()}
    assert labels == {"forget": "sigmoid", "candidate": "tanh", "input": "sigmoid", "output": "sigmoid"}
    assert set(graph.graph["lines"]) <= set(graph) and all(line > 0 for _, line in graph.graph["lines"].values())


def test_networkx_algorithms_work_on_it():
    graph = traced().graph
    (state,) = [key for key in keys_of(graph, "state") if node_of(graph, key).name == "c"]
    (target,) = [key for key in keys_of(graph, "next") if node_of(graph, key).name == "c"]
    path = nx.shortest_path(graph, state, target)
    assert [node_of(graph, key).op for key in path] == ["state", "mul", "add", "next"]  # the conveyor
    assert nx.dag_longest_path_length(graph) > 5 and nx.is_weakly_connected(graph)
    assert set(nx.topological_sort(graph)) == set(graph)
    assert nx.is_isomorphic(nx.reverse_view(nx.reverse_view(graph)), graph)
    assert list(copy.deepcopy(graph)) == list(graph) == list(pickle.loads(pickle.dumps(graph)))


def test_a_gate_is_a_sigmoid_layer_and_a_pointwise_multiplication():
    @lg.cell
    def valve(x, h):
        return lg.gate(h, x, name="valve")

    (product,) = keys_of(valve.graph, "mul")
    first, second = (node_of(valve.graph, source).op for source in operands(valve.graph, product))
    assert (first, second) == ("sigmoid", "state")
    assert ops_of(valve) == "input state parameter matmul parameter add sigmoid mul next output".split()


def test_an_lstm_has_three_gates():
    cell = lg.cells.catalogue["lstm"]
    sigmoids = keys_of(cell.graph, "sigmoid")
    assert len(sigmoids) == 3
    assert all([node_of(cell.graph, user).op for user in cell.graph.succ[key]] == ["mul"] for key in sigmoids)
    names = {key: name for name, key in cell.graph.graph["labels"].items()}
    assert sorted(names[key] for key in sigmoids) == ["forget", "input", "output"]


def test_a_cell_in_a_cell_is_inlined_under_its_prefix():
    @lg.cell
    def wrapped(x, h, c):
        return lg.cells.catalogue["lstm"](x, h, c, name="inner")

    plain = lg.cells.catalogue["lstm"]
    assert list(wrapped.parameters) == [f"inner.{name}" for name in plain.parameters]
    assert sorted(ops_of(wrapped)) == sorted(ops_of(plain))
    assert set(wrapped.graph.graph["labels"]) == {"inner.forget", "inner.candidate", "inner.input", "inner.output"}


# ---- what cannot be a graph


def line_of(text, function):
    """Return the line number in this file of a line of a function."""
    begin = function.__code__.co_firstlineno
    lines = Path(__file__).read_text(encoding="utf-8").splitlines()
    return next(n for n, line in enumerate(lines, start=1) if n >= begin and text in line)


def wrong_number(x, h, c):
    return lg.tanh_layer(h, x, name="hidden")


def not_a_symbol(x, h):
    return "h"


def an_array(x, h):
    return h * np.ones(3)


def by_position(x, h):
    return lg.tanh_layer(0.5 * h, x, name="hidden")


def truth(x, h):
    return h if h > 0 else lg.linear(x, name="input")


def unpacked(x, h):
    first, _ = h
    return first


def missing_state(x, h, c):
    return {"y": h, "h": h}


def a_matrix(x, h):
    return lg.parameter("U", shape=("H", "H"))


def starred(x, *states):
    return states


def unknown_start(x, h):
    return lg.tanh_layer(h, x, name="hidden", init={"W_y": 0.0})


def tied_apart(x, h):
    return h * lg.parameter("a") + lg.parameter("a", shape=())


def no_source(x, h):
    return lg.linear(name="nothing")


ERRORS = {
    wrong_number: "got 1 returned values, expected 2: the next h, c",
    not_a_symbol: "next 'h': got str 'h', expected a value of the cell",
    an_array: "got ndarray, expected a value of the cell or a number; use lg.parameter",
    by_position: r"layer 'hidden' \(test_graph.py, line \d+\): got an expression \(mul\) by position.*h=r \* h",
    truth: r"no truth value.*lg\.select.*\(test_graph.py, line \d+\)",
    unpacked: r"cannot be unpacked.*\(test_graph.py, line \d+\)",
    missing_state: "expected every state; return also c",
    a_matrix: "got a matrix of shape .*, expected a row",
    starred: r"got argument '\*states', expected plain arguments",
    unknown_start: r"got init for \['W_y'\], expected weights of the layer: W_h, W_x, b",
    tied_apart: r"parameter 'a' \(test_graph.py, line \d+\): got shape \(\), expected \('H',\)",
    no_source: "expected at least one",
}


@pytest.mark.parametrize("function", ERRORS, ids=lambda function: function.__name__)
def test_what_makes_no_cell_says_what_where_and_what_to_do(function):
    with pytest.raises(GraphError, match=ERRORS[function]):
        lg.cell(function)


def test_two_layers_of_one_name_name_both_lines():
    def twice(x, h):
        first = lg.tanh_layer(h, x, name="same")
        return lg.gate(first, h, x, name="same")

    lines = [line_of(text, twice) for text in ("first = lg", "return lg.gate(first")]
    pattern = rf"'same' \(test_graph.py, line {lines[0]}\) and \(test_graph.py, line {lines[1]}\)"
    with pytest.raises(GraphError, match=pattern):
        lg.cell(twice)


def test_a_value_of_another_cell_is_refused():
    kept = []

    @lg.cell
    def first(x, h):
        kept.append(h)
        return lg.tanh_layer(h, x, name="hidden")

    with pytest.raises(GraphError, match="belongs to another cell"):

        @lg.cell
        def second(x, h):
            return lg.tanh_layer(h, x, name="hidden") * kept[0]


@pytest.mark.parametrize("word", ["linear", "parameter", "embedding", "one_hot", "tanh_layer", "recur"])
def test_layers_work_only_inside_a_cell(word):
    arguments = {"parameter": ("a",), "embedding": (None, 3, 4), "one_hot": (None, 3), "recur": (None,)}.get(
        word, (None,)
    )
    named = {} if word in ("parameter", "one_hot") else {"name": "layer"}
    with pytest.raises(GraphError, match="called outside a cell"):
        getattr(lg, word)(*arguments, **named)


def test_ops_want_a_value_of_a_cell():
    with pytest.raises(GraphError, match=r"lg\.tanh: got float, expected at least one value of a cell"):
        lg.tanh(1.0)


def test_a_cell_is_not_called_on_arrays():
    with pytest.raises(GraphError, match=r"to run it on arrays use lg\.compile"):
        lg.cells.catalogue["rnn"](np.ones((2, 3)), np.ones((2, 4)))


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        ({"input_size": 3}, "got no size for hidden_size, expected one for state h; pass hidden_size= to lg.compile$"),
        ({"input_size": 3, "hidden_size": 4, "hiden_size": 4}, r"unknown size 'hiden_size'.*nearest: hidden_size"),
        ({"input_size": 3, "hidden_size": 0}, "hidden_size=0, expected a positive integer"),
        ({"input_size": 3.0, "hidden_size": 4}, "input_size=3.0, expected a positive integer"),
        ({"input_size": 3, "hidden_size": 4, "dtype": "float16"}, "dtype 'float16', expected float32 or float64"),
    ],
)
def test_wrong_sizes_are_said_when_compiling(sizes, message):
    with pytest.raises(CompileError, match=message):
        lg.compile(lg.cells.catalogue["lstm"], **sizes)


def test_sizes_that_do_not_fit_name_the_lines():
    @lg.cell
    def unfit(x, h, m):
        m = lg.tanh_layer(m, x, name="memory", size="M")
        return lg.tanh_layer(h, x, name="hidden") * m, m

    line = line_of('name="hidden") * m', test_sizes_that_do_not_fit_name_the_lines)
    with pytest.raises(ShapeError, match=rf"test_graph.py, line {line}\).*M = 4.*H = 5|H = 5.*M = 4"):
        lg.compile(unfit, input_size=3, hidden_size=5, M=4)
    lg.compile(unfit, input_size=3, hidden_size=5, M=5)
