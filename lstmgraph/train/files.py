"""Files that are whole or not there: written aside, flushed to the disk, then put in place."""

import contextlib
import os
import uuid
from collections.abc import Iterator
from pathlib import Path

from lstmgraph.errors import CheckpointError


def write(path: Path, content: bytes | str) -> None:
    """Write a file so that, whatever happens, it has its old content or the new one.

    Raises
    ------
    OSError
        If it cannot be written; the old content is still there.
    """
    data = content.encode() if isinstance(content, str) else content
    aside = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    try:
        with open(aside, "xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(aside, path)
    except BaseException:
        with contextlib.suppress(OSError):
            aside.unlink(missing_ok=True)
        raise
    _flush_folder(path.parent)


def _flush_folder(folder: Path) -> None:
    """Make the names in a folder last; systems that cannot open a folder do without."""
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


@contextlib.contextmanager
def writing(folder: Path) -> Iterator[None]:
    """Turn what goes wrong while a folder is written into one error that names it.

    Raises
    ------
    CheckpointError
        For any OSError in the block.
    """
    try:
        yield
    except CheckpointError:
        raise
    except OSError as error:
        reason = (error.strerror or type(error).__name__).lower()
        raise CheckpointError(f"folder {folder}: cannot be written ({reason}); name another folder") from error


def writable(folder: Path) -> None:
    """Make a folder and prove that files can be written there.

    Raises
    ------
    CheckpointError
        If not.
    """
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / f".probe-{uuid.uuid4().hex}"
        probe.write_bytes(b"")
        probe.unlink()
