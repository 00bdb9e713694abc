"""Cells to draw beside the catalogue: known ones that it lacks, and odd ones."""

import pytest

import lstmgraph as lg


@lg.cell
def lstm(x, h, c):
    c = lg.gate(c, h, x, name="forget") + lg.gate(lg.tanh_layer(h, x, name="candidate"), h, x, name="input")
    h = lg.gate(lg.tanh(c), h, x, name="output")
    return h, c


@lg.cell
def coupled(x, h, c):
    f = lg.sigmoid_layer(h, x, name="forget")
    c = f * c + (1 - f) * lg.tanh_layer(h, x, name="candidate")
    return lg.gate(lg.tanh(c), h, x, name="output"), c


@lg.cell
def janet(x, h):
    f = lg.sigmoid_layer(h, x, name="forget")
    return f * h + (1 - f) * lg.tanh_layer(h, x, name="candidate")


@lg.cell
def leaky(x, dt, /, h):
    kept = lg.exp(-dt) * h
    h = lg.tanh_layer(h=kept, x=x, name="mix")
    return {"y": 2 * h, "h": h}


@lg.cell
def two_by_two(x, u, /, h, c):
    f = lg.sigmoid_layer(h, x, u, name="forget")
    g = lg.tanh_layer(h, x, u, name="candidate")
    c = f * c + (1 - f) * g
    h = lg.gate(lg.tanh(c), h, x, u, name="output")
    return {"first": h, "second": lg.linear(c, name="head"), "h": h, "c": c}


@lg.cell
def two_memories(x, h, s, c):
    a = lg.sigmoid_layer(h, x, name="average")
    s = a * s + a * lg.tanh_layer(h, x, name="update")
    c = lg.gate(c, h, x, name="forget") + lg.gate(lg.tanh_layer(h, x, name="candidate"), h, x, name="input")
    return lg.gate(lg.tanh(c + s), h, x, name="output"), s, c


@lg.cell
def nested(x, h, c, d):
    kept, new = (
        lg.gate(c, h, x, name="forget"),
        lg.gate(lg.tanh_layer(h, x, name="candidate"), h, x, name="input"),
    )
    f = lg.sigmoid_layer(kept=kept, new=new, name="inner_forget")
    d = f * d + (1 - f) * lg.tanh_layer(kept=kept, new=new, name="inner_candidate")
    c = lg.tanh(d)
    return lg.gate(lg.tanh(c), h, x, name="output"), c, d


@lg.cell
def two_deep(x, h1, c1, h2, c2):
    h1, c1 = lstm(x, h1, c1, name="lower")
    h2, c2 = lstm(h1, h2, c2, name="upper")
    return {"y": h2, "h1": h1, "c1": c1, "h2": h2, "c2": c2}


@lg.cell
def passed_through(x, h, k):
    return lg.tanh_layer(h, x, k, name="hidden"), k


@lg.cell
def unused_state(x, h, k):
    h = lg.tanh_layer(h, x, name="hidden")
    return h, 2 * h


@lg.cell
def unused_input(x, u, /, h):
    return lg.tanh_layer(h, x, name="hidden")


@lg.cell
def one_value_three_states(x, a, b, c):
    new = lg.gate(a, a, x, name="forget") + b
    return new, new, new


@lg.cell
def swapped(x, a, b):
    return {"y": lg.linear(x, name="head"), "a": b, "b": a}


@lg.cell
def no_layers(x, h):
    return 0.9 * h + 0.1 * x


@lg.cell
def constant_state(x, h, k):
    return h * x, 0.5 * lg.parameter("level") + 0 * k


@lg.cell
def squared(x, h):
    return h * h + lg.relu(x) * x


@lg.cell
def attentive(x, h):
    weights = lg.softmax(lg.linear(h, x, name="scores"))
    return weights * h + (1 - weights) * lg.softmax(x)


@lg.cell
def ordered(x, h, c):
    f, i = lg.cumax(lg.linear(h, x, name="forget")), 1 - lg.cumax(lg.linear(h, x, name="input"))
    c = f * c + i * lg.tanh_layer(h, x, name="candidate")
    return lg.gate(lg.tanh(c), h, x, name="output"), c


@lg.cell
def joined(x, h):
    both = lg.concat(x, h)
    return lg.tanh_layer(both, name="hidden") * lg.sigmoid_layer(both, name="gate")


@lg.cell
def independent(x, h):
    return lg.relu(lg.linear(x, name="input") + lg.parameter("u") * h)


@lg.cell
def many_sources(x, u, v, w, /, h, c):
    a = lg.sigmoid(x)
    g = lg.tanh_layer(a=a, b=lg.tanh(u), c=v * w, d=h * u, e=c * v, f=h, g=x, name="mixture")
    return g * h, c + g


@lg.cell
def long_names(position, hidden_velocity):
    gate = lg.sigmoid_layer(position=position, velocity=hidden_velocity, name="admission_of_the_new")
    return gate * hidden_velocity + (1 - gate) * position


@lg.cell
def chosen(x, h):
    return lg.select(x < h, lg.maximum(x, h), lg.minimum(x, 0.5))


KNOWN = {
    cell.name: cell
    for cell in (
        lstm,
        coupled,
        janet,
        leaky,
        two_by_two,
        two_memories,
        nested,
        two_deep,
        passed_through,
        unused_state,
    )
}
ODD = {
    cell.name: cell
    for cell in (
        unused_input, one_value_three_states, swapped, no_layers, constant_state, squared, attentive, ordered,
        joined, independent, many_sources, long_names, chosen,
    )
}  # fmt: skip


def pytest_generate_tests(metafunc):
    """Give each test that asks for them the known cells or all cells; every second one of those to be polished."""
    named = {**lg.cells.catalogue, **KNOWN}
    groups = {"known": named, "cell": {**named, **ODD}, "to_polish": {**ODD, **named}}
    for argument, cells in groups.items():
        if argument in metafunc.fixturenames:
            slow = [pytest.mark.slow if argument == "to_polish" and place % 2 else () for place in range(len(cells))]
            given = zip(cells.items(), slow, strict=True)
            metafunc.parametrize(argument, [pytest.param(cell, id=name, marks=mark) for (name, cell), mark in given])


@pytest.fixture
def odd():
    return {**KNOWN, **ODD}
