"""PV behind a smart inverter: curtailment and reactive power inside the circle of apparent power."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ..kernels.devices import pv_advance, pv_available
from ..kernels.inverter_functions import cease, inverter_response, note_rest
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
from .inverter_functions import InverterFunctions, cease_limits, function_table, functions_of
from .outlook import Outlook
from .settling import BoolArray, SettlingResource
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

    With `functions` the inverter controls itself by IEEE Std 1547-2018, faster than an interval is long: in
    each step it rests where P and Q are those of its curves at the voltage which they bring about, that of
    its own phase or the mean over its phases. It has no action q; an action p limits what it may pass. Where
    no rest is found, `info["delivered"]["unsettled"]` is 1 for the unit.

    - `bus`: node id. `p_mw`: rated power. `s_mva`: apparent power of the inverter (default `1.1 * p_mw`).
    - `site`: 0..24, whose clouds it sees; default: fixed by a hash of the bus.
    - `functions`: an `InverterFunctions`, or the name of defaults, as "volt-var-b" or "volt-var+volt-watt-a".
    - `controls`: "q" (default), "pq" or "p"; with `functions` "" (default) or "p".

    Raises ValueError for values that cannot be.
    """

    kind: ClassVar[str] = "pv"

    bus: str | int
    p_mw: float
    s_mva: float | None = None
    site: int | None = None
    q_max_frac: float = 0.44
    controls: str | None = None
    priority: str = "reactive"
    phase: str = "ABC"
    name: str | None = None
    functions: InverterFunctions | str | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "bus", bus_id(self.bus))
        who = f"PV at bus {self.bus}"
        object.__setattr__(self, "functions", functions_of(who, self.functions))
        if self.controls is None:
            object.__setattr__(self, "controls", "q" if self.functions is None else "")
        if self.functions is not None and "q" in str(self.controls):
            raise ValueError(
                f"{who}: its functions set Q, so controls must be '' or 'p', got {self.controls!r}"
            )
        check_number(who, "p_mw", self.p_mw, 0.0, math.inf, open_low=True)
        if self.s_mva is not None:
            check_number(who, "s_mva", self.s_mva, 0.0, math.inf, open_low=True)
        choices = ("q", "pq", "p") if self.functions is None else ("", "p")
        check_choice(who, "controls", self.quantities, choices)
        check_choice(who, "priority", self.priority, ("reactive", "active"))
        check_number(who, "q_max_frac", self.q_max_frac, 0.0, 1.0)
        if "q" in self.quantities and self.q_max_frac == 0.0:
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
    def quantities(self) -> str:
        """What its actions control: letters of "pq"."""
        return str(self.controls)

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
        autonomous = any(spec.functions is not None for spec in specs)
        return AutonomousPVProgram(specs) if autonomous else PVProgram(specs)


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
            [s.q_max_frac * s.rated_s_mva if "q" in s.quantities else 0.0 for s in specs]
        )
        self.site = np.array([s.rated_site for s in specs], dtype=np.int64)
        self._reactive_first = np.array([s.priority == "reactive" for s in specs])
        self.unit_actions = tuple(tuple(s.quantities) for s in specs)
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


class AutonomousPVProgram(SettlingResource, PVProgram):
    """PV plants some of which run functions of IEEE Std 1547-2018; the others are as in `PVProgram`."""

    uses_voltage: ClassVar[bool] = True
    writes: ClassVar[tuple[str, ...]] = (*PVProgram.writes, *SettlingResource.writes)

    offered_mw: Floats  # (batch, n_units) what may flow in the interval, by the sun and the action
    ceased: Floats  # (batch, n_units) 1.0 where nothing flows until the end of the interval

    def __init__(self, specs: Sequence[PV]) -> None:
        super().__init__(specs)
        functions = [functions_of("PV", spec.functions) for spec in specs]
        self._table = function_table(functions, self.rated_p_mw, self.s_mva, self._reactive_first)
        self._cease_pu = cease_limits(functions)

    def bind(self, ctx: BindContext) -> None:
        """Allocate; see `PVProgram.bind`."""
        super().bind(ctx)
        shape = (ctx.batch, self.n_units)
        self.offered_mw, self.ceased = np.zeros(shape), np.zeros(shape)
        self._p_mw, self._q_mvar = np.zeros(shape), np.zeros(shape)

    def reset(self, rows: Ints, rngs: Sequence[np.random.Generator]) -> None:
        """Start with nothing flowing, all on; see `Resource.reset`."""
        super().reset(rows, rngs)
        self.offered_mw[rows] = self.ceased[rows] = 0.0

    def advance(self, action: Floats, exo: Exogenous) -> None:
        """What may flow in the interval, and what would at the voltages of the last one: a first guess."""
        super().advance(action, exo)
        self.offered_mw[:] = self._p_mw[:] = self.current_p_mw
        self._q_mvar[:] = self.current_q_mvar
        self.ceased.fill(0.0)
        self.respond(exo.v_pu, self._p_mw, self._q_mvar)
        self.rest(self._p_mw, self._q_mvar, np.zeros(self._p_mw.shape, dtype=np.bool_))

    def respond(self, v_pu: Floats, p_mw: Floats, q_mvar: Floats) -> None:
        """See `SettlingResource.respond` and `envs.kernels.inverter_functions`."""
        inverter_response(self._table, v_pu, self.offered_mw, self.ceased, p_mw, q_mvar)

    def switch_off(self, v_pu: Floats, rows: BoolArray, changed: BoolArray) -> bool:
        """Momentary cessation."""
        return bool(cease(v_pu, self._cease_pu, rows, self.ceased, changed))

    def rest(self, p_mw: Floats, q_mvar: Floats, missed: BoolArray) -> None:
        """Powers, and what was curtailed: of what the sun offered, all that does not flow."""
        self.current_p_mw[:], self.current_q_mvar[:] = p_mw, q_mvar
        note_rest(self.p_avail_mw, p_mw, missed, self.accounts["curtailed_mw"], self.accounts["unsettled"])

    def state(self) -> dict[str, Floats]:
        """Live arrays; see `Resource.state`."""
        return {**super().state(), "offered_mw": self.offered_mw, "ceased": self.ceased}
