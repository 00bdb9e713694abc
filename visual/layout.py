"""Where everything stands: conveyors straight on top, layers in a row below, ops between them.

The order of the layers, from left to right, is the order in which their results reach the conveyors. Each
layer opens a column; an op stands in the column of its operand, or opens one where that column's way up is
taken. All numbers are grid units; the frame's lower left corner is (0, 0).
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from itertools import pairwise
from math import ceil

from lstmgraph.visual.bundles import enters, find_bundles, links
from lstmgraph.visual.columns import Columns, assign_columns, rearranged
from lstmgraph.visual.records import LAYERS, Box, Bundle, Placement, Point, Scene
from lstmgraph.visual.sizes import Size, entering, input_places, name_width, ports_of, size_of
from lstmgraph.visual.style import COLUMN, LABEL_FONT, LAYER_SIZE, ROW, UNIT

BUS = 3  # height of the line on which sources join, above the frame's lower side
BUS_STEP = 3  # distance of the lines of further bundles, and of further states without a conveyor
FIRST_INPUT = 3  # where the first input enters
MERGE_STEP = 3  # from one point where wires join to the next
LAYER_ROW = 8  # height of the layers
NAME_GAP, WIRE_GAP = 1.4, 2.0  # from a layer's name to the next layer, and for a wire between them
MARGIN = 6  # from the frame to the states' names

Sizes = Mapping[str, Size]


@dataclass(frozen=True)
class Choice:
    """What of a placement may be otherwise; empty is the usual one.

    Parameters
    ----------
    rows : mapping
        Op -> row, to stand elsewhere than in the row that the order of the column gives.
    columns : mapping
        Item -> column, numbers of the usual columns; one between two of them is a new one.
    layers, inputs, above, below : tuple of str
        Another order of the layers, of the inputs, of the conveyors, of the states without one.
    wider : frozenset of str
        Layers beside whose names a wire has room.
    shielded : frozenset of str
        Layers whose names no wire shall run through, whatever way it has to take.
    leftward : frozenset of str
        Layers whose names have room at the left.
    lifted : frozenset of str
        Outputs that stand straight above what they show.
    gap : int
        By how much the ops stand higher above the layers: wires have room there, above the layers' names.
    spread : int
        By how much rows and columns stand further apart.
    """

    rows: Mapping[str, float] = field(default_factory=dict)
    columns: Mapping[str, float] = field(default_factory=dict)
    layers: tuple[str, ...] = ()
    inputs: tuple[str, ...] = ()
    above: tuple[str, ...] = ()
    below: tuple[str, ...] = ()
    wider: frozenset[str] = frozenset()
    shielded: frozenset[str] = frozenset()
    leftward: frozenset[str] = frozenset()
    lifted: frozenset[str] = frozenset()
    gap: int = 0
    spread: int = 0


def place(scene: Scene, choice: Choice | None = None, columns: Columns | None = None) -> Placement:
    """Return the placement of a scene.

    Parameters
    ----------
    scene : Scene
        What is to be placed.
    choice : Choice, optional
        How, if not as usual.
    columns : Columns, optional
        The usual columns for the choice's order of layers, if they are known.
    """
    choice = choice or Choice()
    scene = _reordered(scene, choice)
    columns = rearranged(columns or assign_columns(scene, choice.layers), choice.columns)
    chosen = _rows(scene, columns, choice.rows)
    bundles = find_bundles(scene, columns.of)
    counts = {key: entering(key, scene, bundles) for key in scene.items}
    sizes = {key: size_of(item, counts[key]) for key, item in scene.items.items()}
    across, right = _column_places(scene, columns, sizes, bundles, choice)
    outputs = [key for key in scene.of_kind("output") if key not in choice.lifted]
    width = right + 6 + sum(_step(sizes[key]) for key in outputs[1:]) + (3 if outputs else 0)
    heights, height = _heights(scene, columns, chosen, len(bundles), choice)
    boxes = {
        key: Box(across[column], heights[key], *sizes[key], ports_of(scene.items[key], sizes[key], counts[key]))
        for key, column in columns.of.items()
    }
    boxes.update(_states_and_inputs(scene, sizes, heights, width))
    tops = _outputs(scene, sizes, columns, boxes, choice.lifted, (width, height))
    if choice.lifted and _overlap(tops.values()):
        return place(scene, replace(choice, lifted=frozenset()), columns)
    boxes.update(tops)
    return Placement(
        boxes=boxes,
        bundles=bundles,
        merges=_merge_points(scene, bundles, boxes),
        links=links(scene, bundles),
        rows=chosen,
        columns=columns.of,
        width=width,
        height=height,
    )


def _reordered(scene: Scene, choice: Choice) -> Scene:
    """Return a scene with inputs and states in the order chosen."""
    if choice.inputs:
        rest = {key: item for key, item in scene.items.items() if item.kind != "input"}
        scene = replace(scene, items={key: scene.items[key] for key in choice.inputs} | rest)
    if choice.below:
        states = {state.name: state for state in scene.states}
        above = tuple(state for state in scene.states if state.name not in choice.below)
        scene = replace(scene, states=(*above, *(states[name] for name in choice.below)))
    if choice.above:
        scene = replace(scene, conveyors={name: scene.conveyors[name] for name in choice.above})
    return scene


# ---- rows and heights


def _rows(scene: Scene, columns: Columns, wanted: Mapping[str, float]) -> dict[str, float]:
    """Return the row of each op between layers and conveyors: 0 is the upper one.

    A stack that begins below a conveyor and ends away from it flows downwards, any other upwards.
    """
    line = {key for path in scene.conveyors.values() for key in path}
    found: dict[str, float] = {}
    for stack in columns.stacks.values():
        from_above = any(source in line for source in scene.sources(stack[0]))
        to_above = any(target in line for target in scene.targets(stack[-1]))
        order = stack if from_above and not to_above else stack[::-1]
        found.update({key: float(place) for place, key in enumerate(order)})
    found.update({key: row for key, row in wanted.items() if key in found})
    return found


def _heights(
    scene: Scene, columns: Columns, rows: Mapping[str, float], bundles: int, choice: Choice
) -> tuple[dict[str, int], int]:
    """Return the height of each placed item and of each state's line, and the frame's height."""
    below = [state.name for state in scene.states if state.name not in scene.conveyors]
    step = ROW + choice.spread
    layer_row = LAYER_ROW + choice.spread if scene.of_kind(*LAYERS) else LAYER_ROW - ROW
    layer_row += BUS_STEP * (max(len(below) - 1, 0) + max(bundles - 1, 0))
    middle = max((row + 1 for row in rows.values()), default=0)
    lowest = layer_row + choice.gap * bool(rows)
    top = int(lowest + step * (middle + len(scene.conveyors))) + (0 if scene.conveyors else 2)
    found: dict[str, int] = {}
    for place, (state, path) in enumerate(scene.conveyors.items()):
        found.update(dict.fromkeys((*path, f"state {state}"), top - step * place))
    for place, state in enumerate(below):
        found[f"state {state}"] = _bus(len(below)) - BUS_STEP * place
    for key in columns.of:
        if key not in found:
            in_row = scene.items[key].kind in LAYERS
            found[key] = layer_row if in_row else int(lowest + step * (middle - rows.get(key, 0.0)))
    return found, top + 4


def _bus(states: int) -> int:
    """Return the height of the line on which sources join: that of the first of the states from below."""
    return BUS if states < 2 else BUS_STEP * (states - 1) + 1


# ---- columns and what joins between them


def _merge_points(scene: Scene, bundles: tuple[Bundle, ...], boxes: Mapping[str, Box]) -> dict[str, Point]:
    """Return the points where wires join: at the left, or for a bundle of inner values before its first layer."""
    bus = _bus(sum(state.name not in scene.conveyors for state in scene.states))
    found: dict[str, Point] = {}
    for place, bundle in enumerate(bundles):
        if enters(scene, bundle):
            for name, x in zip(bundle.merges, _first_merges(scene, bundle), strict=True):
                found[name] = (x, bus)
            continue
        x = min(boxes[layer].x for layer in bundle.layers) - 4
        for back, name in enumerate(reversed(bundle.merges)):
            found[name] = (x - MERGE_STEP * back, bus + BUS_STEP * place)
    return found


def _first_merges(scene: Scene, bundle: Bundle) -> list[int]:
    """Return where the first bundle's sources join: each input where it enters."""
    entries, found = input_places(scene, FIRST_INPUT), [0]
    for source in bundle.sources[1:]:
        found.append(max(entries.get(source, 0), found[-1] + MERGE_STEP))
    return found[1:]


