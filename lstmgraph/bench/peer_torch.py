"""PyTorch as a user takes it: torch.nn.LSTM, torch.nn.LSTMCell, a cell in a loop over time, a character model."""

from collections.abc import Mapping
from importlib import import_module
from typing import Any

from lstmgraph.bench.equations import EQUATIONS, Equations, Words
from lstmgraph.bench.measure import Block, Contender, repeated
from lstmgraph.bench.records import Size

PACKAGE = "torch"


def _torch(threads: int) -> Any:
    torch = import_module(PACKAGE)
    torch.set_num_threads(threads)
    return torch


def forward(size: Size, threads: int) -> Contender:
    """Return torch.nn.LSTM over sequences."""

    def make() -> Block:
        torch = _torch(threads)
        module, x = torch.nn.LSTM(size.I, size.H), torch.randn(size.T, size.B, size.I)

        def run() -> object:
            with torch.no_grad():
                return module(x)

        return repeated(run)

    return Contender("torch.nn.LSTM", make, PACKAGE)


def training_step(size: Size, threads: int) -> Any:
    """Return a training step of torch.nn.LSTM as a function."""
    torch = _torch(threads)
    module, x = torch.nn.LSTM(size.I, size.H), torch.randn(size.T, size.B, size.I)
    dy = torch.randn(size.T, size.B, size.H)

    def run() -> object:
        module.zero_grad(set_to_none=True)
        return module(x)[0].backward(dy)

    return run


def training(size: Size, threads: int) -> Contender:
    """Return training steps of torch.nn.LSTM."""
    return Contender("torch.nn.LSTM", lambda: repeated(training_step(size, threads)), PACKAGE)


def loop(name: str, params: Mapping[str, Any], size: Size, threads: int) -> Contender:
    """Return training steps of a cell run by a loop over time, in eager mode."""

    def make() -> Block:
        torch = _torch(threads)
        equations, words = EQUATIONS[name], _words(torch)
        weights = {key: torch.tensor(value, requires_grad=True) for key, value in equations.weights(params).items()}
        x, dy = torch.randn(size.T, size.B, size.I), torch.randn(size.T, size.B, size.H)

        def run() -> object:
            for value in weights.values():
                value.grad = None
            return over_time(torch, words, equations, weights, x).backward(dy)

        return repeated(run)

    return Contender("torch, eager loop", make, PACKAGE)


def over_time(torch: Any, words: Words, equations: Equations, weights: Mapping[str, Any], x: Any) -> Any:
    """Return the outputs [T, B, H] of a cell."""
    units = next(value.shape[0] for name, value in weights.items() if name == "U")
    states = (torch.zeros(x.shape[1], units),) * equations.states
    outputs = []
    for taken in equations.before(words, weights, x):
        states = equations.step(words, weights, taken, states)
        outputs.append(states[0])
    return torch.stack(outputs)


def _words(torch: Any) -> Words:
    return Words(
        torch.sigmoid,
        torch.tanh,
        lambda value, parts: value.chunk(parts, -1),
        lambda value: torch.nn.functional.layer_norm(value, value.shape[-1:]),
    )


def step(size: Size, threads: int) -> Contender:
    """Return steps of torch.nn.LSTMCell."""

    def make() -> Block:
        torch = _torch(threads)
        module, x = torch.nn.LSTMCell(size.I, size.H), torch.randn(size.B, size.I)
        state = (torch.zeros(size.B, size.H), torch.zeros(size.B, size.H))

        def run() -> object:
            with torch.inference_mode():
                return module(x, state)

        return repeated(run)

    return Contender("torch.nn.LSTMCell", make, PACKAGE)


def characters(layers: int, sizes: Mapping[str, int], tokens: Any, targets: Any, threads: int) -> Contender:
    """Return training steps of a character model: embedding, LSTM, head, cross entropy, clipping, Adam."""

    def make() -> Block:
        torch = _torch(threads)
        nn, V = torch.nn, sizes["V"]
        embed = nn.Embedding(V, sizes["embedding"])
        lstm = nn.LSTM(sizes["embedding"], sizes["H"], layers)
        head = nn.Linear(sizes["H"], V)
        parameters = [value for module in (embed, lstm, head) for value in module.parameters()]
        adam = torch.optim.Adam(parameters, lr=3e-3)
        x, y = torch.tensor(tokens), torch.tensor(targets)
        windows, T = len(tokens) // sizes["T"], sizes["T"]
        state: Any = None
        place = 0

        def run() -> None:
            nonlocal place, state
            part = slice(place * T, (place + 1) * T)
            state = None if place == 0 else tuple(value.detach() for value in state)
            hidden, state = lstm(embed(x[part]), state)
            loss = nn.functional.cross_entropy(head(hidden).reshape(-1, V), y[part].reshape(-1))
            adam.zero_grad(set_to_none=True)
            loss.backward()
            nn.utils.clip_grad_norm_(parameters, 1.0)
            adam.step()
            place = (place + 1) % windows

        return repeated(run)

    return Contender("torch", make, PACKAGE)
