"""Electric vehicles at charging stations: the spec that people write and the array program that runs."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple, Protocol, cast, runtime_checkable

import numpy as np

from ...cases import profiles as prof
from ...cases.profiles.calendar import HOURS_PER_DAY
from ..kernels.devices import ChargerAccounts, Chargers, Plans, ev_advance, ev_observe
from .base import (
    BindContext,
    Entry,
    Exogenous,
    Floats,
    Ints,
    Resource,
    ResourceSpec,
    bus_id,
    check_choice,
    check_number,
    check_phase,
)
from .outlook import Outlook, Session
from .times import KNOWN

_PERIOD_H = {"daily": HOURS_PER_DAY, "weekly": 7.0 * HOURS_PER_DAY}
_LONGER = "; write longer stays with repeats='weekly'"
_ROUND = 1e-9  # hours by which a time may miss the boundary of an interval that it means


class ChargingSession(NamedTuple):
    """One car: hours after midnight when it comes and leaves, and the MWh that it needs in its battery.

    A departure before the arrival is that of the next day (in a weekly plan: of the next week), and may also
    be written as hours beyond 24: (18, 7, e) and (18, 31, e) are the same night.
    """

    arrival_h: float
    departure_h: float
    energy_mwh: float


@dataclass(frozen=True)
class EV(ResourceSpec):
    """A charging station with one outlet, and the cars that come to it.

    Action p: -1 charges at `p_mw`, +1 discharges at `v2g_mw` (0: rests), linear between; the neutral action
    is -1, what a station without control does. A car charges from the first whole interval after its arrival
    to the last before its departure, takes no more than it needs, and gives back no more than it has taken
    since it came. What it lacks when it leaves is the cost `undelivered`, `undelivered_cost_per_mwh` USD for
    each MWh. Charging P for dt gives the car `P * dt * eta_charge`; discharging P takes
    `P * dt / eta_discharge` from it. Observed: `plugged_in` (0 or 1), `need_mwh`, what the car still needs,
    and `departure_h`, the hours until it leaves; a car that comes later is not announced. A car that stands
    there when the episode begins has charged since it came, as it does where nobody controls; what one lacks
    that stays beyond its end is the account `owed_mwh` of the last interval (what the station is still to
    draw for the cars there), which tasks settle.

    - `bus`: node id. `p_mw`: power of the station.
    - `sessions`: cars of every day, as `ChargingSession` or (arrival_h, departure_h, energy_mwh), no two at a
      time; a car may stay overnight, up to the hour at which it comes again. None: each day is drawn anew
      from what the stations of `site` ("jpl", a workplace; "caltech", a campus) saw on such a weekday in
      2019, idle days included, stays beyond midnight (2 %) not; `eta_charge` times the energy that was
      metered there is needed, and no more than this station can give.
    - `v2g_mw`: power of discharging (default: none). `v2g_cost_per_mwh`: price of a MWh that a car gives
      back, the cost `wear` of its battery.
    - `cars`: how many come and leave together where each day is drawn, in a car park that is one station: the
      energy that they need is so many times that of one.
    - `repeats`: "daily", or "weekly": hours of `sessions` then count from Monday, 0 to 168, and a car may
      stay for several days.

    Raises ValueError for values that cannot be.
    """

    kind: ClassVar[str] = "ev"

    bus: str | int
    p_mw: float
    sessions: Sequence[ChargingSession | tuple[float, float, float]] | None = None
    site: str = "jpl"
    eta_charge: float = 0.95
    eta_discharge: float = 0.95
    v2g_mw: float = 0.0
    undelivered_cost_per_mwh: float = 1.0
    phase: str = "ABC"
    name: str | None = None
    repeats: str = "daily"
    v2g_cost_per_mwh: float = 0.0
    cars: int = 1

    def __post_init__(self) -> None:
        object.__setattr__(self, "bus", bus_id(self.bus))
        who = f"EV at bus {self.bus}"
        check_number(who, "p_mw", self.p_mw, 0.0, math.inf, open_low=True)
        check_number(who, "v2g_mw", self.v2g_mw, 0.0, math.inf)
        check_number(who, "eta_charge", self.eta_charge, 0.0, 1.0, open_low=True)
        check_number(who, "eta_discharge", self.eta_discharge, 0.0, 1.0, open_low=True)
        check_number(who, "undelivered_cost_per_mwh", self.undelivered_cost_per_mwh, 0.0, math.inf)
        check_number(who, "v2g_cost_per_mwh", self.v2g_cost_per_mwh, 0.0, math.inf)
        if self.v2g_cost_per_mwh > 0.0 and self.v2g_mw == 0.0:
            raise ValueError(
                f"{who}: v2g_cost_per_mwh is {self.v2g_cost_per_mwh:g}, but v2g_mw is 0; expected 0"
            )
        check_choice(who, "site", self.site, prof.CHARGER_SITES)
        check_phase(who, self.phase)
        check_choice(who, "repeats", self.repeats, tuple(_PERIOD_H))
        check_count(who, "cars", self.cars)
        if self.sessions is not None and self.cars != 1:
            raise ValueError(
                f"{who}: cars={self.cars!r} is for days that are drawn: sessions= say what they need"
            )
        if self.sessions is not None:
            object.__setattr__(self, "sessions", _checked(who, self.sessions, _PERIOD_H[self.repeats]))

    @property
    def most_needed_mwh(self) -> float:
        """The most that a car can need."""
        if self.sessions is None:
            return HOURS_PER_DAY * self.p_mw * self.eta_charge
        return max((energy for *_, energy in self.sessions), default=0.0)

    @property
    def longest_stay_h(self) -> float:
        """The most hours for which a car stays: a day, or more where one of `sessions` does."""
        return max((leave - come for come, leave, _ in self.sessions or ()), default=0.0)

    @staticmethod
    def program(specs: Sequence[EV]) -> EVProgram:
        """All `specs` as one array program."""
        return WornEVProgram(specs) if any(s.v2g_cost_per_mwh for s in specs) else EVProgram(specs)


def check_count(owner: str, label: str, value: object) -> None:
    """ValueError unless `value` is a whole number of at least 1."""
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < 1:
        raise ValueError(f"{owner}: {label} must be a whole number of at least 1, got {value!r}")


def _checked(who: str, sessions: Sequence[Any], period_h: float) -> tuple[ChargingSession, ...]:
    """The sessions in the order of time, each leaving after it came; ValueError for the first that cannot be.

    They come again after `period_h` hours.
    """
    found = []
    for k, session in enumerate(sessions):
        if not isinstance(session, tuple | list) or len(session) != 3:
            raise ValueError(
                f"{who}: session {k} must be (arrival_h, departure_h, energy_mwh), got {session!r}"
            )
        one, of = ChargingSession(*session), f"{who}: session {k}"
        check_number(of, "arrival_h", one.arrival_h, 0.0, period_h)
        check_number(of, "departure_h", one.departure_h, 0.0, 2.0 * period_h)
        check_number(of, "energy_mwh", one.energy_mwh, 0.0, math.inf)
        if one.departure_h < one.arrival_h:
            one = one._replace(departure_h=one.departure_h + period_h)
        if one.departure_h == one.arrival_h:
            raise ValueError(f"{of}: departure_h {one.departure_h!r} must be after arrival_h, or before it")
        if one.departure_h > one.arrival_h + period_h:
            raise ValueError(
                f"{of}: departure_h {one.departure_h!r} is more than {period_h:g} h after arrival_h "
                f"{one.arrival_h!r}, when it comes again" + (_LONGER if period_h == HOURS_PER_DAY else "")
            )
        found.append(one)
    found.sort()
    again = [found[0]._replace(arrival_h=found[0].arrival_h + period_h)] if found else []
    for before, after in itertools.pairwise([*found, *again]):
        if after.arrival_h < before.departure_h:
            raise ValueError(
                f"{who}: sessions {tuple(before)} and {tuple(after)} overlap: a car comes at "
                f"{after.arrival_h!r} h before the one before it leaves at {before.departure_h!r} h; a "
                "station has one outlet"
            )
    return tuple(found)


@runtime_checkable
class ChargerData(Protocol):
    """The part of `cases.profiles.Profiles` that stations without sessions of their own read."""

    def charger_days(self, site: str) -> prof.ChargerDays:
        """What single stations of a site saw, day by day."""


class EVProgram(Resource):
    """Charging stations as columns; `need_mwh` (batch, n_units) is what the cars there still need.

    Which plan a day follows is fixed by `draw` (batch, n_units), one number drawn at reset, and the day.
    """

    kind: ClassVar[str] = "ev"
    uses_voltage: ClassVar[bool] = False
    writes: ClassVar[tuple[str, ...]] = ("throughput_mwh", "undelivered_mwh", "undelivered_cost", "owed_mwh")

    need_mwh: Floats
    draw: Floats

    def __init__(self, specs: Sequence[EV]) -> None:
        super().__init__(
            [s.bus for s in specs],
            s_mva=[max(s.p_mw, s.v2g_mw) for s in specs],
            actions=("p",),
            phases=[s.phase for s in specs],
            names=[s.name for s in specs],
        )
        self._specs = tuple(specs)
        self.rated_p_mw = np.array([s.p_mw for s in specs], dtype=np.float64)
        self.q_max_mvar = np.zeros(len(specs))
        self.v2g_mw = np.array([s.v2g_mw for s in specs], dtype=np.float64)
        self.eta_charge = np.array([s.eta_charge for s in specs], dtype=np.float64)
        self.eta_discharge = np.array([s.eta_discharge for s in specs], dtype=np.float64)
        self.price = np.array([s.undelivered_cost_per_mwh for s in specs], dtype=np.float64)
        self.wear_price = np.array([s.v2g_cost_per_mwh for s in specs], dtype=np.float64)
        self._most_needed_mwh = np.array([s.most_needed_mwh for s in specs], dtype=np.float64)
        self.unit_observations = tuple(
            (
                Entry("plugged_in", "1", 0.0, 1.0, "whether a car is there", KNOWN),
                Entry("need_mwh", "MWh", 0.0, s.most_needed_mwh, "what the car still needs, now"),
                Entry(
                    "departure_h",
                    "h",
                    0.0,
                    max(HOURS_PER_DAY, s.longest_stay_h),
                    "hours until the car leaves, now",
                ),
            )
            for s in specs
        )

    @property
    def neutral_action(self) -> Floats:
        """Charging as soon as possible: what happens where nobody controls."""
        return np.full(self.n_units, -1.0)

    def bind(self, ctx: BindContext) -> None:
        """Allocate, and cut the sessions into intervals; ValueError where one has no whole interval."""
        super().bind(ctx)
        self._steps_per_day = round(HOURS_PER_DAY / ctx.dt_h)
        sampled = np.array([s.sessions is None for s in self._specs])
        self._plans = _plans(self._specs, ctx)
        self._chargers = Chargers(
            self.rated_p_mw, self.v2g_mw, self.eta_charge, self.eta_discharge, self.price, self.wear_price
        )
        cars = np.array([s.cars for s in self._specs], dtype=np.float64)
        self._ask_share = np.where(sampled, self.eta_charge * cars, 1.0)
        gain = self.rated_p_mw * self.eta_charge * ctx.dt_h
        self._asked = np.stack([self._ask_share, np.where(sampled, gain, np.inf), gain], axis=1)
        self._most_missing_mwh = np.minimum(
            self._most_needed_mwh, self._ask_share * self._plans.ask.max(initial=0.0)
        )
        self._most_wear = float((self.wear_price * self.v2g_mw).sum() * ctx.dt_h)
        self.max_cost_per_step = float((self.price * self._most_missing_mwh).sum()) + self._most_wear
        shape = (ctx.batch, self.n_units)
        self._no_wear = np.zeros(shape)
        self.draw, self.need_mwh = (np.zeros(shape) for _ in range(2))
        self._begun = np.zeros(ctx.batch)

    def reset(self, rows: Ints, rngs: Sequence[np.random.Generator]) -> None:
        """Which cars come is drawn from each row's generator, also those that have come already."""
        super().reset(rows, rngs)
        self.need_mwh[rows] = self._begun[rows] = 0.0
        for row, rng in zip(rows, rngs, strict=True):
            self.draw[row] = rng.random(self.n_units)

    def advance(self, action: Floats, exo: Exogenous) -> None:
        """One interval; see `ev_advance`."""
        found = self.accounts
        accounts = ChargerAccounts(
            found["undelivered_mwh"], found["throughput_mwh"], found["undelivered_cost"], found["owed_mwh"],
            found.get("wear_cost", self._no_wear),
        )  # fmt: skip
        ev_advance(
            self._plans, self._chargers, accounts, action, exo.t_index, self._steps_per_day, self._asked,
            exo.dt_h, self._begun, self.draw, self.need_mwh, self.current_p_mw,
        )  # fmt: skip

    def observe(self, t_index: Ints, out: Floats) -> None:
        """Who is there in interval `t_index`, what they need, and for how long they stay."""
        ev_observe(
            t_index, self._steps_per_day, *self._plans, self._asked,
            HOURS_PER_DAY / self._steps_per_day, self._begun, self.draw, self.need_mwh, out,
        )  # fmt: skip

    def outlook(self, t_index: Ints, row: int, now: int, sun: Floats | None = None) -> Outlook:
        """Which cars are there, for how long and for what; power both ways while they are.

        A car needs all that it came for, but the one that is there `now` only what it still lacks.
        """
        n, units, dt_h = t_index.size, self.n_units, HOURS_PER_DAY / self._steps_per_day
        plugged, need, leaves_h = np.hsplit(self._seen(t_index, self._asked * [1.0, 1.0, 0.0], row, 0.0), 3)
        whole = need.copy()
        if t_index[0] == now:
            need[0] = self._seen(t_index[:1], self._asked, row, float(self._begun[row]))[0, units : 2 * units]
        ends = np.arange(n)[:, None] + np.rint(leaves_h / dt_h).astype(np.int64)
        sessions = []
        for u in range(units):
            here = np.flatnonzero(plugged[:, u])
            first = here[np.append(True, np.diff(ends[here, u]) != 0)[: here.size]]
            etas = float(self.eta_charge[u]), float(self.eta_discharge[u])
            sessions += [
                Session(u, k, min(int(end), n), float(lacks), float(asked - lacks), *etas, int(end) > n)
                for k, end, lacks, asked in zip(
                    first.tolist(), ends[first, u], need[first, u], whole[first, u], strict=True
                )
            ]
        return Outlook(
            self.names, -self.rated_p_mw * plugged, self.v2g_mw * plugged, self.s_mva, self.q_max_mvar,
            sessions=tuple(sessions),
        )  # fmt: skip

    def _seen(self, t_index: Ints, asked: Floats, row: int, begun: float) -> Floats:
        """(horizon, 3 units) of what `row` observes in each of the intervals."""
        n = t_index.size
        out, draw = np.empty((n, 3 * self.n_units)), np.repeat(self.draw[row : row + 1], n, axis=0)
        need = np.repeat(self.need_mwh[row : row + 1], n, axis=0)
        ev_observe(
            t_index, self._steps_per_day, *self._plans, asked, HOURS_PER_DAY / self._steps_per_day,
            np.full(n, begun), draw, need, out,
        )  # fmt: skip
        return out

    def most_of(self, account: str, dt_h: float) -> float:
        """See `Resource.most_of`: a car can lack all that it came for."""
        bounds = {
            "undelivered_mwh": self._most_missing_mwh,
            "undelivered_cost": self.price * self._most_missing_mwh,
            "owed_mwh": self._most_missing_mwh / self.eta_charge,
            "wear_cost": self._most_wear,
        }
        return float(np.sum(bounds[account])) if account in bounds else super().most_of(account, dt_h)

    def state(self) -> dict[str, Floats]:
        """Live arrays; see `Resource.state`."""
        return {
            **super().state(), "draw": self.draw, "need_mwh": self.need_mwh, "begun": self._begun,
        }  # fmt: skip


