"""The best radial topology of an operating point: switches, and the setpoints of units with them.

Where there are few topologies, branch and bound on the relaxation proves the best; where there are many,
exchanges on the AC power flow find a good one, and the relaxation says how far it may be from the best.
"""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .... import cases, physics
from ....cases.graph import joins
from ...errors import RunError, unknown
from ..affine import FloatArray
from ..branch_flow import NetworkLimits
from ..conflicts import InfeasibleError, LimitsError
from ..dispatch import optimal_dispatch
from ..dispatch_program import Case
from ..local import setpoints_of
from ..phase_dispatch import PhaseUnit, fed_in, phase_optimum
from ..radial import radial_network
from ..units import Unit
from ..verdict import KEPT, allowed_gap
from .candidates import FREE, BoolArray, Candidates, StateArray, with_states
from .relaxation import Loads, Relaxation, Relaxed
from .search import OBJECTIVES, Judge, searched

_FEW = 1e6  # topologies among which the best is proved
_NODES_OF_FEW, _NODES_OF_MANY = 3000, 20
_ENUMERATED = 2000  # topologies of a per-phase feeder that are all solved
_TURNS = 4  # of topology and setpoints


@dataclass(frozen=True, eq=False)
class OptimalTopology:
    """The best states of switches.

    Attributes:
        feeder: In the topology that was found.
        opened, closed: Ids of branches whose state is another than in the feeder that was given.
        open_branches: Ids of all branches that could be closed and are open.
        p_mw, q_mvar: (n_unit,) setpoints.
        value: Of the AC power flow: MW of losses, USD/h or (V - 1)^2 summed over buses.
        bound: Nothing that keeps the limits is better, whatever its topology; NaN where none is proved.
        gap: Between both; NaN without a bound.
        status: "optimal" where the bound, or the solution of all topologies, proves it; else "best known".
        n_topologies: Radial ones that feed all, as many as a float can count.
        n_nodes: Of the tree of relaxations. n_solved: Power flows.
    """

    feeder: cases.Feeder
    opened: tuple[str, ...]
    closed: tuple[str, ...]
    open_branches: tuple[str, ...]
    p_mw: FloatArray
    q_mvar: FloatArray
    value: float
    bound: float
    gap: float
    status: str
    n_topologies: float
    n_nodes: int
    n_solved: int


def best_topology(
    net: physics.Network | physics.Network3,
    units: Sequence[Unit] = (),
    *,
    switches: Sequence[str] | None = None,
    objective: str = "loss",
    limits: NetworkLimits | None = None,
    head_usd_mwh: float = 0.0,
    v_source_pu: float | None = None,
    gap_tolerance: float = 1e-5,
    most_nodes: int | None = None,
    kicks: int = 40,
    seed: int = 0,
    **loads: Any,
) -> OptimalTopology:
    """The radial topology that feeds all at the least losses, cost or deviation of voltages.

    Args:
        net: Compiled. A stored mesh is opened first; every bus that can be fed is.
        units: What is dispatched together with it; of a per-phase feeder `PhaseUnit`.
        switches: Ids of switches or branches that may be opened and closed; None: every branch, as published
            studies of reconfiguration have it.
        objective: "loss", "cost" (the head at ``head_usd_mwh`` and the units' own costs) or "voltage".
        limits: Of the network; None: the band [0.95, 1.05] and the ratings.
        head_usd_mwh: Price of what the head delivers.
        v_source_pu: Of all sources; None: as stored.
        gap_tolerance: Relative gap to the bound up to which a topology is called optimal.
        most_nodes: Of the tree; None: 3000 where there are at most a million topologies, else 20.
        kicks: Of the search by exchanges.
        seed: Of these.
        **loads: Of `physics.solve`, without an axis of rows; left out: the nominal ones.

    Raises:
        RunError: unknown ids, an objective of another name, a loop that no switch opens, no choice, no
            topology that keeps the limits; a balanced feeder that the relaxation does not cover.
    """
    if objective not in OBJECTIVES:
        raise unknown("objective", objective, OBJECTIVES)
    limits = NetworkLimits() if limits is None else limits
    case = Case.of(net, units, objective, limits, head_usd_mwh)
    per_phase = isinstance(net, physics.Network3)
    if per_phase and not all(isinstance(unit, PhaseUnit) for unit in units):
        raise RunError("units of a per-phase feeder must be PhaseUnits")
    candidates = Candidates.of(net.feeder, switches)
    search = _Search(candidates, case, tuple(units), limits, v_source_pu, loads)
    every = per_phase and candidates.n_topologies <= _ENUMERATED
    search.on_ac(every, kicks, np.random.default_rng(seed))
    if per_phase:
        return search.described(net.feeder, proved=every and not case.units)
    tree = _Tree(search, gap_tolerance)
    few = candidates.n_topologies <= _FEW
    tree.grow(most_nodes if most_nodes is not None else _NODES_OF_FEW if few else _NODES_OF_MANY)
    return search.described(net.feeder, tree=tree)


