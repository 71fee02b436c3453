"""Where devices that control by voltage come to rest within an interval, row by row.

An inverter follows its curve within seconds and an interval lasts minutes, so what flows is what its curve
gives at the voltage which that brings about. Rows are solved with powers, devices answer to the voltages, and
rows go on (`kernels.settling`) until no power differs from its answer by more than `TOLERANCE` of the
device's apparent power; then the answers are taken over and the row is solved a last time. A row that is done
is left alone, so its bits are the same beside any others. One that has not settled after `ROUNDS` rounds has
its last answers, and the account `unsettled` of its units says so.

A device that has to switch off at the voltage where its row rests (momentary cessation) does so then, all
those of a row at once, and the row settles once more.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ...physics.flags import COLLAPSED, DIVERGED
from ..kernels.settling import DONE, MEMORY, SEEKS, Trail, seek

if TYPE_CHECKING:
    from ...physics.solved_grid import SolvedGrid
    from ..resources import Fleet

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

#: Of a device's apparent power: how much its power may differ from what it would give. What is left when the
#: answers are taken over is this times the loop gain, far below 1e-6 in practice.
TOLERANCE = 1e-7
ROUNDS = 60
_FEW = 4  # one row in so many: below this, rows are solved run by run


class Settling:
    """The devices of a bound fleet that settle, and what their rows remember while they do."""

    def __init__(self, fleet: Fleet) -> None:
        self._fleet, batch = fleet, fleet.batch
        self._units = np.concatenate([np.arange(u.start, u.stop) for _, u in fleet.settling])
        n = self._units.size
        scale = 1.0 / fleet.max_apparent_mva[self._units]
        self._scale = np.concatenate([scale, scale])
        self._answer = np.empty((batch, 2 * n))
        shapes = [(batch, units.stop - units.start) for _, units in fleet.settling]
        self._rooms = [(np.empty(shape), np.empty(shape), np.empty(shape)) for shape in shapes]
        wide = (batch, 2 * n)
        self._trail = Trail(
            phase=np.full(batch, DONE), known=np.zeros(batch, dtype=np.int64), damping=np.ones(batch),
            best=np.full(batch, np.inf), x=np.empty(wide), x_best=np.empty(wide), r_best=np.empty(wide),
            r=np.empty(wide), steps=np.zeros((batch, MEMORY, 2 * n)), turns=np.zeros((batch, MEMORY, 2 * n)),
            system=np.empty((MEMORY, MEMORY + 1)), missed=np.zeros((batch, n), dtype=np.bool_),
        )  # fmt: skip
        self._changed = np.zeros(batch, dtype=np.bool_)

    def run(self, grid: SolvedGrid, inject: Callable[[], None], rows: IntArray | None = None) -> None:
        """Bring rows to rest that are solved with the first guess of their devices.

        Args:
            grid: what solves them.
            inject: puts what the fleet delivers into the inputs of the grid.
            rows: of the grid, ascending, which the first rows of the fleet play; None: all, in order.
        """
        n = self._fleet.batch if rows is None else rows.size
        trail, failed = self._trail, np.ones(self._fleet.batch, dtype=np.bool_)
        at: slice | IntArray = slice(None) if rows is None else rows
        self._begin(n)
        rounds = 0
        while True:
            failed[:n] = (grid.status[at] & (DIVERGED | COLLAPSED)) != 0
            self._ask(grid.port_v_pu[at], n)
            rounds += 1
            if not seek(trail, self._answer, self._scale, failed, TOLERANCE, rounds >= ROUNDS):
                if not self._switch_off(~failed):
                    break
                rounds = 0
                continue
            self._deliver()
            inject()
            going = np.flatnonzero(trail.phase[:n] != DONE)
            if rows is None and _FEW * going.size >= n:
                grid.solve()
                continue
            for lo, hi in runs(going if rows is None else rows[going]):
                grid.solve(lo=lo, hi=hi)
        self._end()

    def _begin(self, n: int) -> None:
        trail, fleet, half = self._trail, self._fleet, self._units.size
        trail.phase[:n], trail.phase[n:] = SEEKS, DONE
        trail.x[:, :half] = fleet.delivered_p_mw[:, self._units]
        trail.x[:, half:] = fleet.delivered_q_mvar[:, self._units]
        trail.missed.fill(False)
        self._forget(slice(None))

    def _forget(self, rows: slice | NDArray[np.bool_]) -> None:
        trail = self._trail
        trail.known[rows], trail.damping[rows], trail.best[rows] = 0, 1.0, np.inf

    def _ask(self, port_v_pu: FloatArray, n: int) -> None:
        """What the devices give at these voltages (rows, columns of injections)."""
        half, first, x = self._units.size, 0, self._trail.x
        for (program, units), (v, p, q) in zip(self._fleet.settling, self._rooms, strict=True):
            last = first + units.stop - units.start
            v[:n] = port_v_pu[:, self._fleet.columns[units]]
            p[:], q[:] = x[:, first:last], x[:, half + first : half + last]
            program.respond(v, p, q)
            self._answer[:, first:last], self._answer[:, half + first : half + last] = p, q
            first = last

    def _switch_off(self, rows: NDArray[np.bool_]) -> bool:
        """Whether devices switch off in any of the rows, at the voltages they were asked at last."""
        some = False
        for (program, _), (v, _, _) in zip(self._fleet.settling, self._rooms, strict=True):
            if program.switch_off(v, rows, self._changed):
                some = True
                self._trail.phase[self._changed] = SEEKS
                self._trail.missed[self._changed] = False
                self._forget(self._changed)
        return some

    def _deliver(self) -> None:
        fleet, half = self._fleet, self._units.size
        fleet.delivered_p_mw[:, self._units] = self._trail.x[:, :half]
        fleet.delivered_q_mvar[:, self._units] = self._trail.x[:, half:]

    def _end(self) -> None:
        first, half, x = 0, self._units.size, self._trail.x
        for (program, units), (_, p, q) in zip(self._fleet.settling, self._rooms, strict=True):
            last = first + units.stop - units.start
            p[:], q[:] = x[:, first:last], x[:, half + first : half + last]
            program.rest(p, q, self._trail.missed[:, first:last])
            first = last


def runs(rows: IntArray) -> list[tuple[int, int]]:
    """Ascending ``rows`` as ranges [lo, hi) without gaps."""
    ends = np.flatnonzero(np.diff(rows) != 1)
    firsts, lasts = rows[np.append(0, ends + 1)], rows[np.append(ends, rows.size - 1)]
    return list(zip(firsts.tolist(), (lasts + 1).tolist(), strict=True))


def settling_of(fleet: Fleet) -> Settling | None:
    """What settles in a bound fleet; None where nothing does."""
    return Settling(fleet) if fleet.settling else None
