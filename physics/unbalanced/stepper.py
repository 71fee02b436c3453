"""A three-phase power flow with its memory kept: the same network again and again, for as many rows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..flags import COLLAPSED, CONVERGED, DIVERGED, UNSETTLED
from ..numba_tools.lanes import LANES
from ..row_results import ITERATIONS, N_ENDED, N_MEASURED, RowResults
from .assembly.node_loads import LEGS
from .kernel_tables import FloatArray, Inputs, IntArray, Outputs
from .kernels.measure import StepColumns, StepLimits, StepResults
from .kernels.solve_rows import SOME_BAD, SOME_LEFT, workspace_for
from .kernels.step_rows import Demand, Places, entries, step_rows
from .network import Network3
from .newton_rows import measure_directly, solve_directly
from .solution import Solution3
from .solve import refuse

_NO_START = np.empty((0, 0), dtype=np.complex128)
_POWERS = 8  # of `Inputs`
OPTIONAL = ("v", "s_from", "i_ka")  # results that cost memory and are seldom all read


@dataclass(frozen=True, eq=False)
class Columns:
    """What the columns of a `Stepper3` stand for. Slots: 3 * row + phase, then those of legs."""

    voltage: IntArray  # (n, 2) slot and other slot, or -1 for ground
    v_min: FloatArray  # (n,) pu, NaN: no limit
    v_max: FloatArray
    judged: IntArray  # (k, 2) further voltages that must stay operable
    branch: IntArray  # (m,) slot of a branch
    balance: IntArray  # (u,) rows of nodes with three phases
    vuf_max_pct: float
    v_top_pu: float  # above this a voltage is not operable
    load: IntArray  # (points,) slot or leg, each its own
    n_port: int
    port: IntArray  # (k,) column of a port, in order
    port_slot: IntArray  # (k,) slot or leg where a share of its power goes
    port_share: FloatArray
    kept: tuple[str, ...] = OPTIONAL  # which of these results are wanted


class Stepper3(RowResults):
    """Solve ``batch`` rows of a per-phase network into arrays that are allocated once.

    Fill ``load_p_mw, load_q_mvar`` (batch, points; power at 1 pu, positive when it consumes), ``inject_p_mw,
    inject_q_mvar`` (batch, ports; constant power, positive when it injects), ``tap`` (batch, n_regulator)
    ratios and ``cap_on`` (batch, n_capacitor) 0 or 1, which start as stored; call :meth:`solve`, read the
    results. The next call overwrites them: copy what you hand out. Power on a phase or leg that does not
    exist is a ValueError. Thermal limits are a third of a branch's rating for each of its phases.

    Attributes (written by ``solve``), columns as in ``Columns``: ``v`` (batch, n) complex pu, of legs over
    sqrt 3, ``v_pu``; ``port_v_pu`` (batch, ports) mean across their terminals; ``vuf_pct`` (batch, u);
    ``s_from`` (batch, m) complex MVA into the branch, ``i_ka``, ``loading``; ``loss_mva, slack_mva`` (batch,)
    complex; ``voltage_violation_pu, n_voltage_violations``, ``overload_mva, n_overloads`` (all branches and
    phases), ``vuf_violation_pct, n_vuf_violations`` (100 % is the most that counts); ``status, iterations,
    v_update_pu``. Those per row are columns of ``ended`` and ``measured``, see `RowResults`. NaN where no
    source reaches. ``like``: a stepper of the same columns, whose room for work is shared.
    """

    def __init__(self, net: Network3, batch: int, columns: Columns, like: Stepper3 | None = None) -> None:
        self.net, self.batch, self.columns = net, batch, columns
        self.vuf_max_pct, self.v_collapse_pu = columns.vuf_max_pct, 0.5
        points, ports, n, m = columns.load.size, columns.n_port, len(columns.voltage), columns.branch.size
        self.load_p_mw, self.load_q_mvar = (np.zeros((batch, points)) for _ in range(2))
        self.inject_p_mw, self.inject_q_mvar = (np.zeros((batch, ports)) for _ in range(2))
        self.tap = np.repeat(net.tap[None], batch, axis=0)
        self.cap_on = np.repeat(net.cap_on[None], batch, axis=0)
        self._results = StepResults(
            v=np.full((batch, n if "v" in columns.kept else 0), np.nan + 0j),
            v_pu=np.full((batch, n), np.nan), port_v_pu=np.ones((batch, ports)),
            s_from=np.zeros((batch, m if "s_from" in columns.kept else 0), dtype=np.complex128),
            i_ka=np.zeros((batch, m if "i_ka" in columns.kept else 0)), loading=np.full((batch, m), np.nan),
            vuf_pct=np.full((batch, columns.balance.size), np.nan),
            ended=np.zeros((batch, N_ENDED), dtype=np.int64), measured=np.zeros((batch, N_MEASURED)),
        )  # fmt: skip
        self.v, self.v_pu, self.port_v_pu, self.s_from, self.i_ka, self.loading, self.vuf_pct = self._results[
            :7
        ]
        self._name_columns(*self._results[7:])
        limits = StepLimits(self.v_collapse_pu, columns.v_top_pu, float(columns.vuf_max_pct), net.base_mva)
        self._limits = limits._replace(base_mva=net.base_mva / 3.0)
        self._direct: Solution3 | None = None
        self._watch: StepColumns = watch(net, columns) if like is None else like._watch
        self.port_v_pu[:, np.setdiff1d(np.arange(ports), self._watch.port[:, 2])] = np.nan
        places = Places(columns.load, np.stack([columns.port, columns.port_slot], axis=1), columns.port_share)
        demand = Demand(
            self.load_p_mw, self.load_q_mvar, self.inject_p_mw, self.inject_q_mvar, self.tap, self.cap_on
        )
        self._run = step_rows.bind(
            plan=net.topology.plan, table=net.topology.flows, columns=self._watch, limits=limits,
            places=places, demand=demand, results=self._results,
        )  # fmt: skip
        rows = 1 if batch == 1 else LANES
        shared = like is not None and like._rooms.rows == rows
        self._rooms: _Workspaces = like._rooms if like is not None and shared else _Workspaces(net, rows)

    def solve(self, tol: float = 1e-8, max_iter: int = 100, lo: int = 0, hi: int | None = None) -> None:
        """Solve rows [lo, hi), all by default, from no-load voltages: the past has no influence."""
        last = self.batch if hi is None else hi
        self._direct = None
        if self.net.topology.irregular:
            self.ended[lo:last, ITERATIONS] = 0
            self._solve_directly(np.arange(lo, last), tol, max_iter)
            return
        room = self._rooms.take()
        try:
            answer = self._run(*room.arguments, tol, max_iter, lo, last)
            if answer == SOME_BAD:
                refuse(self.net, self.net.topology, room.inputs)
        finally:
            self._rooms.free.append(room)
        if answer == SOME_LEFT:
            self._solve_directly(lo + np.flatnonzero(self.status[lo:last] & UNSETTLED), tol, max_iter)

    def _solve_directly(self, rows: IntArray, tol: float, max_iter: int) -> None:
        """Newton's method on rows that sweeps left, or on all of a feeder that is no tree."""
        net = self.net
        numbers = (3.0 / net.base_mva, tol, max_iter, self.v_collapse_pu)
        solved = solve_directly(net, self._powers(rows), self.iterations[rows], numbers)
        found = solved.converged | bool(net.topology.irregular)
        flags = self.status[rows] | np.where(solved.collapsed, COLLAPSED, 0)
        self.status[rows] = flags & ~(UNSETTLED | CONVERGED) | DIVERGED
        measure_directly(solved, rows, found, self._watch, self._limits, self._results)
        if self.batch == 1 and found.all():
            self._direct = solved

    def _powers(self, rows: IntArray) -> Inputs:
        """Arguments of the power flow of some rows, by slot."""
        n = 3 * self.net.n_bus
        slots = np.zeros((4, rows.size, 2 * n))
        columns = self.columns
        slots[0][:, columns.load], slots[1][:, columns.load] = self.load_p_mw[rows], self.load_q_mvar[rows]
        for k, port in enumerate((self.inject_p_mw, self.inject_q_mvar)):
            share = columns.port_share * port[rows][:, columns.port]
            np.add.at(slots[2 + k].T, columns.port_slot, share.T)
        wye, legs = ([np.ascontiguousarray(a[:, at]) for a in slots] for at in (slice(0, n), slice(n, None)))
        states = self.tap[rows], self.cap_on[rows]
        return Inputs._make([*wye, *legs, self.net.source_row, _NO_START, *states])

    @property
    def last_block(self) -> Inputs:
        """Arguments of the power flow of the block of rows that was solved last; live."""
        return self._rooms.free[-1].inputs

    def solution(self) -> Solution3:
        """All of the state that a stepper of one row solved last; ValueError for more rows."""
        if self.batch != 1:
            raise ValueError(f"only a stepper of one row keeps its whole state, this one has {self.batch}")
        if self._direct is not None:
            return self._direct
        whole, room = ((slice(None), self.net.topology),), self._rooms.free[-1]
        out = Outputs(room.out.phasors.copy(), room.out.notes.copy())
        return Solution3(self.net, out, tuple(a.copy() for a in room.inputs), whole, False)


