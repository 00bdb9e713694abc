"""Compiles modules of kernels once: a memo in the process, and a folder per content hash on disk."""

import contextlib
import hashlib
import logging
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

from lstmgraph import settings
from lstmgraph.errors import CompileError
from lstmgraph.jit import loader, store


@dataclass(frozen=True, eq=False)
class Module:
    """Compiled kernels and helpers.

    Attributes
    ----------
    source : str
        The text they were made from.
    digest : str
        A hash of all that decides the machine code: text, processor, versions.
    functions : dict of str to callable
        The entries and helpers by name.
    """

    source: str
    digest: str
    functions: dict[str, Callable[..., Any]]


def announce(message: str) -> None:
    """Say that something compiles: on the logger "lstmgraph", or on a terminal where nobody listens to it."""
    logger = logging.getLogger("lstmgraph")
    logger.info(message)
    heard = logger.hasHandlers() and logger.isEnabledFor(logging.INFO)
    if not heard and sys.stderr is not None and sys.stderr.isatty():
        with contextlib.suppress(OSError):
            print(f"lstmgraph: {message}", file=sys.stderr, flush=True)


on_compile: Callable[[str], None] = announce  # called with one line before a cold compile; may be replaced

_lock = threading.RLock()  # Numba compiles one thing at a time anyway
_modules: "dict[_Request, Module]" = {}

if hasattr(os, "register_at_fork"):
    # a child must not begin with a lock, ours or Numba's, held by a thread that it does not have
    os.register_at_fork(before=_lock.acquire, after_in_parent=_lock.release, after_in_child=_lock.release)


def compile_module(
    source: str,
    entries: tuple[str, ...],
    *,
    dtype: str,
    width: int,
    uses: tuple[Module, ...] = (),
    title: str = "",
    compiled: bool = True,
    signature: str | None = None,
) -> Module:
    """Compile a module of kernels, or load it if it has been compiled before.

    Parameters
    ----------
    source : str
        Plain ``def`` statements. Their free names are ``np``, what ``vectors(dtype, width)`` holds and the
        functions of `uses`.
    entries : tuple of str
        The kernels, each called as ``entry(addresses, sizes, t0, t1, row0, row1, number)``: where the buffers'
        addresses and the sizes lie, the steps, the rows, the number of the slice. Other functions are helpers,
        compiled into the entries that call them.
    dtype, width : str, int
        The element type of a vector value and its number of elements.
    uses : tuple of Module
        Modules whose functions the source calls.
    title : str
        What the user is told to be compiling.
    compiled : bool
        If not, the functions are plain Python on the NumPy shim, and an entry takes a list of 1-D NumPy arrays in
        place of the addresses.
    signature : str, optional
        Numba's words for the arguments of entries that Python calls; without it they are C functions, called by
        their ``address``.

    Returns
    -------
    Module
        The same one for the same request.

    Raises
    ------
    CompileError
        If the source does not compile. A cache that is damaged, raced for or not writable raises nothing.
    """
    request = _Request(source, entries, dtype, width, uses, title or "kernels", compiled, signature)
    module = _modules.get(request)
    if module is not None:
        return module
    with _lock, _interrupt_waits():
        module = _modules.get(request)
        if module is None:
            digest = _digest(request)
            try:
                functions = _functions(request, digest)
            except CompileError:
                raise
            except Exception as error:
                raise CompileError(
                    f"{request.title}: the generated source does not compile; please report it: {error}"
                ) from error
            module = _modules[request] = Module(source, digest, functions)
    return module


def cache_report() -> store.CacheReport:
    """Say where the cache is, how many entries it holds and how many bytes they take."""
    return store.report(settings.cache_folder())


def cache_entries() -> list[store.Entry]:
    """Return what the cache holds."""
    return store.entries(settings.cache_folder())


def clear_cache() -> store.CacheReport:
    """Delete what the cache holds, and say how much it was; what a process has loaded stays loaded."""
    return store.clear(settings.cache_folder())