def _column_places(
    scene: Scene, columns: Columns, sizes: Sizes, bundles: tuple[Bundle, ...], choice: Choice
) -> tuple[list[int], int]:
    """Return the x of each column, apart enough for boxes, labels and joining wires, and the last end."""
    count, spread = max(columns.count, 1), choice.spread
    half, label, joining = [0.0] * count, [0.0] * count, [0] * count
    for key, column in columns.of.items():
        half[column] = max(half[column], sizes[key][0])
        if scene.items[key].name is not None:
            room = name_width(scene.items[key].name, LABEL_FONT) / UNIT + NAME_GAP + WIRE_GAP * (key in choice.wider)
            label[column] = max(label[column], room)
    for key in choice.leftward:
        label[columns.of[key] - 1] += name_width(scene.items[key].name, LABEL_FONT) / UNIT
    for bundle in bundles:
        if enters(scene, bundle):
            continue
        joining[min(columns.of[layer] for layer in bundle.layers)] += MERGE_STEP * len(bundle.merges)
    last = [x for bundle in bundles if enters(scene, bundle) for x in _first_merges(scene, bundle)]
    left = max([FIRST_INPUT, *last, *input_places(scene, FIRST_INPUT).values()]) + 5
    places = [left + joining[0] + max(0, ceil(half[0] - LAYER_SIZE[0]))]
    for column in range(1, count):
        boxes = half[column - 1] + half[column] + 2.9 + spread
        step = max(COLUMN + spread, ceil(boxes), ceil(label[column - 1] + 2))
        places.append(places[-1] + step + joining[column])
    return places, places[-1] + max(0, ceil(half[-1] - LAYER_SIZE[0]), ceil(label[-1]) - 6)


