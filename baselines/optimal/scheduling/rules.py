"""Rules that schedule without a network model: what optima are compared with."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from ...errors import unknown
from ..affine import FloatArray
from .assets import Asset, tube
from .case import ScheduleCase
from .plan import PLAYED, AssetSchedule, replayed

_SHARE = 1.0 / 3.0  # of the steps that count as cheap, and as dear
_HALVINGS = 60


def idle(case: ScheduleCase) -> FloatArray:
    """(steps, n_assets) sun and wind give what they offer, all else is idle; cars are charged at once."""
    p = np.zeros((case.steps, len(case.assets)))
    for k, asset in enumerate(case.assets):
        if asset.offered:
            p[:, k] = asset.p_max_mw
        elif asset.kind in _NEEDY:
            p[:, k] = asset.p_min_mw
    return p


def tariff(case: ScheduleCase) -> FloatArray:
    """(steps, n_assets) reservoirs draw at full power in the cheapest third of the steps and give it in the
    dearest; generators run where the price is above their marginal cost.
    """
    p, price = idle(case), case.price_usd_mwh
    cheap, dear = np.quantile(price, _SHARE), np.quantile(price, 1.0 - _SHARE)
    for k, asset in enumerate(case.assets):
        if asset.reservoir is not None:
            wanted = np.where(price <= cheap, asset.p_min_mw, np.where(price >= dear, asset.p_max_mw, 0.0))
            p[:, k] = wanted if cheap < dear else 0.0
        elif asset.points and not asset.offered:
            p[:, k] = _in_merit(asset, price)
    return p


def self_consumption(case: ScheduleCase) -> FloatArray:
    """(steps, n_assets) batteries take up what their aggregator feeds in beyond the load at its buses, and
    cover that load afterwards. Assets without an aggregator count as one.
    """
    p, load = idle(case), _load_mw(case)
    for name in sorted({asset.agg for asset in case.assets}):
        mine = [k for k, asset in enumerate(case.assets) if asset.agg == name]
        buses = sorted({case.net.feeder.node_index[case.assets[k].bus] for k in mine})
        batteries = [k for k in mine if _is_battery(case.assets[k])]
        size = sum(float(case.assets[k].p_max_mw.max()) for k in batteries)
        if not size > 0.0:
            continue
        others = p[:, [k for k in mine if k not in batteries]].sum(axis=1)
        needed = load[:, buses].sum(axis=1) - others
        for k in batteries:
            p[:, k] = needed * float(case.assets[k].p_max_mw.max()) / size
    return p


def valley_filling(case: ScheduleCase) -> FloatArray:
    """(steps, n_assets) what must be drawn is drawn where the feeder's load is least: one asset after the
    other fills the valley up to the level at which its energy is there.
    """
    p = idle(case)
    needy = [k for k, asset in enumerate(case.assets) if asset.reservoir is not None and asset.kind in _NEEDY]
    rest = [k for k in range(len(case.assets)) if k not in needy]
    base = _load_mw(case).sum(axis=1) - p[:, rest].sum(axis=1)
    for k in needy:
        p[:, k] = _filled(case.assets[k], base, case.dt_h)
        base = base - p[:, k]
    return p


_NEEDY = ("ev", "heat_pump", "data_center")  # what draws where nobody says otherwise
RULES: Mapping[str, Callable[[ScheduleCase], FloatArray]] = {
    "idle": idle, "tariff": tariff, "self-consumption": self_consumption, "valley-filling": valley_filling,
}  # fmt: skip


def by_rule(case: ScheduleCase, rule: str, objective: str = "cost") -> AssetSchedule:
    """What a rule does, brought inside the assets' own limits and replayed; limits of the grid are its luck.

    Args:
        case: Feeder, assets, loads, prices.
        rule: One of `RULES`.
        objective: That it is judged by.

    Raises:
        RunError: an unknown rule.
    """
    if rule not in RULES:
        raise unknown("rule", rule, RULES)
    wanted = RULES[rule](case)
    return replayed(case, objective, wanted, np.zeros_like(wanted), status=PLAYED)


def _is_battery(asset: Asset) -> bool:
    return asset.reservoir is not None and float(asset.p_max_mw.max()) > 0.0 and asset.kind not in _NEEDY


def _load_mw(case: ScheduleCase) -> FloatArray:
    """(steps, n_bus) of all phases."""
    steps, n = case.steps, case.net.n_bus
    parts = [np.asarray(case.loads[name]) for name in ("p_mw", "p_delta_mw") if name in case.loads]
    return np.asarray(sum(part.reshape(steps, n, -1).sum(axis=2) for part in parts))


def _in_merit(asset: Asset, price: FloatArray) -> FloatArray:
    """The power at which one more MWh costs what it is paid."""
    points = np.array(asset.points, dtype=np.float64)
    candidates = np.clip(points[:, 0][None], asset.p_min_mw[:, None], asset.p_max_mw[:, None])
    gain = price[:, None] * candidates - np.stack(
        [asset.cost_usd_per_h(candidates[:, j]) for j in range(candidates.shape[1])], axis=1
    )
    return np.asarray(candidates[np.arange(price.size), gain.argmax(axis=1)])


def _filled(asset: Asset, base: FloatArray, dt_h: float) -> FloatArray:
    """Power that fills valleys of a base, stay by stay: a stay ends where energy is required."""
    store = asset.reservoir
    assert store is not None
    p, low = np.zeros(asset.steps), tube(asset, dt_h)[0]
    have, first = store.start_mwh, 0
    ends = np.flatnonzero(_required(store.least_mwh, have))
    for end in ends.tolist():
        part = slice(first, end + 1)
        drained = float(store.drained[part].sum())
        need = max(float(low[end]) + drained - have, 0.0) / (dt_h * store.eta_charge)
        most = np.maximum(-asset.p_min_mw[part], 0.0)
        drawn = _at_level(base[part], most, need)
        p[part] = -drawn
        have += float(drawn.sum()) * dt_h * store.eta_charge - drained
        first = end + 1
    return p


def _required(least_mwh: FloatArray, start_mwh: float) -> NDArray[np.bool_]:
    """Steps after which more must be there than ever before."""
    before = np.maximum.accumulate(np.concatenate([[start_mwh], least_mwh[:-1]]))
    return np.asarray(least_mwh > before + 1e-12)


def _at_level(base: FloatArray, most: FloatArray, total: float) -> FloatArray:
    """Power up to ``most`` that lifts a base to one level and adds up to ``total``."""
    low, high = float(base.min()), float((base + most).max())
    for _ in range(_HALVINGS):
        level = 0.5 * (low + high)
        if np.clip(level - base, 0.0, most).sum() < total:
            low = level
        else:
            high = level
    return np.clip(high - base, 0.0, most)
