"""How voltages, currents and losses of a solved feeder answer to injections."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..api import gradient
from ..balanced.network import Network
from ..balanced.solution import Solution
from ..unbalanced.network import Network3
from ..unbalanced.solution import Solution3
from .rows import check_one_row, rows_named

FloatArray = NDArray[np.float64]
_ROWS_AT_ONCE = 512


@dataclass(frozen=True, eq=False)
class Sensitivities:
    """Derivatives by the power that is injected at every bus; ``[i, j]``: of i by an injection at j.

    m are the buses and k the branches that were asked for, n all buses of the feeder. Of a per-phase network
    the arrays have phases behind both: (m, 3, n, 3), (k, 3, n, 3) and (n, 3). NaN for phases without a
    voltage; 0 by injections where there is no phase or no source.
    """

    buses: tuple[str, ...] = field(repr=False)  # (m,) ids of those whose voltage is told
    branches: tuple[str, ...] = field(repr=False)  # (k,)
    v_by_p: FloatArray  # (m, n) pu per MW
    v_by_q: FloatArray  # (m, n) pu per Mvar
    i_by_p: FloatArray  # (k, n) kA per MW, of the larger end
    i_by_q: FloatArray  # (k, n) kA per Mvar
    loss_by_p: FloatArray  # (n,) MW per MW
    loss_by_q: FloatArray  # (n,) MW per Mvar


def sensitivities(
    net: Network | Network3,
    sol: Solution | Solution3,
    buses: Sequence[str] | None = None,
    branches: Sequence[str] | None = None,
) -> Sensitivities:
    """Exact sensitivities of a solved row to active and reactive injections, by adjoint sweeps.

    Args:
        net: A compiled feeder.
        sol: Its solution, one row without a batch axis.
        buses: Ids of the buses whose voltage is told; None: all.
        branches: Ids of the branches whose current is told; None: all, or with ``buses`` none.

    Returns:
        dV/dP, dV/dQ, dI/dP, dI/dQ, dLoss/dP and dLoss/dQ. A load that grows is an injection that shrinks.

    Raises:
        ValueError: An id that does not exist, a batch, a row that did not converge, a network that has no
            gradient (see :func:`distgrid.physics.gradient`).
    """
    check_one_row(net, sol)
    feeder = net.feeder
    at_bus = rows_named("bus", feeder.node_index, buses, net.n_bus)
    none = branches is None and buses is not None
    at_branch = rows_named("branch", feeder.branch_index, [] if none else branches, net.n_branch)
    v_by_p, v_by_q = _matrix(sol, "v_pu", at_bus, net.n_bus)
    gone = ~np.isfinite(np.asarray(sol.v_pu)[at_bus])
    v_by_p[gone], v_by_q[gone] = np.nan, np.nan
    i_by_p, i_by_q = _matrix(sol, "i_ka", at_branch, net.n_branch)
    losses = gradient(sol, p_loss_mw=1.0)
    names = feeder.column("nodes", "node_id"), feeder.column("branches", "branch_id")
    return Sensitivities(
        tuple(str(names[0][k]) for k in at_bus), tuple(str(names[1][k]) for k in at_branch),
        v_by_p, v_by_q, i_by_p, i_by_q, losses.p_inject_mw, losses.q_inject_mvar,
    )  # fmt: skip


def _matrix(
    sol: Solution | Solution3, result: str, rows: NDArray[np.int64], n: int
) -> tuple[FloatArray, FloatArray]:
    """Derivatives of entries of a result by P and by Q, a few hundred at once."""
    phases = (3,) if isinstance(sol, Solution3) else ()
    shape = (sol.net.n_bus, *phases)
    places = [(int(row), *phase) for row in rows for phase in np.ndindex(*phases)]
    by_p, by_q = np.zeros((len(places), *shape)), np.zeros((len(places), *shape))
    for first in range(0, len(places), _ROWS_AT_ONCE):
        some = places[first : first + _ROWS_AT_ONCE]
        seeds = np.zeros((len(some), n, *phases))
        for k, place in enumerate(some):
            seeds[(k, *place)] = 1.0
        scalar: dict[str, Any] = {result: seeds}
        found = gradient(sol, **scalar)
        by_p[first : first + len(some)] = found.p_inject_mw
        by_q[first : first + len(some)] = found.q_inject_mvar
    whole = (rows.size, *phases, *shape)
    return by_p.reshape(whole), by_q.reshape(whole)
