"""Load that is curtailed at a price, or shifted and returned before a window closes."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ...physics.numba_tools.flattened import flattened
from ...physics.numba_tools.jit import inline

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
#: So much of what can be returned later is taken at most: no rounding makes a return exceed its rating.
_SAFE = 1.0 - 1e-12


class Flexible(NamedTuple):
    """Ratings of flexible loads, (units,) each."""

    col_shift: Ints  # action columns, -1: cannot
    col_curtail: Ints
    shift_mw: Floats  # most that is taken away to be returned
    return_mw: Floats  # most that is returned
    curtail_mw: Floats
    share: Floats  # of the load present that may be taken away at all
    window: Ints  # intervals of a window
    rolling: NDArray[np.bool_]  # opens with the first energy taken, in place of windows from midnight on
    q_per_p: Floats
    shift_price: Floats  # of a MWh
    curtail_price: Floats


class FlexibleAccounts(NamedTuple):
    """What flexible loads write, (batch, units) each."""

    shifted_mwh: Floats
    owed_mwh: Floats
    load_curtailed_mw: Floats
    discomfort_cost: Floats
    curtailment_cost: Floats


@inline
def intervals_after(rolling, window, step, owed, left):  # type: ignore[no-untyped-def]
    """Intervals of the window that follow the present one, interval `step` of its day."""
    if rolling:
        return left - 1.0 if owed > 0.0 else window - 1.0
    return window - 1.0 - step % window


@flattened(flex=Flexible, accounts=FlexibleAccounts)
def flexible_advance(
    flex: Flexible,
    accounts: FlexibleAccounts,
    action: Floats,  # (batch, n_action)
    t_index: Ints,  # (batch,)
    load: Floats,  # (batch, units) MW present
    owed: Floats,  # (batch, units) MWh, in and out
    left: Floats,  # (batch, units) intervals left of the open window, in and out
    p: Floats,  # (batch, units) MW taken away (less what is returned), out
    q: Floats,  # (batch, units) MVAr, out
    per_day: int,
    dt_h: float,
) -> None:
    """One interval of every flexible load.

    Shift above 0 takes load away, below 0 returns what is owed. Never more is taken than the load present,
    nor than the intervals left of the window can return at `return_mw`; what those could no longer return is
    returned now, whatever was asked. Owed energy changes by what is taken less what is returned, and is 0
    when a window closes.
    """
    for b in range(action.shape[0]):
        step = t_index[b] % per_day
        for u in range(flex.share.shape[0]):
            present = flex.share[u] * max(load[b, u], 0.0)
            have, take, back = owed[b, u], 0.0, 0.0
            if flex.col_shift[u] >= 0:
                after = intervals_after(flex.rolling[u], flex.window[u], step, have, left[b, u])
                later = after * (flex.return_mw[u] * dt_h)
                a = min(max(action[b, flex.col_shift[u]], -1.0), 1.0)
                back = max(have - later, 0.0)
                if a > 0.0:
                    take = min(a * flex.shift_mw[u], present) * dt_h
                    take = min(take, max(later * _SAFE - have, 0.0))
                else:
                    back = min(max(-a * flex.return_mw[u] * dt_h, back), have)
                owed[b, u] = have + take - back
                left[b, u] = after if owed[b, u] > 0.0 else 0.0
            curtailed = 0.0
            if flex.col_curtail[u] >= 0:
                share = 0.5 * (min(max(action[b, flex.col_curtail[u]], -1.0), 1.0) + 1.0)
                curtailed = min(share * flex.curtail_mw[u], max(present - take / dt_h, 0.0))
            p[b, u] = (take - back) / dt_h + curtailed
            q[b, u] = p[b, u] * flex.q_per_p[u] + 0.0  # not -0.0
            accounts.shifted_mwh[b, u] = take
            accounts.owed_mwh[b, u] = owed[b, u]
            accounts.load_curtailed_mw[b, u] = curtailed
            accounts.discomfort_cost[b, u] = take * flex.shift_price[u]
            accounts.curtailment_cost[b, u] = curtailed * dt_h * flex.curtail_price[u]
