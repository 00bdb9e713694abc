"""What the environment decides: the cache folder, whether to compile, the number of threads."""

import math
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from lstmgraph.errors import CompileError

_CGROUP_MEMBERSHIP = Path("/proc/self/cgroup")
_CGROUP_MOUNT = Path("/sys/fs/cgroup")


def cache_folder() -> Path:
    """Return the folder for compiled kernels; it need not exist.

    It is LSTMGRAPH_CACHE_DIR where that is set, else the folder ``lstmgraph`` in the user's cache folder:
    ``$XDG_CACHE_HOME`` or ``~/.cache`` on Linux, ``~/Library/Caches`` on macOS, ``%LOCALAPPDATA%`` on
    Windows.

    Returns
    -------
    pathlib.Path
        An absolute path.

    Raises
    ------
    CompileError
        If LSTMGRAPH_CACHE_DIR cannot be a path.

    Examples
    --------
    >>> cache_folder().is_absolute()
    True
    """
    named = os.environ.get("LSTMGRAPH_CACHE_DIR", "").strip()
    if not named:
        return _user_cache_folder() / "lstmgraph"
    try:
        return Path(named).expanduser().absolute()
    except RuntimeError as error:
        raise CompileError(
            f"LSTMGRAPH_CACHE_DIR: got {named!r}, expected the path of a folder; "
            "write the home folder out or unset the variable"
        ) from error


def _user_cache_folder() -> Path:
    try:
        if sys.platform == "win32":
            return Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
        if sys.platform == "darwin":
            return Path.home() / "Library" / "Caches"
        named = Path(os.environ.get("XDG_CACHE_HOME") or "")
        # the XDG base directory specification says to ignore a relative path
        return named if named.is_absolute() else Path.home() / ".cache"
    except RuntimeError:  # an account without a home folder
        user = os.getuid() if hasattr(os, "getuid") else "user"
        return Path(tempfile.gettempdir()).absolute() / f"cache-{user}"


def jit_enabled() -> bool:
    """Say whether kernels are compiled; if not, the same source runs as plain Python on NumPy, slowly.

    LSTMGRAPH_JIT=0 switches compiling off, and so does Numba's own NUMBA_DISABLE_JIT.

    Returns
    -------
    bool

    Raises
    ------
    CompileError
        If LSTMGRAPH_JIT is neither 0 nor 1.

    Examples
    --------
    >>> jit_enabled()
    True
    """
    value = os.environ.get("LSTMGRAPH_JIT", "").strip()
    if value not in ("", "0", "1"):
        raise CompileError(
            f"LSTMGRAPH_JIT: got {value!r}, expected 0 (run kernels as plain Python) or 1 (compile them); "
            "set it so or unset the variable"
        )
    return value != "0" and os.environ.get("NUMBA_DISABLE_JIT", "").strip() in ("", "0")


def thread_count(asked: int | None = None) -> int:
    """Return the number of threads to use.

    Parameters
    ----------
    asked : int, optional
        What the caller wants, which is taken as it is. Without it, the least of the processors this process
        may run on, its share of them in a container (rounded up), OMP_NUM_THREADS and LSTMGRAPH_THREADS.

    Returns
    -------
    int
        At least 1.

    Raises
    ------
    CompileError
        If `asked` or LSTMGRAPH_THREADS is not a whole number of at least 1.

    Examples
    --------
    >>> thread_count(3)
    3
    """
    if asked is not None:
        if isinstance(asked, bool) or not hasattr(asked, "__index__") or asked.__index__() < 1:
            raise CompileError(
                f"threads: got {asked!r}, expected a whole number of at least 1; "
                "leave it out for one thread a processor"
            )
        return asked.__index__()
    return max(1, min(thread_limits().values()))


def thread_limits() -> dict[str, int]:
    """Return what limits the number of threads where the caller does not say it, by its name.

    Raises
    ------
    CompileError
        If LSTMGRAPH_THREADS is not a whole number of at least 1.
    """
    limits = {"processors": _processors()}
    quotas = list(_quotas())
    if quotas:
        limits["container's share"] = min(quotas)
    named = os.environ.get("LSTMGRAPH_THREADS", "").strip()
    if named:
        limits["LSTMGRAPH_THREADS"] = _positive("LSTMGRAPH_THREADS", named)
    # a list such as "4,2" is legal there; what OpenMP would not understand is not ours to complain about
    first = os.environ.get("OMP_NUM_THREADS", "").split(",")[0].strip()
    if first.isdecimal() and int(first) > 0:
        limits["OMP_NUM_THREADS"] = int(first)
    return limits


def _positive(name: str, text: str) -> int:
    if text.isdecimal() and int(text) > 0:
        return int(text)
    raise CompileError(f"{name}: got {text!r}, expected a whole number of at least 1; set it so or unset the variable")


def _processors() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _quotas() -> Iterator[int]:
    """Yield the processors that each control group above this process may use, version 1 and 2."""
    for folder in _control_groups():
        try:
            if (folder / "cpu.max").is_file():
                quota, period = (folder / "cpu.max").read_text().split()
            else:
                quota = (folder / "cpu.cfs_quota_us").read_text()
                period = (folder / "cpu.cfs_period_us").read_text()
            if quota != "max" and int(quota) > 0 and int(period) > 0:
                yield math.ceil(int(quota) / int(period))
        except (OSError, ValueError):
            continue


def _control_groups() -> Iterator[Path]:
    """Yield the folders that may hold a quota for this process, from its own group up to the mount."""
    try:
        lines = _CGROUP_MEMBERSHIP.read_text().splitlines()
    except OSError:  # no Linux, or no /proc
        return
    for line in lines:
        number, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if number == "0" and not controllers:
            mounts = [_CGROUP_MOUNT]
        elif "cpu" in controllers.split(","):
            mounts = [_CGROUP_MOUNT / controllers, _CGROUP_MOUNT / "cpu"]
        else:
            continue
        for mount in mounts:
            group = mount / path.strip("/")
            # inside a container the path may be the host's; then only the mount itself exists
            yield from (folder for folder in (group, *group.parents) if folder.is_relative_to(mount))
