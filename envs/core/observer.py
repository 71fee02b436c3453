"""The observation: which numbers stand where, and the code that fills them."""

from __future__ import annotations

import copy
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ...cases import Feeder
from ...cases.profiles import Profiles
from ...physics import StateBounds
from ...physics.solved_grid import SolvedGrid
from ..kernels.rows import BLOCKS, observe_rows
from ..resources import Fleet
from ..resources.base import Entry
from ..tasks import GRID_BLOCKS
from .arguments import checked_names
from .columns import sizes
from .observation_layout import Layout
from .time_axis import clock_of

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]


@dataclass(frozen=True)
class ObservationBounds:
    """Bounds of the observation, per column."""

    state: StateBounds
    s_load_mva: FloatArray  # (load points,) largest load
    s_fleet_mva: float  # largest total apparent power of the fleet
    price_usd_mwh: tuple[float, float]


class Observer:
    """Fills ``(batch, n_obs)`` float32 from the solved grid, the loads of the coming interval and the fleet.

    The grid state is that of the last solved interval; ``clock``, prices and what resources observe are those
    of the interval that is decided next, and so are the loads, which the stepper then already holds.
    """

    def __init__(
        self,
        blocks: tuple[str, ...],
        feeder: Feeder,
        fleet: Fleet,
        stepper: SolvedGrid,
        profiles: Profiles,
        limits: ObservationBounds,
    ) -> None:
        unknown = [b for b in checked_names("blocks", blocks) if b not in GRID_BLOCKS]
        if unknown:
            raise ValueError(
                f"unknown observation block {unknown[0]!r}; choose from {', '.join(GRID_BLOCKS)}"
            )
        self.fleet, self.stepper = fleet, stepper
        listed = [(name, _entries(name, stepper, limits)) for name in blocks]
        of_fleet = [(name, fleet.observation_entries[p]) for name, p in fleet.observation_blocks.items()]
        self.layout = Layout([*listed, *of_fleet])
        self.space = self.layout.space()
        # Copies: whoever writes into the bounds of the space must not change what is observed.
        self._low, self._high = self.space.low.copy(), self.space.high.copy()
        self._clock = clock_of(profiles)
        self._price = profiles.price_usd_mwh
        if self._price.shape != (profiles.n_steps,):
            raise ValueError(
                f"prices have shape {self._price.shape}, expected one for {profiles.n_steps} steps"
            )
        self._parts = np.array(
            [(BLOCKS[name], self.layout[name].start) for name in blocks], dtype=np.int64
        ).reshape(-1, 2)

    def of(self, fleet: Fleet, stepper: SolvedGrid) -> Observer:
        """The same observation of another grid of the scenario; tables and names are shared."""
        other = copy.copy(self)
        other.fleet, other.stepper = fleet, stepper
        return other

    def observe(self, t_index: IntArray, out: NDArray[np.float32] | None = None) -> NDArray[np.float32]:
        """A float32 (batch, n_obs) array inside the declared box: ``out``, or a fresh one."""
        if out is None:
            out = np.empty((t_index.size, self._low.size), dtype=np.float32)
        grid = self.stepper
        observe_rows(
            self._parts, t_index, self._clock, self._price,
            grid.v, grid.v_pu, grid.load_p_mw, grid.load_q_mvar, grid.s_from, grid.i_ka, grid.loading,
            grid.vuf_pct, grid.slack_mva, grid.loss_mva, self.fleet.observe(t_index), self._low, self._high,
            out,
        )  # fmt: skip
        return out


_SOME = 1e-3  # a box needs room even where a node has no load and a branch cannot carry any
_PER_NODE = ("v_pu", "v_deg")
_PER_LOAD = ("load_p_mw", "load_q_mvar")
_PER_BRANCH = ("p_from_mw", "q_from_mvar", "i_ka", "loading")


def grid_size(blocks: tuple[str, ...], feeder: Feeder) -> int:
    """Entries that the grid blocks take before the fleet's begin."""
    columns = sizes(feeder)
    size = (
        dict.fromkeys(_PER_NODE, columns["node"])
        | dict.fromkeys(_PER_LOAD, columns["load"])
        | dict.fromkeys(_PER_BRANCH, columns["branch"])
        | {"clock": 4, "vuf_pct": columns["unbalance"]}
    )
    return sum(size.get(name, 1) for name in blocks)


def _entries(name: str, stepper: SolvedGrid, limits: ObservationBounds) -> list[Entry]:
    nodes, loads, branches, unbalance = stepper.names
    s_branch = np.maximum(limits.state.s_branch_mva, _SOME)
    total = float(limits.s_load_mva.sum() + limits.s_fleet_mva + limits.state.p_loss_mw)
    if name == "clock":
        labels = ("day_sin", "day_cos", "year_sin", "year_cos")
        return [Entry(f"clock.{label}", "1", -1.0, 1.0) for label in labels]
    if name == "v_pu":
        high = np.nan_to_num(limits.state.v_high_pu, nan=1.0)
        return [Entry(f"v_pu[{n}]", "pu", 0.0, float(h)) for n, h in zip(nodes, high, strict=True)]
    if name == "v_deg":
        return [Entry(f"v_deg[{n}]", "deg", -180.0, 180.0) for n in nodes]
    if name in ("load_p_mw", "load_q_mvar"):
        unit = "MW" if name == "load_p_mw" else "MVAr"
        s_load = np.maximum(limits.s_load_mva, _SOME)
        return [Entry(f"{name}[{n}]", unit, -float(s), float(s)) for n, s in zip(loads, s_load, strict=True)]
    if name in ("p_from_mw", "q_from_mvar"):
        unit = "MW" if name == "p_from_mw" else "MVAr"
        return [
            Entry(f"{name}[{b}]", unit, -float(s), float(s)) for b, s in zip(branches, s_branch, strict=True)
        ]
    if name == "i_ka":
        top = stepper.i_max_ka(s_branch, limits.state.v_low_pu)
        return [Entry(f"i_ka[{b}]", "kA", 0.0, float(i)) for b, i in zip(branches, top, strict=True)]
    if name == "loading":
        rating = np.nan_to_num(stepper.rating_mva, nan=np.inf)
        top = np.maximum(s_branch / rating, _SOME)
        return [Entry(f"loading[{b}]", "1", 0.0, float(x)) for b, x in zip(branches, top, strict=True)]
    if name == "vuf_pct":
        return [Entry(f"vuf_pct[{n}]", "%", 0.0, 100.0) for n in unbalance]
    if name == "price_usd_mwh":
        return [Entry(name, "USD/MWh", *limits.price_usd_mwh)]
    unit = "MVAr" if name == "q_slack_mvar" else "MW"
    return [Entry(name, unit, 0.0 if name == "p_loss_mw" else -4.0 * total, 4.0 * total)]
