"""Plants whose power the sun or the wind gives: a site's profile times the rating, behind a converter."""

from __future__ import annotations

import hashlib
import math
from abc import abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar, NoReturn

import numpy as np
from numpy.typing import ArrayLike

from ..kernels.plants import available_power
from .action_columns import action_columns
from .base import (
    BindContext,
    Entry,
    Floats,
    Ints,
    Resource,
    ResourceSpec,
    check_choice,
    check_number,
    check_phase,
)
from .outlook import Outlook
from .times import COMING


class ProfiledPlant(ResourceSpec):
    """What specs of such plants have in common; the fields are those of the kinds."""

    #: Number of sites in the data.
    n_sites: ClassVar[int]

    p_mw: float
    s_mva: float | None
    site: int | None
    q_max_frac: float
    controls: str | None
    priority: str

    def check_plant(self, who: str, choices: Sequence[str]) -> None:
        """ValueError for a field that cannot be; ``choices``: of what its actions control."""
        check_number(who, "p_mw", self.p_mw, 0.0, math.inf, open_low=True)
        if self.s_mva is not None:
            check_number(who, "s_mva", self.s_mva, 0.0, math.inf, open_low=True)
        check_choice(who, "controls", self.quantities, tuple(choices))
        check_choice(who, "priority", self.priority, ("reactive", "active"))
        check_number(who, "q_max_frac", self.q_max_frac, 0.0, 1.0)
        if "q" in self.quantities and self.q_max_frac == 0.0:
            raise ValueError(f"{who}: q_max_frac is 0, so its q action would do nothing; use controls='p'")
        whole = isinstance(self.site, int | np.integer) and not isinstance(self.site, bool)
        if self.site is not None and not (whole and 0 <= self.site < self.n_sites):
            raise ValueError(
                f"{who}: site must be an integer from 0 to {self.n_sites - 1} or None, got {self.site!r}"
            )
        check_phase(who, str(self.phase))

    @property
    def quantities(self) -> str:
        """What its actions control: letters of "pq"."""
        return str(self.controls)

    @property
    def rated_s_mva(self) -> float:
        """Apparent power of the converter, MVA."""
        return 1.1 * self.p_mw if self.s_mva is None else self.s_mva

    @property
    def rated_site(self) -> int:
        """The site whose profile it follows: the same for a bus in every process (sha256, not `hash`)."""
        if self.site is not None:
            return int(self.site)
        return int.from_bytes(hashlib.sha256(str(self.bus).encode()).digest()[:8], "big") % self.n_sites


class ProfiledProgram(Resource):
    """Such plants as columns."""

    uses_voltage: ClassVar[bool] = False
    writes: ClassVar[tuple[str, ...]] = ("curtailed_mw",)
    #: In messages: the profile, and what it comes with.
    source: ClassVar[str]
    comes_with: ClassVar[str]
    meaning: ClassVar[str]  # of `p_avail_mw`

    def __init__(self, specs: Sequence[Any]) -> None:
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
        self.unit_observations = tuple(
            (Entry("p_avail_mw", "MW", 0.0, s.rated_s_mva, self.meaning, COMING),) for s in specs
        )
        self._col_p, self._col_q = action_columns(self.unit_actions)

    @property
    def neutral_action(self) -> Floats:
        """No curtailment (p = +1) and no reactive power (q = 0)."""
        return np.array([1.0 if q == "p" else 0.0 for qs in self.unit_actions for q in qs])

    @abstractmethod
    def profile_of(self, ctx: BindContext) -> ArrayLike:
        """(n_steps, sites) power per unit of rated power; ValueError when the context has none."""

    def bind(self, ctx: BindContext) -> None:
        """Allocate and take the profile; ValueError when the context has none."""
        super().bind(ctx)
        profile = read_only(self.profile_of(ctx))
        if profile.ndim != 2 or profile.shape[1] <= int(self.site.max()):
            raise ValueError(
                f"{self.source} profiles have shape {profile.shape}; site {int(self.site.max())} is not "
                "among them"
            )
        self._profile = profile

    def observe(self, t_index: Ints, out: Floats) -> None:
        """Power available in interval `t_index`, MW."""
        row = available_power(self._profile, t_index, self.site, self.rated_p_mw, self.s_mva, out)
        if row >= 0:
            self._refuse(t_index[row])

    def outlook(self, t_index: Ints, row: int, now: int, sun: Floats | None = None) -> Outlook:
        """What is offered in each interval: that, or less where the unit may curtail.

        `sun`: forecasts (horizon, sites) of the profile, in place of the truth.
        """
        available = np.empty((t_index.size, self.n_units))
        ProfiledProgram.observe(self, t_index, available)
        if sun is not None:
            available = np.minimum(sun[:, self.site] * self.rated_p_mw, self.s_mva)
        least = np.where(self._col_p >= 0, 0.0, available)
        return Outlook(
            self.names, least, available, self.s_mva, self.q_max_mvar, available_mw=available.copy()
        )

    def _refuse(self, interval: np.int64) -> NoReturn:
        refuse_interval(interval, f"{self.source} profile, which has", self._profile, self.comes_with)


def read_only(values: ArrayLike) -> Floats:
    """A view that nobody can write: one array type, so that kernels compile once."""
    found = np.ascontiguousarray(values).view()
    found.flags.writeable = False
    return found


def refuse_interval(interval: np.int64, series: str, values: Floats, comes_with: str) -> NoReturn:
    """ValueError for an interval that a series, "PV profile, which has", does not reach."""
    raise ValueError(
        f"interval {int(interval)} is beyond the {series} {len(values)}: "
        f"loads, {comes_with} and clock must cover the same days"
    )
