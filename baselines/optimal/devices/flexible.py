"""Rows of flexible loads."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from ....envs.resources.outlook import Flexibility
from ..affine import Affine, FloatArray
from .load_windows import Windows, present_mw
from .planned import Planned, Setting, reactive_share

_DUST = 1e-6  # MW, MWh


def flexible_rows(of: Setting) -> Planned:
    """Load taken away and returned within its window, and load curtailed.

    A window that opens with the first energy taken (rolling) is closed within its length: whatever is taken
    has been returned so many intervals later.
    """
    program, outlook = of.program, of.outlook
    flex = outlook.flexibility
    assert flex is not None
    present = present_mw(flex, of.load_p_mw)
    can = -outlook.p_min_mw > 0.0
    take = of.between(0.0, np.where(can, np.minimum(flex.shift_mw, present), 0.0))
    back = of.between(0.0, np.where(can, flex.return_mw, 0.0))
    curtailed = of.between(0.0, np.minimum(flex.curtail_mw, present))
    program.nonneg(present - take - curtailed)
    most = flex.return_mw * (flex.window - 1) * of.dt_h
    most = np.broadcast_to(np.maximum(most, flex.owed_mwh), of.shape)
    owed = flex.owed_mwh + of.running(of.dt_h * (take - back), most + 1e-9)
    program.nonneg(owed)
    program.nonneg(most - owed)
    taken = _returned(of, flex, take, owed)
    _decided(of, take, owed)
    p = take - back + curtailed
    swing = np.maximum(flex.shift_mw + flex.curtail_mw, np.where(can.any(axis=0), flex.return_mw, 0.0))
    share = reactive_share(outlook, swing)
    cost = of.dt_h * (take * flex.shift_cost_per_mwh + curtailed * flex.curtail_cost_per_mwh).sum()

    def asked(x: FloatArray) -> Mapping[str, FloatArray]:
        moved = _clear(take.at(x) - back.at(x), owed.at(x), flex)
        shift, returned = (np.where(size > 0.0, size, 1.0) for size in (flex.shift_mw, flex.return_mw))
        cut = curtailed.at(x) / np.where(flex.curtail_mw > 0.0, flex.curtail_mw, 1.0)
        # A little less is taken than planned, or rounding leaves owed what full returns are to clear.
        return {
            "shift": moved / np.where(moved > 0.0, shift * (1.0 + _DUST), returned),
            "curtail": 2.0 * cut - 1.0,
        }

    return Planned(
        outlook.units, p, p * share, outlook.s_mva, of.box(share), asked, cost=cost, owed_mwh=owed[-1].sum(),
        choice=Windows(of, flex, (take, back, curtailed), (owed, taken)),
    )  # fmt: skip


def _clear(moved_mw: FloatArray, owed_mwh: FloatArray, flex: Flexibility) -> FloatArray:
    """Without the solver's dust: it would open windows, or leave them open where they are to close."""
    moved = np.where(np.abs(moved_mw) < _DUST, 0.0, moved_mw)
    return np.asarray(np.where((moved < 0.0) & (owed_mwh < _DUST), -flex.return_mw, moved))


def _returned(of: Setting, flex: Flexibility, take: Affine, owed: Affine) -> Affine:
    """Nothing is owed where a window closes; where it closes at the latest, what was taken lately is.

    Returns (steps, n_units) what was taken so far.
    """
    fixed = flex.closes & ~flex.rolling
    taken = of.running(of.dt_h * take, of.dt_h * of.steps * flex.shift_mw + 1e-9)
    for u in range(of.shape[1]):
        at = np.flatnonzero(fixed[:, u])
        if at.size:
            of.program.zero(owed[at, u])
        later = int(flex.window[u]) - 1
        if flex.rolling[u] and of.steps > later:
            lately = taken[later:, u] - taken[: of.steps - later, u]
            of.program.nonneg(lately - owed[later:, u])
    return taken


def _decided(of: Setting, take: Affine, owed: Affine) -> None:
    """Load is taken away within windows that are decided, and returned before each closes."""
    for u, name in enumerate(of.outlook.units):
        if name in of.decided:
            number = of.decided[name]
            closes = np.flatnonzero(np.diff(np.append(number, number[-1])) != 0)
            closes = closes[number[closes] > 0]
            outside = np.flatnonzero(number == 0)
            for rows in (take[outside, u], owed[closes, u]):
                if rows.size:
                    of.program.zero(rows)
