"""Long sequences in little memory: states are kept at the ends of segments, and the way back replays each segment.

After Chen et al. 2016 (training deep nets with sublinear memory cost), along time.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from lstmgraph.border import Arrays, as_inputs, as_lengths, as_reset, take_masks
from lstmgraph.call import Gradients, checked_wrt
from lstmgraph.errors import GraphError
from lstmgraph.graph import keys_of, node_of
from lstmgraph.traced import Traced

if TYPE_CHECKING:
    from lstmgraph.bound import Bound


def vjp_in_segments(
    bound: "Bound", x: Any, state: Any, lengths: Any, reset: Any, wrt: Iterable[str], every: int
) -> tuple[Any, Arrays, Callable[..., Gradients]]:
    """Return what `Bound.vjp` returns, having kept the states of every `every`-th step alone.

    The gradients are those of the whole sequence up to rounding: their sums over time are taken segment by segment.

    Raises
    ------
    GraphError
        If `every` is no whole number from 1 on, or something runs back in time.
    """
    program, wanted = bound.program, checked_wrt(wrt)
    traced, sizes = program.traced, program.sizes
    check_segments(traced, every)
    rest, masks = take_masks(traced, sizes, x, program.dtype)
    inputs, T, B = as_inputs(traced, sizes, rest, program.dtype)
    valid, flags = as_lengths(lengths, T, B), as_reset(reset, T, B)
    if every >= T:
        return bound.vjp(x, state=state, lengths=lengths, reset=reset, wrt=wanted)

    def piece(start: int) -> dict[str, Any]:
        """Return the keywords of a call on one segment."""
        part = slice(start, start + every)
        cut = {name: value[part] for name, value in inputs.items()}
        cut |= {name: value[part] if len(traced.masks[name].shape) == 2 else value for name, value in masks.items()}
        return {
            "x": cut,
            "lengths": None if valid is None else np.clip(valid - start, 0, min(every, T - start)),
            "reset": None if flags is None else flags[part],
        }

    starts, states, found, last = range(0, T, every), [], [], state
    for start in starts:
        states.append(last)
        y, last = bound(**piece(start), state=last)
        found.append(y)

    def pullback(dy: Any, dstate: Any = None) -> Gradients:
        back = None
        params: Arrays = {}
        dx: list[Any] = []
        for start, before in zip(reversed(starts), reversed(states), strict=True):
            _, _, pull = bound.vjp(**piece(start), state=before, wrt=wanted | {"state"})
            back = pull(_cut(dy, slice(start, start + every)), dstate)
            params = {name: value + params.get(name, 0) for name, value in back.params.items()}
            dx.insert(0, back.x)
            dstate = back.state
        assert back is not None
        return Gradients(params, _joined(dx), back.state if "state" in wanted else {})

    return _joined(found), last, pullback


def check_segments(traced: Traced, every: Any) -> None:
    """Raise if a graph cannot be run in segments of so many steps."""
    if isinstance(every, bool) or not isinstance(every, int | np.integer) or every < 1:
        raise GraphError(f"{traced.name}: got checkpoint_every={every!r}, expected a whole number from 1 on")
    backward = [node_of(traced.graph, key) for key in keys_of(traced.graph, "recur")]
    if getattr(traced, "reverse", False) or any(node.attr("reverse") for node in backward):
        raise GraphError(
            f"{traced.name}: got checkpoint_every={every} for what runs back in time, expected recurs that run "
            "forward; leave it out"
        )


def _cut(dy: Any, part: slice) -> Any:
    if isinstance(dy, Mapping):
        return {name: None if value is None else np.asarray(value)[part] for name, value in dy.items()}
    return None if dy is None else np.asarray(dy)[part]


def _joined(parts: list[Any]) -> Any:
    """Return values of segments as those of the whole, by name if there are several."""
    if isinstance(parts[0], Mapping):
        return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    return None if parts[0] is None else np.concatenate(parts)
