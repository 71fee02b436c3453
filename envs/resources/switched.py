"""Devices that move the grid instead of injecting: tap changers of regulators, switched capacitor banks."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from ..kernels.devices import move_positions
from .base import BindContext, Entry, Exogenous, Floats, Ints, Resource, ResourceSpec, check_number

if TYPE_CHECKING:
    from ...cases import Feeder


class SwitchedDevice(Resource):
    """Units that stand at whole positions between `low` and `high`; `position` (batch, n_units) is where.

    A subclass looks its units up in `locate`: buses, phases, `rows` in the stepper's array, `low`, `high`,
    `start`. Their steps are `accounts["switchings"]`. They inject nothing.
    """

    injects: ClassVar[bool] = False
    uses_voltage: ClassVar[bool] = False
    writes: ClassVar[tuple[str, ...]] = ("switchings", "wear_cost")
    info_name: ClassVar[str]  # key in info["delivered"]
    quantity: ClassVar[str]  # the action
    meaning: ClassVar[str]  # of what is observed, for the documentation
    prefix: ClassVar[str]  # of the units' names

    rows: Ints
    low: Floats
    high: Floats
    start: Floats
    position: Floats

    def __init__(self, ids: Sequence[str], names: Sequence[str | None], limit: Floats, price: Floats) -> None:
        called = [name or f"{self.prefix}_{own}" for name, own in zip(names, ids, strict=True)]
        super().__init__(ids, s_mva=0.0, actions=(self.quantity,), names=called)
        self.ids, self.limit, self.price = tuple(ids), limit, price

    @property
    def neutral_action(self) -> Floats:
        """Where the units stand when a day begins."""
        return np.asarray(2.0 * (self.start - self.low) / (self.high - self.low) - 1.0)

    def most_of(self, account: str, dt_h: float) -> float:
        """See `Resource.most_of`: from one end to the other, or as far as the limit lets them."""
        if account == "switchings":
            return float(np.minimum(self.limit, self.high - self.low).sum())
        return super().most_of(account, dt_h)

    def bind(self, ctx: BindContext) -> None:
        """Allocate; see `Resource.bind`."""
        super().bind(ctx)
        self.position = np.repeat(self.start[None], ctx.batch, axis=0)

    def reset(self, rows: Ints, rngs: Sequence[np.random.Generator]) -> None:
        """Back to where the feeder's tables have them."""
        super().reset(rows, rngs)
        self.position[rows] = self.start

    def advance(self, action: Floats, exo: Exogenous) -> None:
        """One interval; see `physics.devices.move_positions`."""
        move_positions(
            action, self.low, self.high, self.limit, self.price, self.position, self.accounts["switchings"],
            self.accounts["wear_cost"],
        )  # fmt: skip

    def observe(self, t_index: Ints, out: Floats) -> None:
        """Positions."""
        out[:] = self.position

    def state(self) -> dict[str, Floats]:
        """Live arrays; see `Resource.state`."""
        return {**super().state(), "position": self.position}

    def move(self, stepper: Any) -> None:
        """Put the positions into the power flow's settings."""
        raise NotImplementedError(f"{type(self).__name__} must write move(stepper)")

    def _found(self, feeder: Feeder, table: str, column: str) -> list[int]:
        """Rows of the table that hold the units' ids."""
        if feeder.phases != "per-phase":
            raise ValueError(
                f"{type(self).__name__}: feeder {feeder.name} is balanced; tap changers and banks act on "
                "per-phase feeders, in DistGrid3PhaseEnv"
            )
        known = [str(i) for i in feeder.column(table, column)]
        for unit in self.ids:
            if unit not in known:
                raise ValueError(
                    f"{type(self).__name__}: feeder {feeder.name} has no {column} {unit!r}; "
                    + (f"expected one of {', '.join(known)}" if known else f"its table of {table} is empty")
                )
        if len(set(self.ids)) < len(self.ids):
            raise ValueError(f"{type(self).__name__}: {column} named twice among {', '.join(self.ids)}")
        return [known.index(unit) for unit in self.ids]

    def _settle(self, low: Floats, high: Floats, start: Floats) -> None:
        """Take over ranges, now that they are known."""
        self.low, self.high, self.start = low, high, start
        self.unit_observations = tuple(
            (Entry(self.quantity, "1", a, b, self.meaning),)
            for a, b in zip(low.tolist(), high.tolist(), strict=True)
        )
        self.max_cost_per_step = float((self.price * np.minimum(self.limit, high - low)).sum())


def _limits(specs: Sequence[Any]) -> tuple[Floats, Floats]:
    limit = [math.inf if s.max_steps is None else float(s.max_steps) for s in specs]
    return np.array(limit), np.array([s.cost_per_step for s in specs], dtype=np.float64)


