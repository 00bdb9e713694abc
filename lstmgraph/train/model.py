"""Model: a network, a loss and an optimiser; fit, evaluate, predict, save."""

from collections.abc import Callable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from lstmgraph.border import (
    FLOATS,
    Arrays,
    as_inputs,
    as_lengths,
    check_index_range,
    checked_sizes,
    infer_sizes,
    symbols_of,
    table_limits,
)
from lstmgraph.errors import CompileError, DataError, GraphError
from lstmgraph.graph import Dim, keys_of, node_of
from lstmgraph.masks import draw
from lstmgraph.sizes import missing_sizes, spoken, symbol_of
from lstmgraph.stretches import check_stretches
from lstmgraph.traced import Traced
from lstmgraph.train.adam import Adam
from lstmgraph.train.budget import Budget, Schedule, as_schedule
from lstmgraph.train.feed import Feed, Place, Standing, weighted_sum
from lstmgraph.train.flat import Layout
from lstmgraph.train.history import History, Step
from lstmgraph.train.losses import Body, Loss, as_loss
from lstmgraph.train.objective import LOSS, check_size, measures, objective, target_name
from lstmgraph.train.optimizer import Optimizer, Updater
from lstmgraph.train.targets import as_weights, spread_target

_EVALUATION_ROWS = 16384


