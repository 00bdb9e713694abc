"""Long short-term memories in groups or heads, normalised together, or with attention to their own past."""

import lstmgraph as lg
from lstmgraph.cells import memory
from lstmgraph.graph import Symbol

States = tuple[Symbol, Symbol]


@lg.cell
def group_lstm(x_1: Symbol, x_2: Symbol, /, h: Symbol, c: Symbol) -> States:
    """LSTM whose matrices are block-diagonal: two groups that do not see each other (Kuchaiev & Ginsburg 2017).

    The paper's G-LSTM and TF's GLSTMCell. The input comes as its two groups, of any sizes; each group has H units, so
    that h and c have 2 H. What mixes the groups is the layer above. Forget biases start at 1.
    """
    (h_1, h_2), (c_1, c_2) = lg.split(h, "H", "H"), lg.split(c, "H", "H")
    h_1, c_1 = memory.lstm(x_1, h_1, c_1, name="group_1")
    h_2, c_2 = memory.lstm(x_2, h_2, c_2, name="group_2")
    return lg.concat(h_1, h_2), lg.concat(c_1, c_2)


def _heads(x: Symbol, h: Symbol, name: str, bias: float = 0.0) -> Symbol:
    """Return W x + R h + b, where R is block-diagonal: a block for each of the two heads."""
    first, second = (
        part @ lg.parameter(f"{name}.W_h_{head}", ("H", "H"), "orthogonal")
        for head, part in enumerate(lg.split(h, "H", "H"), start=1)
    )
    return lg.concat(first, second) + lg.linear(x, name=name, size="H+H", init={"b": bias})


@lg.cell
def slstm_heads(x: Symbol, h: Symbol, c: Symbol, n: Symbol, m: Symbol) -> tuple[Symbol, ...]:
    """Scalar LSTM of xLSTM with two heads of H units, and a sigmoid forget gate (Beck et al. 2024, equations 8 to 17).

    As `slstm`, but units see the previous output of their own head only: the recurrent matrices are block-diagonal.
    """
    log_f, log_i = -lg.softplus(-_heads(x, h, "forget", 1.0)), _heads(x, h, "input")
    new_m = lg.maximum(log_f + m, log_i)
    i, f = lg.exp(log_i - new_m), lg.exp(log_f + m - new_m)
    c, n = f * c + i * lg.tanh(_heads(x, h, "candidate")), f * n + i
    return lg.sigmoid(_heads(x, h, "output")) * (c / n), c, n, new_m


@lg.cell
def layer_norm_joint_lstm(x: Symbol, h: Symbol, c: Symbol) -> States:
    """LSTM with normalised sums, the four of a source together (Ba, Kiros & Hinton 2016, equations 20 to 22).

    As the paper and Haste; `layer_norm_lstm` normalises each gate's sum by itself.
    """

    def sums(source: Symbol, name: str) -> Symbol:
        total = lg.linear(source, name=f"sums_{name}", size="H+H+H+H", bias=False)
        return lg.layer_norm(total, name=f"sums_{name}_norm")

    f, i, o, g = lg.split(sums(h, "h") + sums(x, "x"), "H", "H", "H", "H")
    c = lg.sigmoid(f) * c + lg.sigmoid(i) * lg.tanh(g)
    return lg.sigmoid(o) * lg.tanh(lg.layer_norm(c, name="cell_norm")), c


@lg.cell
def attention_lstm(
    x: Symbol, h: Symbol, c: Symbol, attended: Symbol, past_1: Symbol, past_2: Symbol, past_3: Symbol
) -> dict[str, Symbol]:
    """LSTM that attends to its own last three outputs (TF's AttentionCellWrapper, after Bahdanau et al. 2015).

    What was attended to enters the input; the new h and c ask, and the answer enters the output y. A new output joins
    the window only afterwards.
    """
    h, c = memory.lstm(lg.linear(x, attended, name="mix", size="I"), h, c)
    query, v = lg.linear(h=h, c=c, name="query"), lg.parameter("score.v", init=("normal", 0.1))
    keys, past = lg.parameter("window.W", ("H", "H"), "orthogonal"), (past_1, past_2, past_3)
    scores = lg.concat(*(lg.row_sum(v * lg.tanh(value @ keys + query)) for value in past))
    first, second, third = lg.split(lg.softmax(scores), 1, 1, 1)
    attended = first * past_1 + second * past_2 + third * past_3
    y = lg.linear(h=h, attended=attended, name="projection")
    return {"y": y, "h": h, "c": c, "attended": attended, "past_1": y, "past_2": past_1, "past_3": past_2}
