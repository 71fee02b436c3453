"""Generators that are started, run within ramps and limits, and stopped."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ...physics.numba_tools.flattened import flattened
from .circle import left_beside

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


class Generators(NamedTuple):
    """Ratings of generators, (units,) each."""

    col_p: Ints  # action columns
    col_q: Ints  # -1: no reactive control
    p_min: Floats  # MW
    p_max: Floats  # MW
    s_max: Floats  # MVA
    q_min: Floats  # MVAr
    q_max: Floats  # MVAr
    ramp: Floats  # MW per interval, inf: none
    min_up: Floats  # intervals
    min_down: Floats  # intervals
    longest: Floats  # intervals beyond which `since` counts no further
    cost_per_h: Floats
    cost_per_mwh: Floats
    cost_per_mw2h: Floats
    start_price: Floats


@flattened(gen=Generators)
def generator_advance(
    gen: Generators,
    action: Floats,  # (batch, n_action)
    on: Floats,  # (batch, units) 0 or 1, in and out
    since: Floats,  # (batch, units) intervals for which it has been so, in and out
    p: Floats,  # (batch, units) MW, in (previous interval) and out
    q: Floats,  # (batch, units) MVAr, out
    fuel: Floats,  # (batch, units) cost, out
    start: Floats,  # (batch, units) cost, out
    dt_h: float,
) -> None:
    """One interval of every generator: below 0 it is to be off, from 0 to 1 at `p_min` to `p_max`.

    It stays on until `min_up` intervals are over and its power is down to `p_min` (or to one ramp, where
    that is more), and off until `min_down` are over. Q is that of the action while it runs, cut to what P
    leaves of the circle.
    """
    for b in range(action.shape[0]):
        for u in range(gen.p_max.shape[0]):
            a = min(max(action[b, gen.col_p[u]], -1.0), 1.0)
            was_on = on[b, u] > 0.0
            held = since[b, u] < (gen.min_up[u] if was_on else gen.min_down[u])
            reach = min(max(gen.p_min[u], gen.ramp[u]), gen.p_max[u])  # most to start at, or to stop from
            before = max(p[b, u], gen.p_min[u])
            if was_on:
                runs = a >= 0.0 or held or before > reach
            else:
                runs = a >= 0.0 and not held
            power = ask = fuel[b, u] = start[b, u] = 0.0
            if runs:
                low, high = gen.p_min[u], reach
                if was_on:
                    low, high = max(low, before - gen.ramp[u]), min(gen.p_max[u], before + gen.ramp[u])
                else:
                    start[b, u] = gen.start_price[u]
                power = gen.p_min[u] + max(a, 0.0) * (gen.p_max[u] - gen.p_min[u])
                power = min(max(power, low), high)
                each = gen.cost_per_h[u] + (gen.cost_per_mwh[u] + gen.cost_per_mw2h[u] * power) * power
                fuel[b, u] = each * dt_h
                if gen.col_q[u] >= 0:
                    ask = min(max(action[b, gen.col_q[u]], -1.0), 1.0)
                    ask *= gen.q_max[u] if ask > 0.0 else -gen.q_min[u]
                    ask = left_beside(ask, power, gen.s_max[u])
            p[b, u], q[b, u] = power, ask
            since[b, u] = min(since[b, u] + 1.0, gen.longest[u]) if runs == was_on else 1.0
            on[b, u] = 1.0 if runs else 0.0
