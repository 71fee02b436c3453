"""A new folder in the place of an old one, in one step.

Two renames leave a moment without either, and a process may end there. Linux and macOS can let two names
change places in one step; where a file system cannot, the second rename follows at once, and whatever stops
it puts the old folder back.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import sys
from functools import cache
from pathlib import Path
from typing import Any

_HERE = -100  # AT_FDCWD: names are relative to the working directory
_EXCHANGE = 2  # RENAME_EXCHANGE of Linux, RENAME_SWAP of macOS
_CANNOT = (errno.ENOSYS, errno.EINVAL, errno.ENOTSUP, errno.EPERM)


def put_in_place(new: Path, place: Path, aside: Path) -> None:
    """Move the folder `new` to `place`, which may be taken; what stood there is then under one of the others.

    Args:
        new: the folder to be moved, on the same file system.
        place: where to.
        aside: a free name, for what has to wait where two folders cannot change places in one step.

    Raises:
        OSError: it could not be done; `place` is as it was before.
    """
    for _ in range(100):
        if not place.exists():
            try:
                new.rename(place)
            except OSError as error:
                if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                    raise
                continue  # somebody has just made it
            return
        try:
            if not exchange(new, place):
                _by_turns(new, place, aside)
        except FileNotFoundError:
            if not new.exists():
                raise
            continue  # somebody has just removed it
        return
    raise OSError(errno.EBUSY, "something makes and removes it again and again", str(place))


def exchange(one: Path, other: Path) -> bool:
    """Let two names change places in one step; False where the system or the file system cannot.

    Raises:
        OSError: it is possible here, and failed.
    """
    call = _call()
    if call is None:
        return False
    names = os.fsencode(one), os.fsencode(other)
    if sys.platform == "darwin":
        failed = call(*names, _EXCHANGE)
    else:
        failed = call(_HERE, names[0], _HERE, names[1], _EXCHANGE)
    if not failed:
        return True
    number = ctypes.get_errno()
    if number in _CANNOT:
        return False
    raise OSError(number, os.strerror(number), str(other))


@cache
def _call() -> Any:
    """The function of the C library, None where it has none."""
    name = {"linux": "renameat2", "darwin": "renamex_np"}.get(sys.platform)
    if name is None:
        return None
    try:
        found = getattr(ctypes.CDLL(None, use_errno=True), name)
    except (OSError, AttributeError):
        return None
    text, number = ctypes.c_char_p, ctypes.c_uint
    linux = [ctypes.c_int, text, ctypes.c_int, text, number]
    found.argtypes = [text, text, number] if sys.platform == "darwin" else linux
    found.restype = ctypes.c_int
    return found


def _by_turns(new: Path, place: Path, aside: Path) -> None:
    try:
        place.rename(aside)
        new.rename(place)
    finally:  # Ctrl-C, no memory: whatever it is, the old folder comes back
        if aside.exists() and not place.exists():
            aside.rename(place)


def sync(path: Path) -> None:
    """Force a file, or the names in a folder, to the disk, where the system lets one."""
    if os.name != "posix":
        return
    with contextlib.suppress(OSError):  # some network drives have no such thing
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
