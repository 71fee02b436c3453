"""Devices that move the grid instead of injecting, and the tap changers of regulators."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from ...cases.model.edit import nearest
from ...cases.profiles.calendar import HOURS_PER_DAY
from ..kernels.devices import move_positions
from .base import (
    BindContext,
    Entry,
    Exogenous,
    Floats,
    Ints,
    Resource,
    ResourceSpec,
    check_number,
)
from .outlook import Outlook, Positions

if TYPE_CHECKING:
    from ...cases import Feeder
    from ...physics.solved_grid import SolvedGrid


_BUDGET_LEFT = Entry("budget_left", "1", 0.0, 1.0, "share of the daily budget that is left; 1 without one")


@dataclass(frozen=True)
class Moves:
    """How far units move and what it costs; all (n_units,)."""

    limit: Floats  # most steps in one interval, inf: any number
    budget: Floats  # most steps in one calendar day, inf: any number
    price: Floats  # of a step

    @property
    def rationed(self) -> bool:
        """Whether any unit has a budget."""
        return bool(np.isfinite(self.budget).any())

    def most(self, reach: Floats) -> Floats:
        """Steps that one interval can see of units that reach so far."""
        return np.minimum(np.minimum(self.limit, self.budget), reach)

    def share(self, left: Floats) -> Floats:
        """(batch, n_units) of the budgets, 1 where there is none, 0 where it is 0."""
        whole = np.where(np.isfinite(self.budget), np.maximum(self.budget, 1.0), 1.0)
        return np.asarray(np.where(np.isfinite(left), left, 1.0) / whole)


class SwitchedDevice(Resource):
    """Units that stand at whole positions between `low` and `high`; `position` (batch, n_units) is where.

    A subclass looks its units up in `locate`: buses, phases, `rows` in the stepper's array, `low`, `high`,
    `start`. Their steps are `accounts["switchings"]`. They inject nothing. `left` (batch, n_units) is what
    the budget of the day has left, `moves.budget` where a calendar day or an episode begins.
    """

    injects: ClassVar[bool] = False
    uses_voltage: ClassVar[bool] = False
    writes: ClassVar[tuple[str, ...]] = ("switchings", "wear_cost")
    info_name: ClassVar[str]  # key in info["delivered"]
    quantity: ClassVar[str]  # the action
    meaning: ClassVar[str]  # of what is observed, for the documentation
    prefix: ClassVar[str]  # of the units' names
    attached: ClassVar[str]  # how to have one where the feeder has none

    rows: Ints
    low: Floats
    high: Floats
    start: Floats
    position: Floats
    left: Floats

    def __init__(self, ids: Sequence[str], names: Sequence[str | None], moves: Moves) -> None:
        called = [name or f"{self.prefix}_{own}" for name, own in zip(names, ids, strict=True)]
        super().__init__(ids, s_mva=0.0, actions=(self.quantity,), names=called)
        self.ids, self.moves = tuple(ids), moves

    @property
    def neutral_action(self) -> Floats:
        """Where the units stand when a day begins."""
        return np.asarray(2.0 * (self.start - self.low) / (self.high - self.low) - 1.0)

    @property
    def action_positions(self) -> tuple[int | None, ...]:
        """Those between the lowest and the highest."""
        return tuple(int(n) + 1 for n in self.high - self.low)

    def allowed(self, values: Floats, t_index: Ints) -> NDArray[np.bool_]:
        """Positions within the most steps of one interval; see `Resource.allowed`."""
        target = np.floor(self.low + 0.5 * (values + 1.0) * (self.high - self.low) + 0.5)
        most = np.minimum(self.moves.limit, self._left_of(t_index))
        return np.asarray(np.abs(target - self.position[:, None]) <= most[:, None])

    def most_of(self, account: str, dt_h: float) -> float:
        """See `Resource.most_of`: from one end to the other, or as far as limit and budget let them."""
        if account == "switchings":
            return float(self.moves.most(self.high - self.low).sum())
        return super().most_of(account, dt_h)

    def bind(self, ctx: BindContext) -> None:
        """Allocate; see `Resource.bind`."""
        super().bind(ctx)
        self.position = np.repeat(self.start[None], ctx.batch, axis=0)
        self.left = np.repeat(self.moves.budget[None], ctx.batch, axis=0)
        self._steps_per_day = round(HOURS_PER_DAY / ctx.dt_h)

    def reset(self, rows: Ints, rngs: Sequence[np.random.Generator]) -> None:
        """Back to where the feeder's tables have them."""
        super().reset(rows, rngs)
        self.position[rows] = self.start
        self.left[rows] = self.moves.budget

    def advance(self, action: Floats, exo: Exogenous) -> None:
        """One interval; see `kernels.devices.move_positions`."""
        if self.moves.rationed:
            self.left[:] = self._left_of(exo.t_index)
        move_positions(
            action, self.low, self.high, self.moves.limit, self.moves.price, self.position, self.left,
            self.accounts["switchings"], self.accounts["wear_cost"],
        )  # fmt: skip

    def observe(self, t_index: Ints, out: Floats) -> None:
        """Positions; where any unit has a budget, the shares of them that are left."""
        out[:, : self.n_units] = self.position
        if self.moves.rationed:
            out[:, self.n_units :] = self.moves.share(self._left_of(t_index))

    def _left_of(self, t_index: Ints) -> Floats:
        """(batch, n_units) steps left in the interval that is decided: all where a day begins."""
        begins = t_index % self._steps_per_day == 0
        return np.where(begins[:, None], self.moves.budget, self.left)

    def outlook(self, t_index: Ints, row: int, now: int, sun: Floats | None = None) -> Outlook:
        """Where the units stand and how far they get; they inject nothing."""
        none = np.zeros((t_index.size, self.n_units))
        left = self._left_of(np.full(len(self.left), now))[row]
        stands = Positions(self.position[row].copy(), self.low, self.high, self.moves.limit, left)
        return Outlook(self.names, none, none, self.s_mva, self.q_max_mvar, positions=stands)

    def state(self) -> dict[str, Floats]:
        """Live arrays; see `Resource.state`."""
        return {**super().state(), "position": self.position, "left": self.left}

    def apply(self, grid: SolvedGrid) -> None:
        """Put the positions into the settings of the grid; see `Resource.apply`."""
        raise NotImplementedError(f"{type(self).__name__} must write apply(grid)")

    def _found(self, feeder: Feeder, table: str, column: str) -> list[int]:
        """Rows of the table that hold the units' ids."""
        known = [str(i) for i in feeder.column(table, column)]
        for unit in self.ids:
            if unit not in known:
                raise ValueError(
                    f"{type(self).__name__}: feeder {feeder.name} has no {column} {unit!r}; "
                    + (
                        f"expected one of {', '.join(known)}"
                        if known
                        else f"its table of {table} is empty: {self.attached}"
                    )
                )
        if len(set(self.ids)) < len(self.ids):
            raise ValueError(f"{type(self).__name__}: {column} named twice among {', '.join(self.ids)}")
        return [known.index(unit) for unit in self.ids]

    def _settle(self, low: Floats, high: Floats, start: Floats) -> None:
        """Take over ranges, now that they are known."""
        self.low, self.high, self.start = low, high, start
        left = (_BUDGET_LEFT,) if self.moves.rationed else ()
        self.unit_observations = tuple(
            (Entry(self.quantity, "1", a, b, self.meaning), *left)
            for a, b in zip(low.tolist(), high.tolist(), strict=True)
        )
        self.max_cost_per_step = float((self.moves.price * self.moves.most(high - low)).sum())


