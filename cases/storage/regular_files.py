"""Files of users, read so that none can stall the process or fill its memory."""

from __future__ import annotations

import errno
import os
import stat
from io import BufferedReader
from pathlib import Path

# A pipe without a writer would otherwise be waited for. Windows has neither these flags nor such pipes.
_AT_ONCE = getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)


def open_regular(path: Path, most_bytes: int | None = None) -> BufferedReader:
    """A regular file (or what a link to one leads to), open for reading.

    Args:
        path: the file.
        most_bytes: a larger one is refused.

    Raises:
        OSError: it cannot be read, is a pipe, a device or a folder, or is larger; `strerror` says so.
    """
    check_regular(path, path.stat(), most_bytes)  # before it is opened: opening a device may do something
    descriptor = os.open(path, os.O_RDONLY | _AT_ONCE)
    try:
        check_regular(path, os.fstat(descriptor), most_bytes)
    except OSError:
        os.close(descriptor)
        raise
    return os.fdopen(descriptor, "rb")


def read_regular(path: Path, most_bytes: int) -> bytes:
    """The bytes of a regular file; see `open_regular`."""
    with open_regular(path, most_bytes) as file:
        size = os.fstat(file.fileno()).st_size
        data = file.read(size + 1)
        if len(data) > size:  # it grew, or says that it is empty (as those of /proc do)
            data += file.read(most_bytes)
    if len(data) > most_bytes:
        raise _too_large(path, most_bytes)
    return data


def check_regular(path: Path, status: os.stat_result, most_bytes: int | None = None) -> None:
    """OSError unless the file is a regular one of at most `most_bytes`."""
    if stat.S_ISDIR(status.st_mode):
        raise IsADirectoryError(errno.EISDIR, "a folder, not a file", str(path))
    if not stat.S_ISREG(status.st_mode):
        raise OSError(errno.EINVAL, "not a regular file", str(path))
    if most_bytes is not None and status.st_size > most_bytes:
        raise _too_large(path, most_bytes)


def _too_large(path: Path, most_bytes: int) -> OSError:
    return OSError(errno.EFBIG, f"larger than the {most_bytes} bytes that are read", str(path))
