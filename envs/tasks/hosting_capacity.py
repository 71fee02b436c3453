"""Hosting capacity: new generation is connected site by site, step by step, until a limit would be passed."""

from __future__ import annotations

import math
from dataclasses import dataclass

from ...cases.profiles import Duration
from ..blocks import Block, EpisodeLeft
from ..resources.base import check_number
from .base import BoolArray, StepView, Task
from .hosting_limits import DEVIATION_PU, MOST_LOADING, violates
from .terms import Term

_STEPS = Duration(hours=4.0)


@dataclass(frozen=True)
class HostingCapacity(Task):
    """Reward in MW connected, on one snapshot of a day; an episode ends at the first violation.

    Per step: the MW that `HostingSite` devices newly connect, ``-(1 + refused_weight)`` times them where the
    step violates a limit: what it connected is not counted, and each MW of it costs ``refused_weight``. So
    the return is the MW connected without a violation, less the price of the step that violated. Limits are
    the band of voltages, ``most_loading`` times each rating, and ``deviation_pu`` of every voltage from what
    it was when the episode opened; one that was violated before binds only where it gets worse.

    The load is that of the interval with least load between the two ``snapshot_hours`` of the day (high sun,
    low load), in every step: steps are decisions, no intervals of time.
    """

    episode: Duration = _STEPS  # 16 steps of the shipped data
    refused_weight: float = 4.0  # per MW
    deviation_pu: float = DEVIATION_PU
    most_loading: float = MOST_LOADING
    snapshot_hours: tuple[float, float] | None = (10.0, 15.0)

    def __post_init__(self) -> None:
        Task.__post_init__(self)
        who = type(self).__name__
        self.check_weights("refused_weight")
        for name in ("deviation_pu", "most_loading"):
            check_number(who, name, getattr(self, name), 0.0, math.inf, open_low=True)
        first, last = self.snapshot_hours or (0.0, 0.0)
        check_number(who, "snapshot_hours[0]", first, 0.0, 24.0)
        check_number(who, "snapshot_hours[1]", last, first, 24.0, open_low=True)
        object.__setattr__(self, "snapshot_hours", (float(first), float(last)))

    @property
    def blocks(self) -> tuple[str | Block, ...]:
        """The grid as it is, the snapshot of the load, and the steps that are left."""
        left = EpisodeLeft()
        return (left, "v_pu", "loading", "load_p_mw", "load_q_mvar", "p_slack_mw", "q_slack_mvar")

    @property
    def compares(self) -> bool:
        """Limits that were violated before count where they get worse."""
        return True

    @property
    def costs(self) -> tuple[str | Term, ...]:
        """Of the step that violates, and of what the snapshot violates by itself."""
        return ("voltage_violation", "thermal_overload", "resource")

    @property
    def rewards(self) -> tuple[Term, ...]:
        """MW connected, and the price of those that violate."""
        limits = {"deviation_pu": self.deviation_pu, "most_loading": self.most_loading}
        return (
            Term("connected", "connected_mw", 1.0),
            Term("refused", "refused_mw", -1.0 - self.refused_weight, limits),
        )

    def ends(self, view: StepView) -> BoolArray:
        """At the first violation."""
        return violates(view, self.deviation_pu, self.most_loading)