class WornEVProgram(EVProgram):
    """Charging stations some of which charge for what cars give back."""

    writes: ClassVar[tuple[str, ...]] = (*EVProgram.writes, "wear_cost")


def _plans(specs: Sequence[EV], ctx: BindContext) -> Plans:
    """Every plan that a day of one of the units may follow: their own, then those of the sites."""
    first, number = np.zeros((2, len(specs), 7), dtype=np.int64)
    reach = np.zeros(len(specs), dtype=np.int64)
    parts: list[tuple[Ints, Ints, Ints, Floats]] = []  # sessions of each plan; first, end, MWh of each
    n_plans, source, per_day = 0, cast(object, ctx.profiles), round(HOURS_PER_DAY / ctx.dt_h)
    for u, spec in enumerate(specs):
        if spec.sessions is not None:
            parts.append(own := _own(spec, ctx.dt_h, per_day))
            number[u], plans = 1, own[0].size
            first[u] = n_plans + np.arange(7) % plans
            n_plans += plans
            reach[u] = (own[2].max(initial=1) - 1) // per_day
    for site in sorted({spec.site for spec in specs if spec.sessions is None}):
        if not isinstance(source, ChargerData):
            raise ValueError("EV without sessions needs profiles: pass cases.profiles.load_profiles()")
        days = source.charger_days(site)
        mine = [u for u, spec in enumerate(specs) if spec.sessions is None and spec.site == site]
        first[mine], number[mine] = n_plans + days.first[:-1], np.diff(days.first)
        n_plans += days.at.size - 1
        parts.append(_random_load(days, ctx.dt_h))
    sizes, start, stop, ask = (np.concatenate(column) for column in zip(*parts, strict=True))
    weekday = getattr(source, "calendar", prof.MODEL_YEAR).weekday(0)
    return Plans(weekday, reach, first, number, np.append(0, np.cumsum(sizes)), start, stop, ask)


