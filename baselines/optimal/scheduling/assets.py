"""What a schedule sets: power of an asset in every step, and the energy behind it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from ...errors import RunError
from ..affine import FloatArray


@dataclass(frozen=True, eq=False)
class Reservoir:
    """Energy that an asset's power fills and empties: of a battery, of cars at a station, of shifted load.

    After step t there is E(t) = E(t-1) + dt (eta_charge c - d / eta_discharge) - drained(t), with c drawn
    from and d given to the grid.

    Attributes:
        start_mwh: Before the first step.
        least_mwh, most_mwh: (steps,) bounds after each step. Where they meet, a value is required.
        eta_charge, eta_discharge: Above 0, at most 1.
        drained_mwh: (steps,) what leaves by itself.
        wear_usd_mwh: Price of a MWh through the terminals, either way.
        capacity_mwh: To which a state of charge refers; NaN: it has none.

    Raises:
        ValueError: efficiencies beyond 1, bounds out of order.
    """

    start_mwh: float
    least_mwh: FloatArray
    most_mwh: FloatArray
    eta_charge: float = 0.95
    eta_discharge: float = 0.95
    drained_mwh: FloatArray | None = None
    wear_usd_mwh: float = 0.0
    capacity_mwh: float = np.nan

    def __post_init__(self) -> None:
        for name in ("eta_charge", "eta_discharge"):
            if not 0.0 < vars(self)[name] <= 1.0:
                raise ValueError(f"{name} must be above 0 and at most 1, got {vars(self)[name]!r}")
        if (self.least_mwh > self.most_mwh).any():
            t = int(np.flatnonzero(self.least_mwh > self.most_mwh)[0])
            low, high = self.least_mwh[t], self.most_mwh[t]
            raise ValueError(f"step {t}: least_mwh {low:g} is above most_mwh {high:g}")

    @property
    def drained(self) -> FloatArray:
        """(steps,) MWh."""
        return np.zeros_like(self.least_mwh) if self.drained_mwh is None else self.drained_mwh

    def gained_mwh(self, p_mw: FloatArray, dt_h: float) -> FloatArray:
        """What power at the terminals, positive when given, adds in a step."""
        taken = np.minimum(p_mw, 0.0)
        return np.asarray(-dt_h * (self.eta_charge * taken + (p_mw - taken) / self.eta_discharge))

    def power_for(self, gained_mwh: float, dt_h: float) -> float:
        """The power that adds so much in a step."""
        share = 1.0 / self.eta_charge if gained_mwh > 0.0 else self.eta_discharge
        return -gained_mwh * share / dt_h


@dataclass(frozen=True, eq=False)
class Asset:
    """A resource over the steps of a schedule; power is positive when fed in.

    Attributes:
        name: Id. bus: Node id. phase: Letters of the phases that it stands on.
        kind: Type, such as "pv".
        p_min_mw, p_max_mw, q_min_mvar, q_max_mvar: (steps,) bounds.
        s_mva: Apparent power of the inverter; inf: the box is all.
        ramp_up_mw_per_h, ramp_down_mw_per_h: Most change of power from step to step.
        before_mw: Power of the step before the first, which ramps start from; None: any.
        points: Convex cost of power, (p_mw, usd_per_h), in rising order; none: it costs nothing.
        offered: Whether sun or wind offer its power, so that less is curtailment.
        offers_mw: (steps,) what they offer, where p_max_mw is less by order; None: p_max_mw.
        site: Of the profiles, whose sun or wind it has; None: series of its own.
        offers_most_mw: What no forecast of sun or wind exceeds.
        reservoir: Energy behind it.
        agg, owner: Who speaks for it; "" for nobody.
        priority: The lowest is called first.

    Raises:
        RunError: bounds of other lengths or out of order, a ramp below 0.
    """

    name: str
    bus: str
    p_min_mw: FloatArray
    p_max_mw: FloatArray
    q_min_mvar: FloatArray
    q_max_mvar: FloatArray
    kind: str = ""
    phase: str = "ABC"
    s_mva: float = np.inf
    ramp_up_mw_per_h: float = np.inf
    ramp_down_mw_per_h: float = np.inf
    before_mw: float | None = None
    points: tuple[tuple[float, float], ...] = ()
    offered: bool = False
    offers_mw: FloatArray | None = None
    reservoir: Reservoir | None = None
    agg: str = ""
    owner: str = ""
    priority: int = 1
    site: int | None = None
    offers_most_mw: float = np.inf

    def __post_init__(self) -> None:
        steps = np.size(self.p_min_mw)
        for low, high in (("p_min_mw", "p_max_mw"), ("q_min_mvar", "q_max_mvar")):
            a, b = (np.asarray(vars(self)[name], dtype=np.float64) for name in (low, high))
            if a.shape != (steps,) or b.shape != (steps,) or not np.isfinite([a, b]).all():
                raise RunError(f"asset {self.name!r}: {low} and {high} must be {steps} finite numbers")
            if (a > b).any():
                t = int(np.flatnonzero(a > b)[0])
                raise RunError(f"asset {self.name!r}: {low} {a[t]:g} is above {high} {b[t]:g} in step {t}")
        for name in ("ramp_up_mw_per_h", "ramp_down_mw_per_h"):
            if not vars(self)[name] >= 0.0:
                raise RunError(f"asset {self.name!r}: {name} must be 0 or more, got {vars(self)[name]!r}")

    @property
    def steps(self) -> int:
        """Of the schedule."""
        return int(np.size(self.p_min_mw))

    @property
    def offer_mw(self) -> FloatArray:
        """(steps,) what sun or wind offer."""
        return self.p_max_mw if self.offers_mw is None else self.offers_mw

    def cost_usd_per_h(self, p_mw: FloatArray) -> FloatArray:
        """(steps,) of power."""
        if not self.points:
            return np.zeros(np.shape(p_mw))
        slope, intercept = pieces(self.points)
        return np.asarray((np.multiply.outer(p_mw, slope) + intercept).max(axis=-1))

    def window(self, first: int, stop: int, *, start_mwh: float, before_mw: float | None) -> Asset:
        """The same asset over some of the steps, from another state."""
        part = slice(first, stop)
        bounds = {name: vars(self)[name][part] for name in _BOUNDS}
        store = self.reservoir
        if store is not None:
            store = replace(
                store, start_mwh=start_mwh, least_mwh=store.least_mwh[part], most_mwh=store.most_mwh[part],
                drained_mwh=store.drained[part],
            )  # fmt: skip
        offers = None if self.offers_mw is None else self.offers_mw[part]
        return replace(self, **bounds, offers_mw=offers, reservoir=store, before_mw=before_mw)


_BOUNDS = ("p_min_mw", "p_max_mw", "q_min_mvar", "q_max_mvar")


def pieces(points: Sequence[tuple[float, float]]) -> tuple[FloatArray, FloatArray]:
    """Slope and intercept of each straight piece of a cost; the cost is the largest of them."""
    p, cost = np.array(points, dtype=np.float64).T
    slope = np.diff(cost) / np.diff(p)
    return slope, cost[:-1] - slope * p[:-1]


# -- what energy allows -----------------------------------------------------------------------------------


def tube(asset: Asset, dt_h: float) -> tuple[FloatArray, FloatArray]:
    """(steps,) least and most energy after each step from which all later bounds can be kept.

    Ramps are not considered.
    """
    store = asset.reservoir
    assert store is not None
    least_gain, most_gain = (store.gained_mwh(p, dt_h) for p in (asset.p_max_mw, asset.p_min_mw))
    low, high = store.least_mwh.copy(), store.most_mwh.copy()
    for t in range(asset.steps - 2, -1, -1):
        low[t] = max(low[t], low[t + 1] - most_gain[t + 1] + store.drained[t + 1])
        high[t] = min(high[t], high[t + 1] - least_gain[t + 1] + store.drained[t + 1])
    return low, high


def short_mwh(asset: Asset, dt_h: float) -> float:
    """Energy by which an asset misses its bounds whatever it does; 0 where it can keep them."""
    if asset.reservoir is None:
        return 0.0
    store, (low, high) = asset.reservoir, tube(asset, dt_h)
    reach = [store.gained_mwh(p[:1], dt_h)[0] for p in (asset.p_max_mw, asset.p_min_mw)]
    begin = store.start_mwh - store.drained[0]
    missing = (low[0] - begin - reach[1], begin + reach[0] - high[0], float((low - high).max()))
    return max(0.0, *missing)


def check_energy(assets: Sequence[Asset], dt_h: float) -> None:
    """RunError for an asset that cannot keep its own bounds of energy."""
    for asset in assets:
        short = short_mwh(asset, dt_h)
        if short > 1e-9:
            raise RunError(
                f"asset {asset.name!r} cannot keep its own limits of energy: at full power it is short of "
                f"{short:.4g} MWh (start, power, efficiency and required energy do not fit together)"
            )


def followed(asset: Asset, wanted_mw: FloatArray, dt_h: float) -> tuple[FloatArray, FloatArray]:
    """(steps,) the power nearest to what is wanted that keeps bounds, ramps and energy; (steps,) MWh after.

    Energy is kept on the way from which later requirements can still be met. It never charges and
    discharges in one step. The energies obey their identity to rounding.
    """
    p = np.empty(asset.steps)
    stored = np.full(asset.steps, np.nan)
    before, have = asset.before_mw, 0.0
    store = asset.reservoir
    if store is not None:
        (low, high), have = tube(asset, dt_h), store.start_mwh
    for t in range(asset.steps):
        least, most = float(asset.p_min_mw[t]), float(asset.p_max_mw[t])
        if before is not None:
            least = max(least, min(before - asset.ramp_down_mw_per_h * dt_h, most))
            most = min(most, max(before + asset.ramp_up_mw_per_h * dt_h, least))
        value = min(max(float(wanted_mw[t]), least), most)
        if store is not None:
            there = have - store.drained[t]
            top = store.power_for(low[t] - there, dt_h)  # the most that may be given
            bottom = store.power_for(high[t] - there, dt_h)
            value = min(max(value, bottom), top)
            have = there + float(store.gained_mwh(np.array(value), dt_h))
            stored[t] = have
        p[t] = before = value
    return p, stored
