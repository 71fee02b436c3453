"""Load that no source reaches."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ...physics.numba_tools.jit import lean_kernel

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@lean_kernel
def unserved_rows(
    load_p: Floats,  # (batch, loads) MW
    inject_p: Floats,  # (batch, injections) MW, positive when injecting
    dead_load: Ints,  # columns of loads without voltage
    dead_port: Ints,  # columns of injections without voltage
    out: Floats,  # (batch,) MW, in and out
) -> None:
    """Add what loads and devices without voltage would take; what they would give helps nobody."""
    for b in range(out.size):
        total = out[b]
        for k in range(dead_load.size):
            total += max(load_p[b, dead_load[k]], 0.0)
        for k in range(dead_port.size):
            total += max(-inject_p[b, dead_port[k]], 0.0)
        out[b] = total