@contextlib.contextmanager
def _interrupt_waits() -> Iterator[None]:
    """Let Ctrl-C act at the end: LLVM calls Python back, and what is raised in there is printed and lost."""
    usual = signal.getsignal(signal.SIGINT)
    if not callable(usual) or threading.current_thread() is not threading.main_thread():
        yield
        return
    came: list[FrameType | None] = []
    signal.signal(signal.SIGINT, lambda _, frame: came.append(frame))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, usual)
        if came:
            usual(signal.SIGINT, came[0])


@dataclass(frozen=True)
class _Request:
    """What `compile_module` was asked for; a title makes no difference."""

    source: str
    entries: tuple[str, ...]
    dtype: str
    width: int
    uses: tuple[Module, ...]
    title: str = field(compare=False)
    compiled: bool
    signature: str | None


def _digest(request: _Request) -> str:
    used = [other.digest for other in request.uses]
    found = hashlib.sha256(
        repr(
            (request.source, request.entries, request.dtype, request.width, used, request.compiled, request.signature)
        ).encode()
    )
    if request.compiled:
        found.update(loader.environment())
    return found.hexdigest()[:32]


def _functions(request: _Request, digest: str) -> loader.Functions:
    """Return the functions of a module: plain, or from the disk if they are there, or compiled."""
    name, kind = loader.module_name(digest), {"dtype": request.dtype, "width": request.width}
    used = {loader.module_name(other.digest): other.functions for other in request.uses}
    if not request.compiled:
        return loader.plain(name, request.source, request.entries, used.values(), kind)
    text = loader.full_text(request.source, used, kind)
    if not request.entries:  # helpers are compiled with the entries that call them: there is nothing to keep
        return loader.define(name, f"<{name}>", text, ())[1]
    job = _Job(name, digest, text, request, settings.cache_folder())
    functions = _load(job) or _build(job)
    store.prune_once(job.folder)
    return functions


@dataclass(frozen=True)
class _Job:
    """What is to be loaded or compiled, and the cache folder."""

    name: str
    digest: str
    text: str
    request: _Request
    folder: Path

    def make(self, path: str, *, cached: bool) -> loader.Functions:
        """Compile the text as if it lay at `path`, or load what Numba keeps beside it."""
        entries = self.request.entries
        module, functions = loader.define(self.name, path, self.text, entries)
        loader.compile_entries(module, functions, entries, cached=cached, signature=self.request.signature)
        return functions


def _load(job: _Job) -> loader.Functions | None:
    """Return the functions of an entry on disk, None if there is none that is whole."""
    entry = store.find(job.folder, job.digest, job.text)
    if entry is None:
        return None
    try:
        with store.loadable(entry) as place:
            functions = job.make(str(place / store.TEXT), cached=True)
    except Exception:  # removed or replaced meanwhile, or Numba cannot read it: it is compiled again
        return None
    loader.move(functions, str(entry / store.TEXT), job.text)
    store.touch(entry)
    return functions


def _build(job: _Job) -> loader.Functions:
    """Compile, and keep the result on disk where that is possible."""
    from numba.core.errors import NumbaError

    place = store.begin(job.folder)
    if place is None:
        on_compile(f"compiling {job.request.title}; it cannot be cached, for {job.folder} cannot be written")
        return job.make(f"<{job.name}>", cached=False)
    functions = None
    try:
        on_compile(f"compiling {job.request.title}; it will be cached in {job.folder}")
        (place / store.TEXT).write_text(job.text, encoding="utf-8", newline="\n")
        functions = job.make(str(place / store.TEXT), cached=True)
        entry = store.publish(place, job.folder, job.digest, job.text, job.request.title)
        loader.move(functions, str(entry / store.TEXT), job.text)
    except (NumbaError, SyntaxError, CompileError):
        raise  # the source's fault
    except Exception:  # a full disk, say: the kernels are wanted all the same
        logging.getLogger("lstmgraph").info("%s: not cached", job.request.title, exc_info=True)
    finally:
        store.remove(place)
    return functions or job.make(f"<{job.name}>", cached=False)
