"""A task: what is observed, what is rewarded and charged as cost, and for how long.

A task is data: terms of the reward, costs, blocks of the observation, an episode. `Quantity` rows say how
each term is read and how bad it can get, so that nobody writes a bound by hand.
"""

from __future__ import annotations

import functools
import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...cases.profiles import ONE_DAY, Duration, checked_duration
from ...physics import StateBounds
from ...physics.solved_grid import SolvedGrid
from ..blocks import Block
from ..kernels import info_table, ledger
from ..kernels.rows import mean_square_rows
from ..resources import Fleet
from ..resources.base import check_number
from ..resources.class_names import made_of, name_of_class
from .opening import NOT_KEPT, Opened
from .signal import DispatchSignal
from .terms import Readers, Term, TermRow, as_terms, least_of, readers, row_of

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]


class StepView:
    """The solved interval, batch first. Arrays are live: read, never keep, never write."""

    __slots__ = ("_fleet", "_stepper", "dt_h", "entries", "opened", "resource_cost", "unserved_mw")

    def __init__(self, stepper: SolvedGrid, fleet: Fleet, resource_cost: FloatArray, dt_h: float) -> None:
        self._stepper, self._fleet = stepper, fleet
        #: (batch, columns of `kernels.ledger`) what the interval brought, where the task reads any of it.
        self.entries = np.zeros((resource_cost.size, ledger.N_ENTRIES))
        self.resource_cost = resource_cost  # (batch,)
        self.unserved_mw = resource_cost * 0.0  # (batch,) load on dead nodes, and load that was shed
        self.dt_h = dt_h
        #: The grid as the episode opened, kept for a task that ``compares``.
        self.opened: Opened = NOT_KEPT

    def value(self, key: str) -> FloatArray:
        """(batch,) what infos tell under a measured ``key``, such as "p_loss_MW"; ValueError names them."""
        column = info_table.PLAN.column_of.get(key)
        if column is None:
            known = ", ".join(info_table.PLAN.numbers)
            raise ValueError(f"{key!r} is not measured: expected one of {known}")
        return self._stepper.measured[:, column]

    @property
    def p_loss_mw(self) -> FloatArray:
        """(batch,) losses of all branches."""
        return self._stepper.loss_mva.real

    @property
    def p_slack_mw(self) -> FloatArray:
        """(batch,) power taken from the upstream grid."""
        return self._stepper.slack_mva.real

    @property
    def price_usd_mwh(self) -> FloatArray:
        """(batch,) energy price of the interval."""
        return self.entries[:, ledger.PRICE]

    @property
    def v_pu(self) -> FloatArray:
        """(batch, n_nodes), NaN at dead nodes."""
        return self._stepper.v_pu

    def mean_square_pu(self, reference_pu: float) -> FloatArray:
        """(batch,) mean over the live nodes of ``(V - reference)^2``, a fresh array."""
        out = np.empty(self._stepper.batch)
        mean_square_rows(self._stepper.v_pu, reference_pu, out)
        return out

    @property
    def loading(self) -> FloatArray:
        """(batch, branches) apparent power over rating."""
        return self._stepper.loading

    @property
    def voltage_violation_pu(self) -> FloatArray:
        """(batch,) sum outside the band."""
        return self._stepper.voltage_violation_pu

    @property
    def thermal_overload_mva(self) -> FloatArray:
        """(batch,) sum above rating."""
        return self._stepper.overload_mva

    @property
    def vuf_pct(self) -> FloatArray:
        """(batch, nodes with three phases) unbalance; no columns on a balanced feeder."""
        return self._stepper.vuf_pct

    @property
    def vuf_violation_pct(self) -> FloatArray:
        """(batch,) sum above the limit."""
        return self._stepper.vuf_violation_pct

    @property
    def switched(self) -> FloatArray:
        """(batch,) tap steps and switchings of banks."""
        return self._fleet.accounts.total("switchings")

    @property
    def throughput_mwh(self) -> FloatArray:
        """(batch,) energy through storage."""
        return self._fleet.accounts.total("throughput_mwh")

    @property
    def curtailed_mw(self) -> FloatArray:
        """(batch,) available power that no unit used."""
        return self._fleet.accounts.total("curtailed_mw")

    def account(self, name: str) -> FloatArray:
        """(batch,) sum over units of an account out of `envs.resources.ACCOUNTS`."""
        return self._fleet.accounts.total(name)


