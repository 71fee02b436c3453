"""What may go otherwise on a day: events, and the case that they make of another.

What lies behind a line that is out draws and feeds nothing, and its voltages are not judged; on a radial
feeder that is the feeder with the line open, but for what lines and banks behind it draw themselves.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ....cases.model.topology import branch_ends, spanning_forest
from ..affine import FloatArray, IntArray
from .assets import Asset
from .case import ScheduleCase, steps_between, times

DAY_H = 24.0
PRICE, LOAD, SUN, WIND = "price", "load", "sun", "wind"
LINE, ASSET = "line-outage", "asset-outage"
FORECAST, COMMUNICATION = "forecast-error", "communication-loss"
#: Kinds of events.
KINDS = (PRICE, LOAD, SUN, WIND, LINE, ASSET, FORECAST, COMMUNICATION)
#: Those that happen to an element: nobody knows of them before they begin.
OF_ELEMENT = (LINE, ASSET, COMMUNICATION)
_BOUNDS = ("p_min_mw", "p_max_mw", "q_min_mvar", "q_max_mvar")


class Event(NamedTuple):
    """Something that goes otherwise between two hours of the day.

    Attributes:
        kind: One of `KINDS`.
        element: A branch of a line outage; an asset or an aggregator of an asset outage and of a loss of
            communication; "" of the others, which are of the whole feeder.
        from_h, to_h: Hours after midnight; a step is touched where it overlaps.
        factor: By which price, load, sun, wind or the standard error of forecasts is multiplied; 0 else.
    """

    kind: str
    element: str
    from_h: float
    to_h: float
    factor: float

    def steps(self, n: int, dt_h: float) -> slice:
        """Steps that it touches."""
        return steps_between(self.from_h, self.to_h, n, dt_h)


@dataclass(frozen=True, eq=False)
class World:
    """A case as it turns out.

    Attributes:
        case: With all that happened.
        dead: (steps, n_bus) buses without supply.
        unserved_mwh: Load of those buses.
        unmet_mwh: Energy that assets with a duty, such as cars, cannot have any more whatever they do.
        silent: (steps, n_assets) assets that hear nothing and keep their last setpoint.
        error_factor: Times the standard error of forecasts.
    """

    case: ScheduleCase
    dead: NDArray[np.bool_]
    unserved_mwh: float
    unmet_mwh: float
    silent: NDArray[np.bool_]
    error_factor: float

    def heard(self, p_mw: FloatArray, q_mvar: FloatArray) -> tuple[FloatArray, FloatArray]:
        """(steps, n_assets) what is set where setpoints do not arrive: the last ones that did, else none."""
        p, q = p_mw.copy(), q_mvar.copy()
        for t, k in np.argwhere(self.silent):
            p[t, k], q[t, k] = (p[t - 1, k], q[t - 1, k]) if t else (0.0, 0.0)
        return p, q


def world_of(case: ScheduleCase, events: Sequence[Event]) -> World:
    """The case that events make of another.

    Args:
        case: As it was thought to be.
        events: Of elements of its feeder and of its assets.

    Raises:
        KeyError: an element that is not there.
    """
    steps, dt_h = case.steps, case.dt_h
    dead = np.zeros((steps, case.net.n_bus), dtype=bool)
    out, silent = (np.zeros((steps, len(case.assets)), dtype=bool) for _ in range(2))
    factors, error = of_day(events, steps, dt_h), 1.0
    for event in events:
        part = event.steps(steps, dt_h)
        if event.kind in factors:
            continue
        if event.kind == LINE:
            dead[part] |= behind(case, event.element)
        elif event.kind == FORECAST:
            error *= event.factor
        else:
            (out if event.kind == ASSET else silent)[part, members(case.assets, event.element)] = True
    out |= dead[:, [case.net.feeder.node_index[asset.bus] for asset in case.assets]]
    assets, unmet = [], 0.0
    for k, asset in enumerate(case.assets):
        factor = factors[WIND if asset.kind == "wind" else SUN] if asset.offered else np.ones(steps)
        one, short = _cut_off(_offered(asset, factor), out[:, k], dt_h)
        assets.append(one)
        unmet += short
    loads = times(case.loads, factors[LOAD])
    unserved = dt_h * sum(
        float(np.asarray(loads[name]).reshape(steps, case.net.n_bus, -1).sum(axis=2)[dead].sum())
        for name in ("p_mw", "p_delta_mw")
        if name in loads
    )
    served, price = times(loads, np.where(dead, 0.0, 1.0)), case.price_usd_mwh * factors[PRICE]
    found = replace(case, assets=tuple(assets), loads=served, price_usd_mwh=price)
    return World(found, dead, unserved, unmet, silent, error)


def of_day(events: Sequence[Event], steps: int, dt_h: float) -> dict[str, FloatArray]:
    """(steps,) factors on price, load, sun and wind, by kind."""
    found = {kind: np.ones(steps) for kind in (PRICE, LOAD, SUN, WIND)}
    for event in events:
        if event.kind in found:
            found[event.kind][event.steps(steps, dt_h)] *= event.factor
    return found


def begun(events: Sequence[Event], hour: float) -> tuple[Event, ...]:
    """What a planner can know at an hour: outages that have begun, and all that is of the whole feeder."""
    return tuple(event for event in events if event.kind not in OF_ELEMENT or event.from_h <= hour)


def behind(case: ScheduleCase, branch: str) -> NDArray[np.bool_]:
    """(n_bus,) buses that lose their supply without a branch of a radial feeder; none of an open one."""
    feeder = case.net.feeder
    parent, depth = (np.asarray(part) for part in spanning_forest(feeder))
    lower = lower_ends(case)[feeder.branch_index[branch]]
    found = np.zeros(feeder.n_nodes, dtype=bool)
    for node in np.argsort(depth, kind="stable"):
        found[node] = node == lower or (parent[node] >= 0 and found[parent[node]])
    return found


def lower_ends(case: ScheduleCase) -> IntArray:
    """(n_branch,) the bus that hangs on each branch of a radial feeder; -1: on an open one hangs none."""
    parent = np.asarray(spanning_forest(case.net.feeder)[0])
    near, far = branch_ends(case.net.feeder).T
    return np.where(parent[far] == near, far, np.where(parent[near] == far, near, -1))


def members(assets: Sequence[Asset], element: str) -> list[int]:
    """Rows of an asset or of an aggregator's assets; KeyError for neither."""
    found = [k for k, asset in enumerate(assets) if element in (asset.name, asset.agg)]
    if not found:
        raise KeyError(element)
    return found


