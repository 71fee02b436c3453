"""Wind turbines and parks: curtailment, ramps, and reactive power inside the circle of apparent power."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Protocol, cast, runtime_checkable

import numpy as np
from numpy.typing import ArrayLike

from ..kernels.plants import wind_advance
from .base import BindContext, Entry, Exogenous, Floats, Ints, bus_id, check_number
from .profiled import ProfiledPlant, ProfiledProgram

#: Sites of `cases.profiles.wind`.
N_WIND_SITES = 12


@dataclass(frozen=True)
class Wind(ProfiledPlant):
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
    n_sites: ClassVar[int] = N_WIND_SITES

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
        self.check_plant(who, ("p", "pq", "q"))
        if self.ramp_mw_per_h is not None:
            check_number(who, "ramp_mw_per_h", self.ramp_mw_per_h, 0.0, math.inf, open_low=True)

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


class WindProgram(ProfiledProgram):
    """Wind turbines as columns."""

    kind: ClassVar[str] = "wind"
    foretold: ClassVar[str] = "wind"
    source: ClassVar[str] = "wind"
    comes_with: ClassVar[str] = "wind"
    meaning: ClassVar[str] = "power each turbine could give"

    def __init__(self, specs: Sequence[Wind]) -> None:
        super().__init__(specs)
        self.ramp_mw_per_h = np.array([s.ramp_mw_per_h or math.inf for s in specs], dtype=np.float64)
        self._ramps = bool(np.isfinite(self.ramp_mw_per_h).any())
        if self._ramps:
            self.unit_observations = tuple(
                (*entries, Entry("p_mw", "MW", 0.0, s.rated_s_mva, "power of each turbine, last"))
                for entries, s in zip(self.unit_observations, specs, strict=True)
            )

    def profile_of(self, ctx: BindContext) -> ArrayLike:
        """See `ProfiledProgram.profile_of`."""
        source = cast(object, ctx.profiles)
        if not isinstance(source, WindData):
            raise ValueError("Wind needs profiles with wind: pass cases.profiles.load_profiles()")
        return source.wind

    def bind(self, ctx: BindContext) -> None:
        """Allocate; see `ProfiledProgram.bind`."""
        super().bind(ctx)
        self._ramp_mw = self.ramp_mw_per_h * ctx.dt_h
        self._begun = np.zeros(ctx.batch)

    def reset(self, rows: Ints, rngs: Sequence[np.random.Generator]) -> None:
        """Start with nothing flowing; see `Resource.reset`."""
        super().reset(rows, rngs)
        self._begun[rows] = 0.0

    def advance(self, action: Floats, exo: Exogenous) -> None:
        """One interval; see `kernels.plants.wind_advance`."""
        row = wind_advance(
            action, self._profile, exo.t_index, self.site, self.rated_p_mw, self._ramp_mw, self._col_p,
            self._col_q, self.s_mva, self.q_max_mvar, self._reactive_first, self._begun, self.current_p_mw,
            self.current_q_mvar, self.accounts["curtailed_mw"],
        )  # fmt: skip
        if row >= 0:
            self._refuse(exo.t_index[row])

    def observe(self, t_index: Ints, out: Floats) -> None:
        """Power available in interval `t_index`, MW (and the present power, where ramps are limited)."""
        super().observe(t_index, out)
        if self._ramps:
            out[:, self.n_units :] = self.current_p_mw

    def state(self) -> dict[str, Floats]:
        """Live arrays; see `Resource.state`."""
        return {**super().state(), "begun": self._begun}