@dataclass(frozen=True, eq=False)
class _Reached:
    """A topology with setpoints that were played through the AC power flow."""

    closed: BoolArray
    p_mw: FloatArray
    q_mvar: FloatArray
    value: float
    violation: float


class _Search:
    """What is reached on the AC power flow."""

    def __init__(
        self, candidates: Candidates, case: Case, units: tuple[Unit, ...], limits: NetworkLimits,
        v_source_pu: float | None, loads: dict[str, Any],
    ) -> None:  # fmt: skip
        self.candidates, self.case, self.limits = candidates, case, limits
        self.units, self.v_source_pu, self.loads = units, v_source_pu, loads
        self._tried: set[bytes] = set()
        self.best: _Reached | None = None
        self.n_solved = 0

    # -- exchanges -------------------------------------------------------------------------------------------

    def on_ac(self, every: bool, kicks: int, rng: np.random.Generator) -> None:
        """Topology and setpoints in turn, until neither gains; ``every``: all topologies in each turn."""
        n = len(self.units)
        at = setpoints_of(self.units, self.case.objective).projected(np.zeros((1, 2 * n)))[0]
        p, q, closed = at[:n], at[n:], self.candidates.start
        for _ in range(_TURNS):
            judge = self._judge(p, q)
            if every:
                found = judge.best(self.candidates.everything())
            else:
                found = searched(judge, closed, kicks, rng)
            self.n_solved += judge.n_solved
            assert found is not None
            closed, before = found.closed, self.best
            self.take(closed, (p, q))
            if not n or self.best is None or self.best is before:
                return
            p, q = self.best.p_mw, self.best.q_mvar

    def _judge(self, p: FloatArray, q: FloatArray) -> Judge:
        given = {**self.loads, **self._injected(p, q)}
        if self.v_source_pu is not None:
            given["v_source_pu"] = self.v_source_pu
        return Judge(self.candidates, self.case.objective, self.limits, given)

    def _injected(self, p: FloatArray, q: FloatArray) -> dict[str, FloatArray]:
        net = self.candidates.net
        if not self.units:
            return {}
        if isinstance(net, physics.Network3):
            p_inject, q_inject = fed_in(net, self._phased, p, q)
        else:
            p_inject, q_inject = np.zeros(net.n_bus), np.zeros(net.n_bus)
            np.add.at(p_inject, self.case.at, p)
            np.add.at(q_inject, self.case.at, q)
        return {"p_inject_mw": p_inject, "q_inject_mvar": q_inject}

    @property
    def _phased(self) -> list[PhaseUnit]:
        return [unit for unit in self.units if isinstance(unit, PhaseUnit)]

    # -- setpoints -------------------------------------------------------------------------------------------

    def consider(self, closed: BoolArray) -> None:
        """`take` it, where it is better than the best at the setpoints of the best."""
        best = self.best
        if best is None or not self.units or best.violation > KEPT:
            self.take(closed)
        elif closed.tobytes() not in self._tried:
            judge = self._judge(best.p_mw, best.q_mvar)
            one = judge.best(iter([best.closed, closed]))
            self.n_solved += judge.n_solved
            if one is not None and one.closed is closed:
                self.take(closed)

    def take(self, closed: BoolArray, start: tuple[FloatArray, FloatArray] | None = None) -> None:
        """Dispatch the units in a topology, once, and keep what is better than the best."""
        key = closed.tobytes()
        if key in self._tried:
            return
        self._tried.add(key)
        found = self._dispatched(closed, start) if self.units else self._played(closed)
        if found is None or not np.isfinite(found.violation):
            return
        if self.best is None or _merit(found) < _merit(self.best):
            self.best = found

    def _played(self, closed: BoolArray) -> _Reached | None:
        nothing = np.empty(0)
        judge = self._judge(nothing, nothing)
        one = judge.best(iter([closed]))
        assert one is not None
        value = one.value * (self.case.head_usd_mwh if self.case.objective == "cost" else 1.0)
        return _Reached(closed, nothing, nothing, value, one.violation)

    def _dispatched(self, closed: BoolArray, start: tuple[FloatArray, FloatArray] | None) -> _Reached | None:
        of, case = self.candidates, self.case
        feeder = with_states(of.feeder, of.branch, closed)
        asked: dict[str, Any] = {
            "objective": case.objective, "limits": self.limits, "head_usd_mwh": case.head_usd_mwh,
            "v_source_pu": self.v_source_pu, **self.loads,
        }  # fmt: skip
        if isinstance(of.net, physics.Network3):
            net3 = physics.compile_per_phase(feeder, allow_mesh_pruning=False)
            near = phase_optimum(net3, self._phased, start=start, **asked)
            return _Reached(closed, near.p_mw, near.q_mvar, float(near.objective), float(near.violation))
        try:
            found = optimal_dispatch(physics.compile(feeder), self.units, **asked)
        except InfeasibleError:
            return None
        return _Reached(closed, found.p_mw, found.q_mvar, found.replay.objective, found.replay.violation)

    # -- what is left ----------------------------------------------------------------------------------------

    def described(
        self, given: cases.Feeder, *, tree: _Tree | None = None, proved: bool = False
    ) -> OptimalTopology:
        """The result; LimitsError where nothing keeps the limits."""
        of, best = self.candidates, self.best
        if best is None or best.violation > KEPT:
            by = "" if best is None else f": the best one found is beyond them by {best.violation:.4g} in all"
            every = proved or (tree is not None and tree.closed)
            raise LimitsError(
                f"no radial topology {'keeps' if every else 'that keeps'} the limits"
                f"{'' if every else ' was found'}{by}"
            )
        bound = np.nan if tree is None else min(tree.bound, best.value)
        gap = best.value - bound
        if tree is not None:
            proved = tree.closed and gap <= allowed_gap(best.value, tree.tolerance)
        before = dict(zip(given.column("branches", "branch_id"), joins(given.branches), strict=True))
        feeder = with_states(given, of.branch, best.closed)
        names = {which: of.named(best.closed, which) for which in (True, False)}
        return OptimalTopology(
            feeder, tuple(name for name in names[False] if before[name]),
            tuple(name for name in names[True] if not before[name]), names[False], best.p_mw, best.q_mvar,
            best.value, bound, gap, "optimal" if proved else "best known", of.n_topologies,
            0 if tree is None else tree.n_nodes, self.n_solved,
        )  # fmt: skip


