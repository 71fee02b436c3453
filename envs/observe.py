"""The observation: which numbers stand where, and the code that fills them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..cases import Feeder
from ..cases.profiles import Profiles
from ..physics import Network, StateBounds, Stepper, kernel
from .layout import Layout
from .resources import Fleet
from .resources.base import Entry
from .tasks import GRID_BLOCKS

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
Read = Callable[[IntArray], FloatArray | NDArray[np.float32]]


@dataclass(frozen=True)
class Limits:
    """Bounds of the observation, per node and branch."""

    state: StateBounds
    s_load_mva: FloatArray  # (n_nodes,) largest load
    s_fleet_mva: float  # largest total apparent power of the fleet
    price_usd_mwh: tuple[float, float]


class Observer:
    """Fills ``(batch, n_obs)`` float32 from the solved grid, the loads of the coming interval and the fleet.

    The grid state is that of the last solved interval; ``clock``, loads, prices and what resources observe
    are those of the interval that is decided next.
    """

    def __init__(
        self,
        blocks: tuple[str, ...],
        feeder: Feeder,
        fleet: Fleet,
        stepper: Stepper,
        profiles: Profiles,
        limits: Limits,
    ) -> None:
        unknown = [b for b in blocks if b not in GRID_BLOCKS]
        if unknown:
            raise ValueError(
                f"unknown observation block {unknown[0]!r}; choose from {', '.join(GRID_BLOCKS)}"
            )
        self.feeder, self.fleet, self.stepper, self.profiles = feeder, fleet, stepper, profiles
        listed = [(name, _entries(name, stepper.net, limits)) for name in blocks]
        self._grid_size = grid_size(blocks, feeder)
        for name, part in fleet.observation_blocks.items():
            listed.append((name, list(fleet.observation_entries[part])))
        self.layout = Layout(listed)
        self.space = self.layout.space()
        self._low, self._high = self.space.low, self.space.high
        self._clock = _clock_table(profiles.n_steps, profiles.steps_per_day)
        self.load_p_mw = np.zeros_like(stepper.load_p_mw)
        self.load_q_mvar = np.zeros_like(stepper.load_q_mvar)
        live, read = self._live(), self._read()
        self._copied = [(self.layout[name], live[name]) for name in blocks if name in live]
        self._computed = [(self.layout[name], read[name]) for name in blocks if name in read]

    def _live(self) -> dict[str, FloatArray]:
        """Blocks that are arrays allocated once, (batch, entries): copied as they are."""
        stepper = self.stepper
        return {
            "v_pu": stepper.v_pu, "load_p_mw": self.load_p_mw, "load_q_mvar": self.load_q_mvar,
            "p_from_mw": stepper.s_from.real, "q_from_mvar": stepper.s_from.imag, "i_ka": stepper.i_ka,
            "loading": stepper.loading, "p_slack_mw": stepper.slack_mva.real[:, None],
            "q_slack_mvar": stepper.slack_mva.imag[:, None], "p_loss_mw": stepper.loss_mva.real[:, None],
        }  # fmt: skip

    def _read(self) -> dict[str, Read]:
        """Blocks that are looked up or computed for the interval."""
        n_steps, price = self.profiles.n_steps, self.profiles.price_usd_mwh
        return {
            "clock": lambda t: self._clock[t % n_steps],
            "price_usd_mwh": lambda t: price[t % n_steps][:, None],
            "v_deg": lambda _: np.angle(self.stepper.v, deg=True),
        }

    def observe(self, t_index: IntArray) -> NDArray[np.float32]:
        """A fresh float32 (batch, n_obs) array inside the declared box."""
        out = np.empty((t_index.size, self.layout.size), dtype=np.float32)
        for part, array in self._copied:
            out[:, part] = array
        for part, read in self._computed:
            out[:, part] = read(t_index)
        if self._grid_size < self.layout.size:
            self.fleet.observe(t_index, out[:, self._grid_size :])
        into_box(out, self._low, self._high)
        return out


@kernel
def into_box(out, low, high):  # type: ignore[no-untyped-def]
    """Clip (batch, n) to the box; NaN (a dead node) becomes 0.

    Rounding to float32 and the last iterate of a failed power flow may lie outside.
    """
    for row in range(out.shape[0]):
        for i in range(out.shape[1]):
            x = out[row, i]
            if np.isnan(x):
                x = np.float32(0.0)
            out[row, i] = min(max(x, low[i]), high[i])


_SOME = 1e-3  # a box needs room even where a node has no load and a branch cannot carry any
_PER_NODE = ("v_pu", "v_deg", "load_p_mw", "load_q_mvar")
_PER_BRANCH = ("p_from_mw", "q_from_mvar", "i_ka", "loading")


def grid_size(blocks: tuple[str, ...], feeder: Feeder) -> int:
    """Entries that the grid blocks take before the fleet's begin."""
    sizes = (
        dict.fromkeys(_PER_NODE, feeder.n_nodes)
        | dict.fromkeys(_PER_BRANCH, feeder.n_branches)
        | {"clock": 4}
    )
    return sum(sizes.get(name, 1) for name in blocks)


def _entries(name: str, net: Network, limits: Limits) -> list[Entry]:
    feeder = net.feeder
    nodes = [str(n) for n in feeder.column("nodes", "node_id")]
    branches = [str(b) for b in feeder.column("branches", "branch_id")]
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
        return [Entry(f"{name}[{n}]", unit, -float(s), float(s)) for n, s in zip(nodes, s_load, strict=True)]
    if name in ("p_from_mw", "q_from_mvar"):
        unit = "MW" if name == "p_from_mw" else "MVAr"
        return [
            Entry(f"{name}[{b}]", unit, -float(s), float(s)) for b, s in zip(branches, s_branch, strict=True)
        ]
    if name == "i_ka":
        kv = np.minimum(net.base_kv[net.from_row], net.base_kv[net.to_row]) * limits.state.v_low_pu
        return [
            Entry(f"i_ka[{b}]", "kA", 0.0, float(i)) for b, i in zip(branches, s_branch / kv, strict=True)
        ]
    if name == "loading":
        rating = np.nan_to_num(net.rating_mva, nan=np.inf)
        top = np.maximum(s_branch / rating, _SOME)
        return [Entry(f"loading[{b}]", "1", 0.0, float(x)) for b, x in zip(branches, top, strict=True)]
    if name == "price_usd_mwh":
        return [Entry(name, "USD/MWh", *limits.price_usd_mwh)]
    unit = "MVAr" if name == "q_slack_mvar" else "MW"
    return [Entry(name, unit, 0.0 if name == "p_loss_mw" else -4.0 * total, 4.0 * total)]


def _clock_table(n_steps: int, steps_per_day: int) -> NDArray[np.float32]:
    """(n_steps, 4) sine and cosine of the time of day and of the time of year."""
    t = np.arange(n_steps) * (2.0 * np.pi)
    angles = (t / steps_per_day, t / n_steps)
    return np.stack([f(a) for a in angles for f in (np.sin, np.cos)], axis=1).astype(np.float32)