@dataclass(frozen=True)
class WorstCase:
    """Bounds that hold for every interval whose power flow is solved; see :func:`physics.state_bounds`."""

    state: StateBounds
    v_min: FloatArray  # (columns of voltages,)
    v_max: FloatArray
    rating_mva: FloatArray  # (columns of branches,)
    storage_mwh_per_step: float
    curtailable_mw: float
    resource_cost: float
    switched_per_step: float = 0.0
    vuf_violation_pct: float = 0.0
    unserved_mw: float = 0.0
    slack_mw: float = math.inf  # either way
    accounts: Mapping[str, float] = field(default_factory=dict)
    dt_h: float = 1.0
    price_usd_mwh: tuple[float, float] = (0.0, 0.0)  # lowest and highest
    signal_mw: float = 0.0  # the most that a dispatch signal asks for, either way; 0: there is none

    @property
    def voltage_violation_pu(self) -> float:
        """Largest possible sum of pu outside the band."""
        high = np.nan_to_num(self.state.v_high_pu) - self.v_max
        return float(np.maximum(np.maximum(high, self.v_min - self.state.v_low_pu), 0.0).sum())

    @property
    def thermal_overload_mva(self) -> float:
        """Largest possible sum of MVA above rating."""
        return float(np.nansum(np.maximum(self.state.s_branch_mva - self.rating_mva, 0.0)))


#: What a MW that is not supplied in an interval takes from the reward, unless a task says otherwise.
VALUE_OF_LOST_LOAD = 200.0
#: A price of failure that is no stated number: the rigorous bound for every step that is left.
BOUND = "bound"


@dataclass(frozen=True)
class Task(ABC):
    """Base of all tasks: list ``rewards`` and ``costs``, or write ``terms`` and ``worst_step`` yourself.

    Terms are weighted contributions by name; their sum is the reward. Load that is not supplied, on nodes
    without voltage or shed, takes ``unserved_weight`` per MW and interval from it and is a cost, in every
    task: a blackout never pays. The default is two hundred times what `VoltVar` takes for a MW of losses, as
    customers lose some hundred times what energy costs. What a MW less mends of losses, voltages and balance
    was worth 46 at most, branch by branch on heavy days of the shipped feeders; who weighs these terms more
    heavily raises this weight, too.

    A power flow that fails ends the episode. ``failure_price`` is what that takes from the reward, once: a
    number, which should be more than the rest of any day can cost, or ``"bound"``, the worst that any solved
    interval could bring times the intervals that are left. ``failure_cost`` is the same for the cost.
    """

    episode: Duration = ONE_DAY  # a whole number of steps of the data
    v_band: tuple[float, float] | None = None  # None: the limits of the feeder's nodes
    vuf_max_pct: float = 2.0  # unbalance allowed at nodes with three phases
    failure_price: float | str = field(default=BOUND, kw_only=True)
    failure_cost: float | str = field(default=BOUND, kw_only=True)
    unserved_weight: float = field(default=VALUE_OF_LOST_LOAD, kw_only=True)  # per MW and interval
    #: Of which class a task is where only its fields are kept: in JSON.
    class_name: str = field(default="", init=False, repr=False, compare=False)

    def __init_subclass__(cls) -> None:
        cls.class_name = name_of_class(cls)

    def __post_init__(self) -> None:
        who = type(self).__name__
        object.__setattr__(self, "episode", checked_duration("episode", self.episode))
        if self.v_band is not None:
            object.__setattr__(self, "v_band", _checked_band(self.v_band))
        if not isinstance(self.vuf_max_pct, int | float) or not 0 < self.vuf_max_pct < 100:
            raise ValueError(f"vuf_max_pct must be in (0, 100), got {self.vuf_max_pct!r}")
        for name in ("failure_price", "failure_cost"):
            value = getattr(self, name)
            if isinstance(value, str) and value != BOUND:
                raise ValueError(f"{who}: {name} must be a number above 0 or {BOUND!r}, got {value!r}")
            if not isinstance(value, str):
                check_number(who, name, value, 0.0, math.inf, open_low=True)

        check_number(who, "unserved_weight", self.unserved_weight, 0.0, math.inf, open_low=True)

    def check_weights(self, *names: str) -> None:
        """ValueError unless each of these fields is a finite number of 0 or more."""
        for name in names:
            check_number(type(self).__name__, name, getattr(self, name), 0.0, math.inf)

    @property
    @abstractmethod
    def blocks(self) -> tuple[str | Block, ...]:
        """Names out of ``GRID_BLOCKS`` and blocks of one's own, in the order of the observation."""

    @property
    def rewards(self) -> tuple[Term, ...]:
        """Terms of the reward."""
        return ()

    @property
    def costs(self) -> tuple[str | Term, ...]:
        """Costs that this task charges, by name or as terms; ``info["cost_…"]`` tells the others, too."""
        return ("voltage_violation", "thermal_overload", "vuf_violation", "resource")

    @property
    def signal(self) -> DispatchSignal | None:
        """The power at the head that is asked for; None: there is no such signal."""
        return None

    def terms(self, view: StepView) -> dict[str, FloatArray]:
        """Weighted reward contributions by name, each (batch,) or one number for all rows; finite."""
        return self._readers.of(view)

    @property
    def compares(self) -> bool:
        """Whether ``StepView.opened`` is kept: the grid as the episode opened."""
        return False

    @property
    def snapshot_hours(self) -> tuple[float, float] | None:
        """Between which hours of the day the least load lies that holds all episode; None: it follows the
        day.
        """
        return None

    def ends(self, view: StepView) -> BoolArray:
        """(batch,) booleans: which episodes the interval just solved ends, for no price beside its terms.

        They are terminated; none are, unless overridden.
        """
        return np.zeros(view.p_loss_mw.shape, dtype=np.bool_)

    def worst_step(self, worst: WorstCase) -> float:
        """A reward that no solved interval can fall below; prices a failed power flow."""
        return least_of(self.reward_terms, worst)

    @functools.cached_property
    def reward_terms(self) -> tuple[Term, ...]:
        """``rewards``, checked."""
        return as_terms("rewards", self.rewards)

    @functools.cached_property
    def cost_terms(self) -> tuple[Term, ...]:
        """``costs``, checked, each as a term."""
        return as_terms("costs", self.costs)

    @functools.cached_property
    def _readers(self) -> Readers:
        return readers(self.reward_terms)

    def term_rows(self) -> tuple[TermRow, ...]:
        """What the documentation says of each term and each cost, that of load not supplied included."""
        lost = "unserved"
        return (
            *(row_of("reward", term) for term in self.reward_terms),
            row_of("reward", Term(lost, "unserved_mw", -self.unserved_weight)),
            *(row_of("cost", term) for term in self.cost_terms),
            row_of("cost", Term(lost, "unserved_mw", 1.0)),
        )