def _own(spec: EV, dt_h: float, per_day: int) -> tuple[Ints, Ints, Ints, Floats]:
    """The plans of a station that has its own sessions: one, or one for each weekday."""
    arrival, departure, energy = np.array(spec.sessions, dtype=np.float64).reshape(-1, 3).T
    plans = round(_PERIOD_H[spec.repeats] / HOURS_PER_DAY)
    day = np.minimum(arrival // HOURS_PER_DAY, plans - 1).astype(np.int64)
    start, stop = _intervals(arrival, departure, dt_h)
    for k in np.flatnonzero(stop <= start):
        raise ValueError(
            f"EV at bus {spec.bus}: the car from {arrival[k]} h to {departure[k]} h is not there for a whole "
            f"interval of {dt_h:g} h"
        )
    return np.bincount(day, minlength=plans), start - day * per_day, stop - day * per_day, energy.copy()


def _random_load(days: prof.ChargerDays, dt_h: float) -> tuple[Ints, Ints, Ints, Floats]:
    """Every day of a site's stations; stays without a whole interval are left out."""
    start, stop = _intervals(days.arrival_h, days.departure_h, dt_h)
    kept = stop > start
    before = np.append(0, np.cumsum(kept))
    return np.diff(before[days.at]), start[kept], stop[kept], 1e-3 * days.energy_kwh[kept]


def _intervals(arrival_h: Floats, departure_h: Floats, dt_h: float) -> tuple[Ints, Ints]:
    """The first whole interval in which a car is there, and the first in which it no longer is."""
    start, stop = np.ceil((arrival_h - _ROUND) / dt_h), np.floor((departure_h + _ROUND) / dt_h)
    return start.astype(np.int64), stop.astype(np.int64)
