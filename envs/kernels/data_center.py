"""Data centers: work that is done at once, work that may wait, and the power of servers and cooling."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ...physics.numba_tools.flattened import flattened
from ...physics.numba_tools.jit import inline, lean_kernel

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
#: The fit of `cooling`, and the temperatures (its own and a little beyond) that it is held at outside.
CONSTANT, LINEAR, SQUARE = 1.0743, 0.0041, 7.1705e-5
COLDEST_C, HOTTEST_C = -10.0, 45.0


class Servers(NamedTuple):
    """Ratings of data centers, (units,) each, and what comes on a day, (units, steps of a day)."""

    idle_mw: Floats  # of servers without work
    capacity_mw: Floats  # that work adds when all servers are busy
    pue: Floats  # NaN: by the outdoor temperature
    depth: Ints  # intervals within which work that waits must be done
    price: Floats  # of a MWh that is dropped
    interactive: Floats  # share of the capacity
    arriving_mwh: Floats  # in each interval


class WorkAccounts(NamedTuple):
    """What data centers write, (batch, units) each."""

    owed_mwh: Floats
    dropped_mwh: Floats
    dropped_cost: Floats


@inline
def _cooling(outdoor_c):  # type: ignore[no-untyped-def]
    """Power of servers and cooling over that of servers, with outside air where it is cold enough."""
    t = min(max(outdoor_c, COLDEST_C), HOTTEST_C)
    return CONSTANT + (LINEAR + SQUARE * t) * t


@lean_kernel
def cooling_rows(outdoor_c: Floats, out: Floats) -> None:
    """`out` (n,) for outdoor temperatures (n,), degC."""
    for k in range(out.size):
        out[k] = _cooling(outdoor_c[k])


@flattened(servers=Servers, accounts=WorkAccounts)
def data_center_advance(
    servers: Servers,
    accounts: WorkAccounts,
    action: Floats,  # (batch, units)
    t_index: Ints,  # (batch,)
    outdoor_c: Floats,  # (n_steps,) of the profiles; one value where nobody reads it
    queue: Floats,  # (batch, units, slots) MWh by the intervals left, in and out
    p: Floats,  # (batch, units) MW, out
    per_day: int,
    dt_h: float,
) -> None:
    """One interval of every data center: -1 works with all that interactive work leaves free, +1 rests.

    What waits the longest is done first. Work in slot `k` has this interval and `k` more; what is left in
    slot 0 is dropped. The queue changes by what arrives less what is done and dropped.
    """
    for b in range(action.shape[0]):
        step = t_index[b] % per_day
        for u in range(servers.depth.shape[0]):
            last = servers.depth[u] - 1
            queue[b, u, last] += servers.arriving_mwh[u, step]
            busy = servers.interactive[u, step]
            a = min(max(action[b, u], -1.0), 1.0)
            room = 0.5 * (1.0 - a) * (1.0 - busy) * servers.capacity_mw[u] * dt_h
            done = waiting = 0.0
            for k in range(last + 1):
                part = min(queue[b, u, k], room)
                queue[b, u, k] -= part
                room -= part
                done += part
            dropped = queue[b, u, 0]
            for k in range(last):
                queue[b, u, k] = queue[b, u, k + 1]
                waiting += queue[b, u, k]
            queue[b, u, last] = 0.0
            pue = servers.pue[u]
            if np.isnan(pue):
                pue = _cooling(outdoor_c[t_index[b] % outdoor_c.shape[0]])
            power = servers.idle_mw[u] + busy * servers.capacity_mw[u] + done / dt_h
            p[b, u] = -pue * power
            accounts.owed_mwh[b, u] = pue * waiting
            accounts.dropped_mwh[b, u] = dropped
            accounts.dropped_cost[b, u] = dropped * servers.price[u]


@lean_kernel
def queue_seen(
    queue: Floats,  # (batch, units, slots) MWh by the intervals left
    soon: Ints,  # (units,) slots that are due soon
    out: Floats,  # (batch, 2 units) MWh: all that waits, what is due soon
) -> None:
    """What waits, and what of it must be done soon."""
    units = soon.shape[0]
    for b in range(queue.shape[0]):
        for u in range(units):
            waiting = due = 0.0
            for k in range(queue.shape[2]):
                waiting += queue[b, u, k]
                due += queue[b, u, k] if k < soon[u] else 0.0
            out[b, u], out[b, units + u] = waiting, due
