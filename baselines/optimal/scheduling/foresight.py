"""Forecasts of a schedule as environments make them: by a forecaster whose draws are counted, not kept.

A forecast lacks the shocks between now and its interval, so that plans which are made later know more of the
same error; equal keys and intervals give equal forecasts, here and in an environment.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np

from .... import physics
from ....cases.assets.schema import PROFILE_SITES
from ....envs import Forecaster, ForecastError
from ....envs.core.columns import load_points
from ..affine import FloatArray
from .assets import Asset
from .case import ScheduleCase

_FADES_H = 12.0  # of relative errors: within a day they have grown


@dataclass(frozen=True, eq=False)
class Foresight:
    """What is forecast when a step of a schedule is decided.

    Attributes:
        forecaster: How forecasts err; None: they are the truth.
        exact: Whether the step that is decided is known; else it has the error of one step.
        key: Of the draws: an episode's of an environment, or any number.
        first: Interval of the year, in steps of the schedule, at which the schedule begins.
    """

    forecaster: Forecaster | None
    exact: bool = True
    key: int = 0
    first: int = 0

    def worse(self, factor: float) -> Foresight:
        """With standard errors that many times as large."""
        if self.forecaster is None or factor == 1.0:
            return self
        parts = {part.name: getattr(self.forecaster, part.name) for part in fields(self.forecaster)}
        models = {name: one for name, one in parts.items() if isinstance(one, ForecastError)}
        changed = {name: replace(one, std=factor * one.std) for name, one in models.items()}
        return replace(self, forecaster=replace(self.forecaster, **changed))

    def foretold(self, window: ScheduleCase, begins: int) -> ScheduleCase:
        """A window of a schedule, from step ``begins`` on, with forecasts in place of the truth."""
        if self.forecaster is None:
            return window
        leads = np.arange(window.steps)
        price = self._disturbed("price_usd_mwh", window.price_usd_mwh[:, None], begins + leads, window.dt_h)
        offers = {
            kind: self._factors(kind, sites + len(window.assets), begins + leads, window.dt_h)
            for kind, sites in (("pv", PROFILE_SITES["pv"]), ("wind", PROFILE_SITES["wind"]))
            if any(asset.offered and _source(asset) == kind for asset in window.assets)
        }
        assets = tuple(
            _offering(asset, offers[_source(asset)][:, _column(asset, k)]) if asset.offered else asset
            for k, asset in enumerate(window.assets)
        )
        loads = self._loads(window, begins + leads)
        return replace(window, assets=assets, loads=loads, price_usd_mwh=price[:, 0])

    def _loads(self, window: ScheduleCase, steps: Any) -> dict[str, Any]:
        net, points = window.net, load_points(window.net.feeder)
        factor = self._factors("load", len(points.names), steps, window.dt_h)
        if not isinstance(net, physics.Network3):
            return {n: v * factor if n in ("p_mw", "q_mvar") else v for n, v in window.loads.items()}
        slots = np.ones((len(steps), 2, net.n_bus, 3))
        slots.reshape(len(steps), -1)[:, points.slot] = factor
        by = {"p_mw": 0, "q_mvar": 0, "p_delta_mw": 1, "q_delta_mvar": 1}
        return {n: v * slots[:, by[n]] if n in by else v for n, v in window.loads.items()}

    def _factors(self, quantity: str, columns: int, steps: Any, dt_h: float) -> FloatArray:
        """(leads, columns) what forecasts are to the truth."""
        return self._disturbed(quantity, np.ones((len(steps), columns)), steps, dt_h)

    def _disturbed(self, quantity: str, truth: FloatArray, steps: Any, dt_h: float) -> FloatArray:
        """(leads, columns); what is known stands before the first where that is not known itself."""
        assert self.forecaster is not None
        at = self.first + np.asarray(steps)
        if not self.exact:
            at, truth = np.append(at[0] - 1, at), np.concatenate([truth[:1], truth])
        keys = np.array([self.key], dtype=np.uint64)
        found = self.forecaster.disturbed(quantity, truth[None], keys, at[None], dt_h)[0]
        return found if self.exact else found[1:]


def relative_errors(error: float, price_usd_mwh: FloatArray) -> Forecaster:
    """Forecasts of load, sun, wind and prices that err alike at all places.

    Args:
        error: Standard deviation a day ahead, as share of the value, of prices as share of their mean.
        price_usd_mwh: (steps,).
    """
    alike = ForecastError(error, _FADES_H, shared=1.0)
    price = ForecastError(error * float(np.abs(price_usd_mwh).mean()), _FADES_H, shared=1.0)
    return Forecaster(load=alike, pv=alike, wind=alike, price_usd_mwh=price)


def key_of(seed: int, number: int) -> int:
    """Of draws that no environment has."""
    return int(np.random.SeedSequence((seed, number)).generate_state(1, np.uint64)[0] >> np.uint64(1))


def _source(asset: Asset) -> str:
    return "wind" if asset.kind == "wind" else "pv"


def _column(asset: Asset, k: int) -> int:
    """That of its site; plants with a series of their own have columns behind those of all sites."""
    return PROFILE_SITES[_source(asset)] + k if asset.site is None else asset.site


def _offering(asset: Asset, factor: FloatArray) -> Asset:
    """Less or more sun or wind, at most what the plant can give; what cannot be curtailed follows."""
    high = np.minimum(asset.p_max_mw * factor, np.maximum(asset.offers_most_mw, asset.p_max_mw))
    return replace(asset, p_max_mw=high, p_min_mw=np.minimum(asset.p_min_mw * factor, high))
