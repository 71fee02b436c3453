"""One way to compile a kernel, with a cache that notices edits.

Numba's ``cache=True`` looks only at the file of the decorated function: after an edit to a callee or a
constant in another file it silently runs the old machine code. So the cache folder is keyed on a hash of
every source file of the folders that hold kernels (``physics`` and ``envs/kernels``); for a kernel from
elsewhere also on one of the files beside it. Where no folder is writable the kernels are compiled uncached.
"""

from __future__ import annotations

import functools
import hashlib
import os
import stat
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NoReturn, TypeVar, cast

import llvmlite
import numba
import numba.extending

from . import inlining

F = TypeVar("F", bound=Callable[..., Any])

_DISABLED = bool(numba.config.DISABLE_JIT)
_COMPILER = None if _DISABLED else inlining.draft_compiler()
#: Helpers are never called from Python: doors for that, and polishing them one by one, would take more than
#: half of a cold first step.
_KERNEL, _LEAN, _HELPER = ({}, {}, {}) if _DISABLED else inlining.options(_COMPILER)

#: Settings of Numba that change machine code and that its own cache does not look at.
_SETTINGS = (
    "OPT", "BOUNDSCHECK", "LOOP_VECTORIZE", "SLP_VECTORIZE", "DISABLE_INTEL_SVML", "DEBUGINFO_DEFAULT",
    "EXTEND_VARIABLE_LIFETIMES", "ENABLE_PROFILING", "DEBUG_NRT", "LLVM_REFPRUNE_PASS", "LLVM_REFPRUNE_FLAGS",
)  # fmt: skip


#: Settings that say where Numba keeps machine code: a folder of the user's would not be keyed on our sources.
_PLACES = ("CACHE_DIR", "CACHE_LOCATOR_CLASSES")
_PACKAGE = Path(__file__).parents[2]
#: Where this package keeps kernels: an edit in any file below is noticed by all of them.
KERNEL_FOLDERS = (_PACKAGE / "physics", _PACKAGE / "envs" / "kernels")


class JitDisabledError(RuntimeError):
    """A kernel was called with Numba's compiler switched off."""

    def __init__(self) -> None:
        super().__init__(
            "NUMBA_DISABLE_JIT is set: power flow and devices are compiled kernels that work on vectors of "
            "the processor, which Python itself cannot run. Unset it"
        )


def source_hash(*folders: Path, pattern: str = "**/*.py") -> str:
    """SHA-256 (first 16 hex digits) of the Python sources under ``folders``, by name and content.

    And of what else decides on machine code: releases and settings of the compiler, how helpers are inlined.
    """
    settings = [(name, str(getattr(numba.config, name, None))) for name in _SETTINGS]
    releases = (numba.__version__, llvmlite.__version__, sys.implementation.cache_tag, sys.abiflags)
    digest = hashlib.sha256(repr((releases, settings, _COMPILER is None)).encode())
    for number, folder in enumerate(folders):
        for path in sorted(folder.glob(pattern)):
            content = path.read_bytes()
            digest.update(f"{number} {path.relative_to(folder).as_posix()} {len(content)}\n".encode())
            digest.update(content)
    return digest.hexdigest()[:16]


def _candidates() -> Iterator[Path]:
    """Folders to try, best first; the shared temporary one is touched only when its turn comes."""
    chosen = os.environ.get("DISTGRID_CACHE_DIR")
    if chosen:
        yield Path(chosen)
        return
    if os.environ.get("XDG_CACHE_HOME"):
        yield Path(os.environ["XDG_CACHE_HOME"]) / "distgrid"
    try:
        yield Path.home() / ".cache" / "distgrid"
    except RuntimeError:  # no home folder at all
        pass
    user = os.getuid() if hasattr(os, "getuid") else "user"
    try:
        shared = Path(tempfile.gettempdir()) / f"distgrid-{user}"
    except FileNotFoundError:  # no writable temporary folder either
        return
    if _private(shared):
        yield shared


def _writable(folder: Path) -> bool:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return True
    except OSError:
        return False


def _private(folder: Path) -> bool:
    """Whether ``folder`` is ours and closed to others: loading a cache runs what is in it."""
    if not hasattr(os, "getuid"):
        return True
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        status = folder.lstat()
    except OSError:
        return False
    return stat.S_ISDIR(status.st_mode) and status.st_uid == os.getuid() and not status.st_mode & 0o022


def cache_folder() -> Path | None:
    """Folder for compiled kernels of exactly these sources, or None where nothing is writable."""
    key = source_hash(*KERNEL_FOLDERS)
    for base in _candidates():
        folder = base / "kernels" / key
        if _writable(folder):
            return folder
    return None


_FOLDER = None if _DISABLED else cache_folder()


def _folder_of(function: Callable[..., Any]) -> Path | None:
    """Where the machine code of a function is kept; None where it cannot be."""
    file = Path(function.__code__.co_filename)
    if _FOLDER is None or not file.is_file():  # typed in, or made by a program
        return None
    if any(file.is_relative_to(folder) for folder in KERNEL_FOLDERS):
        return _FOLDER
    return _FOLDER / source_hash(file.parent, pattern="*.py")


def _refusing(function: F) -> F:
    """In the place of a kernel where there is no compiler."""

    @functools.wraps(function)
    def refuse(*_: object, **__: object) -> NoReturn:
        raise JitDisabledError

    return cast("F", refuse)


def _compiled(function: F, options: dict[str, Any]) -> F:
    if _DISABLED:
        return _refusing(function)
    folder = _folder_of(function)
    if folder is None:
        return numba.njit(**options)(function)
    before = {name: getattr(numba.config, name) for name in _PLACES if hasattr(numba.config, name)}
    try:
        for name in before:
            setattr(numba.config, name, "")
        numba.config.CACHE_DIR = str(folder)
        return numba.njit(cache=True, **options)(function)
    finally:
        for name, value in before.items():
            setattr(numba.config, name, value)


def kernel(function: F) -> F:
    """Compile ``function`` for nopython mode, releasing the GIL, with the keyed cache.

    Of functions outside this package that it calls, those in files beside its own are noticed when edited.
    Never ``fastmath`` (a row's bits would depend on its neighbours) and never ``parallel`` (OpenMP kills
    forked workers); threads split rows outside.
    """
    return _compiled(function, _KERNEL)


def lean_kernel(function: F) -> F:
    """As :func:`kernel` for a function that allocates nothing: its arrays are not reference-counted.

    Counting references at every use of a tuple of arrays costs many times the arithmetic of a node.
    """
    return _compiled(function, _LEAN)


def inline(function: F) -> F:
    """A helper that only other kernels call, inlined whatever its size. It allocates nothing."""
    if _DISABLED:
        return _refusing(function)
    return numba.extending.register_jitable(**_HELPER)(function)
