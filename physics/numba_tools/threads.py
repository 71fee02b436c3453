"""A few threads for compiled kernels, which release the interpreter while they run."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from typing import TypeVar

from .lanes import LANES

ROWS_WORTH_A_THREAD = 256
T = TypeVar("T")


@lru_cache(maxsize=4)
def pool(purpose: str, workers: int) -> ThreadPoolExecutor:
    """The threads of this process for one purpose: what runs on some may wait for what runs on others."""
    return ThreadPoolExecutor(workers, thread_name_prefix=f"distgrid-{purpose}")


if hasattr(os, "register_at_fork"):  # threads stay behind in the parent: a forked worker needs its own
    os.register_at_fork(after_in_child=pool.cache_clear)


def split_rows(work: Callable[[int, int], T], batch: int, threads: int | None) -> list[T]:
    """Results of ``work(lo, hi)`` over all rows, split at borders of blocks where the batch is worth it."""
    workers = 1
    if batch >= 2 * ROWS_WORTH_A_THREAD:
        workers = min(threads or os.cpu_count() or 1, batch // ROWS_WORTH_A_THREAD)
    if workers <= 1:
        return [work(0, batch)]
    blocks = -(-batch // LANES)
    cuts = [min(batch, (blocks * i // workers) * LANES) for i in range(workers)] + [batch]
    jobs = [pool("rows", workers).submit(work, lo, hi) for lo, hi in itertools.pairwise(cuts)]
    return [job.result() for job in jobs]
