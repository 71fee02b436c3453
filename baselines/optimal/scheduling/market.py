"""A market of energy at every bus: assets' bids cleared with the limits of the network.

Prices are the duals of the nodal balance, distribution locational marginal prices: F. C. Schweppe and others,
Spot Pricing of Electricity, Kluwer 1988; for feeders by the branch flow relaxation A. Papavasiliou, Analysis
of distribution locational marginal prices, IEEE Trans. Smart Grid 9 (2018) 4872-4882.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ...errors import RunError
from ..affine import FloatArray
from .case import ScheduleCase
from .objectives import asset_usd
from .plan import AssetSchedule, best_schedule


@dataclass(frozen=True, eq=False)
class Clearing:
    """What a market comes to.

    Attributes:
        schedule: What is bought and sold, with its bound and replay.
        price_usd_mwh: (steps, n_bus) of each bus; NaN at dead ones.
        paid_usd: (steps, n_assets) to assets for what they feed in; below 0 they pay.
        profit_usd: (n_assets,) that less their own costs.
        surplus_usd: What loads pay for active power beyond what head and assets are paid for it: losses at
            the margin and congestion. Reactive power is not paid, so it may be below 0.
    """

    schedule: AssetSchedule
    price_usd_mwh: FloatArray
    paid_usd: FloatArray
    profit_usd: FloatArray
    surplus_usd: float


def clear(case: ScheduleCase) -> Clearing:
    """Clear the bids of all assets over all steps: welfare is largest, and no asset would rather do other.

    A bid is the convex cost curve of an asset within its bounds and energies; the head sells and buys at its
    price. Everybody is paid the price of the own bus.

    Args:
        case: Of a radial balanced feeder; `Asset.points` are the bids.

    Raises:
        OverLimitsError: no trade keeps the limits of the network.
        RunError: a per-phase feeder, which has no duals here.
    """
    if case.per_phase:
        raise RunError("a market is cleared on radial balanced feeders: this one is per phase")
    schedule = best_schedule(case, "cost")
    assert schedule.lmp_usd_mwh is not None
    price, index = schedule.lmp_usd_mwh, case.net.feeder.node_index
    at = [index[asset.bus] for asset in case.assets]
    paid = case.dt_h * price[:, at] * schedule.p_mw
    profit = (paid - asset_usd(case, schedule.p_mw)).sum(axis=0)
    load = np.asarray(case.loads["p_mw"])
    bought = case.dt_h * float(np.nansum(price * load))
    at_head = case.dt_h * float(case.price_usd_mwh @ schedule.head_mw)
    return Clearing(schedule, price, paid, profit, bought - at_head - float(paid.sum()))
