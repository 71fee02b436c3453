"""What an observation block may look at: what it is made from, and the state that it shows."""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from ...physics.solved_grid import SolvedGrid
from ..resources.ev import EVProgram

if TYPE_CHECKING:
    from ...cases import Feeder
    from ...cases.profiles import Profiles
    from ..resources import Fleet

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
T = TypeVar("T", bound=NDArray[Any])
_NEVER = -(2**40)


class ForecastWindow(NamedTuple):
    """Forecasts of consecutive intervals from the decided one on; that is known at the level "oracle"."""

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


class DrawSource(Protocol):
    """What each row drew for its episode; see `core.episode_draws`."""

    scale: FloatArray  # (batch,) of prices
    shift_usd_mwh: FloatArray  # (batch,)
    names: tuple[str, ...]  # of the columns of `table`, and their bounds
    low: FloatArray
    high: FloatArray

    @property
    def varies_prices(self) -> bool:
        """Whether rows have prices of their own."""

    def price_ends(self, low: Any, high: Any) -> tuple[Any, Any]:
        """Lowest and highest price of any episode, given those of the profiles."""

    def table(self, random_load: FloatArray) -> FloatArray:
        """(batch, columns) of all that was drawn."""


class Shocks:
    """What was drawn for forecasts, so that it need not be drawn again one step later; decides nothing.

    ``values`` (rows, horizon) belong to the episodes ``of_key`` and the intervals from ``of_t`` on, (rows,).
    """

    __slots__ = ("of_key", "of_t", "values")

    def __init__(self, rows: int, horizon: int) -> None:
        self.of_key: NDArray[np.uint64] = np.zeros(rows, dtype=np.uint64)
        self.of_t: IntArray = np.full(rows, _NEVER)
        self.values: FloatArray = np.zeros((rows, horizon))


class ForecastSource(Protocol):
    """Forecasts made when interval ``t_index`` (rows,) is decided, for it and those behind it.

    The decided interval is known at the level "oracle"; else it is a forecast, one step ahead.
    """

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

    def total_load_mw(
        self, keys: NDArray[np.uint64], t_index: IntArray, horizon: int, random: FloatArray | None = None,
        shocks: Shocks | None = None,
    ) -> FloatArray:  # fmt: skip
        """(rows, horizon) of MW of all load points together; ``shocks`` spares draws where time goes on."""

    def total_power_mw(
        self, source: str, keys: NDArray[np.uint64], t_index: IntArray, horizon: int, site: IntArray,
        p_mw: FloatArray, s_mva: FloatArray, shocks: Shocks | None = None,
    ) -> FloatArray:  # fmt: skip
        """(rows, horizon) of MW that plants could give: each its rated ``p_mw``, at most ``s_mva``."""

    def window(
        self, row_key: int, t_index: int, horizon: int, random: FloatArray | None = None
    ) -> ForecastWindow:
        """All of them for one episode."""

    @property
    def exact(self) -> bool:
        """Whether the interval that is decided is known."""

    @property
    def goes_round(self) -> bool:
        """Whether the first interval of the data follows the last."""

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
    draws: DrawSource | None = None  # what episodes draw beside their day, where anything
    exact: bool = True  # whether loads and sun of the interval that is decided are known: level "oracle"

    @functools.cached_property
    def station_gain_mw(self) -> FloatArray:
        """(charging stations,) what reaches the battery of a car at full power."""
        gains = [p.rated_p_mw * p.eta_charge for p in self.fleet.programs if isinstance(p, EVProgram)]
        return np.concatenate([np.zeros(0), *gains])

    @property
    def counts(self) -> dict[str, int]:
        """Number of columns by kind; "drawn": of what episodes draw."""
        drawn = 0 if self.draws is None else len(self.draws.names)
        units = Counter(unit.kind for unit in self.fleet.units())
        return {"drawn": drawn} | units | {kind: len(names) for kind, names in self.names.items()}


class BlockView:
    """The state that an observation shows, batch first. Arrays are live: read, never keep, never write.

    The grid is that of the last solved interval. Loads are those of the interval that is decided next at the
    level "oracle" (``context.exact``), of the last solved one else. ``t_index`` (batch,) is the row of the
    profiles of the interval that is decided, ``t_last`` of the one before. ``fleet`` has what its devices
    delivered last. ``row_key`` (batch,) is what draws of meters and forecasts depend on in an episode,
    ``random_load`` (batch, n) what a random load drew for it, ``readings`` what meters show.
    """

    __slots__ = (
        "_fleet_seen", "context", "draws", "fleet", "grid", "last_p_mw", "last_q_mvar", "ledger", "memory",
        "random_load", "readings", "row_key", "shocks", "step_index", "t_index", "t_last",
    )  # fmt: skip

    def __init__(self, grid: SolvedGrid, fleet: Fleet, context: BlockContext) -> None:
        self.grid, self.fleet, self.context = grid, fleet, context
        batch = len(grid.v_pu)
        self._fleet_seen: FloatArray | None = None
        self.t_index: IntArray = np.zeros(batch, dtype=np.int64)
        self.t_last: IntArray = np.zeros(batch, dtype=np.int64)
        self.row_key: NDArray[np.uint64] = np.zeros(batch, dtype=np.uint64)
        self.random_load: FloatArray = np.zeros((batch, 0))
        self.readings: FloatArray = np.zeros((batch, 0))
        #: What the episode remembers, where the task needs it, and how many intervals of it are over.
        self.ledger: LedgerSource | None = None
        self.draws: DrawSource | None = None
        self.memory: FloatArray = np.zeros((batch, 0))  # of the ledger
        self.step_index: IntArray = np.zeros(batch, dtype=np.int64)
        self.shocks: dict[tuple[str, int], Shocks] = {}
        points = 0 if context.exact else grid.load_p_mw.shape[1]
        self.last_p_mw: FloatArray = np.zeros((batch, points))
        self.last_q_mvar: FloatArray = np.zeros((batch, points))

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
        """(batch, load points) of the coming interval at the level "oracle", else of the last one."""
        return self.grid.load_p_mw if self.context.exact else self.last_p_mw

    @property
    def load_q_mvar(self) -> FloatArray:
        """(batch, load points) of the coming interval at the level "oracle", else of the last one."""
        return self.grid.load_q_mvar if self.context.exact else self.last_q_mvar

    def shocks_of(self, quantity: str, horizon: int) -> Shocks:
        """What was drawn for the forecasts of a quantity."""
        key = (quantity, horizon)
        if key not in self.shocks:
            self.shocks[key] = Shocks(self.t_index.size, horizon)
        return self.shocks[key]

    def observed_fleet(self) -> FloatArray:
        """(batch, entries of the fleet): what its devices observe; the fleet's own array, made once."""
        if self._fleet_seen is None:
            self._fleet_seen = self.fleet.observe(self.t_index, None if self.context.exact else self.t_last)
        return self._fleet_seen

    def decide(self, t_index: IntArray, t_last: IntArray | None) -> None:
        """Intervals ``t_index`` (batch,) are decided next; ``t_last`` (batch,): those before, if needed."""
        self._fleet_seen, self.t_index = None, t_index
        if t_last is not None:
            self.t_last = t_last

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
