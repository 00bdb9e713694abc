"""The cache folder: an entry per content hash, checked before use, moved in whole, pruned by age."""

import contextlib
import hashlib
import json
import os
import re
import shutil
import tempfile
import time
import uuid
from dataclasses import dataclass
from pathlib import Path

from lstmgraph.jit.machine_code import Code

TEXT = "kernels.py"  # for people
_CODE = ".o"
_MANIFEST = "manifest.json"  # its time of change says when the entry was last used
_ENTRY = re.compile(r"[0-9a-f]{32}")
_ASIDE = re.compile(r"\.lstmgraph-(building|discarded)-.*")
_LOOKED = ".lstmgraph-pruned"  # its time of change says when the folder was last looked through
_DAY = 24 * 3600.0
_KEEP_DAYS = 90

_looked_through: set[Path] = set()


@dataclass(frozen=True)
class CacheReport:
    """What the cache folder holds: its path, the number of entries, their bytes."""

    folder: Path
    entries: int
    bytes: int


@dataclass(frozen=True)
class Entry:
    """One entry of the cache: its folder, what was compiled, its bytes, and when it was last used, as a time."""

    path: Path
    title: str
    bytes: int
    used: float


def find(folder: Path, digest: str, text: str) -> dict[str, Code] | None:
    """Return the machine code of a digest by entry if every byte of it is as it was written, else None."""
    place = folder / digest
    try:
        if not _trusted(place):
            return None
        manifest = json.loads((place / _MANIFEST).read_bytes())
        if manifest["digest"] != digest or manifest["text"] != _sum(text.encode()):
            return None
        found = {
            name: Code(symbol, (place / f"{name}{_CODE}").read_bytes())
            for name, (symbol, _) in manifest["entries"].items()
        }
        # a flipped byte would run
        whole = all(_sum_of(code) == manifest["entries"][name][1] for name, code in found.items())
        return found if whole and _sum((place / TEXT).read_bytes()) == manifest["text"] else None
    except Exception:  # whatever is wrong with it, it is not ours to use
        return None


def touch(entry: Path) -> None:
    """Note that an entry is in use, at most once a day."""
    with contextlib.suppress(OSError):
        if time.time() - (entry / _MANIFEST).stat().st_mtime > _DAY:
            os.utime(entry / _MANIFEST)


def begin(folder: Path) -> Path | None:
    """Make a folder to build an entry in; None if nothing can be written there."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        return Path(tempfile.mkdtemp(prefix=".lstmgraph-building-", dir=folder))  # made with mode 0700
    except OSError:
        return None


def publish(place: Path, folder: Path, digest: str, text: str, title: str, entries: dict[str, Code]) -> None:
    """Fill a folder and move it to where an entry, or its equal, is looked for."""
    (place / TEXT).write_text(text, encoding="utf-8", newline="\n")
    for name, code in entries.items():
        (place / f"{name}{_CODE}").write_bytes(code.content)
    sums = {name: (code.symbol, _sum_of(code)) for name, code in entries.items()}
    manifest = {"digest": digest, "title": title, "text": _sum(text.encode()), "entries": sums}
    (place / _MANIFEST).write_text(json.dumps(manifest, indent=1))
    entry = folder / digest
    with contextlib.suppress(OSError):
        os.rename(place, entry)
        return
    if find(folder, digest, text) is None:  # else another process was first
        discarded = folder / f".lstmgraph-discarded-{uuid.uuid4().hex}"
        os.rename(entry, discarded)
        os.rename(place, entry)
        remove(discarded)


def remove(path: Path) -> None:
    """Delete a file or a folder, as far as that is possible."""
    with contextlib.suppress(OSError):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


def prune(folder: Path, *, now: float | None = None) -> int:
    """Delete entries not used for 90 days and what broken-off builds left; look at most once a day.

    Returns
    -------
    int
        How many folders were deleted.
    """
    now = time.time() if now is None else now
    stamp = folder / _LOOKED
    try:
        if 0 <= now - stamp.stat().st_mtime < _DAY:
            return 0
    except OSError:
        pass
    count = 0
    try:
        stamp.touch()
        os.utime(stamp, (now, now))
        found = list(folder.iterdir())
    except OSError:
        return 0
    for path in found:
        keep = _KEEP_DAYS * _DAY if _ENTRY.fullmatch(path.name) else _DAY
        if (_ENTRY.fullmatch(path.name) or _ASIDE.fullmatch(path.name)) and now - _last_used(path) > keep:
            remove(path)
            count += 1
    return count


def prune_once(folder: Path) -> None:
    """Prune a folder if this process has not looked at it yet."""
    if folder not in _looked_through:
        _looked_through.add(folder)
        prune(folder)


def report(folder: Path) -> CacheReport:
    """Count the entries of a folder and their bytes."""
    found = entries(folder)
    return CacheReport(folder, len(found), sum(entry.bytes for entry in found))


def entries(folder: Path) -> list[Entry]:
    """Return the entries of a folder, none if there is no such folder."""
    try:
        paths = sorted(path for path in folder.iterdir() if _is_entry(path))
    except OSError:
        return []
    return [Entry(path, _title(path), _bytes(path), _last_used(path)) for path in paths]


def clear(folder: Path) -> CacheReport:
    """Delete the entries of a folder, and nothing that is not ours; return what was deleted."""
    count = size = 0
    for entry in entries(folder):
        remove(entry.path)
        if not entry.path.exists():
            count += 1
            size += entry.bytes
    with contextlib.suppress(OSError):
        (folder / _LOOKED).unlink(missing_ok=True)  # so that what broken-off builds left is looked for again
    prune(folder)
    return CacheReport(folder, count, size)


def _is_entry(path: Path) -> bool:
    """Say whether a path is one of our entries: by its name, and by what it holds."""
    return bool(_ENTRY.fullmatch(path.name)) and any((path / name).exists() for name in (_MANIFEST, TEXT))


def _title(entry: Path) -> str:
    try:
        return str(json.loads((entry / _MANIFEST).read_bytes())["title"])
    except (OSError, ValueError, KeyError, TypeError):
        return "damaged"


def _bytes(entry: Path) -> int:
    size = 0
    for path in entry.rglob("*"):
        with contextlib.suppress(OSError):  # another process may delete it meanwhile
            size += path.stat().st_size if path.is_file() else 0
    return size


def _last_used(path: Path) -> float:
    for candidate in (path / _MANIFEST, path):
        with contextlib.suppress(OSError):
            return candidate.stat().st_mtime
    return 0.0


def _sum(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _sum_of(code: Code) -> str:
    return _sum(code.symbol.encode() + b"\0" + code.content)


def _trusted(entry: Path) -> bool:
    """Say whether only this user or the system's own can have written an entry: to load it is to run it."""
    if not hasattr(os, "geteuid"):
        return True
    found = entry.stat()
    return found.st_uid in (0, os.geteuid()) and not found.st_mode & 0o022
