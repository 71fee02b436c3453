"""Other people's power flows, and one of our own kind: what the sweep is compared with.

`dense_newton` shares no code with the package: the bus admittance matrix of MATPOWER's branch model and
Newton's method on the complex current balance. `pandapower_newton` builds the feeder from pandapower's own
elements (lines in ohm and nF, transformers by their short-circuit voltage, ZIP loads, shunts).
"""

from __future__ import annotations

import warnings
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from distgrid.cases.model.feeder import Feeder

Complex = NDArray[np.complex128]
Floats = NDArray[np.float64]


class Branches(NamedTuple):
    """Admittances of MATPOWER's branch model, (n_branch,) each, and the ends' rows."""

    start: NDArray[np.int64]
    end: NDArray[np.int64]
    ff: Complex
    ft: Complex
    tf: Complex
    tt: Complex


def branch_model(feeder: Feeder) -> Branches:
    """MATPOWER manual, eq. 3.2; open branches are zero."""
    col = feeder.column
    start, end = (
        np.array([feeder.node_index[n] for n in col("branches", c)], dtype=np.int64)
        for c in ("from_node", "to_node")
    )
    series = 1.0 / (col("branches", "r") + 1j * col("branches", "x"))
    tap = col("branches", "tap") * np.exp(1j * np.deg2rad(col("branches", "shift_deg")))
    tt = series + 0.5j * col("branches", "b")
    on = col("branches", "status")
    parts = (tt / np.abs(tap) ** 2, -series / np.conj(tap), -series / tap, tt)
    return Branches(start, end, *(np.where(on, part, 0) for part in parts))


def flows(feeder: Feeder, v: Complex) -> tuple[Complex, Complex]:
    """MVA into both ends of each branch from voltages (n_bus,) alone."""
    b = branch_model(feeder)
    v_f, v_t = v[b.start], v[b.end]
    s_from = v_f * np.conj(b.ff * v_f + b.ft * v_t)
    return feeder.base_mva * s_from, feeder.base_mva * v_t * np.conj(b.tf * v_f + b.tt * v_t)


def _shunts(feeder: Feeder) -> Complex:
    y = (feeder.column("nodes", "shunt_g_mw") + 1j * feeder.column("nodes", "shunt_b_mvar")).astype(complex)
    banks = (feeder.column("capacitors", c) for c in ("node_id", "q_mvar", "status"))
    for node, q, on in zip(*banks, strict=True):
        y[feeder.node_index[node]] += 1j * q * bool(on)
    return y


def load_power(feeder: Feeder, v: Floats) -> tuple[Complex, Complex]:
    """Complex MVA drawn by the loads at each node, and its derivative by |V|."""
    names = ("node_id", "p_mw", "q_mvar", "p_z_frac", "p_i_frac", "q_z_frac", "q_i_frac", "cvr_p", "cvr_q")
    node, p, q, p_z, p_i, q_z, q_i, cvr_p, cvr_q = (feeder.column("loads", c) for c in names)
    at = np.array([feeder.node_index[n] for n in node], dtype=np.int64)
    u = v[at]

    def part(s: Floats, z: Floats, i: Floats, exponent: Floats) -> tuple[Floats, Floats]:
        n = np.where(np.isnan(exponent), 1.0, exponent)
        polynomial = s * (z * u**2 + i * u + 1 - z - i), s * (2 * z * u + i)
        power = s * u**n, s * n * u ** (n - 1)
        plain = np.isnan(exponent)
        return np.where(plain, polynomial[0], power[0]), np.where(plain, polynomial[1], power[1])

    (p_now, dp), (q_now, dq) = part(p, p_z, p_i, cvr_p), part(q, q_z, q_i, cvr_q)
    total, slope = np.zeros(feeder.n_nodes, complex), np.zeros(feeder.n_nodes, complex)
    np.add.at(total, at, p_now + 1j * q_now)
    np.add.at(slope, at, dp + 1j * dq)
    return total, slope


def reached(feeder: Feeder) -> NDArray[np.bool_]:
    """(n_bus,) nodes that closed branches connect to a source."""
    b, on = branch_model(feeder), feeder.column("branches", "status")
    live = np.zeros(feeder.n_nodes, dtype=bool)
    live[[feeder.node_index[n] for n in feeder.column("sources", "node_id")]] = True
    while True:
        grown = live.copy()
        grown[b.end[on & live[b.start]]] = True
        grown[b.start[on & live[b.end]]] = True
        if (grown == live).all():
            return live
        live = grown


