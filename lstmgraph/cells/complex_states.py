"""Linear recurrences with complex states, as pairs of real ones: a rotation and a decay in each unit."""

import math

import lstmgraph as lg
from lstmgraph.graph import Symbol

Pair = tuple[Symbol, Symbol]


def _times(first: Pair, second: Pair) -> Pair:
    """Return the product of complex numbers."""
    (a, b), (c, d) = first, second
    return a * c - b * d, a * d + b * c


def _polar(radius: Symbol, angle: Symbol) -> Pair:
    return radius * lg.sin(angle + math.pi / 2), radius * lg.sin(angle)


def _source(x: Symbol, name: str) -> Pair:
    return lg.linear(x, name=f"{name}_re", bias=False), lg.linear(x, name=f"{name}_im", bias=False)


def _output(x: Symbol, re: Symbol, im: Symbol) -> Symbol:
    """Return the real part of C z, of the size of x, plus D x."""
    seen = lg.linear(re=re, name="C_re", size="I", bias=False) - lg.linear(im=im, name="C_im", size="I", bias=False)
    return seen + lg.parameter("D", shape=("I",), init=("normal", 1.0)) * x


@lg.cell
def lru(x: Symbol, h_re: Symbol, h_im: Symbol) -> dict[str, Symbol]:
    """Linear recurrent unit: complex diagonal recurrence, exponential form (Orvieto et al. 2023, LRU).

    Sections 3.3 and 3.4: lambda = exp(-exp(log_nu) + i exp(log_theta)), evenly spread at the start over the ring
    between the radii 0.9 and 0.999 (Lemma 2). What is written is scaled by sqrt(1 - |lambda|**2), where the paper
    starts a factor that it then learns.
    """
    radius = lg.exp(-lg.exp(lg.parameter("log_nu", init=("ring", 0.9, 0.999))))
    angle = lg.exp(lg.parameter("log_theta", init=("log_uniform", 0.0, 2 * math.pi)))
    (kept_re, kept_im), (new_re, new_im) = _times((h_re, h_im), _polar(radius, angle)), _source(x, "B")
    scale = lg.sqrt(1 - radius * radius)
    h_re, h_im = kept_re + scale * new_re, kept_im + scale * new_im
    return {"y": _output(x, h_re, h_im), "h_re": h_re, "h_im": h_im}


@lg.cell
def s5(x: Symbol, h_re: Symbol, h_im: Symbol) -> dict[str, Symbol]:
    """Complex diagonal state space model for all inputs together, by zero-order hold (Smith et al. 2023, S5).

    Conjugate pairs are kept by one of the two, so that the output is 2 Re(C z) + D x. Each unit has its rate (1/2 at
    the start, as in S4D-Lin), its frequency (0 to 100) and its step (0.001 to 0.1, evenly in its logarithm); the paper
    starts rates and frequencies at the eigenvalues of its HiPPO matrix.
    """
    rate = -lg.exp(lg.parameter("log_rate", init=-math.log(2.0)))
    frequency = lg.parameter("frequency", init=("uniform", 0.0, 100.0))
    step = lg.exp(lg.parameter("log_step", init=("uniform", -6.9, -2.3)))
    decay = _polar(lg.exp(step * rate), step * frequency)
    size = rate * rate + frequency * frequency
    hold = _times((decay[0] - 1, decay[1]), (rate / size, -frequency / size))  # (decay - 1) / (rate + i frequency)
    (kept_re, kept_im), (new_re, new_im) = _times((h_re, h_im), decay), _times(_source(x, "B"), hold)
    h_re, h_im = kept_re + new_re, kept_im + new_im
    return {"y": _output(x, 2 * h_re, 2 * h_im), "h_re": h_re, "h_im": h_im}
