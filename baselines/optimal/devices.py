"""Constraint rows of devices: what each kind can do in the intervals of a window, as the planner sees it.

Every row holds for all that a device can really do, so that a relaxation built of them bounds the truth.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ...envs.resources import Fleet
from ...envs.resources.base import UnitInfo
from ...envs.resources.ev import EVProgram
from ...envs.resources.outlook import Outlook
from ...envs.resources.settling import SettlingResource
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
        cost: () what the devices charge, in money.
        owed_mwh: () what stations are still to draw at the end for the cars that stay beyond it.
        stored_more_mwh: () what storage holds more at the end than at the beginning, all units together.
        low_mw, high_mw: (steps, n_units) power at the actions -1 and +1.
    """

    names: tuple[str, ...]
    p_mw: Affine
    q_mvar: Affine
    reach_mva: FloatArray
    throughput_mwh: Affine
    stored_more_mwh: Affine
    cost: Affine
    owed_mwh: Affine
    low_mw: FloatArray
    high_mw: FloatArray


#: Kinds of devices that have rows here.
COVERED = ("battery", "pv", "wind", "ev")


def check_kinds(fleet: Fleet, beside: tuple[str, ...] = ()) -> None:
    """RunError where a device has no rows here, nor is of a kind ``beside``."""
    known = (*COVERED, *beside)
    other = [program.kind for program in fleet.programs if program.kind not in known]
    if other:
        raise RunError(
            f"devices of kind {other[0]!r} have no rows in the relaxation; these have: {', '.join(known)}"
        )
    alone = [name for p in fleet.programs if isinstance(p, SettlingResource) for name in p.names]
    if alone:
        raise RunError(f"{alone[0]!r} follows functions of its own: the relaxation has no rows for these")


def planned_fleet(
    program: Program, outlooks: Mapping[str, Outlook], units: Sequence[UnitInfo], prices: Mapping[str, float],
    dt_h: float,
) -> list[Planned]:  # fmt: skip
    """Columns and rows of every program of a fleet, of kinds that `check_kinds` lets pass.

    ``prices``: `undelivered_prices`.
    """
    known = {unit.name: unit for unit in units}
    return [_planned(program, outlook, known, prices, dt_h) for outlook in outlooks.values()]


def undelivered_prices(fleet: Fleet) -> dict[str, float]:
    """By the station's name, the price of a MWh that a car leaves without."""
    return {
        name: float(price)
        for program in fleet.programs
        if isinstance(program, EVProgram)
        for name, price in zip(program.names, program.price, strict=True)
    }


def _planned(
    program: Program, outlook: Outlook, known: Mapping[str, UnitInfo], prices: Mapping[str, float],
    dt_h: float,
) -> Planned:  # fmt: skip
    units = [known[name] for name in outlook.units]
    q, rated_mw = _reactive(program, outlook, units), np.array([unit.p_mw for unit in units])
    if outlook.storage is not None:
        return _batteries(program, outlook, q, rated_mw, dt_h)
    if set(outlook.units) <= set(prices):
        return _stations(program, outlook, q, rated_mw, prices, dt_h)
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
    return Planned(outlook.units, p, q, outlook.s_mva, steps, _NONE, _NONE, _NONE, np.zeros_like(high), high)


def _batteries(program: Program, outlook: Outlook, q: Affine, rated_mw: FloatArray, dt_h: float) -> Planned:
    """Charge and discharge apart; efficiencies as `kernels.battery` has them, without standing loss."""
    storage = outlook.storage
    assert storage is not None
    if storage.standing_loss_per_h.any():
        raise RunError(f"{outlook.units[0]!r}: batteries that lose energy by standing have no rows here yet")
    most = outlook.p_max_mw
    out, into = (program.columns(most.shape, most.max(axis=0) + 1e-9) for _ in range(2))
    program.nonneg(out)
    program.nonneg(into)
    program.nonneg(most - out - into)
    p = out - into
    _circle(program, outlook, p, q)
    stored = program.columns(most.shape, storage.max_mwh + 1e-9)
    before = stacked([Affine(storage.stored_mwh), *(stored[t] for t in range(most.shape[0] - 1))])
    program.zero(before + dt_h * (storage.eta_charge * into - out / storage.eta_discharge) - stored)
    program.nonneg(storage.max_mwh - stored)
    program.nonneg(stored - storage.min_mwh)
    for part in (out, into):
        _ramps(program, part, storage.ramp_mw_per_h * dt_h)
    more = stored[-1].sum() - float(storage.stored_mwh.sum())
    through = dt_h * (out + into)
    wear = (storage.wear_cost_per_mwh * through).sum()
    rated = np.broadcast_to(rated_mw, p.shape)
    return Planned(outlook.units, p, q, outlook.s_mva, through.sum(axis=1), more, wear, _NONE, -rated, rated)


def _stations(
    program: Program, outlook: Outlook, q: Affine, rated_mw: FloatArray, prices: Mapping[str, float],
    dt_h: float,
) -> Planned:  # fmt: skip
    """Cars draw no more than they need and give back no more than they took; what is missing is charged."""
    into = program.columns(outlook.p_min_mw.shape, outlook.s_mva + 1e-9)
    out = program.columns(outlook.p_max_mw.shape, outlook.s_mva + 1e-9)
    for part, most in ((into, -outlook.p_min_mw), (out, outlook.p_max_mw)):
        program.nonneg(part)
        program.nonneg(most - part)
    steps, cost, owed = outlook.p_max_mw.shape[0], Affine(0.0), Affine(0.0)
    for stay in outlook.sessions:
        here = slice(stay.first, stay.stop)
        drawn = stay.eta_charge * into[here, stay.unit] - out[here, stay.unit] / stay.eta_discharge
        lacks = stay.energy_mwh - dt_h * drawn.cumsum()
        program.nonneg(lacks)
        program.nonneg(stay.energy_mwh + stay.taken_mwh - lacks)
        if stay.stop < steps:
            cost = cost + prices[outlook.units[stay.unit]] * lacks[-1]
        else:  # it stays, or leaves with the last interval: then it is charged more
            owed = owed + lacks[-1] / stay.eta_charge
    low, high = (np.broadcast_to(end, into.shape) for end in (-rated_mw, outlook.p_max_mw.max(axis=0)))
    through = dt_h * out.sum(axis=1)
    return Planned(outlook.units, out - into, q, outlook.s_mva, through, _NONE, cost, owed, low, high)


def _ramps(program: Program, part: Affine, most: FloatArray) -> None:
    """Of charge or discharge: only upwards, as a store that is full or empty ends both at once."""
    limited = np.flatnonzero(np.isfinite(most))
    if limited.size and part.shape[0] > 1:
        program.nonneg(most[limited] - (part[1:, limited] - part[:-1, limited]))
