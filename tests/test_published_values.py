"""Numbers that others published for their recurrent layers: weights, inputs and results as printed in their tests.

Most are of ONNX Runtime and TensorFlow Lite, whose weights are random: they see a wrong order of gates. Those of Keras
and TensorFlow 1 have constant weights and see only a wrong equation.
"""

import numpy as np
import pytest

import lstmgraph as lg

pytestmark = pytest.mark.usefixtures("in_numpy")


def array(text):
    """Return rows of numbers; rows end with a semicolon."""
    return np.array([[float(number) for number in row.split()] for row in text.split(";")])


def layers(names, W, R, b):
    """Return the parameters of layers that stand in this order in weights [n H, I] and [n H, H] and a bias [n H]."""
    params = {}
    for name, w_x, w_h, bias in zip(names.split(), *(np.split(a, len(names.split())) for a in (W, R, b)), strict=True):
        params |= {f"{name}.W_x": w_x.T, f"{name}.W_h": w_h.T, f"{name}.b": bias}
    return params


def gru_layers(W, R, b_x, b_h):
    """As `layers`, for a GRU that resets after the product: update, reset, candidate."""
    params = layers("update reset candidate", W, R, b_x + b_h)
    del params["candidate.b"]
    w_x, w_h = params.pop("candidate.W_x"), params.pop("candidate.W_h")
    last = slice(-w_h.shape[0], None)
    return params | {
        "candidate_x.W_x": w_x,
        "candidate_x.b": b_x[last],
        "candidate_h.W_h": w_h,
        "candidate_h.b": b_h[last],
    }


def run(cell, params, x, state=None, lengths=None, reverse=False):
    """Return y [T, B, H] and the final states, by the interpreter and by a program, which agree."""
    x = np.asarray(x, float)

    @lg.network
    def backwards(x):
        return lg.recur(cell, x, name="layer", reverse=True)

    traced = backwards if reverse else cell
    given = {f"layer.{name}": value for name, value in params.items()} if reverse else params
    start = {f"layer.{name}": value for name, value in (state or {}).items()} if reverse else state
    y, final = lg.interpret(traced, given, x, start, lengths=lengths)
    program = lg.compile(traced, input_size=x.shape[-1], hidden_size=y.shape[-1], dtype="float64")
    again, _ = program(given, x, start, lengths=lengths)
    np.testing.assert_allclose(again, y, rtol=1e-12, atol=1e-12)
    return y, {name.removeprefix("layer."): value for name, value in final.items()}


# ---- ONNX Runtime, onnxruntime/test/providers/cpu/rnn: deep_cpu_lstm_op_test.cc (LstmOpContext2x1x2x2),
# deep_cpu_gru_op_test.cc (DeepCpuGruOpTestContext, DefaultActivationsSimpleWeightsWithBias), rnn_op_test.cc

X = array("-0.455351 -0.276391; -0.185934 -0.269585")[:, None]  # T = 2, B = 1
LSTM_W = array(
    "-0.494659 0.0453352; -0.487793 0.417264; -0.0175329 0.489074; -0.446013 0.414029;"
    "-0.0091708 -0.255364; -0.106952 -0.266717; -0.0888852 -0.428709; -0.283349 0.208792"
)
LSTM_R = array(
    "0.146626 -0.0620289; -0.0815302 0.100482; -0.219535 -0.306635; -0.28515 -0.314112;"
    "-0.228172 0.405972; 0.31576 0.281487; -0.394864 0.42111; -0.386624 -0.390225"
)
LSTM_B = array("0.381619 0.0323954 -0.14449 0.420804 -0.258721 0.45056 -0.250755 0.0967895")[0]
LSTM = layers("input output forget candidate", LSTM_W, LSTM_R, LSTM_B)
PEEPHOLES = {"input.peephole": "0.2345 0.5235", "output.peephole": "0.4378 0.3475", "forget.peephole": "0.8927 0.3456"}
PEEPHOLE_LSTM = LSTM | {name: array(text)[0] for name, text in PEEPHOLES.items()}


