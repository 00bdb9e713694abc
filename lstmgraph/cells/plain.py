"""Recurrent cells without memory gates: plain, antisymmetric, highway."""

import lstmgraph as lg
from lstmgraph.graph import Symbol


@lg.cell
def rnn(x: Symbol, h: Symbol) -> Symbol:
    """Plain recurrent network with tanh (Elman 1990); torch.nn.RNN, Keras SimpleRNN."""
    return lg.tanh_layer(h, x, name="hidden")


@lg.cell
def antisymmetric(x: Symbol, h: Symbol) -> Symbol:
    """Antisymmetric recurrent network (Chang et al. 2019), step 0.1 and damping 0.1.

    torchrecurrent's `AntisymmetricRNNCell` with `epsilon=0.1, gamma=0.1`.
    """
    u = lg.parameter("U", shape=("H", "H"), init=("normal", 0.1))
    return h + 0.1 * lg.tanh(h @ (u - u.T) - 0.1 * h + lg.linear(x, name="input"))


@lg.cell
def highway(x: Symbol, h: Symbol) -> Symbol:
    """Recurrent highway network of depth 3 with coupled gates (Zilly et al. 2017, equations 6 to 9).

    RHN in RecurrentLayers.jl. The carry gate is one minus the transform gate; its bias starts at 2, so that the
    transform gate's starts at -2.
    """
    for depth in range(3):
        first = {"x": x} if depth == 0 else {}
        new = lg.tanh_layer(h=h, **first, name=f"transform_{depth}")
        keep = lg.sigmoid_layer(h=h, **first, name=f"carry_{depth}", init={"b": 2.0})
        h = keep * h + (1 - keep) * new
    return h
