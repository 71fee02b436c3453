"""The three-phase power flow behind the attributes that a grid reads: one column per phase that exists."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...cases.phases import places
from ...physics import V_TOP_PU, Columns, Network3, StateBounds, Stepper3, phase_bounds
from ...physics.unbalanced.stepper import OPTIONAL, terminals
from .columns import LEG_NAMES, branch_phases, letters, load_points, node_phases, three_phase_nodes

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
MaskedArray = np.ma.MaskedArray[Any, np.dtype[np.float64]]
Port = tuple[int, str]  # node row, phase of a resource

#: Arrays of the solved state beyond those that a balanced stepper has, too.
STATE = ("vuf_pct", "vuf_violation_pct", "n_vuf_violations", "port_v_pu", "tap", "cap_on")
_KEPT = (
    "load_p_mw", "load_q_mvar", "inject_p_mw", "inject_q_mvar", "v", "v_pu", "s_from", "i_ka", "loading",
    "ended", "measured", "vuf_pct", "port_v_pu", "tap", "cap_on",
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class ColumnMap:
    """Where columns stand in an array over all nodes or branches, and their phases."""

    column: IntArray  # (places,) -1 for none
    mask: NDArray[np.bool_]  # in the shape of the array: places that have no value
    slot: IntArray  # (columns,) their places

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
    """A `Stepper3` with the columns of an environment, which reads it as it reads a balanced `Stepper`.

    Columns of ``v, v_pu`` are the phases of ``voltage_at`` (n, 2: node row, place), those of branches
    ``branch_at``, those of ``vuf_pct`` ``vuf_at`` (node rows); of ``load_p_mw`` the points where loads stand;
    of ``inject_p_mw`` and ``port_v_pu`` the ``ports`` of resources: "A", "B", "C" to ground, "AB", "BC", "CA"
    between two phases, "ABC" a third to each phase. ``tap`` and ``cap_on`` hold for the next solve.

    At nodes that no winding ties to ground (IEEE 37's) a phase has no voltage of its own: there the columns
    are the legs AB, BC, CA, 1 pu being the rated line voltage, and "ABC" a third to each leg.
    A row with a voltage beyond the operable is a failed one: a phase, or a leg with a load, below half its
    rated voltage collapsed, one above twice of it diverged.
    ``v_min, v_max`` are per node; unbalance above 100 % counts as 100 % in ``vuf_violation_pct``. ``kept``,
    ``like``: see `Columns` and `Stepper3`.
    """

    def __init__(
        self,
        net: Network3,
        batch: int,
        v_min: FloatArray,
        v_max: FloatArray,
        ports: tuple[Port, ...] = (),
        vuf_max_pct: float = 2.0,
        kept: tuple[str, ...] = OPTIONAL,
        like: PhaseStepper | None = None,
    ) -> None:
        self.v_min, self.v_max, self.ports = v_min, v_max, ports
        self.voltage_at, self.branch_at = node_phases(net.feeder), branch_phases(net.feeder)
        self.vuf_at, self.points = three_phase_nodes(net.feeder), load_points(net.feeder)
        grounded = net.topology.ground_slots.reshape(-1, 3)
        delta = np.asarray(net.present.all(axis=1) & ~grounded.any(axis=1))
        self.delta_node: NDArray[np.bool_] = delta  # (n_bus,) judged by its legs
        node, place = self.voltage_at.T
        slot = 3 * node + place
        across = np.column_stack([slot, np.where(delta[node], 3 * node + (place + 1) % 3, -1)])
        legs = self.points.slot[self.points.slot >= 3 * net.n_bus]
        port, port_slot, share = _entries(net, ports, self.delta_node)
        branch = 3 * self.branch_at[:, 0] + self.branch_at[:, 1]
        columns = Columns(
            voltage=across, v_min=v_min[node], v_max=v_max[node],
            judged=np.column_stack(terminals(legs, net.n_bus)), branch=branch, balance=self.vuf_at,
            vuf_max_pct=vuf_max_pct, v_top_pu=V_TOP_PU, load=self.points.slot, n_port=len(ports), port=port,
            port_slot=port_slot, port_share=share, kept=kept,
        )  # fmt: skip
        super().__init__(net, batch, columns, like)
        alive = net.topology.energised
        self.column_maps = (
            _column_map((net.n_bus, 3), slot, alive.ravel()[slot]),
            _column_map((net.n_branch, 3), branch, np.isfinite(self.rating_mva())),
            _column_map((net.n_bus,), self.vuf_at, np.asarray(alive[self.vuf_at].all(axis=1))),
        )

    def __reduce__(self) -> tuple[Any, ...]:
        """A copy has arrays of its own, tied to its own power flow."""
        made = (self.net, self.batch, self.v_min, self.v_max, self.ports, self.vuf_max_pct, self.columns.kept)
        return PhaseStepper, made, {name: getattr(self, name) for name in _KEPT}

    def __setstate__(self, state: dict[str, Any]) -> None:
        for name, array in state.items():
            np.copyto(getattr(self, name), array)

    def by_node(self, row: int) -> MaskedArray:
        """(n_nodes, 3) voltage magnitudes; NaN, and masked, at phases that do not exist."""
        return self.column_maps[0].filled(self.v_pu[row])

    def by_branch(self, row: int) -> MaskedArray:
        """(n_branches, 3) loading; NaN, and masked, at phases that do not exist or have no rating."""
        return self.column_maps[1].filled(self.loading[row])

    def unbalance(self, row: int) -> MaskedArray:
        """(n_nodes,) |V2| / |V1| in percent; NaN, and masked, at nodes without three phases."""
        return self.column_maps[2].filled(self.vuf_pct[row])

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


def _column_map(shape: tuple[int, ...], slot: IntArray, valued: NDArray[np.bool_]) -> ColumnMap:
    column = np.full(shape, -1, dtype=np.int64)
    column.reshape(-1)[slot] = np.arange(slot.size)
    mask = np.ones(shape, dtype=np.bool_)
    mask.reshape(-1)[slot[valued]] = False
    return ColumnMap(column.ravel(), mask, slot)


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
