"""The tables of a balanced power flow.

Every node and branch of the feeder has a row, in the feeder's order; what has no voltage has nulls.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from .... import physics
from ....physics.violations import judged_band, of_band, of_rating
from ...jobs.unit_tables import NUMBER, TEXT, YES_NO, schema, table, table_of_rows
from .pf_result import PowerFlow

BUSES = schema(
    ("node_id", TEXT, ""), ("feeder_id", TEXT, ""), ("energised", YES_NO, ""),
    ("base_kv", NUMBER, "kV line to line"), ("v_pu", NUMBER, "pu"), ("v_deg", NUMBER, "degree"),
    ("v_kv", NUMBER, "kV line to line"), ("v_min_pu", NUMBER, "pu"), ("v_max_pu", NUMBER, "pu"),
    ("p_load_mw", NUMBER, "MW"), ("q_load_mvar", NUMBER, "Mvar"),  # at the solved voltage
    ("p_shunt_mw", NUMBER, "MW"), ("q_shunt_mvar", NUMBER, "Mvar"),  # shunts and capacitors, consumed
)  # fmt: skip

BRANCHES = schema(
    ("branch_id", TEXT, ""), ("from_node", TEXT, ""), ("to_node", TEXT, ""), ("feeder_id", TEXT, ""),
    ("closed", YES_NO, ""), ("carries_current", YES_NO, ""),  # closed, energised and not left out
    ("closes_loop", YES_NO, ""),
    ("p_from_mw", NUMBER, "MW"), ("q_from_mvar", NUMBER, "Mvar"), ("i_from_ka", NUMBER, "kA"),
    ("p_to_mw", NUMBER, "MW"), ("q_to_mvar", NUMBER, "Mvar"), ("i_to_ka", NUMBER, "kA"),
    ("p_loss_mw", NUMBER, "MW"), ("q_loss_mvar", NUMBER, "Mvar"),
    ("thermal_limit_mva", NUMBER, "MVA"), ("loading_pct", NUMBER, "%"), ("rating_source", TEXT, ""),
)  # fmt: skip

LOSSES = schema(
    ("scope", TEXT, ""), ("feeder_id", TEXT, ""),  # one row a feeder id, then the total
    ("p_source_mw", NUMBER, "MW"), ("q_source_mvar", NUMBER, "Mvar"),
    ("p_load_mw", NUMBER, "MW"), ("q_load_mvar", NUMBER, "Mvar"),
    ("p_shunt_mw", NUMBER, "MW"), ("q_shunt_mvar", NUMBER, "Mvar"),
    ("p_loss_mw", NUMBER, "MW"), ("q_loss_mvar", NUMBER, "Mvar"), ("p_loss_pct_of_load", NUMBER, "%"),
    ("v_lowest_pu", NUMBER, "pu"), ("v_lowest_node", TEXT, ""),
    ("v_highest_pu", NUMBER, "pu"), ("v_highest_node", TEXT, ""), ("loading_highest_pct", NUMBER, "%"),
)  # fmt: skip

VIOLATIONS = schema(
    # overvoltage, undervoltage, overload, reactive_limit, not_supplied, failed_power_flow
    ("kind", TEXT, ""),
    ("element", TEXT, ""), ("feeder_id", TEXT, ""),
    ("value", NUMBER, "see unit"), ("limit", NUMBER, "see unit"),
    ("magnitude", NUMBER, "see unit"),  # how far beyond the limit, always positive
    ("unit", TEXT, ""),
)  # fmt: skip


def balanced_tables(
    net: physics.Network, sol: physics.Solution, method: str, notes: tuple[str, ...]
) -> PowerFlow:
    """Solution `sol` of `net` as tables, judged by the feeder's own limits."""
    buses, branches = _buses(net, sol), _branches(net, sol)
    return PowerFlow(
        net.feeder, sol, method, buses, branches, losses=_losses(net, sol, buses, branches),
        violations=_violations(net, sol), notes=notes,
    )  # fmt: skip


