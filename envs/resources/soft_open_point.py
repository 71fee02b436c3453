"""Soft open points: two converters back to back in the place of an open switch."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ..kernels.soft_open_point import soft_open_advance
from .base import Exogenous, Floats, Ints, Resource, ResourceSpec, bus_id, check_number, check_phase
from .outlook import Links, Outlook, held


@dataclass(frozen=True)
class SoftOpenPoint(ResourceSpec):
    """Two converters back to back between two buses: power from one to the other, Q at each.

    It has two units, one at each bus, `NAME_1` and `NAME_2`. Action p, of the first: +1 gives as much to
    `bus_1` as the converters can pass and takes it from `bus_2`, -1 the other way, linear between. Actions q,
    of both: `q * s_mva` MVAr, positive when injecting, of which P leaves what the circle has left at each
    end. Each converter loses `loss * sqrt(P^2 + Q^2)`, which comes off what it gives to its own bus, so that
    P1 + P2 + both losses = 0. At rest (the neutral action, 0) it loses nothing. Nothing is observed: it has
    no memory.

    The model, and losses of 0.02 for each converter, are those of Li, Ji, Wang, Zhao, Song, Ding and Wu,
    "Coordinated control method of voltage and reactive power for active distribution networks based on soft
    open point", IEEE Transactions on Sustainable Energy 8 (2017) 1430.

    - `bus_1`, `bus_2`: node ids, two buses. `s_mva`: apparent power of each converter.
    - `loss`: MW lost in a converter for each MVA that it passes, 0 to 0.2.
    - `phase`: of both ends; "ABC" moves a third in each phase.

    Raises ValueError for values that cannot be.
    """

    kind: ClassVar[str] = "soft_open_point"

    bus_1: str | int
    bus_2: str | int
    s_mva: float
    loss: float = 0.02
    phase: str = "ABC"
    name: str | None = None

    def __post_init__(self) -> None:
        for label in ("bus_1", "bus_2"):
            object.__setattr__(self, label, bus_id(getattr(self, label)))
        who = f"SoftOpenPoint between {self.bus_1} and {self.bus_2}"
        if self.bus_1 == self.bus_2:
            raise ValueError(f"{who}: bus_2 must be another bus than bus_1, got {self.bus_2!r} for both")
        check_number(who, "s_mva", self.s_mva, 0.0, math.inf, open_low=True)
        check_number(who, "loss", self.loss, 0.0, 0.2)
        check_phase(who, self.phase)

    @property
    def unit_names(self) -> tuple[str, str]:
        """Names of both ends."""
        name = self.name or f"sop_{self.bus_1}_{self.bus_2}"
        return f"{name}_1", f"{name}_2"

    @staticmethod
    def program(specs: Sequence[SoftOpenPoint]) -> SoftOpenPointProgram:
        """All `specs` as one array program."""
        return SoftOpenPointProgram(specs)


class SoftOpenPointProgram(Resource):
    """Soft open points as columns; units 2 k and 2 k + 1 are the ends of the k-th."""

    kind: ClassVar[str] = "soft_open_point"
    uses_voltage: ClassVar[bool] = False

    def __init__(self, specs: Sequence[SoftOpenPoint]) -> None:
        super().__init__(
            [bus for s in specs for bus in (s.bus_1, s.bus_2)],
            s_mva=np.repeat([s.s_mva for s in specs], 2),
            phases=[s.phase for s in specs for _ in range(2)],
            names=[name for s in specs for name in s.unit_names],
        )
        self.link_s_mva = np.array([s.s_mva for s in specs], dtype=np.float64)
        self.loss = np.array([s.loss for s in specs], dtype=np.float64)
        #: What an end gives at most: what crosses the DC side less what it loses itself.
        self.rated_p_mw = np.repeat(self.link_s_mva * (1.0 - self.loss) / (1.0 + self.loss), 2)
        self.unit_actions = (("p", "q"), ("q",)) * len(specs)

    def advance(self, action: Floats, exo: Exogenous) -> None:
        """One interval; see `soft_open_advance`."""
        soft_open_advance(action, self.link_s_mva, self.loss, self.current_p_mw, self.current_q_mvar)

    def outlook(self, t_index: Ints, row: int, now: int, sun: Floats | None = None) -> Outlook:
        """What each end can take and give, and how both hang together."""
        n = t_index.size
        return Outlook(
            self.names, held(-self.s_mva, n), held(self.rated_p_mw, n), self.s_mva, self.q_max_mvar,
            links=Links(self.link_s_mva, self.loss),
        )  # fmt: skip
