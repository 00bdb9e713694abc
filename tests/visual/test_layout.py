"""Figures by their coordinates: straight conveyors, wires around boxes, few crossings; no engine is asked.

How often wires cross is held for each cell in ``tests/golden/crossings.txt``; LSTMGRAPH_GOLDEN=write renews it.
"""

import os
import re
from functools import cache
from itertools import combinations, pairwise
from pathlib import Path

import pytest
from random_cells import random_cell

import lstmgraph as lg
from lstmgraph.visual.arranged import fits
from lstmgraph.visual.beside import covered, name_sides
from lstmgraph.visual.dot import write_dot
from lstmgraph.visual.layout import place
from lstmgraph.visual.polish import arrange, crossings, quality
from lstmgraph.visual.records import LAYERS, Box, Item, Name, Placement, Scene, Spot
from lstmgraph.visual.routing import Budget, Router, route
from lstmgraph.visual.scene import read_scene
from lstmgraph.visual.strokes import strokes
from lstmgraph.visual.style import CORNER, UNIT

GOLDEN = Path(__file__).parents[1] / "golden" / "crossings.txt"
ADJOINTS = ("gru", "mgu", "rnn", "cornn")


@cache
def polished(cell):
    return arrange(read_scene(cell))


@cache
def unpolished(cell):
    return arrange(read_scene(cell), 0)


def assert_conveyors_are_straight(picture):
    boxes = picture.placement.boxes
    wires = {(wire.source, wire.target): wire for wire in picture.wires}
    for state in picture.scene.states:
        if state.name in picture.scene.conveyors:
            stops = (state.old, *picture.scene.conveyors[state.name], state.new)
            heights = {boxes[stop].y for stop in stops}
            heights |= {y for pair in pairwise(stops) for _, y in wires[pair].points}
            assert len(heights) == 1, f"{state.name} runs on {sorted(heights)}"


def assert_no_wire_runs_through_a_box(picture):
    passing = {}
    for wire in picture.wires:
        for point in wire.points if wire.routed else ():
            passing.setdefault(point, []).append(wire)
    for key, box in picture.placement.boxes.items():
        wide, high = int(box.half_width), int(box.half_height)
        for x in range(box.x - wide, box.x + wide + 1):
            for y in range(box.y - high, box.y + high + 1):
                foreign = [wire for wire in passing.get((x, y), ()) if key not in (wire.source, wire.target)]
                assert not foreign, f"{foreign} run through {key}"


def assert_wires_share_no_line(picture):
    ends = {(box.x, box.y) for box in picture.placement.boxes.values()}
    owners = {}
    for wire in picture.wires:
        for first, second in pairwise(wire.points) if wire.routed else ():
            if first not in ends and second not in ends:
                owners.setdefault(frozenset((first, second)), set()).add(wire.source)
    assert not [step for step, sources in owners.items() if len(sources) > 1]


def assert_boxes_stand_apart(picture):
    for (one, a), (other, b) in combinations(picture.placement.boxes.items(), 2):
        apart = abs(a.x - b.x) >= a.half_width + b.half_width or abs(a.y - b.y) >= a.half_height + b.half_height
        assert apart, f"{one} stands on {other}"


def assert_wires_are_orthogonal_and_whole(picture):
    placement = picture.placement
    places = {key: (box.x, box.y) for key, box in placement.boxes.items()} | placement.merges
    for wire in picture.wires:
        if wire.routed:
            assert all(abs(x1 - x0) + abs(y1 - y0) == 1 for (x0, y0), (x1, y1) in pairwise(wire.points))
            assert wire.points[0] == places[wire.source]
            end, goal = wire.points[-1], places[wire.target]
            box = placement.boxes.get(wire.target)
            ends = {goal} | {(goal[0] + port, goal[1] - 1) for port in (box.ports if box else ()) if port}
            assert end in ends


def assert_wires_enter_at_the_right_side(picture):
    directions = {"layer": ((0, 1), (1, 0), (-1, 0)), "new": ((1, 0),), "output": ((0, 1),)}
    for wire in picture.wires:
        item = picture.scene.items.get(wire.target)
        if wire.routed and item is not None and item.kind in directions:
            (x0, y0), (x1, y1) = wire.points[-2:]
            assert (x1 - x0, y1 - y0) in directions[item.kind], f"{wire.source} enters {wire.target}"


