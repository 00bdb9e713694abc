"""Recurrent networks whose recurrent weights have a form: antisymmetric, oscillating, permuting, clocked."""

import math

import lstmgraph as lg
from lstmgraph.graph import Symbol

States = tuple[Symbol, Symbol]
Outputs = dict[str, Symbol]


@lg.cell
def gated_antisymmetric(x: Symbol, h: Symbol) -> Symbol:
    """Antisymmetric recurrent network with an input gate (Chang et al. 2019), step 0.1 and damping 0.1.

    Gate and candidate share one matrix, V - V.T minus the damping. torchrecurrent's `GatedAntisymmetricRNNCell` with
    `epsilon=0.1, gamma=0.1`.
    """
    v = lg.parameter("V", shape=("H", "H"), init=("normal", 0.1))
    recurrent = h @ (v - v.T) - 0.1 * h
    z = lg.sigmoid(recurrent + lg.linear(x, name="gate"))
    return h + 0.1 * z * lg.tanh(recurrent + lg.linear(x, name="input"))


@lg.cell
def lipschitz_rnn(x: Symbol, h: Symbol) -> Symbol:
    """Lipschitz recurrent network, Euler step (Erichson et al. 2021), step 0.1.

    Each recurrent matrix is (1 - beta)(M + M.T) + beta (M - M.T) - gamma I, with beta 0.75 and gamma 0.001.
    """

    def product(name: str) -> Symbol:
        m = lg.parameter(name, shape=("H", "H"), init=("normal", 0.1))
        return h @ (0.25 * (m + m.T) + 0.75 * (m - m.T)) - 0.001 * h

    return h + 0.1 * (product("A") + lg.tanh(product("W") + lg.linear(x, name="input")))


@lg.cell
def cornn(x: Symbol, h: Symbol, z: Symbol) -> States:
    """Coupled oscillatory recurrent network (Rusch & Mishra 2021, coRNN), damped by the previous velocity.

    Step 0.042, gamma 2.7 and epsilon 4.7, one of the authors' settings; z is the velocity of h. The paper allows the
    new velocity in the damping too, which RecurrentLayers.jl documents; torchrecurrent's `coRNNCell` is as here.
    """
    z = z + 0.042 * (lg.tanh_layer(h, z, x, name="force") - 2.7 * h - 4.7 * z)
    return h + 0.042 * z, z


@lg.cell
def unicornn(x: Symbol, h: Symbol, z: Symbol) -> States:
    """Undamped independent controlled oscillatory recurrent network (Rusch & Mishra 2021, UnICORNN).

    Each unit has its own learned time step, 0.1 sigmoid(c); alpha is 1. Symplectic Euler: h moves by the new z. The
    force has tanh as in the authors' code; w starts uniform in 0 to 1, c in -0.1 to 0.1. torchrecurrent's
    `UnICORNNCell` with `dt=0.1, alpha=1.0`.
    """
    step = 0.1 * lg.sigmoid(lg.parameter("c", init=("uniform", -0.1, 0.1)))
    own = lg.parameter("w", init=("uniform", 0.0, 1.0)) * h
    z = z - step * (lg.tanh(own + lg.linear(x, name="force")) + h)
    return h + step * z, z


@lg.cell
def plrnn(x: Symbol, h: Symbol) -> Symbol:
    """Piecewise linear recurrent network (Durstewitz 2017; with inputs: Koppe et al. 2019).

    A diagonal a and a matrix W without diagonal: a * h + relu(h) W + C x + b. Where the parameter ``diagonal`` is
    above 0.5 (it starts as the identity, and no gradient reaches it) W counts as 0.
    """
    place = lg.parameter("diagonal", shape=("H", "H"), init="identity")
    w = lg.select(place > 0.5, 0.0, lg.parameter("W", shape=("H", "H"), init=("normal", 0.1)))
    return lg.parameter("a", init=("uniform", 0.0, 1.0)) * h + lg.relu(h) @ w + lg.linear(x, name="input")


def _rolled(h: Symbol) -> Symbol:
    """Return the H features of each row one place on, the last one first."""
    add = h.builder.add
    place = lg.cumulative_sum(add("broadcast", 1.0, target=h.shape))
    last = lg.row_sum(lg.select(lg.equal(place, add("size_of", size=h.shape[-1])), h, 0.0))
    return lg.split(lg.concat(last, h), h.shape[-1], 1)[0]


