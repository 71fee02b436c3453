"""Random numbers by counter: each is a function of (key, time, column, stream) and of nothing else.

Philox4x32-10 (J. K. Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC11, 2011). There is no
state to keep or to restore, and a number does not depend on who else draws, in what order, or in what batch.
"""

from __future__ import annotations

import numpy as np

from ...physics.numba_tools.jit import inline, lean_kernel

_LOW = np.uint64(0xFFFFFFFF)
_HALF = np.uint64(32)
_M0, _M1 = np.uint64(0xD2511F53), np.uint64(0xCD9E8D57)
_W0, _W1 = np.uint64(0x9E3779B9), np.uint64(0xBB67AE85)


@inline
def _philox(c0, c1, c2, c3, k0, k1):  # type: ignore[no-untyped-def]
    """Four words of 32 bits in uint64 from a counter of four and a key of two."""
    for _ in range(10):
        p0, p1 = _M0 * c0, _M1 * c2
        c0, c1, c2, c3 = (p1 >> _HALF) ^ c1 ^ k0, p1 & _LOW, (p0 >> _HALF) ^ c3 ^ k1, p0 & _LOW
        k0, k1 = (k0 + _W0) & _LOW, (k1 + _W1) & _LOW
    return c0, c1, c2, c3


@inline
def normal_number(key, t_index, stream, column):  # type: ignore[no-untyped-def]
    """The standard normal number of `draw_rows` for one row, time, stream and column."""
    wide = np.uint64(key)
    a, b, _, _ = _philox(
        np.uint64(column) & _LOW, np.uint64(t_index) & _LOW, np.uint64(stream) & _LOW, np.uint64(0),
        wide & _LOW, wide >> _HALF,
    )  # fmt: skip
    radius = np.sqrt(-2.0 * np.log((np.float64(a) + 1.0) * 2.0**-32))
    return radius * np.cos(2.0 * np.pi * 2.0**-32 * np.float64(b))


@lean_kernel
def philox_words(counters, keys, out):  # type: ignore[no-untyped-def]
    """Words (n, 4) of counters (n, 4) and keys (n, 2), uint64 below 2^32: for tests against known ones."""
    for k in range(out.shape[0]):
        words = _philox(
            counters[k, 0], counters[k, 1], counters[k, 2], counters[k, 3], keys[k, 0], keys[k, 1]
        )
        out[k, 0], out[k, 1], out[k, 2], out[k, 3] = words


@lean_kernel
def draw_rows(keys, t_index, stream, columns, normal, uniform):  # type: ignore[no-untyped-def]
    """Fill ``normal`` and ``uniform`` (rows, columns): standard normal numbers, and numbers in [0, 1).

    ``keys`` (rows,) uint64, ``t_index`` (rows,) int64, ``columns`` (columns,) int64: numbers in the stream.
    """
    share = 2.0**-32
    for row in range(normal.shape[0]):
        key = np.uint64(keys[row])
        k0, k1 = key & _LOW, key >> _HALF
        now, kind = np.uint64(t_index[row]) & _LOW, np.uint64(stream) & _LOW
        for j in range(normal.shape[1]):
            a, b, c, _ = _philox(np.uint64(columns[j]) & _LOW, now, kind, np.uint64(0), k0, k1)
            radius = np.sqrt(-2.0 * np.log((np.float64(a) + 1.0) * share))
            normal[row, j] = radius * np.cos(2.0 * np.pi * share * np.float64(b))
            uniform[row, j] = np.float64(c) * share
