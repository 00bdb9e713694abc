"""Units with fewer gates than a GRU: minimal gated units, their kin, and units named for what they add or leave out."""

import lstmgraph as lg
from lstmgraph.graph import Symbol

States = tuple[Symbol, Symbol]


@lg.cell
def mgu_flax(x: Symbol, h: Symbol) -> Symbol:
    """Minimal gated unit as Flax's `MGUCell`: the gate comes after the product, and keeps the old state.

    After Zhou et al. 2016, whose own equations are `mgu`. The forget bias starts at 1.
    """
    f = lg.sigmoid_layer(h, x, name="forget", init={"b": 1.0})
    n = lg.tanh(lg.linear(x, name="candidate_x") + f * lg.linear(h, name="candidate_h"))
    return (1 - f) * n + f * h


@lg.cell
def slim_mgu_1(x: Symbol, h: Symbol) -> Symbol:
    """Minimal gated unit whose gate sees state and bias only, not the input (Heck & Salem 2017, MGU1)."""
    f = lg.sigmoid_layer(h, name="forget")
    return (1 - f) * h + f * lg.tanh_layer(h=f * h, x=x, name="candidate")


@lg.cell
def slim_mgu_2(x: Symbol, h: Symbol) -> Symbol:
    """Minimal gated unit whose gate sees the state only (Heck & Salem 2017, MGU2)."""
    f = lg.sigmoid_layer(h, name="forget", bias=False)
    return (1 - f) * h + f * lg.tanh_layer(h=f * h, x=x, name="candidate")


@lg.cell
def slim_mgu_3(x: Symbol, h: Symbol) -> Symbol:
    """Minimal gated unit whose gate is a learned vector (Heck & Salem 2017, MGU3)."""
    f = lg.sigmoid(lg.parameter("forget.b"))
    return (1 - f) * h + f * lg.tanh_layer(h=f * h, x=x, name="candidate")


@lg.cell
def light_ru(x: Symbol, h: Symbol) -> Symbol:
    """Light recurrent unit: the candidate sees the input only (Ye et al. 2024); torchrecurrent's `LightRUCell`."""
    f = lg.sigmoid_layer(h, x, name="forget")
    return (1 - f) * h + f * lg.tanh_layer(x, name="candidate")


@lg.cell
def minimal_rnn(x: Symbol, h: Symbol) -> Symbol:
    """MinimalRNN: an encoded input and one update gate that sees the code (Chen 2017).

    The encoder is one layer with tanh. torchrecurrent's `MinimalRNNCell`.
    """
    z = lg.tanh_layer(x, name="encoder")
    u = lg.sigmoid_layer(h, z=z, name="update")
    return u * h + (1 - u) * z


@lg.cell
def ugrnn(x: Symbol, h: Symbol) -> Symbol:
    """Update gate recurrent network (Collins, Sohl-Dickstein & Sussillo 2017).

    The gate's bias starts at 1 as in TensorFlow 1's `UGRNNCell`.
    """
    g = lg.sigmoid_layer(h, x, name="update", init={"b": 1.0})
    return g * h + (1 - g) * lg.tanh_layer(h, x, name="candidate")


@lg.cell
def intersection_rnn(x: Symbol, h: Symbol) -> dict[str, Symbol]:
    """Intersection recurrent network: gated in time and in depth (Collins, Sohl-Dickstein & Sussillo 2017).

    The output y mixes the input with a relu layer, the state mixes the old state with a tanh layer. Input and hidden
    size must be equal. The gates' biases start at 1 as in TensorFlow 1's `IntersectionRNNCell`, also called +RNN.
    """
    y_new, h_new = lg.relu(lg.linear(h, x, name="depth")), lg.tanh_layer(h, x, name="time")
    y_gate = lg.sigmoid_layer(h, x, name="depth_gate", init={"b": 1.0})
    h_gate = lg.sigmoid_layer(h, x, name="time_gate", init={"b": 1.0})
    return {"y": y_gate * x + (1 - y_gate) * y_new, "h": h_gate * h + (1 - h_gate) * h_new}


@lg.cell
def atr(x: Symbol, h: Symbol) -> Symbol:
    """Addition-subtraction twin-gated recurrent network (Zhang et al. 2018, ATR).

    Both gates come of one product each of input and state, their sum and their difference. torchrecurrent's `ATRCell`.
    """
    p, q = lg.linear(x, name="input"), lg.linear(h, name="recurrent")
    return lg.sigmoid(p + q) * p + lg.sigmoid(p - q) * h


@lg.cell
def ran(x: Symbol, h: Symbol, c: Symbol) -> States:
    """Recurrent additive network: a gated sum of projected inputs, with tanh (Lee, Levy & Zettlemoyer 2017).

    torchrecurrent's `RANCell`. The paper also has a form without the tanh.
    """
    content = lg.gate(lg.linear(x, name="content", bias=False), h, x, name="input")
    c = content + lg.gate(c, h, x, name="forget")
    return lg.tanh(c), c


@lg.cell
def star(x: Symbol, h: Symbol) -> Symbol:
    """Stackable recurrent cell (Turkoglu et al. 2021, STAR; first published in 2019); torchrecurrent's `STARCell`."""
    k = lg.sigmoid_layer(h, x, name="gate")
    return lg.tanh((1 - k) * h + k * lg.tanh_layer(x, name="input"))


@lg.cell
def sgrn(x: Symbol, h: Symbol) -> Symbol:
    """Simple gated recurrent network: the gate's own input product is the candidate, as torchrecurrent's `SGRN`.

    Published in IET Generation, Transmission & Distribution (2021), doi 10.1049/gtd2.12056.
    """
    inputs = lg.linear(x, name="input")
    f = lg.sigmoid(inputs + lg.linear(h, name="recurrent"))
    return lg.tanh((1 - f) * inputs + f * h)


@lg.cell
def cfn(x: Symbol, h: Symbol) -> Symbol:
    """Chaos-free network (Laurent & von Brecht 2017, equations 1 and 2).

    As in the paper, the bias of the gate on the state starts at 1, that of the gate on the input at -1.
    torchrecurrent's `CFNCell` has one bias more.
    """
    kept = lg.gate(lg.tanh(h), h, x, name="horizontal", init={"b": 1.0})
    return kept + lg.gate(lg.tanh(lg.linear(x, name="input", bias=False)), h, x, name="vertical", init={"b": -1.0})


@lg.cell
def miru1(x: Symbol, h: Symbol) -> Symbol:
    """Minion recurrent unit 1: a GRU whose update gate is one coefficient, 0.5 (Zyarah & Kudithipudi 2025).

    torchrecurrent's `MiRU1Cell`.
    """
    r = lg.sigmoid_layer(h, x, name="reset")
    return 0.5 * h + 0.5 * lg.tanh_layer(h=r * h, x=x, name="candidate")


@lg.cell
def miru2(x: Symbol, h: Symbol) -> Symbol:
    """Minion recurrent unit 2: a GRU whose gates are two coefficients, both 0.5 (Zyarah & Kudithipudi 2025).

    torchrecurrent's `MiRU2Cell`.
    """
    return 0.5 * h + 0.5 * lg.tanh_layer(h=0.5 * h, x=x, name="candidate")
