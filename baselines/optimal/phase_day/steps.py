"""One step of the search for a day's plan: the convex program about a point, within a trust region."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ...errors import RunError
from ..affine import Affine, FloatArray, IntArray, stacked
from ..conic import Compiled, ConicSolution
from ..devices.priced import priced
from .fleet import FleetRows
from .model import Columns, LocalModel
from .network import Setpoints

_TOLERANCE = 1e-7
_FLAT = 1e-6  # of the largest curvature: below it there is none
_FEW, _DIRECTIONS = 16, 12  # columns all of whose directions are kept; directions kept of more


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
    _add_curvature(fleet, columns, model, dx)
    for hinge in model.hinges:
        excess = (hinge.slope * dx).sum(axis=1) + hinge.excess
        program.minimise(hinge.weight * program.positive(excess).sum())
    program.minimise(fleet.cost)
    found = Compiled(program, tolerance=_TOLERANCE).solve()
    if not found.solved:
        raise RunError(f"the convex step of the day's plan ended with {found.solver_status!r}")
    return _step(fleet, found)


def nearest(fleet: FleetRows, columns: Columns, at: Setpoints) -> Step:
    """What the fleet does where it does what it is asked for, as near as it can."""
    program = fleet.program
    x = _of_columns(fleet, columns)
    apart = x - columns.of(at.p_mw, at.q_mvar)
    scale = 1.0 / np.maximum(columns.reach, 1e-9)
    program.minimise((program.positive(apart) * scale).sum() + (program.positive(-apart) * scale).sum())
    found = Compiled(program, tolerance=_TOLERANCE).solve()
    if not found.solved:
        raise RunError(f"the actions of the day's plan ended with {found.solver_status!r}")
    return _step(fleet, found)


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


def _add_curvature(fleet: FleetRows, columns: Columns, model: LocalModel, dx: Affine) -> None:
    """Half of dx' H dx of every interval, as one cone each.

    Of the directions of H, in shares of reach, the strongest are kept as they are, and of the others what
    each column has alone: rows of all directions would be dense, and say little more.
    """
    reach = np.maximum(columns.reach, 1e-12)
    scaled = model.curvature * reach[:, None] * reach[None, :]
    values, vectors = np.linalg.eigh(scaled)
    strongest = float(values.max(initial=0.0))
    if strongest <= 0.0:
        return
    most = columns.size if columns.size <= _FEW else _DIRECTIONS
    keep = [k for k in range(columns.size)[::-1][:most] if values[:, k].max() > _FLAT * strongest]
    roots = np.sqrt(np.maximum(values, 0.0))[:, None, :] * vectors  # (steps, columns, directions)
    rest = (roots**2).sum(axis=2) - (roots[..., keep] ** 2).sum(axis=2)
    share = dx / reach
    tails = [(roots[:, :, k] * share).sum(axis=1) for k in keep]
    if len(keep) == most < columns.size:
        alone = np.sqrt(np.maximum(rest, 0.0))
        tails += [alone[:, k] * share[:, k] for k in range(columns.size)]
    room = np.abs(model.curvature).sum(axis=(1, 2)) * float(fleet.program.reach_of(dx).max()) ** 2
    top = fleet.program.columns((dx.shape[0],), room + 1e-9)
    fleet.program.rotated(top, Affine(np.ones(dx.shape[0])), *tails)
    fleet.program.minimise(0.5 * top.sum())
