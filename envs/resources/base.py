"""What a resource is: a small array program over (batch, units).

A *spec* is what people write (`Battery`, `PV`: frozen dataclasses that check themselves). A `Resource` is
what runs: columns of arrays, allocated once by `bind`, advanced in place for every row of a batch at
once. Powers are in MW and MVAr and positive when they **inject** (generator convention); the environment
subtracts them from the load.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

from .accounts import ACCOUNTS, check_names, costs_of
from .class_names import made_of, name_of_class
from .outlook import Outlook, held
from .times import NOW

if TYPE_CHECKING:
    from ...cases import Feeder
    from ...physics.solved_grid import SolvedGrid
    from .present_load import PresentLoad

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

PHASES = ("ABC", "A", "B", "C", "AB", "BC", "CA")


class ProfileData(Protocol):
    """The part of `cases.profiles.Profiles` that resources read."""

    @property
    def pv(self) -> NDArray[np.floating[Any]]:
        """PV output per unit of rated power, (n_steps, n_sites)."""


@dataclass(frozen=True)
class Entry:
    """One number of the observation: `name` ("battery_18.soc"), unit ("1", "MW"...), bounds, meaning.

    `time`: of when it is, a word of `times`; where `COMING`, levels but "oracle" show the last interval's.
    """

    name: str
    unit: str
    low: float
    high: float
    meaning: str = ""  # for the documentation
    time: str = NOW
    bus: str | None = None  # where it stands; None: nowhere, or not known yet
    branch: str | None = None
    phase: str | None = None


@dataclass(frozen=True)
class ActionDim:
    """One dimension of the action vector, always in [-1, 1].

    `index` is its column, `name` reads "pv_18.q", `quantity` is what it controls ("p", "q", or a word of the
    user's own resource). `positions`: how many whole positions it has, evenly from -1 to 1; None: any value.
    """

    index: int
    name: str
    resource_name: str
    bus: str
    quantity: str
    positions: int | None = None


@dataclass(frozen=True)
class UnitInfo:
    """Where one unit sits in every array: its node's row, its ratings, its columns."""

    index: int  # position in the fleet's unit order, the order of info["delivered"]
    kind: str
    name: str
    bus: str
    phase: str  # "ABC" is split equally over three phases
    node_row: int  # row of feeder.nodes
    p_mw: float  # rated active power
    s_mva: float  # apparent power it can never exceed
    q_max_mvar: float  # reactive power at action +1
    energy_mwh: float | None  # None: no storage
    action_p: int | None  # column of the action vector; None: not controllable
    action_q: int | None
    observation: Mapping[str, int] = field(
        default_factory=dict, hash=False
    )  # quantity -> column of the flat observation


@dataclass(frozen=True)
class BindContext:
    """What a resource may look at when it allocates, and the columns of the fleet's arrays that it fills."""

    batch: int
    dt_h: float
    profiles: ProfileData | None
    feeder: Feeder
    node_rows: Ints  # (n_units,) rows of feeder.nodes
    current_p_mw: Floats  # (batch, n_units) zeros, for the resource to fill in each interval
    current_q_mvar: Floats
    accounts: Mapping[str, Floats]  # (batch, n_units) zeros by name, those that the resource `writes`
    load: PresentLoad | None = None  # where the load of the units stands, of a resource that `uses_load`


@dataclass(slots=True)
class Exogenous:
    """What holds during the interval that an action acts in.

    Valid during the call only: the arrays are reused.
    """

    t_index: Ints  # (batch,) row of the profiles
    dt_h: float
    v_pu: Floats  # (batch, n_units) voltage at the unit's bus at the end of the previous interval
    load_mw: Floats  # (batch, n_units) load at the unit's bus and phases during the interval, 0 or more


@dataclass(frozen=True)
class ResourceSpec(ABC):
    """Base of the frozen dataclasses that people write. Specs of one class become one `Resource`.

    `class_name` says of which class a spec is where only its fields are kept: in JSON.
    """

    kind: ClassVar[str]
    class_name: str = field(default="", init=False, repr=False, compare=False)

    if TYPE_CHECKING:  # of most kinds: where they are connected, and how they are called

        @property
        def bus(self) -> str | int | None:
            """Node id."""

        @property
        def phase(self) -> str | None:
            """Phases to which it is connected."""

        @property
        def name(self) -> str | None:
            """None lets the fleet name it."""

    def __init_subclass__(cls) -> None:
        cls.class_name = name_of_class(cls)

    def equip(self, feeder: Feeder) -> Feeder:
        """The feeder with what the device adds to its tables: itself for most kinds.

        Called before the feeder is compiled, and again on what it returned: what is there is not added twice.
        """
        return feeder

    @staticmethod
    @abstractmethod
    def program(specs: Sequence[Any]) -> Resource:
        """The array program of all `specs` (all of this class), in their order."""


class Resource(ABC):
    """An array program over (batch, units); subclass it in plain NumPy for a device of your own.

    A subclass names its `kind`, calls `super().__init__`, and writes `advance`, which fills
    `current_p_mw` and `current_q_mvar` in place. State arrays are allocated in `bind` (call
    `super().bind(ctx)` first), set in `reset`, listed in `state`. No loop over the rows of the batch: row
    *i* must not depend on row *j*.

    Attributes: `names`, `buses`, `phases` (one per unit); `s_mva` (n_units,) the apparent power that no
    unit exceeds, which bounds the worst reward of an episode; `current_p_mw`, `current_q_mvar` (batch,
    n_units), MW and MVAr, positive when injecting, what really flows; `accounts`, what the units did, kept,
    missed or cost in the last interval: one (batch, n_units) array for each name in `writes`, to be filled in
    place by `advance`. Those in money are the costs of the resource; tasks may price the others.
    """

    kind: ClassVar[str] = "custom"
    #: False spares the fleet the gather of `Exogenous.v_pu` (it is then left as it was).
    uses_voltage: ClassVar[bool] = True
    #: True fills `Exogenous.load_mw` (without columns otherwise).
    uses_load: ClassVar[bool] = False
    #: False: the units move something instead of injecting, and their s_mva is 0.
    injects: ClassVar[bool] = True
    #: Which forecasts `outlook` takes in place of the truth: a field of ``ForecastWindow``.
    foretold: ClassVar[str] = "pv"
    #: Names out of `ACCOUNTS` that `advance` fills.
    writes: ClassVar[tuple[str, ...]] = ()
    #: The most that all of `costs` can add up to in one row and one interval: bounds the worst episode.
    max_cost_per_step: float = 0.0

    current_p_mw: Floats
    current_q_mvar: Floats
    accounts: Mapping[str, Floats]

    def __init__(
        self,
        buses: Sequence[str | int],
        *,
        s_mva: float | Sequence[float] | Floats,
        actions: Sequence[str] = (),
        observations: Sequence[Entry] = (),
        phases: Sequence[str] | str = "ABC",
        names: Sequence[str | None] | None = None,
    ) -> None:
        """Describe the units.

        `buses`: one node id per unit. `s_mva`: largest apparent power of each unit, MVA. `actions`: the
        controlled quantities of every unit ("p", "q", any word). `observations`: the observed quantities
        of every unit, as `Entry("soc", "1", 0.0, 1.0)`. `names`: None lets the fleet name the units
        "kind_bus". Raises ValueError when a list has the wrong length or a rating is not positive and
        finite.
        """
        self.buses = tuple(bus_id(b) for b in buses)
        n = len(self.buses)
        if n == 0:
            raise ValueError(f"{type(self).__name__} has no units: give at least one bus")
        self.phases = (phases,) * n if isinstance(phases, str) else tuple(phases)
        self.requested_names: tuple[str | None, ...] = (None,) * n if names is None else tuple(names)
        for label, given in (("phases", self.phases), ("names", self.requested_names)):
            if len(given) != n:
                raise ValueError(
                    f"{type(self).__name__}: {len(given)} {label} for {n} buses; give one per bus"
                )
        for phase in self.phases:
            check_phase(type(self).__name__, phase)
        self.names: tuple[str, ...] = tuple(
            name or f"{self.kind}_{bus}" for name, bus in zip(self.requested_names, self.buses, strict=True)
        )
        self.s_mva: Floats = np.array(np.broadcast_to(np.asarray(s_mva, dtype=np.float64), (n,)))
        fitting = self.s_mva > 0.0 if self.injects else self.s_mva == 0.0
        if not (np.isfinite(self.s_mva).all() and fitting.all()):
            raise ValueError(
                f"{type(self).__name__}: s_mva must be positive and finite, got {self.s_mva.tolist()}"
            )
        check_names(type(self).__name__, self.writes)
        self.rated_p_mw: Floats = self.s_mva.copy()
        self.q_max_mvar: Floats = self.s_mva.copy()
        self.energy_mwh: Floats = np.full(n, np.nan)  # NaN: no storage
        self.unit_actions: tuple[tuple[str, ...], ...] = (tuple(actions),) * n
        self.unit_observations: tuple[tuple[Entry, ...], ...] = (tuple(observations),) * n

    @property
    def n_units(self) -> int:
        """Number of units."""
        return len(self.buses)

    @property
    def action_names(self) -> tuple[str, ...]:
        """One name per action dimension, "unit.quantity", unit by unit."""
        return tuple(f"{n}.{q}" for n, qs in zip(self.names, self.unit_actions, strict=True) for q in qs)

    @property
    def neutral_action(self) -> Floats:
        """(n_action,) the action that does nothing; zeros unless overridden."""
        return np.zeros(len(self.action_names))

    @property
    def action_positions(self) -> tuple[int | None, ...]:
        """For each action dimension how many whole positions it has, evenly from -1 to 1; None: any value."""
        return (None,) * len(self.action_names)

    def allowed(self, values: Floats, t_index: Ints) -> NDArray[np.bool_]:
        """Which actions can be followed in interval `t_index` (batch,): (batch, m, n_action), all here.

        `values` (m, n_action): `m` values of each dimension. What is not allowed may be asked for all the
        same: the units then get as far as they can.
        """
        return np.ones((t_index.size, *values.shape), dtype=np.bool_)

    @property
    def observation_spec(self) -> tuple[Entry, ...]:
        """Entries in the order `observe` fills them: quantity by quantity, units within."""
        entries = []
        for column in zip(*self.unit_observations, strict=True):
            for name, entry in zip(self.names, column, strict=True):
                entries.append(replace(entry, name=f"{name}.{entry.name}"))
        return tuple(entries)

    def locate(self, feeder: Feeder) -> None:
        """Look up in `feeder` what the units are tied to; called once, before they are named and placed."""
        return  # nothing: buses and phases were given

    def bind(self, ctx: BindContext) -> None:
        """Allocate every array for `ctx.batch` rows. Called once, before the first reset."""
        self.current_p_mw, self.current_q_mvar = ctx.current_p_mw, ctx.current_q_mvar
        self.accounts = ctx.accounts

    def reset(self, rows: Ints, rngs: Sequence[np.random.Generator]) -> None:
        """Start a new episode in `rows`; `rngs` holds one generator per entry of `rows`."""
        for array in (self.current_p_mw, self.current_q_mvar, *self.accounts.values()):
            array[rows] = 0.0

    @abstractmethod
    def advance(self, action: Floats, exo: Exogenous) -> None:
        """Act for one interval: fill `current_p_mw`, `current_q_mvar` from `action` (batch, n_action)."""

    def apply(self, grid: SolvedGrid) -> None:
        """Write what the units moved into the settings of every row of `grid`: `tap`, `cap_on`.

        Called between `advance` and the power flow. For devices that move something: others leave it out.
        `grid` may be no more than these arrays, of another number of rows in each call.
        """
        return  # nothing is moved

    def observe(self, t_index: Ints, out: Floats) -> None:
        """Fill `out` (batch, n_observation), what is known when interval `t_index` (batch,) is decided."""
        if out.shape[1]:
            raise NotImplementedError(
                f"{type(self).__name__} declares observations: write observe(t_index, out)"
            )

    def costs(self) -> dict[str, Floats]:
        """Named costs of the last interval, each (batch,) and >= 0; they add up to info["cost_resource"].

        Those that the accounts in money add up to, unless overridden. A resource that has any sets
        `max_cost_per_step`, so that a failed power flow never pays; where that is 0 nothing is charged.
        """
        return costs_of(self.accounts) if self.max_cost_per_step else {}

    def most_of(self, account: str, dt_h: float) -> float:
        """The most that an account can add up to over the units in one interval of `dt_h` hours.

        All apparent power, or that for the whole interval; of money `max_cost_per_step`. Override it where a
        unit can write more, or countable things.
        """
        unit = ACCOUNTS[account].unit
        if account not in self.writes:
            return 0.0
        if unit == "money":
            return self.max_cost_per_step
        return float(self.s_mva.sum()) * (dt_h if unit == "MWh" else 1.0)

    def outlook(self, t_index: Ints, row: int, now: int, sun: Floats | None = None) -> Outlook:
        """What a planner may know of the intervals `t_index` (horizon,), as `row` will meet them.

        Limits, and what is available, stored or owed: anything up to `s_mva`, unless overridden. What is
        stored is that of `now`, the interval that the row decides next; all are rows of the profiles.
        `sun`: forecasts (horizon, sites) of the output per unit of rated power, or of what `foretold` names,
        in place of the truth.
        """
        most = held(self.s_mva, t_index.size)
        return Outlook(self.names, -most, most, self.s_mva, self.q_max_mvar)

    def state(self) -> dict[str, Floats]:
        """Every array that the future or `info` depends on: the live arrays, batch first."""
        return {
            "current_p_mw": self.current_p_mw,
            "current_q_mvar": self.current_q_mvar,
            **self.accounts,
        }


def resource_of(fields: Mapping[str, Any]) -> ResourceSpec:
    """The spec that had these fields; see `made_of`."""
    return made_of(ResourceSpec, "a resource", fields)  # type: ignore[type-abstract]


def bus_id(bus: str | int) -> str:
    """A node id as the tables hold it: `18` and `"18"` are the same bus. TypeError for anything else."""
    if isinstance(bus, str) and bus:
        return bus
    if isinstance(bus, int | np.integer) and not isinstance(bus, bool):
        return str(int(bus))
    raise TypeError(f"bus must be a node id such as 18 or '18', got {bus!r}")


def check_phase(owner: str, phase: str) -> None:
    """ValueError unless `phase` is one of `PHASES`."""
    if phase not in PHASES:
        raise ValueError(f"{owner}: phase {phase!r} is unknown; expected one of {', '.join(PHASES)}")


def check_choice(owner: str, label: str, value: str, allowed: Sequence[str]) -> None:
    """ValueError unless `value` is one of `allowed`."""
    if value not in allowed:
        raise ValueError(f"{owner}: {label} {value!r} is unknown; expected one of {', '.join(allowed)}")


def check_number(
    owner: str, label: str, value: float, low: float, high: float, *, open_low: bool = False
) -> None:
    """ValueError unless `value` is a finite number in [low, high], or (low, high] when `open_low`."""
    if isinstance(value, bool) or not isinstance(value, int | float | np.number) or not math.isfinite(value):
        raise ValueError(f"{owner}: {label} must be a finite number, got {value!r}")
    if value < low or value > high or (open_low and value == low):
        if math.isinf(high):
            wanted = f"{'greater than' if open_low else 'at least'} {low:g}"
        else:
            wanted = f"in {'(' if open_low else '['}{low:g}, {high:g}]"
        raise ValueError(f"{owner}: {label} must be {wanted}, got {value!r}")