def dense_newton(feeder: Feeder, v0: Complex | None = None, steps: int = 40) -> Complex:
    """(n_bus,) complex voltages in pu, NaN where no source reaches. Needs non-zero impedances.

    Starts at no load unless `v0` is given; stops when the step stops shrinking below 1e-12.
    """
    n, base, b = feeder.n_nodes, feeder.base_mva, branch_model(feeder)
    y = np.zeros((n, n), complex)
    f, t = b.start, b.end
    for row, column, part in ((f, f, b.ff), (f, t, b.ft), (t, f, b.tf), (t, t, b.tt)):
        np.add.at(y, (row, column), part)
    y_series = y.copy()
    y[np.diag_indices(n)] += _shunts(feeder) / base
    fixed = np.array([feeder.node_index[s] for s in feeder.column("sources", "node_id")])
    free = np.setdiff1d(np.flatnonzero(reached(feeder)), fixed)
    v = np.full(n, np.nan + 0j)
    v[fixed] = feeder.column("sources", "v_pu") * np.exp(1j * np.deg2rad(feeder.column("sources", "v_deg")))
    inner = np.ix_(free, free)
    no_load = -np.linalg.solve(y_series[inner], y_series[np.ix_(free, fixed)] @ v[fixed])
    v[free] = no_load if v0 is None else v0[free]
    outer = y[np.ix_(free, fixed)] @ v[fixed]
    last = np.inf
    for _ in range(steps):
        u = v[free]
        size = np.abs(u)
        s, slope = (part[free] / base for part in load_power(feeder, np.nan_to_num(np.abs(v), nan=1.0)))
        per_v = np.conj(s) / size**2  # I = per_v V
        bend = u * (np.conj(slope) / size**2 - 2 * np.conj(s) / size**3)  # dI / d|V| beside per_v dV
        residual = y[inner] @ u + outer + per_v * u
        by_x = y[inner] + np.diag(per_v + bend * u.real / size)
        by_y = 1j * y[inner] + np.diag(1j * per_v + bend * u.imag / size)
        jacobian = np.block([[by_x.real, by_y.real], [by_x.imag, by_y.imag]])
        step = np.linalg.solve(jacobian, np.concatenate([residual.real, residual.imag]))
        v[free] = u - (step[: free.size] + 1j * step[free.size :])
        size_of_step = float(np.abs(step).max(initial=0.0))
        if size_of_step < 1e-12 and size_of_step >= 0.5 * last:
            break
        last = size_of_step
    return v


def pandapower_net(feeder: Feeder) -> Any:
    """The feeder as pandapower elements. Branches that join different base_kv become transformers.

    Their from side must be the high-voltage side, as pandapower's transformer has its tap there.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import pandapower as pp

        col, frequency = feeder.column, 50.0
        net = pp.create_empty_network(sn_mva=feeder.base_mva, f_hz=frequency)
        kv = col("nodes", "base_kv")
        pp.create_buses(net, feeder.n_nodes, vn_kv=kv)
        start, end = branch_model_rows(feeder)
        ratio, shift = col("branches", "tap"), col("branches", "shift_deg")
        line = (kv[start] == kv[end]) & (ratio == 1) & (shift == 0)
        r, x, b, on = (col("branches", c) for c in ("r", "x", "b", "status"))
        ohm = kv[end] ** 2 / feeder.base_mva
        capacity = b / ohm / (2 * np.pi * frequency) * 1e9
        pp.create_lines_from_parameters(
            net, start[line], end[line], length_km=1.0, r_ohm_per_km=(r * ohm)[line],
            x_ohm_per_km=(x * ohm)[line], c_nf_per_km=capacity[line], max_i_ka=1.0, in_service=on[line],
        )  # fmt: skip
        for k in np.flatnonzero(~line):
            z = abs(complex(r[k], x[k]))
            pp.create_transformer_from_parameters(
                net, start[k], end[k], sn_mva=feeder.base_mva, vn_hv_kv=kv[start[k]], vn_lv_kv=kv[end[k]],
                vkr_percent=100 * r[k], vk_percent=100 * z, pfe_kw=0.0, i0_percent=0.0, shift_degree=shift[k],
                tap_side="hv", tap_pos=1, tap_neutral=0, tap_step_percent=100 * (ratio[k] - 1),
                tap_changer_type="Ratio", in_service=bool(on[k]),
            )  # fmt: skip
        _pandapower_power(pp, net, feeder)
    return net


def branch_model_rows(feeder: Feeder) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Rows of the from and to nodes."""
    rows = [
        np.array([feeder.node_index[n] for n in feeder.column("branches", c)], dtype=np.int64)
        for c in ("from_node", "to_node")
    ]
    return rows[0], rows[1]


def _pandapower_power(pp: Any, net: Any, feeder: Feeder) -> None:
    names = ("node_id", "p_mw", "q_mvar", "p_z_frac", "p_i_frac", "q_z_frac", "q_i_frac")
    for node, p, q, p_z, p_i, q_z, q_i in zip(*(feeder.column("loads", c) for c in names), strict=True):
        pp.create_load(
            net, feeder.node_index[node], p, q, const_z_p_percent=100 * p_z, const_i_p_percent=100 * p_i,
            const_z_q_percent=100 * q_z, const_i_q_percent=100 * q_i,
        )  # fmt: skip
    for node, y in enumerate(_shunts(feeder)):
        if y:
            pp.create_shunt(net, node, p_mw=y.real, q_mvar=-y.imag)
    sources = (feeder.column("sources", c) for c in ("node_id", "v_pu", "v_deg"))
    for node, v, deg in zip(*sources, strict=True):
        pp.create_ext_grid(net, feeder.node_index[node], vm_pu=v, va_degree=deg)


def run_newton(net: Any, tolerance_mva: float = 1e-12) -> Complex:
    """Run pandapower's Newton; (n_bus,) complex voltages, NaN where dead."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import pandapower as pp

        pp.runpp(
            net, tolerance_mva=tolerance_mva, max_iteration=50, numba=False, calculate_voltage_angles=True,
            trafo_model="pi", init="dc",
        )  # fmt: skip
    return np.asarray(net.res_bus.vm_pu * np.exp(1j * np.deg2rad(net.res_bus.va_degree)))


def pandapower_newton(feeder: Feeder, tolerance_mva: float = 1e-12) -> Complex:
    """(n_bus,) complex voltages of the feeder by pandapower's Newton-Raphson."""
    return run_newton(pandapower_net(feeder), tolerance_mva)
