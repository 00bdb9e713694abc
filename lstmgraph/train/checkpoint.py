"""A model in a folder: arrays in safetensors, the rest in JSON; no save can lose the one before."""

import contextlib
import hashlib
import json
import re
from collections.abc import Callable, Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lstmgraph.errors import CheckpointError, LstmGraphError
from lstmgraph.train import optimizer as optimizers
from lstmgraph.train.feed import Place, Standing
from lstmgraph.train.files import write, writing
from lstmgraph.train.graph_json import from_json, to_json
from lstmgraph.train.losses import LOSSES, Loss
from lstmgraph.train.optimizer import Optimizer, Weights

if TYPE_CHECKING:
    from lstmgraph.train.model import Model

MODEL = "model.json"
_FORMAT = "lstmgraph model"
_VERSION = 1
_ARRAYS = re.compile(r"weights-[0-9a-f]{16}\.safetensors")


def save(model: "Model", folder: str | Path) -> None:
    """Write a model into a folder.

    The arrays go into a new file named by its content, then ``model.json``, which names that file, is
    replaced in one step, then the file it named before is removed: at each moment the folder holds a model.

    Raises
    ------
    CheckpointError
        If the folder cannot be written; what it held is untouched.
    """
    from safetensors.numpy import save as pack

    folder = Path(folder)
    standing = model.standing
    content = pack(_arrays(model, standing))
    record = _record(model, standing, content)
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        write(folder / record["arrays"]["file"], content)
        write(folder / MODEL, json.dumps(record, indent=1) + "\n")
    for path in folder.iterdir():
        if _ARRAYS.fullmatch(path.name) and path.name != record["arrays"]["file"]:
            with contextlib.suppress(OSError):
                path.unlink()


def _arrays(model: "Model", standing: Standing) -> dict[str, Any]:
    views = model.updater.layout.views
    found = {f"parameter/{name}": value for name, value in views(standing.weights.flat).items()}
    for moment, flat in zip(model.optimizer.moments, standing.weights.moments, strict=True):
        found |= {f"moment/{moment}/{name}": value for name, value in views(flat).items()}
    found |= {f"state/{name}": value for name, value in standing.place.state.items()}
    return {name: np.ascontiguousarray(value) for name, value in found.items()}


def _own_version() -> str:
    try:
        return version("lstmgraph")
    except PackageNotFoundError:  # a checkout that was not installed
        return "not installed"


def _record(model: "Model", standing: Standing, content: bytes) -> dict[str, Any]:
    digest = hashlib.sha256(content).hexdigest()
    known = LOSSES.get(model.loss.name) is model.loss
    place = standing.place
    return {
        "format": _FORMAT,
        "version": _VERSION,
        "lstmgraph": _own_version(),
        "arrays": {"file": f"weights-{digest[:16]}.safetensors", "sha256": digest},
        "step": standing.weights.step,
        "place": {"epoch": place.epoch, "index": place.index, "data": place.data},
        "seed": model.seed,
        "dtype": model.dtype,
        "sizes": model.sizes,
        "optimizer": model.optimizer.to_json(),
        "loss": {"name": model.loss.name, "graph": None if known else to_json(model.objective)},
        "network": to_json(model.network),
    }


def load(
    folder: str | Path,
    *,
    loss: Loss | Callable[..., Any] | None = None,
    optimizer: Optimizer | None = None,
    threads: int | None = None,
) -> "Model":
    """Return the model that `Model.save` wrote; training it goes on as if it had never stopped.

    Parameters
    ----------
    folder : str or Path
        The folder.
    loss : callable, optional
        Takes the place of the saved loss. One's own loss is saved as its graph and needs no help.
    optimizer : Optimizer, optional
        Takes the place of the saved one; the moments stay if it has those of the same names. Needed for an
        optimiser of one's own.
    threads : int, optional
        As in `lg.compile`.

    Raises
    ------
    CheckpointError
        If the folder holds no model, or a damaged one; the message names the folder and what is wrong.
    """
    folder = Path(folder)
    try:
        record = _read_record(folder)
        arrays = _read_arrays(folder, record["arrays"])
        return _build(record, arrays, loss, optimizer, threads)
    except CheckpointError as error:
        raise CheckpointError(f"folder {folder}: {error}") from error
    except LstmGraphError as error:
        raise CheckpointError(f"folder {folder}: {MODEL} does not make a model: {error}") from error
    except OSError as error:
        reason = (error.strerror or type(error).__name__).lower()
        raise CheckpointError(f"folder {folder}: cannot be read ({reason})") from error
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise CheckpointError(f"folder {folder}: {MODEL} is damaged ({type(error).__name__}: {error})") from error


