"""Cells made of long short-term memories: nested, gated by one another, at two speeds, in two dimensions."""

import lstmgraph as lg
from lstmgraph.cells import memory
from lstmgraph.graph import Symbol
from lstmgraph.initializers import Initializer

States = tuple[Symbol, Symbol]


@lg.cell
def nested_lstm(x: Symbol, h: Symbol, c: Symbol, inner_c: Symbol) -> tuple[Symbol, ...]:
    """LSTM whose cell state is kept by another LSTM inside it (Moniz & Krueger 2017).

    What the outer gates let through is the state and the input of the inner LSTM; the outer cell state is its output.
    """
    kept = lg.gate(c, h, x, name="forget", init={"b": 1.0})
    written = lg.gate(lg.tanh_layer(h, x, name="candidate"), h, x, name="input")
    c, inner_c = memory.lstm(written, kept, inner_c, name="inner")
    return lg.gate(lg.tanh(c), h, x, name="output"), c, inner_c


@lg.cell
def mogrifier_lstm(x: Symbol, h: Symbol, c: Symbol) -> States:
    """LSTM whose input and state gate each other, in five rounds, before it starts (Melis et al. 2020).

    The matrices of the rounds are of full rank.
    """
    for turn in range(1, 6):
        if turn % 2:
            x = 2 * lg.sigmoid_layer(h=h, name=f"round_{turn}", size="I", bias=False) * x
        else:
            h = 2 * lg.sigmoid_layer(x=x, name=f"round_{turn}", bias=False) * h
    h, c = memory.lstm(x, h, c)
    return h, c


@lg.cell
def fast_slow_lstm(x: Symbol, h: Symbol, c: Symbol, slow_h: Symbol, slow_c: Symbol) -> tuple[Symbol, ...]:
    """Two fast LSTMs one after the other in each step, and a slow one between them (Mujika et al. 2017).

    The fast cells hand on one state; the slow one sees the first and feeds the second. The paper also normalises
    layers and applies zoneout.
    """
    h, c = memory.lstm(x, h, c, name="fast_1")
    slow_h, slow_c = memory.lstm(h, slow_h, slow_c, name="slow")
    h, c = memory.lstm(slow_h, h, c, name="fast_2")
    return h, c, slow_h, slow_c


@lg.cell
def grid_lstm(h_below: Symbol, c_below: Symbol, /, h: Symbol, c: Symbol) -> dict[str, Symbol]:
    """Block of a two-dimensional grid: one LSTM along time, one along depth (Kalchbrenner et al. 2016).

    Both see the two hidden vectors; each has a cell state of its own. The block above takes the outputs `h_above` and
    `c_above`, of the size of `h_below` and `c_below`. At the bottom of the grid h_below and c_below are projections
    of the input.
    """
    h_above, c_above = memory.lstm(h, h_below, c_below, name="depth")
    h, c = memory.lstm(h_below, h, c, name="time")
    return {"h_above": h_above, "c_above": c_above, "h": h, "c": c}


def _band(x: Symbol, h: Symbol, below: Symbol | None, name: str) -> Symbol:
    """Return what a gate of a band sees: its input, its own past and the band below; all bands share the weights."""
    total = x @ lg.parameter(f"{name}.W_x", ("I", "H")) + h @ lg.parameter(f"{name}.W_h", ("H", "H"), "orthogonal")
    if below is not None:
        total = total + below @ lg.parameter(f"{name}.W_below", ("H", "H"), "orthogonal")
    return total + lg.parameter(f"{name}.b", init=1.0 if name == "forget" else 0.0)


@lg.cell
def time_frequency_lstm(
    low: Symbol,
    middle: Symbol,
    high: Symbol,
    /,
    h_low: Symbol,
    h_middle: Symbol,
    h_high: Symbol,
    c_low: Symbol,
    c_middle: Symbol,
    c_high: Symbol,
) -> dict[str, Symbol]:
    """LSTM over three bands of frequency within each step, and over time (TF-LSTM, Li et al. 2015).

    The gates of a band also see the new output of the band below; TF's TimeFreqLSTMCell, without peepholes. Bands have
    one size I, and the output is their three outputs side by side.
    """
    below: Symbol | None = None
    states: dict[str, Symbol] = {}
    bands = {"low": (low, h_low, c_low), "middle": (middle, h_middle, c_middle), "high": (high, h_high, c_high)}
    for band, (x, h, c) in bands.items():
        i, f, o, g = (_band(x, h, below, name) for name in ("input", "forget", "output", "candidate"))
        c = lg.sigmoid(f) * c + lg.sigmoid(i) * lg.tanh(g)
        below = lg.sigmoid(o) * lg.tanh(c)
        states |= {f"h_{band}": below, f"c_{band}": c}
    return {"y": lg.concat(states["h_low"], states["h_middle"], states["h_high"]), **states}


def _scaled(x: Symbol, h: Symbol, hyper_h: Symbol, name: str) -> Symbol:
    """Return what a gate of a hyper LSTM sees: sums scaled row by row as the small LSTM says, and normalised."""

    def embedded(part: str, init: dict[str, Initializer]) -> Symbol:
        return lg.linear(hyper_h, name=f"{name}.embedded_{part}", size="Z", bias="b" in init, init=init)

    d_h = lg.linear(embedded("h", {"W": 0.0, "b": 1.0}), name=f"{name}.scale_h", bias=False, init=0.025)
    d_x = lg.linear(embedded("x", {"W": 0.0, "b": 1.0}), name=f"{name}.scale_x", bias=False, init=0.025)
    shift = lg.linear(embedded("b", {"W": ("normal", 0.01)}), name=f"{name}.shift", init=0.0)
    total = d_h * lg.linear(h, name=f"{name}_h", bias=False) + d_x * lg.linear(x, name=f"{name}_x", bias=False) + shift
    return lg.layer_norm(total, name=f"{name}_norm")


@lg.cell
def hyper_lstm(x: Symbol, h: Symbol, c: Symbol, hyper_h: Symbol, hyper_c: Symbol) -> tuple[Symbol, ...]:
    """LSTM whose weights are scaled, row by row, by a smaller LSTM (Ha, Dai & Le 2017).

    The small LSTM of size K sees h and x; embeddings of size Z of its new output scale and shift what each gate sees,
    as in the authors' code. The small LSTM is not normalised here. Scales start at 0.1 for Z = 4.
    """
    hyper_h, hyper_c = memory.lstm(lg.concat(h, x), hyper_h, hyper_c, name="hyper", size="K")
    i, g = lg.sigmoid(_scaled(x, h, hyper_h, "input")), lg.tanh(_scaled(x, h, hyper_h, "candidate"))
    c = lg.sigmoid(_scaled(x, h, hyper_h, "forget") + 1.0) * c + i * g
    h = lg.sigmoid(_scaled(x, h, hyper_h, "output")) * lg.tanh(lg.layer_norm(c, name="cell_norm"))
    return h, c, hyper_h, hyper_c
