"""Batteries: the spec that people write and the array program that runs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ..kernels.battery import (
    MOST_TURNS,
    Wear,
    battery_advance,
    battery_wear,
    standing_losses,
    stored_share,
)
from .action_columns import action_columns
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
from .outlook import Outlook, Storage, held
from .settings import settings_of


@dataclass(frozen=True)
class CycleAgeing:
    """What cycles cost: of depth d (share of the capacity), `factor * d ** exponent` of a new battery each.

    Half cycles of the stored share count half, as rainflow counting has them, and each interval is charged by
    what they have grown. The exponent makes one deep cycle dearer than many shallow ones of the same energy.

    Attributes:
        replacement_cost_per_mwh: money for a new MWh of capacity.
        factor: share of its life that a full cycle takes.
        exponent: 1 or more.

    The defaults are those of a lithium nickel manganese cobalt cell: B. Xu, J. Zhao, T. Zheng, E. Litvinov
    and D. S. Kirschen, Factoring the cycle aging cost of batteries participating in electricity markets, IEEE
    Transactions on Power Systems 33 (2018) 2248-2259.

    Raises ValueError for values that cannot be.
    """

    replacement_cost_per_mwh: float
    factor: float = 5.24e-4
    exponent: float = 2.03

    def __post_init__(self) -> None:
        who = "CycleAgeing"
        check_number(who, "replacement_cost_per_mwh", self.replacement_cost_per_mwh, 0.0, math.inf)
        check_number(who, "factor", self.factor, 0.0, 1.0)
        check_number(who, "exponent", self.exponent, 1.0, 10.0)

    @property
    def half_cycle_cost_per_mwh(self) -> float:
        """Money for a half cycle of the whole capacity, for each MWh of it."""
        return 0.5 * self.factor * self.replacement_cost_per_mwh


@dataclass(frozen=True)
class Battery(ResourceSpec):
    """A battery behind an inverter.

    Action p: +1 discharges (injects) at `p_mw`, -1 charges at `p_mw`, 0 rests. With `controls="pq"` a
    second action q asks for `q * s_mva` MVAr, of which P leaves `sqrt(s_mva**2 - P**2)`. Charging P for
    dt stores `P * dt * eta_charge`; discharging P draws `P * dt / eta_discharge`; power is cut so that
    the state of charge stays in [soc_min, soc_max]. Observed: `soc`, the stored share of `energy_mwh`
    (and `p_mw`, the present power, if any battery of the fleet has a ramp limit, because the next power
    then depends on it; and `turn_soc`, where its present half cycle began, if any has `ageing`).

    What is stored is lost at a rate of `standing_loss_per_h` of itself, solved exactly over an interval
    (1 % an hour: 0.99 of it is left after an hour at rest); that alone may take it below `soc_min`. Use costs
    `wear_cost_per_mwh` for each MWh at the terminals, and what `ageing` says of the depth of cycles; both
    are the account `wear_cost`. Energy balance of an interval: the change of `stored_mwh` is `eta_charge *
    charged - discharged / eta_discharge - standing_loss_mwh`.

    - `bus`: node id. `p_mw`: rated power, both ways. `energy_mwh`: capacity.
    - `soc_init`: share stored at reset, or (low, high): drawn anew for each episode.
    - `s_mva`: apparent power of the inverter (default `p_mw`).
    - `ramp_mw_per_h`: largest change of power per hour (default none).
    - `standing_loss_per_h`: share of the stored energy that is lost in an hour, below 1 (default 0).
    - `wear_cost_per_mwh`: money for a MWh in or out at the terminals (default 0).
    - `ageing`: a `CycleAgeing` (default none).

    Raises ValueError for values that cannot be.
    """

    kind: ClassVar[str] = "battery"

    bus: str | int
    p_mw: float
    energy_mwh: float
    soc_init: float | tuple[float, float] = 0.5
    soc_min: float = 0.0
    soc_max: float = 1.0
    eta_charge: float = 0.95
    eta_discharge: float = 0.95
    s_mva: float | None = None
    controls: str = "p"
    phase: str = "ABC"
    name: str | None = None
    ramp_mw_per_h: float | None = None
    standing_loss_per_h: float = 0.0
    wear_cost_per_mwh: float = 0.0
    ageing: CycleAgeing | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "bus", bus_id(self.bus))
        if not isinstance(self.soc_init, tuple) and np.iterable(self.soc_init):  # JSON has lists
            object.__setattr__(self, "soc_init", tuple(self.soc_init))
        who = f"Battery at bus {self.bus}"
        check_number(who, "p_mw", self.p_mw, 0.0, math.inf, open_low=True)
        check_number(who, "energy_mwh", self.energy_mwh, 0.0, math.inf, open_low=True)
        check_number(who, "soc_min", self.soc_min, 0.0, 1.0)
        check_number(who, "soc_max", self.soc_max, 0.0, 1.0)
        if self.soc_min >= self.soc_max:
            raise ValueError(f"{who}: soc_min {self.soc_min} must be below soc_max {self.soc_max}")
        low, high = self.soc_range
        check_number(who, "soc_init", low, self.soc_min, self.soc_max)
        check_number(who, "soc_init", high, self.soc_min, self.soc_max)
        if low > high:
            raise ValueError(f"{who}: soc_init {self.soc_init!r} must be (low, high) with low <= high")
        check_number(who, "eta_charge", self.eta_charge, 0.0, 1.0, open_low=True)
        check_number(who, "eta_discharge", self.eta_discharge, 0.0, 1.0, open_low=True)
        if self.s_mva is not None:
            check_number(who, "s_mva", self.s_mva, self.p_mw, math.inf)
        if self.ramp_mw_per_h is not None:
            check_number(who, "ramp_mw_per_h", self.ramp_mw_per_h, 0.0, math.inf, open_low=True)
        check_number(who, "standing_loss_per_h", self.standing_loss_per_h, 0.0, 1.0)
        if self.standing_loss_per_h == 1.0:
            raise ValueError(f"{who}: standing_loss_per_h must be below 1, got 1: nothing would stay")
        check_number(who, "wear_cost_per_mwh", self.wear_cost_per_mwh, 0.0, math.inf)
        object.__setattr__(self, "ageing", settings_of(who, "ageing", CycleAgeing, self.ageing))
        check_choice(who, "controls", self.controls, ("p", "pq"))
        check_phase(who, self.phase)

    @property
    def soc_range(self) -> tuple[float, float]:
        """(low, high) of the state of charge at reset; equal when it is not drawn."""
        if not isinstance(self.soc_init, tuple | list):
            return self.soc_init, self.soc_init
        if len(self.soc_init) != 2:
            raise ValueError(
                f"Battery at bus {self.bus}: soc_init must be x or (low, high), got {self.soc_init!r}"
            )
        return self.soc_init[0], self.soc_init[1]

    @property
    def rated_s_mva(self) -> float:
        """Apparent power of the inverter, MVA."""
        return self.p_mw if self.s_mva is None else self.s_mva

    @staticmethod
    def program(specs: Sequence[Battery]) -> BatteryProgram:
        """All `specs` as one array program."""
        return WearingBatteryProgram(specs) if any(s.wears for s in specs) else BatteryProgram(specs)

    @property
    def wears(self) -> bool:
        """Whether use or standing costs anything, in energy or money."""
        return bool(self.standing_loss_per_h or self.wear_cost_per_mwh or self.ageing)


class BatteryProgram(Resource):
    """Batteries as columns; `soc_mwh` (batch, n_units) is their state."""

    kind: ClassVar[str] = "battery"
    uses_voltage: ClassVar[bool] = False
    writes: ClassVar[tuple[str, ...]] = ("throughput_mwh", "stored_mwh")

    soc_mwh: Floats  # (batch, n_units) stored energy

    def __init__(self, specs: Sequence[Battery]) -> None:
        super().__init__(
            [s.bus for s in specs],
            s_mva=[s.rated_s_mva for s in specs],
            phases=[s.phase for s in specs],
            names=[s.name for s in specs],
        )
        self.rated_p_mw = np.array([s.p_mw for s in specs], dtype=np.float64)
        self.energy_mwh = np.array([s.energy_mwh for s in specs], dtype=np.float64)
        self.q_max_mvar = np.array([s.rated_s_mva if "q" in s.controls else 0.0 for s in specs])
        self.eta_charge = np.array([s.eta_charge for s in specs], dtype=np.float64)
        self.eta_discharge = np.array([s.eta_discharge for s in specs], dtype=np.float64)
        self.e_min_mwh = self.energy_mwh * np.array([s.soc_min for s in specs])
        self.e_max_mwh = self.energy_mwh * np.array([s.soc_max for s in specs])
        self.ramp_mw_per_h = np.array(
            [math.inf if s.ramp_mw_per_h is None else s.ramp_mw_per_h for s in specs]
        )
        self._standing_loss_per_h = np.array([s.standing_loss_per_h for s in specs], dtype=np.float64)
        self._wear_cost_per_mwh = np.array([s.wear_cost_per_mwh for s in specs], dtype=np.float64)
        self._init_low, self._init_high = (
            np.array(x) for x in zip(*(s.soc_range for s in specs), strict=True)
        )
        self.unit_actions = tuple(tuple(s.controls) for s in specs)
        self.unit_observations = tuple(
            (Entry("soc", "1", 0.0, 1.0, "stored share of each battery's capacity, now"),) for s in specs
        )
        self._ramps = bool(np.isfinite(self.ramp_mw_per_h).any())
        if self._ramps:
            # Without this the state would alias: the reachable power depends on the present one.
            self.unit_observations = tuple(
                (*entries, Entry("p_mw", "MW", -s.p_mw, s.p_mw, "power of each battery, last"))
                for entries, s in zip(self.unit_observations, specs, strict=True)
            )
        self._col_p, self._col_q = action_columns(self.unit_actions)

    def bind(self, ctx: BindContext) -> None:
        """Allocate; see `Resource.bind`."""
        super().bind(ctx)
        self._ramp_mw = self.ramp_mw_per_h * ctx.dt_h
        rate = -np.log1p(-self._standing_loss_per_h)  # of decay, 1/h
        self._kept = np.exp(-rate * ctx.dt_h)
        self._worth_h = np.full(self.n_units, ctx.dt_h)
        lossy = rate > 0.0
        self._worth_h[lossy] = -np.expm1(-rate[lossy] * ctx.dt_h) / rate[lossy]
        self.soc_mwh = np.empty((ctx.batch, self.n_units))
        self.soc_mwh[:] = self.energy_mwh * self._init_low

    def reset(self, rows: Ints, rngs: Sequence[np.random.Generator]) -> None:
        """Set the stored energy; a battery whose `soc_init` is a range draws from its row's generator."""
        super().reset(rows, rngs)
        low, high = self._init_low, self._init_high
        self.soc_mwh[rows] = self.energy_mwh * low
        random_start = np.flatnonzero(high > low)
        if random_start.size:
            for row, rng in zip(rows, rngs, strict=True):
                share = rng.uniform(low[random_start], high[random_start])
                self.soc_mwh[row, random_start] = np.clip(
                    self.energy_mwh[random_start] * share,
                    self.e_min_mwh[random_start],
                    self.e_max_mwh[random_start],
                )
        self.accounts["stored_mwh"][rows] = self.soc_mwh[rows]

    def advance(self, action: Floats, exo: Exogenous) -> None:
        """One interval; see `envs.kernels.battery.battery_advance`."""
        battery_advance(
            action,
            self._col_p,
            self._col_q,
            self.rated_p_mw,
            self.s_mva,
            self._ramp_mw,
            self.e_min_mwh,
            self.e_max_mwh,
            self.eta_charge,
            self.eta_discharge,
            self._kept,
            self._worth_h,
            exo.dt_h,
            self.soc_mwh,
            self.current_p_mw,
            self.current_q_mvar,
            self.accounts["throughput_mwh"],
            self.accounts["stored_mwh"],
        )

    def observe(self, t_index: Ints, out: Floats) -> None:
        """Stored share of the capacity (and the present power, MW, where ramps are limited)."""
        stored_share(self.soc_mwh, self.energy_mwh, out)
        if self._ramps:
            out[:, self.n_units :] = self.current_p_mw

    def most_of(self, account: str, dt_h: float) -> float:
        """As `Resource.most_of`; what is stored never exceeds `soc_max` of the capacity."""
        return float(self.e_max_mwh.sum()) if account == "stored_mwh" else super().most_of(account, dt_h)

    def outlook(self, t_index: Ints, row: int, now: int, sun: Floats | None = None) -> Outlook:
        """Rated power both ways, none where it is not controlled; what is stored now, and its limits."""
        most = held(np.where(self._col_p >= 0, self.rated_p_mw, 0.0), t_index.size)
        storage = Storage(
            self.soc_mwh[row].copy(), self.e_min_mwh, self.e_max_mwh, self.eta_charge, self.eta_discharge,
            self.ramp_mw_per_h, self._standing_loss_per_h, self._wear_cost_per_mwh,
        )  # fmt: skip
        return Outlook(self.names, -most, most, self.s_mva, self.q_max_mvar, storage=storage)

    def state(self) -> dict[str, Floats]:
        """Live arrays; see `Resource.state`."""
        return {**super().state(), "soc_mwh": self.soc_mwh}


