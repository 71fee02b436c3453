"""The three-phase power flow behind the attributes that a grid reads: one column per phase that exists."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..physics import V_TOP_PU, Network3, StateBounds, Stepper3, phase_bounds
from ..physics.phase_rows import judge_rows, place_rows, read_branches, read_nodes, read_ports, read_unbalance
from ..physics.unbalanced.draws import LEGS
from ..physics.unbalanced.elements import places
from .columns import LEG_NAMES, branch_phases, letters, load_points, node_phases, three_phase_nodes

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
MaskedArray = np.ma.MaskedArray[Any, np.dtype[np.float64]]
Port = tuple[int, str]  # node row, phase of a resource

#: Arrays of the solved state beyond those that a balanced stepper has, too.
STATE = ("vuf_pct", "vuf_violation_pct", "n_vuf_violations", "port_v_pu", "tap", "cap_on")
_KEPT = (
    "load_p_mw", "load_q_mvar", "inject_p_mw", "inject_q_mvar", "v", "v_pu", "s_from", "s_to", "i_ka",
    "loading", "loss_mva", "slack_mva", "status", "iterations", "v_update_pu", "voltage_violation_pu",
    "n_voltage_violations", "overload_mva", "n_overloads", *STATE,
)  # fmt: skip


class PhaseStepper:
    """A `Stepper3` with the attributes of a balanced `Stepper`, (batch, columns) each.

    Columns of ``v, v_pu`` are the phases of ``voltage_at`` (n, 2: node row, place), those of branches
    ``branch_at``, those of ``vuf_pct`` ``vuf_at`` (node rows); of ``load_p_mw`` the points where loads stand;
    of ``inject_p_mw`` and ``port_v_pu`` the ``ports`` of resources: "A", "B", "C" to ground, "AB", "BC", "CA"
    between two phases, "ABC" a third to each phase. ``tap`` and ``cap_on`` hold for the next solve.

    At nodes that no winding ties to ground (IEEE 37's) a phase has no voltage of its own: there the columns
    are the legs AB, BC, CA, 1 pu being the rated line voltage, and "ABC" a third to each leg.
    A row with a voltage beyond the operable is a failed one: a phase, or a leg with a load, below half its
    rated voltage collapsed, one above twice of it diverged.
    ``v_min, v_max`` are per node; unbalance above 100 % counts as 100 % in ``vuf_violation_pct``.
    """

    def __init__(
        self,
        net: Network3,
        batch: int,
        v_min: FloatArray,
        v_max: FloatArray,
        ports: tuple[Port, ...] = (),
        vuf_max_pct: float = 2.0,
    ) -> None:
        self.net, self.batch, self.v_min, self.v_max = net, batch, v_min, v_max
        self.ports, self.vuf_max_pct = ports, vuf_max_pct
        self.inner = Stepper3(net, batch, np.zeros(net.n_bus), np.full(net.n_bus, np.inf), vuf_max_pct)
        self.v_collapse_pu = self.inner.v_collapse_pu
        self.tap, self.cap_on = self.inner.tap, self.inner.cap_on
        self.voltage_at, self.branch_at = node_phases(net.feeder), branch_phases(net.feeder)
        self.vuf_at, self.points = three_phase_nodes(net.feeder), load_points(net.feeder)
        grounded = net.topology.ground_slots.reshape(-1, 3)
        delta = net.present.all(axis=1) & ~grounded.any(axis=1)
        self.delta_node: NDArray[np.bool_] = np.asarray(delta)  # (n_bus,) judged by its legs
        self._first, self._second = self._terminals()
        at = self.voltage_at[:, 0]
        self._low, self._high = v_min[at], v_max[at]
        self._node_slot = 3 * self.voltage_at[:, 0] + self.voltage_at[:, 1]
        self._branch_slot = 3 * self.branch_at[:, 0] + self.branch_at[:, 1]
        alive = net.topology.energised
        self._nodes = _absent((net.n_bus, 3), self._node_slot[alive.ravel()[self._node_slot]])
        self._branches = _absent((net.n_branch, 3), self._branch_slot[np.isfinite(self.rating_mva())])
        self._unbalance = _absent((net.n_bus,), self.vuf_at[alive[self.vuf_at].all(axis=1)])
        self._port_entries = _entries(net, ports, self.delta_node)
        self._allocate()

    def _allocate(self) -> None:
        batch, n, m = self.batch, len(self.voltage_at), len(self.branch_at)
        self.load_p_mw, self.load_q_mvar = (np.zeros((batch, len(self.points.names))) for _ in range(2))
        self.inject_p_mw, self.inject_q_mvar = (np.zeros((batch, len(self.ports))) for _ in range(2))
        self.port_v_pu = np.ones((batch, len(self.ports)))
        self.v, self.v_pu = np.full((batch, n), np.nan + 0j), np.full((batch, n), np.nan)
        self.s_from, self.s_to = (np.zeros((batch, m), dtype=np.complex128) for _ in range(2))
        self.i_ka, self.loading = np.zeros((batch, m)), np.zeros((batch, m))
        self.vuf_pct = np.zeros((batch, self.vuf_at.size))
        self.voltage_violation_pu, self.vuf_violation_pct = np.zeros(batch), np.zeros(batch)
        self.n_voltage_violations, self.n_vuf_violations = (np.zeros(batch, dtype=np.int64) for _ in range(2))
        self.status, self.iterations = (np.zeros(batch, dtype=np.int64) for _ in range(2))
        self.v_update_pu = np.zeros(batch)
        inner = self.inner
        self.loss_mva, self.slack_mva = inner.loss_mva, inner.slack_mva
        self.overload_mva, self.n_overloads = inner.overload_mva, inner.n_overloads
        loads, injections = (
            (inner.load_p_mw, inner.load_q_mvar, inner.delta_p_mw, inner.delta_q_mvar),
            (inner.inject_p_mw, inner.inject_q_mvar, inner.delta_inject_p_mw, inner.delta_inject_q_mvar),
        )
        points = np.arange(len(self.points.names))
        column, slot, share = self._port_entries
        self._set_loads = (
            points, self.points.slot, np.ones(points.size), self.load_p_mw, self.load_q_mvar, *_flat(loads)
        )  # fmt: skip
        self._set_ports = (column, slot, share, self.inject_p_mw, self.inject_q_mvar, *_flat(injections))
        dense, limits = inner.v.reshape(batch, -1), (self._low, self._high)
        self._read_nodes = (
            dense, self._first, self._second, *limits, self.v, self.v_pu, self.voltage_violation_pu,
            self.n_voltage_violations,
        )  # fmt: skip
        legs = _conductors(self.points.slot[self.points.slot >= 3 * self.net.n_bus], self.net.n_bus)
        self._judge = (
            dense, *(np.concatenate(pair) for pair in zip((self._first, self._second), legs, strict=True)),
            self.v_collapse_pu, V_TOP_PU, self.status,
        )  # fmt: skip
        first, second = _conductors(slot, self.net.n_bus)
        self._read_ports = (dense, column, first, second, share, self.port_v_pu)
        branches = _flat((inner.s_from, inner.s_to, inner.i_ka, inner.loading))
        self._read_branches = (
            self._branch_slot, *branches, self.s_from, self.s_to, self.i_ka, self.loading
        )  # fmt: skip
        self._read_unbalance = (
            inner.vuf_pct, self.vuf_at, self.vuf_max_pct, self.vuf_pct, self.vuf_violation_pct,
            self.n_vuf_violations,
        )  # fmt: skip

    def __reduce__(self) -> tuple[Any, ...]:
        """A copy has arrays of its own, tied to its own power flow."""
        made = (self.net, self.batch, self.v_min, self.v_max, self.ports, self.vuf_max_pct)
        return PhaseStepper, made, {name: getattr(self, name) for name in _KEPT}

    def __setstate__(self, state: dict[str, Any]) -> None:
        for name, array in state.items():
            np.copyto(getattr(self, name), array)

    def solve(self, tol: float = 1e-8, max_iter: int = 100, lo: int = 0, hi: int | None = None) -> None:
        """Solve rows [lo, hi), all by default, from no-load voltages: the past has no influence."""
        hi, inner = self.batch if hi is None else hi, self.inner
        place_rows(lo, hi, *self._set_loads)
        if self.ports:
            place_rows(lo, hi, *self._set_ports)
        inner.solve(tol, max_iter, lo, hi)
        self.status[lo:hi], self.iterations[lo:hi] = inner.status[lo:hi], inner.iterations[lo:hi]
        self.v_update_pu[lo:hi] = inner.v_update_pu[lo:hi]
        judge_rows(lo, hi, *self._judge)
        read_nodes(lo, hi, *self._read_nodes)
        read_branches(lo, hi, *self._read_branches)
        read_unbalance(lo, hi, *self._read_unbalance)
        if self.ports:
            read_ports(lo, hi, *self._read_ports)

    def by_node(self, row: int) -> MaskedArray:
        """(n_nodes, 3) voltage magnitudes; NaN, and masked, at phases that do not exist."""
        return _filled(self._nodes, self._node_slot, self.v_pu[row])

    def by_branch(self, row: int) -> MaskedArray:
        """(n_branches, 3) loading; NaN, and masked, at phases that do not exist or have no rating."""
        return _filled(self._branches, self._branch_slot, self.loading[row])

    def unbalance(self, row: int) -> MaskedArray:
        """(n_nodes,) |V2| / |V1| in percent; NaN, and masked, at nodes without three phases."""
        return _filled(self._unbalance, self.vuf_at, self.vuf_pct[row])

    def names(self) -> tuple[list[str], list[str], list[str], list[str]]:
        """Names of the columns of nodes, loads, branches and unbalance."""
        feeder = self.net.feeder
        nodes, branches = feeder.column("nodes", "node_id"), feeder.column("branches", "branch_id")
        of_nodes = [
            f"{nodes[n]}.{LEG_NAMES[p] if self.delta_node[n] else letters(feeder, int(n))[p]}"
            for n, p in self.voltage_at
        ]
        starts = self.net.from_row
        of_branches = [f"{branches[e]}.{letters(feeder, int(starts[e]))[p]}" for e, p in self.branch_at]
        return of_nodes, list(self.points.names), of_branches, [str(nodes[n]) for n in self.vuf_at]

    def rating_mva(self) -> FloatArray:
        """(columns of branches,) what each phase may carry; NaN without a rating."""
        return np.asarray(np.fmin(*self.net.phase_rating_mva)[self.branch_at[:, 0], self.branch_at[:, 1]])

    def bounds(self, s_load_mva: FloatArray, s_port_mva: FloatArray) -> StateBounds:
        """Bounds per column, given the largest apparent power of every load point and port."""
        n = self.net.n_bus
        total = np.zeros(6 * n)
        np.add.at(total, self.points.slot, s_load_mva)
        column, slot, share = self._port_entries
        np.add.at(total, slot, share * s_port_mva[column])
        state = phase_bounds(self.net, total[: 3 * n].reshape(n, 3), total[3 * n :].reshape(n, 3))
        high = state.v_high_pu.ravel()[self._first]
        legs = self._second >= 0
        high[legs] = (high[legs] + state.v_high_pu.ravel()[self._second[legs]]) / np.sqrt(3.0)
        high = np.minimum(high, V_TOP_PU)
        flow = state.s_branch_mva[self.branch_at[:, 0], self.branch_at[:, 1]]
        return StateBounds(state.v_low_pu, high, state.p_loss_mw, flow)

    def _terminals(self) -> tuple[IntArray, IntArray]:
        node, place = self.voltage_at.T
        legs = self.delta_node[node]
        first = 3 * node + place
        second = np.where(legs, 3 * node + (place + 1) % 3, -1)
        return first, second


def _absent(shape: tuple[int, ...], slot: IntArray) -> MaskedArray:
    """NaN everywhere, masked but for ``slot``: masked, so that equal arrays compare equal."""
    mask = np.ones(shape, dtype=np.bool_)
    mask.reshape(-1)[slot] = False
    return np.ma.MaskedArray(np.full(shape, np.nan), mask)


def _filled(absent: MaskedArray, slot: IntArray, values: FloatArray) -> MaskedArray:
    """A copy of ``absent`` with ``values`` at their slots."""
    out = absent.copy()
    out.data.reshape(-1)[slot] = values
    return out


def _flat(arrays: tuple[NDArray[Any], ...]) -> tuple[NDArray[Any], ...]:
    """(batch, rows, 3) arrays as (batch, 3 rows), the same memory."""
    return tuple(array.reshape(array.shape[0], -1) for array in arrays)


def _conductors(slot: IntArray, n_bus: int) -> tuple[IntArray, IntArray]:
    """Dense columns of both terminals of each slot; the second is -1 where it is ground."""
    leg, rest = np.divmod(slot, 3 * n_bus)
    node, place = np.divmod(rest, 3)
    ends = np.array(LEGS, dtype=np.int64)
    return (
        np.where(leg > 0, 3 * node + ends[place, 0], rest),
        np.where(leg > 0, 3 * node + ends[place, 1], -1),
    )


def _entries(
    net: Network3, ports: tuple[Port, ...], delta_node: NDArray[np.bool_]
) -> tuple[IntArray, IntArray, FloatArray]:
    """Port, slot and share of everything that ports connect to."""
    listed: list[tuple[int, int, float]] = []
    grounded = net.topology.ground_slots.reshape(-1, 3)
    for port, (node, phase) in enumerate(ports):
        legs = 3 * net.n_bus + 3 * node
        if phase in LEG_NAMES:
            listed.append((port, legs + LEG_NAMES.index(phase), 1.0))
        elif phase == "ABC" and delta_node[node]:
            listed += [(port, legs + k, 1.0 / 3.0) for k in range(3)]
        elif not grounded[node, list(places(phase))].all():
            name = net.feeder.column("nodes", "node_id")[node]
            raise ValueError(
                f"a resource at bus {name!r} is on phase {phase}, but a delta winding without ground feeds "
                "that bus: nothing fixes the voltage to ground there; expected phase AB, BC, CA or ABC"
            )
        else:
            listed += [(port, 3 * node + p, 1.0 / len(phase)) for p in places(phase)]
    column, slot = (np.array([entry[k] for entry in listed], dtype=np.int64) for k in range(2))
    return column, slot, np.array([entry[2] for entry in listed], dtype=np.float64)
