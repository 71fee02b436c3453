"""PV behind a smart inverter: curtailment and reactive power inside the circle of apparent power."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
from numpy.typing import ArrayLike

from ..kernels.inverter_functions import cease, inverter_response, note_rest
from ..kernels.plants import pv_advance
from .base import BindContext, Exogenous, Floats, Ints, bus_id
from .inverter_functions import InverterFunctions, cease_limits, function_table, functions_of
from .outlook import Functions, Outlook
from .profiled import ProfiledPlant, ProfiledProgram
from .settling import BoolArray, SettlingResource

#: Sites of `cases.profiles.pv`.
N_SITES = 25


@dataclass(frozen=True)
class PV(ProfiledPlant):
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
    n_sites: ClassVar[int] = N_SITES

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
        self.check_plant(who, ("q", "pq", "p") if self.functions is None else ("", "p"))

    @staticmethod
    def program(specs: Sequence[PV]) -> PVProgram:
        """All `specs` as one array program."""
        autonomous = any(spec.functions is not None for spec in specs)
        return AutonomousPVProgram(specs) if autonomous else PVProgram(specs)


class PVProgram(ProfiledProgram):
    """PV plants as columns; `p_avail_mw` (batch, n_units) is what the sun offered in the last interval."""

    kind: ClassVar[str] = "pv"
    source: ClassVar[str] = "PV"
    comes_with: ClassVar[str] = "sun"
    meaning: ClassVar[str] = "power each plant could give"

    p_avail_mw: Floats  # (batch, n_units)

    def profile_of(self, ctx: BindContext) -> ArrayLike:
        """See `ProfiledProgram.profile_of`."""
        if ctx.profiles is None:
            raise ValueError("PV needs profiles: pass cases.profiles.load_profiles()")
        return ctx.profiles.pv

    def bind(self, ctx: BindContext) -> None:
        """Allocate; see `ProfiledProgram.bind`."""
        super().bind(ctx)
        self.p_avail_mw = np.zeros((ctx.batch, self.n_units))

    def reset(self, rows: Ints, rngs: Sequence[np.random.Generator]) -> None:
        """Start with nothing flowing; see `Resource.reset`."""
        super().reset(rows, rngs)
        self.p_avail_mw[rows] = 0.0

    def advance(self, action: Floats, exo: Exogenous) -> None:
        """One interval; see `kernels.plants.pv_advance`."""
        row = pv_advance(
            action, self._profile, exo.t_index, self.site, self.rated_p_mw, self._col_p, self._col_q,
            self.s_mva, self.q_max_mvar, self._reactive_first, self.p_avail_mw, self.current_p_mw,
            self.current_q_mvar, self.accounts["curtailed_mw"],
        )  # fmt: skip
        if row >= 0:
            self._refuse(exo.t_index[row])

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

    def outlook(self, t_index: Ints, row: int, now: int, sun: Floats | None = None) -> Outlook:
        """As `PVProgram.outlook`, and the functions."""
        offered = super().outlook(t_index, row, now, sun)
        return replace(offered, functions=Functions(self._table, self._cease_pu))

    def state(self) -> dict[str, Floats]:
        """Live arrays; see `Resource.state`."""
        return {**super().state(), "offered_mw": self.offered_mw, "ceased": self.ceased}
