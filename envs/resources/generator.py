"""Dispatchable generators: diesel, gas, biogas, combined heat and power."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from ..kernels.generator import Generators, generator_advance
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
from .outlook import Commitment, Outlook, held

_ROUND = 1e-9  # by which a number of intervals may miss a whole one
_LONGEST_H = 168.0


@dataclass(frozen=True)
class Generator(ResourceSpec):
    """A generator that is started and stopped, and whose fuel costs money.

    Action p: below 0 it is to be off, from 0 to 1 it is to run at `p_min_mw` to `p_mw`, linear between. It
    stays on for `min_up_h` hours after a start and off for `min_down_h` after a stop, whatever is asked.
    While it runs its power changes by at most `ramp_mw_per_h`; it starts at, and is stopped from, `p_min_mw`
    or what one interval's ramp reaches, whichever is more, so that a stop from above takes its time. With
    `controls="pq"` action q asks for Q: -1 is `q_min_mvar`, +1 `q_max_mvar`, 0 none, linear on both sides, of
    which P leaves `sqrt(s_mva**2 - P**2)`; there is none while it is off. Episodes begin with the state `on`,
    free to change it; the neutral action keeps it (off, or on at `p_min_mw`).

    An hour at power P costs `cost_per_h + cost_per_mwh * P + cost_per_mw2h * P**2` USD of fuel (the cost
    `fuel`), nothing while off; each start `start_cost` (the cost `start`). That is the usual model of unit
    commitment, Wood, Wollenberg and Sheblé, Power Generation, Operation, and Control (3rd ed., 2014), chapter
    4. HOMER's fuel curve is `cost_per_h` and `cost_per_mwh` alone: the 50 kW example of its manual burns 33 l
    in an hour for each MW of its rating and 273 l for each MWh (HOMER Pro 3.12, generator fuel curve).

    Observed: `on` (0 or 1), `since_h`, the hours for which it has been so (no more than matter), and `p_mw`,
    the present power, if any generator of the fleet has a ramp limit.

    - `bus`: node id. `p_mw`: rated power. `p_min_mw`: least power while it runs.
    - `cost_per_mwh`, `cost_per_h`, `cost_per_mw2h`, `start_cost`: USD, 0 or more.
    - `ramp_mw_per_h`: default none. `min_up_h`, `min_down_h`: up to 168, rounded up to whole intervals.
    - `s_mva`: apparent power (default `p_mw / 0.8`, the usual rating of generating sets). `q_max_mvar`,
      `q_min_mvar`: default what `p_mw` leaves of `s_mva`, both ways.
    - `on`: whether episodes begin with it running.

    Raises ValueError for values that cannot be.
    """

    kind: ClassVar[str] = "generator"

    bus: str | int
    p_mw: float
    cost_per_mwh: float
    p_min_mw: float = 0.0
    cost_per_h: float = 0.0
    cost_per_mw2h: float = 0.0
    start_cost: float = 0.0
    ramp_mw_per_h: float | None = None
    min_up_h: float = 0.0
    min_down_h: float = 0.0
    s_mva: float | None = None
    q_min_mvar: float | None = None
    q_max_mvar: float | None = None
    controls: str = "p"
    on: bool = False
    phase: str = "ABC"
    name: str | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "bus", bus_id(self.bus))
        who = f"Generator at bus {self.bus}"
        check_number(who, "p_mw", self.p_mw, 0.0, math.inf, open_low=True)
        check_number(who, "p_min_mw", self.p_min_mw, 0.0, self.p_mw)
        for label in ("cost_per_mwh", "cost_per_h", "cost_per_mw2h", "start_cost"):
            check_number(who, label, getattr(self, label), 0.0, math.inf)
        for label in ("min_up_h", "min_down_h"):
            check_number(who, label, getattr(self, label), 0.0, _LONGEST_H)
        if self.ramp_mw_per_h is not None:
            check_number(who, "ramp_mw_per_h", self.ramp_mw_per_h, 0.0, math.inf, open_low=True)
        if self.s_mva is not None:
            check_number(who, "s_mva", self.s_mva, self.p_mw, math.inf)
        check_choice(who, "controls", self.controls, ("p", "pq"))
        s_mva = self.rated_s_mva
        if self.q_max_mvar is not None:
            check_number(who, "q_max_mvar", self.q_max_mvar, 0.0, s_mva)
        if self.q_min_mvar is not None:
            check_number(who, "q_min_mvar", self.q_min_mvar, -s_mva, 0.0)
        if "q" in self.controls and self.q_range == (0.0, 0.0):
            raise ValueError(
                f"{who}: its range of Q is 0, so its q action would do nothing; use controls='p'"
            )
        if not isinstance(self.on, bool):
            raise ValueError(f"{who}: on must be True or False, got {self.on!r}")
        check_phase(who, self.phase)

    @property
    def rated_s_mva(self) -> float:
        """Apparent power, MVA."""
        return self.p_mw / 0.8 if self.s_mva is None else self.s_mva

    @property
    def q_range(self) -> tuple[float, float]:
        """Least and most reactive power, MVAr."""
        room = math.sqrt(max(self.rated_s_mva**2 - self.p_mw**2, 0.0))
        low = -room if self.q_min_mvar is None else self.q_min_mvar
        return (low or 0.0), room if self.q_max_mvar is None else self.q_max_mvar

    @staticmethod
    def program(specs: Sequence[Generator]) -> GeneratorProgram:
        """All `specs` as one array program."""
        return GeneratorProgram(specs)


class GeneratorProgram(Resource):
    """Generators as columns; `on` (batch, n_units) is 0 or 1, `since` counts intervals from then on."""

    kind: ClassVar[str] = "generator"
    uses_voltage: ClassVar[bool] = False
    writes: ClassVar[tuple[str, ...]] = ("fuel_cost", "start_cost")

    on: Floats
    since: Floats

    def __init__(self, specs: Sequence[Generator]) -> None:
        super().__init__(
            [s.bus for s in specs],
            s_mva=[s.rated_s_mva for s in specs],
            phases=[s.phase for s in specs],
            names=[s.name for s in specs],
        )
        self._specs = tuple(specs)
        self.rated_p_mw = np.array([s.p_mw for s in specs], dtype=np.float64)
        self.p_min_mw = np.array([s.p_min_mw for s in specs], dtype=np.float64)
        self.q_max_mvar = np.array([s.q_range[1] if "q" in s.controls else 0.0 for s in specs])
        self._begins_on = np.array([float(s.on) for s in specs])
        self._counted_h = np.array([max(s.min_up_h, s.min_down_h, 1.0) for s in specs])
        self._ramps = any(s.ramp_mw_per_h is not None for s in specs)
        self.unit_actions = tuple(tuple(s.controls) for s in specs)
        self._col_p, self._col_q = action_columns(self.unit_actions)
        self.unit_observations = tuple(
            (
                Entry("on", "1", 0.0, 1.0, "whether the generator runs, now"),
                Entry(
                    "since_h", "h", 0.0, counted, "hours for which it has been on or off, up to what matters"
                ),
                *(
                    (Entry("p_mw", "MW", 0.0, s.p_mw, "power of each generator, last"),)
                    if self._ramps
                    else ()
                ),
            )
            for s, counted in zip(specs, self._counted_h.tolist(), strict=True)
        )

    @property
    def neutral_action(self) -> Floats:
        """What keeps the state in which episodes begin: off (-1), or on at the least power (0); no Q (0)."""
        return np.array(
            [
                -1.0 if quantity == "p" and not s.on else 0.0
                for s in self._specs
                for quantity in s.controls
            ]
        )  # fmt: skip

    def allowed(self, values: Floats, t_index: Ints) -> NDArray[np.bool_]:
        """Whether what is asked is off where it must stay on, or on where it must stay off."""
        fits = super().allowed(values, t_index)
        gen, on = self._gen, self.on > 0.0
        stays = self.since < np.where(on, gen.min_up, gen.min_down)
        asked = values[:, self._col_p] >= 0.0
        fits[:, :, self._col_p] = (asked[None] == on[:, None]) | ~stays[:, None]
        return fits

    def bind(self, ctx: BindContext) -> None:
        """Allocate; see `Resource.bind`."""
        super().bind(ctx)
        specs = self._specs
        self._dt_h = ctx.dt_h

        def intervals(hours: Sequence[float] | Floats) -> Floats:
            return np.ceil(np.asarray(hours, dtype=np.float64) / ctx.dt_h - _ROUND)

        self._gen = gen = Generators(
            self._col_p, self._col_q, self.p_min_mw, self.rated_p_mw, self.s_mva,
            np.array([s.q_range[0] for s in specs]), np.array([s.q_range[1] for s in specs]),
            np.array([math.inf if s.ramp_mw_per_h is None else s.ramp_mw_per_h * ctx.dt_h for s in specs]),
            intervals([s.min_up_h for s in specs]), intervals([s.min_down_h for s in specs]),
            intervals(self._counted_h),
            *(
                np.array([getattr(s, label) for s in specs], dtype=np.float64)
                for label in ("cost_per_h", "cost_per_mwh", "cost_per_mw2h", "start_cost")
            ),
        )  # fmt: skip
        self._most_fuel = ctx.dt_h * (
            gen.cost_per_h + (gen.cost_per_mwh + gen.cost_per_mw2h * gen.p_max) * gen.p_max
        )
        self.max_cost_per_step = float(self._most_fuel.sum() + gen.start_price.sum())
        self.on = np.repeat(self._begins_on[None], ctx.batch, axis=0)
        self.since = np.repeat(gen.longest[None], ctx.batch, axis=0)

    def reset(self, rows: Ints, rngs: Sequence[np.random.Generator]) -> None:
        """As episodes begin: for long enough to be started or stopped at once."""
        super().reset(rows, rngs)
        self.on[rows], self.since[rows] = self._begins_on, self._gen.longest
        self.current_p_mw[rows] = self._begins_on * self.p_min_mw

    def advance(self, action: Floats, exo: Exogenous) -> None:
        """One interval; see `generator_advance`."""
        generator_advance(
            self._gen, action, self.on, self.since, self.current_p_mw, self.current_q_mvar,
            self.accounts["fuel_cost"], self.accounts["start_cost"], exo.dt_h,
        )  # fmt: skip

    def observe(self, t_index: Ints, out: Floats) -> None:
        """Whether each runs, for how long (and its power, MW, where ramps are limited)."""
        n = self.n_units
        out[:, :n] = self.on
        out[:, n : 2 * n] = np.minimum(self.since * self._dt_h, self._counted_h)
        if self._ramps:
            out[:, 2 * n :] = self.current_p_mw

    def most_of(self, account: str, dt_h: float) -> float:
        """See `Resource.most_of`."""
        bounds = {"fuel_cost": self._most_fuel, "start_cost": self._gen.start_price}
        return float(bounds[account].sum()) if account in bounds else 0.0

    def outlook(self, t_index: Ints, row: int, now: int, sun: Floats | None = None) -> Outlook:
        """From nothing to rated power, and what starting, stopping and running it takes."""
        gen, n = self._gen, t_index.size
        return Outlook(
            self.names, np.zeros((n, self.n_units)), held(self.rated_p_mw, n), self.s_mva, self.q_max_mvar,
            commitment=Commitment(
                self.on[row] > 0.0, self.since[row].copy(), self.current_p_mw[row].copy(), gen.p_min,
                gen.p_max, gen.q_min, gen.ramp, gen.min_up, gen.min_down, gen.cost_per_h, gen.cost_per_mwh,
                gen.cost_per_mw2h, gen.start_price,
            ),
        )  # fmt: skip

    def state(self) -> dict[str, Floats]:
        """Live arrays; see `Resource.state`."""
        return {**super().state(), "on": self.on, "since": self.since}
