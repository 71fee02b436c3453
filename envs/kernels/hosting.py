"""New DER that connects step by step, and the limits that it must keep: one call for all rows.

Rows never mix, so a row of a batch has the same bits as that row alone.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ...physics.numba_tools.jit import inline, lean_kernel

Floats = NDArray[np.float64]

#: What the power flow leaves undecided: no voltage (pu) or loading worsens by less.
NOISE = 1e-6


@lean_kernel
def connect_rows(
    action: Floats,  # (batch, units)
    step_mw: Floats,  # (units,) the most that one step connects
    asked: Floats,  # (batch, units) MW that have applied, all episode
    p: Floats,  # (batch, units) MW connected, in and out
    new: Floats,  # (batch, units) MW connected in this step, out
) -> None:
    """Connect a unit at one site: the first of those whose action is largest, and none where that is not
    above 0. Its size is the action times `step_mw`, no more than what still asks there.
    """
    for b in range(p.shape[0]):
        chosen, most = -1, 0.0
        for u in range(p.shape[1]):
            new[b, u] = 0.0
            if action[b, u] > most:
                chosen, most = u, action[b, u]
        if chosen < 0:
            continue
        want = min(most, 1.0) * step_mw[chosen]
        room = max(asked[b, chosen] - p[b, chosen], 0.0)
        if want >= room:
            new[b, chosen] = room
            p[b, chosen] = max(p[b, chosen], asked[b, chosen])
        else:
            new[b, chosen] = want
            p[b, chosen] = p[b, chosen] + want


@lean_kernel
def left_rows(asked: Floats, p: Floats, out: Floats) -> None:
    """`out` (batch, 2 * units): MW that still ask at each site, then MW that are connected."""
    n = p.shape[1]
    for b in range(p.shape[0]):
        for u in range(n):
            out[b, u] = max(asked[b, u] - p[b, u], 0.0)
            out[b, n + u] = p[b, u]


@inline
def _worsened(v, before, low, high, deviation):  # type: ignore[no-untyped-def]
    """Whether a voltage is beyond a limit, and farther than it was; NaN is not."""
    if v > high and v > before + NOISE:
        return True
    if v < low and v < before - NOISE:
        return True
    return abs(v - before) > deviation


@lean_kernel
def worsened_rows(
    v_pu: Floats,  # (batch, voltages)
    loading: Floats,  # (batch, branches)
    v_before: Floats,  # (batch, voltages) when the episode opened
    loading_before: Floats,  # (batch, branches)
    v_min: Floats,  # (voltages,)
    v_max: Floats,  # (voltages,)
    deviation: float,  # pu, either way
    most_loading: float,  # of the rating
    out: NDArray[np.bool_],  # (batch,)
) -> None:
    """Whether any limit is passed that was not, or is passed farther than when the episode opened."""
    for b in range(out.size):
        bad = False
        for k in range(v_min.size):
            bad |= _worsened(v_pu[b, k], v_before[b, k], v_min[k], v_max[k], deviation)
        for k in range(loading.shape[1]):
            here = loading[b, k]
            bad |= here > most_loading and here > loading_before[b, k] + NOISE
        out[b] = bad
