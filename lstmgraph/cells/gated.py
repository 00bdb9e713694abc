"""Gated recurrent units and the minimal gated unit."""

import lstmgraph as lg
from lstmgraph.graph import Symbol


@lg.cell
def gru(x: Symbol, h: Symbol) -> Symbol:
    """Gated recurrent unit that resets after the product, as cuDNN, torch.nn.GRU and Keras (reset_after=True).

    Cho et al. 2014 with the change of Appleyard, Kocisky & Blunsom 2016. Also Flax's GRUCell, and ONNX's GRU with
    `linear_before_reset=1`. `gru_reset_before` is the original.
    """
    r = lg.sigmoid_layer(h, x, name="reset")
    z = lg.sigmoid_layer(h, x, name="update")
    n = lg.tanh(lg.linear(x, name="candidate_x") + r * lg.linear(h, name="candidate_h"))
    return (1 - z) * n + z * h


@lg.cell
def gru_reset_before(x: Symbol, h: Symbol) -> Symbol:
    """Gated recurrent unit that resets the state before the product (Cho et al. 2014, section 2.3).

    Keras with `reset_after=False`, ONNX's default, Flux's GRUv3. As in the paper, z keeps the old state; many write
    1 - z.
    """
    r = lg.sigmoid_layer(h, x, name="reset")
    z = lg.sigmoid_layer(h, x, name="update")
    n = lg.tanh_layer(h=r * h, x=x, name="candidate")
    return z * h + (1 - z) * n


@lg.cell
def mgu(x: Symbol, h: Symbol) -> Symbol:
    """Minimal gated unit: one gate forgets and updates (Zhou et al. 2016); torchrecurrent's `MGUCell`.

    As in the paper, 1 - f keeps the old state and the gate comes before the product; Flax's MGUCell is `mgu_flax`.
    """
    f = lg.sigmoid_layer(h, x, name="forget")
    n = lg.tanh_layer(h=f * h, x=x, name="candidate")
    return (1 - f) * h + f * n
