"""The figure "core-idea": one state's line through the cell, the rest faded."""

from collections.abc import Iterable
from itertools import pairwise
from typing import Any

import networkx as nx

from lstmgraph.errors import DrawingError, nearest
from lstmgraph.visual.arranged import scene_of
from lstmgraph.visual.captioned import with_equations
from lstmgraph.visual.drawing import Drawing
from lstmgraph.visual.figure_cell import inside
from lstmgraph.visual.look import Look, Mark, listed, marks_of
from lstmgraph.visual.records import Pair, Scene, State
from lstmgraph.visual.themes import theme_named
from lstmgraph.visual.wording import called


def figure(
    cell: Any,
    *,
    state: str | None = None,
    theme: str = "classic",
    labels: str = "symbols",
    highlight: str | Iterable[str] | None = None,
    equations: bool | str = False,
) -> Drawing:
    """Draw the way of one state from its old to its next value, or whatever else is the idea.

    Parameters
    ----------
    cell : Cell
        Any cell with a state.
    state : str, optional
        Which state; by default the first that has a straight line, else the first one.
    theme : str
        The colours.
    labels : str
        "symbols" or "names".
    highlight : str or several, optional
        What is shown in place of a state's way, or beside it where `state` is given: a state, a gate, a layer or any
        node by name, with the wires to and from it.
    equations : bool or str
        Write the cell's equations, in the figure's names: True or "below", or "beside".
    """
    colours = theme_named(theme)
    scene = scene_of(cell, "core-idea", labels)
    marks: dict[str | Pair, Mark] = {}
    parts = []
    for name in listed(() if highlight is None else highlight):
        marks |= {what: "bold" if isinstance(what, tuple) else mark for what, mark in marks_of(scene, name).items()}
        parts.append(f"{name} with what it reads and feeds")
    if state is not None or highlight is None:
        chosen = _chosen(scene, state)
        path = _path(scene, chosen)
        marks |= dict.fromkeys(path, "lit")
        marks |= dict.fromkeys(pairwise(path), "bold")
        ops = ", ".join(scene.items[key].text for key in path[1:-1]) or "nothing"
        ends = called(scene.items[chosen.old]), called(scene.items[chosen.new])
        parts.insert(0, f"{ends[0]} becomes {ends[1]}, on its way there is {ops}")
    text = f"The core idea of {scene.name}: {'; '.join(parts)}. All else is faded."
    drawing = inside(scene, Look(colours, marks, "faded"), f"{scene.name}: the core idea", text)
    return with_equations(drawing, cell, scene, colours, equations)


def _chosen(scene: Scene, name: str | None) -> State:
    states = {state.name: state for state in scene.states}
    if not states:
        raise DrawingError(f"draw: {scene.name} has no state, expected one for figure 'core-idea'; take figure='cell'")
    if name is None:
        return states[next(iter(scene.conveyors), next(iter(states)))]
    if name not in states:
        raise DrawingError(
            f"draw: {scene.name} has no state {name!r}, expected one of {', '.join(states)}"
            f"{nearest(str(name), list(states))}"
        )
    return states[name]


def _path(scene: Scene, state: State) -> list[str]:
    """Return the items from a state's old to its new value: its line, else the shortest way."""
    if state.name in scene.conveyors:
        return [state.old, *scene.conveyors[state.name], state.new]
    graph = nx.DiGraph(scene.wires)
    if state.old in graph and nx.has_path(graph, state.old, state.new):
        return list(nx.shortest_path(graph, state.old, state.new))
    return [state.value, state.new]
