"""Warming up: the machine code of a program made, or read from the disk, before the first call that counts."""

from typing import TYPE_CHECKING

import numpy as np

from lstmgraph.graph import features, resize

if TYPE_CHECKING:
    from lstmgraph.program import Program

STEPS, ROWS = 2, 1  # any other T and B run on the same machine code


def warm_up(program: "Program", forward: bool, step: bool, training: bool) -> None:
    """Run the parts of a program that are asked for on zeros."""
    traced, sizes = program.traced, program.sizes
    params = {
        name: np.zeros([int(resize(dim, sizes)) for dim in node.shape], program.dtype)
        for name, node in traced.parameters.items()
    }
    leaves = {name: traced.leaves[f"input:{name}"] for name in traced.inputs}
    shapes = {name: [int(resize(dim, sizes)) for dim in features(node.shape)] for name, node in leaves.items()}
    x = {
        name: np.zeros((STEPS, ROWS, *shapes[name]), np.int64 if node.attr("integer") else program.dtype)
        for name, node in leaves.items()
    }
    with np.errstate(all="ignore"):  # zeros need not be in an op's domain
        if forward:
            program(params, x)
        if step:
            bound, first = program.bind(params), {name: value[0] for name, value in x.items()}
            _, state = bound.step(first)
            bound.step(first, state)
        if training:
            masked = x | program.masks(STEPS, ROWS)
            y, _, pullback = program.vjp(params, masked)
            pullback(y)
            program.value_and_gradients(params, masked, y)
    if program.index_limits and (forward or training):  # beside longer batches the entries of a table may be few
        program.executor.support("project")
