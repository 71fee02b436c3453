"""One process at a time in a folder, and who that is.

The lock is the operating system's, on the folder itself: it needs no permission to write, and it ends with
the process that holds it, however that ends. A small file beside it says who holds it; left behind by a
process that was killed, it means nothing. Where the system or the file system has no such locks (Windows,
some network drives), that file is the lock, and one whose process is no longer there is taken over.
"""

from __future__ import annotations

import contextlib
import datetime
import errno
import json
import os
import socket
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ...cases.storage.regular_files import read_regular
from ..errors import RunError, printable
from .files import TEMPORARY_SUFFIX

fcntl: Any
try:
    import fcntl
except ImportError:  # Windows
    fcntl = None

#: Named like what a killed run leaves half-written, as it is: the next run removes it.
OWNER_FILE = f".running{TEMPORARY_SUFFIX}"
_OWNER_BYTES = 1 << 16
#: Whoever only reads a finished run, or has not yet said who it is, is waited for so long.
PATIENCE_S = 10.0

_held: set[int] = set()


class FolderLock:
    """The right to work in an existing folder; `acquire` it, `release` it."""

    def __init__(self, folder: Path) -> None:
        """Nothing is touched yet."""
        self.folder = folder
        self.file = folder / OWNER_FILE
        self._descriptor: int | None = None
        self._signed = False

    def acquire(self) -> None:
        """Take the lock without writing anything. RunError, saying who runs there, where it is taken.

        FileNotFoundError: the folder is gone.
        """
        give_up = time.monotonic() + PATIENCE_S
        while not self._try():
            owner = None if _is_stale(self.folder) else _owner(self.folder)  # left by one that was killed
            if owner is not None or time.monotonic() > give_up:
                raise RunError(
                    f"{self.folder} is in use: {owner or 'another process'}; wait until it ends, or choose "
                    "another --out folder"
                )
            time.sleep(0.02)

    def sign(self, command: Sequence[str]) -> None:
        """Write down who holds the lock. RunError where the file is the lock and somebody else has it."""
        text = json.dumps(
            {
                "pid": os.getpid(), "host": socket.gethostname(), "born": _born(os.getpid()),
                "command": list(command),
                "since": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
            }
        )  # fmt: skip
        path = self.file
        if self._descriptor is not None or _is_stale(self.folder):
            path.unlink(missing_ok=True)
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
        except FileExistsError:
            raise RunError(
                f"{self.folder} is in use: {_owner(self.folder) or 'another process'}; wait until it ends, "
                f"or remove {path} if nothing runs there"
            ) from None
        self._signed = True
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)

    def unsign(self) -> None:
        """Take the name away again."""
        if self._signed:
            with contextlib.suppress(OSError):
                self.file.unlink(missing_ok=True)
        self._signed = False

    def release(self) -> None:
        """Give the lock back."""
        self.unsign()
        if self._descriptor is not None:
            _held.discard(self._descriptor)
            os.close(self._descriptor)
        self._descriptor = None

    def _try(self) -> bool:
        """Whether the lock is ours now."""
        if fcntl is None:
            return _is_stale(self.folder)
        descriptor = os.open(self.folder, os.O_RDONLY | getattr(os, "O_DIRECTORY", 0))
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            here = self.folder.stat()
        except OSError as error:
            os.close(descriptor)
            if error.errno in (errno.EWOULDBLOCK, errno.EACCES, errno.EAGAIN):
                return False
            if isinstance(error, FileNotFoundError):
                raise
            return _is_stale(self.folder)  # no locks here: the file has to do
        if not os.path.samestat(here, os.fstat(descriptor)):  # removed and made again in between
            os.close(descriptor)
            return False
        self._descriptor = descriptor
        _held.add(descriptor)
        return True


def _owner(folder: Path) -> str | None:
    """Who says that it runs in the folder, in words; None where nobody does."""
    try:
        owner = json.loads(read_regular(folder / OWNER_FILE, _OWNER_BYTES))
        who = f"process {int(owner['pid'])} on {owner['host']}"
        return printable(
            f"{who} has been running there since {owner['since']} ({' '.join(owner['command'])})"
        )
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _is_stale(folder: Path) -> bool:
    """Whether the file that says who runs there is missing, or of a process of this machine that is gone."""
    try:
        owner = json.loads(read_regular(folder / OWNER_FILE, _OWNER_BYTES))
        pid, born, host = int(owner["pid"]), owner["born"], owner["host"]
    except FileNotFoundError:
        return True
    except (OSError, ValueError, KeyError, TypeError):
        return False
    if host != socket.gethostname():
        return False
    return not _is_alive(pid) or (born is not None and born != _born(pid))


def _is_alive(pid: int) -> bool:
    if os.name != "posix":
        return True  # on Windows os.kill would end it
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        return True
    return True


def _born(pid: int) -> str | None:
    """When a process began, in the words of the system; None where it does not say. Numbers are reused."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    return text.rpartition(")")[2].split()[19]


def _forget() -> None:
    """A forked child has no part in the locks of its parent, and must not keep them when that ends."""
    for descriptor in _held:
        with contextlib.suppress(OSError):
            os.close(descriptor)
    _held.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