def _check_whole(who: str, label: str, value: float) -> None:
    if value != int(value):
        raise ValueError(f"{who}: {label} must be a whole number, got {value!r}")


def check_budget(who: str, budget: float | None) -> None:
    """ValueError unless a daily budget is a whole number from 0 on, or None."""
    if budget is not None:
        check_number(who, "daily_budget", budget, 0.0, math.inf)
        _check_whole(who, "daily_budget", budget)


def moves_of(specs: Sequence[Any]) -> Moves:
    """How far and at which price the units of the specs move."""
    limit, budget = (
        np.array([math.inf if n is None else float(n) for n in numbers])
        for numbers in ([s.max_steps for s in specs], [s.daily_budget for s in specs])
    )
    return Moves(limit, budget, np.array([s.cost_per_step for s in specs], dtype=np.float64))


@dataclass(frozen=True)
class TapChanger(ResourceSpec):
    """The taps of one regulator: of the feeder's table of regulators, or attached to a branch.

    `TapChanger("reg1")` moves the regulator of that reg_id. `TapChanger(branch="1-2")` attaches one: to any
    branch of a balanced feeder, where it stands at the from end, or to the transformer of a branch of a
    per-phase feeder. It multiplies the voltage of the branch's to end by 1 + position * `tap_step_pu`.

    Action tap: -1 is the lowest position, +1 the highest, the nearest whole position between. Observed: the
    position. Days begin at `tap_pos`, or where that is None, at the position of the feeder's table (of an
    attached one: 0).

    - `regulator`: reg_id. `max_steps`: most steps in one interval; None: any number.
    - `cost_per_step`: wear, a resource cost. `daily_budget`: most steps in one calendar day (and in what an
      episode has of it), then the tap stays; the share that is left is observed. None: any number.
    - `branch`: branch_id, in the place of `regulator`; with it `tap_min`, `tap_max` (whole positions) and
      `tap_step_pu`. Those of a regulator of the feeder's table are the table's.
    """

    kind: ClassVar[str] = "tap_changer"

    regulator: str | None = None
    max_steps: int | None = None
    cost_per_step: float = 0.0
    name: str | None = None
    branch: str | None = field(default=None, kw_only=True)
    tap_min: int = field(default=-16, kw_only=True)
    tap_max: int = field(default=16, kw_only=True)
    tap_pos: int | None = field(default=None, kw_only=True)
    tap_step_pu: float = field(default=0.00625, kw_only=True)
    daily_budget: int | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        who = f"TapChanger {self.branch if self.regulator is None else self.regulator}"
        if (self.regulator is None) == (self.branch is None):
            raise ValueError(f"{who}: give regulator=, of the feeder's table, or branch=, to attach one")
        check_number(who, "cost_per_step", self.cost_per_step, 0.0, math.inf)
        check_budget(who, self.daily_budget)
        if self.max_steps is not None:
            check_number(who, "max_steps", self.max_steps, 1.0, math.inf)
            _check_whole(who, "max_steps", self.max_steps)
        check_number(who, "tap_step_pu", self.tap_step_pu, 0.0, 0.1, open_low=True)
        for label in ("tap_min", "tap_max", "tap_pos"):
            if getattr(self, label) is not None:
                check_number(who, label, getattr(self, label), -1000.0, 1000.0)
                _check_whole(who, label, getattr(self, label))
        if self.branch is None:
            self._check_of_table(who)
            return
        if self.tap_min >= self.tap_max:
            raise ValueError(f"{who}: tap_max must be above tap_min {self.tap_min}, got {self.tap_max}")
        check_number(who, "tap_pos", self._attached_pos, self.tap_min, self.tap_max)
        if 1.0 + self.tap_min * self.tap_step_pu <= 0.0:
            raise ValueError(
                f"{who}: tap_min * tap_step_pu must be above -1, got {self.tap_min} * {self.tap_step_pu:g}"
            )

    def _check_of_table(self, who: str) -> None:
        """ValueError where something is given that the feeder's table says."""
        for label in ("tap_min", "tap_max", "tap_step_pu"):
            given, default = getattr(self, label), type(self).__dataclass_fields__[label].default
            if given != default:
                raise ValueError(f"{who}: {label} is that of the feeder's table; leave it out, got {given!r}")

    @property
    def _attached_pos(self) -> int:
        return 0 if self.tap_pos is None else int(self.tap_pos)

    @property
    def reg_id(self) -> str:
        """Id in the table of regulators."""
        return self.regulator if self.regulator is not None else self.name or f"tap_{self.branch}"

    def equip(self, feeder: Feeder) -> Feeder:
        """The feeder with this regulator, at its first position.

        ValueError for an unknown branch, one that has a regulator, or a position that a regulator lacks.
        """
        if self.branch is None:
            return self._placed(feeder)
        if self.branch not in feeder.branch_index:
            near = nearest(self.branch, feeder.branch_index)
            raise ValueError(f"TapChanger: feeder {feeder.name} has no branch {self.branch!r}; {near}")
        wanted = {
            "reg_id": self.reg_id, "branch_id": self.branch, "tap_min": int(self.tap_min),
            "tap_max": int(self.tap_max), "tap_pos": self._attached_pos, "tap_step_pu": self.tap_step_pu,
        }  # fmt: skip
        for row in feeder.regulators.select(list(wanted)).to_pylist():
            if row == wanted:
                return feeder
            if self.branch == row["branch_id"]:
                raise ValueError(
                    f"TapChanger: branch {self.branch!r} of feeder {feeder.name} has the regulator "
                    f"{row['reg_id']!r} already: TapChanger({row['reg_id']!r}) moves it"
                )
        return feeder.with_new_regulator(
            self.branch, tap_min=self.tap_min, tap_max=self.tap_max, tap_pos=self._attached_pos,
            tap_step_pu=self.tap_step_pu, reg_id=self.reg_id,
        )  # fmt: skip

    def _placed(self, feeder: Feeder) -> Feeder:
        """The feeder with its own regulator at `tap_pos`; one that is unknown is left to `TapProgram`."""
        known = [str(own) for own in feeder.column("regulators", "reg_id")]
        if self.tap_pos is None or self.regulator not in known:
            return feeder
        row = known.index(self.regulator)
        low, high = (float(feeder.column("regulators", c)[row]) for c in ("tap_min", "tap_max"))
        check_number(f"TapChanger {self.regulator}", "tap_pos", self.tap_pos, low, high)
        return feeder.with_regulator(self.regulator, int(self.tap_pos))

    @staticmethod
    def program(specs: Sequence[TapChanger]) -> TapProgram:
        """All `specs` as one array program."""
        names = [s.name if s.branch is None else s.reg_id for s in specs]
        return TapProgram([s.reg_id for s in specs], names, moves_of(specs))


