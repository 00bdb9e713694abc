"""What the command line draws: from a name and a kind of figure to a cell, a network, a program or a recording."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from lstmgraph.cli._find import find_cell
from lstmgraph.errors import DrawingError, nearest

PLAN_SIZE, FILM_SIZE, FILM_STEPS = 64, 12, 60
LOUD = 4  # times the usual size: an untrained cell's matrices, or its gates would hardly move
BOUNDED = ("σ", "tanh")  # what a layer's sign ends with whose values a film shows well
MOST = 6  # layers in one film


def figure_of(name: str | None) -> str | None:
    """Return the name of a figure kind, or raise a DrawingError before anything is compiled."""
    from lstmgraph.visual.drawing import figure_kinds

    if name is not None and name not in figure_kinds():
        kinds = list(figure_kinds())
        raise DrawingError(f"draw: unknown figure {name!r}, expected one of {', '.join(kinds)}{nearest(name, kinds)}")
    return name


def drawn(name: str | None, figure: str | None, size: int | None, steps: int | None) -> tuple[str, Any]:
    """Return what a file of it is called, and what is drawn.

    Parameters
    ----------
    name : str, optional
        A cell of the catalogue, ``module:name`` of a cell or network, or a run folder.
    figure : str, optional
        The kind of figure: a plan wants a program, a film a recording, the others the cell or network itself.
    size : int, optional
        Every size of a cell that is compiled for a plan or a film.
    steps : int, optional
        How many steps a film records.

    Raises
    ------
    LstmGraphError
        If there is nothing of that name, or it cannot be compiled at that size.
    """
    if name is None:
        return "legend", None
    if Path(name).is_dir():
        return _of_run(Path(name), figure, steps)
    thing = find_cell(name, networks=True)
    if figure == "plan":
        return thing.name, program_of(thing, size or PLAN_SIZE)
    if figure == "film":
        return thing.name, recording(program_of(thing, size or FILM_SIZE), steps or FILM_STEPS)
    return thing.name, thing


def program_of(traced: Any, size: int) -> Any:
    """Return a program in which every size that is left open is this one."""
    import lstmgraph as lg
    from lstmgraph.border import symbols_of

    spoken = {"I": "input_size", "H": "hidden_size"}
    sizes: dict[str, Any] = {spoken.get(symbol, symbol): size for symbol in symbols_of(traced)}
    return lg.compile(traced, **sizes)


def recording(program: Any, steps: int) -> dict[str, Any]:
    """Return what the gates of an untrained cell do that reads waves; its matrices are enlarged to show it."""
    import numpy as np

    from lstmgraph.visual.scene import has_recur

    traced = program.traced
    if has_recur(traced):
        raise DrawingError(
            f"draw: {traced.name} is a network, expected a cell or a run folder for figure 'film'; name a cell of it"
        )
    params = {
        name: value * value.dtype.type(LOUD if value.ndim > 1 else 1) for name, value in program.init(seed=1).items()
    }
    waves = {}
    for place, name in enumerate(traced.inputs):
        features = [program.sizes.get(dim, dim) for dim in traced.leaves[f"input:{name}"].shape[1:]]
        count = int(np.prod(features, dtype=int))
        phase = np.arange(steps)[:, None] / 4 + np.arange(count) + place
        waves[name] = np.sin(phase).reshape(steps, 1, *features).astype(program.dtype)
    x = waves if len(waves) > 1 else next(iter(waves.values()))
    return recorded(program, params, x, layers_of(traced))


def recorded(program: Any, params: Any, x: Any, names: Iterable[str]) -> dict[str, Any]:
    """Return what layers did, by name."""
    found: dict[str, Any] = program.record(params, x, list(names))
    return found


def layers_of(cell: Any) -> list[str]:
    """Return the layers of a cell whose values lie between −1 and 1, gates above all; any layers if there are none."""
    from lstmgraph.visual.scene import read_scene

    scene = read_scene(cell)
    known = cell.graph.graph["labels"]
    layers = {key: scene.items[key].text for key in scene.of_kind("layer") if key in known}
    bounded = [key for key, text in layers.items() if text.endswith(BOUNDED)]
    chosen = bounded or list(layers) or list(known)
    if not chosen:
        raise DrawingError(f"draw: {cell.name} has no layer with a name, expected one for figure 'film'; name one")
    return chosen[:MOST]


def _of_run(folder: Path, figure: str | None, steps: int | None) -> tuple[str, Any]:
    """Return what is drawn of a trained model: its network, its program, what its gates do, or its first cell."""
    from lstmgraph.graph import keys_of, node_of
    from lstmgraph.train import load
    from lstmgraph.train.characters import TextRecord
    from lstmgraph.train.text import Vocabulary, built_in_text, read_text

    model = load(folder)
    name = folder.resolve().name
    if figure in (None, "network", "graph"):
        return name, model.network
    if figure == "plan":
        return name, model.program()
    recurs = keys_of(model.network.graph, "recur")
    if not recurs:
        raise DrawingError(f"draw: the model in {folder} runs no cell, expected one for figure {figure!r}")
    recur = node_of(model.network.graph, recurs[0])
    cell = recur.attr("cell")
    if figure != "film":
        return name, cell
    record = TextRecord.load(folder)
    text = read_text(record.source) if record.source else built_in_text()
    tokens = Vocabulary(record.characters).encode(text[: steps or FILM_STEPS])
    params = {name: value for name, value in model.params.items() if name in model.network.parameters}
    names = [f"{recur.attr('name')}.{layer}" for layer in layers_of(cell)]
    return name, recorded(model.program(), params, tokens[:, None], names)
