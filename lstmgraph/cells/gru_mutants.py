"""GRUs found by search or made from theory: mutants, bistable units, FastGRNN, sigmoid-gated units, time and delay."""

import lstmgraph as lg
from lstmgraph.graph import Symbol


@lg.cell
def mut1(x: Symbol, h: Symbol) -> Symbol:
    """The first of three units found by evolution (Jozefowicz, Zaremba & Sutskever 2015, MUT1).

    tanh(x) enters as it is: input and hidden size must be equal. RecurrentLayers.jl and torchrecurrent have tanh(W x)
    in its place.
    """
    z, r = lg.sigmoid_layer(x, name="update"), lg.sigmoid_layer(h, x, name="reset")
    return lg.tanh(lg.linear(h=r * h, name="candidate") + lg.tanh(x)) * z + h * (1 - z)


@lg.cell
def mut2(x: Symbol, h: Symbol) -> Symbol:
    """The second of three units found by evolution (Jozefowicz, Zaremba & Sutskever 2015, MUT2).

    x enters the reset gate as it is: input and hidden size must be equal. torchrecurrent has W x in its place.
    """
    z, r = lg.sigmoid_layer(h, x, name="update"), lg.sigmoid(x + lg.linear(h, name="reset"))
    return lg.tanh_layer(h=r * h, x=x, name="candidate") * z + h * (1 - z)


@lg.cell
def mut3(x: Symbol, h: Symbol) -> Symbol:
    """The third of three units found by evolution (Jozefowicz, Zaremba & Sutskever 2015, MUT3).

    torchrecurrent's `MUT3Cell`.
    """
    z = lg.sigmoid_layer(x, h=lg.tanh(h), name="update")
    r = lg.sigmoid_layer(h, x, name="reset")
    return lg.tanh_layer(h=r * h, x=x, name="candidate") * z + h * (1 - z)


@lg.cell
def fast_grnn(x: Symbol, h: Symbol) -> Symbol:
    """FastGRNN: gate and candidate share their matrices (Kusupati et al. 2018).

    Without the low-rank form of the matrices. The two numbers are sigmoids of zeta and nu, which start at 1 and -4 as
    in the authors' EdgeML. torchrecurrent's gate is tanh unless ``nonlinearity="sigmoid"`` is given.
    """
    shared = lg.linear(h, x, name="shared", bias=False)
    z, candidate = lg.sigmoid(shared + lg.parameter("update.b")), lg.tanh(shared + lg.parameter("candidate.b"))
    zeta = lg.sigmoid(lg.parameter("zeta", shape=(), init=1.0))
    nu = lg.sigmoid(lg.parameter("nu", shape=(), init=-4.0))
    return (zeta * (1 - z) + nu) * candidate + z * h


@lg.cell
def brc(x: Symbol, h: Symbol) -> Symbol:
    """Bistable recurrent cell: each unit's gates see only its own state (Vecoven, Ernst & Drion 2021).

    a in 0 to 2 makes a unit bistable above 1; c is the update gate. torchrecurrent's `BRCell`.
    """
    a = 1 + lg.tanh(lg.linear(x, name="feedback") + lg.parameter("feedback.w_h", init=("normal", 0.1)) * h)
    c = lg.sigmoid(lg.linear(x, name="update") + lg.parameter("update.w_h", init=("normal", 0.1)) * h)
    return c * h + (1 - c) * lg.tanh(lg.linear(x, name="candidate") + a * h)


@lg.cell
def nbrc(x: Symbol, h: Symbol) -> Symbol:
    """Neuromodulated bistable recurrent cell: `brc` with gates that see every unit (Vecoven, Ernst & Drion 2021).

    torchrecurrent's `NBRCell`.
    """
    a, c = 1 + lg.tanh_layer(h, x, name="feedback"), lg.sigmoid_layer(h, x, name="update")
    return c * h + (1 - c) * lg.tanh(lg.linear(x, name="candidate") + a * h)


