"""What an observation block is: a named part of the observation with unit, meaning, size, bounds, and values.

Tasks list blocks. A shipped one is known by its name; one of your own is an instance of a class of yours.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ...physics.solved_grid import SolvedGrid
from ..resources.base import Entry
from ..resources.class_names import made_of, name_of_class

if TYPE_CHECKING:
    from ...cases import Feeder
    from ...cases.profiles import Profiles
    from ..resources import Fleet

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
T = TypeVar("T", bound=NDArray[Any])

#: Results of a power flow that are only kept where a block reads them: see `Block.reads`.
DETAILS = ("v", "s_from", "i_ka")


class ForecastWindow(NamedTuple):
    """Forecasts of consecutive intervals, the first of which is known."""

    t_index: IntArray  # (horizon,) rows of the profiles
    load_p_mw: FloatArray  # (horizon, load points)
    load_q_mvar: FloatArray  # (horizon, load points)
    price_usd_mwh: FloatArray  # (horizon,)
    pv: FloatArray  # (horizon, sites) output per unit of rated power
    wind: FloatArray | None = None  # (horizon, wind sites) the same; None: the profiles have none
    outdoor_c: FloatArray | None = None  # (horizon,) degC; None: the profiles have none


class LedgerSource(Protocol):
    """What an episode remembers, row by row; see `core.ledger`."""

    memory: FloatArray  # (batch, columns)
    signal: FloatArray  # (batch, steps), no columns without a dispatch signal
    steps: int  # of an episode


class ForecastSource(Protocol):
    """Forecasts made when interval ``t_index`` (rows,) is decided, for it (known) and those behind it."""

    def load(
        self, keys: NDArray[np.uint64], t_index: IntArray, horizon: int, random: FloatArray | None = None
    ) -> tuple[FloatArray, FloatArray]:
        """(rows, horizon, load points) of MW and of MVAr."""

    def price_usd_mwh(self, keys: NDArray[np.uint64], t_index: IntArray, horizon: int) -> FloatArray:
        """(rows, horizon)."""

    def pv(self, keys: NDArray[np.uint64], t_index: IntArray, horizon: int) -> FloatArray:
        """(rows, horizon, sites) of output per unit of rated power."""

    def wind(self, keys: NDArray[np.uint64], t_index: IntArray, horizon: int) -> FloatArray:
        """(rows, horizon, wind sites) of output per unit of rated power."""

    def outdoor_c(self, keys: NDArray[np.uint64], t_index: IntArray, horizon: int) -> FloatArray:
        """(rows, horizon) degC."""

    def window(
        self, row_key: int, t_index: int, horizon: int, random: FloatArray | None = None
    ) -> ForecastWindow:
        """All of them for one episode."""

    @property
    def price_room_usd_mwh(self) -> float:
        """How far forecast prices may lie outside those of the year."""

    @property
    def random(self) -> bool:
        """Whether they depend on the row's key."""

    @property
    def n_random_load(self) -> int:
        """Numbers that a random load draws for each episode."""


@dataclass(frozen=True, eq=False)
class BlockContext:
    """What a block may look at when its entries and bounds are made. Nothing in it changes afterwards.

    ``names``: of the columns of voltages ("node"), loads ("load"), branches ("branch") and unbalance
    ("unbalance"); a per-phase feeder has one column for each phase that exists ("671.A").
    """

    feeder: Feeder
    fleet: Fleet
    profiles: Profiles
    forecasts: ForecastSource
    names: Mapping[str, Sequence[str]]
    v_high_pu: FloatArray  # (voltages,) the most that a solved state can have; NaN where nothing is solved
    s_branch_mva: FloatArray  # (branches,) the most that can flow, at least 1 kVA
    i_branch_ka: FloatArray  # (branches,) the same as current
    rating_mva: FloatArray  # (branches,) NaN: none
    s_load_mva: FloatArray  # (load points,) largest load
    s_total_mva: float  # loads, fleet and losses of the whole feeder at their largest

    @property
    def counts(self) -> dict[str, int]:
        """Number of columns by kind."""
        return {kind: len(names) for kind, names in self.names.items()}