# ---- terminals


def _step(size: Size) -> int:
    return 2 * ceil(size[0]) + 1


def _states_and_inputs(scene: Scene, sizes: Sizes, heights: Mapping[str, int], width: int) -> dict[str, Box]:
    """Return the boxes of states at the left and right, and of inputs below."""
    found: dict[str, Box] = {}
    for state in scene.states:
        y = heights[f"state {state.name}"]
        for key, x, sign in ((state.old, 0, -1), (state.new, width, 1)):
            away = MARGIN + max(0, ceil(sizes[key][0] - 2.5))
            found[key] = Box(x + sign * away, y, *sizes[key])
    for key, x in input_places(scene, FIRST_INPUT).items():
        found[key] = Box(x, -5, *sizes[key])
    return found


def _outputs(
    scene: Scene,
    sizes: Sizes,
    columns: Columns,
    boxes: Mapping[str, Box],
    lifted: Collection[str],
    frame: tuple[int, int],
) -> dict[str, Box]:
    """Return the boxes of outputs above the frame: at its right end, or straight above what they show."""
    (width, height), found = frame, dict[str, Box]()
    outputs = scene.of_kind("output")
    outputs.sort(key=lambda key: max((columns.of.get(s, -1) for s in scene.sources(key)), default=-1))
    aside = [key for key in outputs if key not in lifted]
    x = width - 4 + (sizes[aside[-1]][0] > 3 if aside else 0)
    for place, key in enumerate(reversed(aside)):
        if place:  # half of each and a unit between
            x -= ceil(sizes[aside[-place]][0]) + ceil(sizes[key][0]) + 1
        found[key] = Box(int(x), height + 5, *sizes[key])
    for key in lifted:
        found[key] = Box(boxes[scene.sources(key)[0]].x, height + 5, *sizes[key])
    return found


def _overlap(boxes: Iterable[Box]) -> bool:
    """Whether two of some boxes of one height stand closer than half a unit."""
    order = sorted(boxes, key=lambda box: box.x)
    return any(b.x - a.x < a.half_width + b.half_width + 0.5 for a, b in pairwise(order))
