"""A training step and a forward pass of an LSTM written as its equations, beside torch.nn.LSTM, in turn in one run.

    python -m tests.benchmarks.training_step [tiny small medium long large] [--threads 2]

A training step is the forward pass and the gradients of all parameters. Each figure is the median of runs in
blocks that take turns, with the spread from the first to the third quartile; the ratio of the least times is what
other work on the machine disturbs least. Operations are counted as 2 T B 4H (I + H) for the forward pass and three
times that for a training step (torch's time counts the same operations).
"""

import argparse
import os
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

import lstmgraph as lg

BUDGET = 6.0  # seconds of measuring for each pair
ROUNDS = 5  # blocks of runs of each, in turn
PAUSE = 0.2  # seconds before a block: threads that spin after their work must not take the other's processors
SIZES = {  # T, B, I, H
    "tiny": (100, 1, 1, 32),
    "small": (100, 32, 32, 64),
    "medium": (100, 32, 128, 128),
    "long": (1000, 16, 64, 64),
    "large": (100, 64, 512, 512),
}
Task = Callable[[], object]


@lg.cell
def lstm(x, h, c):
    c = lg.gate(c, h, x, name="forget") + lg.gate(lg.tanh_layer(h, x, name="candidate"), h, x, name="input")
    h = lg.gate(lg.tanh(c), h, x, name="output")
    return h, c


@dataclass(frozen=True)
class Measured:
    """Seconds of repeated runs of one task."""

    seconds: list[float]

    @property
    def median(self) -> float:
        return statistics.median(self.seconds)

    def __str__(self) -> str:
        first, _, third = statistics.quantiles(self.seconds, n=4)
        return f"{self.median * 1e3:9.2f} [{first * 1e3:.2f}, {third * 1e3:.2f}]"


def in_turn(*tasks: Task) -> list[Measured]:
    """Run tasks in blocks, in turn, until the time is up, and return their times."""
    for task in tasks:
        task()
        task()
    seconds: list[list[float]] = [[] for _ in tasks]
    for _ in range(ROUNDS):
        for task, found in zip(tasks, seconds, strict=True):
            time.sleep(PAUSE)
            task()
            end = time.perf_counter() + BUDGET / ROUNDS / len(tasks)
            while True:
                begin = time.perf_counter()
                task()
                found.append(time.perf_counter() - begin)
                if time.perf_counter() > end:
                    break
    return [Measured(found) for found in seconds]


def our_tasks(T: int, B: int, inputs: int, H: int, threads: int) -> tuple[Task, Task]:
    """Return the forward pass and the training step of a program."""
    program = lg.compile(lstm, input_size=inputs, hidden_size=H, threads=threads)
    params = program.init(seed=0)
    rng = np.random.default_rng(0)
    x = rng.standard_normal((T, B, inputs)).astype("float32")
    dy = rng.standard_normal((T, B, H)).astype("float32")

    def train() -> object:
        return program.vjp(params, x, wrt=("params",))[2](dy)

    return lambda: program(params, x), train


def torch_tasks(T: int, B: int, inputs: int, H: int, threads: int) -> tuple[Task, Task]:
    """Return the forward pass and the training step of torch.nn.LSTM."""
    import torch

    torch.set_num_threads(threads)
    module = torch.nn.LSTM(inputs, H)
    x, dy = torch.randn(T, B, inputs), torch.randn(T, B, H)

    def forward() -> object:
        with torch.no_grad():
            return module(x)

    def train() -> object:
        module.zero_grad(set_to_none=True)
        return module(x)[0].backward(dy)

    return forward, train


def measure(name: str, threads: int) -> None:
    """Print the rows of one size."""
    T, B, inputs, H = SIZES[name]
    flops = 2 * T * B * 4 * H * (inputs + H)
    for kind, factor, ours, theirs in zip(
        ("forward", "training"),
        (1, 3),
        our_tasks(*SIZES[name], threads),
        torch_tasks(*SIZES[name], threads),
        strict=True,
    ):
        mine, other = in_turn(ours, theirs)
        least = [min(found.seconds) for found in (mine, other)]
        rates = [factor * flops / found.median / 1e9 for found in (mine, other)]
        print(
            f"{name:7} {f'[{T}, {B}, {inputs}, {H}]':20} {kind:9} {mine!s:30} {other!s:30} "
            f"{other.median / mine.median:6.2f} {least[1] / least[0]:6.2f} {rates[0]:8.1f} {rates[1]:6.1f} "
            f"{least[0] * 1e3:8.2f} {least[1] * 1e3:8.2f}",
            flush=True,
        )


def main(arguments: list[str]) -> None:
    """Measure the sizes named, or all."""
    parser = argparse.ArgumentParser(prog="training_step", description="An LSTM's training step beside torch.nn.LSTM.")
    parser.add_argument("sizes", nargs="*", metavar="size", help=f"of {', '.join(SIZES)}; all by default")
    parser.add_argument("--threads", type=int, default=2)
    chosen = parser.parse_args(arguments)
    if unknown := set(chosen.sizes) - set(SIZES):
        parser.error(f"unknown size {', '.join(sorted(unknown))}, expected any of {', '.join(SIZES)}")
    load = os.getloadavg()[0]
    print(f"float32, {chosen.threads} threads of {os.cpu_count()} processors; milliseconds: median [quartiles]")
    if load > 0.5:
        print(f"other work keeps {load:.1f} processors busy: measure again")
    columns = f"{'lstmgraph':>9} {'':20} {'torch.nn.LSTM':>13} {'':16} ratio  least  GFLOP/s  torch    least    torch"
    print(f"{'':7} {'[T, B, I, H]':20} {'':9} {columns}")
    for name in chosen.sizes or SIZES:
        measure(name, chosen.threads)


if __name__ == "__main__":
    main(sys.argv[1:])
