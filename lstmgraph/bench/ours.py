"""Our side: cells as a user writes them, and what is measured of a program."""

from collections.abc import Callable
from typing import Any

import numpy as np

import lstmgraph as lg
from lstmgraph.bench.measure import Block, repeated
from lstmgraph.bench.records import Size
from lstmgraph.graph import Symbol


@lg.cell
def lstm(x: Symbol, h: Symbol, c: Symbol) -> tuple[Symbol, Symbol]:
    """Long short-term memory, as its equations."""
    c = lg.gate(c, h, x, name="forget") + lg.gate(lg.tanh_layer(h, x, name="candidate"), h, x, name="input")
    h = lg.gate(lg.tanh(c), h, x, name="output")
    return h, c


@lg.cell
def highway_2(x: Symbol, h: Symbol) -> Symbol:
    """Recurrent highway network of depth 2 with coupled gates (Zilly et al. 2017, equations 6 to 9)."""
    for depth in range(2):
        first = {"x": x} if depth == 0 else {}
        new = lg.tanh_layer(h=h, **first, name=f"transform_{depth}")
        keep = lg.sigmoid_layer(h=h, **first, name=f"carry_{depth}")
        h = keep * h + (1 - keep) * new
    return h


def compiled(cell: Any, size: Size, threads: int) -> tuple[Any, dict[str, Any], Any, Any]:
    """Return a program, its parameters, an input and a cotangent of its output."""
    program = lg.compile(cell, input_size=size.I, hidden_size=size.H, threads=threads)
    rng = np.random.default_rng(0)
    x = rng.standard_normal((size.T, size.B, size.I)).astype("float32")
    dy = rng.standard_normal((size.T, size.B, size.H)).astype("float32")
    return program, program.init(seed=0), x, dy


def forward(cell: Any, size: Size, threads: int) -> Block:
    """Return runs over sequences, the parameters bound once."""
    program, params, x, _ = compiled(cell, size, threads)
    bound = program.bind(params)
    return repeated(lambda: bound(x))


def training(cell: Any, size: Size, threads: int, lengths: Callable[[], Any] = lambda: None) -> Block:
    """Return training steps: forward pass and the gradients of all parameters; `lengths` are drawn for each."""
    program, params, x, dy = compiled(cell, size, threads)
    return repeated(lambda: program.value_and_gradients(params, x, dy, lengths=lengths()))


def flops(cell: Any, size: Size) -> float:
    """Return the operations of the matrix products of a forward pass; a training step has three times as many."""
    return float(size.T * size.B * lg.report(cell, input_size=size.I, hidden_size=size.H).forward.products)
