"""Constraint rows of devices: what each kind can do in the intervals of a window, as the planner sees it.

Every row holds for all that a device can really do, so that a relaxation built of them bounds the truth.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ...envs.resources import Fleet
from ...envs.resources.base import UnitInfo
from ...envs.resources.outlook import Outlook
from ..errors import RunError
from .affine import Affine, FloatArray, stacked
from .program import Program

_NONE = Affine(0.0)


@dataclass(frozen=True, eq=False)
class Planned:
    """What the units of one program do; (steps, n_units), MW, Mvar, positive when injecting.

    Attributes:
        names: Of the units.
        p_mw, q_mvar: Power.
        reach_mva: (n_units,) what they cannot exceed.
        throughput_mwh: (steps,) energy through storage of all units together.
        stored_more_mwh: () what storage holds more at the end than at the beginning, all units together.
        offered_mw: (steps, n_units) what sun or wind offers; None: no such source.
    """

    names: tuple[str, ...]
    p_mw: Affine
    q_mvar: Affine
    reach_mva: FloatArray
    throughput_mwh: Affine
    stored_more_mwh: Affine
    offered_mw: FloatArray | None = None


#: Kinds of devices that have rows here.
COVERED = ("battery", "pv", "wind")


def check_kinds(fleet: Fleet) -> None:
    """RunError where a device has no rows here."""
    other = [program.kind for program in fleet.programs if program.kind not in COVERED]
    if other:
        raise RunError(
            f"devices of kind {other[0]!r} have no rows in the relaxation; these have: {', '.join(COVERED)}"
        )


def planned_fleet(
    program: Program, outlooks: Mapping[str, Outlook], units: Sequence[UnitInfo], dt_h: float
) -> list[Planned]:
    """Columns and rows of every program of a fleet, of kinds that `check_kinds` lets pass."""
    known = {unit.name: unit for unit in units}
    return [_planned(program, outlook, known, dt_h) for outlook in outlooks.values()]


def _planned(program: Program, outlook: Outlook, known: Mapping[str, UnitInfo], dt_h: float) -> Planned:
    q = _reactive(program, outlook, [known[name] for name in outlook.units])
    if outlook.storage is not None:
        return _batteries(program, outlook, q, dt_h)
    return _offered(program, outlook, q)


def _reactive(program: Program, outlook: Outlook, units: Sequence[UnitInfo]) -> Affine:
    """(steps, n_units) within its range, 0 where nobody controls it."""
    most = np.where([unit.action_q is not None for unit in units], outlook.q_max_mvar, 0.0)
    q = program.columns(outlook.p_max_mw.shape, most + 1e-9)
    program.nonneg(most - q)
    program.nonneg(q + most)
    return q


def _circle(program: Program, outlook: Outlook, p: Affine, q: Affine) -> None:
    program.cone(Affine(np.broadcast_to(outlook.s_mva, p.shape)), p, q)


def _offered(program: Program, outlook: Outlook, q: Affine) -> Planned:
    """Sun and wind: what is offered, less where the unit curtails or where Q has the circle for itself."""
    high = outlook.p_max_mw
    beside_q = np.sqrt(np.maximum(outlook.s_mva**2 - outlook.q_max_mvar**2, 0.0))
    low = np.minimum(outlook.p_min_mw, beside_q)
    p = program.columns(high.shape, outlook.s_mva + 1e-9)
    program.nonneg(high - p)
    program.nonneg(p - low)
    _circle(program, outlook, p, q)
    steps = Affine(np.zeros(high.shape[0]))
    return Planned(outlook.units, p, q, outlook.s_mva, steps, _NONE, high)


def _batteries(program: Program, outlook: Outlook, q: Affine, dt_h: float) -> Planned:
    """Charge and discharge apart; efficiencies and standing loss as `kernels.battery` integrates them."""
    storage = outlook.storage
    assert storage is not None
    most = outlook.p_max_mw
    out, into = (program.columns(most.shape, most.max(axis=0) + 1e-9) for _ in range(2))
    program.nonneg(out)
    program.nonneg(into)
    program.nonneg(most - out - into)
    p = out - into
    _circle(program, outlook, p, q)
    loss = storage.standing_loss_per_h
    kept = np.exp(-loss * dt_h)
    worth_h = np.where(loss > 0.0, -np.expm1(-loss * dt_h) / np.where(loss > 0.0, loss, 1.0), dt_h)
    stored = program.columns(most.shape, storage.max_mwh + 1e-9)
    before = stacked([Affine(storage.stored_mwh), *(stored[t] for t in range(most.shape[0] - 1))])
    gained = storage.eta_charge * worth_h * into - worth_h / storage.eta_discharge * out
    program.zero(kept * before + gained - stored)
    program.nonneg(storage.max_mwh - stored)
    program.nonneg(stored - np.where(loss > 0.0, 0.0, storage.min_mwh))  # losses may take it below
    for part in (out, into):
        _ramps(program, part, storage.ramp_mw_per_h * dt_h)
    more = stored[-1].sum() - float(storage.stored_mwh.sum())
    return Planned(outlook.units, p, q, outlook.s_mva, dt_h * (out + into).sum(axis=1), more)


def _ramps(program: Program, part: Affine, most: FloatArray) -> None:
    """Of charge or discharge: only upwards, as a store that is full or empty ends both at once."""
    limited = np.flatnonzero(np.isfinite(most))
    if limited.size and part.shape[0] > 1:
        program.nonneg(most[limited] - (part[1:, limited] - part[:-1, limited]))
