"""Awkward cells: what is legal and unusual, each with the sizes that it needs."""

from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache
from itertools import product

import lstmgraph as lg
from lstmgraph.border import symbols_of
from lstmgraph.errors import LstmGraphError
from lstmgraph.schedule.resolve import resolve
from lstmgraph.sequences import over_sequences


@dataclass(frozen=True)
class Case:
    """A cell and its sizes: numbers, or the symbol whose size they must equal; None where they are to be found."""

    cell: lg.Cell
    sizes: dict[str, int | str] | None = field(default_factory=dict)

    def bound(self, hidden_size: int, input_size: int = 3) -> dict[str, int]:
        """Return the sizes as keywords."""
        known = {"H": hidden_size, "I": input_size}
        sizes = fitting(self.cell) if self.sizes is None else self.sizes
        found = {symbol: known.get(size, size) for symbol, size in (known | sizes).items()}
        return {"hidden_size": found.pop("H"), "input_size": found.pop("I"), **found}


@lg.cell
def leaky(x, dt, /, h):
    """Two inputs, one of them a number a row; an output that is no state."""
    kept = lg.exp(-lg.abs(dt)) * h
    h = lg.tanh_layer(h=kept, x=x, name="mix")
    return {"y": 2 * h, "h": h}


@lg.cell
def two_outputs(x, k, /, h):
    """Two inputs of different sizes and two outputs."""
    new = lg.tanh_layer(h, x, k, name="new")
    return {"first": new - h, "second": lg.linear(new=new, k=k, name="second", size=2), "h": new}


@lg.cell
def passed(x, h, k):
    """A state passed through as it is."""
    return lg.tanh_layer(h, x, name="hidden") * k, k


@lg.cell
def unused(x, h, u):
    """A state that nothing reads."""
    new = lg.tanh_layer(h, x, name="hidden")
    return new, 0.5 * new


@lg.cell
def twins(x, h, g):
    """Two states with one value."""
    new = lg.tanh_layer(h, g, x, name="hidden")
    return new, new


@lg.cell
def pointwise_input(x, h):
    """The input beside the state, without a product."""
    keep = lg.sigmoid_layer(h, name="keep")
    return keep * h + (1 - keep) * x


@lg.cell
def expressions(x, h):
    """Expressions of parameters: a number, a vector, a product of matrices."""
    keep = lg.sigmoid(lg.parameter("alpha", shape=()))
    rate = lg.exp(lg.parameter("rate", shape=("H",)))
    matrix = lg.parameter("U", shape=("H", "H"))
    bias = lg.parameter("v", shape=("H",)) @ matrix
    return keep * h + (1 - keep) * lg.tanh(h @ (matrix @ matrix) + rate * lg.linear(x, name="input") + bias)


@lg.cell
def soft(x, h):
    """Softmax and cumax between products."""
    master = lg.cumax(lg.linear(h, x, name="master"))
    share = lg.softmax(lg.linear(h, x, name="share"))
    return master * h + (1 - master) * lg.tanh_layer(x, name="candidate") * (1 + share)


@lg.cell
def joined(x, h, g):
    """Values side by side, as a source and as a state of the joint size."""
    both = lg.concat(h, x)
    h = lg.tanh_layer(both=both, name="hidden")
    return h, lg.concat(h, x) * g


@lg.cell
def other_size(x, h, m):
    """A state of another size than the output."""
    m = lg.tanh_layer(h, m, x, name="memory", size="M")
    return lg.tanh_layer(m=m, x=x, name="hidden"), m


@lg.cell
def two_deep(x, h1, c1, h2, c2):
    """A cell in a cell, twice, and a gate above both."""
    h1, c1 = lg.cells.catalogue["lstm"](x, h1, c1, name="lower")
    h2, c2 = lg.cells.catalogue["lstm"](h1, h2, c2, name="upper")
    return {"y": h2 * lg.sigmoid_layer(h1=h1, name="above"), "h1": h1, "c1": c1, "h2": h2, "c2": c2}


@lg.cell
def stateless(x):
    """No state."""
    return lg.tanh_layer(x, name="hidden")


@lg.cell
def unread_input(x, k, /, h):
    """An input that nothing reads."""
    return lg.tanh_layer(h, x, name="hidden")


@lg.cell
def not_recurrent(x, h):
    """A next state that depends on the input alone; the previous one is an output."""
    new = lg.tanh_layer(x, name="hidden")
    return {"y": h, "z": lg.linear(h, name="head") * new, "h": new}


@lg.cell
def plain_outputs(x, h):
    """Outputs that are an input, a number and a parameter."""
    h = lg.tanh_layer(h, x, name="hidden")
    return {"input": x, "number": 0.5, "vector": lg.parameter("v"), "h": h}


@lg.cell
def learned_state(x, h, k):
    """A next state that is a parameter."""
    return lg.tanh_layer(h, x, name="hidden") * k, lg.parameter("k")


