"""The best whole positions of an operating point: branch and bound on the relaxation, replayed through AC.

A node of the tree is a range of every integer. The relaxation over it has a dual, which bounds all that is
in the range; its point is rounded, planned again with the integers held, and replayed through the AC power
flow: that is a value. Nodes whose bound is no better than the best value are closed.
"""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ... import physics
from .affine import FloatArray, IntArray
from .branch_flow import NetworkLimits
from .choices import Choices, Chosen, Setting, Sites
from .conflicts import LimitsError
from .conic import ConicSolution
from .dispatch_program import Case, DispatchProgram, demand_of
from .radial import radial_network
from .replay import Plan, Replay, replayed
from .switched import OBJECTIVES as SEARCHED
from .switched import best_settings
from .units import Unit
from .verdict import KEPT, allowed_gap

_WHOLE = 1e-5
_PROGRAMS_KEPT = 64


@dataclass(frozen=True, eq=False)
class OptimalSettings:
    """The best settings of an operating point.

    Attributes:
        tap_pos: By the id of each chosen tap changer.
        cap_on: By the id of each chosen bank.
        placed: (bus, Mvar) of new banks.
        p_mw, q_mvar: (n_unit,) of the units.
        value: Of the replay: MW of losses, USD/h, (V - 1)^2 summed over buses, or MW fed in.
        bound: Nothing that keeps the limits is better, whatever its integers.
        gap: Between both, at least 0 up to rounding.
        status: "optimal" where the tree was closed and the value is within ``gap_tolerance`` of the bound;
            else "best known".
        exhausted: Whether every node was closed.
        n_settings: Combinations that there are. n_nodes: Nodes looked at.
        replay: Through the AC power flow.
    """

    tap_pos: dict[str, int]
    cap_on: dict[str, bool]
    placed: tuple[tuple[str, float], ...]
    p_mw: FloatArray
    q_mvar: FloatArray
    value: float
    bound: float
    gap: float
    status: str
    exhausted: bool
    n_settings: int
    n_nodes: int
    replay: Replay


def optimal_settings(
    net: physics.Network,
    units: Sequence[Unit] = (),
    *,
    taps: Sequence[str] | None = None,
    banks: Sequence[str] | None = None,
    sites: Sites | None = None,
    objective: str = "loss",
    limits: NetworkLimits | None = None,
    head_usd_mwh: float = 0.0,
    p_mw: FloatArray | None = None,
    q_mvar: FloatArray | None = None,
    v_source_pu: float | None = None,
    gap_tolerance: float = 1e-6,
    most_nodes: int = 5000,
) -> OptimalSettings:
    """Taps, banks, sites of new banks and setpoints of units, best together.

    Where the tree is not closed within ``most_nodes``, the search of `switched.best_settings` on the AC power
    flow goes on where it covers what is asked (the feeder's own taps and banks, losses), and the best of both
    is best known, with the bound of the nodes left.

    Args:
        net: A compiled, balanced, radial feeder.
        units: That are dispatched, too.
        taps: Ids of tap changers to set; None: all. The others stay where they are.
        banks: Ids of banks to switch; None: all. The others stay as they are.
        sites: New banks to place.
        objective: As `dispatch.optimal_dispatch` has it.
        limits: Of the network; None: the band [0.95, 1.05] and the ratings.
        head_usd_mwh: Price of what the head delivers.
        p_mw: (n_bus,) loads; None: the nominal ones.
        q_mvar: With ``p_mw``.
        v_source_pu: Of all sources; None: as stored.
        gap_tolerance: Relative gap up to which settings are called optimal.
        most_nodes: Of the tree.

    Raises:
        RunError: what `dispatch.optimal_dispatch` refuses; unknown ids; nothing to set; no setting keeps the
            limits, or none was found that does.
    """
    limits = NetworkLimits() if limits is None else limits
    network = radial_network(net)
    choices = Choices(network, taps, banks, sites)
    case = Case.of(net, units, objective, limits, head_usd_mwh)
    tree = _Tree(choices, case, limits, (p_mw, q_mvar, v_source_pu), gap_tolerance)
    tree.grow(most_nodes)
    if not tree.closed:
        tree.search_on(net)
    return tree.described()


@dataclass(frozen=True, eq=False)
class _Candidate:
    """Integers whose replay keeps the limits; ``value`` is what is made small."""

    point: IntArray
    setting: Setting
    p_mw: FloatArray
    q_mvar: FloatArray
    value: float
    replay: Replay


