"""How taps and banks of each row act on a tree: the positions that they reach."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..numba_tools.lanes import LANES
from .kernels.adjusted import BANK, CHARGING, CONSTANT, N_ADJUSTED, AdjustmentPlan, adjust_rows, mark_of
from .kernels.solve_rows import Workspace, workspace_for
from .plan import SweepPlan
from .tree import FloatArray, IntArray

if TYPE_CHECKING:
    from .network import Network, SweepTopology

Rows = slice | IntArray
_ROOMS, _LARGE = 2, 2**16  # rooms kept for one topology, numbers in ``adjusted`` of one that is kept
_KEPT = 64  # sets of branches and banks remembered for one topology


class RowSettings(NamedTuple):
    """Taps and banks of every row of a batch, as far as some row has others than the feeder."""

    tap: IntArray  # (n,) branch rows
    bank: IntArray  # (k,) rows of the capacitors
    values: FloatArray  # (batch, n + k) ratios, then states

    def of(self, rows: Rows) -> RowSettings:
        """Those of some rows."""
        return self._replace(values=self.values[rows])

    def columns(self, n_branch: int) -> NDArray[np.int32]:
        """(n_branch,) column of each branch's ratio, -1 where it is the feeder's."""
        at = np.full(n_branch, -1, dtype=np.int32)
        at[self.tap] = np.arange(self.tap.size)
        return at


class RowGroup(NamedTuple):
    """Rows that are solved on the same tree."""

    rows: Rows
    topology: SweepTopology
    settings: RowSettings | None  # taps and banks in which they differ from it, and from each other


class Adjustment(NamedTuple):
    """What the sweep of a topology needs where rows have taps and banks of their own."""

    sweep: SweepPlan  # as of the topology, with places in ``adjusted``
    rows: AdjustmentPlan
    rooms: list[Workspace]  # the topology's, lent and returned

    @property
    def size(self) -> int:
        """Number of positions with numbers of each row."""
        return int(self.rows.place.shape[0])

    def fill(self, room: Workspace, lo: int, hi: int, settings: FloatArray) -> None:
        """What the settings of rows [lo, hi) make of the plan, for the sweep that follows in ``room``."""
        adjust_rows(*self.rows, lo, hi, settings, room.adjusted)

    def lend(self, rows: int) -> Workspace:
        """Room for so many rows: fresh memory for a batch would cost more than filling it."""
        try:
            room = self.rooms.pop()
        except IndexError:  # none yet, or all are lent to other threads
            return workspace_for(self.sweep, rows, self.size)
        blocks, fields = room.adjusted.shape[:2]
        width = 1 if rows == 1 else LANES
        same = (room.flow.ndim == 2) == (rows == 1)
        if same and blocks * width >= rows and fields >= N_ADJUSTED * self.size:
            return room
        return workspace_for(self.sweep, rows, self.size)

    def take_back(self, room: Workspace) -> None:
        """Keep it for the next call, unless there are enough or it is a large one."""
        if len(self.rooms) < _ROOMS and room.adjusted.size <= _LARGE:
            self.rooms.append(room)


def adjustment(net: Network, topology: SweepTopology, tap: IntArray, bank: IntArray) -> Adjustment:
    """How the ratios of branches ``tap`` and the states of banks ``bank`` act on a topology; remembered."""
    key = (tap.tobytes(), bank.tobytes())
    known = topology.adjustments.get(key)
    if known is None:
        known = _adjustment(net, topology, tap, bank)
        if len(topology.adjustments) >= _KEPT:
            topology.adjustments.clear()
        topology.adjustments[key] = known
    return known


def _adjustment(net: Network, topology: SweepTopology, tap: IntArray, bank: IntArray) -> Adjustment:
    plan, ends = topology.plan, topology.ends
    live = tap[plan.at_branch[tap] >= 0]
    charged = live[net.b_pu[live] != 0.0]
    nodes = np.concatenate([net.from_row[charged], net.cap_node[bank]])
    at = np.unique(np.concatenate([plan.at_branch[live], plan.at_node[nodes]]))
    at = at[at >= 0]
    entry = np.full(plan.link.shape[0], -1)
    entry[at] = np.arange(at.size)
    column, state = np.full(net.n_branch, -1), np.full(net.cap_node.size, -1)
    column[tap], state[bank] = np.arange(tap.size), tap.size + np.arange(bank.size)
    place, branch, terms, values = [], np.zeros((at.size, 4)), [], []
    link, summed = plan.link.copy(), plan.at_node[nodes]
    for j, k in enumerate(at):
        up, node, e, _ = plan.link[k]
        own = e if up >= 0 else -1
        tapped, banked = own >= 0 and column[own] >= 0, bool((summed == k).any())
        link[k, 3] = mark_of(j, tapped, banked)
        if tapped:
            branch[j] = *ends.pi[own, 4:], net.r_pu[own], net.x_pu[own]
        found = _terms(net, topology, int(node), column, state, entry, plan) if banked else []
        for kind, index, of, value in found:
            terms.append((kind, index, of))
            values.append(value)
        place.append((column[own] if tapped else -1, ends.rows[own, 2], len(terms)))
    return Adjustment(
        plan._replace(link=link),
        AdjustmentPlan(
            np.array(place, dtype=np.int32).reshape(-1, 3), branch,
            np.array(terms, dtype=np.int32).reshape(-1, 3), np.array(values, dtype=np.float64),
        ),
        topology.rooms,
    )  # fmt: skip


def _terms(
    net: Network, topology: SweepTopology, node: int, column: IntArray, state: IntArray, entry: IntArray,
    plan: SweepPlan,
) -> list[tuple[int, int, int, float]]:  # fmt: skip
    """Kind, column, entry and value of what adds to the susceptance of a node, as `Network` adds it."""
    found = [(CONSTANT, -1, -1, float(net.fixed_admittance[node].imag))]
    for c in np.flatnonzero(net.cap_node == node):
        if state[c] >= 0:
            found.append((BANK, int(state[c]), -1, float(net.cap_susceptance[c])))
        elif net.cap_on[c]:
            found.append((CONSTANT, -1, -1, float(net.cap_susceptance[c])))
    half = np.where(topology.in_tree, 0.5 * net.b_pu, 0.0)
    for e in np.flatnonzero((net.from_row == node) & (half != 0.0)):
        if column[e] >= 0:
            found.append((CHARGING, int(column[e]), int(entry[plan.at_branch[e]]), float(half[e])))
        else:
            found.append((CONSTANT, -1, -1, float(half[e] * topology.ends.pi[e, 2])))
    found += [
        (CONSTANT, -1, -1, float(half[e])) for e in np.flatnonzero((net.to_row == node) & (half != 0.0))
    ]
    return found
