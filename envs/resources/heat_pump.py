"""Heat pumps and the rooms that they warm: electricity that waits as warmth, inside a comfort band."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, NoReturn, Protocol, cast, runtime_checkable

import numpy as np

from ..kernels.heat_pump import Pumps, heat_pump_advance, performance_rows, room_observe
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
from .outlook import Outlook, Rooms, held
from .profiled import read_only, refuse_interval
from .times import COMING

#: Outdoor temperature for which the heat loss is sized where none is given, degC.
DESIGN_C = -12.0
#: Default price of a kelvin hour outside the band, for each MW of rated power.
DISCOMFORT_PER_MW = 100.0
#: Bounds of what is observed, degC; what lies outside is clipped.
_COLDEST_C, _WARMEST_C = -20.0, 50.0


@dataclass(frozen=True)
class HeatPump(ResourceSpec):
    """An air-source heat pump with the building that it warms: a house, or many alike.

    The building is one heat capacity C with one heat loss UA (first order): C dT/dt = UA (T_out - T) + COP P
    + gains, solved exactly over each interval with the outdoor temperature of `Profiles.outdoor_c`. COP =
    6.81 - 0.121 dT + 0.00063 dT^2 with dT = `supply_c` - T_out, held outside 15 to 60 K (Staffell et al., "A
    review of domestic heat pumps", Energy & Environmental Science 5, 2012, doi:10.1039/c2ee22653g).

    Action p: 0 is the thermostat, which draws what brings the room to the middle of the comfort band by the
    end of the interval, as far as the pump can (the neutral action); -1 draws `p_mw`, +1 nothing, linear from
    0 to each. Power is cut where the room would be warmer than `t_cut_c` by the end. It draws Q by its power
    factor. Outside [t_min_c, t_max_c] every kelvin hour costs `discomfort_cost_per_kh` (account
    `discomfort_cost`), also where the pump can do nothing about it. Observed: `indoor_c` and, for the
    interval that is decided, `outdoor_c`, both clipped to -20 to 50 degC.

    - `bus`: node id. `p_mw`: rated electric power.
    - `heat_loss_mw_per_k`: UA. Default: such that `p_mw` just holds the middle of the band at -12 degC.
    - `time_constant_h`: C / UA. The default is a medium-heavy house: 165 kJ/K for each square metre (EN ISO
      13790:2008, table 12) and 150 square metres are 7 kWh/K, at 0.17 kW/K.
    - `gains_mw`: heat of people, devices and sun, constant.
    - `supply_c`: temperature of the water that heats. 35 suits floors, 40 to 55 radiators.
    - `t_init_c`: indoor temperature at reset, or (low, high): drawn anew for each episode. Default: the
      middle of the band.
    - `t_cut_c`: default `t_max_c` + 3. `power_factor`: lagging.
    - `discomfort_cost_per_kh`: default 100 for each MW of rated power.

    What it would take to warm the room to the middle of the band, at the performance of the interval, is the
    account `owed_mwh`: tasks settle what an episode leaves.

    Raises ValueError for values that cannot be.
    """

    kind: ClassVar[str] = "heat_pump"

    bus: str | int
    p_mw: float
    heat_loss_mw_per_k: float | None = None
    time_constant_h: float = 40.0
    gains_mw: float = 0.0
    supply_c: float = 40.0
    t_min_c: float = 20.0
    t_max_c: float = 23.0
    t_init_c: float | tuple[float, float] | None = None
    t_cut_c: float | None = None
    power_factor: float = 0.95
    discomfort_cost_per_kh: float | None = None
    phase: str = "ABC"
    name: str | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "bus", bus_id(self.bus))
        given = cast(object, self.t_init_c)
        if isinstance(given, list):  # as JSON has it
            object.__setattr__(self, "t_init_c", tuple(given))
        who = f"HeatPump at bus {self.bus}"
        check_number(who, "p_mw", self.p_mw, 0.0, math.inf, open_low=True)
        check_number(who, "time_constant_h", self.time_constant_h, 0.1, 10_000.0)
        check_number(who, "gains_mw", self.gains_mw, 0.0, math.inf)
        check_number(who, "supply_c", self.supply_c, 20.0, 80.0)
        check_number(who, "t_min_c", self.t_min_c, 0.0, 40.0)
        check_number(who, "t_max_c", self.t_max_c, 0.0, 40.0)
        if self.t_min_c >= self.t_max_c:
            raise ValueError(f"{who}: t_min_c {self.t_min_c!r} must be below t_max_c {self.t_max_c!r}")
        check_number(who, "power_factor", self.power_factor, 0.0, 1.0, open_low=True)
        if self.heat_loss_mw_per_k is not None:
            check_number(who, "heat_loss_mw_per_k", self.heat_loss_mw_per_k, 0.0, math.inf, open_low=True)
        if self.t_cut_c is not None:
            check_number(who, "t_cut_c", self.t_cut_c, self.t_max_c, _WARMEST_C)
        if self.discomfort_cost_per_kh is not None:
            check_number(who, "discomfort_cost_per_kh", self.discomfort_cost_per_kh, 0.0, math.inf)
        low, high = self.init_range_c
        for end in (low, high):
            check_number(who, "t_init_c", end, _COLDEST_C, _WARMEST_C)
        if low > high:
            raise ValueError(f"{who}: t_init_c {self.t_init_c!r} must be (low, high) with low <= high")
        check_phase(who, self.phase)

    @property
    def middle_c(self) -> float:
        """Middle of the comfort band, degC."""
        return 0.5 * (self.t_min_c + self.t_max_c)

    @property
    def init_range_c(self) -> tuple[float, float]:
        """(low, high) of the indoor temperature at reset; equal when it is not drawn."""
        if self.t_init_c is None:
            return self.middle_c, self.middle_c
        if not isinstance(self.t_init_c, tuple | list):
            return self.t_init_c, self.t_init_c
        if len(self.t_init_c) != 2:
            raise ValueError(
                f"HeatPump at bus {self.bus}: t_init_c must be x or (low, high), got {self.t_init_c!r}"
            )
        return self.t_init_c[0], self.t_init_c[1]

    @property
    def rated_heat_loss_mw_per_k(self) -> float:
        """UA of the building, MW/K."""
        if self.heat_loss_mw_per_k is not None:
            return self.heat_loss_mw_per_k
        heat_mw = self.p_mw * float(coefficient_of_performance(DESIGN_C, self.supply_c)[0, 0]) + self.gains_mw
        return heat_mw / (self.middle_c - DESIGN_C)

    @property
    def rated_t_cut_c(self) -> float:
        """Indoor temperature beyond which it does not heat, degC."""
        return self.t_max_c + 3.0 if self.t_cut_c is None else self.t_cut_c

    @property
    def rated_cost_per_kh(self) -> float:
        """Price of a kelvin hour outside the band."""
        given = self.discomfort_cost_per_kh
        return DISCOMFORT_PER_MW * self.p_mw if given is None else given

    @staticmethod
    def program(specs: Sequence[HeatPump]) -> HeatPumpProgram:
        """All `specs` as one array program."""
        return HeatPumpProgram(specs)


def coefficient_of_performance(outdoor_c: float | Floats, supply_c: float | Floats) -> Floats:
    """(n, units) heat over electricity at outdoor (n,) and supply temperatures (units,), degC."""
    outdoor, supply = (np.atleast_1d(np.asarray(x, dtype=np.float64)) for x in (outdoor_c, supply_c))
    out = np.empty((outdoor.size, supply.size))
    performance_rows(np.ascontiguousarray(outdoor), np.ascontiguousarray(supply), out)
    return out


@runtime_checkable
class OutdoorData(Protocol):
    """The part of `cases.profiles.Profiles` that heat pumps read."""

    @property
    def outdoor_c(self) -> Floats:
        """Outdoor air temperature, degC, (n_steps,)."""


class HeatPumpProgram(Resource):
    """Heat pumps as columns; `indoor_c` (batch, n_units) is their state.

    `heat_mwh` and `lost_mwh` (batch, n_units): heat of the pumps, and lost to the outside, in the last
    interval. `heat_mwh + gains_mw * dt_h - lost_mwh` is `capacity_mwh_per_k` times the change of `indoor_c`.
    """

    kind: ClassVar[str] = "heat_pump"
    uses_voltage: ClassVar[bool] = False
    foretold: ClassVar[str] = "outdoor_c"
    writes: ClassVar[tuple[str, ...]] = ("discomfort_cost", "owed_mwh")

    indoor_c: Floats
    heat_mwh: Floats
    lost_mwh: Floats

    def __init__(self, specs: Sequence[HeatPump]) -> None:
        super().__init__(
            [s.bus for s in specs],
            s_mva=[s.p_mw / s.power_factor for s in specs],
            actions=("p",),
            phases=[s.phase for s in specs],
            names=[s.name for s in specs],
        )
        self.rated_p_mw = np.array([s.p_mw for s in specs], dtype=np.float64)
        self.q_max_mvar = np.zeros(len(specs))
        self.heat_loss_mw_per_k = np.array([s.rated_heat_loss_mw_per_k for s in specs], dtype=np.float64)
        self.time_constant_h = np.array([s.time_constant_h for s in specs], dtype=np.float64)
        self.gains_mw = np.array([s.gains_mw for s in specs], dtype=np.float64)
        self._pumps = Pumps(
            self.rated_p_mw,
            np.array([s.supply_c for s in specs], dtype=np.float64),
            self.heat_loss_mw_per_k,
            self.time_constant_h,
            self.gains_mw,
            np.array([s.t_min_c for s in specs], dtype=np.float64),
            np.array([s.t_max_c for s in specs], dtype=np.float64),
            np.array([s.rated_t_cut_c for s in specs], dtype=np.float64),
            np.array([math.tan(math.acos(s.power_factor)) for s in specs], dtype=np.float64),
            np.array([s.rated_cost_per_kh for s in specs], dtype=np.float64),
        )
        self._init_low, self._init_high = np.array([s.init_range_c for s in specs], dtype=np.float64).T.copy()
        self.unit_observations = tuple(
            (
                Entry("indoor_c", "degC", _COLDEST_C, _WARMEST_C, "indoor temperature, now"),
                Entry(
                    "outdoor_c", "degC", _COLDEST_C, _WARMEST_C, "outdoor temperature", COMING,
                ),
            )
            for _ in specs
        )  # fmt: skip

    @property
    def capacity_mwh_per_k(self) -> Floats:
        """(n_units,) heat capacity of the buildings."""
        return self.heat_loss_mw_per_k * self.time_constant_h

    def bind(self, ctx: BindContext) -> None:
        """Allocate and take the outdoor temperature; ValueError when the context has none."""
        super().bind(ctx)
        source = cast(object, ctx.profiles)
        if not isinstance(source, OutdoorData):
            raise ValueError("HeatPump needs profiles with outdoor_c: pass cases.profiles.load_profiles()")
        profile = read_only(source.outdoor_c)
        if profile.ndim != 1 or not profile.size:
            raise ValueError(f"outdoor temperatures must have shape (n_steps,), got {profile.shape}")
        self._profile = profile
        self.indoor_c, self.heat_mwh, self.lost_mwh = (np.zeros((ctx.batch, self.n_units)) for _ in range(3))
        self.indoor_c[:] = self._init_low
        self.max_cost_per_step = float((self._pumps.price * self._farthest_c() * ctx.dt_h).sum())

    def _farthest_c(self) -> Floats:
        """(n_units,) the most kelvins that a room can ever be outside its band.

        A room lies between where it began and where it would end with the pump off on the coldest and on the
        warmest day; only the pump itself, which stops at `t_cut_c`, can bring it beyond.
        """
        idle = self.gains_mw / self.heat_loss_mw_per_k
        coldest = np.minimum(self._init_low, self._profile.min() + idle)
        warmest = np.maximum(np.maximum(self._init_high, self._profile.max() + idle), self._pumps.cut)
        return np.asarray(np.maximum(np.maximum(self._pumps.low - coldest, warmest - self._pumps.high), 0.0))

    def most_of(self, account: str, dt_h: float) -> float:
        """See `Resource.most_of`: rooms owe no more than to be warmed from the coldest that they can be."""
        if account != "owed_mwh":
            return super().most_of(account, dt_h)
        idle = self.gains_mw / self.heat_loss_mw_per_k
        middle = 0.5 * (self._pumps.low + self._pumps.high)
        coldest = np.minimum(self._init_low, self._profile.min() + idle)
        least = coefficient_of_performance(float(self._profile.min()), self._pumps.supply)[0]
        return float((np.maximum(middle - coldest, 0.0) * self.capacity_mwh_per_k / least).sum())

    def reset(self, rows: Ints, rngs: Sequence[np.random.Generator]) -> None:
        """Set the indoor temperature; a room whose `t_init_c` is a range draws from its row's generator."""
        super().reset(rows, rngs)
        low, high = self._init_low, self._init_high
        self.indoor_c[rows], self.heat_mwh[rows], self.lost_mwh[rows] = low, 0.0, 0.0
        drawn = np.flatnonzero(high > low)
        if drawn.size:
            for row, rng in zip(rows, rngs, strict=True):
                self.indoor_c[row, drawn] = rng.uniform(low[drawn], high[drawn])

    def advance(self, action: Floats, exo: Exogenous) -> None:
        """One interval; see `kernels.heat_pump.heat_pump_advance`."""
        row = heat_pump_advance(
            self._pumps, action, self._profile, exo.t_index, exo.dt_h, self.indoor_c, self.current_p_mw,
            self.current_q_mvar, self.heat_mwh, self.lost_mwh, self.accounts["discomfort_cost"],
            self.accounts["owed_mwh"],
        )  # fmt: skip
        if row >= 0:
            self._refuse(exo.t_index[row])

    def observe(self, t_index: Ints, out: Floats) -> None:
        """Indoor temperature now, and outdoors in interval `t_index`, degC."""
        row = room_observe(self._profile, t_index, self.indoor_c, out)
        if row >= 0:
            self._refuse(t_index[row])

    def outlook(self, t_index: Ints, row: int, now: int, sun: Floats | None = None) -> Outlook:
        """Power up to its rating, and the rooms with the weather that they meet.

        `sun`: forecasts (horizon,) of the outdoor temperature, in place of the truth.
        """
        outdoor_c = self._profile[t_index] if sun is None else sun
        p = self._pumps
        rooms = Rooms(
            self.indoor_c[row].copy(), np.array(outdoor_c), coefficient_of_performance(outdoor_c, p.supply),
            self.capacity_mwh_per_k, p.loss, p.gains, p.low, p.high, p.cut, p.price,
        )  # fmt: skip
        most = held(self.rated_p_mw, t_index.size)
        return Outlook(self.names, -most, 0.0 * most, self.s_mva, self.q_max_mvar, rooms=rooms)

    def _refuse(self, interval: np.int64) -> NoReturn:
        refuse_interval(interval, "outdoor temperatures, which have", self._profile, "weather")

    def state(self) -> dict[str, Floats]:
        """Live arrays; see `Resource.state`."""
        own = {"indoor_c": self.indoor_c, "heat_mwh": self.heat_mwh, "lost_mwh": self.lost_mwh}
        return {**super().state(), **own}
