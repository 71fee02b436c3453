"""A few threads that share pieces of work; compiled kernels release the interpreter meanwhile."""

from __future__ import annotations

import os
from collections.abc import Callable

from ...physics.numba_tools.threads import pool


def share(work: Callable[[int], None], pieces: int, threads: int) -> None:
    """Call ``work(0) ... work(pieces - 1)``, the caller's thread among those that do it.

    Whoever is free takes the next piece, so pieces must not depend on each other. The first error is raised
    after all have stopped.
    """
    left = iter(range(pieces))

    def take() -> None:
        for piece in left:
            work(piece)

    helpers = [pool("envs", os.cpu_count() or 1).submit(take) for _ in range(min(threads, pieces) - 1)]
    try:
        take()
    finally:
        for helper in helpers:
            if not helper.cancel():  # one that never began is not waited for
                helper.result()
