"""Plain recurrent networks and their nearest variants: a sum, an activation, and what the state is."""

import lstmgraph as lg
from lstmgraph.graph import Symbol


@lg.cell
def irnn(x: Symbol, h: Symbol) -> Symbol:
    """Plain recurrent network with relu whose recurrent weights start at the identity (Le, Jaitly & Hinton 2015).

    The input weights start at a normal distribution with standard deviation 0.001, the biases at 0 (section 2).
    Its equation is that of torch.nn.RNN with ``nonlinearity="relu"``.
    """
    return lg.relu(lg.linear(h, x, name="hidden", init={"W_h": "identity", "W_x": ("normal", 0.001)}))


@lg.cell
def residual_rnn(x: Symbol, h: Symbol) -> Symbol:
    """Plain recurrent network that adds the state before the activation; Flax's `SimpleCell(residual=True)`.

    With relu, the recurrent identity network of Hu, Huber, Anumula & Liu 2018; with tanh, as here, Flax's default.
    """
    return lg.tanh(lg.linear(h, x, name="hidden") + h)


@lg.cell
def jordan(x: Symbol, y: Symbol) -> Symbol:
    """Recurrent network whose output, not its hidden layer, comes back (Jordan 1986).

    The common simple form, without the trace that Jordan's state units keep of themselves. Hidden layer and output
    have both size H.
    """
    hidden = lg.tanh_layer(y, x, name="hidden")
    return lg.tanh_layer(hidden=hidden, name="output")


@lg.cell
def indrnn(x: Symbol, h: Symbol) -> Symbol:
    """Independently recurrent network: each unit sees only itself (Li et al. 2018), with relu.

    The recurrent vector starts uniform in 0 to 1. TensorFlow 1's and torchrecurrent's `IndRNNCell` have tanh by
    default.
    """
    return lg.relu(lg.linear(x, name="input") + lg.parameter("recurrent", init=("uniform", 0.0, 1.0)) * h)


@lg.cell
def echo_state(x: Symbol, h: Symbol) -> Symbol:
    """Echo state network with leaky units: a reservoir that is not trained (Jaeger 2001; leaky units: Jaeger 2007).

    Leak 0.3; the recurrent matrix is 0.9 times an orthogonal one, so its spectral radius starts at 0.9. No gradient
    reaches the weights; a linear head is what learns. TensorFlow Addons' `ESNCell`.
    """
    recurrent = 0.9 * lg.stop_gradient(lg.parameter("W_h", shape=("H", "H"), init="orthogonal"))
    inputs = lg.stop_gradient(lg.parameter("W_x", shape=("I", "H"), init=("uniform", -1.0, 1.0)))
    bias = lg.stop_gradient(lg.parameter("b"))
    return 0.7 * h + 0.3 * lg.tanh(h @ recurrent + x @ inputs + bias)


@lg.cell
def fast_rnn(x: Symbol, h: Symbol) -> Symbol:
    """FastRNN: a plain recurrent network and a weighted residual connection (Kusupati et al. 2018).

    Both weights are numbers, sigmoids of what is learned, which starts at -3 for the candidate and 3 for the state as
    in the authors' EdgeML. torchrecurrent's `FastRNNCell`.
    """
    candidate = lg.tanh_layer(h, x, name="candidate")
    alpha = lg.sigmoid(lg.parameter("alpha", shape=(), init=-3.0))
    beta = lg.sigmoid(lg.parameter("beta", shape=(), init=3.0))
    return alpha * candidate + beta * h


@lg.cell
def scrn(x: Symbol, h: Symbol, s: Symbol) -> dict[str, Symbol]:
    """Structurally constrained recurrent network (Mikolov et al. 2015, SCRN).

    A context s of slow linear units (alpha 0.95) feeds a plain hidden layer. The output y is the sum U h + V s that
    the paper puts into its softmax. Context and hidden layer have both size H; only the context is without bias.
    RecurrentLayers.jl documents a hidden layer that does not see the input, and torchrecurrent lets tanh(y) come back
    in place of h; here both are as in the paper.
    """
    s = 0.05 * lg.linear(x, name="context", bias=False) + 0.95 * s
    h = lg.sigmoid_layer(h, x, s=s, name="hidden")
    return {"y": lg.linear(h=h, s=s, name="output"), "h": h, "s": s}


@lg.cell
def multiplicative_rnn(x: Symbol, h: Symbol) -> Symbol:
    """Multiplicative recurrent network: the input chooses the recurrent matrix (Sutskever, Martens & Hinton 2011).

    The factored form with H factors, without the output layer. Also called mRNN.
    """
    factors = lg.linear(x, name="factor_x", bias=False) * lg.linear(h, name="factor_h", bias=False)
    return lg.tanh_layer(x, factors=factors, name="hidden")


@lg.cell
def mi_rnn(x: Symbol, h: Symbol) -> Symbol:
    """Recurrent network with multiplicative integration of input and state (Wu et al. 2016).

    tanh(alpha * Wx * Uh + beta_1 * Uh + beta_2 * Wx + b), the general form; alpha and both betas start at 1.
    """
    inputs, recurrent = lg.linear(x, name="input", bias=False), lg.linear(h, name="recurrent", bias=False)
    first_order = lg.parameter("beta_h", init=1.0) * recurrent + lg.parameter("beta_x", init=1.0) * inputs
    return lg.tanh(lg.parameter("alpha", init=1.0) * inputs * recurrent + first_order + lg.parameter("b"))


@lg.cell
def dilated_rnn(x: Symbol, h: Symbol) -> Symbol:
    """Dilated recurrent network: the state of four steps ago comes back (Chang et al. 2017).

    The paper stacks layers of dilations 1, 2, 4, ...; this is one layer of dilation 4.
    """
    return lg.tanh_layer(x, h=lg.delay(h, 3), name="hidden")


@lg.cell
def higher_order_rnn(x: Symbol, h: Symbol) -> Symbol:
    """Higher order recurrent network: the last three states come back (Soltani & Jiang 2016), each by its matrix.

    Without the paper's pooling of the states.
    """
    return lg.tanh_layer(h, x, h_2=lg.delay(h, 1), h_3=lg.delay(h, 2), name="hidden")