class Model:
    """A network that can be trained.

    Parameters
    ----------
    network : Network or Cell
        What computes the prediction.
    loss : str or callable
        ``"cross_entropy"`` (targets [T, B] integers), ``"mean_squared_error"`` (targets like the prediction),
        or a function of symbols ``(prediction, target) -> value of size 1 a row``.
    optimizer : Optimizer, optional
        ``lg.SGD``, ``lg.Adam`` (the default) or ``lg.AdamW``.
    seed : int
        Decides the first parameters and the order of batches.
    dtype : str
        ``"float32"`` or ``"float64"``.
    threads : int, optional
        As in ``lg.compile``.
    **sizes
        Sizes that neither the network nor the data settle, as in ``lg.compile``: ``hidden_size=64``.

    Raises
    ------
    GraphError
        If the network is none, or the loss or the optimiser is unknown.

    Examples
    --------
    >>> import numpy as np, lstmgraph as lg
    >>> @lg.network
    ... def parity(bits):
    ...     x = lg.embedding(bits, 2, 4, name="embed")
    ...     return lg.linear(lg.recur(lg.cells.gru, x, size=8, name="gru"), size=2, name="head")
    >>> bits = np.random.default_rng(0).integers(0, 2, (12, 64))
    >>> model = lg.Model(parity, optimizer=lg.Adam(0.02), seed=0)
    >>> history = model.fit(bits, bits.cumsum(0) % 2, epochs=10)
    >>> len(history), bool(history[-1].loss < history[0].loss)
    (10, True)
    """

    def __init__(
        self,
        network: Any,
        loss: str | Body | Loss = "cross_entropy",
        optimizer: Optimizer | None = None,
        seed: int = 0,
        dtype: str = "float32",
        threads: int | None = None,
        **sizes: int,
    ) -> None:
        if not isinstance(network, Traced):
            raise GraphError(f"model: got {type(network).__name__}, expected a network made by @lg.network")
        if optimizer is not None and not isinstance(optimizer, Optimizer):
            raise GraphError(f"model: got optimizer={optimizer!r}, expected lg.SGD, lg.Adam or lg.AdamW")
        if str(dtype) not in FLOATS:
            raise CompileError(f"model: got dtype={dtype!r}, expected {' or '.join(FLOATS)}")
        if isinstance(seed, bool) or not isinstance(seed, int | np.integer) or seed < 0:
            raise GraphError(f"model: got seed={seed!r}, expected a whole number, 0 or more")
        self.network = network
        self.loss = as_loss(loss)
        self.optimizer = optimizer if optimizer is not None else Adam()
        self.seed = int(seed)
        self.dtype = str(dtype)
        self.threads = threads
        self.objective = objective(network, self.loss)
        checked_sizes(self.objective, {symbol_of(word): size for word, size in sizes.items()})
        self._sizes: dict[str, int] = dict(sizes)
        self._programs: dict[str, Any] = {}
        self._updater: Updater | None = None
        self._standing: Standing | None = None
        self.warm: set[tuple[Any, ...]] = set()  # forms of training steps that are compiled: see Loop

    def __repr__(self) -> str:
        return f"<model {self.network.name}, {self.loss.name}, {self.optimizer}, {self.steps} steps>"

    @property
    def params(self) -> dict[str, Any]:
        """The parameters by full name: views of what training changes.

        Raises
        ------
        CompileError
            If a size is settled by neither the network nor data seen so far.
        """
        return self.updater.layout.views(self.standing.weights.flat)

    @property
    def steps(self) -> int:
        """Training steps taken since the model was made."""
        return self._standing.weights.step if self._standing is not None else 0

    @property
    def sizes(self) -> dict[str, int]:
        """The sizes bound so far, as keywords of ``lg.compile``."""
        return dict(self._sizes)

    @property
    def standing(self) -> Standing:
        """Weights, moments and the place in the data: all that training changes."""
        if self._standing is None:
            self._standing = Standing(self.updater.start(self.program("objective").init(self.seed)))
        return self._standing

    @standing.setter
    def standing(self, standing: Standing) -> None:
        self._standing = standing

    @property
    def updater(self) -> Updater:
        """The optimiser, compiled for the parameters of this model."""
        if self._updater is None:
            layout = Layout.of(self.program("objective").init(self.seed))
            self._updater = Updater(self.optimizer, layout, self.dtype, self.threads)
        return self._updater

    def program(self, role: str = "network") -> Any:
        """Return the compiled ``"network"``, ``"objective"`` (the loss of each row) or ``"measures"``."""
        if role not in self._programs:
            from lstmgraph.program import compile as compile_program

            graphs = {"network": self.network, "objective": self.objective}
            traced = graphs[role] if role in graphs else measures(self.network, self.loss)
            self._check_settled(traced)
            wanted = {spoken(symbol) for symbol in symbols_of(traced)}
            sizes = {name: size for name, size in self._sizes.items() if name in wanted}
            self._programs[role] = compile_program(traced, dtype=self.dtype, threads=self.threads, **sizes)
        return self._programs[role]

    def fit(
        self,
        x: Any,
        y: Any,
        epochs: int | None = None,
        *,
        batch_size: int | None = None,
        window: int | None = None,
        lengths: Any = None,
        weights: Any = None,
        seconds: float | None = None,
        steps: int | None = None,
        schedule: str | Schedule = "constant",
        validation: tuple[Any, ...] | None = None,
        progress: bool | None = None,
        callback: Callable[[Step], Any] | None = None,
        checkpoint_every: int | None = None,
        memory_budget: int | None = None,
        debug: bool = False,
    ) -> History:
        """Train on sequences, and go on where the last call stopped.

        A call that ends within an epoch leaves its place; the next call on the same data goes on from there,
        also after ``save`` and ``lg.load``, bit for bit. The first limit reached ends training; Ctrl-C does
        so too, and leaves the model as it was after the last whole step. Fresh data at each step: call it with
        ``steps=1`` again and again; only the first call on arrays of a shape compiles.

        Parameters
        ----------
        x : array or dict
            The input [T, B, ...], or inputs by name.
        y : array
            The targets, [T, B] integers or [T, B, features]; [B] or [B, features] for one target a sequence, which
            belongs to its last valid step, and no other step counts. For a target that every step shall predict give
            it at each step, ``np.broadcast_to(y, (T, B))``: the loss is then the mean over time, and
            ``predict(x).mean(axis=0)`` the prediction pooled over time.
        epochs : int, optional
            Passes over the data; 1 if neither `seconds` nor `steps` is given.
        batch_size : int, optional
            Sequences a step, dealt out anew in each epoch; all of them by default.
        window : int, optional
            Steps of time a training step sees (truncated back-propagation); the state is carried from window
            to window, and starts anew with each epoch. The whole sequence by default.
        lengths : integers [B], optional
            Valid steps of each sequence.
        weights : array [T, B], optional
            How much each row counts in the mean loss, 0 or more; all alike by default.
        seconds : float, optional
            Time to train for; compiling and validation do not count.
        steps : int, optional
            Steps to take.
        schedule : str or callable
            ``"constant"``, ``"linear"`` or ``"cosine"`` (to zero at the end of this call), or a function
            ``(step, progress) -> factor`` of the learning rate, `step` counted since the model was made.
        validation : tuple, optional
            ``(x, y)``, ``(x, y, lengths)`` or ``(x, y, lengths, weights)``, evaluated after each epoch and at the end.
        progress : bool, optional
            Whether to show a bar on stderr; by default if it is a terminal.
        callback : callable, optional
            Called with the `Step` after each one; training ends if it returns True.
        checkpoint_every : int, optional
            Keep the states of every so many steps alone and replay the rest, as `Program.vjp` does: for sequences
            whose steps do not fit into memory. The model learns the same, bit for bit.
        memory_budget : int, optional
            Bytes of working memory that a step may use, in place of `checkpoint_every`; see `Program.vjp`.
        debug : bool
            Whether the error for a loss or gradients that are not finite says where the first NaN or infinity was
            born, as `lg.check_finite` does; until then it costs nothing.

        Returns
        -------
        History
            A list of `Step` records, with ``.loss`` and ``.validation``.

        Raises
        ------
        LstmGraphError
            For arrays that do not fit, and if the loss or the gradients are not finite: the parameters then
            are those before that step.
        """
        from lstmgraph.train.loop import Loop

        arrays, valid, counts = self._examples(x, y, lengths, weights)
        feed = Feed(arrays, valid, counts, window, batch_size, self.seed)
        if feed.windows > 1 and reads_ahead(self.network):
            raise GraphError(f"fit: got window={window} for {self.network.name}, which runs back in time; leave it out")
        if epochs is None and steps is None and seconds is None:
            epochs = 1
        if epochs is not None:
            Budget(epochs, None)
            steps = min(epochs * feed.items, epochs * feed.items if steps is None else steps)
        if checkpoint_every is not None or memory_budget is not None:
            check_stretches(self.network, checkpoint_every, memory_budget)
        budget = Budget(steps, seconds)
        limits = {"checkpoint_every": checkpoint_every, "memory_budget": memory_budget}
        loop = Loop(self, feed, budget, as_schedule(schedule), validation, progress, callback, limits, debug)
        return loop.run()

    def evaluate(self, x: Any, y: Any, *, lengths: Any = None, weights: Any = None) -> dict[str, float]:
        """Return the mean loss over all valid rows, and what belongs to the loss.

        Parameters
        ----------
        x, y, lengths, weights
            As in `fit`.

        Returns
        -------
        dict
            ``"loss"``; for cross entropy also ``"accuracy"`` and ``"bits_per_character"``.
        """
        arrays, valid, counts = self._examples(x, y, lengths, weights)
        B = next(iter(arrays.values())).shape[1]
        whole = reads_ahead(self.network) or B == 0
        feed = Feed(arrays, valid, counts, None if whole else max(_EVALUATION_ROWS // B, 1))
        params, program = self.params, self.program("measures")
        place, total, totals = Place(), 0.0, dict.fromkeys([LOSS, *self.loss.measures], 0.0)
        for _ in range(feed.items):
            item = feed.item(place)
            found, state = program(params, item.inputs, state=place.state or None, lengths=item.lengths)
            values = found if isinstance(found, Mapping) else {LOSS: found}
            for name, value in values.items():
                totals[name] += weighted_sum(value, item)
            total += item.total
            place = feed.after(place, state)
        means = {name: found / total for name, found in totals.items()}
        return means | {name: function(means[LOSS]) for name, function in self.loss.derived.items()}

    def predict(self, x: Any, *, lengths: Any = None) -> Any:
        """Return the network's output for whole sequences.

        Parameters
        ----------
        x : array or dict
            The input [T, B, ...], or inputs by name.
        lengths : integers [B], optional
            Valid steps; the output after them is 0.

        Returns
        -------
        array or dict
            The output [T, B, features]; by name if there are several.
        """
        arrays, valid = self._data(self.network, self._inputs(x), lengths)
        params = {name: value for name, value in self.params.items() if name in self.network.parameters}
        y, _ = self.program("network")(params, arrays, lengths=valid)
        return y

    def save(self, folder: str | Path) -> None:
        """Write the model into a folder: graph, parameters, optimiser, and the place in the data.

        A save that fails or is killed leaves what the folder held.

        Raises
        ------
        CheckpointError
            If the folder cannot be written.
        """
        from lstmgraph.train.checkpoint import save

        save(self, folder)

    def masks(self, shape: tuple[int, int]) -> Arrays:
        """Return the masks of the next training step, for T, B = `shape`."""
        return draw(self.network, self._bound(self.objective), shape, self.seed, self.steps, self.dtype)

    def _bound(self, traced: Traced) -> dict[Dim, Dim]:
        keywords = {symbol: spoken(symbol) for symbol in symbols_of(traced)}
        return {symbol: self._sizes[word] for symbol, word in keywords.items() if word in self._sizes}

    def _sizes_of(self, traced: Traced, inputs: Mapping[str, Any]) -> dict[Dim, Dim]:
        """Return the sizes bound so far, and those that inputs tell."""
        return {**infer_sizes(traced, {}, inputs, None), **self._bound(traced)}

    def _check_settled(self, traced: Traced, sizes: Mapping[Dim, Dim] | None = None) -> None:
        """Raise if a size is missing, of those given or bound so far."""
        known = self._bound(traced) if sizes is None else sizes
        if missing := [symbol for symbol in symbols_of(traced) if symbol not in known]:
            inputs = {dim for leaf, node in traced.leaves.items() if leaf.startswith("input") for dim in node.shape}
            first = "call fit first, whose data tell, or " if sizes is None and inputs & set(missing) else ""
            raise missing_sizes(self.network, missing, first + "pass {keywords} to lg.Model")

    def _inputs(self, x: Any) -> dict[str, Any]:
        return dict(x) if isinstance(x, Mapping) else {self.network.inputs[0]: x}

    def _examples(self, x: Any, y: Any, lengths: Any, weights: Any) -> tuple[Arrays, Any, Any]:
        """Return checked inputs and target, lengths, and how much each row counts."""
        network, given, name = self.network, self._inputs(x), target_name(self.network)
        inputs, T, B = as_inputs(network, self._sizes_of(network, given), given, np.dtype(self.dtype))
        node = self.objective.leaves[f"input:{name}"]
        target, counts = spread_target(y, node, T, B, as_lengths(lengths, T, B), network.name)
        arrays, valid = self._data(self.objective, {**inputs, name: target}, lengths)
        if weights is not None:
            own = as_weights(weights, T, B)
            counts = own if counts is None else counts * own
        return arrays, valid, counts

    def _data(self, traced: Traced, inputs: Mapping[str, Any], lengths: Any) -> tuple[Arrays, Any]:
        """Return checked arrays and lengths; sizes that only the data know are bound on the way."""
        sizes = self._sizes_of(traced, inputs)
        arrays, T, B = as_inputs(traced, sizes, inputs, np.dtype(self.dtype))
        self._check_settled(traced, sizes)
        if not T or not B:
            raise DataError(f"{self.network.name}: got T, B = {(T, B)}, expected at least one step of one row")
        check_size(traced, sizes)
        check_index_range(traced, arrays, _limits(traced, tuple(sizes.items())))  # all of it now, not in a late step
        for symbol, size in sizes.items():
            self._sizes.setdefault(spoken(str(symbol)), int(size))
        return arrays, as_lengths(lengths, T, B)


@lru_cache(maxsize=64)
def _limits(traced: Traced, sizes: tuple[tuple[Dim, Dim], ...]) -> dict[str, int]:
    return table_limits(traced, dict(sizes))


def reads_ahead(network: Traced) -> bool:
    """Whether a network has a recur that runs from the last step to the first: its windows need the whole."""
    return any(node_of(network.graph, key).attr("reverse") for key in keys_of(network.graph, "recur"))
