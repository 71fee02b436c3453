"""How much memory a call takes at most."""

from __future__ import annotations

import gc
import tracemalloc
from collections.abc import Callable
from typing import NamedTuple

import pyarrow as pa

# Buffers outlive calls (Arrow keeps some itself), and a pool must outlive its buffers.
_POOLS: list[pa.MemoryPool] = []


class Peak(NamedTuple):
    """Bytes at the highest point of a call, beyond what was there before."""

    python: int  # objects and NumPy arrays, as tracemalloc counts them
    arrow: int  # Arrow's buffers, which tracemalloc does not see; the tables of a feeder are among them

    @property
    def total(self) -> int:
        """An upper bound, as the two need not peak together."""
        return self.python + self.arrow


def peak_of(call: Callable[[], object]) -> Peak:
    """Run the call, drop its result, and say what it took."""
    gc.collect()
    usual = pa.default_memory_pool()
    _POOLS.append(pa.proxy_memory_pool(usual))
    pa.set_memory_pool(_POOLS[-1])
    tracemalloc.start()
    try:
        call()
        _, python = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
        pa.set_memory_pool(usual)
    return Peak(python, int(_POOLS[-1].max_memory() or 0))