class _Tree:
    """Branch and bound: the node of the least bound comes first."""

    def __init__(
        self, choices: Choices, case: Case, limits: NetworkLimits,
        given: tuple[FloatArray | None, FloatArray | None, float | None], tolerance: float,
    ) -> None:  # fmt: skip
        self.choices, self.case, self.limits, self.tolerance = choices, case, limits, tolerance
        self._given = given
        self.demand = demand_of(choices.network.net, choices.network, *given)
        self._programs: dict[bytes, tuple[DispatchProgram, Chosen]] = {}
        self._tried: set[bytes] = set()
        self.best: _Candidate | None = None
        self.n_nodes = 0
        self._left = np.inf  # the least bound of nodes that were closed without being empty
        self._heap: list[tuple[float, int, IntArray, IntArray]] = []
        self._count = itertools.count()

    # -- the tree --------------------------------------------------------------------------------------------

    def grow(self, most_nodes: int) -> None:
        """Look at nodes until all are closed, or at so many."""
        low, high = self.choices.low.copy(), self.choices.high.copy()
        if self.choices.ordered(low, high):
            self._push(-np.inf, low, high)
        while self._heap and self.n_nodes < most_nodes:
            bound, _, low, high = heapq.heappop(self._heap)
            if not self._worth(bound):
                self._heap.clear()  # all others are no better
                return
            self._look_at(bound, low, high)

    @property
    def closed(self) -> bool:
        """Whether no node is left."""
        return not self._heap

    @property
    def bound(self) -> float:
        """Nothing is below it."""
        least = min(self._left, self._heap[0][0] if self._heap else np.inf)
        return least if self.best is None else float(min(least, self.best.value))

    def _worth(self, bound: float) -> bool:
        """Whether a node may hold what is better than the best by more than half the tolerance."""
        if self.best is None:
            return bound < np.inf
        room = 0.5 * allowed_gap(self.best.value, self.tolerance)
        if bound < self.best.value - room:
            return True
        self._left = min(self._left, bound)
        return False

    def _push(self, bound: float, low: IntArray, high: IntArray) -> None:
        heapq.heappush(self._heap, (bound, next(self._count), low, high))

    def _look_at(self, bound: float, low: IntArray, high: IntArray) -> None:
        self.n_nodes += 1
        program, chosen, found = self._solved(low, high)
        if found.solver_status == "PrimalInfeasible":
            return
        bound = max(bound, found.bound.value)
        single = bool((low == high).all())
        if not self._worth(bound):
            return
        if not found.solved:
            where, away = np.asarray(0.5 * (low + high)), np.zeros(low.size)
        else:
            where, away = chosen.wanted(program.flow, found.x)
            self._try(self._rounded(where, low, high))
        if not self._worth(bound):
            return
        if single:
            self._left = min(self._left, bound)
            return
        for ends in self._halves(where, away, low, high):
            if self.choices.ordered(*ends):
                self._push(bound, *ends)

    def _halves(
        self, where: FloatArray, away: FloatArray, low: IntArray, high: IntArray
    ) -> list[tuple[IntArray, IntArray]]:
        """Two ranges that hold all of this one: places first, then what is furthest from whole numbers."""
        c = self.choices
        wide = high > low
        worth = np.where(wide & (away > _WHOLE), away, 0.0)
        sites, sizes = worth[c.of_sites], worth[c.of_sizes].copy()
        if sites.any():
            k = c.of_sites.start + int(sites.argmax())
        else:
            worth[c.of_sizes] = 0.0
            if worth.any():
                k = int(worth.argmax())
            elif sizes.any():
                k = c.of_sizes.start + int(sizes.argmax())
            else:
                k = int(np.where(wide, high - low, 0).argmax())
                where = np.asarray(0.5 * (low + high))
        cut = int(np.clip(np.floor(where[k]), low[k], high[k] - 1))
        lower, upper = high.copy(), low.copy()
        lower[k], upper[k] = cut, cut + 1
        return [(low.copy(), lower), (upper, high.copy())]

    # -- values ----------------------------------------------------------------------------------------------

    def _rounded(self, where: FloatArray, low: IntArray, high: IntArray) -> IntArray:
        a, b = low.copy(), high.copy()
        c = self.choices
        point = np.clip(np.floor(where + 0.5), low, high).astype(np.int64)
        for k in range(c.of_sites.start, c.of_sites.stop):  # places ascend
            a[k] = b[k] = int(np.clip(point[k], a[k], b[k]))
            if not c.ordered(a, b):
                return point
            point[k] = a[k]
        return point

    def _try(self, point: IntArray) -> None:
        """Hold the integers, plan the units, replay; sizes of new banks are planned, then rounded."""
        c = self.choices
        key = point[: c.of_sizes.start].tobytes() if c.n_sites else point.tobytes()
        if key in self._tried:
            return
        self._tried.add(key)
        if c.n_sites:
            low, high = point.copy(), point.copy()
            low[c.of_sizes], high[c.of_sizes] = c.low[c.of_sizes], c.high[c.of_sizes]
            program, chosen, found = self._solved(low, high)
            if not found.solved:
                return
            where, _ = chosen.wanted(program.flow, found.x)
            point = self._rounded(where, low, high)
        self.take(point)

    def take(self, point: IntArray) -> None:
        """Plan the units with these integers, replay, and keep what is better than the best."""
        program, _, found = self._solved(point, point)
        if not found.solved:
            return
        setting, network = self.choices.setting(point), self.choices.network
        p, q = program.p.at(found.x)[0], program.q.at(found.x)[0]
        v = np.sqrt(np.maximum(program.flow.v.at(found.x)[0], 0.0))
        plan = Plan(self.case.at, p, q, v, setting.tap, setting.all_on, setting.q_mvar)
        played = replayed(
            network, self.demand, self.limits, plan, self.case.units, self.case.objective,
            self.case.head_usd_mwh,
        )  # fmt: skip
        value = -played.objective if self.case.objective == "host" else played.objective
        if played.violation <= KEPT and (self.best is None or value < self.best.value):
            self.best = _Candidate(point, setting, p, q, value, played)

    def _solved(self, low: IntArray, high: IntArray) -> tuple[DispatchProgram, Chosen, ConicSolution]:
        n = self.choices.n_taps
        key = low[:n].tobytes() + high[:n].tobytes()
        if key not in self._programs:
            if len(self._programs) >= _PROGRAMS_KEPT:
                self._programs.pop(next(iter(self._programs)))
            chosen = self.choices.within(low, high)
            program = DispatchProgram(self.choices.network, self.case, self.demand, self.limits, chosen)
            self._programs[key] = program, chosen
        program, chosen = self._programs[key]
        chosen.narrow(program.compiled, low, high)
        return program, chosen, program.compiled.solve()

    # -- what is left ----------------------------------------------------------------------------------------

    def search_on(self, net: physics.Network) -> None:
        """Search taps and banks on the AC power flow, where that covers what is asked."""
        c = self.choices
        whole = c.n_taps == net.reg_branch.size and c.n_banks == net.cap_node.size
        if c.n_sites or self.case.units or not whole or self.case.objective not in SEARCHED:
            return
        load_p, load_q, v_source = self._given
        names = c.network.bus_names()[c.network.fed]
        found = best_settings(
            net, objective=self.case.objective, v_band=self.limits.v_band or (0.5, 1.5),
            buses=[str(name) for name in names], most_exhaustive=0,
            **_given_rows(load_p, load_q, v_source, len(net.feeder.sources)),
        )  # fmt: skip
        self.take(np.concatenate([found.tap_pos, found.cap_on.astype(np.int64)]))

    def described(self) -> OptimalSettings:
        """The result; LimitsError without any."""
        c, best = self.choices, self.best
        if best is None:
            raise LimitsError(
                "no setting keeps the limits"
                if self.closed and self._left == np.inf
                else f"no setting that keeps the limits was found in {self.n_nodes} nodes"
            )
        sign = -1.0 if self.case.objective == "host" else 1.0
        bound, gap = self.bound, best.value - self.bound
        proved = self.closed and gap <= allowed_gap(best.value, self.tolerance)
        feeder = c.network.net.feeder
        taps = [str(name) for name in feeder.column("regulators", "reg_id")[c.taps]]
        banks = [str(name) for name in feeder.column("capacitors", "cap_id")[c.banks]]
        return OptimalSettings(
            dict(zip(taps, best.setting.tap_pos.tolist(), strict=True)),
            dict(zip(banks, best.setting.cap_on.tolist(), strict=True)), best.setting.placed, best.p_mw,
            best.q_mvar, sign * best.value, sign * bound, gap, "optimal" if proved else "best known",
            self.closed, c.size, self.n_nodes, best.replay,
        )  # fmt: skip


def _given_rows(
    p_mw: FloatArray | None, q_mvar: FloatArray | None, v_source_pu: float | None, n_source: int
) -> dict[str, Any]:
    """Loads and source voltage as `physics.solve` takes them for one row."""
    rows: dict[str, Any] = (
        {} if p_mw is None or q_mvar is None else {"load_p_mw": p_mw[None], "load_q_mvar": q_mvar[None]}
    )
    return rows if v_source_pu is None else {**rows, "v_source_pu": np.full((1, n_source), v_source_pu)}