@dataclass(frozen=True)
class DataTask(Task):
    """A task of terms alone, without a class of its own.

    ``blocks`` of the observation; ``rewards`` and ``costs`` as `Task` has them.
    """

    blocks: tuple[str | Block, ...] = (
        "clock",
        "v_pu",
        "load_p_mw",
        "load_q_mvar",
        "p_slack_mw",
        "q_slack_mvar",
    )
    rewards: tuple[Term, ...] = ()
    costs: tuple[str | Term, ...] = ("voltage_violation", "thermal_overload", "vuf_violation", "resource")

    def __post_init__(self) -> None:
        Task.__post_init__(self)
        for name in ("blocks", "rewards", "costs"):
            value = getattr(self, name)
            if isinstance(value, list):  # as JSON has it
                object.__setattr__(self, name, tuple(value))
        object.__setattr__(self, "rewards", self.reward_terms)
        costs = tuple(Term(**cost) if isinstance(cost, Mapping) else cost for cost in self.costs)
        object.__setattr__(self, "costs", costs)
        if not self.rewards:
            raise ValueError("a DataTask needs rewards: give rewards=(Term(name, quantity, weight), ...)")
        as_terms("costs", self.costs)


def unpriced(task: Task) -> Task:
    """The task with the rigorous bound in place of stated prices."""
    if task.failure_price == task.failure_cost == BOUND:
        return task
    return replace(task, failure_price=BOUND, failure_cost=BOUND)


def task_of(fields: Mapping[str, Any]) -> Task:
    """The task that had these fields, as JSON keeps them; TypeError for an unknown class."""
    return made_of(Task, "a task", fields)  # type: ignore[type-abstract]


def _checked_band(band: object) -> tuple[float, float]:
    """(low, high) in pu."""
    if isinstance(band, tuple | list) and len(band) == 2:
        low, high = band
        if all(isinstance(x, int | float) and math.isfinite(x) for x in band) and 0 < low < high:
            return low, high
    raise ValueError(f"v_band must be (low, high) with 0 < low < high, got {band!r}")