# -- assets -----------------------------------------------------------------------------------------------


def _offered(asset: Asset, factor: FloatArray) -> Asset:
    """Less or more sun or wind, up to the most that was ever offered and what is ordered."""
    if not asset.offered:
        return asset
    offers = np.minimum(asset.offer_mw * factor, max(float(asset.offer_mw.max()), 0.0))
    most = np.maximum(np.minimum(np.where(asset.p_max_mw < asset.offer_mw, asset.p_max_mw, offers), offers),
                      asset.p_min_mw)  # fmt: skip
    return replace(asset, p_max_mw=most, offers_mw=offers)


def _cut_off(asset: Asset, out: NDArray[np.bool_], dt_h: float) -> tuple[Asset, float]:
    """An asset that does nothing in some steps, and the energy that it then lacks."""
    if not out.any():
        return asset, 0.0
    rest = {name: np.where(out, 0.0, vars(asset)[name]) for name in _BOUNDS}
    offers = None if asset.offers_mw is None else np.where(out, 0.0, asset.offers_mw)
    one = replace(
        asset, p_min_mw=rest["p_min_mw"], p_max_mw=rest["p_max_mw"], q_min_mvar=rest["q_min_mvar"],
        q_max_mvar=rest["q_max_mvar"], offers_mw=offers, reservoir=None, ramp_up_mw_per_h=np.inf,
        ramp_down_mw_per_h=np.inf,
    )  # fmt: skip
    store = asset.reservoir
    if store is None:
        return one, 0.0
    reach, have = np.empty(asset.steps), store.start_mwh
    up, down = (store.gained_mwh(p, dt_h) for p in (one.p_min_mw, one.p_max_mw))
    for t in range(asset.steps):
        have = reach[t] = max(min(have - store.drained[t] + up[t], store.most_mwh[t]),
                              have - store.drained[t] + down[t])  # fmt: skip
    least, most = np.minimum(store.least_mwh, reach), np.maximum(store.most_mwh, reach)
    short = float(np.maximum(store.least_mwh - least, 0.0).max())
    return replace(one, reservoir=replace(store, least_mwh=least, most_mwh=most)), short