def assert_names_stand_apart(picture):
    """Of the names beside layers: from boxes, from each other and from all wires."""
    spots = dict(picture.placement.boxes)
    places = r'"(name of [^"]*)" .*?pos="([-\d.]+),([-\d.]+)!" width=([\d.]+) height=([\d.]+)'
    found = re.findall(places, write_dot(picture))
    for key, *numbers in found:
        x, y, width, height = map(float, numbers)
        spots[key] = Spot(x / UNIT, y / UNIT, width * 72 / UNIT / 2 - 0.3, height * 72 / UNIT / 2 - 0.3)
    names = [key for key in spots if key not in picture.placement.boxes]
    assert len(names) == sum(item.kind == "layer" and item.name is not None for item in picture.scene.items.values())
    for one in names:
        for other, b in spots.items():
            a, gap = spots[one], 0.4 * (other in names)  # so that two names do not read as one
            beside = abs(a.x - b.x) >= a.half_width + b.half_width + gap
            assert one == other or beside or abs(a.y - b.y) >= a.half_height + b.half_height, f"{one} stands on {other}"
        through = [wire for wire in picture.wires if any(lies_in(a, point) for point in wire.points)]
        assert not through, f"{through} run through {one}"


def lies_in(spot, point):
    """Whether a point lies in the text of a name, of which a little more than its letters is kept free."""
    return abs(spot.x - point[0]) < spot.half_width and abs(spot.y - point[1]) < spot.half_height


def assert_terminals_are_met_once(picture):
    """That outputs stand apart above the frame, inputs below it, and no wire leaves it elsewhere."""
    boxes, placement = picture.placement.boxes, picture.placement
    for key in picture.scene.of_kind("output"):
        assert 0 < boxes[key].x < placement.width and boxes[key].y > placement.height
    for wire in picture.wires:
        ends = {boxes[key].x for key in (wire.source, wire.target) if key in boxes}
        heights = {boxes[key].y for key in (wire.source, wire.target) if key in boxes}
        for x, y in wire.points if wire.routed else ():
            assert 0 < y < placement.height or x in ends
            assert 0 < x < placement.width or y in heights


def assert_good(picture):
    assert all(wire.routed for wire in picture.wires)
    assert_wires_enter_at_the_right_side(picture)
    assert_conveyors_are_straight(picture)
    assert_no_wire_runs_through_a_box(picture)
    assert_wires_share_no_line(picture)
    assert_boxes_stand_apart(picture)
    assert_names_stand_apart(picture)
    assert_terminals_are_met_once(picture)
    assert_wires_are_orthogonal_and_whole(picture)


def test_every_cell_is_drawn_without_a_fault(to_polish):
    if fits(read_scene(to_polish)):
        assert_good(polished(to_polish))


def test_all_but_the_largest_cells_are_drawn_on_lines():
    names = [name for name, cell in lg.cells.catalogue.items() if not fits(read_scene(cell))]
    assert names == ["hyper_lstm"]


@pytest.mark.parametrize("first", range(0, 200, 20))
def test_random_cells_are_drawn_without_a_fault(first):
    for seed in range(first, first + 20):
        assert_good(unpolished(random_cell(seed)))


@pytest.mark.parametrize("seed", range(4))
def test_random_cells_stay_without_a_fault_when_polished(seed):
    assert_good(polished(random_cell(seed)))


def test_crossings_stay_few():
    cells = {name: cell for name, cell in sorted(lg.cells.catalogue.items()) if fits(read_scene(cell))}
    counts = {name: crossings(polished(cell)) for name, cell in cells.items()}
    text = "".join(f"{name} {count}\n" for name, count in counts.items())
    if os.environ.get("LSTMGRAPH_GOLDEN") == "write":
        GOLDEN.write_text(text, encoding="utf-8")
    assert text == GOLDEN.read_text(encoding="utf-8")


def test_polishing_never_harms():
    for cell in list(lg.cells.catalogue.values())[::4]:
        if fits(read_scene(cell)):
            assert quality(polished(cell)) <= quality(unpolished(cell))


def test_the_lstm_is_the_known_figure(odd):
    picture = polished(odd["lstm"])
    boxes, scene = picture.placement.boxes, picture.scene
    layers = sorted(scene.of_kind("layer"), key=lambda key: boxes[key].x)
    assert layers == ["forget", "input", "candidate", "output"]
    assert [scene.items[key].text for key in layers] == ["σ", "σ", "tanh", "σ"]
    assert len({boxes[key].y for key in layers}) == 1
    times, plus = scene.conveyors["c"]
    assert (boxes[times].x, boxes[plus].x) == (boxes["forget"].x, boxes["candidate"].x)
    assert boxes["old:c"].y == boxes[times].y > boxes["forget"].y > boxes["old:h"].y > boxes["input:x"].y
    assert boxes["output:y"].y > boxes["old:c"].y
    (tanh,) = [key for key in scene.of_kind("op") if scene.items[key].text == "tanh"]
    (last,) = scene.targets(tanh)
    assert boxes[tanh].x == boxes[last].x and boxes[tanh].y > boxes[last].y > boxes["forget"].y


