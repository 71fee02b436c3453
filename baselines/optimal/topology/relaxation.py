"""The branch flow relaxation of a feeder some of whose branches may be open: a bound on every topology.

An open branch has voltages of 0 at its own ends, a closed one those of its buses, and between both they are
what a share of it may have: then neither its drop nor its cone needs a large number to switch it off.
R. A. Jabr, R. Singh, B. C. Pal: Minimum loss network reconfiguration using mixed-integer convex programming,
IEEE Trans. Power Systems 27 (2012) 1106-1115, with the spanning tree of J. A. Taylor, F. S. Hover: Convex
models of distribution system reconfiguration, IEEE Trans. Power Systems 27 (2012) 1407-1413.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..affine import Affine, FloatArray, IntArray
from ..branch_flow import MOST_V_PU, NetworkLimits, band_of
from ..conic import Compiled, ConicSolution
from ..dispatch_program import Case, add_boxes, objective_of
from ..program import Program
from .candidates import CLOSED, FREE, OPEN, Candidates, StateArray

_TOLERANCE, _AT_LEAVES = 1e-9, 1e-11  # the bound holds whatever the solver ends at; more costs time
_LEAST_V_PU = 0.5
_ROOM = 2.0  # flows stay below so many times all power that there is: see `conic.Bound`


@dataclass(frozen=True, eq=False)
class Loads:
    """Of an operating point: (n_bus,) MW and Mvar at 1 pu, and (n_source,) pu."""

    p_mw: FloatArray
    q_mvar: FloatArray
    v_source_pu: FloatArray


@dataclass(frozen=True, eq=False)
class Relaxed:
    """A solution of the relaxation; ``share``: (k,) how far each candidate is closed."""

    solution: ConicSolution
    share: FloatArray


@dataclass(frozen=True, eq=False)
class _Flow:
    """What an objective reads, (1, n_bus), (1,) and (1,)."""

    v: Affine
    p_source_mw: Affine
    loss_mw: Affine


class Relaxation:
    """Programs of one operating point, one for each set of states that is asked for.

    Args:
        candidates: Of a balanced feeder.
        case: What is asked for.
        loads: Of the operating point.
        limits: Of the network.
    """

    def __init__(self, candidates: Candidates, case: Case, loads: Loads, limits: NetworkLimits) -> None:
        self._of, self._case, self._loads, self._limits = candidates, case, loads, limits
        net = candidates.net
        sources = candidates.ends_of_sources
        self._bus = np.flatnonzero(candidates.live | np.isin(np.arange(net.n_bus), sources))
        self._place = np.full(net.n_bus, -1, dtype=np.int64)
        self._place[self._bus] = np.arange(self._bus.size)
        self._root = self._place[sources]
        total = float(np.hypot(loads.p_mw, loads.q_mvar).sum())
        self._base = max(0.25 * total, 1e-3)
        power = total + sum(
            max(abs(u.p_min_mw), abs(u.p_max_mw)) + max(abs(u.q_min_mvar), abs(u.q_max_mvar))
            for u in case.units
        )
        shunts = sum(float(np.abs(y).sum()) for y in (net.cap_susceptance, net.fixed_admittance, net.b_pu))
        self._reach = _ROOM * (power + MOST_V_PU**2 * shunts * net.base_mva) / self._base + 1e-6
        low, high = band_of(limits, net.feeder.column("nodes", "node_id")[self._bus])
        self._least, self._most = low, np.minimum(high, self._highest())

    def solve(self, state: StateArray) -> Relaxed:
        """The relaxation with candidates held open or closed; free ones may be anything between."""
        of, case = self._of, self._case
        rows = np.sort(np.concatenate([np.flatnonzero(of.fixed), of.branch[state != OPEN]]))
        free = np.flatnonzero(np.isin(rows, of.branch[state == FREE]))
        program, n = Program(), self._bus.size
        p_unit, q_unit = (
            program.columns((1, len(case.units)), np.array([max(abs(a), abs(b)) for a, b in ends]) + 1e-6)
            for ends in (
                [(u.p_min_mw, u.p_max_mw) for u in case.units],
                [(u.q_min_mvar, u.q_max_mvar) for u in case.units],
            )
        )
        add_boxes(program, case.units, p_unit, q_unit)
        v = program.columns((1, n), MOST_V_PU**2)
        ends = self._place[np.stack([of.net.from_row[rows], of.net.to_row[rows]])]
        near, far, share = self._ends(program, v, ends, free)
        flow = self._flow(program, v, (near, far), (rows, ends), (p_unit, q_unit))
        program.zero(v[:, self._root] - self._loads.v_source_pu**2)
        fed = np.setdiff1d(np.arange(n), self._root)
        program.nonneg(self._most[fed] ** 2 - v[:, fed])
        program.nonneg(v[:, fed] - self._least[fed] ** 2)
        program.minimise(objective_of(program, case, flow, p_unit))
        found = Compiled(program, tolerance=_TOLERANCE if free.size else _AT_LEAVES).solve()
        shares = (state == CLOSED).astype(np.float64)
        if free.size:
            shares[np.searchsorted(of.branch, rows[free])] = share.at(found.x)[0]
        return Relaxed(found, shares)

    def _highest(self) -> float:
        """No voltage is above it, in any topology; pu."""
        net, loads = self._of.net, self._loads
        lifts = (
            any(u.p_max_mw > 0.0 or u.q_max_mvar > 0.0 for u in self._case.units)
            or (loads.p_mw < 0.0).any() or (loads.q_mvar < 0.0).any() or (net.cap_susceptance > 0.0).any()
            or (net.fixed_admittance.imag > 0.0).any() or (net.b_pu > 0.0).any()
            or (net.x_pu < 0.0).any() or (np.abs(net.tap) != 1.0).any()
        )  # fmt: skip
        return MOST_V_PU if lifts else float(loads.v_source_pu.max())

    def _ends(
        self, program: Program, v: Affine, ends: IntArray, free: IntArray
    ) -> tuple[Affine, Affine, Affine]:
        """(1, m) squared voltages at the branches' own ends, and (1, free) shares."""
        m = ends.shape[1]
        if not free.size:
            return v[:, ends[0]], v[:, ends[1]], Affine(np.empty((1, 0)))
        share = program.columns((1, free.size), 1.0)
        program.nonneg(share)
        program.nonneg(1.0 - share)
        sure = np.ones(m)
        sure[free] = 0.0
        found = []
        for end in ends:
            own, bus = program.columns((1, free.size), MOST_V_PU**2), end[free]
            least, most = self._within(bus)
            program.nonneg(most * share - own)
            program.nonneg(own - least * share)
            program.nonneg(v[:, bus] - own - least * (1.0 - share))
            program.nonneg(own - v[:, bus] + most * (1.0 - share))
            found.append(sure * v[:, end] + own.scattered(free, m))
        whole = share.scattered(free, m) + sure
        self._add_tree(program, whole, ends)
        return found[0], found[1], share

    def _within(self, bus: IntArray) -> tuple[FloatArray, FloatArray]:
        """Squares of the least and most voltage of buses; sources have their own."""
        least, most = self._least.copy(), self._most.copy()
        least[self._root] = np.minimum(least[self._root], self._loads.v_source_pu)
        most[self._root] = np.maximum(most[self._root], self._loads.v_source_pu)
        return least[bus] ** 2, most[bus] ** 2

    def _add_tree(self, program: Program, whole: Affine, ends: IntArray) -> None:
        """Each bus but the sources' is entered once: by its parent."""
        onward, back = (program.columns(whole.shape, 1.0) for _ in range(2))
        program.nonneg(onward)
        program.nonneg(back)
        program.zero(onward + back - whole)
        n = self._bus.size
        entered = np.ones(n)
        entered[self._root] = 0.0
        program.zero(onward.scattered(ends[1], n) + back.scattered(ends[0], n) - entered)

    def _flow(
        self, program: Program, v: Affine, at: tuple[Affine, Affine], where: tuple[IntArray, IntArray],
        units: tuple[Affine, Affine],
    ) -> _Flow:  # fmt: skip
        """Columns and rows of the flows; nothing flows where a branch's own voltages are 0."""
        net, loads, base, (rows, ends) = self._of.net, self._loads, self._base, where
        scale, n, (near, far) = base / net.base_mva, self._bus.size, at
        r, x, half = net.r_pu[rows] * scale, net.x_pu[rows] * scale, 0.5 * net.b_pu[rows] / scale
        ratio2 = 1.0 / np.abs(net.tap[rows]) ** 2
        p, q = (program.columns(near.shape, self._reach) for _ in range(2))
        current = program.columns(near.shape, 2.0 * self._reach**2 / _LEAST_V_PU**2)
        sent = ratio2 * near
        program.zero(sent - 2.0 * (r * p + x * q) + (r**2 + x**2) * current - far)
        program.rotated(sent, current, p, q)
        roots = tuple(program.columns((1, self._root.size), self._reach) for _ in range(2))
        unit_at = self._place[self._case.at]
        share = self._shares()
        shunt = net.fixed_admittance[self._bus] / scale
        shunt = shunt + 1j * np.bincount(
            self._place[net.cap_node], weights=net.cap_susceptance * net.cap_on, minlength=n
        ) / scale  # fmt: skip
        for flow, lost, load, z, own, charge, root, unit in (
            (p, r * current, loads.p_mw, share[0], -shunt.real, 0.0, roots[0], units[0]),
            (q, x * current, loads.q_mvar, share[1], shunt.imag, half, roots[1], units[1]),
        ):
            taken = load[self._bus] / base
            out = (flow - charge * sent).scattered(ends[0], n)
            arrived = (flow - lost + charge * far).scattered(ends[1], n)
            program.zero(
                arrived - out + root.scattered(self._root, n) + unit.scattered(unit_at, n) / base
                + (own - taken * z) * v - taken * (1.0 - z)
            )  # fmt: skip
            self._add_head(program, base * root.sum(axis=1), root is roots[0])
        self._add_ratings(program, (p, q), (sent, far), (rows, r * current, x * current, half))
        return _Flow(v, base * roots[0].sum(axis=1), base * (r * current).sum(axis=1))

    def _shares(self) -> tuple[FloatArray, FloatArray]:
        """Of loads that are constant impedances, P and Q, at each bus."""
        net, z = self._of.net, np.zeros((2, self._of.net.n_bus))
        z[:, net.zip_node] = net.zip_coef[:, [0, 2]].T
        return z[0, self._bus], z[1, self._bus]

    def _add_head(self, program: Program, head: Affine, active: bool) -> None:
        if active and np.isfinite(self._limits.most_import_mw):
            program.nonneg(self._limits.most_import_mw - head)
        if active and np.isfinite(self._limits.most_export_mw):
            program.nonneg(self._limits.most_export_mw + head)

    def _add_ratings(
        self, program: Program, flow: tuple[Affine, Affine], at: tuple[Affine, Affine],
        of: tuple[IntArray, Affine, Affine, FloatArray],
    ) -> None:  # fmt: skip
        if self._limits.thermal_margin is None:
            return
        rows, lost_p, lost_q, half = of
        rating = (1.0 - self._limits.thermal_margin) * self._of.net.rating_mva[rows] / self._base
        rated = np.flatnonzero(np.isfinite(rating))
        if not rated.size:
            return
        head = Affine(rating[rated][None])
        p, q = flow
        for at_p, at_q in (
            (p, q - half * at[0]), (p - lost_p, q - lost_q + half * at[1]),
        ):  # fmt: skip
            program.cone(head, at_p[:, rated], at_q[:, rated])
