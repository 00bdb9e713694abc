"""JAX as a user takes it: a cell under jax.lax.scan, compiled by jax.jit."""

import os
from collections.abc import Mapping
from importlib import import_module
from typing import Any

import numpy as np

from lstmgraph.bench.equations import EQUATIONS, Words
from lstmgraph.bench.measure import Block, Contender, repeated
from lstmgraph.bench.records import Size

PACKAGE = "jax"
NAME = "jax.jit(lax.scan)"


def _jax(threads: int) -> Any:
    os.environ.setdefault("NPROC", str(threads))  # what XLA sizes its thread pool by; read when it starts
    os.environ.setdefault("JAX_PLATFORMS", "cpu")
    return import_module(PACKAGE)


def forward(name: str, params: Mapping[str, Any], size: Size, threads: int) -> Contender:
    """Return runs of a cell over sequences."""

    def make() -> Block:
        jax = _jax(threads)
        run, weights, x, _ = _parts(jax, name, params, size)
        compiled = jax.jit(run)
        return repeated(lambda: jax.block_until_ready(compiled(weights, x)))

    return Contender(NAME, make, PACKAGE)


def training(name: str, params: Mapping[str, Any], size: Size, threads: int) -> Contender:
    """Return training steps of a cell: its outputs and the gradients of all weights."""

    def make() -> Block:
        jax = _jax(threads)
        run, weights, x, dy = _parts(jax, name, params, size)

        def both(weights: Any, x: Any, dy: Any) -> Any:
            y, pullback = jax.vjp(lambda weights: run(weights, x), weights)
            return y, pullback(dy)

        compiled = jax.jit(both)
        return repeated(lambda: jax.block_until_ready(compiled(weights, x, dy)))

    return Contender(NAME, make, PACKAGE)


def _parts(jax: Any, name: str, params: Mapping[str, Any], size: Size) -> tuple[Any, Any, Any, Any]:
    """Return ``run(weights, x) -> y``, and arrays for it."""
    jnp, equations = jax.numpy, EQUATIONS[name]

    def norm(value: Any) -> Any:
        centred = value - value.mean(-1, keepdims=True)
        return centred / jnp.sqrt((centred * centred).mean(-1, keepdims=True) + 1e-5)

    words = Words(jax.nn.sigmoid, jnp.tanh, lambda value, parts: jnp.split(value, parts, -1), norm)

    def run(weights: Any, x: Any) -> Any:
        def step(states: Any, taken: Any) -> Any:
            states = equations.step(words, weights, taken, states)
            return states, states[0]

        start = (jnp.zeros((x.shape[1], size.H), x.dtype),) * equations.states
        return jax.lax.scan(step, start, equations.before(words, weights, x))[1]

    rng = np.random.default_rng(0)
    weights = {key: jnp.asarray(value) for key, value in equations.weights(params).items()}
    x = jnp.asarray(rng.standard_normal((size.T, size.B, size.I)).astype("float32"))
    dy = jnp.asarray(rng.standard_normal((size.T, size.B, size.H)).astype("float32"))
    return run, weights, x, dy
