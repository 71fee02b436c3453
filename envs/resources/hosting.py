"""Sites where new DER asks for connection: how much of it connects is what an agent decides."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ..kernels.hosting import connect_rows, left_rows
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
from .outlook import Outlook, held


@dataclass(frozen=True)
class HostingSite(ResourceSpec):
    """A site where new generation has applied for connection.

    In each step one unit is connected, at the site whose action p is the largest of all, and none where that
    is not above 0 (the neutral action is -1). Its size is the action times `step_mw`, and never more than
    what still asks there. What is connected stays and injects at its rated power, at unity power factor, in
    this interval and all that follow. How much has applied is drawn anew for each episode: spread evenly over
    orders of magnitude, log-uniform from `least_mw` to `p_mw`. Observed: `asked_mw`, what still asks, and
    `connected_mw`.

    - `bus`: node id. `p_mw`: the most that may ever apply. `least_mw`: the least (default: `p_mw`, the same
      in every episode).
    - `step_mw`: the largest unit.

    Raises ValueError for values that cannot be.
    """

    kind: ClassVar[str] = "site"

    bus: str | int
    p_mw: float
    step_mw: float
    least_mw: float | None = None
    phase: str = "ABC"
    name: str | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "bus", bus_id(self.bus))
        who = f"HostingSite at bus {self.bus}"
        check_number(who, "p_mw", self.p_mw, 0.0, math.inf, open_low=True)
        check_number(who, "step_mw", self.step_mw, 0.0, self.p_mw, open_low=True)
        if self.least_mw is not None:
            check_number(who, "least_mw", self.least_mw, 0.0, self.p_mw, open_low=True)
        check_phase(who, self.phase)

    @staticmethod
    def program(specs: Sequence[HostingSite]) -> HostingProgram:
        """All `specs` as one array program."""
        return HostingProgram(specs)


class HostingProgram(Resource):
    """Sites as columns; `current_p_mw` is what is connected, `asked_mw` (batch, n_units) what has applied."""

    kind: ClassVar[str] = "site"
    uses_voltage: ClassVar[bool] = False
    writes: ClassVar[tuple[str, ...]] = ("connected_mw",)

    asked_mw: Floats

    def __init__(self, specs: Sequence[HostingSite]) -> None:
        super().__init__(
            [s.bus for s in specs],
            s_mva=[s.p_mw for s in specs],
            actions=("p",),
            phases=[s.phase for s in specs],
            names=[s.name for s in specs],
        )
        self.q_max_mvar = np.zeros(len(specs))
        self.step_mw = np.array([s.step_mw for s in specs], dtype=np.float64)
        least = np.array([s.p_mw if s.least_mw is None else s.least_mw for s in specs], dtype=np.float64)
        self._share = least / self.rated_p_mw
        self.unit_observations = tuple(
            (
                Entry("asked_mw", "MW", 0.0, s.p_mw, "what still asks for connection at the site, now"),
                Entry("connected_mw", "MW", 0.0, s.p_mw, "what is connected at the site, now"),
            )
            for s in specs
        )

    @property
    def neutral_action(self) -> Floats:
        """Nothing is connected."""
        return np.full(self.n_units, -1.0)

    def bind(self, ctx: BindContext) -> None:
        """Allocate; see `Resource.bind`."""
        super().bind(ctx)
        self.asked_mw = np.zeros((ctx.batch, self.n_units))

    def reset(self, rows: Ints, rngs: Sequence[np.random.Generator]) -> None:
        """Nothing is connected; what has applied is drawn from each row's generator."""
        super().reset(rows, rngs)
        for row, rng in zip(rows, rngs, strict=True):
            self.asked_mw[row] = self.rated_p_mw * self._share ** rng.random(self.n_units)

    def advance(self, action: Floats, exo: Exogenous) -> None:
        """One step; see `connect_rows`."""
        connect_rows(action, self.step_mw, self.asked_mw, self.current_p_mw, self.accounts["connected_mw"])

    def observe(self, t_index: Ints, out: Floats) -> None:
        """What still asks, and what is connected, at every site."""
        left_rows(self.asked_mw, self.current_p_mw, out)

    def most_of(self, account: str, dt_h: float) -> float:
        """See `Resource.most_of`: one site connects a unit."""
        return float(self.step_mw.max()) if account == "connected_mw" else super().most_of(account, dt_h)

    def outlook(self, t_index: Ints, row: int, now: int, sun: Floats | None = None) -> Outlook:
        """What is connected stays; anything up to what has applied may be added."""
        least, most = (held(array[row], t_index.size) for array in (self.current_p_mw, self.asked_mw))
        return Outlook(self.names, least, most, self.s_mva, self.q_max_mvar)

    def state(self) -> dict[str, Floats]:
        """Live arrays; see `Resource.state`."""
        return {**super().state(), "asked_mw": self.asked_mw}
