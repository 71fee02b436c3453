"""The three-phase power flow behind the attributes that a grid reads: one column per phase that exists."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...cases.phases import places
from ...physics import Network3, Solution3, StateBounds
from ...physics.solved_grid import ColumnNames, InfoColumns, Port, SolveSetup
from ...physics.unbalanced.bounds import V_TOP_PU, phase_bounds
from ...physics.unbalanced.stepper import Columns, Stepper3, terminals
from .columns import LEG_NAMES, branch_phases, letters, load_points, node_phases, three_phase_nodes

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
MaskedArray = np.ma.MaskedArray[Any, np.dtype[np.float64]]
_STATE = (
    "v", "v_pu", "s_from", "i_ka", "loading", "ended", "measured", "vuf_pct", "port_v_pu", "tap", "cap_on",
)  # fmt: skip
_KEPT = (
    "load_p_mw", "load_q_mvar", "inject_p_mw", "inject_q_mvar", "v", "v_pu", "s_from", "i_ka", "loading",
    "ended", "measured", "vuf_pct", "port_v_pu", "tap", "cap_on",
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class PhaseColumns:
    """Where columns stand in an array over all nodes or branches, and their phases."""

    column: IntArray  # (places,) -1 for none
    mask: NDArray[np.bool_]  # in the shape of the array: places that have no value
    slot: IntArray  # (columns,) their places

    @property
    def size(self) -> int:
        """Places."""
        return self.column.size

    def filled(self, values: FloatArray) -> MaskedArray:
        """``values`` (columns,) at their places; NaN, and masked, where there is none.

        Masked, so that equal arrays compare equal.
        """
        out = np.full(self.mask.shape, np.nan)
        out.reshape(-1)[self.slot] = values
        return np.ma.MaskedArray(out, self.mask.copy())

    def over(self, values: FloatArray) -> MaskedArray:
        """``values`` (batch, places) in the shape of the array; the mask is one for all rows, read-only."""
        shape = (len(values), *self.mask.shape)
        return np.ma.MaskedArray(values.reshape(shape), np.broadcast_to(self.mask, shape))


class PhaseStepper(Stepper3):
    """A `Stepper3` with the columns of an environment, which reads it as any `SolvedGrid`.

    Columns of ``v, v_pu`` are the phases of ``voltage_at`` (n, 2: node row, place), those of branches
    ``branch_at``, those of ``vuf_pct`` ``vuf_at`` (node rows); of ``load_p_mw`` the points where loads stand;
    of ``inject_p_mw`` and ``port_v_pu`` the ``ports`` of resources: "A", "B", "C" to ground, "AB", "BC", "CA"
    between two phases, "ABC" a third to each phase. ``tap`` and ``cap_on`` hold for the next solve.

    At nodes that no winding ties to ground (IEEE 37's) a phase has no voltage of its own: there the columns
    are the legs AB, BC, CA, 1 pu being the rated line voltage, and "ABC" a third to each leg.
    A row with a voltage beyond the operable is a failed one: a phase, or a leg with a load, below half its
    rated voltage collapsed, one above twice of it diverged.
    Unbalance above 100 % counts as 100 % in ``vuf_violation_pct``. ``like``: one whose room for work is
    shared, see `Stepper3`.
    """

    def __init__(
        self, net: Network3, batch: int, setup: SolveSetup, like: PhaseStepper | None = None
    ) -> None:
        self._setup = setup
        self.v_min, self.v_max, self.ports = setup.v_min, setup.v_max, setup.ports
        self.voltage_at, self.branch_at = node_phases(net.feeder), branch_phases(net.feeder)
        self.vuf_at, self.points = three_phase_nodes(net.feeder), load_points(net.feeder)
        grounded = net.topology.ground_slots.reshape(-1, 3)
        delta = np.asarray(net.present.all(axis=1) & ~grounded.any(axis=1))
        self.delta_node: NDArray[np.bool_] = delta  # (n_bus,) judged by its legs
        node, place = self.voltage_at.T
        slot = 3 * node + place
        across = np.column_stack([slot, np.where(delta[node], 3 * node + (place + 1) % 3, -1)])
        legs = self.points.slot[self.points.slot >= 3 * net.n_bus]
        port, port_slot, share = _entries(net, self.ports, self.delta_node)
        branch = 3 * self.branch_at[:, 0] + self.branch_at[:, 1]
        columns = Columns(
            voltage=across, v_min=self.v_min[node], v_max=self.v_max[node],
            judged=np.column_stack(terminals(legs, net.n_bus)), branch=branch, balance=self.vuf_at,
            vuf_max_pct=setup.vuf_max_pct, v_top_pu=V_TOP_PU, load=self.points.slot, n_port=len(self.ports),
            port=port, port_slot=port_slot, port_share=share, kept=setup.details,
        )  # fmt: skip
        super().__init__(net, batch, columns, like)
        alive = net.topology.energised
        self.info_columns = InfoColumns(
            _column_map((net.n_bus, 3), slot, alive.ravel()[slot]),
            _column_map((net.n_branch, 3), branch, np.isfinite(self.rating_mva)),
            _column_map((net.n_bus,), self.vuf_at, np.asarray(alive[self.vuf_at].all(axis=1))),
        )

    def __reduce__(self) -> tuple[Any, ...]:
        """A copy has arrays of its own, tied to its own power flow."""
        kept = {name: getattr(self, name) for name in _KEPT}
        return PhaseStepper, (self.net, self.batch, self._setup), kept

    def __setstate__(self, state: dict[str, Any]) -> None:
        for name, array in state.items():
            np.copyto(getattr(self, name), array)

    @property
    def names(self) -> ColumnNames:
        """Names of the columns: node and phase, branch and phase."""
        feeder = self.net.feeder
        nodes, branches = feeder.column("nodes", "node_id"), feeder.column("branches", "branch_id")
        of_nodes = tuple(
            f"{nodes[n]}.{LEG_NAMES[p] if self.delta_node[n] else letters(feeder, int(n))[p]}"
            for n, p in self.voltage_at
        )
        starts = self.net.from_row
        of_branches = tuple(f"{branches[e]}.{letters(feeder, int(starts[e]))[p]}" for e, p in self.branch_at)
        return ColumnNames(
            of_nodes, self.points.names, of_branches, tuple(str(nodes[n]) for n in self.vuf_at)
        )

    @property
    def v_limits_pu(self) -> tuple[FloatArray, FloatArray]:
        """Those of the node that each column is of."""
        at = self.voltage_at[:, 0]
        return self.v_min[at], self.v_max[at]

    @property
    def dead_columns(self) -> tuple[IntArray, IntArray]:
        """Load points and ports with a phase that no source reaches."""
        alive = np.asarray(self.net.topology.energised).ravel()
        loads, slots = (self._dead(alive, slot) for slot in (self.points.slot, self.columns.port_slot))
        return np.flatnonzero(loads).astype(np.int64), np.unique(self.columns.port[slots]).astype(np.int64)

    def _dead(self, alive: NDArray[np.bool_], slot: IntArray) -> NDArray[np.bool_]:
        first, second = terminals(slot, self.net.n_bus)
        return np.asarray(~(alive[first] & (alive[second] | (second < 0))))

    @property
    def vuf_violation_max_pct(self) -> float:
        """100 % counts for more."""
        return self.vuf_at.size * (100.0 - self.vuf_max_pct)

    @property
    def rating_mva(self) -> FloatArray:
        """(columns of branches,) what each phase may carry; NaN without a rating."""
        return np.asarray(np.fmin(*self.net.phase_rating_mva)[self.branch_at[:, 0], self.branch_at[:, 1]])

    def bounds(self, s_load_mva: FloatArray, s_port_mva: FloatArray) -> StateBounds:
        """Bounds per column, given the largest apparent power of every load point and port."""
        n, columns = self.net.n_bus, self.columns
        total = np.zeros(6 * n)
        np.add.at(total, columns.load, s_load_mva)
        np.add.at(total, columns.port_slot, columns.port_share * s_port_mva[columns.port])
        state = phase_bounds(self.net, total[: 3 * n].reshape(n, 3), total[3 * n :].reshape(n, 3))
        first, second = columns.voltage.T
        high = state.v_high_pu.ravel()[first]
        legs = second >= 0
        across = high[legs] + state.v_high_pu.ravel()[second[legs]]
        high[legs] = across / self.net.node_loads.leg_pu[first[legs] // 3]
        high = np.minimum(high, V_TOP_PU)
        return StateBounds(state.v_low_pu, high, state.p_loss_mw, state.s_branch_mva.ravel()[columns.branch])

    @property
    def has_solution(self) -> bool:
        """A single row keeps all of its state."""
        return self.batch == 1

    def solution(self) -> Solution3:
        """See `Stepper3.solution`; ValueError where a state was loaded since."""
        solved = super().solution()
        total = solved.p_loss_mw[0] + 1j * solved.q_loss_mvar[0]
        if not np.isclose(total, self.loss_mva[0], rtol=1e-9, atol=1e-12, equal_nan=True):
            raise ValueError("a state was loaded: the whole solution is known again after the next step")
        return solved

    def i_max_ka(self, s_branch_mva: FloatArray, v_low_pu: float) -> FloatArray:
        """Per phase of each branch, at the lower of both ends' base voltages."""
        net = self.net
        kv = np.minimum(net.base_kv[net.from_row], net.base_kv[net.to_row]) * v_low_pu
        return np.asarray(s_branch_mva / (kv[self.branch_at[:, 0]] / np.sqrt(3.0)))

    def state(self) -> dict[str, NDArray[Any]]:
        """Live arrays of the solved state."""
        return {name: getattr(self, name) for name in _STATE}


def _column_map(shape: tuple[int, ...], slot: IntArray, valued: NDArray[np.bool_]) -> PhaseColumns:
    column = np.full(shape, -1, dtype=np.int64)
    column.reshape(-1)[slot] = np.arange(slot.size)
    mask = np.ones(shape, dtype=np.bool_)
    mask.reshape(-1)[slot[valued]] = False
    return PhaseColumns(column.ravel(), mask, slot)


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
