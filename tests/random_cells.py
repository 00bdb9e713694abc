"""Cells by their seed: inputs, states, layers, gates, delays, a cell in a cell, outputs, and long names."""

import random

import lstmgraph as lg

WORDS = (
    "a", "forget", "memory", "hidden_velocity", "admission_of_the_new", "level", "trend", "k", "pressure", "slow",
    "rate_of_change", "mixture", "wind", "temperature_outside", "b", "position",
)  # fmt: skip


@lg.cell
def inner(x, h, c):
    c = lg.gate(c, h, x, name="forget") + lg.gate(lg.tanh_layer(h, x, name="candidate"), h, x, name="input")
    return lg.gate(lg.tanh(c), h, x, name="output"), c


def random_cell(seed):
    """Return a cell of one to three inputs and states, and up to about thirty items."""
    scope = {"lg": lg, "inner": inner}
    exec(compile(source_of(seed), f"<cell {seed}>", "exec"), scope)
    return scope["cell"]


def source_of(seed):
    """Return the text of a random cell; the same for the same seed on any machine."""
    draw = random.Random(seed)
    words = draw.sample(WORDS, len(WORDS))
    inputs = [words.pop() for _ in range(draw.choice((1, 1, 1, 2, 3)))]
    states = [words.pop() for _ in range(draw.choice((1, 1, 2, 2, 3)))]
    lines, values = [], list(states)

    def value(expression):
        values.append(f"v{len(lines)}")
        lines.append(f"{values[-1]} = {expression}")

    def sources():
        deeper = [f"below={name}" for name in draw.sample(values, draw.choice((0, 0, 0, 1)))]
        return ", ".join([draw.choice(states), draw.choice(inputs), *deeper])

    for number in range(draw.randint(1, 6)):
        kind, name = draw.choice(("sigmoid", "sigmoid", "tanh")), f"{words[number]}_{number}"
        if draw.random() < 0.3:
            value(f'lg.gate({draw.choice(values)}, {sources()}, name="{name}")')
        else:
            value(f'lg.{kind}_layer({sources()}, name="{name}")')
        if draw.random() < 0.3:
            value(f"{draw.choice(('1 - ', '0.5 * ', '2 * '))}{values[-1]}")
    if draw.random() < 0.25:
        value(f"lg.tanh({draw.choice(values)} + lg.delay({states[0]}, {draw.randint(1, 3)}))")
    if draw.random() < 0.2 and len(states) > 1:
        lines.append(f'{states[0]}, {states[1]} = inner({inputs[0]}, {states[0]}, {states[1]}, name="inside")')
    for state in states:
        for _ in range(draw.randint(1, 2)):
            first, second = draw.sample(values, 2) if len(values) > 1 else values * 2
            lines.append(f"{state} = {state} * {first} {draw.choice('+-')} lg.tanh({second}) * {draw.choice(values)}")
    outputs = [f'"{words[-1 - place]}_out": {draw.choice(states + values)}' for place in range(draw.randint(1, 3))]
    nexts = [f'"{state}": {state}' for state in states]
    body = "\n    ".join([*lines, f"return {{{', '.join(outputs + nexts)}}}"])
    return f"@lg.cell\ndef cell({', '.join(inputs)}, /, {', '.join(states)}):\n    {body}\n"
