"""Cells that know the time of their input or the time since the last one, and discretised differential equations."""

import lstmgraph as lg
from lstmgraph.cells import memory
from lstmgraph.graph import Symbol

States = tuple[Symbol, Symbol]


@lg.cell
def time_aware_lstm(x: Symbol, dt: Symbol, /, h: Symbol, c: Symbol) -> States:
    """LSTM whose short-term memory fades with the time since the last input (T-LSTM, Baytas et al. 2017).

    A layer takes the short-term part out of the cell state; it is divided by log(e + dt). dt has size 1. Not the T-LSTM
    of Balduzzi & Ghifary 2016.
    """
    short = lg.tanh_layer(c, name="decomposition")
    h, c = memory.lstm(x, h, c - short + short / lg.log(2.718281828459045 + dt))
    return h, c


def _openness(time: Symbol) -> Symbol:
    """Return how open the time gate of each unit is."""
    periods = time * lg.exp(-lg.parameter("log_period", init=("uniform", 0.0, 6.9)))
    shifted = periods - lg.parameter("shift", init=("uniform", 0.0, 1.0))
    phase = shifted - lg.floor(shifted)
    ratio = lg.parameter("open_ratio", init=0.05)
    rising = 2 * phase / ratio
    return lg.select(rising < 1.0, rising, lg.select(phase < ratio, 2 - rising, 0.001 * phase))


@lg.cell
def phased_lstm(x: Symbol, time: Symbol, /, h: Symbol, c: Symbol) -> States:
    """Peephole LSTM whose units each open in a rhythm of their own (Neil, Pfeiffer & Liu 2016).

    `time` [T, B, 1] is when the input was seen. The rhythm is learned as the logarithm of the period, the shift in
    periods, and the open part of a period; a closed gate leaks 0.001 of the phase. Periods start between 1 and 1000,
    evenly in their logarithms, the open part at 0.05. The output gate sees the proposed cell state. TF's
    PhasedLSTMCell, whose open part starts at 0.1, without peepholes.
    """
    k = _openness(time)
    new_h, new_c = memory.peephole_lstm(x, h, c)
    return k * new_h + (1 - k) * h, k * new_c + (1 - k) * c


@lg.cell
def lem(x: Symbol, h: Symbol, z: Symbol) -> States:
    """Long expressive memory: two coupled equations with learned time steps (Rusch et al. 2022, LEM).

    h is the paper's y; the greatest step is 1. As in the paper, h sees the new z; torchrecurrent's LEM lets it see the
    previous one.
    """
    z = z + lg.sigmoid_layer(h, x, name="step_z") * (lg.tanh_layer(h, x, name="candidate_z") - z)
    h = h + lg.sigmoid_layer(h, x, name="step_h") * (lg.tanh_layer(z=z, x=x, name="candidate_h") - h)
    return h, z


def _backbone(x: Symbol, h: Symbol) -> Symbol:
    """Return the shared layer of a CfC, of size U, with LeCun's scaled tanh."""
    return 1.7159 * lg.tanh(0.666 * lg.linear(h, x, name="backbone", size="U"))


@lg.cell
def cfc(x: Symbol, dt: Symbol, /, h: Symbol) -> Symbol:
    """Closed-form continuous-time network: two heads, mixed by a gate of the time passed (Hasani et al. 2022).

    As the authors' ncps (mode "default"): the gate is sigmoid(a * dt + b) with two heads a and b, where the paper
    writes one, sigmoid(-f * dt). One backbone layer of size U; dt has size 1.
    """
    shared = _backbone(x, h)
    first, second = lg.tanh_layer(shared, name="head_1"), lg.tanh_layer(shared, name="head_2")
    t = lg.sigmoid(lg.linear(shared, name="time_a") * dt + lg.linear(shared, name="time_b"))
    return first * (1 - t) + second * t


@lg.cell
def cfc_pure(x: Symbol, dt: Symbol, /, h: Symbol) -> Symbol:
    """Closed-form solution of a liquid time constant's equation (Hasani et al. 2022); ncps mode "pure".

    One backbone layer of size U; dt has size 1.
    """
    f = lg.linear(_backbone(x, h), name="head")
    a, w = lg.parameter("A", init=1.0), lg.parameter("rate")
    return a - a * lg.exp(-dt * (lg.abs(w) + lg.abs(f))) * f


@lg.cell
def mixed_memory_cfc(x: Symbol, dt: Symbol, /, h: Symbol, c: Symbol) -> States:
    """LSTM whose output goes on through a CfC in the same step: mixed memory, as in ncps (Lechner & Hasani 2020).

    The LSTM guards the gradient, the CfC knows the time; both see x.
    """
    h, c = memory.lstm(x, h, c, name="memory")
    h = cfc(x, dt, h, name="cfc")
    return h, c


@lg.cell
def ltc(x: Symbol, dt: Symbol, /, h: Symbol) -> Symbol:
    """Liquid time-constant network, by six steps of its fused solver (Hasani et al. 2021, equation 3).

    The layer f with weights on x and h is a sigmoid layer. ncps has one sigmoid for each synapse in its place, which
    is another model. dt has size 1; time constants start at 1.
    """
    driven, u = lg.linear(x, name="synapse"), lg.parameter("synapse.W_h", shape=("H", "H"), init="orthogonal")
    a, rate = lg.parameter("A", init=("uniform", -1.0, 1.0)), lg.exp(-lg.parameter("log_tau"))
    for _ in range(6):
        f = lg.sigmoid(driven + h @ u)
        h = (h + dt / 6 * f * a) / (1 + dt / 6 * (rate + f))
    return h