@pytest.mark.parametrize(
    "reverse, y, c",
    [
        (False, "-0.0251062475 0.0561261699; -0.03277518 0.05935364", "-0.0780206 0.098829"),
        (True, "-0.03189282 0.07626793; -0.03068724 0.02803503", "-0.07536839 0.12079399"),
    ],
)
def test_peephole_lstm_of_onnx_runtime(reverse, y, c):
    got, final = run(lg.cells.peephole_lstm, PEEPHOLE_LSTM, X, reverse=reverse)
    np.testing.assert_allclose(got[:, 0], array(y), atol=1e-7)
    np.testing.assert_allclose(final["c"], array(c), atol=1e-7)


@pytest.mark.parametrize(
    "state, y, c",
    [
        ({"h": "0.34 0.72"}, "0.01797521 -0.07104912; -0.03174796 -0.0152949", "-0.07285583 -0.02545788"),
        (
            {"h": "0.34 0.72", "c": "0.63 0.21"},
            "0.12797015 0.0097284; 0.02716939 0.01842997",
            "0.06408449 0.03139432",
        ),
    ],
)
def test_lstm_of_onnx_runtime_from_a_state(state, y, c):
    got, final = run(lg.cells.lstm, LSTM, X, {name: array(text) for name, text in state.items()})
    np.testing.assert_allclose(got[:, 0], array(y), atol=1e-7)
    np.testing.assert_allclose(final["c"], array(c), atol=1e-7)


@pytest.mark.parametrize(
    "reverse, first, second",
    [
        (
            False,
            "0.0290728 0.01765226; 0 0; -0.15355367 0.04701351; -0.12951779 -0.00989562",
            "-0.02912546 0.04120104; 0 0; 0 0; -0.2216235 0.03132058",
        ),
        (
            True,
            "0.0184123 0.04093486; 0 0; -0.15355367 0.04701351; -0.17956293 0.01607513",
            # the first number is printed as -0.04350187, which belongs to that file's tests with tanh in the gates
            "-0.04356322 0.03531464; 0 0; 0 0; -0.17885581 0.01959856",
        ),
    ],
)
def test_lstm_of_onnx_runtime_with_lengths(reverse, first, second):
    x = [
        array("-0.455351 -0.776391; 0 0; 0.348763 0.678345; 0.877836 0.543859"),
        array("-0.185934 -0.169585; 0 0; 0.078053 0.163457; 0.846098 0.987531"),
    ]
    y, _ = run(lg.cells.lstm, LSTM, x, lengths=[2, 0, 1, 2], reverse=reverse)
    np.testing.assert_allclose(y, [array(first), array(second)], atol=1e-7)


@pytest.mark.parametrize(
    "h, y",
    [
        ("0 0", "-0.03255286 0.0774838; -0.05556786 0.0785508"),
        ("0.5 -0.5", "0.2366661 -0.1500429; 0.07378622 -0.02782359"),
    ],
)
def test_gru_that_resets_before_of_onnx_runtime(h, y):
    W = array("-0.494659 0.0453352; -0.487793 0.417264; -0.0091708 -0.255364; -0.106952 -0.266717;"
              "-0.0888852 -0.428709; -0.283349 0.208792")  # fmt: skip
    R = array("0.146626 -0.0620289; -0.0815302 0.100482; -0.228172 0.405972; 0.31576 0.281487;"
              "-0.394864 0.42111; -0.386624 -0.390225")  # fmt: skip
    b = array("0.381619 0.0323954 -0.258721 0.45056 -0.250755 0.0967895")[0]
    got, _ = run(lg.cells.gru_reset_before, layers("update reset candidate", W, R, b), X, {"h": array(h)})
    np.testing.assert_allclose(got[:, 0], array(y), atol=1e-7)


GRU_BEFORE = (
    "0.16783132 -0.11754231 0.11977843; 0.2046872 -0.10372487 0.15365849",
    "0.22688604 -0.19698407 0.14017843; 0.33386092 -0.15799662 0.2381169",
)
GRU_AFTER = (
    "0.15024948 -0.11097029 -0.02121867; 0.18887489 -0.09747667 0.02093463",
    "0.19538902 -0.19016478 -0.05644283; 0.30856851 -0.15190377 0.05999807",
)