@dataclass(frozen=True)
class TapChanger(ResourceSpec):
    """The taps of one regulator, per phase as the feeder's table of regulators has them.

    Action tap: -1 is the lowest position, +1 the highest, the nearest whole position between. Observed: the
    position. Days begin at the position of the feeder's table.

    - `regulator`: reg_id. `max_steps`: most steps in one interval; None: any number.
    - `cost_per_step`: wear, a resource cost.
    """

    kind: ClassVar[str] = "tap_changer"

    regulator: str
    max_steps: int | None = None
    cost_per_step: float = 0.0
    name: str | None = None

    def __post_init__(self) -> None:
        who = f"TapChanger {self.regulator}"
        check_number(who, "cost_per_step", self.cost_per_step, 0.0, math.inf)
        if self.max_steps is not None:
            check_number(who, "max_steps", self.max_steps, 1.0, math.inf)
            if self.max_steps != int(self.max_steps):
                raise ValueError(f"{who}: max_steps must be a whole number, got {self.max_steps!r}")

    @staticmethod
    def program(specs: Sequence[TapChanger]) -> TapProgram:
        """All `specs` as one array program."""
        return TapProgram([s.regulator for s in specs], [s.name for s in specs], *_limits(specs))


class TapProgram(SwitchedDevice):
    """Tap changers as columns."""

    kind: ClassVar[str] = "tap_changer"
    info_name: ClassVar[str] = "tap_pos"
    quantity: ClassVar[str] = "tap"
    meaning: ClassVar[str] = "position of each tap changer, now"
    prefix: ClassVar[str] = "tap"

    def locate(self, feeder: Feeder) -> None:
        """Regulated nodes, phases and ranges; ValueError for an unknown regulator."""
        found = self._found(feeder, "regulators", "reg_id")
        column = feeder.column
        branches = [feeder.branch_index[str(column("regulators", "branch_id")[k])] for k in found]
        self.buses = tuple(str(column("branches", "to_node")[b]) for b in branches)
        self.phases = tuple(_as_port(str(column("regulators", "phase")[k])) for k in found)
        self.rows = np.array(found, dtype=np.int64)
        self._step = column("regulators", "tap_step_pu")[found].astype(np.float64)
        low, high, start = (
            column("regulators", c)[found].astype(np.float64) for c in ("tap_min", "tap_max", "tap_pos")
        )
        self._settle(low, high, start)

    def move(self, stepper: Any) -> None:
        """Ratios of the regulators."""
        stepper.tap[:, self.rows] = 1.0 + self.position * self._step


@dataclass(frozen=True)
class CapacitorBank(ResourceSpec):
    """A capacitor bank that is switched as a whole.

    Action on: from 0 up on, below off. Observed: 1 when on. Days begin with the state of the feeder's table.

    - `capacitor`: cap_id. `cost_per_step`: price of a switching, a resource cost.
    """

    kind: ClassVar[str] = "capacitor_bank"

    capacitor: str
    cost_per_step: float = 0.0
    name: str | None = None
    max_steps: ClassVar[int | None] = None

    def __post_init__(self) -> None:
        check_number(f"CapacitorBank {self.capacitor}", "cost_per_step", self.cost_per_step, 0.0, math.inf)

    @staticmethod
    def program(specs: Sequence[CapacitorBank]) -> BankProgram:
        """All `specs` as one array program."""
        return BankProgram([s.capacitor for s in specs], [s.name for s in specs], *_limits(specs))


class BankProgram(SwitchedDevice):
    """Capacitor banks as columns."""

    kind: ClassVar[str] = "capacitor_bank"
    info_name: ClassVar[str] = "cap_on"
    quantity: ClassVar[str] = "on"
    meaning: ClassVar[str] = "whether each bank is on, now"
    prefix: ClassVar[str] = "bank"

    def locate(self, feeder: Feeder) -> None:
        """Nodes, phases and states; ValueError for an unknown bank."""
        found = self._found(feeder, "capacitors", "cap_id")
        column = feeder.column
        self.buses = tuple(str(column("capacitors", "node_id")[k]) for k in found)
        self.phases = tuple(_as_port(str(column("capacitors", "phase")[k])) for k in found)
        self.rows = np.array(found, dtype=np.int64)
        start = column("capacitors", "status")[found].astype(np.float64)
        self._settle(np.zeros(len(found)), np.ones(len(found)), start)

    def move(self, stepper: Any) -> None:
        """States of the banks."""
        stepper.cap_on[:, self.rows] = self.position


def _as_port(phase: str) -> str:
    """Phases in the words of resources: CA, not AC."""
    return "CA" if phase == "AC" else phase