class BlockView:
    """The state that an observation shows, batch first. Arrays are live: read, never keep, never write.

    The grid is that of the last solved interval; loads are those of the interval that is decided next, whose
    row of the profiles is ``t_index`` (batch,). ``fleet`` has what its devices delivered last. ``row_key``
    (batch,) is what draws of meters and forecasts depend on in an episode, ``random_load`` (batch, n) what a
    random load drew for it, ``readings`` what meters show.
    """

    __slots__ = (
        "context", "fleet", "grid", "ledger", "random_load", "readings", "row_key", "step_index", "t_index",
    )  # fmt: skip

    def __init__(self, grid: SolvedGrid, fleet: Fleet, context: BlockContext) -> None:
        self.grid, self.fleet, self.context = grid, fleet, context
        batch = len(grid.v_pu)
        self.t_index: IntArray = np.zeros(batch, dtype=np.int64)
        self.row_key: NDArray[np.uint64] = np.zeros(batch, dtype=np.uint64)
        self.random_load: FloatArray = np.zeros((batch, 0))
        self.readings: FloatArray = np.zeros((batch, 0))
        #: What the episode remembers, where the task needs it, and how many intervals of it are over.
        self.ledger: LedgerSource | None = None
        self.step_index: IntArray = np.zeros(batch, dtype=np.int64)

    @property
    def forecasts(self) -> ForecastSource:
        """Forecasts of loads, sun and prices."""
        return self.context.forecasts

    @property
    def v(self) -> NDArray[np.complex128]:
        """(batch, voltages) complex, pu; a detail."""
        return self._kept(self.grid.v, "v")

    @property
    def v_pu(self) -> FloatArray:
        """(batch, voltages), NaN where nothing is solved."""
        return self.grid.v_pu

    @property
    def s_from(self) -> NDArray[np.complex128]:
        """(batch, branches) MVA into the branch at its from side; a detail."""
        return self._kept(self.grid.s_from, "s_from")

    @property
    def i_ka(self) -> FloatArray:
        """(batch, branches); a detail."""
        return self._kept(self.grid.i_ka, "i_ka")

    @property
    def loading(self) -> FloatArray:
        """(batch, branches) apparent power over rating."""
        return self.grid.loading

    @property
    def vuf_pct(self) -> FloatArray:
        """(batch, nodes with three phases)."""
        return self.grid.vuf_pct

    @property
    def load_p_mw(self) -> FloatArray:
        """(batch, load points) of the coming interval."""
        return self.grid.load_p_mw

    @property
    def load_q_mvar(self) -> FloatArray:
        """(batch, load points) of the coming interval."""
        return self.grid.load_q_mvar

    @property
    def measured(self) -> FloatArray:
        """(batch, quantities): what a step measures of the whole feeder."""
        return self.grid.measured

    def _kept(self, array: T, name: str) -> T:
        if not array.size:
            raise ValueError(
                f"{name!r} is kept only where a block says that it reads it: write reads = ({name!r},) in "
                "the class of your block"
            )
        return array


