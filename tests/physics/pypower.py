"""pandapower's Newton on its own matrices: taps, shifts and charging as MATPOWER has them.

Nothing of the package's physics is used: the feeder's tables are written into pandapower's bus and branch
matrices (buses that closed switches join become one), `makeYbus` and `newtonpf` are pandapower's. Loads that
depend on voltage are set to what they draw at the last solution until the solution stands still, so that
each Newton sees constant power.
"""

from __future__ import annotations

import warnings
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components
from scipy.sparse.linalg import spsolve

from distgrid.cases.model.feeder import Feeder

from .oracle import Complex, branch_model_rows, load_power

# Mismatch in pu. The tightest first; rounding leaves more than that on stiff trees.
TOLERANCES = (1e-12, 3e-12, 1e-11)


class NotSolvedError(Exception):
    """pandapower's Newton found no solution at the loosest tolerance."""


@cache
def _template() -> tuple[dict[str, Any], dict[str, Any]]:
    """What pandapower itself passes to its Newton for two buses: matrices of no FACTS, and options."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import pandapower as pp

        net = pp.create_empty_network(sn_mva=1.0)
        a, b = pp.create_buses(net, 2, vn_kv=11.0)
        pp.create_line_from_parameters(net, a, b, 1.0, 0.1, 0.1, 0.0, 1.0)
        pp.create_ext_grid(net, a)
        pp.create_load(net, b, 0.1)
        pp.runpp(net, numba=False, voltage_depend_loads=False)
    options = {**net._options, "numba": False, "voltage_depend_loads": False, "max_iteration": 40}
    return {**net._ppc, **net._ppc["internal"]}, options


def _merged(feeder: Feeder) -> NDArray[np.int64]:
    """(n_bus,) group of each bus: closed branches without impedance join buses."""
    start, end = branch_model_rows(feeder)
    col = feeder.column
    free = col("branches", "status") & (col("branches", "r") == 0) & (col("branches", "x") == 0)
    links = coo_matrix((np.ones(free.sum()), (start[free], end[free])), shape=(feeder.n_nodes,) * 2)
    return np.asarray(connected_components(links, directed=False)[1], dtype=np.int64)


def _matrices(feeder: Feeder, group: NDArray[np.int64]) -> tuple[NDArray[Any], NDArray[Any]]:
    """pandapower's bus and branch matrices."""
    from pandapower.pypower import idx_brch as br
    from pandapower.pypower import idx_bus as bs

    internal, _ = _template()
    col = feeder.column
    start, end = branch_model_rows(feeder)
    keep = col("branches", "status") & (group[start] != group[end])
    bus = np.repeat(internal["bus"][1:2], group.max() + 1, axis=0)
    bus[:, bs.BUS_I] = np.arange(len(bus))
    bus[:, [bs.GS, bs.BS, bs.PD, bs.QD]] = 0.0
    np.add.at(bus[:, bs.GS], group, col("nodes", "shunt_g_mw"))
    np.add.at(bus[:, bs.BS], group, col("nodes", "shunt_b_mvar"))
    branch = np.zeros((int(keep.sum()), internal["branch"].shape[1]), dtype=internal["branch"].dtype)
    branch[:, br.F_BUS], branch[:, br.T_BUS] = group[start[keep]], group[end[keep]]
    branch[:, br.BR_STATUS] = 1
    for target, name in (
        (br.BR_R, "r"), (br.BR_X, "x"), (br.BR_B, "b"), (br.TAP, "tap"), (br.SHIFT, "shift_deg"),
    ):  # fmt: skip
        branch[:, target] = col("branches", name)[keep]
    return bus, branch


def pypower_newton(feeder: Feeder) -> tuple[Complex, float]:
    """(n_bus,) complex voltages in pu, and the largest mismatch in pu that was allowed.

    Raises:
        NotSolvedError: no solution at any tolerance.
    """
    for tolerance in TOLERANCES:
        v = _solve(feeder, tolerance)
        if v is not None:
            return v, tolerance
    raise NotSolvedError(feeder.name)


def _solve(feeder: Feeder, tolerance: float) -> Complex | None:
    from pandapower.pypower.makeYbus import makeYbus
    from pandapower.pypower.newtonpf import newtonpf

    group = _merged(feeder)
    bus, branch = _matrices(feeder, group)
    y, _, _ = makeYbus(feeder.base_mva, bus, branch)
    at = [feeder.node_index[node] for node in feeder.column("sources", "node_id")]
    ref, level = group[at], feeder.column("sources", "v_pu")
    pq = np.setdiff1d(np.arange(len(bus)), ref)
    v = np.zeros(len(bus), dtype=np.complex128)
    v[ref] = level * np.exp(1j * np.deg2rad(feeder.column("sources", "v_deg")))
    if not len(pq):
        return v[group]
    v[pq] = spsolve(y[pq][:, pq].tocsc(), -(y[pq][:, ref] @ v[ref]))  # no load
    internal, options = _template()
    case = {**internal, "bus": bus, "branch": branch, "baseMVA": feeder.base_mva, "internal": {}}
    case["gen"] = np.repeat(internal["gen"][:1], len(ref), axis=0)
    last = np.inf
    for _ in range(60):
        drawn, _ = load_power(feeder, np.abs(v)[group])
        power = np.zeros(len(bus), dtype=np.complex128)
        np.add.at(power, group, -drawn / feeder.base_mva)
        new, converged, *_ = newtonpf(
            y, power, v, ref, np.zeros(0, dtype=np.int64), pq, case, {**options, "tolerance_mva": tolerance}
        )
        if not converged:
            return None
        moved, v = float(np.abs(new - v).max()), new
        if moved < 1e-13 or (moved < 1e-12 and moved >= 0.5 * last):
            return np.asarray(v[group])
        last = moved
    return None
