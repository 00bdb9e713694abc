"""Units that are linear in their state: strongly typed, minimal GRU, simple recurrent unit, quasi-recurrent."""

import lstmgraph as lg
from lstmgraph.graph import Symbol

Outputs = dict[str, Symbol]


@lg.cell
def t_rnn(x: Symbol, h: Symbol) -> Symbol:
    """Strongly typed recurrent network: gate and candidate see the input only (Balduzzi & Ghifary 2016, T-RNN).

    torchrecurrent's `TRNNCell`.
    """
    f = lg.sigmoid_layer(x, name="forget")
    return f * h + (1 - f) * lg.linear(x, name="candidate")


@lg.cell
def t_gru(x: Symbol, h: Symbol) -> Symbol:
    """Strongly typed GRU: gates see this input and the previous one (Balduzzi & Ghifary 2016, T-GRU).

    torchrecurrent's `TGRUCell`.
    """
    before = lg.delay(x)
    z, f = lg.linear(x, before=before, name="candidate"), lg.sigmoid_layer(x, before=before, name="forget")
    return f * h + z * lg.tanh_layer(x, before=before, name="output")


@lg.cell
def t_lstm(x: Symbol, c: Symbol) -> Outputs:
    """Strongly typed LSTM: gates see this input and the previous one (Balduzzi & Ghifary 2016, T-LSTM).

    The output y is the cell state times a tanh layer. torchrecurrent's `TLSTMCell`. Not the time-aware LSTM, which is
    `time_aware_lstm`.
    """
    before = lg.delay(x)
    z, f = lg.linear(x, before=before, name="candidate"), lg.sigmoid_layer(x, before=before, name="forget")
    c = f * c + (1 - f) * z
    return {"y": c * lg.tanh_layer(x, before=before, name="output"), "c": c}


@lg.cell
def min_gru(x: Symbol, h: Symbol) -> Symbol:
    """Minimal GRU whose gate and candidate see the input only (Feng et al. 2024, minGRU, section 3.1).

    The plain form; the paper's log-space form also makes the candidate positive.
    """
    z = lg.sigmoid_layer(x, name="update")
    return (1 - z) * h + z * lg.linear(x, name="candidate")


@lg.cell
def min_gru_positive(x: Symbol, h: Symbol) -> Symbol:
    """Minimal GRU with a positive candidate, as its log-space form wants it (Feng et al. 2024, appendix B.3).

    The candidate is g(W x + b), where g(z) = z + 0.5 from 0 on and the sigmoid below.
    """
    z, sums = lg.sigmoid_layer(x, name="update"), lg.linear(x, name="candidate")
    return (1 - z) * h + z * lg.select(sums >= 0.0, sums + 0.5, lg.sigmoid(sums))


@lg.cell
def sru(x: Symbol, c: Symbol) -> Outputs:
    """Simple recurrent unit (Lei et al. 2018, SRU): only vectors on the state, and a highway output.

    x enters the output y as it is: input and hidden size must be equal. Without the scaling of x that the paper's
    section 3.2 adds. The vectors start uniform with variance 1/2, as in the authors' code.
    """
    f = lg.sigmoid(lg.linear(x, name="forget") + lg.parameter("forget.v", init=("uniform", -1.225, 1.225)) * c)
    r = lg.sigmoid(lg.linear(x, name="reset") + lg.parameter("reset.v", init=("uniform", -1.225, 1.225)) * c)
    c = f * c + (1 - f) * lg.linear(x, name="candidate", bias=False)
    return {"y": r * c + (1 - r) * x, "c": c}


@lg.cell
def sru_1(x: Symbol, c: Symbol) -> Outputs:
    """Simple recurrent unit, first version: gates see the input only (Lei & Zhang 2017); TensorFlow 1's `SRUCell`.

    With tanh of the cell state at the output. Input and hidden size must be equal.
    """
    f, r = lg.sigmoid_layer(x, name="forget"), lg.sigmoid_layer(x, name="reset")
    c = f * c + (1 - f) * lg.linear(x, name="candidate", bias=False)
    return {"y": r * lg.tanh(c) + (1 - r) * x, "c": c}


@lg.cell
def qrnn_f(x: Symbol, h: Symbol) -> Symbol:
    """Quasi-recurrent network, filter width 2 and f-pooling (Bradbury et al. 2017, section 2).

    The paper's convolutions have no biases; here the layers have.
    """
    before = lg.delay(x)
    f = lg.sigmoid_layer(x, before=before, name="forget")
    return f * h + (1 - f) * lg.tanh_layer(x, before=before, name="candidate")


@lg.cell
def qrnn(x: Symbol, c: Symbol) -> Outputs:
    """Quasi-recurrent network, filter width 2 and fo-pooling (Bradbury et al. 2017, section 2).

    The paper's convolutions have no biases; here the layers have. The output y is gated.
    """
    before = lg.delay(x)
    f = lg.sigmoid_layer(x, before=before, name="forget")
    c = f * c + (1 - f) * lg.tanh_layer(x, before=before, name="candidate")
    return {"y": lg.sigmoid_layer(x, before=before, name="output") * c, "c": c}


@lg.cell
def qrnn_ifo(x: Symbol, c: Symbol) -> Outputs:
    """Quasi-recurrent network, filter width 2 and ifo-pooling (Bradbury et al. 2017, section 2).

    The paper's convolutions have no biases; here the layers have. The output y is gated.
    """
    before = lg.delay(x)
    candidate = lg.tanh_layer(x, before=before, name="candidate")
    c = lg.sigmoid_layer(x, before=before, name="forget") * c + (
        lg.sigmoid_layer(x, before=before, name="input") * candidate
    )
    return {"y": lg.sigmoid_layer(x, before=before, name="output") * c, "c": c}
