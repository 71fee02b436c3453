"""Limits that the child sets itself before it runs a stranger's script."""

from __future__ import annotations

import ctypes
import os
import sys
from typing import Any

# Numbers of the Landlock calls of Linux, the same on all of its architectures, and of what they handle.
_CREATE, _ADD, _RESTRICT = 444, 445, 446
_READ_FILE, _READ_DIR = 1 << 2, 1 << 3
_BY_VERSION = {1: (1 << 13) - 1, 2: (1 << 14) - 1, 3: (1 << 15) - 1}
_PATH_BENEATH, _NO_NEW_PRIVILEGES, _QUERY_VERSION = 1, 38, 1


def limit_resources(memory_bytes: int, cpu_s: int) -> None:
    """No more memory and processor time than this, no files and no core; nothing on systems without them."""
    try:
        import resource
    except ImportError:  # pragma: no cover  (Windows: the parent's clock remains)
        return
    wanted = {
        resource.RLIMIT_AS: memory_bytes,
        resource.RLIMIT_CPU: cpu_s,
        resource.RLIMIT_FSIZE: 0,
        resource.RLIMIT_CORE: 0,
    }
    for kind, value in wanted.items():
        _, hard = resource.getrlimit(kind)
        value = value if hard == resource.RLIM_INFINITY else min(value, hard)
        try:
            resource.setrlimit(kind, (value, value))
        except (OSError, ValueError):  # pragma: no cover  (macOS refuses some)
            continue


class _Ruleset(ctypes.Structure):
    _fields_ = [("handled_access_fs", ctypes.c_uint64)]


class _PathBeneath(ctypes.Structure):
    _pack_ = 1
    _layout_ = "ms"
    _fields_ = [("allowed_access", ctypes.c_uint64), ("parent_fd", ctypes.c_int32)]


def only_read_below(folder: str) -> bool:
    """From now on this process reads files below a folder and opens no others; False where Linux cannot."""
    if not sys.platform.startswith("linux"):
        return False
    libc: Any = ctypes.CDLL(None, use_errno=True)
    version = libc.syscall(_CREATE, None, ctypes.c_size_t(0), ctypes.c_uint32(_QUERY_VERSION))
    if version < 1:
        return False
    handled = _Ruleset(_BY_VERSION[min(version, max(_BY_VERSION))])
    rules = libc.syscall(_CREATE, ctypes.byref(handled), ctypes.c_size_t(ctypes.sizeof(handled)), 0)
    if rules < 0:
        return False
    below = os.open(folder, os.O_RDONLY | getattr(os, "O_PATH", 0))
    rule = _PathBeneath(_READ_FILE | _READ_DIR, below)
    done = libc.syscall(_ADD, rules, _PATH_BENEATH, ctypes.byref(rule), 0) == 0
    done = done and libc.prctl(_NO_NEW_PRIVILEGES, 1, 0, 0, 0) == 0
    done = done and libc.syscall(_RESTRICT, rules, 0) == 0
    os.close(below)
    os.close(rules)
    return done
