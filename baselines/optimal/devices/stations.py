"""Rows of charging stations."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from ..affine import Affine, FloatArray
from .planned import Planned, Setting, linear


def station_rows(of: Setting) -> Planned:
    """Cars draw no more than they need and give back no more than they took; what is missing is charged."""
    program, outlook = of.program, of.outlook
    q = of.controlled_q()
    into, out = of.between(0.0, -outlook.p_min_mw, outlook.s_mva), of.between(0.0, outlook.p_max_mw)
    cost, missing, owed = (Affine(0.0) for _ in range(3))
    for stay in outlook.sessions:
        here = slice(stay.first, stay.stop)
        drawn = stay.eta_charge * into[here, stay.unit] - out[here, stay.unit] / stay.eta_discharge
        most = stay.energy_mwh + stay.taken_mwh + 1e-9
        lacks = stay.energy_mwh - of.running(of.dt_h * drawn, most)
        program.nonneg(lacks)
        program.nonneg(stay.energy_mwh + stay.taken_mwh - lacks)
        if stay.stays:
            owed = owed + lacks[-1] / stay.eta_charge
        else:
            missing = missing + lacks[-1]
            cost = cost + of.price[stay.unit] * lacks[-1]
    p = out - into
    low, high = (np.broadcast_to(end, of.shape) for end in (-of.rated_mw, outlook.p_max_mw.max(axis=0)))

    def asked(x: FloatArray) -> Mapping[str, FloatArray]:
        return {"p": linear(p.at(x), low, high), "q": of.asked_q(q.at(x))}

    through = of.dt_h * out.sum(axis=1)
    return Planned(
        outlook.units, p, q, outlook.s_mva, of.box(), asked, through, cost=cost, undelivered_mwh=missing,
        owed_mwh=owed,
    )  # fmt: skip