def _read_record(folder: Path) -> Any:
    path = folder / MODEL
    if not folder.is_dir():
        raise CheckpointError("no such folder; expected one that model.save or `lstmgraph train` wrote")
    if not path.is_file():
        raise CheckpointError(f"holds no {MODEL}; expected a folder that model.save or `lstmgraph train` wrote")
    try:
        record = json.loads(path.read_bytes())
    except ValueError as error:
        raise CheckpointError(f"{MODEL} is damaged ({error})") from error
    if not isinstance(record, dict) or record.get("format") != _FORMAT:
        raise CheckpointError(f"{MODEL} is none of lstmgraph's")
    if record.get("version") != _VERSION:
        raise CheckpointError(
            f"{MODEL} has version {record.get('version')!r}, expected {_VERSION}; "
            f"use the lstmgraph that wrote it ({record.get('lstmgraph')})"
        )
    return record


def _read_arrays(folder: Path, entry: Mapping[str, Any]) -> Any:
    from safetensors import SafetensorError
    from safetensors.numpy import load as unpack

    name = entry["file"]
    if not _ARRAYS.fullmatch(name):  # never a path that leads elsewhere
        raise CheckpointError(f"{MODEL} names {name!r}, expected weights-<digits>.safetensors")
    if not (folder / name).is_file():
        raise CheckpointError(f"{name} is missing, which {MODEL} names")
    content = (folder / name).read_bytes()
    if hashlib.sha256(content).hexdigest() != entry["sha256"]:
        raise CheckpointError(f"{name} is damaged: its sha256 sum is not the one in {MODEL}")
    try:
        return unpack(content)
    except SafetensorError as error:
        raise CheckpointError(f"{name} is damaged ({error})") from error


def _build(record: Any, arrays: Any, loss: Any, optimizer: Optimizer | None, threads: int | None) -> "Model":
    from lstmgraph.train.model import Model

    network = from_json(record["network"])
    saved = record["loss"]
    if loss is None and saved["graph"] is not None:
        loss = Loss(saved["name"], _gone, graph=from_json(saved["graph"]))
    model = Model(
        network,
        loss if loss is not None else saved["name"],
        optimizer if optimizer is not None else optimizers.from_json(record["optimizer"]),
        seed=record["seed"],
        dtype=record["dtype"],
        threads=threads,
        **record["sizes"],
    )
    place = record["place"]
    state = {name: value for (kind, name), value in _sorted(arrays, "state").items() if kind == "state"}
    model.standing = Standing(
        _weights(model, arrays, int(record["step"])),
        Place(int(place["epoch"]), int(place["index"]), state, place["data"]),
    )
    return model


def _gone(prediction: Any, target: Any) -> Any:
    raise LstmGraphError("the loss was read from a checkpoint; its graph stands in for it")


def _sorted(arrays: Mapping[str, Any], kind: str) -> dict[tuple[str, str], Any]:
    """Return the arrays of a kind by (kind or moment, name)."""
    found = {}
    for key, value in arrays.items():
        head, _, name = key.partition("/")
        if head == kind:
            moment, _, inner = name.partition("/") if kind == "moment" else (kind, "", name)
            found[moment, inner] = value
    return found


def _weights(model: "Model", arrays: Mapping[str, Any], step: int) -> Weights:
    layout = model.updater.layout
    params = {name: value for (_, name), value in _sorted(arrays, "parameter").items()}
    _check(dict(layout.shapes), params, model.dtype)
    weights = model.updater.start(params)
    moments = _sorted(arrays, "moment")
    if {moment for moment, _ in moments} != set(model.optimizer.moments):
        return Weights(weights.flat, weights.moments, step)
    for moment, flat in zip(model.optimizer.moments, weights.moments, strict=True):
        values = {name: value for (owner, name), value in moments.items() if owner == moment}
        _check(dict(layout.shapes), values, model.dtype)
        layout.fill(flat, values)
    return Weights(weights.flat, weights.moments, step)


def _check(expected: Mapping[str, tuple[int, ...]], got: Mapping[str, Any], dtype: str) -> None:
    if set(expected) != set(got):
        wrong = sorted(set(expected) ^ set(got))[0]
        raise CheckpointError(f"array {wrong!r}: {'missing' if wrong in expected else 'unknown to the network'}")
    for name, shape in expected.items():
        if got[name].shape != shape or got[name].dtype != dtype:
            raise CheckpointError(
                f"array {name!r}: got {got[name].dtype} of shape {list(got[name].shape)}, "
                f"expected {dtype} of shape {list(shape)}"
            )
