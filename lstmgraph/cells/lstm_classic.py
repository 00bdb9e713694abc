"""Long short-term memories with other gates, fewer weights, shortcuts or normalised sums."""

import lstmgraph as lg
from lstmgraph.graph import Symbol

States = tuple[Symbol, Symbol]


@lg.cell
def original_lstm(x: Symbol, h: Symbol, c: Symbol) -> States:
    """Long short-term memory as first published, without a forget gate (Hochreiter & Schmidhuber 1997).

    The cell state is summed up and never fades. The paper squashes with scaled sigmoids; tanh is used here, as by
    torchrecurrent's OriginalLSTM and RecurrentLayers.jl.
    """
    c = c + lg.gate(lg.tanh_layer(h, x, name="candidate"), h, x, name="input")
    return lg.gate(lg.tanh(c), h, x, name="output"), c


@lg.cell
def coupled_lstm(x: Symbol, h: Symbol, c: Symbol) -> States:
    """LSTM that writes what it forgets: the input gate is one minus the forget gate (CIFG, Greff et al. 2015).

    Without peepholes. ONNX's `input_forget` and Greff et al. compute the input gate and forget one minus it, TF's
    CoupledInputForgetGateLSTMCell does as here; the two differ by the sign of the gate's weights. The forget bias
    starts at 1.
    """
    f = lg.sigmoid_layer(h, x, name="forget", init={"b": 1.0})
    c = f * c + (1 - f) * lg.tanh_layer(h, x, name="candidate")
    return lg.gate(lg.tanh(c), h, x, name="output"), c


@lg.cell
def janet(x: Symbol, h: Symbol) -> Symbol:
    """Just another network: an LSTM with the forget gate alone (van der Westhuizen & Lasenby 2018).

    What is written is shifted by beta = 1, so that more is kept than written. h and c are one state. The forget bias
    has the chrono start log(U(1, T - 1)), which the paper takes from Tallec & Ollivier 2018, for T = 100 steps.
    torchrecurrent's `JANETCell`.
    """
    s = lg.linear(h, x, name="forget", init={"b": ("log_uniform", 1.0, 99.0)})
    return lg.sigmoid(s) * h + (1 - lg.sigmoid(s - 1.0)) * lg.tanh_layer(h, x, name="candidate")


def _peep(h: Symbol, x: Symbol, state: Symbol, name: str, bias: float = 0.0) -> Symbol:
    """Return a gate that sees a cell state through a vector."""
    return lg.sigmoid(lg.linear(h, x, name=name, init={"b": bias}) + lg.parameter(f"{name}.peephole") * state)


@lg.cell
def residual_lstm(x: Symbol, h: Symbol, c: Symbol) -> States:
    """LSTM with a shortcut from its input to its output (Kim, El-Khamy & Lee 2017).

    A peephole LSTM whose projected output and projected input are summed before the output gate. Where I == H the
    paper leaves out the projection of the input. torchrecurrent's `ResLSTMCell`.
    """
    c = _peep(h, x, c, "forget", 1.0) * c + _peep(h, x, c, "input") * lg.tanh_layer(h, x, name="candidate")
    m = lg.linear(lg.tanh(c), name="projection", bias=False)
    return _peep(h, x, c, "output") * (m + lg.linear(x, name="shortcut", bias=False)), c


@lg.cell
def highway_lstm(x: Symbol, c_below: Symbol, /, h: Symbol, c: Symbol) -> dict[str, Symbol]:
    """LSTM whose cell state also takes that of the layer below, through a gate (Zhang et al. 2016).

    A peephole LSTM. `c_below` is the cell state of the layer below at the same step, of size H; the output `c_above`
    is what the layer above takes.
    """
    below = lg.linear(x, name="depth") + lg.parameter("depth.peephole") * c
    d = lg.sigmoid(below + lg.parameter("depth.below") * c_below)
    new = lg.tanh_layer(h, x, name="candidate")
    c = d * c_below + _peep(h, x, c, "forget", 1.0) * c + _peep(h, x, c, "input") * new
    h = _peep(h, x, c, "output") * lg.tanh(c)
    return {"y": h, "c_above": c, "h": h, "c": c}


def _independent(h: Symbol, x: Symbol, name: str, bias: float = 0.0) -> Symbol:
    """Return W x + u * h + b: each unit sees itself alone."""
    u = lg.parameter(f"{name}.u", init=("uniform", -1.0, 1.0))
    return lg.linear(x, name=name, init={"b": bias}) + u * h


@lg.cell
def indy_lstm(x: Symbol, h: Symbol, c: Symbol) -> States:
    """Independently recurrent LSTM: the recurrent matrices are vectors (Gonnet & Deselaers 2019); TF's IndyLSTMCell.

    The forget bias starts at 1.
    """
    i, g = lg.sigmoid(_independent(h, x, "input")), lg.tanh(_independent(h, x, "candidate"))
    c = lg.sigmoid(_independent(h, x, "forget", 1.0)) * c + i * g
    return lg.sigmoid(_independent(h, x, "output")) * lg.tanh(c), c


@lg.cell
def indy_gru(x: Symbol, h: Symbol) -> Symbol:
    """Independently recurrent GRU: the recurrent matrices are vectors (after Gonnet & Deselaers 2019).

    TF's IndyGRUCell; it starts the biases of both gates at 1.
    """
    r, z = lg.sigmoid(_independent(h, x, "reset", 1.0)), lg.sigmoid(_independent(h, x, "update", 1.0))
    return z * h + (1 - z) * lg.tanh(_independent(r * h, x, "candidate"))


@lg.cell
def layer_norm_basic_lstm(x: Symbol, h: Symbol, c: Symbol) -> States:
    """LSTM with one normalisation a gate, of W x + U h together (after Ba, Kiros & Hinton 2016).

    TF's LayerNormBasicLSTMCell: unlike `layer_norm_lstm`, the cell state is carried on normalised. 1 is added to what
    the forget gate sees.
    """

    def total(name: str) -> Symbol:
        return lg.layer_norm(lg.linear(h, x, name=name, bias=False), name=f"{name}_norm")

    c = lg.sigmoid(total("forget") + 1.0) * c + lg.sigmoid(total("input")) * lg.tanh(total("candidate"))
    c = lg.layer_norm(c, name="cell_norm")
    return lg.sigmoid(total("output")) * lg.tanh(c), c


@lg.cell
def layer_norm_rnn(x: Symbol, h: Symbol) -> Symbol:
    """Plain recurrent network with its sum normalised (Ba, Kiros & Hinton 2016, section 3.1)."""
    return lg.tanh(lg.layer_norm(lg.linear(h, x, name="hidden", bias=False), name="norm"))
