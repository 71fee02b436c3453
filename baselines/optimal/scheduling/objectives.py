"""What schedules are made for: in a program, and of what was played."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..affine import Affine, FloatArray
from ..program import Program
from .case import ScheduleCase
from .rows import AssetColumns

#: Objectives and their units; all but revenue are made small.
OBJECTIVES = {"cost": "USD", "revenue": "USD", "min-curtailment": "MWh", "min-peak": "MW"}


@dataclass(frozen=True, eq=False)
class Played:
    """What was played, replayed: (steps, n_assets) power and (steps,) power of the head."""

    p_mw: FloatArray
    head_mw: FloatArray


def to_minimise(
    name: str, program: Program, case: ScheduleCase, head_mw: Affine, columns: AssetColumns
) -> Affine:
    """() an objective in a program, made small: of revenue its negative.

    Args:
        name: One of `OBJECTIVES`. Cost: energy through the head at its price, the assets' own costs, wear.
            Revenue: what the assets are paid for their energy at the same price, less their costs and wear.
            Min-curtailment: energy that sun and wind offer and that is not fed in. Min-peak: the largest
            import through the head.
        program: Of the columns.
        case: Prices.
        head_mw: (steps,) power of all sources.
        columns: Of the assets.
    """
    price = case.dt_h * case.price_usd_mwh
    if name == "cost":
        return (price * head_mw).sum() + columns.usd
    if name == "revenue":
        return columns.usd - (price[:, None] * columns.p).sum()
    if name == "min-curtailment":
        return columns.curtailed_mwh
    return program.most(head_mw, floor=0.0)


def value_of(name: str, case: ScheduleCase, played: Played) -> float:
    """The objective of what was played, in its unit; revenue as such."""
    if name == "cost":
        return case.dt_h * float(case.price_usd_mwh @ played.head_mw) + own_usd(case, played.p_mw)
    if name == "revenue":
        return float(income_usd(case, played.p_mw).sum()) - own_usd(case, played.p_mw)
    if name == "min-curtailment":
        return float(curtailed_mw(case, played.p_mw).sum()) * case.dt_h
    return max(float(played.head_mw.max()), 0.0)


def sign_of(name: str) -> float:
    """-1 of what is made large."""
    return -1.0 if name == "revenue" else 1.0


def asset_usd(case: ScheduleCase, p_mw: FloatArray) -> FloatArray:
    """(steps, n_assets) costs of power and wear."""
    found = np.zeros(p_mw.shape)
    for k, asset in enumerate(case.assets):
        found[:, k] = asset.cost_usd_per_h(p_mw[:, k])
        if asset.reservoir is not None:
            found[:, k] += asset.reservoir.wear_usd_mwh * np.abs(p_mw[:, k])
    return case.dt_h * found


def own_usd(case: ScheduleCase, p_mw: FloatArray) -> float:
    """Costs of power and wear of all."""
    return float(asset_usd(case, p_mw).sum())


def income_usd(case: ScheduleCase, p_mw: FloatArray) -> FloatArray:
    """(steps, n_assets) what energy is paid at the price of the head."""
    return np.asarray(case.dt_h * case.price_usd_mwh[:, None] * p_mw)


def curtailed_mw(case: ScheduleCase, p_mw: FloatArray) -> FloatArray:
    """(steps, n_assets) of what sun and wind offer."""
    found = np.zeros(p_mw.shape)
    for k, asset in enumerate(case.assets):
        if asset.offered:
            found[:, k] = np.maximum(asset.offer_mw - p_mw[:, k], 0.0)
    return found
