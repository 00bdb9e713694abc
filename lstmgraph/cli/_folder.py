"""The run folder of a training run: proved writable before training, and never written over."""

import contextlib
import os
import sys
from pathlib import Path
from typing import Any

from lstmgraph.errors import CheckpointError


class RunFolder:
    """A folder for one run; as a context it is removed again if nothing was written into it.

    Parameters
    ----------
    path : Path
        The folder; it is made if it is not there.
    resumed : bool
        Whether the model in it is trained further. Otherwise a folder that holds a model is an error.

    Raises
    ------
    CheckpointError
        If the folder cannot be written, or holds a model that would be lost.
    """

    def __init__(self, path: Path, *, resumed: bool) -> None:
        from lstmgraph.train import curve
        from lstmgraph.train.checkpoint import MODEL
        from lstmgraph.train.files import writable

        if not resumed and (path / MODEL).exists():
            raise CheckpointError(
                f"folder {path}: holds a model already; train it further with --resume, or name another folder"
            )
        self.path = path
        self._made = not path.exists()
        writable(path)
        self._earlier = curve.load(path) if resumed else []

    def __enter__(self) -> "RunFolder":
        return self

    def __exit__(self, kind: Any, *_: object) -> None:
        if kind is not None and self._made:
            from lstmgraph.train.characters import TEXT
            from lstmgraph.train.checkpoint import MODEL

            if not (self.path / MODEL).exists():
                with contextlib.suppress(OSError):
                    (self.path / TEXT).unlink(missing_ok=True)
                    self.path.rmdir()

    def describe(self, vocabulary: Any, source: Path | None, cell: str) -> None:
        """Write what sampling and resuming need to know of the text."""
        from lstmgraph.train.characters import TextRecord

        name = None if source is None else os.path.abspath(source)
        TextRecord(vocabulary.characters, name, cell).save(self.path)

    def draw_curve(self, history: Any, floors: dict[str, float]) -> None:
        """Write the loss curve, after that of earlier runs."""
        from lstmgraph.train import curve

        curve.save(self.path, curve.points(history, self._earlier), floors)

    def draw_cell(self, model: Any) -> None:
        """Write the figure of the model's first cell; if that fails, say so on stderr and go on."""
        from lstmgraph.graph import keys_of, node_of

        try:
            import lstmgraph as lg

            recur = keys_of(model.network.graph, "recur")[0]
            lg.draw(node_of(model.network.graph, recur).attr("cell")).save(self.path / "cell.svg")
        except Exception as error:  # the model is trained and saved: that is what counts
            print(
                f"lstmgraph: the cell's figure cannot be drawn: {' '.join(str(error).split())}",
                file=sys.stderr,
            )

    def write(self, name: str, text: str) -> None:
        """Write one more file."""
        from lstmgraph.train.files import write, writing

        with writing(self.path):
            write(self.path / name, text)
