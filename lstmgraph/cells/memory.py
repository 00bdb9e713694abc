"""Long short-term memory and its nearest variants."""

import lstmgraph as lg
from lstmgraph.graph import Symbol

States = tuple[Symbol, Symbol]


@lg.cell
def lstm(x: Symbol, h: Symbol, c: Symbol) -> States:
    """Long short-term memory with a forget gate.

    Hochreiter & Schmidhuber 1997; forget gate: Gers, Schmidhuber & Cummins 2000. As torch.nn.LSTM and Keras LSTM,
    with one bias a gate. The forget bias starts at 1 (Jozefowicz et al. 2015).
    """
    c = lg.gate(c, h, x, name="forget", init={"b": 1.0}) + lg.gate(
        lg.tanh_layer(h, x, name="candidate"), h, x, name="input"
    )
    h = lg.gate(lg.tanh(c), h, x, name="output")
    return h, c


@lg.cell
def peephole_lstm(x: Symbol, h: Symbol, c: Symbol) -> States:
    """LSTM whose gates see the cell state through vectors (Gers, Schraudolph & Schmidhuber 2002).

    The input and forget gates see the previous cell state, the output gate the new one. TF's LSTMCell with
    `use_peepholes=True`, ONNX's LSTM with P, torchrecurrent's `PeepholeLSTMCell`. The forget bias starts at 1.
    """

    def peep(name: str, state: Symbol, bias: float = 0.0) -> Symbol:
        return lg.sigmoid(lg.linear(h, x, name=name, init={"b": bias}) + lg.parameter(f"{name}.peephole") * state)

    c = peep("forget", c, 1.0) * c + peep("input", c) * lg.tanh_layer(h, x, name="candidate")
    return peep("output", c) * lg.tanh(c), c


@lg.cell
def projected_lstm(x: Symbol, h: Symbol, c: Symbol) -> States:
    """LSTM whose output is projected to a smaller size P (Sak, Senior & Beaufays 2014), also called LSTMP.

    torch.nn.LSTM with `proj_size`. The forget bias starts at 1.
    """
    c = lg.gate(c, h, x, name="forget", init={"b": 1.0}) + lg.gate(
        lg.tanh_layer(h, x, name="candidate"), h, x, name="input"
    )
    h = lg.linear(lg.gate(lg.tanh(c), h, x, name="output"), name="projection", size="P", bias=False)
    return h, c


@lg.cell
def layer_norm_lstm(x: Symbol, h: Symbol, c: Symbol) -> States:
    """LSTM with normalised sums (Ba, Kiros & Hinton 2016, equations 20 to 22): LN(W x) + LN(U h), and LN(c).

    Each gate is normalised by itself; the paper's equations normalise the four gates' sums as one vector,
    as does `layer_norm_joint_lstm`.
    """

    def total(name: str) -> Symbol:
        above = lg.layer_norm(lg.linear(h, name=f"{name}_h", bias=False), name=f"{name}_h_norm")
        return above + lg.layer_norm(lg.linear(x, name=f"{name}_x", bias=False), name=f"{name}_x_norm")

    c = lg.sigmoid(total("forget")) * c + lg.sigmoid(total("input")) * lg.tanh(total("candidate"))
    return lg.sigmoid(total("output")) * lg.tanh(lg.layer_norm(c, name="cell_norm")), c
