"""Model predictive control of a schedule: the best of the next hours on forecasts, made again and again."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ...errors import RunError
from ..affine import FloatArray
from ..branch_flow import NetworkLimits
from .assets import Asset, followed, tube
from .case import ScheduleCase
from .foresight import Foresight, key_of, relative_errors
from .plan import PLAYED, AssetSchedule, best_schedule, replayed
from .rules import idle

FREE = NetworkLimits(None, None)  # no limit of the network


@dataclass(frozen=True)
class RollingSettings:
    """How a rolling horizon looks ahead.

    Attributes:
        horizon_h: Hours that are planned.
        every_h: Hours of a plan that are played before the next one is made.
        error: Relative standard error of forecasts of load, sun, wind and prices a day ahead. The present
            step is known.
        margin_pu: By how much plans keep within the band at either end.
        seed: Of the errors.
        day: Number that the errors are of, beside the seed.
        foresight: Forecasts, in place of those of error, seed and day; None: those.

    Raises:
        RunError: numbers that make no plan.
    """

    horizon_h: float = 12.0
    every_h: float = 1.0
    error: float = 0.1
    margin_pu: float = 0.002
    seed: int = 0
    day: int = 0
    foresight: Foresight | None = None

    def __post_init__(self) -> None:
        for name in ("horizon_h", "every_h"):
            if not (np.isfinite(vars(self)[name]) and vars(self)[name] > 0.0):
                raise RunError(f"{name} must be above 0 and finite, got {vars(self)[name]!r}")
        if self.every_h > self.horizon_h:
            raise RunError(
                f"every_h {self.every_h:g} is above horizon_h {self.horizon_h:g}: plans would have ended"
            )
        if not (np.isfinite(self.error) and self.error >= 0.0):
            raise RunError(f"error must be 0 or more, got {self.error!r}")

    def worse(self, factor: float) -> RollingSettings:
        """With standard errors of forecasts that many times as large."""
        told = None if self.foresight is None else self.foresight.worse(factor)
        return replace(self, error=factor * self.error, foresight=told)

    def forecasts(self, case: ScheduleCase) -> Foresight:
        """Of a case."""
        if self.foresight is not None:
            return self.foresight
        forecaster = relative_errors(self.error, case.price_usd_mwh)
        return Foresight(forecaster, key=key_of(self.seed, self.day))


def rolling_schedule(
    case: ScheduleCase, objective: str = "cost", settings: RollingSettings | None = None,
    believed: Callable[[float], ScheduleCase] | None = None,
) -> AssetSchedule:  # fmt: skip
    """What is played by who plans on forecasts and sees the truth step by step.

    At each plan loads, sun, wind and prices of the steps to come are forecasts, by a forecaster as
    environments have it: errors grow with lead time and shrink as time goes on. Charging sessions are known
    as they are booked. Reservoirs end a window with what they began the day with, as far as that can be
    reached. Where no plan keeps the limits, limits of the network are left out of that plan.

    Args:
        case: The truth.
        objective: One of `objectives.OBJECTIVES`.
        settings: Horizon, error, seed.
        believed: What the planner takes the case for at an hour of the schedule, before errors of forecasts;
            None: the truth. Outages, for instance, are not known before they begin.

    Raises:
        RunError: as `best_schedule`.
    """
    settings = RollingSettings() if settings is None else settings
    begun = time.perf_counter()
    every, horizon = (max(round(h / case.dt_h), 1) for h in (settings.every_h, settings.horizon_h))
    foresight, shape = settings.forecasts(case), (case.steps, len(case.assets))
    p, q = np.zeros(shape), np.zeros(shape)
    have = [a.reservoir.start_mwh if a.reservoir is not None else 0.0 for a in case.assets]
    before: list[float | None] = [a.before_mw for a in case.assets]
    for first in range(0, case.steps, every):
        stop, played = min(first + horizon, case.steps), slice(first, min(first + every, case.steps))
        told = case if believed is None else believed(first * case.dt_h)
        window = foresight.foretold(_window(told, first, stop, have, before), first)
        plan = _plan(window, objective, settings.margin_pu)
        n = played.stop - first
        for k, asset in enumerate(case.assets):
            true = asset.window(first, case.steps, start_mwh=have[k], before_mw=before[k])
            wanted = np.concatenate([plan[0][:n, k], np.zeros(case.steps - first - n)])
            power, stored = followed(true, wanted, case.dt_h)
            p[played, k], q[played, k] = power[:n], plan[1][:n, k]
            have[k], before[k] = float(stored[n - 1]), float(power[n - 1])
    return replayed(case, objective, p, q, status=PLAYED, begun=begun)


def _plan(case: ScheduleCase, objective: str, margin_pu: float) -> tuple[FloatArray, FloatArray]:
    band = case.limits.v_band
    narrow = None if band is None else (band[0] + margin_pu, band[1] - margin_pu)
    limits = replace(case.limits, v_band=narrow)
    return first_found(case, objective, ({"limits": limits}, {"limits": FREE}, {"limits": FREE, "caps": ()}))


def first_found(
    case: ScheduleCase, objective: str, tries: Iterable[Mapping[str, Any]]
) -> tuple[FloatArray, FloatArray]:
    """(steps, n_assets) P and Q of the best schedule of the first version of a case that has any; else rest.

    Args:
        case: What is to be scheduled.
        objective: One of `objectives.OBJECTIVES`.
        tries: Attributes that each version has in place of the case's own.
    """
    for changes in tries:
        try:
            found = best_schedule(replace(case, **changes), objective)
        except RunError:
            continue
        return found.p_mw, found.q_mvar
    wanted = idle(case)
    return wanted, np.zeros_like(wanted)


def _window(
    case: ScheduleCase, first: int, stop: int, have: Sequence[float], before: Sequence[float | None]
) -> ScheduleCase:
    """Some of the steps, from the state that has been reached."""
    assets = tuple(
        _settled(asset, first, stop, have[k], before[k], case.dt_h) for k, asset in enumerate(case.assets)
    )
    return case.window(first, stop, assets=assets)


def _settled(
    asset: Asset, first: int, stop: int, have: float, before: float | None, dt_h: float
) -> Asset:  # fmt: skip
    """A window of an asset that ends with what the day began with, as near as can be reached."""
    one = asset.window(first, stop, start_mwh=have, before_mw=before)
    store = one.reservoir
    if store is None or asset.reservoir is None:
        return one
    low, high = tube(asset, dt_h)
    least, most = store.least_mwh.copy(), store.most_mwh.copy()
    if stop < asset.steps:
        reach = have + np.cumsum(store.gained_mwh(one.p_min_mw, dt_h) - store.drained)[-1]
        wanted = min(asset.reservoir.start_mwh, reach - 1e-9)
        least[-1] = min(max(low[stop - 1], wanted), high[stop - 1])
        most[-1] = max(high[stop - 1], least[-1])
    return replace(one, reservoir=replace(store, least_mwh=least, most_mwh=most))
