"""The ledger of an episode: what an interval cost at the market, and what of the episode is remembered.

One compiled call for all rows, after the power flow and before the terms of the reward are read.
"""

from __future__ import annotations

import numpy as np

from ...physics.numba_tools.jit import lean_kernel
from ...physics.row_results import P_LOSS, P_SLACK
from .devices import sum_of_programs

#: Columns of ``entries``: what the last interval brought. USD/MWh, USD, MWh (four
#: times), MW, USD, USD, MW, MW^2, MWh.
(PRICE, ENERGY_USD, IMPORTED_MWH, EXPORTED_MWH, LOSS_MWH, CURTAILED_MWH, PEAK_RISE_MW, DEFICIT_USD,
 SURPLUS_USD, SETPOINT_MW, SETPOINT_MW2, DEFICIT_MWH) = range(12)  # fmt: skip
N_ENTRIES = 12
#: Columns of ``memory``: what the future of the episode depends on, and what is observed of it. MW, MWh more
#: than at the beginning (twice), USD/MWh (twice), share of the episode; MWh at the beginning (twice).
(PEAK_MW, STORED_MORE_MWH, OWED_MORE_MWH, HIGHEST_PRICE, LOWEST_PRICE, EPISODE_LEFT, STORED_FIRST_MWH,
 OWED_FIRST_MWH) = range(8)  # fmt: skip
N_MEMORY = 8


@lean_kernel
def close_interval(  # type: ignore[no-untyped-def]
    now, step_index, last_step, dt_h, price, scale, shift, signal, measured, accounts, first, stored, owed,
    curtailed, memory, entries,
):  # fmt: skip
    """Fill ``entries`` (batch, N_ENTRIES) with what the solved interval brought; bring ``memory`` up to date.

    ``now``, ``step_index`` (batch,): row of the data, and number in the episode, of the interval that was
    solved; ``last_step``: that of the last one. ``price`` (n,) USD/MWh over time; a row has ``scale``
    (batch,) times that, and ``shift`` (batch,) more. ``signal`` (batch, steps or more): power at the head
    that is asked for; no columns where none is. ``accounts`` (accounts, batch, units) with ``first`` as in
    `sum_of_programs`, of which ``stored``, ``owed`` and ``curtailed`` are the numbers, -1 where no unit
    writes them.
    """
    for row in range(now.size):
        mine, out = memory[row], entries[row]
        step, here = step_index[row], measured[row, P_SLACK]
        energy = here * dt_h
        out[PRICE] = price[now[row] % price.size] * scale[row] + shift[row]
        out[ENERGY_USD] = out[PRICE] * energy
        out[IMPORTED_MWH] = max(energy, 0.0)
        out[EXPORTED_MWH] = max(-energy, 0.0)
        out[LOSS_MWH] = measured[row, P_LOSS] * dt_h
        out[CURTAILED_MWH] = 0.0
        if curtailed >= 0:
            out[CURTAILED_MWH] = sum_of_programs(accounts[curtailed, row], first) * dt_h
        out[PEAK_RISE_MW] = max(here - mine[PEAK_MW], 0.0)
        mine[PEAK_MW] = max(here, mine[PEAK_MW])
        if stored >= 0:
            mine[STORED_MORE_MWH] = sum_of_programs(accounts[stored, row], first) - mine[STORED_FIRST_MWH]
        if owed >= 0:
            mine[OWED_MORE_MWH] = sum_of_programs(accounts[owed, row], first) - mine[OWED_FIRST_MWH]
        mine[EPISODE_LEFT] = 1.0 - (step + 1.0) / (last_step + 1.0)
        out[DEFICIT_MWH] = out[DEFICIT_USD] = out[SURPLUS_USD] = 0.0
        if step == last_step:
            stored_more, owed_more = mine[STORED_MORE_MWH], mine[OWED_MORE_MWH]
            out[DEFICIT_MWH] = max(-stored_more, 0.0) + max(owed_more, 0.0)
            out[DEFICIT_USD] = out[DEFICIT_MWH] * mine[HIGHEST_PRICE]
            out[SURPLUS_USD] = (max(stored_more, 0.0) + max(-owed_more, 0.0)) * mine[LOWEST_PRICE]
        off = 0.0
        if signal.shape[1] > 0:
            off = here - signal[row, min(step, signal.shape[1] - 1)]
        out[SETPOINT_MW], out[SETPOINT_MW2] = abs(off), off * off


@lean_kernel
def add_tones(uniform, dt_h, shortest_h, longest_h, swing_mw, out):  # type: ignore[no-untyped-def]
    """Add a sum of sines to every row of ``out`` (batch, steps), none of which exceeds ``swing_mw``.

    ``uniform`` (batch, 3 tones) in [0, 1): amplitudes, which then add up to ``swing_mw``, logarithms of
    periods between the two ends, phases.
    """
    tones = uniform.shape[1] // 3
    for row in range(out.shape[0]):
        drawn = uniform[row]
        total = 0.0
        for j in range(tones):
            total += 0.1 + drawn[j]
        for j in range(tones):
            amplitude = swing_mw * (0.1 + drawn[j]) / total
            period_h = shortest_h * (longest_h / shortest_h) ** drawn[tones + j]
            turns = drawn[2 * tones + j]
            for k in range(out.shape[1]):
                out[row, k] += amplitude * np.sin(2.0 * np.pi * (turns + k * dt_h / period_h))