@lg.cell
def kinked(x, h):
    """Comparisons, select, maximum, minimum, relu and abs."""
    z = lg.linear(h, x, name="sum")
    low = lg.select(z > 0.3, lg.relu(z), lg.minimum(0.5 * z, h))
    return lg.maximum(lg.abs(low) * 0.5, lg.select(h <= z, z, -h)) - 0.2 * lg.tanh(z)


@lg.cell
def row_numbers(x, h, s):
    """A state that is one number a row, spread over the features."""
    new = lg.tanh(lg.linear(h, x, name="hidden") + s)
    return new, 0.5 * s + lg.row_sum(new) / 8 + 0.1 * lg.row_max(new)


@lg.cell
def powers(x, h):
    """One value as both operands, quotients, square root and logarithm."""
    z = lg.linear(h, x, name="sum")
    return z * z / (1 + z * z + lg.abs(h)) - lg.log(1 + lg.exp(-z)) / lg.sqrt(2 + h * h)


@lg.cell
def tied(x, h):
    """One matrix in two products and its transpose in a third."""
    matrix = lg.parameter("U", shape=("H", "H"))
    z = lg.tanh(h @ matrix + lg.linear(x, name="input"))
    return lg.tanh(z @ matrix + h @ matrix.T)


@lg.cell
def tokens(index, h):
    """An index as the input: an embedding and its one-hot code."""
    word = lg.embedding(index, 6, 4, name="embed")
    return lg.tanh_layer(h=h, word=word, code=lg.one_hot(index, 6), name="hidden")


@lg.cell
def softplus_norm(x, h):
    """Layer norm without parameters, softplus, and a level above them."""
    normal = lg.layer_norm(lg.linear(h, x, name="sum"))
    return lg.tanh_layer(h=lg.softplus(normal), name="hidden")


@lg.cell
def delayed(x, h):
    """What the input was one step ago and the state two steps ago."""
    return lg.tanh_layer(h, x, before=lg.delay(x), long_before=lg.delay(h, 2), name="hidden")


AWKWARD = {
    case.cell.name: case
    for case in (
        Case(leaky, {"dt": 1}),
        Case(two_outputs, {"k": 2}),
        Case(passed),
        Case(unused),
        Case(twins),
        Case(pointwise_input, {"I": "H"}),
        Case(expressions),
        Case(soft),
        Case(joined),
        Case(other_size, {"M": 4}),
        Case(two_deep),
        Case(stateless),
        Case(unread_input, {"k": 2}),
        Case(not_recurrent),
        Case(plain_outputs),
        Case(learned_state),
        Case(kinked),
        Case(row_numbers),
        Case(powers),
        Case(tied),
        Case(tokens),
        Case(softplus_norm),
        Case(delayed),
    )
}


@cache
def fitting(cell: lg.Cell) -> dict[str, int | str]:
    """Return the first sizes that fit a cell: free numbers, then one number a row, then as wide as H or I."""
    others = [symbol for symbol in symbols_of(cell) if symbol not in ("I", "H")]
    inputs = (3, "H") if "H" in symbols_of(cell) else (3,)
    for width, *sizes in product(inputs, *[(2, 1, "H", "I")] * len(others)):
        found = dict(zip(others, sizes, strict=True)) | ({} if width == 3 else {"I": width})
        bound = Case(cell, found).bound(5)
        values = {"H": bound["hidden_size"], "I": bound["input_size"], **bound}
        with suppress(LstmGraphError):
            resolve(over_sequences(cell), tuple((symbol, values[symbol]) for symbol in symbols_of(cell)))
            return found
    raise AssertionError(f"no sizes fit {cell.name}")


CATALOGUE = {name: Case(cell, None) for name, cell in lg.cells.catalogue.items()}
BASIC = "rnn lstm gru gru_reset_before mgu peephole_lstm projected_lstm layer_norm_lstm antisymmetric highway".split()
CASES = {**CATALOGUE, **AWKWARD}
THOROUGH = {*BASIC, *AWKWARD}  # the rest of the catalogue is tested as much by the slow tests


@lg.cell
def dropped(x, h):
    """Masks of its own: one a step for the input, one a sequence for the state."""
    x, kept = lg.dropout(x, 0.25, name="x"), lg.dropout(h, 0.5, name="h", per="sequence")
    return lg.tanh_layer(h=kept, x=x, name="hidden")


def _masked_lstm() -> lg.Cell:
    """Return an LSTM with masks of units and of weights."""
    t = lg.transforms
    return t.drop_connect(t.zoneout(t.input_dropout(lg.cells.lstm, rate=0.25, per="step"), h=0.25, c=0.5), rate=0.5)


MASKED = {"dropped": Case(dropped), "masked_lstm": Case(_masked_lstm())}  # trained with random masks