def _loads_at(net: physics.Network, v_pu: NDArray[np.float64]) -> tuple[Any, Any]:
    """(n_bus,) MW and Mvar that the loads draw at these voltages; 0 where there is none."""
    p, q = net.load_p_mw.copy(), net.load_q_mvar.copy()
    at, c = net.zip_node, net.zip_coef
    v = v_pu[at]
    for power, z, i, exponent in ((p, c[:, 0], c[:, 1], c[:, 4]), (q, c[:, 2], c[:, 3], c[:, 5])):
        shares = z * v**2 + i * v + 1.0 - z - i
        power[at] *= np.where(np.isnan(exponent), shares, v ** np.nan_to_num(exponent))
    return np.where(np.isnan(v_pu), 0.0, p), np.where(np.isnan(v_pu), 0.0, q)


def _buses(net: physics.Network, sol: physics.Solution) -> pa.Table:
    col = net.feeder.column
    p_load, q_load = _loads_at(net, sol.v_pu)
    q_load[net.held_node] -= sol.q_held_mvar
    capacitors = np.zeros(net.n_bus)
    np.add.at(capacitors, net.cap_node, np.where(net.cap_on, net.cap_mvar, 0.0))
    v2 = np.nan_to_num(sol.v_pu) ** 2
    columns = {
        "node_id": col("nodes", "node_id"),
        "feeder_id": col("nodes", "feeder_id"),
        "energised": net.energised,
        "base_kv": net.base_kv,
        "v_pu": sol.v_pu,
        "v_deg": sol.v_deg,
        "v_kv": sol.v_pu * net.base_kv,
        "v_min_pu": col("nodes", "v_min"),
        "v_max_pu": col("nodes", "v_max"),
        "p_load_mw": p_load,
        "q_load_mvar": q_load,
        "p_shunt_mw": net.shunt_g_mw * v2,
        "q_shunt_mvar": -(net.shunt_b_mvar + capacitors) * v2,
    }
    return table(columns, BUSES)


def _branches(net: physics.Network, sol: physics.Solution) -> pa.Table:
    col, top = net.feeder.column, net.topology
    loop = np.zeros(net.n_branch, dtype=bool)
    loop[top.dropped] = True
    if top.loops is not None:
        loop[top.loops.branch] = True
    columns: dict[str, Any] = {name: col("branches", name) for name in ("branch_id", "from_node", "to_node")}
    for end, rows in (("from", net.from_row), ("to", net.to_row)):
        p, q = getattr(sol, f"p_{end}_mw"), getattr(sol, f"q_{end}_mvar")
        kv = np.where(np.isfinite(sol.v_pu), sol.v_pu, 1.0)[rows] * net.base_kv[rows]
        columns |= {f"p_{end}_mw": p, f"q_{end}_mvar": q, f"i_{end}_ka": np.hypot(p, q) / (np.sqrt(3.0) * kv)}
    columns |= {
        "feeder_id": col("branches", "feeder_id"),
        "closed": net.closed,
        "carries_current": top.in_tree,
        "closes_loop": loop,
        "p_loss_mw": sol.p_from_mw + sol.p_to_mw,
        "q_loss_mvar": sol.q_from_mvar + sol.q_to_mvar,
        "thermal_limit_mva": net.rating_mva,
        "loading_pct": 100.0 * sol.loading,
        "rating_source": col("branches", "rating_source"),
    }
    return table(columns, BRANCHES)


