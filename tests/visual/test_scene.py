"""What a figure shows: layers, ops, names and wires, read from the graph of primitive ops."""

import lstmgraph as lg
from lstmgraph.visual.names import layer_names
from lstmgraph.visual.records import Name
from lstmgraph.visual.scene import read_scene


def texts(scene, kind):
    return sorted(scene.items[key].text for key in scene.of_kind(kind))


def test_the_lstm_has_four_layers_and_five_ops(odd):
    scene = read_scene(odd["lstm"])
    assert texts(scene, "layer") == ["tanh", "σ", "σ", "σ"]
    assert texts(scene, "op") == ["+", "tanh", "×", "×", "×"]
    assert scene.items["old:c"].name == Name("C", "t−1") and scene.items["new:h"].name == Name("h", "t")
    assert scene.items["output:y"].name == Name("h", "t")
    assert list(scene.conveyors) == ["c"]


def test_every_layer_reads_what_its_equation_reads(odd):
    scene = read_scene(odd["nested"])
    assert set(scene.sources("forget")) == {"old:h", "input:x"}
    kept, new = scene.sources("inner_forget")
    assert scene.sources(kept) == ["forget", "old:c"] and scene.sources(new) == ["input", "candidate"]


def test_one_minus_is_one_op_without_a_wire_for_the_one(odd):
    scene = read_scene(odd["janet"])
    (minus,) = [key for key in scene.of_kind("op") if scene.items[key].text == "1−"]
    assert scene.sources(minus) == ["forget"]


def test_parameters_and_expressions_of_them_are_no_wires():
    scene = read_scene(lg.cells.catalogue["antisymmetric"])
    ends = {end for wire in scene.wires for end in wire}
    assert ends <= set(scene.items) and not [end for end in ends if "parameter" in end or "transpose" in end]
    assert "×" not in texts(scene, "op") and texts(scene, "op").count("0.1×") == 2


def test_a_peephole_enters_the_layer_and_is_named_in_its_tooltip():
    scene = read_scene(lg.cells.catalogue["peephole_lstm"])
    assert set(scene.sources("forget")) == {"old:h", "input:x", "old:c"}
    assert set(scene.sources("output")) == {"old:h", "input:x", scene.conveyors["c"][-1]}
    assert "forget.peephole" in scene.items["forget"].tooltip


def test_a_layer_norm_is_one_word():
    scene = read_scene(lg.cells.catalogue["layer_norm_lstm"])
    assert texts(scene, "layer") == ["LN tanh", "LN σ", "LN σ", "LN σ"]
    assert texts(scene, "op") == ["+", "LN", "tanh", "×", "×", "×"]


def test_a_softmax_is_one_word(odd):
    scene = read_scene(odd["attentive"])
    assert texts(scene, "layer") == ["softmax"] and "softmax" in texts(scene, "op")


def test_a_softplus_and_the_logarithm_of_a_sigmoid_are_one_word():
    @lg.cell
    def soft(x, h):
        inner = lg.softplus(h) * x
        return -lg.softplus(-lg.linear(h, x, name="decay")) + inner

    scene = read_scene(soft)
    assert texts(scene, "layer") == ["log σ"] and texts(scene, "op") == ["+", "softplus", "×"]
    assert scene.sources("decay") == ["old:h", "input:x"]


def test_a_softplus_whose_inside_is_read_is_no_word():
    @lg.cell
    def open_soft(x, h):
        low = lg.exp(-lg.abs(h))
        return lg.maximum(h, 0.0) + lg.log(1.0 + low) + low * x

    assert "softplus" not in texts(read_scene(open_soft), "op")


def test_what_never_changes_is_written_short():
    @lg.cell
    def fixed(x, h):
        b, long = lg.parameter("b"), lg.parameter("a_very_long_name")
        return (1 - lg.sigmoid(b)) * h + lg.exp(-long) * x - lg.abs(lg.parameter("u")) * (x + h)

    assert {"(1−σ(b))×", "exp(−…)×", "|u|×"} <= set(texts(read_scene(fixed), "op"))


def test_a_tooltip_is_short():
    for cell in lg.cells.catalogue.values():
        for item in read_scene(cell).items.values():
            assert len(item.tooltip) < 260, item.tooltip
    assert "= LN of x_t" in read_scene(lg.cells.catalogue["layer_norm_gru"]).items["candidate_x_norm"].tooltip


def test_a_concatenation_is_the_bundle_of_its_parts(odd):
    scene = read_scene(odd["joined"])
    assert not [key for key in scene.items if "concat" in key]
    assert set(scene.sources("hidden")) == {"input:x", "old:h"}


def test_a_shared_sum_stays_visible():
    @lg.cell
    def shared(x, h):
        both = lg.linear(h, x, name="both")
        return lg.sigmoid(both) * lg.tanh(both)

    scene = read_scene(shared)
    assert texts(scene, "layer") == ["W"] and texts(scene, "op") == ["tanh", "×", "σ"]