class _Workspace:
    """Memory for one block of rows: arguments and results of its power flow, and what is made of them."""

    def __init__(self, net: Network3, rows: int) -> None:
        plan, n = net.topology.plan, net.n_bus
        powers = [np.zeros((rows, 3 * n)) for _ in range(_POWERS)]
        states = [np.repeat(stored[None], rows, axis=0) for stored in (net.tap, net.cap_on)]
        self.inputs = Inputs._make([*powers, net.source_row.copy(), _NO_START, *states])
        self.out = Outputs(
            np.zeros((rows, 6 * n + 3 * len(net.sources)), dtype=np.complex128), np.zeros((rows, 3))
        )
        size = entries(n, net.n_branch, len(net.sources), net.tap.size)
        measured = np.zeros(size if rows == 1 else (size, rows))
        own = workspace_for(plan, net.cap_on.size, rows)
        self.arguments = (self.inputs, own, self.out, measured)  # as `step_rows` takes them


class _Workspaces:
    """Rooms of steppers of equal columns: the one used last is taken first, it may be in the cache still."""

    def __init__(self, net: Network3, rows: int) -> None:
        self.net, self.rows = net, rows
        self.free = [_Workspace(net, rows)]

    def take(self) -> _Workspace:
        """A free room, or a new one where all are in use; the taker puts it back."""
        try:
            return self.free.pop()
        except IndexError:
            return _Workspace(self.net, self.rows)


