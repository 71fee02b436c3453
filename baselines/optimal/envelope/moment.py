"""What assets can do at one moment: boxes of power within what energy, ramps and the later day allow."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from ...errors import RunError
from ..affine import FloatArray
from ..phase_dispatch import PhaseUnit
from ..scheduling.assets import Asset, tube
from ..scheduling.case import ScheduleCase
from ..scheduling.plan import AssetSchedule
from ..units import Unit
from .region import Surroundings


@dataclass(frozen=True, eq=False)
class Moment:
    """One step of a day, as `region.pq_region` takes it.

    Attributes:
        units: Of all assets. base: P and Q of each, by name.
        around: Loads and source voltages.
        stored_mwh: (n,) energy of batteries before the step, above their least; NaN of others.
    """

    units: tuple[Unit, ...]
    base: Mapping[str, tuple[float, float]]
    around: Surroundings
    stored_mwh: FloatArray


def moment_of(case: ScheduleCase, base: AssetSchedule, step: int, hold_h: float | None = None) -> Moment:
    """What assets can do in a step of a day along which they follow a base schedule.

    Energies are those that the base schedule leaves before the step. A power is possible if it can be held
    for ``hold_h`` hours and the bounds of energy of the rest of the day, such as departures of cars, can be
    met afterwards; ramps begin at the base point of the step before.

    Args:
        case: Of the day.
        base: Of the same case.
        step: From 0.
        hold_h: Hours, at least those of a step; None: of a step.

    Raises:
        RunError: a step that the day has not, hours below those of a step.
    """
    if not 0 <= step < case.steps:
        raise RunError(f"step is {step}: expected 0 to {case.steps - 1}")
    hold = case.dt_h if hold_h is None else float(hold_h)
    if not (np.isfinite(hold) and hold >= case.dt_h):
        raise RunError(f"hold_h is {hold_h}: expected hours, at least the {case.dt_h:g} of a step")
    units: list[Unit] = []
    stored = np.full(len(case.assets), np.nan)
    for k, asset in enumerate(case.assets):
        low, high = float(asset.p_min_mw[step]), float(asset.p_max_mw[step])
        if step:
            low, high = _ramped(asset, low, high, float(base.p_mw[step - 1, k]), case.dt_h)
        if asset.reservoir is not None:
            have = float(base.stored_mwh[step - 1, k]) if step else asset.reservoir.start_mwh
            if asset.kind == "battery":
                stored[k] = have - float(asset.reservoir.least_mwh.min())
            low, high = _held(asset, low, high, have, step, hold, case.dt_h)
        box = (low, high, float(asset.q_min_mvar[step]), float(asset.q_max_mvar[step]))
        if case.per_phase:
            units.append(PhaseUnit(asset.name, asset.bus, *box, asset.s_mva, phase=asset.phase))
        else:
            units.append(Unit(asset.name, asset.bus, *box, asset.s_mva))
    at = {asset.name: (float(base.p_mw[step, k]), float(base.q_mvar[step, k]))
          for k, asset in enumerate(case.assets)}  # fmt: skip
    loads = {name: np.asarray(value)[step] for name, value in case.loads.items()}
    return Moment(tuple(units), at, Surroundings(**loads, v_source_pu=case.v_source_pu), stored)


def _ramped(asset: Asset, low: float, high: float, before: float, dt_h: float) -> tuple[float, float]:
    """Power that ramps reach; where bounds have moved away, the end of theirs that is nearer."""
    least = max(low, min(before - asset.ramp_down_mw_per_h * dt_h, high))
    return least, min(high, max(before + asset.ramp_up_mw_per_h * dt_h, least))


def _held(
    asset: Asset, low: float, high: float, have: float, step: int, hold_h: float, dt_h: float
) -> tuple[float, float]:
    """Power that energy lets be held; where nothing does, the power that comes nearest."""
    store = asset.reservoir
    assert store is not None
    steps = int(np.ceil(hold_h / dt_h - 1e-9))
    end = min(step + steps, asset.steps)
    least, most = tube(asset, dt_h)
    there = have - float(store.drained[step:end].sum())
    top = min(high, max(low, store.power_for(float(least[end - 1]) - there, hold_h)))
    bottom = max(low, min(high, store.power_for(float(most[end - 1]) - there, hold_h)))
    return (bottom, top) if bottom <= top else (top, top)