@pytest.mark.parametrize("name, y", [("gru_reset_before", GRU_BEFORE), ("gru", GRU_AFTER)])
def test_grus_of_onnx_runtime_differ_by_the_bias_of_the_state(name, y):
    W, R = array("0.1 0.2 0.3 0.2 0.3 0.1 0.3 0.1 0.2").T, np.full((9, 3), 0.1)
    b_x = array("-0.01 0.1 0.01 -0.2 -0.02 0.02 0.3 -0.3 -0.3")[0]
    b_h = array("-0.03 0.5 -0.7 0.05 -0.7 0.3 0.07 -0.03 0.5")[0]
    after = name == "gru"
    params = gru_layers(W, R, b_x, b_h) if after else layers("update reset candidate", W, R, b_x + b_h)
    got, _ = run(lg.cells.catalogue[name], params, [array("-0.1; 0.2"), array("-0.3; 0.4")])
    np.testing.assert_allclose(got, [array(text) for text in y], atol=1e-7)


RNN = {
    False: (
        ("0.4317745 0.37378395; -1.0386457 -0.22681296; 0.4418987 0.49973935", "-0.44529742 0.80094892 -1.0028138"),
        "-0.24072374 -0.29326528 -0.91741192; 0.5447638 0.53938544 0.79502326; -0.59813821 0.020413321 -0.52225035",
        "-0.58767605 0.69586837 -0.48001164; 0.8678354 -0.94409049 0.8424542; 0.12221602 -0.31430662 -0.42285997;"
        "0.91737539 -0.92293501 0.78396499; 0.51060104 -0.95055139 -0.12672578",
        "-0.92063117 0.93283325 -0.93614483; 0.91569924 -0.96036619 0.89311725; -0.28076148 -0.04275616 -0.75480938",
    ),
    True: (
        ("0.47248289 -0.63369429; 0.89542073 0.69698066; 0.65118814 1.0828459", "0.57412368 0.13440208 -0.85748988"),
        "-0.4292987 -0.14766316 -0.91084105; 0.23699039 0.064034894 0.089069292; -0.12803128 -0.081178986 0.967533",
        "-0.71697658 0.99646497 0.9980582; -0.37213817 0.99391747 0.99555576; -0.62726945 0.988343 0.9956606;"
        "-0.87013513 0.99671143 0.9990834; -0.51847482 0.99931973 0.99655205",
        "0.1513377 0.90150106 0.74947751; -0.13006453 0.98576784 0.98875856; -0.84641802 0.98438591 0.96007115",
    ),
}


@pytest.mark.parametrize("reverse", [False, True])
def test_bidirectional_plain_network_of_onnx_runtime(reverse):
    (W, b), R, long, short = RNN[reverse]
    x = np.zeros((5, 2, 2))
    x[:, 0] = array("1.64644051 2.14556813; 1.80829012 1.63464952; 1.27096438 1.93768239; 1.31276166 2.67531896;"
                    "2.89098835 1.15032458")  # fmt: skip
    x[:3, 1] = array("1.30798471 0.0777787; 1.64898741 1.30596721; 1.26110339 0.99100447")
    state = {"h": np.full((2, 3), 1.2)}
    y, _ = run(lg.cells.rnn, layers("hidden", array(W), array(R), array(b)[0]), x, state, [5, 3], reverse)
    np.testing.assert_allclose(y[:, 0], array(long), atol=1e-6)
    np.testing.assert_allclose(y[:3, 1], array(short), atol=1e-6)
    assert not y[3:, 1].any()


# ---- TensorFlow Lite, tensorflow/lite/kernels/lstm_test.cc (NoCifgNoPeepholeNoProjectionNoClippingLstmTest)


