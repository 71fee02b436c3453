"""Kernels of many agents: what each is shown, what each is asked, and what each has on its own account."""

from __future__ import annotations

from ...physics.numba_tools.jit import lean_kernel


@lean_kernel
def gather_agents(flat, columns, out):  # type: ignore[no-untyped-def]
    """Fill ``out`` (batch, agents, width) with columns of ``flat`` (batch, n_obs), both float32.

    ``columns`` (agents, width); -1 where an agent has nothing, which is shown as 0.
    """
    zero = out.dtype.type(0.0)
    for row in range(out.shape[0]):
        shown = flat[row]
        for agent in range(out.shape[1]):
            mine, target = columns[agent], out[row, agent]
            for k in range(target.size):
                at = mine[k]
                target[k] = shown[at] if at >= 0 else zero


@lean_kernel
def spread_actions(actions, agent_of, column_of, neutral, out):  # type: ignore[no-untyped-def]
    """Fill ``out`` (batch, n_actions) from ``actions`` (batch, agents, width), both float32.

    ``agent_of``, ``column_of`` (n_actions,): whose column it is; ``agent_of`` is -1 where it is nobody's, and
    ``neutral`` (n_actions,) is played there.
    """
    for row in range(out.shape[0]):
        for k in range(out.shape[1]):
            agent = agent_of[k]
            out[row, k] = actions[row, agent, column_of[k]] if agent >= 0 else neutral[k]


@lean_kernel
def own_accounts(  # type: ignore[no-untyped-def]
    first_row, agent_of, accounts, which, weights, p_mw, price, energy_weight, settles, stock, held, prices,
    deficit_weight, surplus_weight, deficit_mwh_weight, failed, out,
):  # fmt: skip
    """Write to rows ``first_row`` on of ``out`` (all rows, agents) what every agent's own units brought.

    ``agent_of`` (units,), -1: nobody's. ``accounts`` (accounts, batch, units), of which ``which`` (m,) count,
    each unit's times ``weights`` (m, units). Energy: ``energy_weight`` times ``price`` (batch,) times
    ``p_mw`` (batch, units). Rows that ``settles`` (batch,) settle what units hold, accounts ``stock`` (2,)
    for stored and owed (-1: nobody writes it), against ``held`` (2, batch, units) of the beginning, at
    ``prices`` (batch, 2) highest and lowest. Rows that ``failed`` (batch,) bring nothing of one's own.
    """
    for row in range(p_mw.shape[0]):
        mine = out[first_row + row]
        mine[:] = 0.0
        if failed[row]:
            continue
        per_mw = energy_weight * price[row]
        for unit in range(agent_of.size):
            agent = agent_of[unit]
            if agent < 0:
                continue
            value = per_mw * p_mw[row, unit]
            for k in range(which.size):
                value += weights[k, unit] * accounts[which[k], row, unit]
            if settles[row]:
                lacks, more = 0.0, 0.0
                if stock[0] >= 0:
                    change = accounts[stock[0], row, unit] - held[0, row, unit]
                    lacks += max(-change, 0.0)
                    more += max(change, 0.0)
                if stock[1] >= 0:
                    change = accounts[stock[1], row, unit] - held[1, row, unit]
                    lacks += max(change, 0.0)
                    more += max(-change, 0.0)
                value += (deficit_weight * prices[row, 0] + deficit_mwh_weight) * lacks
                value += surplus_weight * prices[row, 1] * more
            mine[agent] += value


@lean_kernel
def shared_rewards(own, team, share, failed, out):  # type: ignore[no-untyped-def]
    """Fill ``out`` (batch, agents): one's own, and ``share`` of what of ``team`` (batch,) is nobody's own.

    A failed power flow takes its whole price from each agent, so that ending early pays for nobody.
    """
    for row in range(own.shape[0]):
        rest = team[row]
        for agent in range(own.shape[1]):
            rest -= own[row, agent]
        for agent in range(own.shape[1]):
            out[row, agent] = team[row] if failed[row] else own[row, agent] + share * rest