def test_a_term_that_is_read_twice_stays_visible():
    @lg.cell
    def shared(x, h):
        memory = lg.linear(h, name="memory")
        return lg.sigmoid(memory + lg.linear(x, name="news")) * memory

    scene = read_scene(shared)
    assert texts(scene, "layer") == ["W", "W"] and texts(scene, "op") == ["+", "×", "σ"]


def test_a_sum_that_is_no_layer_stays_a_sum(odd):
    @lg.cell
    def residual(x, h):
        return lg.tanh(lg.linear(x, name="input") + h)

    assert texts(read_scene(residual), "op") == ["+", "tanh"]
    assert texts(read_scene(odd["independent"]), "op") == []


def test_states_that_pass_through_have_a_line_without_ops(odd):
    assert read_scene(odd["passed_through"]).conveyors["k"] == ()
    assert read_scene(odd["swapped"]).conveyors == {}


def test_one_value_may_be_several_states(odd):
    scene = read_scene(odd["one_value_three_states"])
    assert list(scene.conveyors) == ["a"]
    assert {state.value for state in scene.states} == {scene.conveyors["a"][-1]}


def test_what_nobody_reads_is_shown_without_a_wire(odd):
    assert read_scene(odd["unused_input"]).targets("input:u") == []
    assert read_scene(odd["unused_state"]).targets("old:k") == []


def test_an_adjoint_shows_cotangents_backwards_and_one_sum_a_layer(odd):
    scene = read_scene(lg.gradient(odd["lstm"]))
    assert scene.items["old:d_c"].name == Name("∂c", "t") and scene.items["new:d_c"].name == Name("∂c", "t−1")
    sums = {scene.items[key].text for key in scene.of_kind("sum")}
    assert sums == {"Σ ∂forget", "Σ ∂input", "Σ ∂candidate", "Σ ∂output"}
    assert "d_c" in scene.conveyors


def test_letters_are_taken_once():
    names = layer_names(["forget", "input", "inner", "head"], ["h", "x"], {})
    assert {label: name.base for label, name in names.items()} == {
        "forget": "f",
        "input": "input",
        "inner": "inner",
        "head": "head",
    }


def test_a_candidate_has_its_conveyors_letter():
    assert layer_names(["candidate"], ["h", "x"], {"candidate": "C"})["candidate"].base == "C\u0303"
    two = layer_names(["a.candidate", "b.candidate"], [], {"a.candidate": "C", "b.candidate": "C"})
    assert two["a.candidate"] == Name("C\u0303", "t", above="a") and two["b.candidate"].above == "b"


def test_names_of_several_words_are_written_as_in_equations():
    names = layer_names(["slow.forget", "step_z", "step_h", "d_forget", "d_output"], ["x", "h", "z"], {})
    assert names["slow.forget"] == Name("f", "t", above="slow") and names["step_z"] == Name("step", "t", "z")
    assert names["d_output"].base == "δo" and names["d_forget"].base == "δf"
    assert names["slow.forget"].plain == "f_t^{slow}" and names["step_z"].plain == "step_{z,t}"

    @lg.cell
    def several(c_below, rate, /, h_re, slow_h, c):
        return {"h_re": c_below * h_re, "slow_h": rate * slow_h, "c": 0.5 * c + h_re}

    names = {key: item.name.plain for key, item in read_scene(several).items.items() if item.name}
    assert names["input:c_below"] == "c_{below,t}" and names["input:rate"] == "rate_t"
    assert names["old:h_re"] == "h_{re,t−1}" and names["new:slow_h"] == "h_t^{slow}" and names["new:c"] == "C_t"
    names = {key: item.name.plain for key, item in read_scene(several, "names").items.items() if item.name}
    assert names["old:h_re"] == "h_re_t−1" and names["input:c_below"] == "c_below_t"


def test_what_a_delay_keeps_is_the_value_some_steps_ago():
    @lg.cell
    def delaying(x, h):
        return lg.tanh_layer(h, x, before=lg.delay(x), older=lg.delay(h, 2), name="hidden")

    scene = read_scene(delaying)
    plain = {state.name: [scene.items[key].name.plain for key in (state.old, state.new)] for state in scene.states}
    assert sorted(plain.values()) == [["h_t−1", "h_t"], ["h_t−2", "h_t−1"], ["h_t−3", "h_t−2"], ["x_t−1", "x_t"]]
    lags = {scene.items[state.old].name.plain: scene.items[state.old].name.lag for state in scene.states}
    assert lags == {"h_t−1": 0, "h_t−2": 1, "h_t−3": 2, "x_t−1": 0}


def test_a_parameter_that_is_a_greek_letter_is_written_as_one():
    @lg.cell
    def scaled(x, h):
        return lg.parameter("alpha") * h + lg.parameter("beta_x") * x

    assert texts(read_scene(scaled), "op") == ["+", "α×", "β_x×"]
    assert texts(read_scene(scaled, "names"), "op") == ["+", "alpha×", "beta_x×"]
