"""PV behind a smart inverter: curtailment and reactive power inside the circle of apparent power."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ..kernels.devices import pv_advance, pv_available
from .base import (
    BindContext,
    Entry,
    Exogenous,
    Floats,
    Ints,
    Resource,
    ResourceSpec,
    action_columns,
    bus_id,
    check_choice,
    check_number,
    check_phase,
)
from .outlook import Outlook
from .times import COMING

#: Sites of `cases.profiles.pv`.
N_SITES = 25


@dataclass(frozen=True)
class PV(ResourceSpec):
    """A PV plant whose inverter may curtail and may give or take reactive power, at night too.

    Available power: `p_mw` times the site's profile, capped at `s_mva`. Action p (where controlled): +1
    passes all of it (the neutral action), -1 none, linear between. Action q (where controlled): asks for
    `q * q_max_frac * s_mva` MVAr, positive when injecting. Outside the circle P^2 + Q^2 <= s_mva^2 the
    inverter keeps Q and cuts P (`priority="reactive"`, as IEEE 1547 asks of volt-var) or keeps P and cuts
    Q ("active"). Observed: `p_avail_mw`, of the coming interval at the level "oracle", else of the last one.

    - `bus`: node id. `p_mw`: rated power. `s_mva`: apparent power of the inverter (default `1.1 * p_mw`).
    - `site`: 0..24, whose clouds it sees; default: fixed by a hash of the bus.
    - `controls`: "q", "pq" or "p".

    Raises ValueError for values that cannot be.
    """

    kind: ClassVar[str] = "pv"

    bus: str | int
    p_mw: float
    s_mva: float | None = None
    site: int | None = None
    q_max_frac: float = 0.44
    controls: str = "q"
    priority: str = "reactive"
    phase: str = "ABC"
    name: str | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "bus", bus_id(self.bus))
        who = f"PV at bus {self.bus}"
        check_number(who, "p_mw", self.p_mw, 0.0, math.inf, open_low=True)
        if self.s_mva is not None:
            check_number(who, "s_mva", self.s_mva, 0.0, math.inf, open_low=True)
        check_choice(who, "controls", self.controls, ("q", "pq", "p"))
        check_choice(who, "priority", self.priority, ("reactive", "active"))
        check_number(who, "q_max_frac", self.q_max_frac, 0.0, 1.0)
        if "q" in self.controls and self.q_max_frac == 0.0:
            raise ValueError(f"{who}: q_max_frac is 0, so its q action would do nothing; use controls='p'")
        if self.site is not None and (
            isinstance(self.site, bool)
            or not isinstance(self.site, int | np.integer)
            or not 0 <= self.site < N_SITES
        ):
            raise ValueError(
                f"{who}: site must be an integer from 0 to {N_SITES - 1} or None, got {self.site!r}"
            )
        check_phase(who, self.phase)

    @property
    def rated_s_mva(self) -> float:
        """Apparent power of the inverter, MVA."""
        return 1.1 * self.p_mw if self.s_mva is None else self.s_mva

    @property
    def rated_site(self) -> int:
        """The site whose profile it follows: the same for a bus in every process (sha256, not `hash`)."""
        if self.site is not None:
            return int(self.site)
        return int.from_bytes(hashlib.sha256(str(self.bus).encode()).digest()[:8], "big") % N_SITES

    @staticmethod
    def program(specs: Sequence[PV]) -> PVProgram:
        """All `specs` as one array program."""
        return PVProgram(specs)


class PVProgram(Resource):
    """PV plants as columns; `p_avail_mw` (batch, n_units) is what the sun offered in the last interval."""

    kind: ClassVar[str] = "pv"
    uses_voltage: ClassVar[bool] = False
    writes: ClassVar[tuple[str, ...]] = ("curtailed_mw",)

    p_avail_mw: Floats  # (batch, n_units)

    def __init__(self, specs: Sequence[PV]) -> None:
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
        self.site = np.array([s.rated_site for s in specs], dtype=np.int64)
        self._reactive_first = np.array([s.priority == "reactive" for s in specs])
        self.unit_actions = tuple(tuple(s.controls) for s in specs)
        meaning = "power each plant could give"
        self.unit_observations = tuple(
            (Entry("p_avail_mw", "MW", 0.0, s.rated_s_mva, meaning, COMING),) for s in specs
        )
        self._col_p, self._col_q = action_columns(self.unit_actions)

    @property
    def neutral_action(self) -> Floats:
        """No curtailment (p = +1) and no reactive power (q = 0)."""
        return np.array([1.0 if q == "p" else 0.0 for qs in self.unit_actions for q in qs])

    def bind(self, ctx: BindContext) -> None:
        """Allocate and take the PV profile; ValueError when the context has none."""
        super().bind(ctx)
        if ctx.profiles is None:
            raise ValueError("PV needs profiles: pass cases.profiles.load_profiles()")
        profile = np.ascontiguousarray(ctx.profiles.pv).view()
        if profile.ndim != 2 or profile.shape[1] <= int(self.site.max()):
            raise ValueError(
                f"PV profiles have shape {profile.shape}; site {int(self.site.max())} is not among them"
            )
        profile.flags.writeable = False  # one array type, so the kernels compile once
        self._profile = profile
        self.p_avail_mw = np.zeros((ctx.batch, self.n_units))

    def reset(self, rows: Ints, rngs: Sequence[np.random.Generator]) -> None:
        """Start with nothing flowing; see `Resource.reset`."""
        super().reset(rows, rngs)
        self.p_avail_mw[rows] = 0.0

    def advance(self, action: Floats, exo: Exogenous) -> None:
        """One interval; see `physics.devices.pv_advance`."""
        row = pv_advance(
            action,
            self._profile,
            exo.t_index,
            self.site,
            self.rated_p_mw,
            self._col_p,
            self._col_q,
            self.s_mva,
            self.q_max_mvar,
            self._reactive_first,
            self.p_avail_mw,
            self.current_p_mw,
            self.current_q_mvar,
            self.accounts["curtailed_mw"],
        )
        if row >= 0:
            self._refuse(exo.t_index[row])

    def observe(self, t_index: Ints, out: Floats) -> None:
        """Power available in interval `t_index`, MW."""
        row = pv_available(self._profile, t_index, self.site, self.rated_p_mw, self.s_mva, out)
        if row >= 0:
            self._refuse(t_index[row])

    def outlook(self, t_index: Ints, row: int, now: int, sun: Floats | None = None) -> Outlook:
        """What the sun offers in each interval: that, or less where the unit may curtail."""
        available = np.empty((t_index.size, self.n_units))
        self.observe(t_index, available)
        if sun is not None:
            available = np.minimum(sun[:, self.site] * self.rated_p_mw, self.s_mva)
        least = np.where(self._col_p >= 0, 0.0, available)
        return Outlook(
            self.names, least, available, self.s_mva, self.q_max_mvar, available_mw=available.copy()
        )

    def _refuse(self, interval: np.int64) -> None:
        raise ValueError(
            f"interval {int(interval)} is beyond the PV profile, which has {len(self._profile)}: "
            "loads, sun and clock must cover the same days"
        )

    def state(self) -> dict[str, Floats]:
        """Live arrays; see `Resource.state`."""
        return {**super().state(), "p_avail_mw": self.p_avail_mw}
