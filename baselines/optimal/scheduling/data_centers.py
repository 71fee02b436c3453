"""Data centers in schedules: work that may wait as energy that is drawn between two bounds."""

from __future__ import annotations

import numpy as np

from ....cases.assets import AssetSet
from ....envs import DataCenter, fleet_from_assets
from ...errors import RunError
from ..affine import FloatArray
from .assets import Reservoir

_DAY_H = 24
_PART_H = 1.0 / 12.0  # in which hourly shares are read
_EPS = 1e-9


def data_center(
    tables: AssetSet, name: str, steps: int, dt_h: float
) -> tuple[FloatArray, FloatArray, Reservoir]:
    """(steps,) least and most power, negative, and the work that is done, as energy with its cooling.

    Servers idle, interactive work is done when it comes, and deferrable work of the day in time, all of it by
    its end, as far as there are servers for it. Nothing waits when the day begins.

    Args:
        tables: Checked.
        name: Of the data center.
        steps: From midnight on.
        dt_h: Hours of one.

    Raises:
        RunError: a data center whose cooling follows the weather.
        CaseError: a row that is no data center of environments.
    """
    spec = fleet_from_assets(tables.select([name]))[0]
    assert isinstance(spec, DataCenter)
    if spec.pue is None:
        raise RunError(f"asset {name!r}: pue follows the weather: data centers are scheduled with a number")
    always, waits = (_by_step(spec.by_hour(one), steps, dt_h) for one in ("interactive", "deferrable"))
    base = spec.pue * (spec.idle_share * spec.p_mw + spec.capacity_mw * always)
    free, came = (spec.pue * spec.capacity_mw * share for share in (1.0 - always, waits))
    arrived = dt_h * np.cumsum(came)
    due = np.zeros(steps)
    late = int(np.floor(spec.deadline_h / dt_h + _EPS))
    due[late:] = arrived[: steps - late] if late else arrived
    due[-1] = arrived[-1]
    soonest, done = np.empty(steps), 0.0
    for t in range(steps):
        done = soonest[t] = min(arrived[t], done + dt_h * free[t])
    store = Reservoir(
        0.0, np.minimum(np.maximum.accumulate(due), soonest), arrived, 1.0, 1.0, dt_h * base,
        capacity_mwh=float(arrived[-1]) or np.nan,
    )  # fmt: skip
    return -(base + free), -base, store


def _by_step(shares: tuple[float, ...], steps: int, dt_h: float) -> FloatArray:
    """(steps,) means of hourly shares."""
    parts = max(round(dt_h / _PART_H), 1)
    at = (np.arange(steps)[:, None] + (np.arange(parts) + 0.5) / parts) * dt_h
    return np.asarray(np.array(shares)[np.floor(at).astype(np.int64) % _DAY_H].mean(axis=1))
