"""Device kernels: arrays in, arrays filled in place, one call for all rows and units of a kind.

Rows never mix, so a row of a batch has the same bits as that row alone. Powers in MW and MVAr, positive when
injecting; energies in MWh; actions in [-1, 1] and clamped, so that no action drives a device past its rating.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ...physics.numba_tools.flattened import flattened
from ...physics.numba_tools.jit import inline, lean_kernel

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


_GOLDEN = 0.6180339887498949  # days after each other draw evenly spread plans


@inline
def _session(first, number, at, start, stop, reach, per_day, draw, day, weekday, step):  # type: ignore[no-untyped-def]
    """The session that is on in interval `step` of `day`, and that interval counted from midnight of the day
    on which it began; or -1, 0.

    Of each day one of the `number` plans of its weekday from `first` on: the same for a draw and a day,
    whoever asks. Cars stay to the `reach`-th day after the one on which they came.
    """
    for _ in range(reach + 1):
        n = number[weekday]
        if n > 0:
            share = draw + _GOLDEN * day
            plan = first[weekday] + max(min(int((share - np.floor(share)) * n), n - 1), 0)
            for s in range(at[plan], at[plan + 1]):
                if start[s] <= step < stop[s]:
                    return s, step
        day, step = day - 1, step + per_day
        weekday = weekday - 1 if weekday > 0 else 6
    return -1, 0


@inline
def _needed(whole, stayed, fill, begun, need):  # type: ignore[no-untyped-def]
    """MWh that the car still needs: all on arrival, then what was left of it.

    A car that had come before the episode began has charged since then, as it does where nobody controls.
    """
    if stayed == 0:
        return whole
    return need if begun != 0.0 else max(whole - stayed * fill, 0.0)


@lean_kernel
def ev_observe(
    t_index: Ints,  # (batch,)
    per_day: int,  # intervals of a day
    first_weekday: int,  # of day 0, 0 is Monday
    reach: Ints,  # (units,) days after its arrival on which a car may still be there
    first: Ints,  # (units, 7) first plan of each weekday
    number: Ints,  # (units, 7) how many
    at: Ints,  # (n_plans + 1,) sessions of each plan
    start: Ints,  # (n_sessions,) first interval of its day in which the car is there
    stop: Ints,  # (n_sessions,) first interval in which it has left, counted from the same midnight
    ask: Floats,  # (n_sessions,) MWh
    asked: Floats,  # (units, 3) share of `ask` that a car needs; MWh that it needs for each interval of its
    # stay at most; MWh that it gains in one at full power
    dt_h: float,
    begun: Floats,  # (batch,) 0 until the first interval of the episode is over
    draw: Floats,  # (batch, units)
    need: Floats,  # (batch, units) MWh
    out: Floats,  # (batch, 3 units) plugged in (0, 1); MWh still needed; hours until departure
) -> None:
    """What is known when interval `t_index` is decided; zeros where no car is."""
    units = first.shape[0]
    for b in range(t_index.size):
        day, now = t_index[b] // per_day, t_index[b] % per_day
        weekday = (first_weekday + day) % 7
        for u in range(units):
            s, step = _session(
                first[u], number[u], at, start, stop, reach[u], per_day, draw[b, u], day, weekday, now
            )
            out[b, u] = out[b, units + u] = out[b, 2 * units + u] = 0.0
            if s >= 0:
                whole = min(ask[s] * asked[u, 0], asked[u, 1] * (stop[s] - start[s]))
                out[b, u] = 1.0
                out[b, units + u] = _needed(whole, step - start[s], asked[u, 2], begun[b], need[b, u])
                out[b, 2 * units + u] = (stop[s] - step) * dt_h


class Plans(NamedTuple):
    """Which cars may come: plans of a day, by unit and weekday. Shapes as in `ev_observe`."""

    first_weekday: int
    reach: Ints
    first: Ints
    number: Ints
    at: Ints
    start: Ints
    stop: Ints
    ask: Floats


class Chargers(NamedTuple):
    """Ratings of charging stations, (units,) each."""

    p_max: Floats  # MW of charging
    v2g_max: Floats  # MW of discharging
    eta_charge: Floats
    eta_discharge: Floats
    price: Floats  # cost of a MWh that a car leaves without
    wear_price: Floats  # cost of a MWh that a car gives back


class ChargerAccounts(NamedTuple):
    """What charging stations write, (batch, units) each."""

    undelivered_mwh: Floats  # missing in the car that left at the end of the interval
    throughput_mwh: Floats  # from cars into the grid
    undelivered_cost: Floats
    owed_mwh: Floats  # that cars there are still to draw
    wear_cost: Floats


@flattened(plans=Plans, chargers=Chargers, accounts=ChargerAccounts)
def ev_advance(plans, chargers, accounts, action, t_index, per_day, asked, dt_h, begun, draw, need, p):  # type: ignore[no-untyped-def]
    """One interval of every charging station: -1 charges at `p_max`, +1 discharges at `v2g_max`.

    A car takes no more than it needs and gives back no more than it has taken since it came. Its need
    changes by `-eta_charge * charge * dt` or `discharge * dt / eta_discharge`, with the power that flows.

    `action, need, p` (batch, units): `need` in MWh, in and out; `p` in MW, out. `begun` (batch,) in, and 1
    out. Others as in `ev_observe`.
    """
    for b in range(action.shape[0]):
        day, now = t_index[b] // per_day, t_index[b] % per_day
        weekday = (plans.first_weekday + day) % 7
        for u in range(plans.first.shape[0]):
            p[b, u] = accounts.undelivered_mwh[b, u] = accounts.throughput_mwh[b, u] = 0.0
            accounts.undelivered_cost[b, u] = accounts.owed_mwh[b, u] = accounts.wear_cost[b, u] = 0.0
            s, step = _session(
                plans.first[u],
                plans.number[u],
                plans.at,
                plans.start,
                plans.stop,
                plans.reach[u],
                per_day,
                draw[b, u],
                day,
                weekday,
                now,
            )
            if s < 0:
                need[b, u] = 0.0
                continue
            whole = min(plans.ask[s] * asked[u, 0], asked[u, 1] * (plans.stop[s] - plans.start[s]))
            have = _needed(whole, step - plans.start[s], asked[u, 2], begun[b], need[b, u])
            a = min(max(action[b, u], -1.0), 1.0)
            want = min(
                0.5 * (a + 1.0) * (chargers.p_max[u] + chargers.v2g_max[u]) - chargers.p_max[u],
                chargers.v2g_max[u],
            )
            power = want
            if want < 0.0:
                limit = have / (chargers.eta_charge[u] * dt_h)
                if -want >= limit:
                    power, have = 0.0 - limit, 0.0
                else:
                    have = max(have + want * dt_h * chargers.eta_charge[u], 0.0)
            elif want > 0.0:
                limit = max(whole - have, 0.0) * chargers.eta_discharge[u] / dt_h
                if want >= limit:
                    power, have = limit, max(have, whole)
                else:
                    have = min(have + want * dt_h / chargers.eta_discharge[u], whole)
            p[b, u] = power
            given_back = max(power, 0.0) * dt_h
            accounts.throughput_mwh[b, u] = given_back
            accounts.wear_cost[b, u] = given_back * chargers.wear_price[u]
            if step + 1 == plans.stop[s]:
                accounts.undelivered_mwh[b, u] = have
                accounts.undelivered_cost[b, u] = have * chargers.price[u]
                have = 0.0
            need[b, u] = have
            accounts.owed_mwh[b, u] = have / chargers.eta_charge[u]
        begun[b] = 1.0


@inline
def sum_of_programs(account, first):  # type: ignore[no-untyped-def]
    """Sum of one row of an account: units of a program in their order, then programs in theirs."""
    total = 0.0
    for k in range(first.size - 1):
        part = 0.0
        for u in range(first[k], first[k + 1]):
            part += account[u]
        total += part
    return total


@lean_kernel
def sum_units(
    account: Floats,  # (batch, units)
    first: Ints,  # (programs + 1,) where the units of each program begin
    out: Floats,  # (batch,)
) -> None:
    """Sum of an account over units; see `sum_of_programs`."""
    for b in range(out.size):
        out[b] = sum_of_programs(account[b], first)


@lean_kernel
def scatter_add(
    p: Floats,  # (batch, units)
    q: Floats,  # (batch, units)
    node: Ints,  # (units,) columns of p_node
    p_node: Floats,  # (batch, nodes) in and out
    q_node: Floats,  # (batch, nodes) in and out
) -> None:
    """Add each unit's power to its node, units in order (several units may share a node)."""
    for b in range(p.shape[0]):
        for u in range(node.shape[0]):
            n = np.uint64(node[u])
            p_node[b, n] += p[b, u]
            q_node[b, n] += q[b, u]


@lean_kernel
def move_positions(
    action: Floats,  # (batch, units)
    low: Floats,  # (units,) position at action -1
    high: Floats,  # (units,) at action +1
    limit: Floats,  # (units,) most steps in one interval, inf: any number
    price: Floats,  # (units,) cost of a step
    position: Floats,  # (batch, units) whole numbers, in and out
    left: Floats,  # (batch, units) steps that the day's budget has left, in and out, inf: any number
    moved: Floats,  # (batch, units) steps, out
    cost: Floats,  # (batch, units) their price, out
) -> None:
    """One interval of devices with whole positions: the nearest to the action, as far as they get."""
    for b in range(action.shape[0]):
        for u in range(low.shape[0]):
            a = min(max(action[b, u], -1.0), 1.0)
            target = np.floor(low[u] + 0.5 * (a + 1.0) * (high[u] - low[u]) + 0.5)
            most = min(limit[u], left[b, u])
            steps = min(max(target - position[b, u], -most), most)
            position[b, u] += steps
            left[b, u] -= abs(steps)
            moved[b, u] = abs(steps)
            cost[b, u] = abs(steps) * price[u]