@dataclass(frozen=True)
class Block(ABC):
    """A part of the observation.

    A subclass says its ``name``, ``unit`` and ``meaning`` (class attributes, or properties where they depend
    on its own fields), what its entries stand ``per``, their ``bounds``, and fills them. It holds no state:
    many environments share it, on several threads. Give it fields by ``@dataclass(frozen=True)``.

    Example::

        class WorstVoltage(Block):
            name, unit = "v_min_pu", "pu"
            meaning = "lowest voltage of the feeder, last"

            def bounds(self, context):
                return 0.0, 2.0

            def fill(self, view, out):
                out[:, 0] = np.nanmin(view.v_pu, axis=1)
    """

    #: Of which class a block is where only its fields are kept: in JSON.
    class_name: str = field(default="", init=False, repr=False, compare=False)

    def __init_subclass__(cls) -> None:
        cls.class_name = name_of_class(cls)

    @property
    @abstractmethod
    def name(self) -> str:
        """Its name in ``env.layout``."""

    @property
    @abstractmethod
    def unit(self) -> str:
        """Of all its entries; "1" for what has none."""

    @property
    @abstractmethod
    def meaning(self) -> str:
        """What it holds, and of when ("last": of the interval before the decision), for the documentation."""

    @property
    def per(self) -> str | None:
        """One entry for each "node", "load", "branch" or "unbalance"; None: for none of these."""
        return None

    @property
    def reads(self) -> tuple[str, ...]:
        """Which of "v", "s_from" and "i_ka" it reads: without being asked, power flows do not write them."""
        return ()

    def size(self, counts: Mapping[str, int]) -> int:
        """Number of entries, given the columns by kind; 1 unless there is one ``per`` something."""
        return 1 if self.per is None else counts[self.per]

    def labels(self, context: BlockContext) -> Sequence[str]:
        """Name of each entry: "v_pu[18]" per node, the block's own for a lone one, "name[0]" ... else."""
        if self.per is not None:
            return [f"{self.name}[{label}]" for label in context.names[self.per]]
        size = self.size(context.counts)
        return [self.name] if size == 1 else [f"{self.name}[{k}]" for k in range(size)]

    @abstractmethod
    def bounds(self, context: BlockContext) -> tuple[ArrayLike, ArrayLike]:
        """Lowest and highest value, one for all entries or one each; finite. What lies outside is clipped."""

    @abstractmethod
    def fill(self, view: BlockView, out: FloatArray) -> None:
        """Write the (batch, size) values; NaN is observed as 0. Row *i* must not depend on row *j*."""

    def entries(self, context: BlockContext) -> list[Entry]:
        """Every entry with unit and bounds. ValueError where those do not fit its size, or are not finite."""
        labels, size = self.labels(context), self.size(context.counts)
        if len(labels) != size:
            raise ValueError(f"observation block {self.name!r} has {len(labels)} labels for {size} entries")
        low, high = (self._checked_bound(bound, size) for bound in self.bounds(context))
        if (low > high).any():
            k = int((low > high).argmax())
            raise ValueError(
                f"observation block {self.name!r}: {labels[k]} has bounds {low[k]} and {high[k]}"
            )
        return [
            Entry(label, self.unit, a, b, self.meaning)
            for label, a, b in zip(labels, low.tolist(), high.tolist(), strict=True)
        ]

    def _checked_bound(self, bound: ArrayLike, size: int) -> FloatArray:
        array = np.asarray(bound, dtype=np.float64)
        if array.shape not in ((), (size,)) or not np.isfinite(array).all():
            raise ValueError(
                f"observation block {self.name!r}: bounds must be finite, one number or {size} of them, got "
                f"{bound!r}"
            )
        return np.broadcast_to(array, (size,))


class ArrayBlock(Block):
    """A block that stands in columns of one array: the gather copies it, no Python runs in a step.

    ``source`` is an array of `SolvedGrid`, ``part`` what is taken of it: "value", or of a complex one
    "real", "imag", "degrees".
    """

    @property
    @abstractmethod
    def source(self) -> str:
        """Name of the array."""

    @property
    def part(self) -> str:
        """What is taken of it: "value", "real", "imag" or "degrees"."""
        return "value"

    @property
    def scale(self) -> float:
        """What values are multiplied by."""
        return 1.0

    @property
    def reads(self) -> tuple[str, ...]:
        """Its source, where that is a detail."""
        return (self.source,) if self.source in DETAILS else ()

    def columns(self, context: BlockContext) -> IntArray:
        """Columns of the source, in the order of the entries; the first ones unless overridden."""
        return np.arange(self.size(context.counts))

    def fill(self, view: BlockView, out: FloatArray) -> None:
        """What the gather copies, in NumPy."""
        values = getattr(view, self.source)[:, self.columns(view.context)]
        if self.part == "degrees":
            values = np.degrees(np.angle(values))
        elif self.part != "value":
            values = getattr(values, self.part)
        np.multiply(values, self.scale, out=out)


class SeriesBlock(Block):
    """A block that depends on nothing but the interval: a table over time, which the gather reads."""

    @abstractmethod
    def series(self, context: BlockContext) -> FloatArray:
        """(n_steps, size) values for each interval of the profiles."""

    def fill(self, view: BlockView, out: FloatArray) -> None:
        """What the gather copies, in NumPy."""
        table = self.series(view.context)
        out[:] = table[view.t_index % len(table)]


def block_of(fields: Mapping[str, Any]) -> Block:
    """The block that had these fields, as JSON keeps them; TypeError for an unknown class."""
    return made_of(Block, "an observation block", fields)  # type: ignore[type-abstract]
