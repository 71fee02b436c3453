"""Rows of heat pumps and the rooms that they warm."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from ....envs.resources.outlook import Rooms
from ..affine import Affine, FloatArray, stacked
from .planned import Planned, Setting, reactive_share


def heat_pump_rows(of: Setting) -> Planned:
    """Temperatures follow the exact solution of each interval, which is linear in power.

    Discomfort is at least what the mean temperature of an interval is outside the band (Jensen's inequality).
    A pump does not heat beyond its limit: what is warmer is so by the weather.
    """
    program, rooms = of.program, of.outlook.rooms
    assert rooms is not None
    p = of.between(of.outlook.p_min_mw, np.zeros(of.shape))
    drawn = -p
    fade, mean, free = _coefficients(rooms, of.dt_h)
    indoor = program.columns(of.shape, _reach(rooms))
    before = stacked([Affine(rooms.indoor_c), *(indoor[t] for t in range(of.steps - 1))])
    end = drawn * (rooms.cop / rooms.heat_loss_mw_per_k) + free
    program.zero(before * (1.0 - fade) + end * fade - indoor)
    program.nonneg(_warmest(rooms, fade, free) - indoor)
    level = before * mean + end * (1.0 - mean)  # mean of the interval
    outside = program.positive(rooms.t_min_c - level) + program.positive(level - rooms.t_max_c)
    cost = of.dt_h * (outside * rooms.discomfort_cost_per_kh).sum()
    middle = 0.5 * (rooms.t_min_c + rooms.t_max_c)
    owed = program.positive((middle - indoor[-1]) * (rooms.capacity_mwh_per_k / rooms.cop[-1]))
    share = reactive_share(of.outlook, of.rated_mw)

    def asked(x: FloatArray) -> Mapping[str, FloatArray]:
        power, begin = drawn.at(x), before.at(x)
        to_middle = begin + (middle - begin) / fade - free
        hold = np.clip(to_middle * rooms.heat_loss_mw_per_k / rooms.cop, 0.0, of.rated_mw)
        above = np.where(of.rated_mw > hold, of.rated_mw - hold, 1.0)
        less = 1.0 - power / np.where(hold > 0.0, hold, 1.0)
        return {"p": np.where(power > hold, -(power - hold) / above, np.where(hold > 0.0, less, 0.0))}

    return Planned(
        of.outlook.units, p, p * share, of.outlook.s_mva, of.box(share), asked, cost=cost,
        owed_mwh=owed.sum(),
    )  # fmt: skip


def _coefficients(rooms: Rooms, dt_h: float) -> tuple[FloatArray, FloatArray, FloatArray]:
    """(n_units,) share of the way to the end that an interval takes, weight of its beginning in its mean;
    (steps, n_units) where temperatures would end without the pump.
    """
    tau_h = rooms.capacity_mwh_per_k / rooms.heat_loss_mw_per_k
    fade = -np.expm1(-dt_h / tau_h)
    free = rooms.outdoor_c[:, None] + rooms.gains_mw / rooms.heat_loss_mw_per_k
    return fade, fade * tau_h / dt_h, free


def _warmest(rooms: Rooms, fade: FloatArray, free: FloatArray) -> FloatArray:
    """(steps, n_units) the most that a room can be at the end of each interval."""
    most, rows = rooms.indoor_c, []
    for end in free:
        most = np.maximum(rooms.t_cut_c, most + (end - most) * fade)
        rows.append(most)
    return np.array(rows)


def _reach(rooms: Rooms) -> FloatArray:
    """(n_units,) kelvins: sizes that temperatures cannot exceed, heated or not."""
    idle = np.abs(rooms.outdoor_c).max() + rooms.gains_mw / rooms.heat_loss_mw_per_k
    return np.asarray(np.maximum(np.maximum(np.abs(rooms.indoor_c), rooms.t_cut_c), idle) + 1.0)
