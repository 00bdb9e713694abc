"""Long short-term memories with more gates, or gates of another kind."""

import lstmgraph as lg
from lstmgraph.cells import memory
from lstmgraph.graph import Symbol

States = tuple[Symbol, Symbol]


def _multiplied(x: Symbol, h: Symbol, c: Symbol) -> States:
    """Return the output gate and the cell state of a multiplicative LSTM."""
    m = lg.linear(x, name="multiplier_x", bias=False) * lg.linear(h, name="multiplier_h", bias=False)
    i = lg.sigmoid_layer(x=x, m=m, name="input")
    c = lg.sigmoid_layer(x=x, m=m, name="forget", init={"b": 1.0}) * c
    c = c + i * lg.tanh_layer(x=x, m=m, name="candidate")
    return lg.sigmoid_layer(x=x, m=m, name="output"), c


@lg.cell
def multiplicative_lstm(x: Symbol, h: Symbol, c: Symbol) -> States:
    """LSTM whose recurrent weights depend on the input, through a product of the two (Krause et al. 2016).

    Gates see x and m = (W x) * (U h) in place of h. The output is o * tanh(c), as in torchrecurrent's
    MultiplicativeLSTM and the sentiment model of Radford et al. 2017; see also `multiplicative_lstm_inside`.
    """
    o, c = _multiplied(x, h, c)
    return o * lg.tanh(c), c


@lg.cell
def multiplicative_lstm_inside(x: Symbol, h: Symbol, c: Symbol) -> States:
    """Multiplicative LSTM whose output gate stands inside the last tanh: h = tanh(o * c) (Krause et al. 2016)."""
    o, c = _multiplied(x, h, c)
    return lg.tanh(o * c), c


@lg.cell
def mclstm(x: Symbol, v: Symbol, c: Symbol) -> dict[str, Symbol]:
    """Memory-controller LSTM: gates see a control state v that is not the output (Intel, NIPS workshop 2017).

    As torchrecurrent's MCLSTM. Not the mass-conserving LSTM of Hoedt et al. 2021, which goes by the same letters.
    """
    c = lg.gate(c, v, x, name="forget", init={"b": 1.0}) + lg.gate(
        lg.tanh_layer(v, x, name="candidate"), v, x, name="input"
    )
    seen = lg.tanh(c)
    return {"y": lg.gate(seen, v, x, name="output"), "v": lg.gate(seen, v, x, name="control"), "c": c}


@lg.cell
def wmc_lstm(x: Symbol, h: Symbol, c: Symbol) -> States:
    """LSTM with working memory connections: gates see the cell state through a layer (Landi et al. 2021).

    The input and forget gates see the previous cell state, the output gate the new one. torchrecurrent's WMCLSTM, with
    one bias less. RecurrentLayers.jl documents a candidate that sees x alone; here it sees x and h, as in the paper.
    """

    def gate(name: str, state: Symbol, bias: float = 0.0) -> Symbol:
        seen = lg.tanh(lg.linear(state, name=f"{name}_memory", bias=False))
        return lg.sigmoid(lg.linear(h, x, name=name, init={"b": bias}) + seen)

    c = gate("forget", c, 1.0) * c + gate("input", c) * lg.tanh_layer(h, x, name="candidate")
    return gate("output", c) * lg.tanh(c), c


@lg.cell
def nas(x: Symbol, h: Symbol, c: Symbol) -> States:
    """Cell found by architecture search (Zoph & Le 2017); TF's NASCell.

    A tree of eight leaves. The fourth one multiplies what comes from x and h, as in TF; torchrecurrent adds it.
    """
    product = lg.linear(h, name="leaf_3_h") * lg.linear(x, name="leaf_3_x", bias=False)
    first = lg.tanh(lg.sigmoid_layer(h, x, name="leaf_0") * lg.relu(lg.linear(h, x, name="leaf_1")))
    second = lg.tanh(lg.sigmoid_layer(h, x, name="leaf_2") + lg.relu(product))
    third = lg.tanh(lg.tanh_layer(h, x, name="leaf_4") * lg.sigmoid_layer(h, x, name="leaf_5"))
    fourth = lg.sigmoid(lg.tanh_layer(h, x, name="leaf_6") + lg.sigmoid_layer(h, x, name="leaf_7"))
    c = lg.tanh(first + c) * second
    return lg.tanh(c * lg.tanh(third + fourth)), c


