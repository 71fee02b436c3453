"""Data centers: work that is done when it comes, work that may wait, and the power of servers and cooling."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import ArrayLike

from ...cases.profiles import resample
from ...cases.profiles.calendar import HOURS_PER_DAY
from ..kernels.data_center import (
    HOTTEST_C,
    Servers,
    WorkAccounts,
    cooling_rows,
    data_center_advance,
    queue_seen,
)
from .base import (
    BindContext,
    Entry,
    Exogenous,
    Floats,
    Ints,
    Resource,
    ResourceSpec,
    bus_id,
    check_number,
    check_phase,
)
from .outlook import Outlook, WorkQueue

#: Share of the servers' work that cannot wait, hour by hour: least at 4, most at 16.
INTERACTIVE = tuple(round(0.35 - 0.15 * math.cos(2.0 * math.pi * (hour - 4) / 24.0), 3) for hour in range(24))

_ROUND = 1e-9  # by which a number of intervals may miss a whole one
_LONGEST_H = 168.0


@dataclass(frozen=True)
class DataCenter(ResourceSpec):
    """Servers with work that is done when it comes and work that may wait for a time, and their cooling.

    Action p: -1 works off what waits with all servers that interactive work leaves free (the neutral action,
    what a data center without control does), +1 lets it wait, linear between. What waits the longest is done
    first. Work that is not done within `deadline_h` hours is dropped: the cost `dropped`. Work is counted in
    MWh that servers draw for it beyond idling, so that what arrives is done, waiting or dropped.

    Servers draw `idle_share * p_mw` and, for work, the rest in proportion to how many are busy: Fan, Weber
    and Barroso, "Power provisioning for a warehouse-sized computer" (ISCA 2007). The bus supplies `pue` times
    that. With `pue=None` it follows the outdoor temperature T of the profiles, as a plant with outside air
    does: 1.0743 + 0.0041 T + 7.1705e-5 T^2 with T in degC, held below -10 and above 45: Xu, Feng and Li,
    "Temperature aware workload management in geo-distributed data centers", IEEE Transactions on Parallel and
    Distributed Systems 26 (2015) 1743. No reactive power is drawn.

    Observed: `queue_mwh`, the work that waits, and `due_mwh`, what of it has a quarter of `deadline_h` left
    at most. Episodes begin with nothing waiting. What waits when they end is, with its cooling, the account
    `owed_mwh` of the last interval: tasks settle it.

    - `bus`: node id. `p_mw`: power of all servers when they are busy, without cooling.
    - `dropped_cost_per_mwh`: USD for each MWh of work that is not done in time, above 0.
    - `interactive`, `deferrable`: work that arrives, as a share of what all servers can do: one number, or 24
      by the hour of the day. Interactive work is always done; both together fit into a day.
    - `deadline_h`: hours within which deferrable work must be done, up to 168.
    - `idle_share`: power of idle servers over that of busy ones: a half in Barroso and Hölzle, "The case for
      energy-proportional computing" (Computer, 2007), less in newer ones. `interactive` defaults to a
      stylised day in the range of work that they found, 20 to 50 %.

    Raises ValueError for values that cannot be.
    """

    kind: ClassVar[str] = "data_center"

    bus: str | int
    p_mw: float
    dropped_cost_per_mwh: float
    interactive: float | Sequence[float] = INTERACTIVE
    deferrable: float | Sequence[float] = 0.2
    deadline_h: float = 12.0
    idle_share: float = 0.5
    pue: float | None = 1.3
    phase: str = "ABC"
    name: str | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "bus", bus_id(self.bus))
        who = f"DataCenter at bus {self.bus}"
        check_number(who, "p_mw", self.p_mw, 0.0, math.inf, open_low=True)
        check_number(who, "dropped_cost_per_mwh", self.dropped_cost_per_mwh, 0.0, math.inf, open_low=True)
        for label in ("interactive", "deferrable"):
            object.__setattr__(self, label, _hourly(who, label, getattr(self, label)))
        if not any(self.by_hour("deferrable")):
            raise ValueError(f"{who}: deferrable is 0 all day, so its action would do nothing")
        arriving = float(np.mean(self.by_hour("interactive")) + np.mean(self.by_hour("deferrable")))
        if arriving > 1.0:
            raise ValueError(
                f"{who}: interactive and deferrable work are {arriving:g} of what the servers can do in a "
                "day; expected 1 at most"
            )
        check_number(who, "deadline_h", self.deadline_h, 0.0, _LONGEST_H, open_low=True)
        check_number(who, "idle_share", self.idle_share, 0.0, 0.95)
        if self.pue is not None:
            check_number(who, "pue", self.pue, 1.0, 3.0)
        check_phase(who, self.phase)

    def by_hour(self, label: str) -> tuple[float, ...]:
        """The 24 shares of "interactive" or "deferrable" work."""
        given = getattr(self, label)
        return given if isinstance(given, tuple) else (float(given),) * 24

    @property
    def capacity_mw(self) -> float:
        """Power of work when all servers are busy."""
        return (1.0 - self.idle_share) * self.p_mw

    @property
    def most_waiting_mwh(self) -> float:
        """What can wait at most: all that comes within the deadline."""
        return max(self.by_hour("deferrable")) * self.capacity_mw * self.deadline_h

    @property
    def most_pue(self) -> float:
        """The highest power of servers and cooling over that of servers."""
        return float(cooling(HOTTEST_C)) if self.pue is None else self.pue

    @staticmethod
    def program(specs: Sequence[DataCenter]) -> DataCenterProgram:
        """All `specs` as one array program."""
        return DataCenterProgram(specs)


def cooling(outdoor_c: ArrayLike) -> Floats:
    """Power of servers and cooling over that of servers at an outdoor temperature; see `DataCenter`."""
    at = np.asarray(outdoor_c, dtype=np.float64)
    out = np.empty(at.size)
    cooling_rows(np.ascontiguousarray(at).reshape(-1), out)
    return out.reshape(at.shape)


def _hourly(who: str, label: str, given: float | Sequence[float]) -> float | tuple[float, ...]:
    """A number, or 24 of them, as shares; ValueError for others."""
    if not np.iterable(given):
        check_number(who, label, given, 0.0, 1.0)
        return given
    hours = tuple(given)
    if len(hours) != 24:
        raise ValueError(f"{who}: {label} must be one number or 24, one for each hour, got {len(hours)}")
    for hour, share in enumerate(hours):
        check_number(who, f"{label} of hour {hour}", share, 0.0, 1.0)
    return hours


class DataCenterProgram(Resource):
    """Data centers as columns; `queue_mwh` (batch, n_units, slots) is the work that waits.

    Work in slot k has the next interval and k more; what arrives comes into the last slot of its unit.
    """

    kind: ClassVar[str] = "data_center"
    uses_voltage: ClassVar[bool] = False
    writes: ClassVar[tuple[str, ...]] = WorkAccounts._fields

    queue_mwh: Floats

    def __init__(self, specs: Sequence[DataCenter]) -> None:
        super().__init__(
            [s.bus for s in specs],
            s_mva=[s.most_pue * s.p_mw for s in specs],
            actions=("p",),
            phases=[s.phase for s in specs],
            names=[s.name for s in specs],
        )
        self._specs = tuple(specs)
        self.q_max_mvar = np.zeros(len(specs))
        self._most_owed_mwh = np.array([s.most_pue * s.most_waiting_mwh for s in specs])
        self.unit_observations = tuple(
            (
                Entry("queue_mwh", "MWh", 0.0, s.most_waiting_mwh, "work of the servers that waits, now"),
                Entry(
                    "due_mwh", "MWh", 0.0, s.most_waiting_mwh,
                    "what of it has a quarter of its time left at most, now",
                ),
            )
            for s in specs
        )  # fmt: skip

    @property
    def neutral_action(self) -> Floats:
        """Working as soon as possible: what happens where nobody controls."""
        return np.full(self.n_units, -1.0)

    def bind(self, ctx: BindContext) -> None:
        """Allocate; ValueError for a deadline of less than two intervals, or without outdoor temperatures."""
        super().bind(ctx)
        specs, self._dt_h = self._specs, ctx.dt_h
        self._steps_per_day = round(HOURS_PER_DAY / ctx.dt_h)
        depth = np.array([math.floor(s.deadline_h / ctx.dt_h + _ROUND) for s in specs], dtype=np.int64)
        for name, spec, steps in zip(self.names, specs, depth.tolist(), strict=True):
            if steps < 2:
                raise ValueError(
                    f"{name}: deadline_h must be two intervals of {ctx.dt_h:g} h or more, so that work can "
                    f"wait, got {spec.deadline_h:g}"
                )
        capacity = np.array([s.capacity_mw for s in specs])
        interactive, deferrable = (
            np.stack([resample(np.array(s.by_hour(label)), 24, self._steps_per_day, "hold") for s in specs])
            for label in ("interactive", "deferrable")
        )
        self._servers = Servers(
            np.array([s.idle_share * s.p_mw for s in specs]), capacity,
            np.array([math.nan if s.pue is None else s.pue for s in specs]), depth,
            np.array([s.dropped_cost_per_mwh for s in specs], dtype=np.float64), interactive,
            deferrable * capacity[:, None] * ctx.dt_h,
        )  # fmt: skip
        self._soon = np.maximum(depth // 4, 1)
        self._outdoor_c = self._temperatures(ctx)
        self._most_dropped_mwh = self._servers.arriving_mwh.max(axis=1)
        self.max_cost_per_step = float((self._most_dropped_mwh * self._servers.price).sum())
        self.queue_mwh = np.zeros((ctx.batch, self.n_units, int(depth.max())))

    def _temperatures(self, ctx: BindContext) -> Floats:
        """(n_steps,) outdoor temperature of the profiles, where a unit follows it."""
        followers = [name for name, s in zip(self.names, self._specs, strict=True) if s.pue is None]
        if not followers:
            return np.zeros(1)
        found = getattr(ctx.profiles, "outdoor_c", None)
        if found is None:
            raise ValueError(
                f"{followers[0]}: pue=None needs profiles with an outdoor temperature, outdoor_c; or give pue"
            )
        return np.array(found, dtype=np.float64)

    def reset(self, rows: Ints, rngs: Sequence[np.random.Generator]) -> None:
        """Nothing waits; see `Resource.reset`."""
        super().reset(rows, rngs)
        self.queue_mwh[rows] = 0.0

    def advance(self, action: Floats, exo: Exogenous) -> None:
        """One interval; see `data_center_advance`."""
        data_center_advance(
            self._servers, WorkAccounts(**self.accounts), action, exo.t_index, self._outdoor_c,
            self.queue_mwh, self.current_p_mw, self._steps_per_day, exo.dt_h,
        )  # fmt: skip

    def observe(self, t_index: Ints, out: Floats) -> None:
        """Work that waits, and what of it must be done soon."""
        queue_seen(self.queue_mwh, self._soon, out)

    def most_of(self, account: str, dt_h: float) -> float:
        """See `Resource.most_of`."""
        bounds = {
            "owed_mwh": self._most_owed_mwh,
            "dropped_mwh": self._most_dropped_mwh,
            "dropped_cost": self._most_dropped_mwh * self._servers.price,
        }
        return float(bounds[account].sum()) if account in bounds else 0.0

    def outlook(self, t_index: Ints, row: int, now: int, sun: Floats | None = None) -> Outlook:
        """Power with all and with none of the free servers at work, what waits, and what will arrive."""
        servers, step = self._servers, t_index % self._steps_per_day
        by_weather = cooling(self._outdoor_c[t_index % self._outdoor_c.size])[:, None]
        pue = np.where(np.isnan(servers.pue), by_weather, servers.pue)
        busy = servers.interactive.T[step] * servers.capacity_mw
        base, room = servers.idle_mw + busy, servers.capacity_mw - busy
        return Outlook(
            self.names, -pue * (base + room), -pue * base, self.s_mva, self.q_max_mvar,
            work=WorkQueue(
                self.queue_mwh[row].T.copy(), servers.arriving_mwh.T[step], servers.depth, room, base, pue,
                servers.price,
            ),
        )  # fmt: skip

    def state(self) -> dict[str, Floats]:
        """Live arrays; see `Resource.state`."""
        return {**super().state(), "queue_mwh": self.queue_mwh}
