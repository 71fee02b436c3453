"""What one core of this machine can do at most: measured bandwidth of memory and caches, measured flops."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any

import numba
import numpy as np

_CHAIN = 16  # multiply-adds on each number of the arithmetic loop
_USUAL_CACHE = 32 << 20
_TIMES_THE_CACHE = 4  # arrays that are this much larger than the last cache come from memory


@lru_cache(maxsize=1)
def _compiled() -> tuple[Any, Any]:
    def triad(a, b, c, s, repeats):  # type: ignore[no-untyped-def]
        for r in range(repeats):
            factor = s + r  # so that no round can be left out
            for k in range(a.size):
                a[k] = b[k] + factor * c[k]

    def chains(a, factor, term, repeats):  # type: ignore[no-untyped-def]
        for _ in range(repeats):
            for k in range(a.size):
                x = a[k]
                for _ in range(_CHAIN):
                    x = x * factor + term
                a[k] = x

    # "contract" alone makes multiply-adds one instruction, without which half the peak is out of reach.
    options = {"nogil": True, "error_model": "numpy", "fastmath": {"contract"}}
    return numba.njit(**options)(triad), numba.njit(**options)(chains)


def last_cache_bytes(folder: str = "/sys/devices/system/cpu/cpu0/cache") -> int:
    """Size of the largest cache of a core, where the system tells; else a usual one."""
    sizes = [0]
    for path in Path(folder).glob("index*/size"):
        text = path.read_text(encoding="ascii").strip()
        if text.endswith("K") and text[:-1].isdigit():
            sizes.append(int(text[:-1]) << 10)
    return max(sizes) or _USUAL_CACHE


def _best(call: Callable[[], object], rounds: int) -> float:
    """Processor seconds of the round that others disturbed least."""
    seconds = []
    for _ in range(rounds):
        start = time.process_time()
        call()
        seconds.append(time.process_time() - start)
    return min(seconds)


def bandwidth(total_bytes: int, *, seconds: float = 0.02, rounds: int = 7) -> float:
    """Bytes per second of ``a = b + s c`` on three arrays of ``total_bytes`` together, one thread.

    Counted as STREAM's triad counts: two numbers read and one written, 24 bytes, whatever the cache fetches
    besides.
    """
    n = max(64, total_bytes // 24)
    a, b, c = np.zeros(n), np.full(n, 1.0), np.full(n, 1e-3)
    triad = _compiled()[0]
    triad(a, b, c, 0.5, 1)
    once = max(_best(lambda: triad(a, b, c, 0.5, 8), 2) / 8.0, 1e-9)
    repeats = max(1, round(seconds / once))
    return 24.0 * n * repeats / _best(lambda: triad(a, b, c, 0.5, repeats), rounds)


def memory_bandwidth(*, quick: bool = False) -> float:
    """Bytes per second from arrays larger than the last cache."""
    size = (4 << 20) if quick else _TIMES_THE_CACHE * last_cache_bytes()
    return bandwidth(3 * size, rounds=2 if quick else 7)


def vector_peak(*, quick: bool = False) -> float:
    """Floating-point operations per second of one core: multiply-adds, two each, on numbers in registers."""
    a = np.linspace(0.0, 1.0, 1024)
    chains = _compiled()[1]
    chains(a, 0.5, 0.25, 1)
    repeats = 20 if quick else 4000
    return 2.0 * _CHAIN * a.size * repeats / _best(lambda: chains(a, 0.5, 0.25, repeats), 3 if quick else 15)
