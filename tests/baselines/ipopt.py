"""The exact optimal power flow by IPOPT, in rectangular voltages on MATPOWER's branch model.

Shares no equation with the branch flow relaxation: bus injections, no squared voltages, no currents.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from distgrid.cases import Feeder

from ..physics.oracle import branch_model


@dataclass(frozen=True)
class Optimum:
    """What IPOPT ended with, MW and Mvar."""

    value: float
    p_mw: NDArray[np.float64]
    q_mvar: NDArray[np.float64]
    v_pu: NDArray[np.float64]
    solved: bool


def optimum(
    feeder: Feeder, buses: Sequence[str], boxes: Sequence[tuple[float, float, float, float]], objective: str,
    v_band: tuple[float, float], s_mva: float = np.inf,
) -> Optimum:  # fmt: skip
    """The least losses (MW) or sum of (V - 1)^2 over buses, for units (p_min, p_max, q_min, q_max)."""
    import casadi as ca

    n, base, b = feeder.n_nodes, feeder.base_mva, branch_model(feeder)
    g, k = _admittance(feeder, b), len(buses)
    e, f, p, q = ca.MX.sym("e", n), ca.MX.sym("f", n), ca.MX.sym("p", k), ca.MX.sym("q", k)
    i_re, i_im = ca.DM(g.real) @ e - ca.DM(g.imag) @ f, ca.DM(g.imag) @ e + ca.DM(g.real) @ f
    s_p, s_q = e * i_re + f * i_im, f * i_re - e * i_im
    load_p, load_q = np.zeros(n), np.zeros(n)
    rows = [feeder.node_index[str(node)] for node in feeder.column("loads", "node_id")]
    np.add.at(load_p, rows, feeder.column("loads", "p_mw"))
    np.add.at(load_q, rows, feeder.column("loads", "q_mvar"))
    root = feeder.node_index[str(feeder.column("sources", "node_id")[0])]
    at = np.zeros((n, k))
    at[[feeder.node_index[bus] for bus in buses], np.arange(k)] = 1.0
    free = [j for j in range(n) if j != root]
    short_p = s_p - (ca.DM(at) @ p - load_p) / base
    short_q = s_q - (ca.DM(at) @ q - load_q) / base
    v2 = e**2 + f**2
    loss = base * ca.sum1(s_p)
    value = loss if objective == "loss" else ca.sum1((ca.sqrt(v2) - 1.0) ** 2)
    round_ = [p**2 + q**2] if np.isfinite(s_mva) else []
    given = ca.vertcat(short_p[free], short_q[free], v2[free], *round_)
    zeros, m = np.zeros(len(free)), len(free)
    low = np.concatenate([zeros, zeros, np.full(m, v_band[0] ** 2), np.zeros(k * len(round_))])
    high = np.concatenate([zeros, zeros, np.full(m, v_band[1] ** 2), np.full(k * len(round_), s_mva**2)])
    x = ca.vertcat(e, f, p, q)
    x_low, x_high = np.full(2 * n, -2.0), np.full(2 * n, 2.0)
    source = float(feeder.column("sources", "v_pu")[0])
    x_low[root] = x_high[root] = source
    x_low[n + root] = x_high[n + root] = 0.0
    box = np.array(boxes, dtype=float)
    options: dict[str, Any] = {"print_time": False, "ipopt": {"print_level": 0, "tol": 1e-11, "sb": "yes"}}
    solver = ca.nlpsol("opf", "ipopt", {"x": x, "f": value, "g": given}, options)
    found = solver(
        x0=np.concatenate([np.ones(n), np.zeros(n), box[:, :2].mean(axis=1), box[:, 2:].mean(axis=1)]),
        lbx=np.concatenate([x_low, box[:, 0], box[:, 2]]), ubx=np.concatenate([x_high, box[:, 1], box[:, 3]]),
        lbg=low, ubg=high,
    )  # fmt: skip
    point = np.array(found["x"]).ravel()
    return Optimum(
        float(found["f"]), point[2 * n : 2 * n + k], point[2 * n + k :],
        np.hypot(point[:n], point[n : 2 * n]), bool(solver.stats()["success"]),
    )  # fmt: skip


def _admittance(feeder: Feeder, b: Any) -> NDArray[np.complex128]:
    y = np.zeros((feeder.n_nodes, feeder.n_nodes), complex)
    for row, column, part in (
        (b.start, b.start, b.ff), (b.start, b.end, b.ft), (b.end, b.start, b.tf), (b.end, b.end, b.tt),
    ):  # fmt: skip
        np.add.at(y, (row, column), part)
    return y
