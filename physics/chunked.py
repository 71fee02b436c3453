"""Batches larger than memory: a few thousand rows at a time, in memory that is used again."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, overload

import numpy as np

from .api import solve
from .balanced.network import Network
from .balanced.solution import Solution
from .unbalanced.network import Network3
from .unbalanced.solution import Solution3

_POWERS = (
    "p_mw", "q_mvar", "p_delta_mw", "q_delta_mvar", "p_inject_mw", "q_inject_mvar", "p_delta_inject_mw",
    "q_delta_inject_mvar", "v0",
)  # fmt: skip
_STATES = ("closed", "tap", "cap_on")


@overload
def solve_in_chunks(
    net: Network, p_mw: Any = None, q_mvar: Any = None, *, rows_per_chunk: int = 4096, **options: Any
) -> Iterator[tuple[slice, Solution]]: ...


@overload
def solve_in_chunks(
    net: Network3, p_mw: Any = None, q_mvar: Any = None, *, rows_per_chunk: int = 4096, **options: Any
) -> Iterator[tuple[slice, Solution3]]: ...


def solve_in_chunks(
    net: Any, p_mw: Any = None, q_mvar: Any = None, *, rows_per_chunk: int = 4096, **options: Any
) -> Iterator[tuple[slice, Any]]:
    """Solve a batch part by part: pairs of the rows solved, as a slice, and their solution.

    What the solutions hold is what one :func:`solve` of the whole batch holds, bit for bit. Only one chunk
    of rows is read and solved at a time, so that the batch may be larger than memory.

    The next chunk may overwrite a solution: copy out of it what you keep.

    Args:
        net: A compiled feeder.
        p_mw: As for :func:`solve`, with a batch axis. Arrays, or anything with a ``shape`` that gives rows
            when it is sliced: a ``numpy.memmap`` of a file, an HDF5 data set.
        q_mvar: With ``p_mw``.
        rows_per_chunk: Rows solved at once. A row takes some 16 bytes for each bus and branch, of a
            per-phase network 100 for each bus.
        **options: Of :func:`solve`, but ``out``. Those with a batch axis are sliced like the loads.

    Raises:
        ValueError: Nothing has a batch axis, arguments disagree on the number of rows, or :func:`solve`
            raises it.
    """
    if rows_per_chunk < 1:
        raise ValueError(f"rows_per_chunk must be at least 1, got {rows_per_chunk}")
    if "out" in options:
        raise ValueError("out is for solve: chunks have memory of their own")
    given = {"p_mw": p_mw, "q_mvar": q_mvar, **options}
    batched = {name for name, value in given.items() if len(np.shape(value)) in _batched_ranks(net, name)}
    sizes = {name: int(np.shape(given[name])[0]) for name in sorted(batched)}
    many = {name: size for name, size in sizes.items() if size != 1} or sizes  # one row serves all
    if len(set(many.values())) != 1:
        listed = ", ".join(f"{name} has {size}" for name, size in many.items()) or "none has a batch axis"
        raise ValueError(f"arguments must agree on the number of rows: {listed}")
    return _chunks(net, given, set(many), next(iter(many.values())), rows_per_chunk)


def _batched_ranks(net: Network | Network3, name: str) -> tuple[int, ...]:
    """Dimensions that an argument of :func:`solve` has where it is given row by row."""
    if name in _POWERS:
        return (3,) if isinstance(net, Network3) else (2,)
    if name == "v_source_pu":
        return (1, 2)
    return (2,) if name in _STATES else ()


def _chunks(
    net: Any, given: dict[str, Any], batched: set[str], rows: int, rows_per_chunk: int
) -> Iterator[tuple[slice, Any]]:
    memory: dict[str, Any] = {}
    for first in range(0, rows, rows_per_chunk):
        part = slice(first, min(rows, first + rows_per_chunk))
        if part.stop - part.start < rows_per_chunk:
            memory.clear()  # the last rows are fewer
        own = {name: value[part] if name in batched else value for name, value in given.items()}
        solution = solve(net, **own, **memory)
        memory["out"] = solution
        yield part, solution
