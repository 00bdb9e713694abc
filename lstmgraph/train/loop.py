"""The training loop: one step after the other until a limit is reached or Ctrl-C is pressed."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from lstmgraph.errors import LstmGraphError
from lstmgraph.train.budget import Budget, Schedule
from lstmgraph.train.feed import Feed, Item, Place, Standing, weighted_sum
from lstmgraph.train.history import History, Step
from lstmgraph.train.optimizer import Weights
from lstmgraph.train.progress import Progress

if TYPE_CHECKING:
    from lstmgraph.train.model import Model


@dataclass
class Loop:
    """One call of ``Model.fit``."""

    model: "Model"
    feed: Feed
    budget: Budget
    schedule: Schedule
    validation: tuple[Any, ...] | None
    show: bool | None
    callback: Callable[[Step], Any] | None
    limits: Mapping[str, int | None] = field(default_factory=dict)  # what `Program.vjp` takes against too much memory
    debug: bool = False
    history: History = field(default_factory=History)

    def run(self) -> History:
        """Train and return what happened."""
        place = self._starting_place()
        try:
            self._warm_up(place)
            with Progress(self.show, self._say) as bar:
                self._steps(place, bar)
        except KeyboardInterrupt:
            self.history.interrupted = True
        return self.history

    def _starting_place(self) -> Place:
        """Return the place of the last call if it was on the same data, else that of a new epoch."""
        place, data = self.model.standing.place, self.feed.fingerprint
        if place.data == data:
            return place
        return Place(place.epoch + (place.index > 0), 0, {}, data)

    def _warm_up(self, place: Place) -> None:
        """Compile everything, with a first step whose result is dropped, before the clock starts; once for a form."""
        if self.budget.progress < 1:
            item = self.feed.item(place)
            shape = next(iter(item.inputs.values())).shape[:2]
            form = (shape, item.lengths is None, not place.state, *self.limits.values())
            if form not in self.model.warm:
                self._next_weights(item, place, 0.0)
                self.model.warm.add(form)
        self.budget.restart()

    def _steps(self, place: Place, bar: Progress) -> None:
        model, seen = self.model, 0
        while (progress := self.budget.progress) < 1:
            item = self.feed.item(place)
            step, epoch = None, place.epoch
            if item.total:
                factor = float(self.schedule(model.steps, progress))
                weights, state, loss, norm = self._next_weights(item, place, factor)
                place = self.feed.after(place, state)
                rate = model.optimizer.learning_rate * factor
                step = Step(weights.step, epoch, loss, item.rows, norm, rate, self.budget.elapsed)
                model.standing = Standing(weights, place)
                self.history.append(step)
                seen += item.rows
            else:  # nothing in this window counts: the states go on
                place = self.feed.after(place, self._carried(item, place))
                model.standing = Standing(model.standing.weights, place)
            self.budget.taken += 1
            if step is not None:
                bar.update(step, self.budget.progress, seen)
            if place.epoch != epoch or self.budget.progress >= 1:
                self._validate()
            if step is not None and self.callback is not None and self._call_back(step):
                return

    def _call_back(self, step: Step) -> bool:
        with self.budget.pause():
            return self.callback is not None and self.callback(step) is True

    def _next_weights(self, item: Item, place: Place, factor: float) -> tuple[Weights, Any, float, float]:
        """Return the weights after a step, the states at the item's end, the loss and the norm."""
        model = self.model
        program, count = model.program("objective"), item.total or 1
        shape = next(iter(item.inputs.values())).shape[:2]
        weights = np.ones(shape) if item.weights is None else item.weights
        cotangent = (weights / count).astype(model.dtype)[..., None]
        inputs, keywords = item.inputs | model.masks(shape), {"state": place.state or None, "lengths": item.lengths}
        rows, state, gradients = program.value_and_gradients(
            model.params, inputs, cotangent, wrt=("params",), **self.limits, **keywords
        )
        loss = weighted_sum(rows, item) / count
        try:
            if not math.isfinite(loss):
                raise LstmGraphError(
                    f"step {model.steps + 1}: got loss {loss}, expected a finite one; "
                    "use a smaller learning rate or clip_norm, and look for NaN in the data"
                )
            after, norm = model.updater.step(model.standing.weights, gradients.params, factor)
        except LstmGraphError as error:
            raise LstmGraphError(f"{error}{self._where(inputs, cotangent, keywords)}") from None
        return after, state, loss, norm

    def _carried(self, item: Item, place: Place) -> Any:
        """Return the states at the end of a window that teaches nothing."""
        if not item.rows:
            return place.state
        program = self.model.program("objective")
        return program(self.model.params, item.inputs, state=place.state or None, lengths=item.lengths)[1]

    def _where(self, inputs: Any, cotangent: Any, keywords: Mapping[str, Any]) -> str:
        """Return where the first NaN or infinity of a step is born, for a message, or how to ask for it."""
        if not self.debug:
            return "; fit(..., debug=True) says where it is born"
        from lstmgraph.finite import check_finite

        model = self.model
        found = check_finite(model.program("objective"), model.params, inputs, dy=cotangent, **keywords)
        return f"; {found or 'replayed in NumPy, loss and gradients of the step are finite'}"

    def _validate(self) -> None:
        if self.validation is None:
            return
        with self.budget.pause():
            x, y, lengths, weights, *_ = (*self.validation, None, None)
            found = self.model.evaluate(x, y, lengths=lengths, weights=weights)
            self.history.validation.append((self.model.steps, found))

    def _say(self, loss: float) -> str:
        for name, function in self.model.loss.derived.items():
            return f"{function(loss):.3f} {name.replace('_', ' ')}"
        return f"loss {loss:.4g}"