class TapProgram(SwitchedDevice):
    """Tap changers as columns."""

    kind: ClassVar[str] = "tap_changer"
    info_name: ClassVar[str] = "tap_pos"
    quantity: ClassVar[str] = "tap"
    meaning: ClassVar[str] = "position of each tap changer, now"
    prefix: ClassVar[str] = "tap"
    attached: ClassVar[str] = 'attach one: TapChanger(branch="...")'

    def locate(self, feeder: Feeder) -> None:
        """Regulated nodes, phases and ranges; ValueError for an unknown regulator."""
        found = self._found(feeder, "regulators", "reg_id")
        column = feeder.column
        branches = [feeder.branch_index[str(column("regulators", "branch_id")[k])] for k in found]
        self.buses = tuple(str(column("branches", "to_node")[b]) for b in branches)
        self.phases = tuple(as_port(str(column("regulators", "phase")[k])) for k in found)
        self.rows = np.array(found, dtype=np.int64)
        self._step = column("regulators", "tap_step_pu")[found].astype(np.float64)
        low, high, start = (
            column("regulators", c)[found].astype(np.float64) for c in ("tap_min", "tap_max", "tap_pos")
        )
        self._settle(low, high, start)

    def apply(self, grid: SolvedGrid) -> None:
        """Ratios of the regulators."""
        grid.tap[:, self.rows] = 1.0 + self.position * self._step


def as_port(phase: str) -> str:
    """Phases in the words of resources: CA, not AC."""
    return "CA" if phase == "AC" else phase
