"""Recurrences whose next state is linear in the previous one, with gates that see the input alone."""

import lstmgraph as lg
from lstmgraph.graph import Symbol


@lg.cell
def gilr(x: Symbol, h: Symbol) -> Symbol:
    """Gated impulse linear recurrence (Martin & Cundy 2018): a moving average with learned weights."""
    g = lg.sigmoid_layer(x, name="forget")
    return g * h + (1 - g) * lg.tanh_layer(x, name="candidate")


@lg.cell
def gilr_lstm(x: Symbol, s: Symbol, c: Symbol) -> dict[str, Symbol]:
    """LSTM with a linear surrogate: gates see a GILR state s in place of the output (Martin & Cundy 2018)."""
    g = lg.sigmoid_layer(x, name="surrogate_forget")
    new_s = g * s + (1 - g) * lg.tanh_layer(x, name="surrogate_candidate")
    c = lg.gate(c, s, x, name="forget") + lg.gate(lg.tanh_layer(s, x, name="candidate"), s, x, name="input")
    return {"y": lg.gate(c, s, x, name="output"), "s": new_s, "c": c}


@lg.cell
def min_lstm(x: Symbol, h: Symbol) -> Symbol:
    """Minimal LSTM whose gates see the input alone and sum to one (minLSTM, Feng et al. 2024)."""
    f, i = lg.sigmoid_layer(x, name="forget"), lg.sigmoid_layer(x, name="input")
    return f / (f + i) * h + i / (f + i) * lg.linear(x, name="candidate")


@lg.cell
def min_lstm_positive(x: Symbol, h: Symbol) -> Symbol:
    """Minimal LSTM with a positive candidate, as its log-space form wants it (Feng et al. 2024, appendix B.3).

    The candidate is g(W x + b), where g(z) = z + 0.5 from 0 on and the sigmoid below.
    """
    f, i = lg.sigmoid_layer(x, name="forget"), lg.sigmoid_layer(x, name="input")
    z = lg.linear(x, name="candidate")
    return f / (f + i) * h + i / (f + i) * lg.select(z >= 0.0, z + 0.5, lg.sigmoid(z))


@lg.cell
def rg_lru(x: Symbol, h: Symbol) -> Symbol:
    """Real-gated linear recurrent unit of Griffin (De et al. 2024, equations 1 to 4); needs I == H.

    The recurrence gate moves the decay a = sigmoid(decay) of each unit, to the power c = 8 at most. The gates are full
    matrices, as in the paper's equations; its code has blocks. a**c starts between 0.9 and 0.999 as in the paper, but
    evenly in the logit of a.
    """
    r, i = lg.sigmoid_layer(x, name="recurrence"), lg.sigmoid_layer(x, name="input")
    log_a = -8.0 * lg.softplus(-lg.parameter("decay", init=("uniform", 4.3, 9.0))) * r
    a = lg.exp(log_a)
    return a * h + lg.sqrt(1 - a * a) * (i * x)


@lg.cell
def s4d_real(x: Symbol, h: Symbol) -> dict[str, Symbol]:
    """Real diagonal state space model, discretised by zero-order hold (S4D-Real, Gu et al. 2022).

    One system of H states for all inputs together, as in S5 (Smith et al. 2023), in place of one for each input.
    Output of the size of x. Rates start between 1 and 55 and steps between 0.001 and 0.1, both evenly in their
    logarithms; the paper starts the rates at 1, 2, 3, ...
    """
    a = -lg.exp(lg.parameter("log_rate", init=("uniform", 0.0, 4.0)))
    decay = lg.exp(lg.exp(lg.parameter("log_step", init=("uniform", -6.9, -2.3))) * a)
    h = decay * h + (decay - 1) / a * lg.linear(x, name="B", bias=False)
    y = lg.linear(h=h, name="C", size="I", bias=False) + lg.parameter("D", shape=("I",), init=1.0) * x
    return {"y": y, "h": h}


@lg.cell
def selective_ssm(x: Symbol, h: Symbol) -> dict[str, Symbol]:
    """Selective state space model of Mamba with one state a channel, N = 1 (Gu & Dao 2023); needs I == H.

    Step, input and output weights depend on x. The step's matrix is of full rank. Steps start between 0.001 and 0.1.
    """
    step = lg.softplus(lg.linear(x, name="step", init={"b": ("uniform", -6.9, -2.25)}))
    decay = lg.exp(-step * lg.exp(lg.parameter("log_rate")))
    h = decay * h + step * lg.linear(x, name="B", size=1, bias=False) * x
    y = lg.linear(x, name="C", size=1, bias=False) * h + lg.parameter("D", init=1.0) * x
    return {"y": y, "h": h}


@lg.cell
def lmu(x: Symbol, h: Symbol, m: Symbol) -> tuple[Symbol, Symbol]:
    """Legendre memory unit with a memory m of size M (Voelker, Kajic & Eliasmith 2019).

    One number a step is written into a linear memory of the last 100 steps, with fixed matrices `memory.A` and
    `memory.B` to which no gradient flows. For another window, put what `lstmgraph.initializers.legendre_memory` returns
    into the parameters. The encoder does not see m at the start, as in the paper.
    """
    u = lg.linear(h, x, m, name="encoder", size=1, bias=False, init={"W_m": 0.0})
    a = lg.parameter("memory.A", shape=("M", "M"), init=("legendre_transition", 100.0))
    b = lg.parameter("memory.B", shape=(1, "M"), init=("legendre_input", 100.0))
    m = m @ lg.stop_gradient(a) + u @ lg.stop_gradient(b)
    return lg.tanh_layer(h=h, x=x, m=m, name="hidden"), m