def _hard_sigmoid(value: Symbol) -> Symbol:
    """Return 0.2 a + 0.5 held in 0 to 1, as Keras 2's ``hard_sigmoid``."""
    return lg.minimum(lg.maximum(0.2 * value + 0.5, 0.0), 1.0)


def _modulated(x: Symbol, h: Symbol) -> Symbol:
    return lg.tanh(lg.linear(h=lg.linear(x, name="input") * h, name="modulation")) * h


@lg.cell
def sgu(x: Symbol, h: Symbol) -> Symbol:
    """Simple gated unit: the input multiplies the state (Gao & Glowacka 2016, SGU), softplus at the output.

    The update gate is the piecewise linear sigmoid 0.2 a + 0.5 of Theano and Keras 2; torchrecurrent has torch's,
    a / 6 + 0.5.
    """
    z = _hard_sigmoid(lg.linear(h, x, name="update"))
    return (1 - z) * h + z * lg.softplus(_modulated(x, h))


@lg.cell
def dsgu(x: Symbol, h: Symbol) -> Symbol:
    """Deep simple gated unit: `sgu` with one more layer, and a sigmoid at the output (Gao & Glowacka 2016, DSGU)."""
    z = _hard_sigmoid(lg.linear(h, x, name="update"))
    return (1 - z) * h + z * lg.sigmoid(lg.linear(h=_modulated(x, h), name="output", bias=False))


@lg.cell
def tau_gru(x: Symbol, h: Symbol) -> Symbol:
    """Gated recurrent unit with a weighted time-delayed feedback of four steps (Erichson, Lim & Mahoney 2022).

    The delayed state is that of four steps before the state the cell receives; before that, zeros. torchrecurrent's
    `tauGRUCell`.
    """
    u = lg.tanh_layer(h, x, name="candidate")
    delayed = lg.tanh_layer(x, h=lg.delay(h, 4), name="delayed")
    g = lg.sigmoid_layer(h, x, name="update")
    return (1 - g) * h + g * (u + lg.gate(delayed, h, x, name="feedback"))


@lg.cell
def gru_d(x: Symbol, mask: Symbol, dt: Symbol, /, h: Symbol, x_last: Symbol) -> tuple[Symbol, Symbol]:
    """Gated recurrent unit for missing values, with decay (Che et al. 2018, GRU-D, equations 10 to 16).

    Inputs of one size I (compile with ``mask=I, dt=I``): the values, which may be NaN where missing; 1 where there is
    a value, 0 where not; the time since each was last seen. ``mean`` is what a missing value decays to; no gradient
    reaches it, as it is the mean of the data. 1 - z keeps the old state, as in the paper.
    """
    seen = lg.select(mask > 0.5, x, x_last)
    gamma_x = lg.exp(-lg.relu(lg.parameter("decay_x.w", shape=("I",)) * dt + lg.parameter("decay_x.b", shape=("I",))))
    decayed = gamma_x * x_last + (1 - gamma_x) * lg.stop_gradient(lg.parameter("mean", shape=("I",)))
    value = lg.select(mask > 0.5, x, decayed)
    h = lg.exp(-lg.relu(lg.linear(dt, name="decay_h"))) * h
    r = lg.sigmoid_layer(mask, h=h, x=value, name="reset")
    z = lg.sigmoid_layer(mask, h=h, x=value, name="update")
    candidate = lg.tanh_layer(mask, h=r * h, x=value, name="candidate")
    return (1 - z) * h + z * candidate, seen


@lg.cell
def gru_ode(x: Symbol, dt: Symbol, /, h: Symbol) -> Symbol:
    """Gated recurrent unit in continuous time, one Euler step (De Brouwer et al. 2019).

    dh/dt = (1 - z) * (g - h) over the second input, the time step, of size 1 (compile with ``dt=1``). The jumps at
    observations of GRU-ODE-Bayes are no part of it.
    """
    r, z = lg.sigmoid_layer(h, x, name="reset"), lg.sigmoid_layer(h, x, name="update")
    return h + dt * (1 - z) * (lg.tanh_layer(h=r * h, x=x, name="candidate") - h)