def test_lstm_of_tensorflow_lite():
    W = array(
        "-0.45018822 -0.02338299; -0.0870589 -0.34550029; 0.04266912 -0.15680569; -0.34856534 0.43890524;"
        "-0.50013041 0.1370284; 0.11810488 0.2013163; -0.20583314 0.44344562; 0.22077113 -0.29909778;"
        "0.09701663 0.20334584; -0.50592935 -0.31343272; -0.40032279 0.44781327; 0.01387155 -0.35593212;"
        "-0.25065863 -0.28290087; 0.04613829 0.40525138; 0.44272184 0.03897077; -0.1556896 0.19487578"
    )
    R = array(
        "-0.0063535 -0.2042388 0.31454784 -0.35746509; 0.28902304 0.08183324 -0.16555229 0.02286911;"
        "-0.13566875 0.03034258 0.48091322 -0.12528998; 0.24077177 -0.51332325 -0.33502164 0.10629296;"
        "-0.3407414 0.24443203 -0.2078532 0.26320225; 0.05695659 -0.00123841 -0.4744786 -0.35869038;"
        "-0.06418842 -0.13502428 -0.501764 0.22830659; -0.46367589 0.26016325 -0.03894562 -0.16368064;"
        "-0.48684245 -0.06655136 0.42224967 0.2112639; 0.27654213 0.20864892 -0.07646349 0.45877004;"
        "0.00141793 -0.14609534 0.36447752 0.09196436; 0.28053468 0.01560611 -0.20127171 -0.01140004;"
        "0.43385774 -0.17194885 0.2718237 0.09215671; 0.24107647 -0.39835793 0.18212086 0.01301402;"
        "0.48572797 -0.50656658 0.20047462 -0.20607421; -0.51818722 -0.15390486 0.0468148 0.39922136"
    )
    b = np.repeat([0.0, 0.0, 1.0, 0.0], 4)
    y, _ = run(lg.cells.lstm, layers("input candidate forget output", W, R, b), array("2 3; 3 4; 1 1")[:, None])
    want = array(
        "-0.02973187 0.1229473 0.20885126 -0.15358765; -0.03716109 0.12507336 0.41193449 -0.20860538;"
        "-0.15053082 0.09120187 0.24278517 -0.12222792"
    )
    np.testing.assert_allclose(y[:, 0], want, atol=1e-7)


# ---- Keras 3, keras/src/layers/rnn: lstm_test.py and gru_test.py (test_correctness)


def constant(name, size_in, size, b):
    """Return parameters as Keras' tests have them: kernels 0.01, recurrent kernels 0.02."""
    parameters = lg.cells.catalogue[name].parameters
    kinds = {"W_x": np.full((size_in, size), 0.01), "W_h": np.full((size, size), 0.02), "b": np.full(size, b)}
    return {key: kinds[key.rpartition(".")[2]].copy() for key in parameters}


@pytest.mark.parametrize(
    "name, b, want",
    [
        ("gru", 0.03, (0.5217289, 0.6371659, 0.3938496)),
        ("gru", 0.0, (0.49988455, 0.64701194, 0.4103359)),
        ("gru_reset_before", 0.03, (0.51447755, 0.6426879, 0.40208298)),
        ("lstm", 0.03, (0.6288687, 0.86899155, 0.9460773)),
        ("lstm", 0.0, (0.54986924, 0.86226785, 0.9443936)),
    ],
)
def test_values_of_keras(name, b, want):
    params = constant(name, 4, 3, b)
    if name == "lstm" and b:
        params["forget.b"][:] = 1  # unit_forget_bias
    if name == "gru":  # Keras has two biases in the gates, too
        params["reset.b"] *= 2
        params["update.b"] *= 2
    x = np.arange(72.0).reshape(3, 6, 4).swapaxes(0, 1)
    y, _ = run(lg.cells.catalogue[name], params, x)
    np.testing.assert_allclose(y[-1], np.repeat(want, 3).reshape(3, 3), atol=1e-6)


# ---- TensorFlow 1, tensorflow/contrib/rnn/python/kernel_tests/rnn_cell_test.py; weights 0.5, states 0.1, one step


@pytest.mark.parametrize(
    "name, size, want",
    [
        ("nas", 6, {"y": (0.57675087, 0.6189357, 0.62739348), "c": (0.71579772, 0.78041625, 0.79457647)}),
        ("ugrnn", 2, {"y": (0.13752282, 0.10545051, 0.10074195)}),
        ("coupled_lstm", 2, {"y": (0.121753, 0.103349, 0.100178), "c": (0.137523, 0.10545, 0.100742)}),
    ],
)
def test_values_of_tensorflow_1(name, size, want):
    cell = lg.cells.catalogue[name]
    params = {key: np.full((4 if key.endswith("W_x") else size, size), 0.5) for key in cell.parameters}
    gate = {"ugrnn": "update.b", "coupled_lstm": "forget.b"}.get(name)  # 1 is added to what it sees
    params |= {key: np.full(size, float(key == gate)) for key in params if key.endswith(".b")}
    x = np.array([1.0, 2.0, 3.0])[None, :, None] * np.ones(4)
    y, final = run(cell, params, x, {state: np.full((3, size), 0.1) for state in cell.states})
    for key, numbers in want.items():
        got = y[0] if key == "y" else final[key]
        np.testing.assert_allclose(got, np.repeat(numbers, size).reshape(3, size), atol=1e-6)
