"""A few threads that share pieces of work; compiled kernels release the interpreter meanwhile."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache


@lru_cache(maxsize=1)
def _pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(os.cpu_count() or 1, thread_name_prefix="distgrid-env")


if hasattr(os, "register_at_fork"):  # threads stay behind in the parent: a forked worker needs its own
    os.register_at_fork(after_in_child=_pool.cache_clear)


def share(work: Callable[[int], None], pieces: int, threads: int) -> None:
    """Call ``work(0) ... work(pieces - 1)``, the caller's thread among those that do it.

    Whoever is free takes the next piece, so pieces must not depend on each other. The first error is raised
    after all have stopped.
    """
    left = iter(range(pieces))

    def take() -> None:
        for piece in left:
            work(piece)

    helpers = [_pool().submit(take) for _ in range(min(threads, pieces) - 1)]
    try:
        take()
    finally:
        for helper in helpers:
            if not helper.cancel():  # one that never began is not waited for
                helper.result()
