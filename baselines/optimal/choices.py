"""Whole numbers of an operating point: tap positions, banks that are on, sites and sizes of new banks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ... import physics
from ..errors import RunError, unknown
from .affine import Affine, FloatArray, IntArray
from .branch_flow import MOST_V_PU, BranchFlow, Gains
from .conic import Compiled
from .program import Program, Rows
from .radial import RadialNetwork, fed_by_regulators, without_banks

_LEAST_V_PU = 0.5
_WHOLE = 1e-6


@dataclass(frozen=True)
class Sites:
    """New capacitor banks, whose buses and sizes are to be found; they feed in constant reactive power.

    Attributes:
        most: Banks, at buses that differ.
        step_mvar: Sizes are whole multiples of it.
        most_mvar: Of one bank.
        buses: Ids to choose from; None: all but the sources'.

    Raises:
        ValueError: numbers that leave nothing to choose.
    """

    most: int
    step_mvar: float
    most_mvar: float
    buses: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        if self.most < 1 or self.most != int(self.most):
            raise ValueError(f"Sites: most must be a whole number from 1 on, got {self.most!r}")
        if not 0.0 < self.step_mvar <= self.most_mvar < np.inf:
            raise ValueError(
                f"Sites: expected 0 < step_mvar <= most_mvar, got {self.step_mvar!r} and {self.most_mvar!r}"
            )

    @property
    def most_steps(self) -> int:
        """Of one bank."""
        return int(np.floor(self.most_mvar / self.step_mvar + 1e-9))


@dataclass(frozen=True, eq=False)
class Setting:
    """Whole numbers, and what the power flow makes of them.

    Attributes:
        tap_pos: Of every chosen tap changer. cap_on: Of every chosen bank.
        placed: (bus, Mvar) of new banks.
        tap: (n_branch,) ratios. all_on: (n_bank,) states. q_mvar: (n_bus,) of new banks.
    """

    tap_pos: IntArray
    cap_on: NDArray[np.bool_]
    placed: tuple[tuple[str, float], ...]
    tap: FloatArray
    all_on: NDArray[np.bool_]
    q_mvar: FloatArray


class Choices:
    """The integers of an operating point as coordinates: taps, banks, then site and steps of every new bank.

    A site is a place in an order of the feeder in which every bus comes before all that it feeds, so that a
    range of places is a stretch of the feeder. The places of new banks ascend.

    Args:
        network: Of the feeder.
        taps: Ids of tap changers; None: all.
        banks: Ids of banks; None: all.
        sites: Of new banks.

    Raises:
        RunError: unknown ids, more banks than sites, a tap changer at the far end of its branch.
    """

    def __init__(
        self, network: RadialNetwork, taps: Sequence[str] | None, banks: Sequence[str] | None,
        sites: Sites | None,
    ) -> None:  # fmt: skip
        net = network.net
        feeder = net.feeder
        self._net, self.sites = net, sites
        self.taps = _rows(net, "regulators", "reg_id", taps)
        self.banks = _rows(net, "capacitors", "cap_id", banks)
        self.network = without_banks(network, self.banks)
        self.at = fed_by_regulators(network, self.taps)
        self.step_pu = feeder.column("regulators", "tap_step_pu")[self.taps].astype(np.float64)
        self.ratio = net.reg_ratio[self.taps]
        self._node = network.position[net.cap_node[self.banks]]
        self._mvar = net.cap_susceptance[self.banks] * net.base_mva
        self.places = np.empty(0, dtype=np.int64)
        if sites is not None:
            self.places = _places(network, sites)
        n_sites = 0 if sites is None else int(sites.most)
        if n_sites > self.places.size:
            raise RunError(f"{n_sites} banks need as many buses; there are {self.places.size} to choose from")
        self.n_taps, self.n_banks, self.n_sites = self.taps.size, self.banks.size, n_sites
        if not self.n_taps + self.n_banks + n_sites:
            raise RunError(f"feeder {feeder.name!r}: neither tap changers nor banks nor sites to choose")
        ends = [
            feeder.column("regulators", name)[self.taps].astype(np.int64) for name in ("tap_min", "tap_max")
        ]
        steps = 0 if sites is None else sites.most_steps
        self.low = np.concatenate([ends[0], np.zeros(self.n_banks + 2 * n_sites, dtype=np.int64)])
        most = [np.full(n_sites, self.places.size - 1), np.full(n_sites, steps)]
        self.high = np.concatenate([ends[1], np.ones(self.n_banks, dtype=np.int64), *most]).astype(np.int64)

    # -- coordinates -----------------------------------------------------------------------------------------

    @property
    def of_banks(self) -> slice:
        """Banks among the coordinates."""
        return slice(self.n_taps, self.n_taps + self.n_banks)

    @property
    def of_sites(self) -> slice:
        """Places of new banks among the coordinates."""
        first = self.n_taps + self.n_banks
        return slice(first, first + self.n_sites)

    @property
    def of_sizes(self) -> slice:
        """Steps of new banks among the coordinates."""
        return slice(self.of_sites.stop, self.of_sites.stop + self.n_sites)

    @property
    def size(self) -> int:
        """Number of settings."""
        return int(np.prod((self.high - self.low + 1).astype(object)))

    def ordered(self, low: IntArray, high: IntArray) -> bool:
        """Narrow ranges of places in place so that they ascend; False where they cannot."""
        a, b = low[self.of_sites], high[self.of_sites]
        for k in range(1, self.n_sites):
            a[k] = max(a[k], a[k - 1] + 1)
        for k in range(self.n_sites - 2, -1, -1):
            b[k] = min(b[k], b[k + 1] - 1)
        return bool((low <= high).all())

    # -- in a program ----------------------------------------------------------------------------------------

    def within(self, low: IntArray, high: IntArray) -> Chosen:
        """The choices as part of a program, taps within a range."""
        return Chosen(self, low[: self.n_taps], high[: self.n_taps])

    def gains_of(self, positions: IntArray) -> FloatArray:
        """(1, n_taps) of tap changers at positions."""
        return np.asarray((1.0 + positions * self.step_pu) / self.ratio)[None]

    def setting(self, point: IntArray) -> Setting:
        """What the power flow needs of coordinates (n,)."""
        net = self._net
        tap, on = np.array(net.tap, dtype=np.float64), net.cap_on.copy()
        positions, states = point[: self.n_taps], point[self.of_banks] == 1
        tap[net.reg_branch[self.taps]] = self.ratio / (1.0 + positions * self.step_pu)
        on[self.banks] = states
        q_mvar, placed = np.zeros(net.n_bus), []
        names = net.feeder.column("nodes", "node_id")
        for place, steps in zip(point[self.of_sites].tolist(), point[self.of_sizes].tolist(), strict=True):
            assert self.sites is not None
            bus = self.network.node[self.places[place]]
            q_mvar[bus] += steps * self.sites.step_mvar
            if steps:
                placed.append((str(names[bus]), round(steps * self.sites.step_mvar, 12)))
        return Setting(positions.copy(), states, tuple(placed), tap, on, q_mvar)

    @property
    def bank_mvar(self) -> FloatArray:
        """(n_banks,) at 1 pu."""
        return self._mvar

    @property
    def bank_node(self) -> IntArray:
        """(n_banks,) positions."""
        return self._node


class Chosen:
    """Columns and rows of choices; ranges of banks, places and sizes change in place.

    Args:
        choices: What there is to choose.
        tap_low, tap_high: (n_taps,) range of the positions, for good.
    """

    def __init__(self, choices: Choices, tap_low: IntArray, tap_high: IntArray) -> None:
        self.choices = choices
        self._gains = tuple(choices.gains_of(end) for end in (tap_low, tap_high))

    def gains(self) -> Gains | None:
        """Of the tap changers."""
        return Gains(self.choices.at, *self._gains) if self.choices.n_taps else None

    def columns(self, program: Program, network: RadialNetwork) -> tuple[Affine, FloatArray]:
        """(1, m) Mvar that banks feed in, and (m,) its reach."""
        c = self.choices
        fed, reach = Affine(np.zeros((1, network.size))), np.zeros(network.size)
        if c.n_banks:
            most = c.bank_mvar * MOST_V_PU**2
            self.q = program.columns((1, c.n_banks), most)
            self.on = program.columns((c.n_banks,), 1.0)
            fed = fed + self.q.scattered(c.bank_node, network.size)
            np.add.at(reach, c.bank_node, most)
        if c.sites is not None:
            most_mvar = c.sites.most_steps * c.sites.step_mvar
            self.placed = program.columns((c.n_sites, c.places.size), most_mvar)
            fed = fed + self.placed.sum(axis=0).scattered(c.places, network.size).reshape(1, -1)
            reach[c.places] += most_mvar
        return fed, reach

    def add_rows(self, program: Program, flow: BranchFlow) -> None:
        """Ranges, and the product of state and voltage between its chords."""
        c = self.choices
        self._rows: list[tuple[Rows, str]] = []
        if c.n_banks:
            v, q, on = flow.v[0, c.bank_node], self.q[0], self.on
            least, most = _LEAST_V_PU**2, MOST_V_PU**2
            program.nonneg(q - least * c.bank_mvar * on)
            program.nonneg(most * c.bank_mvar * on - q)
            program.nonneg(q - c.bank_mvar * v + most * c.bank_mvar * (1.0 - on))
            program.nonneg(c.bank_mvar * v - least * c.bank_mvar * (1.0 - on) - q)
            self._rows += [(program.nonneg(1.0 - on), "bank_high"), (program.nonneg(on), "bank_low")]
        if c.sites is not None:
            total, most_mvar = self.placed.sum(axis=1), c.sites.most_steps * c.sites.step_mvar
            program.nonneg(self.placed)
            self._rows += [
                (program.nonneg(most_mvar - self.placed), "place"),
                (program.nonneg(most_mvar - total), "size_high"), (program.nonneg(total), "size_low"),
            ]  # fmt: skip

    def narrow(self, compiled: Compiled, low: IntArray, high: IntArray) -> None:
        """Other ranges of banks, places and sizes for the next solve."""
        c = self.choices
        limits = {
            "bank_high": high[c.of_banks].astype(np.float64), "bank_low": -low[c.of_banks].astype(np.float64)
        }  # fmt: skip
        if c.sites is not None:
            places, step = np.arange(c.places.size), c.sites.step_mvar
            inside = (places >= low[c.of_sites, None]) & (places <= high[c.of_sites, None])
            limits["place"] = np.where(inside, c.sites.most_steps * step, 0.0)
            limits["size_high"] = np.asarray(step * high[c.of_sizes])
            limits["size_low"] = np.asarray(-step * low[c.of_sizes])
        for rows, of in self._rows:
            compiled.set_constant(rows, limits[of])

    def wanted(self, flow: BranchFlow, x: FloatArray) -> tuple[FloatArray, FloatArray]:
        """(n,) where a point has the coordinates, and how far each is from one whole number."""
        c = self.choices
        where = np.zeros(c.low.size)
        if c.n_taps:
            near = flow.v.at(x)[0, flow.network.parent[c.at]]
            gain = np.sqrt(np.maximum(flow.sent.at(x)[0, c.at], 0.0) / near)
            where[: c.n_taps] = (gain * c.ratio - 1.0) / c.step_pu
        if c.n_banks:
            where[c.of_banks] = self.q.at(x)[0] / (c.bank_mvar * flow.v.at(x)[0, c.bank_node])
        away = np.abs(where - np.round(where))
        if c.sites is not None:
            placed = np.maximum(self.placed.at(x), 0.0)
            total = placed.sum(axis=1)
            share = placed / np.maximum(total, _WHOLE)[:, None]
            places = np.arange(c.places.size)
            mean = share @ places
            where[c.of_sites] = np.where(total > _WHOLE, mean, 0.0)
            away[c.of_sites] = np.sqrt((share * (places - mean[:, None]) ** 2).sum(axis=1))
            where[c.of_sizes] = total / c.sites.step_mvar
            away[c.of_sizes] = np.abs(where[c.of_sizes] - np.round(where[c.of_sizes]))
        return where, away


def _rows(net: physics.Network, table: str, column: str, ids: Sequence[str] | None) -> IntArray:
    known = [str(one) for one in net.feeder.column(table, column)]
    for name in ids or ():
        if name not in known:
            raise unknown(column, name, known)
    wanted = known if ids is None else list(dict.fromkeys(ids))
    return np.array([known.index(name) for name in wanted], dtype=np.int64)


def _places(network: RadialNetwork, sites: Sites) -> IntArray:
    """Positions to choose from, each before all that it feeds and these without a break."""
    children: list[list[int]] = [[] for _ in range(network.size)]
    for parent, child in zip(network.parent.tolist(), network.fed.tolist(), strict=True):
        children[parent].append(child)
    below = np.ones(network.size)
    for k in range(network.fed.size - 1, -1, -1):
        below[network.parent[k]] += below[network.fed[k]]
    order, stack = [], network.root.tolist()[::-1]
    while stack:
        at = stack.pop()
        order.append(at)
        stack += sorted(children[at], key=lambda child: below[child])
    if sites.buses is None:
        roots = set(network.root.tolist())
        return np.array([at for at in order if at not in roots], dtype=np.int64)
    index = network.net.feeder.node_index
    for bus in sites.buses:
        if bus not in index:
            raise unknown("Sites: bus", bus, index)
        if network.position[index[bus]] < 0:
            raise RunError(f"Sites: bus {bus!r} has no connection to a source")
    wanted = {int(network.position[index[bus]]) for bus in sites.buses}
    return np.array([at for at in order if at in wanted], dtype=np.int64)
