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
from lstmgraph.jit import loader, machine_code, store
from lstmgraph.jit.machine_code import Code


@dataclass(frozen=True, eq=False)
class Module:
    """Compiled kernels and helpers.

    Attributes
    ----------
    source : str
        The text they were made from.
    digest : str
        A hash of all that decides the machine code: text, processor, versions.
    functions : dict of str to callable or CFunction
        The entries by name; and the helpers, where they are plain Python.
    text : str
        The source below the lines that set up its names; empty for plain Python.
    uses : tuple of Module
        Modules whose functions the source calls.
    """

    source: str
    digest: str
    functions: dict[str, Any]
    text: str
    uses: "tuple[Module, ...]"


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
_held: list[Any] = []  # by a thread that forks: Numba's lock, if Numba is there
_modules: "dict[_Request, Module]" = {}


def _before_fork() -> None:
    """Wait for threads that compile, for us or others: a child must not begin with a lock that one of them holds."""
    _lock.acquire()
    numbas = getattr(sys.modules.get("numba.core.compiler_lock"), "global_compiler_lock", None)
    if numbas is not None:
        numbas.acquire()
        _held.append(numbas)


def _after_fork() -> None:
    while _held:
        _held.pop().release()
    _lock.release()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before_fork, after_in_parent=_after_fork, after_in_child=_after_fork)


def compile_module(
    source: str,
    entries: tuple[str, ...],
    *,
    dtype: str,
    width: int,
    uses: tuple[Module, ...] = (),
    title: str = "",
    compiled: bool = True,
    takes: str | None = None,
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
    takes : str, optional
        "array array number", say: the arguments of entries that Python calls, and which return a number. An array is
        a pointer to words that say what is known of it, as `lstmgraph.jit.native` names them. Without it entries are
        C functions, called by their ``address``.

    Returns
    -------
    Module
        The same one for the same request.

    Raises
    ------
    CompileError
        If the source does not compile. A cache that is damaged, raced for or not writable raises nothing.
    """
    request = _Request(source, entries, dtype, width, uses, title or "kernels", compiled, takes)
    module = _modules.get(request)
    if module is not None:
        return module
    with _lock, _interrupt_waits():
        module = _modules.get(request)
        if module is None:
            digest = _digest(request)
            text = _text(request)
            try:
                functions = _functions(request, digest, text)
            except CompileError:
                raise
            except Exception as error:
                raise CompileError(
                    f"{request.title}: the generated source does not compile; please report it: {error}"
                ) from error
            module = _modules[request] = Module(source, digest, functions, text, uses)
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
    takes: str | None

    @property
    def kind(self) -> dict[str, Any]:
        """The arguments of ``vectors``."""
        return {"dtype": self.dtype, "width": self.width}


def _digest(request: _Request) -> str:
    used = [other.digest for other in request.uses]
    found = hashlib.sha256(
        repr(
            (request.source, request.entries, request.dtype, request.width, used, request.compiled, request.takes)
        ).encode()
    )
    if request.compiled:
        found.update(loader.environment())
    return found.hexdigest()[:32]


def _text(request: _Request) -> str:
    """Return what Numba compiles, as a file that can be read on its own."""
    if not request.compiled:
        return ""
    used = {loader.module_name(other.digest): other.source for other in request.uses}
    return loader.full_text(request.source, used, request.kind)


def _functions(request: _Request, digest: str, text: str) -> dict[str, Any]:
    """Return the functions of a module: plain, or from the disk if they are there, or compiled."""
    if not request.compiled:
        used = [other.functions for other in request.uses]
        return loader.plain(loader.module_name(digest), request.source, request.entries, used, request.kind)
    if not request.entries:  # helpers are compiled with the entries that call them: there is nothing to keep
        return {}
    folder = settings.cache_folder()
    functions = _load(request, folder, digest, text) or _build(request, folder, digest, text)
    store.prune_once(folder)
    return functions


def _load(request: _Request, folder: Path, digest: str, text: str) -> dict[str, Any] | None:
    """Return the functions of an entry on disk, None if there is none that is whole."""
    found = store.find(folder, digest, text)
    if found is None:
        return None
    try:
        functions = _entered(request, found)
    except Exception:  # LLVM cannot read it: it is compiled again
        store.remove(folder / digest)
        return None
    store.touch(folder / digest)
    return functions


def _build(request: _Request, folder: Path, digest: str, text: str) -> dict[str, Any]:
    """Compile, and keep the result on disk where that is possible."""
    place, why = store.begin(folder), f"{folder} cannot be written"
    if place is not None and not loader.settings_hold():
        store.remove(place)
        place, why = None, "Numba's settings were changed in this process"
    kept = f"will be cached in {folder}" if place else f"cannot be cached, for {why}"
    on_compile(f"compiling {request.title}; it {kept}")
    try:
        _define(request.uses)
        found = loader.compiled(loader.module_name(digest), text, request.entries, request.takes)
        if place is not None:
            try:
                store.publish(place, folder, digest, text, request.title, found)
            except OSError:  # a full disk, say: the kernels are wanted all the same
                logging.getLogger("lstmgraph").info("%s: not cached", request.title, exc_info=True)
    finally:
        if place is not None:
            store.remove(place)
    return _entered(request, found)


def _define(modules: tuple[Module, ...]) -> None:
    for module in modules:
        _define(module.uses)
        loader.define(loader.module_name(module.digest), module.text, module.functions)


def _entered(request: _Request, found: dict[str, Code]) -> dict[str, Any]:
    """Return machine code as what is called."""
    if request.takes is None:
        return {name: machine_code.c_function(found[name]) for name in request.entries}
    return {name: machine_code.builtin(name, found[name]) for name in request.entries}
