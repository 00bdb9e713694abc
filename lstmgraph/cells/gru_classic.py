"""Gated recurrent units near the original: normalised, with other activations, residual, with an attention input."""

import lstmgraph as lg
from lstmgraph.graph import Symbol


@lg.cell
def layer_norm_gru(x: Symbol, h: Symbol) -> Symbol:
    """Gated recurrent unit with normalised sums (Ba, Kiros & Hinton 2016, appendix): LN(W x) + LN(U h).

    Each gate is normalised by itself, where the paper's equations normalise reset and update as one vector. The reset
    comes after the product. As in the paper, 1 - z keeps the old state.
    """

    def norms(name: str) -> tuple[Symbol, Symbol]:
        above = lg.layer_norm(lg.linear(h, name=f"{name}_h", bias=False), name=f"{name}_h_norm")
        return above, lg.layer_norm(lg.linear(x, name=f"{name}_x", bias=False), name=f"{name}_x_norm")

    r, z = (lg.sigmoid(above + below) for above, below in (norms("reset"), norms("update")))
    above, below = norms("candidate")
    return (1 - z) * h + z * lg.tanh(below + r * above)


@lg.cell
def slim_gru_1(x: Symbol, h: Symbol) -> Symbol:
    """Gated recurrent unit whose gates see state and bias only, not the input (Dey & Salem 2017, GRU1)."""
    z, r = lg.sigmoid_layer(h, name="update"), lg.sigmoid_layer(h, name="reset")
    return (1 - z) * h + z * lg.tanh_layer(h=r * h, x=x, name="candidate")


@lg.cell
def slim_gru_2(x: Symbol, h: Symbol) -> Symbol:
    """Gated recurrent unit whose gates see the state only (Dey & Salem 2017, GRU2)."""
    z, r = lg.sigmoid_layer(h, name="update", bias=False), lg.sigmoid_layer(h, name="reset", bias=False)
    return (1 - z) * h + z * lg.tanh_layer(h=r * h, x=x, name="candidate")


@lg.cell
def slim_gru_3(x: Symbol, h: Symbol) -> Symbol:
    """Gated recurrent unit whose gates are learned vectors (Dey & Salem 2017, GRU3)."""
    z, r = lg.sigmoid(lg.parameter("update.b")), lg.sigmoid(lg.parameter("reset.b"))
    return (1 - z) * h + z * lg.tanh_layer(h=r * h, x=x, name="candidate")


@lg.cell
def ligru(x: Symbol, h: Symbol) -> Symbol:
    """Light gated recurrent unit: no reset gate, and relu (Ravanelli et al. 2018).

    Without the paper's batch normalisation of the input products, which belongs to the sequence. SpeechBrain's
    `LiGRU`.
    """
    z = lg.sigmoid_layer(h, x, name="update")
    return z * h + (1 - z) * lg.relu(lg.linear(h, x, name="candidate"))


@lg.cell
def residual_gru(x: Symbol, h: Symbol) -> dict[str, Symbol]:
    """Gated recurrent unit with residual links to state and output, each times 0.1 (Toderici et al. 2017).

    With products in place of the paper's convolutions. The output y is not the state.
    """
    z, r = lg.sigmoid_layer(h, x, name="update"), lg.sigmoid_layer(h, x, name="reset")
    candidate = lg.tanh_layer(h=r * h, x=x, name="candidate")
    h = (1 - z) * h + z * candidate + 0.1 * lg.linear(h, name="residual_h", bias=False)
    return {"y": h + 0.1 * lg.linear(x, name="residual_x", bias=False), "h": h}


@lg.cell
def augru(x: Symbol, attention: Symbol, /, h: Symbol) -> Symbol:
    """Gated recurrent unit whose update gate is scaled by an attention score (Zhou et al. 2019), as in DIEN.

    The second input is the score of the step, 0 to 1, of size 1 (compile with ``attention=1``). The reset comes after
    the product, and 1 - z keeps the old state, as in the paper.
    """
    z = attention * lg.sigmoid_layer(h, x, name="update")
    r = lg.sigmoid_layer(h, x, name="reset")
    candidate = lg.tanh(lg.linear(x, name="candidate_x") + r * lg.linear(h, name="candidate_h", bias=False))
    return (1 - z) * h + z * candidate


@lg.cell
def agru(x: Symbol, attention: Symbol, /, h: Symbol) -> Symbol:
    """Gated recurrent unit whose update gate is an attention score (Zhou et al. 2019, after Xiong et al. 2016).

    The second input is the score of the step, 0 to 1, of size 1 (compile with ``attention=1``).
    """
    r = lg.sigmoid_layer(h, x, name="reset")
    candidate = lg.tanh(lg.linear(x, name="candidate_x") + r * lg.linear(h, name="candidate_h", bias=False))
    return (1 - attention) * h + attention * candidate


@lg.cell
def caru(x: Symbol, h: Symbol) -> Symbol:
    """Content-adaptive recurrent unit: the input's own gate scales the update (Chan, Ke & Im 2020).

    The paper starts the state at the first projected input; here it starts at zeros like any other.
    """
    projected = lg.linear(x, name="input")
    candidate = lg.tanh(lg.linear(h, name="candidate") + projected)
    update = lg.sigmoid(projected) * lg.sigmoid_layer(h, x, name="update")
    return (1 - update) * h + update * candidate
