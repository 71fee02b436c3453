"""One step of the search for a day's plan: the convex program about a point, within a trust region."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ...errors import RunError
from ..affine import Affine, FloatArray, IntArray, stacked
from ..conic import Compiled, ConicSolution
from ..devices.priced import priced
from ..program import Program
from .fleet import FleetRows
from .model import Columns, LocalModel
from .network import Setpoints

_TOLERANCE = 1e-7
_FLAT = 1e-6  # of the largest curvature: below it there is none
_FEW, _DIRECTIONS = 24, 12  # columns all of whose directions are kept; directions kept of more


@dataclass(frozen=True, eq=False)
class Step:
    """What the convex program would do.

    Attributes:
        p_mw, q_mvar: (steps, n_units).
        x: Values of the columns of the fleet.
        fleet: With its program.
        fleet_cost: What devices cost by themselves.
        found: Solution of the program.
    """

    p_mw: FloatArray
    q_mvar: FloatArray
    x: FloatArray
    fleet: FleetRows
    fleet_cost: float
    found: ConicSolution

    @property
    def decided(self) -> dict[str, IntArray]:
        """By name of the device."""
        return priced(self.found, self.fleet.planned)[1]

    def toward(self, other: Step, share: float) -> Step:
        """A share of the way to another step of the same fleet."""
        return _at(other.fleet, other.found, (1.0 - share) * self.x + share * other.x)


def stepped(fleet: FleetRows, columns: Columns, model: LocalModel, radius: FloatArray) -> Step:
    """The least of the model's cost and of what devices cost, within ``radius`` (steps,) of its point.

    ``radius`` is a share of what units can reach. ``fleet``: a new one; its program is added to.
    """
    program = fleet.program
    x = _of_columns(fleet, columns)
    dx = x - model.x
    room = np.minimum(radius, 1e3)[:, None] * columns.reach[None]
    program.nonneg(room - dx)
    program.nonneg(dx + room)
    program.minimise((model.slope * dx).sum())
    squares = _curvature(program, columns, model, dx)
    for hinge in model.hinges:
        excess = (hinge.slope * dx).sum(axis=1) + hinge.excess
        program.minimise(hinge.weight * program.positive(excess).sum())
    program.minimise(fleet.cost)
    found = _Quadratic(program, squares).solve()
    if not found.solved:
        raise RunError(f"the convex step of the day's plan ended with {found.solver_status!r}")
    return _step(fleet, found)


def nearest(fleet: FleetRows, columns: Columns, at: Setpoints, worth: float = 1.0) -> Step:
    """What the fleet does where it does what it is asked for, as near as it can, at the least own cost.

    ``worth``: own cost for which one unit may be off by all that it can reach, in one interval.
    """
    program = fleet.program
    x = _of_columns(fleet, columns)
    apart = x - columns.of(at.p_mw, at.q_mvar)
    scale = worth / np.maximum(columns.reach, 1e-9)
    program.minimise(fleet.cost)
    program.minimise((program.positive(apart) * scale).sum() + (program.positive(-apart) * scale).sum())
    found = Compiled(program, tolerance=_TOLERANCE).solve()
    if not found.solved:
        raise RunError(f"the actions of the day's plan ended with {found.solver_status!r}")
    return _step(fleet, found)


class _Quadratic(Compiled):
    """A program whose objective has half a sum of squares, too; no bound is proved of it."""

    def __init__(self, program: Program, squares: Sequence[Affine]) -> None:
        import scipy.sparse as sp

        shape = (0, program.n_columns)
        rows = [
            sp.csc_matrix((one.value, (one.row, one.column)), shape=(one.size, program.n_columns))
            for one in squares
        ]
        root = sp.vstack([sp.csc_matrix(shape), *rows], format="csc")
        self._quadratic = sp.csc_matrix(root.T @ root)
        super().__init__(program, tolerance=_TOLERANCE)

    def _square(self) -> Any:
        return self._quadratic

    def solve(self) -> ConicSolution:
        """Costs of the solution are slopes of the objective there: with them prices are right."""
        found = super().solve()
        return replace(found, cost=found.cost + self._quadratic @ found.x)


def _step(fleet: FleetRows, found: ConicSolution) -> Step:
    return _at(fleet, found, found.x[: fleet.n_columns])


def _at(fleet: FleetRows, found: ConicSolution, x: FloatArray) -> Step:
    return Step(fleet.p_mw.at(x), fleet.q_mvar.at(x), x, fleet, float(fleet.cost.at(x)), found)


def free_columns(fleet: FleetRows, reach_mva: FloatArray) -> Columns:
    """The entries of setpoints that the fleet's rows leave any choice; ``reach_mva`` (n_units,)."""
    found = []
    for part in (fleet.p_mw, fleet.q_mvar):
        units = np.unique(part.row % part.shape[1])
        found.append(units.astype(np.int64))
    reach = np.concatenate([reach_mva[units] for units in found])
    return Columns(found[0], found[1], reach)


def _of_columns(fleet: FleetRows, columns: Columns) -> Affine:
    """(steps, columns)."""
    parts = [fleet.p_mw[:, int(k)] for k in columns.p] + [fleet.q_mvar[:, int(k)] for k in columns.q]
    together = stacked(parts)  # (columns, steps)
    n, m = together.shape
    order = np.arange(n * m).reshape(n, m).T
    return together.reshape(-1)[order.ravel()].reshape(m, n)


def _curvature(program: Program, columns: Columns, model: LocalModel, dx: Affine) -> list[Affine]:
    """Whose squares' half sum is half of dx' H dx of every interval.

    Of the directions of H, in shares of reach, the strongest are kept as they are, and of the others what
    each column has alone: rows of all directions would be dense, and say little more.
    """
    reach = np.maximum(columns.reach, 1e-12)
    scaled = model.curvature * reach[:, None] * reach[None, :]
    values, vectors = np.linalg.eigh(scaled)
    strongest = float(values.max(initial=0.0))
    if strongest <= 0.0:
        return []
    most = columns.size if columns.size <= _FEW else _DIRECTIONS
    keep = [k for k in range(columns.size)[::-1][:most] if values[:, k].max() > _FLAT * strongest]
    roots = np.sqrt(np.maximum(values, 0.0))[:, None, :] * vectors  # (steps, columns, directions)
    share, squares = dx / reach, []
    for k in keep:
        along = (roots[:, :, k] * share).sum(axis=1)
        own = program.columns(along.shape, program.reach_of(along) + 1e-9)
        program.zero(own - along)
        squares.append(own)
    if len(keep) == most < columns.size:
        rest = (roots**2).sum(axis=2) - (roots[..., keep] ** 2).sum(axis=2)
        squares.append((np.sqrt(np.maximum(rest, 0.0)) * share).reshape(-1))
    return squares