def test_layers_stand_in_one_row_below_the_ops(known):
    if not fits(read_scene(known)):
        return
    picture = polished(known)
    boxes = picture.placement.boxes
    rows = {boxes[key].y for key in picture.scene.of_kind(*LAYERS)}
    assert len(rows) <= 1
    assert all(boxes[op].y > max(rows, default=0) for op in picture.scene.of_kind("op"))


def test_conveyors_stand_on_top_in_declared_order(odd):
    picture = polished(odd["two_memories"])
    heights = [picture.placement.boxes[f"old:{state}"].y for state in ("s", "c", "h")]
    assert heights == sorted(heights, reverse=True) and len(set(heights)) == 3


def test_effort_is_bounded_and_what_is_left_is_straight(odd):
    scene = read_scene(odd["two_deep"])
    placement = place(scene)
    budget = Budget(500)
    wires = route(scene, placement, budget)
    assert budget.left <= 0 and len(wires) == len(placement.links)
    missing = [wire for wire in wires if not wire.routed]
    assert missing and all(len(wire.points) == 2 for wire in missing)


@pytest.mark.parametrize("name", ADJOINTS)
def test_adjoints_too(name):
    assert_good(unpolished(lg.gradient(lg.cells.catalogue[name])))


def test_names_give_way_to_wires_and_to_each_other():
    items = {key: Item(key, "layer", "layer", "σ", Name("memory", "t")) for key in ("one", "other")}
    scene = Scene("two", items, (), (), {})
    boxes = {"one": Box(20, 8, 2.5, 1.5), "other": Box(30, 8, 2.5, 1.5)}
    at_right = {(23, 10)}.__contains__
    assert name_sides(scene, boxes, lambda at: False) == {"one": 1, "other": 1}
    assert name_sides(scene, boxes, at_right) == {"one": -1, "other": 1}
    between = {(23, 10), (17, 10)}.__contains__
    assert covered(scene, boxes, between) == ["one"] and not covered(scene, boxes, at_right)


def test_a_name_in_a_wires_way_gets_room():
    """The unpolished picture of a random cell whose wires leave no room above its layers."""
    scene = read_scene(random_cell(21))
    placement = place(scene)
    router = Router(scene, placement, Budget())
    assert router.run() and router.covered()
    picture = unpolished(random_cell(21))
    taken = {point for wire in picture.wires for point in wire.points}
    assert not covered(scene, picture.placement.boxes, taken.__contains__)
    assert picture.placement.height > placement.height


def test_wires_that_join_a_bundle_reach_it(odd):
    picture = polished(odd["nested"])
    drawn = {(stroke.source, stroke.target): stroke for stroke in strokes(picture)}
    joining = 0
    for bundle in picture.placement.bundles:
        for merge, source in zip(bundle.merges, bundle.sources[1:], strict=True):
            x, y = picture.placement.merges[merge]
            ends = {drawn[source, layer].places[-1] for layer in bundle.layers}
            assert ends == {(x * UNIT + CORNER, y * UNIT)}
            joining += 1
    assert joining == 2


def test_an_output_stands_above_what_it_shows_where_that_is_shorter():
    boxes = polished(lg.cells.catalogue["rnn"]).placement.boxes
    assert boxes["output:y"].x == boxes["hidden"].x


def test_ops_of_one_conveyor_stand_behind_those_of_another_that_they_need():
    picture = polished(lg.cells.catalogue["slstm"])
    boxes, conveyors = picture.placement.boxes, picture.scene.conveyors
    assert min(boxes[key].x for state in "cn" for key in conveyors[state]) > boxes[conveyors["m"][-1]].x


def test_wires_give_way_and_rows_spread_until_all_find_one(odd):
    """An op between two others in a column that is too narrow for its wires."""
    scene = read_scene(lg.cells.catalogue["time_frequency_lstm"])
    placement = place(scene)
    assert not all(wire.routed for wire in route(scene, placement, Budget(60_000)))
    assert all(wire.routed for wire in arrange(scene, 0).wires)


def test_no_wire_enters_a_layer_from_above():
    items = {
        "above": Item("above", "op", "circle", "+"),
        "layer": Item("layer", "layer", "layer", "σ"),
    }
    wires = (("above", "layer"),)
    scene = Scene("two", items, wires, (), {})
    boxes = {"above": Box(12, 20, 1.45, 1.45), "layer": Box(12, 8, 2.5, 1.5, (0,))}
    placement = Placement(boxes, (), {}, wires, {}, {}, 24, 26)
    (wire,) = route(scene, placement)
    assert wire.routed and wire.points[-2] != (12, 9)