@lg.cell
def shuffling_rnn(x: Symbol, h: Symbol) -> Symbol:
    """Shuffling recurrent network: the recurrent matrix is a cyclic shift (Rotman & Wolf 2021).

    relu(shift(h) + f(x) * sigmoid(gate of x)), where f is a network of one hidden layer. Also called SRNN.
    """
    hidden = lg.relu(lg.linear(x, name="branch"))
    return lg.relu(_rolled(h) + lg.gate(lg.linear(hidden, name="signal"), x, name="gate"))


def _rotated(first: Symbol, second: Symbol, name: str) -> tuple[Symbol, Symbol]:
    """Return each pair of units turned by an angle of its own."""
    angle = lg.parameter(name, init=("uniform", -math.pi, math.pi))
    sine, cosine = lg.sin(angle), lg.sin(angle + math.pi / 2)
    return cosine * first - sine * second, sine * first + cosine * second


@lg.cell
def eunn(x: Symbol, h: Symbol) -> Symbol:
    """Recurrent network whose recurrent matrix is orthogonal, made of rotations of pairs (Jing et al. 2017, EUNN).

    The real form with capacity 2: 2 H units in two halves; one layer of rotations pairs the halves, the next one pairs
    them shifted by a unit, in a ring. The activation is modReLU, the sign times relu(|z| + b) (Arjovsky, Shah & Bengio
    2016), whose uRNN has complex states and a Fourier transform and is not in this catalogue.
    """
    first, second = lg.split(h, "H", "H")
    first, second = _rotated(first, second, "rotation_1.angle")
    z = lg.concat(*_rotated(_rolled(first), second, "rotation_2.angle"))
    z = z + lg.linear(x, name="input", size="H+H", bias=False)
    return lg.select(z < 0.0, -1.0, 1.0) * lg.relu(lg.abs(z) + lg.parameter("modulus.b", shape=("H+H",)))


@lg.cell
def su_rnn(x: Symbol, time: Symbol, /, h: Symbol) -> Symbol:
    """Selective-update recurrent network: each unit moves only when a sum of three waves is positive (Yin et al. 2026).

    `time` [T, B, 1] is the number of the step. Frequencies belong to the cell, heights and phases to a unit. The switch
    is 0 or 1; its gradient is that of a sigmoid of the sum (straight-through), which is our choice.
    """
    level = lg.parameter("switch.b", init=1.0)
    for wave in (1, 2, 3):
        speed = lg.parameter(f"wave_{wave}.frequency", shape=(), init=("uniform", 0.0, math.pi))
        height = lg.parameter(f"wave_{wave}.height", init=("normal", 1.0))
        level = level + height * lg.sin(speed * time + lg.parameter(f"wave_{wave}.phase", init=("uniform", -3.0, 3.0)))
    soft = lg.sigmoid(level)
    open_ = soft + lg.stop_gradient(lg.select(level > 0.0, 1.0, 0.0) - soft)
    return h + open_ * (lg.tanh_layer(h, x, name="hidden") - h)


@lg.cell
def clockwork_rnn(x: Symbol, h_1: Symbol, h_2: Symbol, h_4: Symbol, clock_2: Symbol, clock_4: Symbol) -> Outputs:
    """Clockwork recurrent network: modules that move every 1, 2 and 4 steps (Koutnik et al. 2014).

    Three modules of size H; a module sees itself and the slower ones. The output has size 3H. Clocks begin at 0,
    where every module moves.
    """
    modules, clocks = {1: h_1, 2: h_2, 4: h_4}, {2: clock_2, 4: clock_4}
    new: Outputs = {}
    for period, own in modules.items():
        seen = {f"h_{slower}": state for slower, state in modules.items() if slower >= period}
        moved = lg.tanh_layer(x, **seen, name=f"module_{period}")
        due = clocks[period] < 0.5 if period > 1 else None
        new[f"h_{period}"] = moved if due is None else lg.select(due, moved, own)
    for period, clock in clocks.items():
        new[f"clock_{period}"] = lg.mean(lg.select(clock < period - 1.5, clock + 1, 0.0))
    return {"y": lg.concat(new["h_1"], new["h_2"], new["h_4"]), **new}
