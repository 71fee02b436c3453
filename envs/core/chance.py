"""Draws for meters and forecasts: by counter, so that a number depends on its row, time and column alone."""

from __future__ import annotations

import zlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ..kernels.chance import draw_rows

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
KeyArray = NDArray[np.uint64]


def stream_of(name: str) -> int:
    """The number of a stream of draws: the same for a name in every process."""
    return zlib.crc32(name.encode())


def draws(keys: KeyArray, t_index: IntArray, stream: int, columns: IntArray) -> tuple[FloatArray, FloatArray]:
    """(rows, columns) of standard normal numbers, and as many independent ones in [0, 1)."""
    shape = (keys.size, columns.size)
    normal, uniform = np.empty(shape), np.empty(shape)
    draw_rows(keys, np.asarray(t_index, dtype=np.int64), stream, columns, normal, uniform)
    return normal, uniform


def drawn_keys(rngs: Sequence[np.random.Generator]) -> KeyArray:
    """(rows,) keys of episodes, one from each row's own generator."""
    return np.array([rng.integers(2**63) for rng in rngs], dtype=np.uint64)