def watch(net: Network3, columns: Columns) -> StepColumns:
    """The tables of what is read, without what no source reaches."""
    alive = np.asarray(net.topology.energised).ravel()
    numbered = np.column_stack([columns.voltage, np.arange(len(columns.voltage))])
    judged = np.column_stack([columns.judged, np.full(len(columns.judged), -1)])
    band = np.column_stack([columns.v_min, columns.v_max])
    terminal, limits = [], []
    for at, limit in ((numbered, band), (judged, np.full((len(judged), 2), np.nan))):
        reached = alive[at[:, 0]] & (alive[at[:, 1]] | (at[:, 1] < 0))
        terminal.append(at[reached])
        scale = 1.0 / net.node_loads.leg_pu[at[reached, 0] // 3]
        limits.append(np.column_stack([limit[reached], scale]))
    ports, shares = _ports(net, columns, alive)
    live = alive.reshape(-1, 3)[columns.balance].all(axis=1)
    balance = np.column_stack([3 * columns.balance, np.arange(columns.balance.size)])[live]
    return StepColumns(
        np.concatenate(terminal).astype(np.int64), np.concatenate(limits), *_passages(net, columns.branch),
        balance.astype(np.int64), ports, shares,
        np.array([3 * source.node for source in net.sources], dtype=np.int64),
    )  # fmt: skip


def _passages(net: Network3, branch_slots: IntArray) -> tuple[IntArray, FloatArray]:
    """Every phase that a branch has at either end."""
    column = {int(slot): k for k, slot in enumerate(branch_slots)}
    table, numbers = [], []
    for element in net.elements:
        f, t = int(net.from_row[element.row]), int(net.to_row[element.row])
        for place in sorted({*element.phases(0), *element.phases(1)}):
            slot = 3 * element.row + place
            rating = net.phase_rating_mva[:, element.row, place]
            known = np.isfinite(rating)
            table.append((slot, 3 * f + place, 3 * t + place, column.get(slot, -1), int(known.any())))
            ka = net.base_mva / np.sqrt(3.0) / net.base_kv[[f, t]]
            squared = np.divide(1.0, rating * rating, out=np.zeros(2), where=known)
            numbers.append((*ka * ka, *squared, *np.nan_to_num(rating)))
    return np.array(table, dtype=np.int64).reshape(-1, 5), np.array(numbers).reshape(-1, 6)


def _ports(net: Network3, columns: Columns, alive: NDArray[np.bool_]) -> tuple[IntArray, FloatArray]:
    """Terminals of the ports that a source reaches, the last one of each with its column."""
    first, second = terminals(columns.port_slot, net.n_bus)
    reached = alive[first] & (alive[second] | (second < 0))
    dead = np.unique(columns.port[~reached])
    kept = ~np.isin(columns.port, dead)
    port = columns.port[kept]
    last = np.append(port[1:] != port[:-1], True)[: port.size]
    table = np.column_stack([first[kept], second[kept], np.where(last, port, -1)])
    scale = 1.0 / net.node_loads.leg_pu[first[kept] // 3]
    return table.astype(np.int64), np.column_stack([columns.port_share[kept], scale])


def terminals(slot: IntArray, n_bus: int) -> tuple[IntArray, IntArray]:
    """Both ends of each slot or leg; the second is -1 where it is ground."""
    leg, rest = np.divmod(slot, 3 * n_bus)
    node, place = np.divmod(rest, 3)
    ends = np.array(LEGS, dtype=np.int64)
    return (
        np.where(leg > 0, 3 * node + ends[place, 0], rest),
        np.where(leg > 0, 3 * node + ends[place, 1], -1),
    )
