"""The limits that what is hosted must keep, as bounds on what a power flow shows.

A limit that the feeder passes without anything hosted binds where the new plant makes it worse, and nowhere
else: its bound is then what the feeder has by itself. So do California's integration capacity analysis and
PNNL's i2x ("the limit becomes no worse than the baseline").
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ...cases import Feeder
from ...physics.violations import judged_band
from ..errors import RunError, unknown
from .search import Bounds

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

#: Kinds of limits, by the names that tables have; `Bound` holds their places.
KINDS = ("overvoltage", "undervoltage", "deviation", "thermal", "reverse_flow", "unbalance", "power_flow")
OVER, UNDER, DEVIATION, THERMAL, REVERSE, UNBALANCE, NO_POWER_FLOW = range(len(KINDS))
BAND_AT = ("all", "loads")
#: What is no more than the noise of a power flow does not make a violation worse.
WORSE = 1e-6


@dataclass(frozen=True)
class HostingLimits:
    """What must hold with the new plant.

    Attributes:
        voltage_band: Lowest and highest voltage, pu; None: of each node its own (``v_min``, ``v_max``).
            "none" of both is (0, inf). Sources are given, and not judged.
        voltage_deviation: How far any voltage may move from what it is without the plant, pu; None: freely.
        thermal_margin: Share of each rating that stays free: 0.1 keeps the loading at or below 0.9; None:
            ratings are left out.
        reverse_mw: Most power that may flow back into each source, MW; None: any.
        vuf_max_pct: Per phase: unbalance |V2| / |V1| allowed, %; None: any.
        band_at: Where the band is judged: at "all" nodes, or at "loads": the nodes that have any, and those
            where the new plant stands.

    Raises RunError, a ValueError, for values outside the physical.
    """

    voltage_band: tuple[float, float] | None = None
    voltage_deviation: float | None = 0.03
    thermal_margin: float | None = 0.0
    reverse_mw: float | None = None
    vuf_max_pct: float | None = None
    band_at: str = "all"

    def __post_init__(self) -> None:
        if self.band_at not in BAND_AT:
            raise unknown("place where the band is judged", self.band_at, BAND_AT)
        if self.voltage_band is not None:
            low, high = self.voltage_band
            if not 0.0 <= low < high or np.isnan(high):
                raise RunError(
                    f"voltage band is [{low}, {high}]: expected two voltages in pu, the lower one first and "
                    "not below 0, such as [0.95,1.05]"
                )
            if not low < 2.0 or (np.isfinite(high) and not 0.5 <= high <= 2.0):
                raise RunError(
                    f"voltage band is [{low}, {high}]: expected pu of nominal between 0 and 2, not volts or %"
                )
        _within("voltage deviation", self.voltage_deviation, 0.0, 1.0, "pu, such as 0.03", open_low=True)
        _within("thermal margin", self.thermal_margin, 0.0, 1.0, "a share of the rating, such as 0.1")
        _within("reverse flow", self.reverse_mw, 0.0, np.inf, "MW, 0 or more")
        _within("unbalance", self.vuf_max_pct, 0.0, 100.0, "%, such as 2", open_low=True)

    def band(self, feeder: Feeder) -> tuple[FloatArray, FloatArray]:
        """(n_nodes,) lowest and highest voltage, 0 and inf where none is judged: where the plant stands."""
        return judged_band(feeder, self.voltage_band)

    def judged(self, feeder: Feeder) -> NDArray[np.bool_]:
        """(n_nodes,) where the band holds wherever the plant stands."""
        if self.band_at == "all":
            return np.ones(feeder.n_nodes, dtype=bool)
        return np.isin(feeder.column("nodes", "node_id"), feeder.column("loads", "node_id"))

    @property
    def any(self) -> bool:
        """Whether anything is limited at all."""
        band = self.voltage_band is None or self.voltage_band != (0.0, np.inf)
        rest = (self.voltage_deviation, self.thermal_margin, self.reverse_mw, self.vuf_max_pct)
        return band or any(limit is not None for limit in rest)


def _within(
    name: str, value: float | None, low: float, high: float, expected: str, *, open_low: bool = False
) -> None:
    if value is None:
        return
    if not low <= value < high or (open_low and value == low):
        raise RunError(f"{name} is {value}: expected {expected}")


@dataclass(frozen=True)
class Quantities:
    """What a power flow shows, column by column, and what it may be without regard to the base.

    Attributes:
        kind_low, kind_high: Kind of the limit that stands at each end, places in `KINDS`.
        element: Name of what each column belongs to.
        low, high: (columns,) bounds; infinite where there is none.
        moves: Column whose deviation from the base is limited, and by how much; 0 elsewhere is "not at all".
        only_at: (columns,) node where a plant must stand for the bounds to hold; -1: they hold anyway.
    """

    kind_low: IntArray
    kind_high: IntArray
    element: tuple[str, ...]
    low: FloatArray
    high: FloatArray
    moves: FloatArray  # (columns,) inf: freely
    only_at: IntArray

    @property
    def by_site(self) -> bool:
        """Whether bounds depend on where the plant stands."""
        return bool((self.only_at >= 0).any())

    def limits(self, stands: NDArray[np.bool_] | None = None) -> tuple[FloatArray, FloatArray]:
        """(rows, columns) lowest and highest values, where a plant stands at nodes (rows, n_nodes); None: one
        row, of a plant that stands nowhere.
        """
        holds = (self.only_at < 0)[None]
        if stands is not None:
            holds = holds | stands[:, np.maximum(self.only_at, 0)]
        return np.where(holds, self.low, -np.inf), np.where(holds, self.high, np.inf)

    def against(self, base: FloatArray, stands: NDArray[np.bool_] | None = None) -> JudgedBounds:
        """The bounds of rows that show ``base`` (rows, columns) without a plant; ``stands``: see `limits`."""
        least, most = self.limits(stands)
        high = np.where(base > most, base + WORSE, most)
        low = np.where(base < least, base - WORSE, least)
        moved_high, moved_low = base + self.moves, base - self.moves
        return JudgedBounds(
            Bounds(np.maximum(low, moved_low), np.minimum(high, moved_high)),
            np.where(moved_low > low, DEVIATION, self.kind_low),
            np.where(moved_high < high, DEVIATION, self.kind_high),
            self.element,
        )


@dataclass(frozen=True)
class JudgedBounds:
    """Bounds, and which limit stands at each of them."""

    bounds: Bounds
    kind_low: IntArray  # (rows or 1, columns)
    kind_high: IntArray
    element: tuple[str, ...]

    def of(self, rows: IntArray) -> JudgedBounds:
        """Those of some rows."""
        return JudgedBounds(
            Bounds(self.bounds.low[rows], self.bounds.high[rows]), self.kind_low[rows], self.kind_high[rows],
            self.element,
        )  # fmt: skip

    def kind(self, rows: IntArray, column: IntArray, above: NDArray[np.bool_]) -> IntArray:
        """(k,) the limit at one end of one column of each row; of column -1 that no power flow was found."""
        row = rows if self.kind_low.shape[0] > 1 else np.zeros_like(rows)
        found = np.where(above, self.kind_high[row, column], self.kind_low[row, column])
        return np.where(column < 0, NO_POWER_FLOW, found)


def joined(parts: list[Quantities]) -> Quantities:
    """Several as one, their columns side by side."""
    names = tuple(name for part in parts for name in part.element)
    low, high, moves = (
        np.concatenate([getattr(part, field) for part in parts]) for field in ("low", "high", "moves")
    )
    kind_low, kind_high, only_at = (
        np.concatenate([getattr(part, field) for part in parts])
        for field in ("kind_low", "kind_high", "only_at")
    )
    return Quantities(kind_low, kind_high, names, low, high, moves, only_at)


def columns_of(
    element: list[str], kinds: tuple[int, int], low: FloatArray | float = -np.inf,
    high: FloatArray | float = np.inf, moves: float = np.inf, only_at: IntArray | int = -1,
) -> Quantities:  # fmt: skip
    """Columns of one kind of quantity."""
    n = len(element)
    full = [np.array(np.broadcast_to(np.asarray(v, dtype=np.float64), (n,))) for v in (low, high, moves)]
    site = np.array(np.broadcast_to(only_at, (n,)), dtype=np.int64)
    return Quantities(
        np.full(n, kinds[0]), np.full(n, kinds[1]), tuple(element), full[0], full[1], full[2], site
    )
