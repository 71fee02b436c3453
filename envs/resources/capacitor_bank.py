"""Capacitor banks that are switched as a whole: the spec that people write, and the program that runs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from ...cases.model.edit import nearest
from .base import ResourceSpec, bus_id, check_number, check_phase
from .switched import SwitchedDevice, as_port, check_budget, moves_of

if TYPE_CHECKING:
    from ...cases import Feeder
    from ...physics.solved_grid import SolvedGrid


@dataclass(frozen=True)
class CapacitorBank(ResourceSpec):
    """A capacitor bank that is switched as a whole: of the feeder's table, or attached to a bus.

    `CapacitorBank("cap1")` switches the bank of that cap_id; `CapacitorBank(bus=18, q_mvar=0.3)` attaches
    one, of that many MVAr at 1 pu in all its phases together.

    Action on: from 0 up on, below off. Observed: 1 when on. Days begin with the state of the feeder's table,
    or with `on`.

    - `capacitor`: cap_id. `cost_per_step`: price of a switching, a resource cost. `daily_budget`: most
      switchings in one calendar day (and in what an episode has of it), then the bank stays; the share that
      is left is observed. None: any number.
    - `bus`: node id, in the place of `capacitor`; with it `q_mvar`, `phase` (None: all of the bus) and `on`.
    """

    kind: ClassVar[str] = "capacitor_bank"

    capacitor: str | None = None
    cost_per_step: float = 0.0
    name: str | None = None
    bus: str | int | None = field(default=None, kw_only=True)
    q_mvar: float | None = field(default=None, kw_only=True)
    phase: str | None = field(default=None, kw_only=True)
    on: bool = field(default=False, kw_only=True)
    daily_budget: int | None = field(default=None, kw_only=True)
    max_steps: ClassVar[int | None] = None

    def __post_init__(self) -> None:
        who = f"CapacitorBank {self.bus if self.capacitor is None else self.capacitor}"
        if (self.capacitor is None) == (self.bus is None):
            raise ValueError(
                f"{who}: give capacitor=, of the feeder's table, or bus= and q_mvar= to attach one"
            )
        check_number(who, "cost_per_step", self.cost_per_step, 0.0, math.inf)
        check_budget(who, self.daily_budget)
        if self.bus is None:
            if self.q_mvar is not None or self.phase is not None or self.on:
                raise ValueError(
                    f"{who}: q_mvar, phase and on are those of the feeder's table; leave them out"
                )
            return
        if self.q_mvar is None:
            raise ValueError(f"{who}: q_mvar must be the size of the bank in MVAr, got None")
        check_number(who, "q_mvar", self.q_mvar, 0.0, math.inf, open_low=True)
        bus_id(self.bus)
        if self.phase is not None:
            check_phase(who, self.phase)

    @property
    def cap_id(self) -> str:
        """Id in the table of capacitors."""
        return self.capacitor if self.capacitor is not None else self.name or f"bank_{self.bus}"

    def equip(self, feeder: Feeder) -> Feeder:
        """The feeder with this bank; ValueError for an unknown bus, a phase that it lacks, a taken id."""
        if self.bus is None or self.q_mvar is None:
            return feeder
        node, who = bus_id(self.bus), "CapacitorBank"
        if node not in feeder.node_index:
            near = nearest(node, feeder.node_index)
            raise ValueError(f"{who}: feeder {feeder.name} has no bus {node!r}; {near}")
        there = str(feeder.column("nodes", "phase")[feeder.node_index[node]])
        phase = there if self.phase is None else "".join(sorted(self.phase))
        if not set(phase) <= set(there):
            raise ValueError(f"{who}: bus {node!r} has phase {there}, not {self.phase}")
        wanted = {
            "cap_id": self.cap_id, "node_id": node, "phase": phase, "q_mvar": float(self.q_mvar),
            "status": bool(self.on),
        }  # fmt: skip
        for row in feeder.capacitors.select(list(wanted)).to_pylist():
            if row == wanted:
                return feeder
            if row["cap_id"] == self.cap_id:
                raise ValueError(
                    f"{who}: feeder {feeder.name} has a bank {self.cap_id!r} of {row['q_mvar']:g} MVAr at "
                    f"bus {row['node_id']!r} already: give this one another name="
                )
        return feeder.with_new_capacitor(node, self.q_mvar, phase=phase, on=self.on, cap_id=self.cap_id)

    @staticmethod
    def program(specs: Sequence[CapacitorBank]) -> BankProgram:
        """All `specs` as one array program."""
        names = [s.name if s.bus is None else s.cap_id for s in specs]
        return BankProgram([s.cap_id for s in specs], names, moves_of(specs))


class BankProgram(SwitchedDevice):
    """Capacitor banks as columns."""

    kind: ClassVar[str] = "capacitor_bank"
    info_name: ClassVar[str] = "cap_on"
    quantity: ClassVar[str] = "on"
    meaning: ClassVar[str] = "whether each bank is on, now"
    prefix: ClassVar[str] = "bank"
    attached: ClassVar[str] = 'attach one: CapacitorBank(bus="...", q_mvar=...)'

    def locate(self, feeder: Feeder) -> None:
        """Nodes, phases and states; ValueError for an unknown bank."""
        found = self._found(feeder, "capacitors", "cap_id")
        column = feeder.column
        self.buses = tuple(str(column("capacitors", "node_id")[k]) for k in found)
        self.phases = tuple(as_port(str(column("capacitors", "phase")[k])) for k in found)
        self.rows = np.array(found, dtype=np.int64)
        start = column("capacitors", "status")[found].astype(np.float64)
        self._settle(np.zeros(len(found)), np.ones(len(found)), start)

    def apply(self, grid: SolvedGrid) -> None:
        """States of the banks."""
        grid.cap_on[:, self.rows] = self.position