class WearingBatteryProgram(BatteryProgram):
    """Batteries some of which lose energy by standing, or wear at a price."""

    writes: ClassVar[tuple[str, ...]] = (*BatteryProgram.writes, "standing_loss_mwh", "wear_cost")

    def __init__(self, specs: Sequence[Battery]) -> None:
        super().__init__(specs)
        cycles = [s.ageing or CycleAgeing(0.0) for s in specs]
        each = [c.half_cycle_cost_per_mwh for c in cycles]
        self._half_cycle_cost = np.array(each) * self.energy_mwh
        self._exponent = np.array([c.exponent for c in cycles], dtype=np.float64)
        self._ages = bool((self._half_cycle_cost > 0.0).any())
        if self._ages:
            turn = Entry("turn_soc", "1", 0.0, 1.0, "stored share at which its present half cycle began")
            self.unit_observations = tuple((*entries, turn) for entries in self.unit_observations)

    def bind(self, ctx: BindContext) -> None:
        """Allocate; see `BatteryProgram.bind`."""
        super().bind(ctx)
        shape = (ctx.batch, self.n_units)
        self._before = np.zeros(shape)
        self._wear = Wear(
            self._wear_cost_per_mwh, self._half_cycle_cost, self._exponent, self.energy_mwh,
            np.zeros((*shape, MOST_TURNS)), np.ones(shape), np.zeros(shape),
        )  # fmt: skip
        self._begin(slice(None))
        self.max_cost_per_step = float(self._most_costs(ctx.dt_h).sum())

    def _most_costs(self, dt_h: float) -> Floats:
        """(n_units,) the most that an interval can cost: full power, at the end of the deepest half cycle."""
        gain = np.maximum(self.eta_charge, 1.0 / self.eta_discharge)
        moved = np.minimum(self.rated_p_mw * dt_h * gain / self.energy_mwh + 1.0 - self._kept, 1.0)
        deepest = self._half_cycle_cost * (1.0 - (1.0 - moved) ** self._exponent)
        return np.asarray(self._wear_cost_per_mwh * self.rated_p_mw * dt_h + deepest)

    def reset(self, rows: Ints, rngs: Sequence[np.random.Generator]) -> None:
        """Every episode begins with a half cycle of its own; see `BatteryProgram.reset`."""
        super().reset(rows, rngs)
        self._begin(rows)

    def _begin(self, rows: Ints | slice) -> None:
        self._wear.share[rows] = self.soc_mwh[rows] / self.energy_mwh
        self._wear.turns[rows] = 0.0
        self._wear.turns[rows, :, 0], self._wear.n_turns[rows] = self._wear.share[rows], 1.0

    def advance(self, action: Floats, exo: Exogenous) -> None:
        """One interval, and what it took of energy and life."""
        self._before[:] = self.soc_mwh
        super().advance(action, exo)
        standing_losses(
            self._before, self.current_p_mw, self.eta_charge, self.eta_discharge, self._kept, self._worth_h,
            exo.dt_h, self.accounts["standing_loss_mwh"],
        )  # fmt: skip
        accounts = self.accounts
        battery_wear(self._wear, self.soc_mwh, accounts["throughput_mwh"], accounts["wear_cost"])

    def observe(self, t_index: Ints, out: Floats) -> None:
        """As `BatteryProgram.observe`, and the last turns where any battery ages."""
        super().observe(t_index, out[:, : out.shape[1] - self.n_units] if self._ages else out)
        if self._ages:
            last = self._wear.n_turns.astype(np.int64)[..., None] - 1
            out[:, -self.n_units :] = np.take_along_axis(self._wear.turns, last, axis=2)[..., 0]

    def most_of(self, account: str, dt_h: float) -> float:
        """As `BatteryProgram.most_of`; all that is stored can be lost at most."""
        if account == "standing_loss_mwh":
            return float((self.e_max_mwh + self.rated_p_mw * self.eta_charge * dt_h).sum())
        return super().most_of(account, dt_h)

    def state(self) -> dict[str, Floats]:
        """Live arrays; see `Resource.state`."""
        wear = {name: getattr(self._wear, name) for name in ("turns", "n_turns", "share")}
        return {**super().state(), **wear}