@lg.cell
def elstm(x: Symbol, c: Symbol) -> dict[str, Symbol]:
    """Element-wise LSTM: the cell state is the only state and is seen through vectors (Irie et al. 2023).

    Its real-time gradient is cheap. The output gate sees the new cell state through a matrix, off the recurrence.
    """
    f = lg.sigmoid(lg.linear(x, name="forget") + lg.parameter("forget.w", init=("uniform", -1.0, 1.0)) * c)
    z = lg.tanh(lg.linear(x, name="candidate") + lg.parameter("candidate.w", init=("uniform", -1.0, 1.0)) * c)
    c = f * c + (1 - f) * z
    return {"y": lg.sigmoid_layer(x=x, c=c, name="output") * c, "c": c}


@lg.cell
def on_lstm(x: Symbol, h: Symbol, c: Symbol) -> States:
    """Ordered neurons LSTM: master gates rise along the features, so that units have a rank (Shen et al. 2019).

    With chunks of one unit: the master gates are as wide as the state.
    """
    i, f = lg.sigmoid_layer(h, x, name="input"), lg.sigmoid_layer(h, x, name="forget", init={"b": 1.0})
    master_f = lg.cumax(lg.linear(h, x, name="master_forget"))
    master_i = 1 - lg.cumax(lg.linear(h, x, name="master_input"))
    overlap = master_f * master_i
    c = (f * overlap + (master_f - overlap)) * c + (i * overlap + (master_i - overlap)) * lg.tanh_layer(
        h, x, name="candidate"
    )
    return lg.gate(lg.tanh(c), h, x, name="output"), c


def _stabilised(x: Symbol, h: Symbol, c: Symbol, n: Symbol, m: Symbol, log_f: Symbol) -> tuple[Symbol, ...]:
    """Return the next h, c, n and m of an sLSTM, given the logarithm of its forget gate."""
    log_i = lg.linear(h, x, name="input")
    new_m = lg.maximum(log_f + m, log_i)
    i, f = lg.exp(log_i - new_m), lg.exp(log_f + m - new_m)
    c = f * c + i * lg.tanh_layer(h, x, name="candidate")
    n = f * n + i
    return lg.gate(c / n, h, x, name="output"), c, n, new_m


@lg.cell
def slstm(x: Symbol, h: Symbol, c: Symbol, n: Symbol, m: Symbol) -> tuple[Symbol, ...]:
    """Scalar LSTM of xLSTM, with an exponential input gate and a sigmoid forget gate (Beck et al. 2024).

    Equations 8 to 17, with one head; `slstm_heads` has two. n normalises and m keeps exponentials finite; the output
    does not depend on m. The paper lets the forget gate be a sigmoid, as here and in the authors' code, or an
    exponential, as in `slstm_exponential`.
    """
    log_f = -lg.softplus(-lg.linear(h, x, name="forget", init={"b": 1.0}))
    return _stabilised(x, h, c, n, m, log_f)


@lg.cell
def slstm_exponential(x: Symbol, h: Symbol, c: Symbol, n: Symbol, m: Symbol) -> tuple[Symbol, ...]:
    """Scalar LSTM of xLSTM, with exponential input and forget gates (Beck et al. 2024, equations 8 to 17).

    One head; see `slstm`.
    """
    return _stabilised(x, h, c, n, m, lg.linear(h, x, name="forget"))


@lg.cell
def skip_lstm(x: Symbol, h: Symbol, c: Symbol, wait: Symbol) -> tuple[Symbol, ...]:
    """LSTM that learns at which steps to copy its state (Skip RNN, Campos et al. 2018).

    `wait` is one minus the paper's probability to update, which starts at 1. The gate is rounded; its gradient is
    that of the identity (straight-through). The bias of the increment starts at 1.
    """
    update = 1 - lg.row_sum(wait)  # of one number: it gives the state its size
    rounded = lg.select(update >= 0.5, 1.0, 0.0)
    u = update + lg.stop_gradient(rounded - update)
    new_h, new_c = memory.lstm(x, h, c)
    h, c = u * new_h + (1 - u) * h, u * new_c + (1 - u) * c
    rise = lg.sigmoid_layer(c=c, name="rise", size=1, init={"b": 1.0})
    return h, c, 1 - (u * rise + (1 - u) * (update + lg.minimum(rise, 1 - update)))