def _losses(net: physics.Network, sol: physics.Solution, buses: pa.Table, branches: pa.Table) -> pa.Table:
    """Sums per feeder id, then over all; a feeder takes in from others what it does not get from a source."""
    of_bus, of_branch = net.feeder.column("nodes", "feeder_id"), net.feeder.column("branches", "feeder_id")
    of_source = net.feeder.column("sources", "feeder_id")
    source = np.atleast_1d(sol.s_source_mva)
    ids = sorted(set(of_bus.tolist()) | set(of_branch.tolist()))
    rows = []
    for feeder_id in [*ids, None]:
        at, along, fed = (
            np.ones(column.size, dtype=bool) if feeder_id is None else column == feeder_id
            for column in (of_bus, of_branch, of_source)
        )  # fmt: skip
        row: dict[str, Any] = {"scope": "total" if feeder_id is None else "feeder", "feeder_id": feeder_id}
        row |= {"p_source_mw": source[fed].real.sum(), "q_source_mvar": source[fed].imag.sum()}
        for name in ("p_load_mw", "q_load_mvar", "p_shunt_mw", "q_shunt_mvar"):
            row[name] = buses[name].to_numpy()[at].sum()
        for name in ("p_loss_mw", "q_loss_mvar"):
            row[name] = branches[name].to_numpy()[along].sum()
        row["p_loss_pct_of_load"] = 100.0 * row["p_loss_mw"] / row["p_load_mw"] if row["p_load_mw"] else None
        loading = sol.loading[along]
        row["loading_highest_pct"] = 100.0 * np.nanmax(loading) if np.isfinite(loading).any() else None
        rows.append(row | _extremes(net, sol.v_pu, at))
    return pa.Table.from_pylist(rows, schema=LOSSES)


def _extremes(net: physics.Network, v_pu: NDArray[np.float64], at: NDArray[np.bool_]) -> dict[str, Any]:
    """Lowest and highest voltage among the nodes in `at`, and where; nothing where all are dead."""
    rows = np.flatnonzero(at & np.isfinite(v_pu))
    if rows.size == 0:
        return {}
    ids = net.feeder.column("nodes", "node_id")
    low, high = rows[np.argmin(v_pu[rows])], rows[np.argmax(v_pu[rows])]
    return {
        "v_lowest_pu": v_pu[low], "v_lowest_node": ids[low],
        "v_highest_pu": v_pu[high], "v_highest_node": ids[high],
    }  # fmt: skip


def _violations(net: physics.Network, sol: physics.Solution) -> pa.Table:
    """Every limit that is passed; of a failed power flow only that it failed, its numbers prove nothing."""
    col = net.feeder.column
    if not bool(sol.converged):
        row = ("failed_power_flow", net.feeder.name, net.feeder.feeder_id, None, None, None, "")
        return table_of_rows([row], VIOLATIONS)
    found: list[tuple[Any, ...]] = []
    nodes, feeders = col("nodes", "node_id"), col("nodes", "feeder_id")
    low, high = judged_band(net.feeder)
    outside = of_band(sol.v_pu, low, high)
    for kind, beyond, limit in (("overvoltage", outside.over, high), ("undervoltage", outside.under, low)):
        for n in np.flatnonzero(beyond):
            found.append((kind, nodes[n], feeders[n], sol.v_pu[n], limit[n], beyond[n], "pu"))
    rating = net.rating_mva
    above = of_rating(sol.loading, rating)
    for e in np.flatnonzero(above):
        flow = sol.loading[e] * rating[e]
        where = col("branches", "branch_id")[e], col("branches", "feeder_id")[e]
        found.append(("overload", *where, flow, rating[e], above[e], "MVA"))
    if not net.enforce_q_limits:
        for k, n in enumerate(net.held_node):
            q, least, most = sol.q_held_mvar[k], net.held_q_min_mvar[k], net.held_q_max_mvar[k]
            limit = min(max(q, least), most)
            if q != limit:
                found.append(("reactive_limit", nodes[n], feeders[n], q, limit, abs(q - limit), "Mvar"))
    for n in np.flatnonzero(~net.energised):
        load = abs(complex(net.load_p_mw[n], net.load_q_mvar[n]))
        found.append(("not_supplied", nodes[n], feeders[n], 0.0, load, load, "MVA"))
    return table_of_rows(found, VIOLATIONS)