def _merit(one: _Reached) -> tuple[float, float]:
    return (one.violation if one.violation > KEPT else 0.0, one.value)


class _Tree:
    """Branch and bound on the relaxation: the node of the least bound comes first."""

    def __init__(self, search: _Search, tolerance: float) -> None:
        of, net = search.candidates, search.candidates.net
        radial_network(net)  # says what of a feeder the relaxation does not cover
        given, stored = search.loads, net.feeder.column("sources", "v_pu").astype(np.float64)
        source = stored if search.v_source_pu is None else np.full(stored.size, search.v_source_pu)
        loads = Loads(
            np.asarray(given.get("p_mw", net.load_p_mw), dtype=np.float64),
            np.asarray(given.get("q_mvar", net.load_q_mvar), dtype=np.float64), source,
        )  # fmt: skip
        self._search, self.tolerance = search, tolerance
        self._relaxation = Relaxation(of, search.case, loads, search.limits)
        self._heap: list[tuple[float, int, StateArray, FloatArray]] = []
        self._count = itertools.count()
        self._left = np.inf  # the least bound of nodes that were closed without being empty
        self.n_nodes = 0
        self._look_at(of.implied(np.full(of.branch.size, FREE, dtype=np.int8)))

    @property
    def closed(self) -> bool:
        """Whether no node is left."""
        return not self._heap

    @property
    def bound(self) -> float:
        """Nothing is below it."""
        return float(min(self._left, self._heap[0][0] if self._heap else np.inf))

    def grow(self, most_nodes: int) -> None:
        """Divide nodes until all are closed, or until so many were looked at."""
        while self._heap and self.n_nodes < most_nodes:
            bound, _, state, share = heapq.heappop(self._heap)
            if not self._worth(bound):
                self._heap.clear()  # all others are no better
                return
            free = np.flatnonzero(state == FREE)
            k = int(free[np.abs(share[free] - 0.5).argmin()])
            for value in (0, 1):
                child = state.copy()
                child[k] = value
                self._look_at(self._search.candidates.implied(child))

    def _look_at(self, state: StateArray | None) -> None:
        if state is None:
            return
        self.n_nodes += 1
        found: Relaxed = self._relaxation.solve(state)
        if found.solution.solver_status == "PrimalInfeasible":
            return
        bound = found.solution.bound.value
        if not self._worth(bound):
            return
        share = found.share if found.solution.solved else np.full(state.size, 0.5)
        rounded = self._search.candidates.rounded(state, share)
        if (state != FREE).all():
            self._search.take(rounded)
        else:
            self._search.consider(rounded)
        if not self._worth(bound):
            return
        if (state != FREE).all():
            self._left = min(self._left, bound)
        else:
            heapq.heappush(self._heap, (bound, next(self._count), state, share))

    def _worth(self, bound: float) -> bool:
        """Whether a node may hold what is better than the best by more than half the tolerance."""
        best = self._search.best
        if best is None or best.violation > KEPT:
            return bound < np.inf
        if bound < best.value - 0.5 * allowed_gap(best.value, self.tolerance):
            return True
        self._left = min(self._left, bound)
        return False
