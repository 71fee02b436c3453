"""Other people's optimal power flows: pandapower's interior point, and IPOPT on the exact branch flow."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Any, NamedTuple

import numpy as np

from ....cases import Feeder
from ...optimal.affine import FloatArray
from ...optimal.branch_flow import Demand
from ...optimal.radial import RadialNetwork
from ...optimal.units import Unit
from ..problems.balanced import problem
from ..report.machine import installed
from .balanced_peers import pandapower_net

RUNOPP = "pandapower runopp"
IPOPT = "IPOPT (casadi), exact branch flow"
_PDIPM = {f"PDIPM_{what}TOL": 1e-9 for what in ("FEAS", "GRAD", "COMP", "COST")}
_RUNOPP_BUSES = 200  # above which it does not converge from a flat start, or takes minutes


class Peer(NamedTuple):
    """A program that finds the least losses."""

    name: str
    run: Callable[[], object]
    loss_mw: Callable[[], float]  # of the last run


def runopp(feeder: Feeder, units: Sequence[Unit], band: tuple[float, float]) -> Peer | None:
    """`pandapower.runopp` with a price of 1 on all power; None where it is not there or finds nothing."""
    if installed("pandapower") is None or feeder.n_nodes > _RUNOPP_BUSES:
        return None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pp, asked = import_module("pandapower"), problem(feeder)
        net = pandapower_net(asked)
        net.bus["min_vm_pu"], net.bus["max_vm_pu"] = band
        net.line["max_i_ka"], net.line["max_loading_percent"] = 1e3, 100.0
        pp.create_poly_cost(net, 0, "ext_grid", cp1_eur_per_mw=1.0)
        for unit in units:
            at = pp.create_sgen(
                net, feeder.node_index[unit.bus], p_mw=0.0, q_mvar=0.0, controllable=True,
                min_p_mw=unit.p_min_mw, max_p_mw=unit.p_max_mw, min_q_mvar=unit.q_min_mvar,
                max_q_mvar=unit.q_max_mvar,
            )  # fmt: skip
            pp.create_poly_cost(net, at, "sgen", cp1_eur_per_mw=1.0)

    def run() -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            pp.runopp(net, verbose=False, init="flat", calculate_voltage_angles=False, **_PDIPM)

    try:
        run()
    except pp.optimal_powerflow.OPFNotConverged:
        return None
    return Peer(RUNOPP, run, lambda: float(net.res_line.pl_mw.sum()))


def ipopt(
    network: RadialNetwork, demand: Demand, units: Sequence[Unit], band: tuple[float, float]
) -> Peer | None:
    """IPOPT on the branch flow equations with equality, from a flat start; None without casadi."""
    if installed("casadi") is None:
        return None
    ca = import_module("casadi")
    m, f, k = network.size, network.fed.size, len(units)
    v, p, q, c = (ca.MX.sym(name, n) for name, n in (("v", m), ("p", f), ("q", f), ("l", f)))
    s_p, s_q = ca.MX.sym("sp", network.root.size), ca.MX.sym("sq", network.root.size)
    g_p, g_q = ca.MX.sym("gp", k), ca.MX.sym("gq", k)
    base, sent = network.base_mva, ca.DM(network.ratio2) * v[network.parent.tolist()]
    r, x = ca.DM(network.r_pu), ca.DM(network.x_pu)
    at = network.position[[network.net.feeder.node_index[unit.bus] for unit in units]]
    into, out = _incidence(ca, network.fed, m), _incidence(ca, network.parent, m)
    root, place = _incidence(ca, network.root, m), _incidence(ca, at, m)
    balance_p = into @ (p - r * c) - out @ p + root @ s_p + place @ g_p / base
    balance_q = into @ (q - x * c) - out @ q + root @ s_q + place @ g_q / base
    given = ca.vertcat(
        balance_p - ca.DM(demand.p_mw[0] / base) - ca.DM(network.g_pu) * v,
        balance_q - ca.DM(demand.q_mvar[0] / base) + ca.DM(network.b_pu) * v,
        sent - 2.0 * (r * p + x * q) + (r**2 + x**2) * c - v[network.fed.tolist()],
        sent * c - p**2 - q**2,
    )
    everything = ca.vertcat(v, p, q, c, s_p, s_q, g_p, g_q)
    loss = base * ca.sum1(r * c)
    options = {"print_time": False, "ipopt": {"print_level": 0, "tol": 1e-10, "sb": "yes"}}
    solver = ca.nlpsol("opf", "ipopt", {"x": everything, "f": loss, "g": given}, options)
    low, high, start = _box(network, demand, units, band)
    found: dict[str, Any] = {}

    def run() -> None:
        found.update(solver(x0=start, lbx=low, ubx=high, lbg=0.0, ubg=0.0))

    run()
    return Peer(IPOPT, run, lambda: float(found["f"])) if solver.stats()["success"] else None


def _incidence(ca: Any, rows: Any, size: int) -> Any:
    """(size, n) sparse, 1 where column k belongs to row ``rows[k]``."""
    at = [int(row) for row in rows]
    return ca.DM.triplet(at, list(range(len(at))), ca.DM.ones(len(at)), size, len(at))


def _box(
    network: RadialNetwork, demand: Demand, units: Sequence[Unit], band: tuple[float, float]
) -> tuple[FloatArray, FloatArray, FloatArray]:
    m, f, roots = network.size, network.fed.size, network.root.size
    v_low, v_high = np.full(m, band[0] ** 2), np.full(m, band[1] ** 2)
    v_low[network.root] = v_high[network.root] = demand.v_source_pu[0] ** 2
    flows, heads = np.full(2 * f, np.inf), np.full(2 * roots, np.inf)
    p_low, q_low = [u.p_min_mw for u in units], [u.q_min_mvar for u in units]
    p_high, q_high = [u.p_max_mw for u in units], [u.q_max_mvar for u in units]
    low: list[Any] = [v_low, -flows, np.zeros(f), -heads, p_low, q_low]
    high: list[Any] = [v_high, flows, np.full(f, np.inf), heads, p_high, q_high]
    start = np.zeros(m + 3 * f + 2 * roots + 2 * len(units))
    start[:m] = 1.0
    return np.concatenate(low), np.concatenate(high), start
