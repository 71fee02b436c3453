"""Rows of what sun and wind offer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from ..affine import FloatArray
from .inverters import following_rows
from .planned import Planned, Setting, linear


def offered_rows(of: Setting) -> Planned:
    """What is offered, less where the unit curtails or where Q has the circle for itself."""
    outlook = of.outlook
    if outlook.functions is not None:
        return following_rows(of, outlook.functions)
    q, high = of.controlled_q(), outlook.p_max_mw
    beside_q = np.sqrt(np.maximum(outlook.s_mva**2 - outlook.q_max_mvar**2, 0.0))
    p = of.between(np.minimum(outlook.p_min_mw, beside_q), high, outlook.s_mva)
    of.circle(p, q)

    def asked(x: FloatArray) -> Mapping[str, FloatArray]:
        return {"p": linear(p.at(x), np.zeros_like(high), high), "q": of.asked_q(q.at(x))}

    box = of.box()
    box = replace(box, p_low=np.minimum(box.p_low, beside_q))
    return Planned(outlook.units, p, q, outlook.s_mva, box, asked)
