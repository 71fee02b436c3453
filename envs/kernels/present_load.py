"""The load that stands where a unit is connected."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ...physics.numba_tools.jit import lean_kernel

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@lean_kernel
def present_load(
    load_p: Floats,  # (batch, loads) MW
    of_unit: Ints,  # (units + 1,) where the groups of each unit begin
    of_group: Ints,  # (groups + 1,) where the columns of each group begin
    column: Ints,  # columns of `load_p`
    out: Floats,  # (batch, units) MW
) -> None:
    """Sum over the groups of a unit of what all columns can lose alike: their number times the least of them.

    A unit on three phases takes as much from each: more than the least would turn a load into a source.
    """
    for b in range(out.shape[0]):
        for u in range(out.shape[1]):
            total = 0.0
            for g in range(of_unit[u], of_unit[u + 1]):
                least = np.inf
                for k in range(of_group[g], of_group[g + 1]):
                    least = min(least, load_p[b, column[k]])
                total += max(least, 0.0) * (of_group[g + 1] - of_group[g])
            out[b, u] = total
