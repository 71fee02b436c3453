"""Rows of batteries."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from ....envs.resources.outlook import Storage
from ..affine import Affine, FloatArray, stacked
from .planned import Planned, Setting


def battery_rows(of: Setting) -> Planned:
    """Charge and discharge apart, energy as `kernels.battery` has it.

    What is stored decays at a rate k as energy flows: E' = E e^(-k dt) + (flow) (1 - e^(-k dt)) / k, exactly.
    Standing loss alone takes it below the least that may be stored. Wear by the depth of cycles is left
    out: it is not convex, and costs nothing at the least.
    """
    program, storage = of.program, of.outlook.storage
    assert storage is not None
    q, most = of.controlled_q(), of.outlook.p_max_mw
    out, into = (of.between(0.0, most) for _ in range(2))
    program.nonneg(most - out - into)
    p = out - into
    of.circle(p, q)
    kept, worth_h = _decay(storage, of.dt_h)
    stored = program.columns(of.shape, storage.max_mwh + 1e-9)
    before = stacked([Affine(storage.stored_mwh), *(stored[t] for t in range(of.steps - 1))])
    flow = storage.eta_charge * into - out / storage.eta_discharge
    program.zero(before * kept + flow * worth_h - stored)
    program.nonneg(storage.max_mwh - stored)
    program.nonneg(stored - _least(storage, kept, of.steps))
    for part in (out, into):
        _ramps(of, part, storage.ramp_mw_per_h * of.dt_h)
    through = of.dt_h * (out + into)

    def asked(x: FloatArray) -> Mapping[str, FloatArray]:
        rated = np.broadcast_to(of.rated_mw, of.shape)
        return {"p": linear_power(p.at(x), rated), "q": of.asked_q(q.at(x))}

    return Planned(
        of.outlook.units, p, q, of.outlook.s_mva, of.box(), asked, through.sum(axis=1), stored[-1].sum(),
        (storage.wear_cost_per_mwh * through).sum(),
    )  # fmt: skip


def linear_power(p_mw: FloatArray, rated_mw: FloatArray) -> FloatArray:
    """Actions from -1 (charge at the rating) to +1."""
    return np.asarray(p_mw / rated_mw)


def _decay(storage: Storage, dt_h: float) -> tuple[FloatArray, FloatArray]:
    """(n_units,) share that is left after an interval, and hours for which power counts at its end."""
    rate = -np.log1p(-storage.standing_loss_per_h)
    slow = rate <= 0.0
    worth_h = np.where(slow, dt_h, -np.expm1(-rate * dt_h) / np.where(slow, 1.0, rate))
    return np.exp(-rate * dt_h), worth_h


def _least(storage: Storage, kept: FloatArray, steps: int) -> FloatArray:
    """(steps, n_units) what is stored at the least, where standing loss may go below the limit."""
    least, rows = storage.stored_mwh, []
    for _ in range(steps):
        least = np.minimum(least * kept, storage.min_mwh)
        rows.append(least)
    return np.array(rows)


def _ramps(of: Setting, part: Affine, most: FloatArray) -> None:
    """Of charge or discharge: only upwards, as a store that is full or empty ends both at once."""
    limited = np.flatnonzero(np.isfinite(most))
    if limited.size and part.shape[0] > 1:
        of.program.nonneg(most[limited] - (part[1:, limited] - part[:-1, limited]))
