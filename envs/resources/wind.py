"""Wind turbines and parks: curtailment, ramps, and reactive power inside the circle of apparent power."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Protocol, cast, runtime_checkable

import numpy as np

from ..kernels.wind import wind_advance, wind_available
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
from .outlook import Outlook
from .times import COMING

#: Sites of `cases.profiles.wind`.
N_WIND_SITES = 12


@dataclass(frozen=True)
class Wind(ResourceSpec):
    """A wind turbine, or a park, behind a full converter.

    Available power: `p_mw` times the site's profile, capped at `s_mva`. Action p (where controlled): +1
    passes all of it (the neutral action), -1 none, linear between. With `ramp_mw_per_h` power changes by no
    more than that from one interval to the next, except where the wind itself falls faster; an episode begins
    without a limit. Action q (where controlled): asks for `q * q_max_frac * s_mva` MVAr, positive when
    injecting. Outside the circle P^2 + Q^2 <= s_mva^2 the converter keeps Q and cuts P
    (`priority="reactive"`) or keeps P and cuts Q ("active"). Observed: `p_avail_mw` of the coming interval
    (and `p_mw`, the present power, if any turbine of the fleet has a ramp limit, because the next power then
    depends on it). What is available and not fed in is the account `curtailed_mw`.

    Source: profiles are those of SimBench (Meinecke et al., Energies 13(12), 2020, doi:10.3390/en13123290),
    which are hourly values interpolated; the reactive capability of 0.44 is that of category B in IEEE
    1547-2018.

    - `bus`: node id. `p_mw`: rated power. `s_mva`: apparent power of the converter (default `1.1 * p_mw`).
    - `site`: 0..11, whose wind it has; default: fixed by a hash of the bus.
    - `controls`: "p", "pq" or "q". `ramp_mw_per_h`: largest change of power per hour (default none).

    Raises ValueError for values that cannot be.
    """

    kind: ClassVar[str] = "wind"

    bus: str | int
    p_mw: float
    s_mva: float | None = None
    site: int | None = None
    q_max_frac: float = 0.44
    controls: str = "p"
    priority: str = "reactive"
    ramp_mw_per_h: float | None = None
    phase: str = "ABC"
    name: str | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "bus", bus_id(self.bus))
        who = f"Wind at bus {self.bus}"
        check_number(who, "p_mw", self.p_mw, 0.0, math.inf, open_low=True)
        if self.s_mva is not None:
            check_number(who, "s_mva", self.s_mva, 0.0, math.inf, open_low=True)
        check_choice(who, "controls", self.controls, ("p", "pq", "q"))
        check_choice(who, "priority", self.priority, ("reactive", "active"))
        check_number(who, "q_max_frac", self.q_max_frac, 0.0, 1.0)
        if "q" in self.controls and self.q_max_frac == 0.0:
            raise ValueError(f"{who}: q_max_frac is 0, so its q action would do nothing; use controls='p'")
        if self.ramp_mw_per_h is not None:
            check_number(who, "ramp_mw_per_h", self.ramp_mw_per_h, 0.0, math.inf, open_low=True)
        whole = isinstance(self.site, int | np.integer) and not isinstance(self.site, bool)
        if self.site is not None and not (whole and 0 <= self.site < N_WIND_SITES):
            raise ValueError(
                f"{who}: site must be an integer from 0 to {N_WIND_SITES - 1} or None, got {self.site!r}"
            )
        check_phase(who, self.phase)

    @property
    def rated_s_mva(self) -> float:
        """Apparent power of the converter, MVA."""
        return 1.1 * self.p_mw if self.s_mva is None else self.s_mva

    @property
    def rated_site(self) -> int:
        """The site whose profile it follows: the same for a bus in every process (sha256, not `hash`)."""
        if self.site is not None:
            return int(self.site)
        return int.from_bytes(hashlib.sha256(str(self.bus).encode()).digest()[:8], "big") % N_WIND_SITES

    @staticmethod
    def program(specs: Sequence[Wind]) -> WindProgram:
        """All `specs` as one array program."""
        return WindProgram(specs)


@runtime_checkable
class WindData(Protocol):
    """The part of `cases.profiles.Profiles` that wind turbines read."""

    @property
    def wind(self) -> Floats:
        """Wind power per unit of rated power, (n_steps, n_wind_sites)."""


class WindProgram(Resource):
    """Wind turbines as columns."""

    kind: ClassVar[str] = "wind"
    uses_voltage: ClassVar[bool] = False
    foretold: ClassVar[str] = "wind"
    writes: ClassVar[tuple[str, ...]] = ("curtailed_mw",)

    def __init__(self, specs: Sequence[Wind]) -> None:
        super().__init__(
            [s.bus for s in specs],
            s_mva=[s.rated_s_mva for s in specs],
            phases=[s.phase for s in specs],
            names=[s.name for s in specs],
        )
        self.rated_p_mw = np.array([s.p_mw for s in specs], dtype=np.float64)
        self.q_max_mvar = np.array(
            [s.q_max_frac * s.rated_s_mva if "q" in s.controls else 0.0 for s in specs]
        )
        self.ramp_mw_per_h = np.array([s.ramp_mw_per_h or math.inf for s in specs], dtype=np.float64)
        self.site = np.array([s.rated_site for s in specs], dtype=np.int64)
        self._reactive_first = np.array([s.priority == "reactive" for s in specs])
        self.unit_actions = tuple(tuple(s.controls) for s in specs)
        self._ramps = bool(np.isfinite(self.ramp_mw_per_h).any())
        available = "power each turbine could give"
        self.unit_observations = tuple(
            (
                Entry("p_avail_mw", "MW", 0.0, s.rated_s_mva, available, COMING),
                *([Entry("p_mw", "MW", 0.0, s.rated_s_mva, "power of each turbine, last")] * self._ramps),
            )
            for s in specs
        )
        self._col_p, self._col_q = action_columns(self.unit_actions)

    @property
    def neutral_action(self) -> Floats:
        """No curtailment (p = +1) and no reactive power (q = 0)."""
        return np.array([1.0 if q == "p" else 0.0 for qs in self.unit_actions for q in qs])

    def bind(self, ctx: BindContext) -> None:
        """Allocate and take the wind profile; ValueError when the context has none."""
        super().bind(ctx)
        source = cast(object, ctx.profiles)
        if not isinstance(source, WindData):
            raise ValueError("Wind needs profiles with wind: pass cases.profiles.load_profiles()")
        profile = np.ascontiguousarray(source.wind).view()
        if profile.ndim != 2 or profile.shape[1] <= int(self.site.max()):
            raise ValueError(
                f"wind profiles have shape {profile.shape}; site {int(self.site.max())} is not among them"
            )
        profile.flags.writeable = False  # one array type, so the kernels compile once
        self._profile = profile
        self._ramp_mw = self.ramp_mw_per_h * ctx.dt_h
        self._begun = np.zeros(ctx.batch)

    def reset(self, rows: Ints, rngs: Sequence[np.random.Generator]) -> None:
        """Start with nothing flowing; see `Resource.reset`."""
        super().reset(rows, rngs)
        self._begun[rows] = 0.0

    def advance(self, action: Floats, exo: Exogenous) -> None:
        """One interval; see `kernels.wind.wind_advance`."""
        row = wind_advance(
            action, self._profile, exo.t_index, self.site, self.rated_p_mw, self._ramp_mw, self._col_p,
            self._col_q, self.s_mva, self.q_max_mvar, self._reactive_first, self._begun, self.current_p_mw,
            self.current_q_mvar, self.accounts["curtailed_mw"],
        )  # fmt: skip
        if row >= 0:
            self._refuse(exo.t_index[row])

    def observe(self, t_index: Ints, out: Floats) -> None:
        """Power available in interval `t_index`, MW (and the present power, where ramps are limited)."""
        row = wind_available(self._profile, t_index, self.site, self.rated_p_mw, self.s_mva, out)
        if row >= 0:
            self._refuse(t_index[row])
        if self._ramps:
            out[:, self.n_units :] = self.current_p_mw

    def outlook(self, t_index: Ints, row: int, now: int, sun: Floats | None = None) -> Outlook:
        """What the wind offers in each interval: that, or less where the unit may curtail.

        `sun`: forecasts (horizon, sites) of the wind, in place of the truth. Ramps are not told.
        """
        available = np.empty((t_index.size, self.n_units))
        row = wind_available(self._profile, t_index, self.site, self.rated_p_mw, self.s_mva, available)
        if row >= 0:
            self._refuse(t_index[row])
        if sun is not None:
            available = np.minimum(sun[:, self.site] * self.rated_p_mw, self.s_mva)
        least = np.where(self._col_p >= 0, 0.0, available)
        return Outlook(
            self.names, least, available, self.s_mva, self.q_max_mvar, available_mw=available.copy()
        )

    def _refuse(self, interval: np.int64) -> None:
        raise ValueError(
            f"interval {int(interval)} is beyond the wind profile, which has {len(self._profile)}: "
            "loads, wind and clock must cover the same days"
        )

    def state(self) -> dict[str, Floats]:
        """Live arrays; see `Resource.state`."""
        return {**super().state(), "begun": self._begun}
