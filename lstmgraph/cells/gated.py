"""Gated recurrent units and the minimal gated unit."""

import lstmgraph as lg
from lstmgraph.graph import Symbol


@lg.cell
def gru(x: Symbol, h: Symbol) -> Symbol:
    """Gated recurrent unit that resets after the product, as cuDNN, torch.nn.GRU and Keras (reset_after=True).

    Cho et al. 2014 with the change of Appleyard, Kocisky & Blunsom 2016.
    """
    r = lg.sigmoid_layer(h, x, name="reset")
    z = lg.sigmoid_layer(h, x, name="update")
    n = lg.tanh(lg.linear(x, name="candidate_x") + r * lg.linear(h, name="candidate_h"))
    return (1 - z) * n + z * h


@lg.cell
def gru_reset_before(x: Symbol, h: Symbol) -> Symbol:
    """Gated recurrent unit that resets the state before the product (Cho et al. 2014, equations 5 to 8)."""
    r = lg.sigmoid_layer(h, x, name="reset")
    z = lg.sigmoid_layer(h, x, name="update")
    n = lg.tanh_layer(h=r * h, x=x, name="candidate")
    return z * h + (1 - z) * n


@lg.cell
def mgu(x: Symbol, h: Symbol) -> Symbol:
    """Minimal gated unit: one gate forgets and updates (Zhou et al. 2016, equations 6 to 8)."""
    f = lg.sigmoid_layer(h, x, name="forget")
    n = lg.tanh_layer(h=f * h, x=x, name="candidate")
    return (1 - f) * h + f * n
